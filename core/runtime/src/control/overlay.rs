//! An experiment laid over a policy from outside, and what is counted while it lies there.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::policy::chaos::Reason;
use seawall_engine::step::Injection;
use seawall_engine::table::layout::chaos::SEEN;
use serde_json::{Map, Value};

use crate::policy::Policy;

/// What chaos did to a policy. Relaxed throughout: each counter stands for itself.
#[derive(Default)]
pub(crate) struct Strikes {
    struck: AtomicU64,
    faults: AtomicU64,
    delayed: AtomicU64,
    latency_ms: AtomicU64,
}

impl Strikes {
    pub(crate) fn note(&self, injected: Option<Injection>, latency_ms: u64) {
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        add(&self.struck, 1);
        add(&self.faults, matches!(injected, Some(Injection::Fault(_))).into());
        add(&self.delayed, (latency_ms > 0).into());
        add(&self.latency_ms, latency_ms);
    }
}

/// How an experiment stands.
pub(super) enum Standing {
    Running,
    Over,
    Aborted(&'static str),
}

impl Policy {
    /// Whether code or a file gave it chaos of its own.
    pub(super) fn has_own_chaos(&self) -> bool {
        self.force().parts.contains_key("chaos")
    }

    /// Lays an experiment over the options, or takes it away; gives the tickets to be woken. Without a key the draws of an experiment begin
    /// with the first attempt that it sees, so that one seed has the same victims each time.
    pub(crate) fn lay_over(&self, chaos: Option<Value>, now: u64) -> Vec<u64> {
        if chaos.is_some() {
            self.chaos[SEEN].store(0, Ordering::Relaxed);
        }
        *self.overlay.lock() = chaos;
        let spec = self.spec(self.force().parts.clone());
        self.replace(&spec, now)
    }

    /// How the experiment that was laid over it stands.
    pub(super) fn standing(&self, now: u64) -> Standing {
        let force = self.force();
        match &force.compiled.engine.chaos {
            None => Standing::Over,
            Some(chaos) => match chaos.aborted(&self.chaos) {
                Some(reason) => Standing::Aborted(Reason::name(reason)),
                None if chaos.is_over(now) => Standing::Over,
                None => Standing::Running,
            },
        }
    }

    /// All that an experiment is judged by, as it stands.
    pub(super) fn tally(&self) -> Map<String, Value> {
        // Gauges add up to nothing.
        let counts = |name: &str| name.split(':').next().is_some_and(|name| name.ends_with("_total"));
        let mut tally: Map<String, Value> = crate::metrics::by_name(self).into_iter().filter(|(name, _)| counts(name)).collect();
        tally.extend(self.struck());
        tally
    }

    /// What the experiment itself did.
    pub(super) fn struck(&self) -> Map<String, Value> {
        let read = |counter: &AtomicU64| Value::from(counter.load(Ordering::Relaxed));
        let strikes = [
            ("attempts", read(&self.chaos[SEEN])),
            ("struck", read(&self.strikes.struck)),
            ("faults", read(&self.strikes.faults)),
            ("delayed", read(&self.strikes.delayed)),
            ("latency_ms", read(&self.strikes.latency_ms)),
        ];
        strikes.map(|(name, count)| (name.to_owned(), count)).into_iter().collect()
    }
}

/// What was counted between two tallies; what stayed is left out.
pub(super) fn between(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let count = |tally: &Map<String, Value>, name: &str| tally.get(name).and_then(Value::as_u64).unwrap_or(0);
    let grown = after.keys().map(|name| (name.clone(), count(after, name).saturating_sub(count(before, name))));
    grown.filter(|(_, count)| *count > 0).map(|(name, count)| (name, count.into())).collect()
}
