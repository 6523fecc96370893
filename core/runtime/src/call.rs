//! A call as a binding holds it: the engine's state machine with its policy, its key and its correlation id.

use std::sync::Arc;

use seawall_engine::outcome::{Bits, Kind, Outcome, Pushback};
use seawall_engine::pipeline::{self, AttemptState, Begin};
use seawall_engine::step::{Event, Failure, Finish, How, Input, Output, Outputs, StepEnd, TimerReason};
use seawall_engine::time::{MS, ceil_ms};
use serde_json::json;

use crate::config::ConfigError;
use crate::events;
use crate::force::View;
use crate::grip::{Grip, Place};
use crate::measure::Measure;
use crate::metrics::{self, CallEnd};
use crate::mode::Mode;
use crate::op::{Op, PARK, failed_args, finish_args, injected_arg, step_arg};
use crate::policy::Policy;
use crate::state::KeyState;

/// The kind of an attempt's end.
const CANCELLED: u32 = 5;

/// How an attempt ended, as a driver reports it.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The attempt, from 1.
    pub attempt: u32,
    /// The kind of end.
    pub kind: u32,
    /// What matched.
    pub bits: u32,
    /// The HTTP status, or 0.
    pub status: u32,
    /// What the server asked for: milliseconds, -1 nothing, -2 never again.
    pub retry_after_ms: i64,
    /// The error's type, empty for a success.
    pub error_type: &'a str,
}

/// One guarded call.
pub struct Call {
    policy: Arc<Policy>,
    state: Arc<KeyState>,
    view: View,
    begin: Begin,
    /// What a mode function said of this call.
    said: Option<Mode>,
    key: Option<String>,
    correlation_id: String,
    call: pipeline::Call,
    out: Outputs,
    error_types: Vec<String>,
    injected: bool,
    counted: usize,
    measure: Measure,
    failure: Option<Failure>,
    now: u64,
}

impl Call {
    /// A call that has not begun. `flags`: 1 for a cooperative driver, 2 if `only` spares the call from chaos,
    /// 4 and 8 if a mode function said shadow or disabled, 16 for a stream, 32 for a guard. `deadline_ms`: left of a caller's deadline, or -1.
    ///
    /// # Errors
    /// If the policy has a key and the call has none.
    pub fn new(
        policy: &Arc<Policy>,
        key: Option<&str>,
        correlation_id: &str,
        flags: u32,
        deadline_ms: i64,
        redrives: u32,
    ) -> Result<Self, ConfigError> {
        policy.require_key(key)?;
        let begin = Begin {
            cooperative: flags & 1 != 0,
            spared: flags & 2 != 0,
            left_ns: u64::try_from(deadline_ms).ok().map(|ms| ms.saturating_mul(MS)),
            reentrant: false,
            redrives,
            ordinal: policy.next_ordinal(),
            stream: flags & 16 != 0,
            guard: flags & 32 != 0,
            mode: Mode::Enforce,
        };
        let state = policy.serve(key);
        Ok(Self {
            policy: Arc::clone(policy),
            view: View::of(policy, &state),
            begin,
            said: said(flags),
            state,
            key: key.map(str::to_owned),
            correlation_id: correlation_id.to_owned(),
            call: pipeline::Call::new(begin),
            out: Outputs::new(),
            error_types: Vec::new(),
            injected: false,
            counted: 0,
            measure: Measure::default(),
            failure: None,
            now: 0,
        })
    }

    /// A call whose first attempt was admitted by a [`Grip`] and is running. It has begun.
    #[must_use]
    pub fn resume(grip: &Grip, correlation_id: &str, flags: u32, place: Place, admitted: pipeline::Admitted) -> Self {
        Self::resume_at(grip, correlation_id, flags, grip.ordinal(place), admitted)
    }

    /// The same for a call whose number the caller knows, with the limits of time of its policy, whose timers the caller arms.
    #[must_use]
    pub fn resume_at(grip: &Grip, correlation_id: &str, flags: u32, ordinal: u64, admitted: pipeline::Admitted) -> Self {
        let policy = &grip.policy;
        let begin = Begin { cooperative: flags & 1 != 0, ordinal, ..Begin::default() };
        Self {
            view: grip.view.same(),
            begin,
            said: None,
            state: Arc::clone(&grip.state),
            key: None,
            correlation_id: correlation_id.to_owned(),
            call: pipeline::Call::resume(begin, admitted).limited_by(grip.engine()),
            out: Outputs::new(),
            error_types: Vec::new(),
            injected: false,
            counted: 0,
            measure: Measure::since(admitted.started),
            failure: None,
            now: 0,
            policy: Arc::clone(policy),
        }
    }

