//! Counters of each policy, as Prometheus text and as JSON. Names, types and meanings come from the table.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::pipeline::AttemptState;
use seawall_engine::policy::breaker::State;
use seawall_engine::table::metrics::METRICS;
use serde_json::{Value, json};

use crate::clock;
use crate::force::View;
use crate::lanes::Lanes;
use crate::policy::Policy;
use crate::turns::Turns;

const STATES: [State; 5] = [State::Closed, State::Open, State::HalfOpen, State::Isolated, State::Disabled];

/// How a call ended, as the `outcome` label says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Success,
    Failure,
    Timeout,
    Rejected,
    Cancelled,
    Fallback,
}

const CALL_ENDS: [&str; 6] = ["success", "failure", "timeout", "rejected", "cancelled", "fallback"];
/// The place of success among [`ATTEMPT_ENDS`].
const SUCCEEDED: usize = 0;
const ATTEMPT_ENDS: [&str; 4] = ["success", "failure", "cancelled", "ignored"];

/// Relaxed throughout: each counter stands for itself.
#[derive(Default)]
pub(crate) struct Counters {
    calls: [AtomicU64; 6],
    attempts: [AtomicU64; 4],
    retries: AtomicU64,
    transitions: [AtomicU64; 5],
    fallbacks: AtomicU64,
    letters: AtomicU64,
    letter_fallbacks: AtomicU64,
    letters_dropped: AtomicU64,
    lost: AtomicU64,
    injections: AtomicU64,
    overflow: AtomicU64,
    /// What is counted by thread.
    pub(crate) lanes: Lanes,
    pub(crate) turns: Turns,
}

fn up(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn call(&self, end: CallEnd) {
        up(&self.calls[end as usize]);
        if end == CallEnd::Fallback {
            up(&self.fallbacks);
        }
    }

    /// Calls that passed at their first attempt, in an isolate of their own.
    pub(crate) fn passed_on_port(&self, calls: u32) {
        self.calls[CallEnd::Success as usize].fetch_add(calls.into(), Ordering::Relaxed);
        self.attempts[SUCCEEDED].fetch_add(calls.into(), Ordering::Relaxed);
    }

    pub(crate) fn attempt(&self, state: AttemptState) {
        let place = match state {
            AttemptState::Running => return,
            AttemptState::Succeeded => SUCCEEDED,
            AttemptState::Failed | AttemptState::TimedOut => 1,
            AttemptState::Cancelled => 2,
            AttemptState::Ignored => 3,
        };
        up(&self.attempts[place]);
    }

    pub(crate) fn retry(&self) {
        up(&self.retries);
    }

    pub(crate) fn transition(&self, to: State) {
        up(&self.transitions[to as usize]);
    }

    /// How often a circuit of the policy has opened, over all keys.
    pub(crate) fn openings(&self) -> u64 {
        self.transitions[State::Open as usize].load(Ordering::Relaxed)
    }

    /// Attempts that chaos struck.
    pub(crate) fn injections(&self) -> u64 {
        self.injections.load(Ordering::Relaxed)
    }

    pub(crate) fn letter(&self, written: bool) {
        up(if written { &self.letters } else { &self.lost });
    }

    /// A letter went another way than to its store, or others had to make room for it.
    pub(crate) fn letter_went(&self, aside: bool, dropped: u32) {
        self.letter_fallbacks.fetch_add(aside.into(), Ordering::Relaxed);
        self.letters_dropped.fetch_add(dropped.into(), Ordering::Relaxed);
    }

    pub(crate) fn injection(&self) {
        up(&self.injections);
    }

    pub(crate) fn overflow(&self) {
        up(&self.overflow);
    }

    pub(crate) fn forget(&self) {
        let single = [
            &self.retries,
            &self.fallbacks,
            &self.letters,
            &self.letter_fallbacks,
            &self.letters_dropped,
            &self.lost,
            &self.injections,
            &self.overflow,
        ];
        self.calls
            .iter()
            .chain(&self.attempts)
            .chain(&self.transitions)
            .chain(single)
            .for_each(|counter| counter.store(0, Ordering::Relaxed));
        self.lanes.forget();
        self.turns.forget();
    }
}

