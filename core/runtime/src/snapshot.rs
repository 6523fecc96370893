//! One policy as it stands: what it counted, how its windows look, what limits it, what is left of its budget.

use std::sync::atomic::Ordering;

use seawall_engine::policy::chaos::Reason;
use seawall_engine::table::layout::chaos::SEEN;
use seawall_engine::time::{SECOND, ceil_ms};
use serde_json::{Map, Value, json};

use crate::force::View;
use crate::policy::Policy;
use crate::state::KeyState;

/// Thousandths, as a number for people.
fn thousandths(amount: u64) -> f64 {
    amount as f64 / 1_000.0
}

fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

impl Policy {
    /// The policy as it stands at `now`, as JSON: `mode`, `counts` (by metric, over all keys), `ratios`, `limits`, `budget`, `chaos`. What belongs to
    /// one key is null where a policy is keyed and no key is given: nothing stands for all of them.
    #[must_use]
    pub fn snapshot(&self, key: Option<&str>, now: u64) -> String {
        self.settle_ports();
        let state = (!self.is_keyed() || key.is_some()).then(|| self.look(key));
        json!({
            "mode": self.mode(now).name(),
            "counts": self.counts(),
            "ratios": state.as_deref().map_or(Value::Null, |state| self.ratios(state, key, now)),
            "limits": self.limits(state.as_deref()),
            "budget": self.budget_left(now),
            "chaos": self.experiment(now),
        })
        .to_string()
    }

    fn counts(&self) -> Map<String, Value> {
        crate::metrics::by_name(self)
    }

    fn ratios(&self, state: &KeyState, key: Option<&str>, now: u64) -> Value {
        let view = View::of(self, state);
        let env = self.env(&view, state, key);
        let Some(cell) = env.cell() else { return Value::Null };
        let counts = cell.counts(now);
        json!({"state": cell.state(now).name(), "total": counts.total, "failure": share(counts.failures, counts.total), "slow": share(counts.slow, counts.total)})
    }

    fn limits(&self, state: Option<&KeyState>) -> Value {
        let force = self.force();
        let engine = &force.compiled.engine;
        let load = state.map(|state| self.ports.load(state));
        json!({
            "attempts": engine.retry.as_ref().map(|retry| retry.max_attempts),
            "max_concurrent": engine.bulkhead.as_ref().map(|bulkhead| bulkhead.max_concurrent),
            "limit": state.and_then(|state| Some(engine.bulkhead?.at(state.adaptive(engine)).max_concurrent)),
            "max_queue": engine.bulkhead.as_ref().map(|bulkhead| bulkhead.max_queue),
            "in_flight": engine.bulkhead.as_ref().and(load).map(|(in_use, _)| in_use),
            "queued": engine.bulkhead.as_ref().and(load).map(|(_, queued)| queued),
            "rate_per_second": engine.rate_limit.as_ref().map(|limit| SECOND as f64 / limit.interval_ns as f64),
            "burst": engine.rate_limit.as_ref().map(|limit| limit.burst),
            "attempt_ms": engine.attempt_ns.map(ceil_ms),
            "total_ms": engine.total_ns.map(ceil_ms),
        })
    }

    /// The experiment: whether it may strike in this process, how it stands, what ended it early, what it saw and struck.
    fn experiment(&self, now: u64) -> Value {
        let force = self.force();
        let Some(chaos) = force.compiled.engine.chaos.as_ref() else { return Value::Null };
        let (armed, aborted) = (crate::chaos::armed(), chaos.aborted(&self.chaos));
        let state = match () {
            () if !armed => "disarmed",
            () if chaos.is_over(now) => "over",
            () if aborted.is_some() => "aborted",
            () if !chaos.window.is_open(now) => "waiting",
            () => "running",
        };
        let attempts = self.chaos[SEEN].load(Ordering::Relaxed);
        json!({"armed": armed, "state": state, "aborted": aborted.map(Reason::name), "attempts": attempts, "struck": self.counters.injections()})
    }

    /// Retries that the budget pays for now.
    fn budget_left(&self, now: u64) -> Value {
        let force = self.force();
        let budget = force.compiled.engine.retry.as_ref().and_then(|retry| retry.budget.as_ref());
        budget.map_or(
            Value::Null,
            |budget| json!({"left": thousandths(budget.left(self.budget_words(), now)), "per_call": thousandths(budget.deposit)}),
        )
    }
}