    /// Says that nobody knows when the first attempt began: neither it nor the call is measured.
    pub fn unmeasured(&mut self) {
        self.measure = Measure::never();
    }

    /// Says which correlation id it has, before its first input.
    pub fn identify(&mut self, correlation_id: &str) {
        correlation_id.clone_into(&mut self.correlation_id);
    }

    /// Tells, before the start, whose slots the caller's attempts hold already. Gives the number that stands for this call's own slot in the
    /// chains of the calls inside it.
    pub fn within(&mut self, chain: &[u64]) -> u64 {
        if chain.contains(&self.state.id) {
            self.begin.reentrant = true;
            self.call.reenter();
        }
        self.state.id
    }

    /// Begins. A call keeps the mode it begins in.
    pub fn start(&mut self, now: u64) -> Vec<Op> {
        self.measure.begin(now);
        self.call.set_mode(self.said.unwrap_or_else(|| self.policy.mode(now)));
        self.step(now, Input::Start)
    }

    /// The callee of an attempt ended.
    pub fn ended(&mut self, now: u64, ended: Ended<'_>) -> Vec<Op> {
        let place = ended.attempt.saturating_sub(1) as usize;
        if place < self.call.attempts().len() {
            self.error_types.resize(self.call.attempts().len().max(self.error_types.len()), String::new());
            ended.error_type.clone_into(&mut self.error_types[place]);
        }
        let outcome = Outcome {
            kind: Kind::from_code(ended.kind),
            bits: Bits(ended.bits),
            status: ended.status,
            pushback: Pushback::from_code(ended.retry_after_ms),
        };
        self.step(now, Input::Ended { attempt: ended.attempt, outcome })
    }

    /// A sleep is over or an armed timer fired.
    pub fn timer(&mut self, now: u64, reason: u32, attempt: u32) -> Vec<Op> {
        match TimerReason::from_code(reason) {
            Some(reason) => self.step(now, Input::Timer { reason, attempt }),
            None => Vec::new(),
        }
    }

    /// A wake came for the parked ticket.
    pub fn granted(&mut self, now: u64) -> Vec<Op> {
        self.step(now, Input::Granted)
    }

    /// The caller gave up.
    pub fn cancelled(&mut self, now: u64) -> Vec<Op> {
        self.step(now, Input::Cancelled)
    }

    /// Whoever drove it is gone: it is cancelled, and so is whatever it still has under way. Gives the tickets to be woken.
    pub fn abandon(&mut self, now: u64) -> Vec<u64> {
        let mut ops = self.cancelled(now);
        let attempts = self.call.attempts().iter().map(|attempt| attempt.number);
        // Those that were cut before hold their slots too, until they end; the end of one that has ended is nothing.
        for attempt in attempts.collect::<Vec<_>>() {
            let ended = Ended { attempt, kind: CANCELLED, bits: 0, status: 0, retry_after_ms: -1, error_type: "" };
            ops.extend(self.ended(now, ended));
        }
        ops.iter().filter_map(Op::wakes).collect()
    }

    /// The consumer of a stream waits for its next item.
    pub fn asked(&mut self, now: u64, attempt: u32) -> Vec<Op> {
        self.step(now, Input::Asked(attempt))
    }

    /// An item of a stream arrived.
    pub fn item(&mut self, now: u64, attempt: u32) -> Vec<Op> {
        self.step(now, Input::Item(attempt))
    }

    /// The consumer of a stream stops before the end.
    pub fn stopped(&mut self, now: u64, attempt: u32) -> Vec<Op> {
        self.step(now, Input::Stopped(attempt))
    }

    /// Which of `on` and `ignore` match the error that would surface.
    pub fn classified(&mut self, now: u64, bits: u32) -> Vec<Op> {
        self.step(now, Input::Classified(Bits(bits)))
    }

    /// The dead letter was written, or was not.
    pub fn letter_ended(&mut self, now: u64, ok: bool) -> Vec<Op> {
        let reason = self.call.reason().unwrap_or_else(|| self.failed_end().name());
        self.policy.counters.letter(ok, reason);
        self.step(now, Input::LetterEnded(ok))
    }