/// One sample: metric, label and value.
type Sample = (&'static str, Option<(&'static str, &'static str)>, u64);

fn samples(policy: &Policy) -> Vec<Sample> {
    policy.settle_ports();
    let counters = &policy.counters;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut samples: Vec<Sample> = Vec::new();
    let (lanes, turns) = (&counters.lanes, &counters.turns);
    let (passed, rejected) = (lanes.passed() + turns.passed(), lanes.rejected() + turns.rejected());
    samples.extend(CALL_ENDS.iter().zip(&counters.calls).enumerate().map(|(place, (end, count))| {
        let lanes = [(CallEnd::Success, passed), (CallEnd::Rejected, rejected)];
        let by_lane: u64 = lanes.iter().filter(|(end, _)| *end as usize == place).map(|(_, count)| count).sum();
        ("seawall_calls_total", Some(("outcome", *end)), read(count) + by_lane)
    }));
    samples.extend(ATTEMPT_ENDS.iter().zip(&counters.attempts).enumerate().map(|(place, (end, count))| {
        let by_lane = if place == SUCCEEDED { passed } else { 0 };
        ("seawall_attempts_total", Some(("outcome", *end)), read(count) + by_lane)
    }));
    samples.push(("seawall_retries_total", None, read(&counters.retries)));
    samples.extend(
        STATES
            .iter()
            .zip(&counters.transitions)
            .map(|(state, count)| ("seawall_breaker_transitions_total", Some(("to", state.name())), read(count))),
    );
    samples.push(("seawall_fallbacks_total", None, read(&counters.fallbacks)));
    samples.push(("seawall_dlq_written_total", None, read(&counters.letters)));
    samples.push(("seawall_dlq_lost_total", None, read(&counters.lost)));
    samples.push(("seawall_dlq_fallback_total", None, read(&counters.letter_fallbacks)));
    samples.push(("seawall_dlq_dropped_total", None, read(&counters.letters_dropped)));
    samples.push(("seawall_chaos_injections_total", None, read(&counters.injections)));
    samples.push(("seawall_keys_overflow_total", None, read(&counters.overflow)));
    samples.extend(gauges(policy));
    samples
}

fn gauges(policy: &Policy) -> Vec<Sample> {
    let mut slots = (0u64, 0u64);
    let mut in_state = [0u64; 5];
    for (key, state) in policy.keys.all() {
        let (in_use, queued) = policy.ports.load(&state);
        slots = (slots.0 + u64::from(in_use), slots.1 + u64::from(queued));
        let view = View::of(policy, &state);
        if let Some(cell) = policy.env(&view, &state, Some(&key)).cell() {
            in_state[cell.state(clock::now()) as usize] += 1;
        }
    }
    let mut samples = vec![("seawall_bulkhead_in_flight", None, slots.0), ("seawall_bulkhead_queued", None, slots.1)];
    samples.extend(STATES.iter().zip(in_state).map(|(state, count)| ("seawall_breaker_state", Some(("state", state.name())), count)));
    samples
}

/// All metrics of this process as Prometheus text (exposition format 0.0.4).
#[must_use]
pub fn metrics() -> String {
    let policies: Vec<(String, Vec<Sample>)> = crate::registry::all().iter().map(|policy| (policy.label(), samples(policy))).collect();
    let mut text = String::new();
    for row in METRICS {
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {}", row.name, row.doc, row.name, row.kind);
        for (policy, samples) in &policies {
            for (_, label, value) in samples.iter().filter(|(name, ..)| *name == row.name) {
                let extra = label.map_or_else(String::new, |(label, value)| format!(",{label}=\"{value}\""));
                let _ = writeln!(text, "{}{{policy=\"{}\"{extra}}} {value}", row.name, escape(policy));
            }
        }
    }
    text
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// One policy's samples by metric, with the label's value after a colon.
pub(crate) fn by_name(policy: &Policy) -> serde_json::Map<String, Value> {
    let named = samples(policy).into_iter().map(|(name, label, value)| {
        let name = label.map_or_else(|| name.to_owned(), |(_, label)| format!("{name}:{label}"));
        (name, json!(value))
    });
    named.collect()
}

/// The same as JSON: policy, metric (with its label's value after a colon), value.
#[must_use]
pub fn snapshot() -> String {
    let policies: serde_json::Map<String, Value> =
        crate::registry::all().iter().map(|policy| (policy.label(), Value::Object(by_name(policy)))).collect();
    Value::Object(policies).to_string()
}
