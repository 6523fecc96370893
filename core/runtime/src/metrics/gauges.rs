//! What of a policy is looked at and not counted: its words, over all keys.

use seawall_engine::policy::breaker::State;

use super::words::STATES;
use crate::clock;
use crate::force::View;
use crate::policy::Policy;
use crate::state::KeyState;

/// Metric, label and value.
type Look = (&'static str, Option<(&'static str, &'static str)>, f64);

/// Sums over keys, and over policies that share a label. `None` where no policy has such a part.
#[derive(Clone, Default)]
pub(crate) struct Gauges {
    bulkhead: Option<Slots>,
    breaker: Option<Circuits>,
    /// Thousandths of retries that are left, and that the window holds in all.
    budget: Option<(u64, u64)>,
    rules: Option<u64>,
}

#[derive(Clone, Copy, Default)]
struct Slots {
    in_flight: u64,
    limit: u64,
    queued: u64,
    queue_limit: u64,
}

#[derive(Clone, Copy, Default)]
struct Circuits {
    states: [u64; STATES.len()],
    calls: u64,
    /// Failures and calls of the keys that can be judged.
    judged: (u64, u64),
}

impl Gauges {
    pub(crate) fn of(policy: &Policy) -> Self {
        let now = clock::now();
        let mut gauges = Self::default();
        let force = policy.force();
        let engine = &force.compiled.engine;
        if engine.breaker.is_some() {
            gauges.breaker = Some(Circuits::default());
        }
        if engine.bulkhead.is_some() {
            gauges.bulkhead = Some(Slots::default());
        }
        gauges.budget = engine.retry.as_ref().and_then(|retry| retry.budget.as_ref()).map(|budget| {
            let words = policy.budget_words();
            (budget.left(words, now), budget.full(words, now))
        });
        gauges.rules = engine.chaos.as_ref().map(|chaos| {
            let strikes =
                crate::chaos::armed() && !chaos.is_over(now) && chaos.aborted(&policy.chaos).is_none() && chaos.window.is_open(now);
            strikes.into()
        });
        for (key, state) in policy.keys.all() {
            gauges.look_at(policy, &key, &state, now);
        }
        gauges
    }

    pub(crate) fn has_breaker(&self) -> bool {
        self.breaker.is_some()
    }

    fn look_at(&mut self, policy: &Policy, key: &str, state: &KeyState, now: u64) {
        let view = View::of(policy, state);
        let env = policy.env(&view, state, Some(key));
        if let (Some(slots), Some(bulkhead)) = (&mut self.bulkhead, env.slots()) {
            let (in_use, queued) = policy.ports.load(state);
            slots.in_flight += u64::from(in_use);
            slots.queued += u64::from(queued);
            slots.limit += u64::from(bulkhead.max_concurrent);
            slots.queue_limit += u64::from(bulkhead.max_queue);
        }
        if let (Some(circuits), Some(cell)) = (&mut self.breaker, env.cell()) {
            let counts = cell.counts(now);
            let state: State = cell.state(now);
            circuits.states[state as usize] += 1;
            circuits.calls += u64::from(counts.total);
            if counts.total > 0 && counts.total >= cell.options.minimum_throughput {
                circuits.judged.0 += u64::from(counts.failures);
                circuits.judged.1 += u64::from(counts.total);
            }
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if let Some(more) = other.bulkhead {
            let slots = self.bulkhead.get_or_insert_default();
            slots.in_flight += more.in_flight;
            slots.limit += more.limit;
            slots.queued += more.queued;
            slots.queue_limit += more.queue_limit;
        }
        if let Some(more) = other.breaker {
            let circuits = self.breaker.get_or_insert_default();
            circuits.states.iter_mut().zip(more.states).for_each(|(sum, count)| *sum += count);
            circuits.calls += more.calls;
            circuits.judged.0 += more.judged.0;
            circuits.judged.1 += more.judged.1;
        }
        if let Some((left, full)) = other.budget {
            let budget = self.budget.get_or_insert_default();
            budget.0 += left;
            budget.1 += full;
        }
        if let Some(more) = other.rules {
            *self.rules.get_or_insert_default() += more;
        }
    }

    /// All of them that there are.
    pub(crate) fn samples(&self) -> Vec<Look> {
        let mut samples = Vec::new();
        let mut put = |metric, label, value: u64| samples.push((metric, label, value as f64));
        if let Some(slots) = self.bulkhead {
            put("seawall_bulkhead_in_flight", None, slots.in_flight);
            put("seawall_bulkhead_limit", None, slots.limit);
            put("seawall_bulkhead_queued", None, slots.queued);
            put("seawall_bulkhead_queue_limit", None, slots.queue_limit);
        }
        if let Some(circuits) = self.breaker {
            STATES.iter().zip(circuits.states).for_each(|(state, count)| put("seawall_breaker_state", Some(("state", *state)), count));
            put("seawall_breaker_window_calls", None, circuits.calls);
        }
        if let Some(rules) = self.rules {
            put("seawall_chaos_rules", None, rules);
        }
        let share = |(part, whole): (u64, u64)| (whole > 0).then(|| part as f64 / whole as f64);
        let ratios = [
            ("seawall_breaker_failure_ratio", self.breaker.and_then(|circuits| share(circuits.judged))),
            ("seawall_retry_budget_ratio", self.budget.and_then(share)),
        ];
        samples.extend(ratios.into_iter().filter_map(|(metric, ratio)| Some((metric, None, ratio?))));
        samples
    }
}
