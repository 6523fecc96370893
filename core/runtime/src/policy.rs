//! A policy in force: compiled options, the state of its keys, and its counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use seawall_engine::chance::Source;
use seawall_engine::pipeline::Env;
use seawall_engine::policy::breaker::{Cell, State};
use seawall_engine::step::Transition;
use seawall_engine::table::layout::{budget, chaos};
use seawall_engine::time::{MS, ceil_ms};
use serde_json::{Value, json};

use crate::config::{ConfigError, Dialect, Parts, Spec};
use crate::control::Strikes;
use crate::events;
use crate::force::{InForce, View};
use crate::keys::Keys;
use crate::lint::WorstCase;
use crate::metrics::{self, Counters, REFUSED};
use crate::mode::{Mode, Override};
use crate::ports::Ports;
use crate::stale::Stale;
use crate::state::{KeyState, Queue, words};

/// A policy in force. Its state lives as long as the object, and is shared by everybody who resolves the same name.
pub struct Policy {
    pub(crate) name: Option<String>,
    label: Mutex<Option<String>>,
    pub(crate) written: Parts,
    dialect: Dialect,
    force: RwLock<Arc<InForce>>,
    /// That of the whole in force, to be compared without the lock.
    generation: AtomicU64,
    /// Whatever makes a [`Grip`](crate::Grip) stale.
    changes: AtomicU64,
    mode: Override,
    /// Policies seen to work inside this one's attempts.
    inner: Mutex<Vec<Weak<Policy>>>,
    keyed: bool,
    seed: Option<u64>,
    own_seed: AtomicU64,
    pub(crate) keys: Keys,
    budget: Box<[AtomicU64]>,
    calls: AtomicU64,
    pub(crate) chaos: Box<[AtomicU64]>,
    pub(crate) counters: Counters,
    /// The experiment that the control file lays over the options.
    pub(crate) overlay: Mutex<Option<Value>>,
    pub(crate) strikes: Strikes,
    /// By whoever holds the values.
    stale: Mutex<BTreeMap<u32, Stale>>,
    /// Where isolates count on their own.
    pub(crate) ports: Ports,
}

impl Policy {
    pub(crate) fn new(spec: &Spec, written: Parts, now: u64) -> Self {
        Self {
            name: spec.name.clone(),
            label: Mutex::new(None),
            written,
            dialect: spec.dialect,
            force: RwLock::new(Arc::new(InForce::new(spec, None, 0, now))),
            generation: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            mode: Override::default(),
            inner: Mutex::new(Vec::new()),
            keyed: spec.keyed,
            seed: spec.seed,
            own_seed: AtomicU64::new(draw_seed()),
            keys: Keys::default(),
            budget: words(budget::WORDS),
            calls: AtomicU64::new(0),
            chaos: words(chaos::WORDS),
            counters: Counters::default(),
            overlay: Mutex::default(),
            strikes: Strikes::default(),
            stale: Mutex::default(),
            ports: Ports::default(),
        }
    }

