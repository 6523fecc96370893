//! What is in force, and what one call sees of it.
//!
//! A reload puts a new whole in the place of the old one. A call keeps what it began with where that belongs to the call, and sees the
//! newest where state is judged:
//!
//! | setting | a call under way |
//! |---|---|
//! | retry, timeouts, fallback, dead letter | as it began |
//! | breaker thresholds and breaks, bulkhead, rate limit, chaos | the newest, at its next step |
//! | half-open settings | those of the key's last opening |

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use seawall_engine::pipeline::Policy as EnginePolicy;
use seawall_engine::policy::breaker::Breaker;

use serde_json::Value;

use crate::config::{Compiled, Parts, Spec};
use crate::mode::Mode;
use crate::policy::Policy;
use crate::state::KeyState;

/// One whole of options.
pub(crate) struct InForce {
    /// The options as written, code and file laid together.
    pub(crate) parts: Parts,
    /// The options of chaos that hold, be they the policy's own or laid over them.
    pub(crate) chaos: Option<Value>,
    pub(crate) compiled: Compiled,
    /// Differs from that of every whole before it.
    pub(crate) generation: u64,
}

impl InForce {
    /// `overlay`: an experiment that was laid over the options from outside.
    pub(crate) fn new(spec: &Spec, overlay: Option<&Value>, generation: u64, now: u64) -> Self {
        let parts = spec.parts.clone();
        let Some(overlay) = overlay else {
            return Self { chaos: parts.get("chaos").cloned(), parts, compiled: spec.compile(now, generation), generation };
        };
        let mut laid = spec.clone();
        // Written in a file, whatever language the policy is written in.
        laid.parts.insert("chaos".into(), overlay.clone());
        Self { parts, chaos: Some(overlay.clone()), compiled: laid.compile(now, generation), generation }
    }

    /// The mode of the option.
    pub(crate) fn mode(&self) -> Mode {
        self.parts.get("mode").and_then(|word| Mode::parse(word.as_str()?)).unwrap_or_default()
    }
}

/// The half-open settings of an opening, while a newer whole has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfOpen {
    slots: u32,
    successes_to_close: u32,
    lease: (u64, bool),
}

impl HalfOpen {
    pub(crate) fn of(breaker: &Breaker) -> Self {
        Self { slots: breaker.slots, successes_to_close: breaker.successes_to_close, lease: breaker.lease }
    }

    fn put_into(self, breaker: &mut Breaker) {
        breaker.slots = self.slots;
        breaker.successes_to_close = self.successes_to_close;
        breaker.lease = self.lease;
    }
}

/// The newest whole, and the window that belongs to it.
fn newest(policy: &Policy, state: &KeyState) -> (Arc<InForce>, Arc<[AtomicU64]>) {
    loop {
        let force = policy.force();
        if let Some(window) = state.window(force.compiled.engine.breaker.as_ref(), force.generation) {
            return (force, window);
        }
    }
}

/// What one call sees.
pub(crate) struct View {
    began: Arc<InForce>,
    seen: u64,
    window: Arc<[AtomicU64]>,
    /// What differs from how it began, if anything does.
    mixed: Option<Box<EnginePolicy>>,
    /// The policy whose circuits chaos watches, and the seed of chaos.
    watches: Option<Arc<str>>,
    chaos_seed: Option<u64>,
    is_pinned: bool,
}

impl View {
    /// The newest whole, for a call of `state` that begins.
    pub(crate) fn of(policy: &Policy, state: &KeyState) -> Self {
        let (began, window) = newest(policy, state);
        let (watches, chaos_seed) = (began.compiled.chaos_watches.clone(), began.compiled.chaos_seed);
        let mut view = Self { seen: began.generation, began, window, mixed: None, watches, chaos_seed, is_pinned: false };
        view.refresh(policy, state);
        view
    }

    /// What another call that began with the same sees, before anything has changed.
    pub(crate) fn same(&self) -> Self {
        let (began, window) = (Arc::clone(&self.began), Arc::clone(&self.window));
        let (mixed, watches) = (self.mixed.clone(), self.watches.clone());
        Self { began, seen: self.seen, window, mixed, watches, chaos_seed: self.chaos_seed, is_pinned: self.is_pinned }
    }

    /// Takes up what has changed since the last step.
    pub(crate) fn refresh(&mut self, policy: &Policy, state: &KeyState) {
        let pin = state.half_open_pin();
        if policy.generation() == self.seen && pin.is_none() && !self.is_pinned {
            return;
        }
        let (newest, window) = newest(policy, state);
        self.window = window;
        self.seen = newest.generation;
        self.watches.clone_from(&newest.compiled.chaos_watches);
        self.chaos_seed = newest.compiled.chaos_seed;
        self.is_pinned = pin.is_some();
        if Arc::ptr_eq(&newest, &self.began) && pin.is_none() {
            self.mixed = None;
            return;
        }
        let engine = &newest.compiled.engine;
        let mut mixed = EnginePolicy {
            rate_limit: engine.rate_limit.clone(),
            bulkhead: engine.bulkhead,
            breaker: engine.breaker.clone(),
            chaos: engine.chaos.clone(),
            ..self.began.compiled.engine.clone()
        };
        if let (Some(pin), Some(breaker)) = (pin, mixed.breaker.as_mut()) {
            pin.put_into(breaker);
        }
        self.mixed = Some(Box::new(mixed));
    }

    /// The options for the engine.
    pub(crate) fn engine(&self) -> &EnginePolicy {
        self.mixed.as_deref().unwrap_or(&self.began.compiled.engine)
    }

    /// The words of the breaker's window, laid out for those options.
    #[inline]
    pub(crate) fn window(&self) -> &[AtomicU64] {
        &self.window
    }

    /// The policy whose circuits chaos watches.
    pub(crate) fn watches(&self) -> Option<&str> {
        self.watches.as_deref()
    }

    /// The seed of chaos.
    pub(crate) fn chaos_seed(&self) -> Option<u64> {
        self.chaos_seed
    }
}