    /// For the metrics: the letter went another way than to its store, and so many others had to go for it.
    pub fn letter_went(&self, aside: bool, dropped: u32) {
        self.policy.counters.letter_went(aside, dropped);
    }

    /// A fallback step returned (1), failed (0), was cancelled (2) or had nothing stale to give (3).
    pub fn fallback_ended(&mut self, now: u64, ok: u8) -> Vec<Op> {
        let end = match ok {
            0 => StepEnd::Failed,
            1 => StepEnd::Returned,
            3 => StepEnd::Missing,
            _ => StepEnd::Cancelled,
        };
        self.step(now, Input::FallbackEnded(end))
    }

    fn step(&mut self, now: u64, input: Input) -> Vec<Op> {
        self.now = now;
        self.policy.keys.touch(&self.state, now / MS);
        let policy = Arc::clone(&self.policy);
        let state = Arc::clone(&self.state);
        let key = self.key.clone();
        let mut out = std::mem::take(&mut self.out);
        self.view.refresh(&policy, &state);
        let env = policy.env(&self.view, &state, key.as_deref());
        // What isolates counted on their own comes first, and what they may still count is judged again after.
        let mut wakes = policy.ports.before_step(&policy, &env, &state);
        self.call.step(&env, now, input, &mut out);
        wakes.extend(policy.ports.after_step(&env, now));
        let mut ops: Vec<Op> = out.drain(..).map(|output| self.op(output)).collect();
        ops.extend(wakes.into_iter().map(Op::wake));
        self.out = out;
        self.count_attempts();
        ops
    }

    fn count_attempts(&mut self) {
        let attempts = self.call.attempts();
        while let Some(attempt) = attempts.get(self.counted).filter(|attempt| attempt.state != AttemptState::Running) {
            let ns = attempt.ended.filter(|_| self.measure.knows(attempt.number)).map(|ended| ended.saturating_sub(attempt.started));
            self.policy.counters.attempt(attempt.state, ns);
            self.counted += 1;
        }
    }

    fn op(&mut self, output: Output) -> Op {
        let op = |code: u8, args: [i64; 4]| Op { code, args, record: None };
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        match output {
            Output::Start { attempt, deadline_ms, latency_ms, injected } => {
                self.measure.started(&self.policy.counters, self.now);
                op(0, [attempt.into(), deadline_ms.map_or(-1, ms), ms(latency_ms), injected_arg(injected)])
            }
            Output::Cancel(attempt) => op(1, [attempt.into(), 0, 0, 0]),
            Output::Sleep(reason, wait) => {
                self.measure.sleeps(&self.policy.counters, reason, wait);
                op(2, [reason as i64, ms(wait), 0, 0])
            }
            Output::Timer(reason, attempt, wait) => op(3, [reason as i64, attempt.into(), ms(wait), 0]),
            Output::Park(ticket) => {
                self.measure.parked(self.now);
                op(PARK, [ms(ticket), 0, 0, 0])
            }
            Output::Wake(ticket) => Op::wake(ticket),
            Output::Failed(failure) => {
                self.failure = Some(failure);
                op(6, failed_args(failure))
            }
            Output::Letter => op(7, [0; 4]),
            Output::Fallback(step) => op(8, [step_arg(step), 0, 0, 0]),
            Output::Behavior(attempt) => op(11, [attempt.into(), 0, 0, 0]),
            Output::Finish(finish) => {
                self.finish(finish);
                op(9, finish_args(finish))
            }
            Output::Event(event) => Op { code: 10, args: [0; 4], record: Some(self.record(&event)) },
        }
    }

    fn record(&mut self, event: &Event) -> String {
        match event {
            Event::Breaker(transition) => self.policy.counters.transition(transition),
            Event::Chaos { injected, latency_ms, .. } => {
                self.injected = true;
                self.policy.counters.injection(*injected, *latency_ms);
                self.policy.strikes.note(*injected, *latency_ms);
            }
            Event::FallbackUsed { .. } => self.policy.counters.fallback(true),
            Event::FallbackFailed { .. } => self.policy.counters.fallback(false),
            Event::HedgeStarted { .. } => self.measure.hedges(),
            Event::RetryScheduled { attempt, .. } => {
                let before = self.call.attempts().get(*attempt as usize - 1).map(|attempt| attempt.state);
                self.measure.retries(metrics::retry_reason(before));
            }
            _ => {}
        }
        let error_type = self.error_types.iter().rev().find(|name| !name.is_empty()).map(String::as_str);
        let mut record = events::of(event, error_type);
        if let Event::Rejected { code, .. } = event {
            match self.state.repeats.loud(code, self.now / MS) {
                Some(repeats) => record.insert("repeats".into(), repeats.into()),
                None => record.insert("severity".into(), "debug".into()),
            };
        }
        if self.call.mode() == Mode::Shadow {
            record.insert("mode".into(), Mode::Shadow.name().into());
        }
        events::complete(record, &self.policy.label(), self.key.as_deref(), &self.correlation_id)
    }