    /// The policy's name, else the label it was given, else empty.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.clone().or_else(|| self.label.lock().clone()).unwrap_or_default()
    }

    /// Labels an unnamed policy in events, metrics and errors; the first label stays.
    pub fn set_label(&self, label: &str) {
        self.label.lock().get_or_insert_with(|| label.to_owned());
    }

    /// The queue of its dead letters, as metrics name it.
    pub(crate) fn queue(&self) -> String {
        let force = self.force();
        let named = force.parts.get("dead_letter").and_then(|part| part.get("queue")?.as_str());
        named.map_or_else(|| self.label(), str::to_owned)
    }

    /// What a driver needs to know, as JSON: `label`, `keyed`, `parts` in force, `mode` of the option, `stale` (whether good values are kept),
    /// `attempt_ms`, `total_ms`.
    #[must_use]
    pub fn info(&self) -> String {
        let force = self.force();
        let engine = &force.compiled.engine;
        let mut parts = force.parts.clone();
        parts.remove("mode");
        json!({
            "label": self.label(),
            "keyed": self.keyed,
            "parts": parts,
            "mode": force.mode().name(),
            "stale": force.compiled.stale.is_some(),
            "attempt_ms": engine.attempt_ns.map(ceil_ms),
            "total_ms": engine.total_ns.map(ceil_ms),
        })
        .to_string()
    }

    /// Forgets all state, for tests.
    pub(crate) fn forget(&self) {
        self.settle_ports();
        self.keys.clear();
        self.budget.iter().chain(&self.chaos).chain([&self.calls]).for_each(|word| word.store(0, Ordering::Relaxed));
        self.mode.clear();
        self.counters.forget();
        self.ports.forget();
        self.stale.lock().clear();
        self.changed();
    }

    /// Makes this a forked process's own: calls that were under way at the fork hold nothing here, and draws differ from the parent's.
    pub(crate) fn inherit(&self, chain: &[u64]) {
        let force = self.force();
        self.keys.replace(|state| state.inherited(&force.compiled.engine, chain));
        // Relaxed: the thread that forked is alone in its process.
        self.own_seed.store(draw_seed(), Ordering::Relaxed);
        self.changed();
    }

    /// The whole in force.
    pub(crate) fn force(&self) -> Arc<InForce> {
        Arc::clone(&self.force.read())
    }

    /// The number of the whole in force. Acquire pairs with the Release of a reload: whoever sees the number finds the whole behind it.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How often the policy was changed. Acquire pairs with the Release of a change, as with `generation`.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.ports.shut();
    }

    /// Counts a call as one of the machine's; gives how many of those had begun.
    #[inline]
    pub(crate) fn begin_in_turn(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// How many calls have begun in the machine.
    #[inline]
    pub(crate) fn begun_in_machine(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls that a [`Grip`](crate::Grip) has passed or turned away.
    #[must_use]
    pub fn quick_calls(&self) -> u64 {
        let (lanes, turns) = (&self.counters.lanes, &self.counters.turns);
        let rejected: u64 = (0..REFUSED).map(|reason| lanes.rejected(reason) + turns.rejected(reason)).sum();
        lanes.passed() + turns.passed() + rejected
    }

    /// Whether a mode was set by hand and holds.
    pub(crate) fn has_mode_set(&self, now: u64) -> bool {
        self.mode.get(now).is_some()
    }

    /// The same policy with other parts, as a spec.
    pub(crate) fn spec(&self, parts: Parts) -> Spec {
        Spec { name: self.name.clone(), dialect: self.dialect, seed: self.seed, keyed: self.keyed, parts }
    }

    /// Puts other options in force; gives the tickets to be woken.
    pub(crate) fn replace(&self, spec: &Spec, now: u64) -> Vec<u64> {
        self.settle_ports();
        let states = self.keys.all();
        let mut force = self.force.write();
        let generation = force.generation + 1;
        let mut next = InForce::new(spec, self.overlay.lock().as_ref(), generation, now);
        if force.chaos == next.chaos {
            // An experiment that goes on keeps its end.
            next.compiled.engine.chaos.clone_from(&force.compiled.engine.chaos);
        }
        let (old, new) = (&force.compiled.engine, &next.compiled.engine);
        states.iter().for_each(|(_, state)| state.before_reload(old, new));
        *force = Arc::new(next);
        self.generation.store(generation, Ordering::Release);
        self.changed();
        let new = &force.compiled.engine;
        states.iter().flat_map(|(_, state)| state.after_reload(new, now)).collect()
    }

    /// Notes that `inner` guards what this policy guards, inside its attempts.
    pub fn note_inner(&self, inner: &Arc<Self>) {
        let mut known = self.inner.lock();
        known.retain(|policy| policy.strong_count() > 0);
        if !known.iter().any(|policy| policy.as_ptr() == Arc::as_ptr(inner)) {
            known.push(Arc::downgrade(inner));
        }
    }

    pub(crate) fn inner(&self) -> Vec<Arc<Self>> {
        self.inner.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// The longest that a call may last and the most calls that it may make below, with the arithmetic.
    #[must_use]
    pub fn worst_case(&self) -> WorstCase {
        crate::lint::worst_case(self)
    }

    /// The mode now: what was set by hand, else the option's.
    #[must_use]
    pub fn mode(&self, now: u64) -> Mode {
        self.mode.get(now).unwrap_or_else(|| self.force.read().mode())
    }

    /// Sets the mode, for so many milliseconds or until it is set again; gives the event.
    ///
    /// # Errors
    /// If there is no such mode.
    pub fn set_mode(
        &self,
        mode: &str,
        reason: &str,
        author: Option<&str>,
        expires_in_ms: Option<u64>,
        now: u64,
    ) -> Result<String, ConfigError> {
        let known = Mode::parse(mode).ok_or_else(|| {
            ConfigError::new(self.label(), format!("there is no mode {mode:?}; enforce, shadow or disabled would be right"))
        });
        let mode = known?;
        let from = self.mode(now);
        self.mode.set(mode, expires_in_ms, now);
        self.changed();
        let record = events::mode_changed(from, mode, reason, author, expires_in_ms);
        Ok(events::complete(record, &self.label(), None, ""))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn is_keyed(&self) -> bool {
        self.keyed
    }

    pub(crate) fn budget_words(&self) -> &[AtomicU64] {
        &self.budget
    }

    /// Calls that began in the machine or by a [`Grip`](crate::Grip).
    pub(crate) fn begun_outside_ports(&self) -> u64 {
        self.begun_in_machine().wrapping_add(self.counters.lanes.begun())
    }

    pub(crate) fn next_ordinal(&self) -> u64 {
        // Calls that began without the machine have numbers too.
        let on_ports = self.ports.begun();
        let before = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(self.counters.lanes.begun());
        self.ports.tell_elsewhere(before.wrapping_add(1));
        before.wrapping_add(on_ports)
    }

    /// What serves a call's key.
    pub(crate) fn serve(&self, key: Option<&str>) -> Arc<KeyState> {
        let served = self.keys.serve(key.unwrap_or(""), || KeyState::new(&self.force.read().compiled.engine));
        if served.overflow {
            self.counters.overflow();
        }
        served.state
    }

    /// The state of one key for somebody who only looks: an unknown key shows a fresh state and is not kept.
    pub(crate) fn look(&self, key: Option<&str>) -> Arc<KeyState> {
        self.keys.find(key.unwrap_or("")).unwrap_or_else(|| Arc::new(KeyState::new(&self.force.read().compiled.engine)))
    }

    /// Keeps a good value of `bytes` under `key`: the slot for `holder` to hold it in (-1: not kept), and the slots to empty. The values stay in
    /// the language, so where its parts have no objects in common, as isolates of JavaScript, each is a holder with bounds of its own.
    pub fn stale_put(&self, holder: u32, key: &str, bytes: u64, now: u64) -> (i64, Vec<i64>) {
        let put = |bounds| self.stale.lock().entry(holder).or_default().put(bounds, key, bytes, now / MS);
        self.force().compiled.stale.as_ref().map_or((-1, Vec::new()), put)
    }

    /// The slot of the holder's good value under `key` that is not too old, or -1.
    #[must_use]
    pub fn stale_find(&self, holder: u32, key: &str, now: u64) -> i64 {
        let find = |bounds| Some(self.stale.lock().get_mut(&holder)?.find(bounds, key, now / MS));
        self.force().compiled.stale.as_ref().and_then(find).unwrap_or(-1)
    }

    pub(crate) fn forget_stale_of(&self, holder: u32) {
        self.stale.lock().remove(&holder);
    }

    fn source(&self, seed: Option<u64>) -> Source {
        let seed = seed.or(self.seed).or_else(crate::registry::test_seed).unwrap_or_else(|| self.own_seed.load(Ordering::Relaxed));
        Source::new(seed, self.name.as_deref().unwrap_or(""))
    }

    pub(crate) fn env<'a>(&'a self, view: &'a View, state: &'a KeyState, key: Option<&'a str>) -> Env<'a, Queue> {
        Env {
            policy: view.engine(),
            breaker: &state.breaker,
            window: view.window(),
            bulkhead: &state.bulkhead,
            waiters: &state.waiters,
            rate_limit: &state.rate_limit,
            adaptive: state.adaptive(view.engine()),
            hedge: &state.hedge,
            budget: &self.budget,
            chaos: &self.chaos,
            openings: view.watches().filter(|_| crate::chaos::armed()).map_or(0, crate::registry::openings),
            source: self.source(None),
            chaos_source: self.source(view.chaos_seed()),
            armed: crate::chaos::armed(),
            key,
        }
    }

    /// State of a keyed policy belongs to its keys; nothing stands for all of them.
    pub(crate) fn require_key(&self, key: Option<&str>) -> Result<(), ConfigError> {
        if self.keyed && key.is_none() {
            return Err(ConfigError::new(self.label(), "the policy has a key: name one with using(key=…)"));
        }
        Ok(())
    }

    /// `keep` a state that is new: it is about to be changed.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    fn with_breaker<T>(&self, key: Option<&str>, keep: bool, now: u64, work: impl FnOnce(Cell<'_>) -> T) -> Result<T, ConfigError> {
        self.require_key(key)?;
        let state = if keep { self.serve(key) } else { self.look(key) };
        let view = View::of(self, &state);
        let env = self.env(&view, &state, key);
        match env.cell() {
            Some(cell) => {
                self.ports.drain(self, &env, &state);
                let found = work(cell);
                self.ports.rewrite(&env, now);
                Ok(found)
            }
            None => Err(ConfigError::new(self.label(), "the policy has no circuit breaker")),
        }
    }

    /// The judged state of the breaker.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_state(&self, key: Option<&str>, now: u64) -> Result<&'static str, ConfigError> {
        self.with_breaker(key, false, now, |cell| cell.state(now).name())
    }

    /// Total, failures, slow, consecutive failures, rejected.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_counts(&self, key: Option<&str>, now: u64) -> Result<[u64; 5], ConfigError> {
        self.with_breaker(key, false, now, |cell| {
            let counts = cell.counts(now);
            [counts.total.into(), counts.failures.into(), counts.slow.into(), counts.consecutive_failures.into(), counts.rejected]
        })
    }

    /// Holds the circuit open until it expires or is reset; gives the events.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_isolate(
        &self,
        key: Option<&str>,
        reason: &str,
        author: Option<&str>,
        expires_in_ms: Option<u64>,
        now: u64,
    ) -> Result<Vec<String>, ConfigError> {
        self.hold(State::Isolated, key, reason, author, expires_in_ms, now)
    }

    /// Lets every call through until it expires or is reset; gives the events.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_disable(
        &self,
        key: Option<&str>,
        reason: &str,
        author: Option<&str>,
        expires_in_ms: Option<u64>,
        now: u64,
    ) -> Result<Vec<String>, ConfigError> {
        self.hold(State::Disabled, key, reason, author, expires_in_ms, now)
    }

    fn hold(
        &self,
        state: State,
        key: Option<&str>,
        reason: &str,
        author: Option<&str>,
        expires_in_ms: Option<u64>,
        now: u64,
    ) -> Result<Vec<String>, ConfigError> {
        let until_ms = expires_in_ms.map_or(0, |ms| ceil_ms(now).saturating_add(ms).max(1));
        let transition = self.with_breaker(key, true, now, |cell| cell.hold(state, until_ms, now))?;
        Ok(vec![self.admin_record(transition, key, Some((reason, author)))])
    }

    /// Closes the circuit and forgets its history; gives the events.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_reset(&self, key: Option<&str>) -> Result<Vec<String>, ConfigError> {
        let transition = self.with_breaker(key, true, crate::clock::now(), |cell| cell.reset())?;
        Ok(vec![self.admin_record(transition, key, None)])
    }

    fn admin_record(&self, transition: Transition, key: Option<&str>, by: Option<(&str, Option<&str>)>) -> String {
        self.counters.transition(&transition);
        let mut record = events::transition(&transition);
        if let Some((reason, author)) = by {
            record.insert("reason".into(), reason.into());
            record.insert("author".into(), author.into());
        }
        events::complete(record, &self.label(), key, "")
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        metrics::retire(self);
    }
}

/// A seed for a policy that has none of its own.
fn draw_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