    /// Counts the end of the call.
    fn finish(&mut self, finish: Finish) {
        let counters = &self.policy.counters;
        let end = match finish {
            Finish::Value(_) => CallEnd::Success,
            Finish::Fallback(_) => CallEnd::Fallback,
            Finish::Cancelled => CallEnd::Cancelled,
            Finish::Error => self.failed_end(),
        };
        counters.call(end, self.measure.call_ns(self.now));
        if self.measure.is_hedged() {
            let winner = if let Finish::Value(attempt) = finish { Some(attempt) } else { None };
            counters.hedged(winner);
        }
    }

    /// How a call ends whose error surfaces.
    fn failed_end(&self) -> CallEnd {
        match self.failure.map(|failure| failure.how) {
            Some(How::Ours(code)) if code.starts_with("timeout.") => CallEnd::Timeout,
            Some(How::Ours(code)) => CallEnd::Rejected(metrics::refusal(code)),
            Some(How::Attempt(number)) if self.attempt_state(number) == Some(AttemptState::Ignored) => CallEnd::Ignored,
            _ => CallEnd::Failure,
        }
    }

    fn attempt_state(&self, number: u32) -> Option<AttemptState> {
        self.call.attempts().get(number.checked_sub(1)? as usize).map(|attempt| attempt.state)
    }

    /// Milliseconds left of the call, rounded down; -1 if it is not limited.
    #[must_use]
    pub fn left_ms(&self, now: u64) -> i64 {
        self.call.left_ns(now).map_or(-1, |left| i64::try_from(left / MS).unwrap_or(i64::MAX))
    }

    /// The same, rounded up: how long a timer has to wait.
    #[must_use]
    pub fn wait_ms(&self, now: u64) -> i64 {
        self.call.left_ns(now).map_or(-1, |left| i64::try_from(ceil_ms(left)).unwrap_or(i64::MAX))
    }

    /// The call so far, as JSON: `attempts`, `reason`, `policy`, `key`, `correlation_id`, `injected`; for a rejection by the circuit
    /// breaker also `state`, `generation`, `retry_after_ms`, `total`, `failures` and `slow` at the trip.
    #[must_use]
    pub fn report(&self) -> String {
        let first = self.call.attempts().first().map_or(0, |attempt| attempt.started);
        let attempts: Vec<_> = self
            .call
            .attempts()
            .iter()
            .map(|attempt| {
                let error_type = self.error_types.get(attempt.number as usize - 1).filter(|name| !name.is_empty());
                json!({
                    "number": attempt.number,
                    "outcome": attempt.state.name(),
                    "error_type": error_type,
                    // A first attempt that began in JavaScript may come with a time from another clock.
                    "started_ms": attempt.started.saturating_sub(first) / MS,
                    "duration_ms": attempt.ended.map(|ended| ended.saturating_sub(attempt.started) / MS),
                    "delay_ms": attempt.delay_ms,
                })
            })
            .collect();
        let rejection = self.call.refusal().map(|refusal| {
            let frozen = self.policy.env(&self.view, &self.state, None).cell().map(|cell| cell.frozen()).unwrap_or_default();
            json!({"state": refusal.state.name(), "generation": refusal.generation, "retry_after_ms": refusal.retry_after_ms, "total": frozen.total, "failures": frozen.failures, "slow": frozen.slow})
        });
        json!({
            "attempts": attempts,
            "reason": self.call.reason(),
            "policy": self.policy.label(),
            "key": self.key,
            "correlation_id": self.correlation_id,
            "injected": self.injected,
            "rejection": rejection,
        })
        .to_string()
    }
}

/// What flags say of the mode; without a word the policy's own holds.
fn said(flags: u32) -> Option<Mode> {
    match flags & 12 {
        4 => Some(Mode::Shadow),
        0 => None,
        _ => Some(Mode::Disabled),
    }
}
