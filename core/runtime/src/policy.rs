//! A policy in force: compiled options, the state of its keys, and its counters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use seawall_engine::chance::Source;
use seawall_engine::pipeline::Env;
use seawall_engine::policy::breaker::{Cell, State};
use seawall_engine::step::Transition;
use seawall_engine::table::layout::budget;
use seawall_engine::time::{MS, ceil_ms};
use serde_json::json;

use crate::config::{Compiled, ConfigError, Parts, Spec};
use crate::events;
use crate::metrics::Counters;
use crate::stale::Stale;
use crate::state::{KeyState, Queue, words};

/// The most keys of one policy; later ones share the overflow key.
const MAX_KEYS: usize = 10_000;

/// A policy in force. Its state lives as long as the object, and is shared by everybody who resolves the same name.
pub struct Policy {
    pub(crate) name: Option<String>,
    label: Mutex<Option<String>>,
    pub(crate) written: Parts,
    pub(crate) parts: Parts,
    pub(crate) compiled: Compiled,
    keyed: bool,
    seed: Option<u64>,
    own_seed: u64,
    keys: RwLock<HashMap<String, Arc<KeyState>>>,
    budget: Box<[AtomicU64]>,
    calls: AtomicU64,
    chaos_seen: AtomicU64,
    pub(crate) counters: Counters,
    stale: Mutex<Stale>,
}

impl Policy {
    pub(crate) fn new(spec: &Spec, written: Parts, now: u64) -> Self {
        Self {
            name: spec.name.clone(),
            label: Mutex::new(None),
            written,
            parts: spec.parts.clone(),
            compiled: spec.compile(now),
            keyed: spec.keyed,
            seed: spec.seed,
            own_seed: uuid::Uuid::new_v4().as_u64_pair().0,
            keys: RwLock::new(HashMap::new()),
            budget: words(budget::WORDS),
            calls: AtomicU64::new(0),
            chaos_seen: AtomicU64::new(0),
            counters: Counters::default(),
            stale: Mutex::default(),
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

    /// What a driver needs to know, as JSON: `label`, `keyed`, `parts` in force, `attempt_ms`, `total_ms`, `stale` (whether good values are kept).
    #[must_use]
    pub fn info(&self) -> String {
        let engine = &self.compiled.engine;
        json!({
            "label": self.label(),
            "keyed": self.keyed,
            "parts": self.parts,
            "stale": self.compiled.stale.is_some(),
            "attempt_ms": engine.attempt_ns.map(ceil_ms),
            "total_ms": engine.total_ns.map(ceil_ms),
        })
        .to_string()
    }

    /// Forgets all state, for tests.
    pub(crate) fn forget(&self) {
        self.keys.write().clear();
        self.budget.iter().chain([&self.calls, &self.chaos_seen]).for_each(|word| word.store(0, Ordering::Relaxed));
        self.counters.forget();
        *self.stale.lock() = Stale::default();
    }

    pub(crate) fn next_ordinal(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// The state of one key. Beyond the most keys, one overflow key serves.
    pub(crate) fn state(&self, key: Option<&str>) -> Arc<KeyState> {
        let key = key.unwrap_or("");
        if let Some(state) = self.keys.read().get(key) {
            return Arc::clone(state);
        }
        let mut keys = self.keys.write();
        let key = if keys.len() >= MAX_KEYS { "\u{0}overflow" } else { key };
        Arc::clone(keys.entry(key.to_owned()).or_insert_with(|| Arc::new(KeyState::new(&self.compiled.engine))))
    }

    pub(crate) fn states(&self) -> Vec<(String, Arc<KeyState>)> {
        self.keys.read().iter().map(|(key, state)| (key.clone(), Arc::clone(state))).collect()
    }

    /// Keeps a good value of `bytes` under `key`: the slot for the language to hold it in (-1: not kept), and the slots to empty.
    pub fn stale_put(&self, key: &str, bytes: u64, now: u64) -> (i64, Vec<i64>) {
        self.compiled.stale.as_ref().map_or((-1, Vec::new()), |bounds| self.stale.lock().put(bounds, key, bytes, now / MS))
    }

    /// The slot of the good value under `key` that is not too old, or -1.
    #[must_use]
    pub fn stale_find(&self, key: &str, now: u64) -> i64 {
        self.compiled.stale.as_ref().map_or(-1, |bounds| self.stale.lock().find(bounds, key, now / MS))
    }

    fn source(&self, seed: Option<u64>) -> Source {
        let seed = seed.or(self.seed).or_else(crate::registry::test_seed).unwrap_or(self.own_seed);
        Source::new(seed, self.name.as_deref().unwrap_or(""))
    }

    pub(crate) fn env<'a>(&'a self, state: &'a KeyState, key: Option<&'a str>) -> Env<'a, Queue> {
        Env {
            policy: &self.compiled.engine,
            breaker: &state.breaker,
            bulkhead: &state.bulkhead,
            waiters: &state.waiters,
            rate_limit: &state.rate_limit,
            hedge: &state.hedge,
            budget: &self.budget,
            chaos_seen: &self.chaos_seen,
            source: self.source(None),
            chaos_source: self.source(self.compiled.chaos_seed),
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

    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    fn with_breaker<T>(&self, key: Option<&str>, work: impl FnOnce(Cell<'_>) -> T) -> Result<T, ConfigError> {
        self.require_key(key)?;
        let state = self.state(key);
        let env = self.env(&state, key);
        match env.cell() {
            Some(cell) => Ok(work(cell)),
            None => Err(ConfigError::new(self.label(), "the policy has no circuit breaker")),
        }
    }

    /// The judged state of the breaker.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_state(&self, key: Option<&str>, now: u64) -> Result<&'static str, ConfigError> {
        self.with_breaker(key, |cell| cell.state(now).name())
    }

    /// Total, failures, slow, consecutive failures, rejected.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_counts(&self, key: Option<&str>, now: u64) -> Result<[u64; 5], ConfigError> {
        self.with_breaker(key, |cell| {
            let counts = cell.counts(now);
            [counts.total.into(), counts.failures.into(), 0, counts.consecutive_failures.into(), counts.rejected]
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
        let transition = self.with_breaker(key, |cell| cell.hold(state, until_ms))?;
        Ok(vec![self.admin_record(transition, key, Some((reason, author)))])
    }

    /// Closes the circuit and forgets its history; gives the events.
    ///
    /// # Errors
    /// If the policy has no breaker, or is keyed and no key is given.
    pub fn breaker_reset(&self, key: Option<&str>) -> Result<Vec<String>, ConfigError> {
        let transition = self.with_breaker(key, |cell| cell.reset())?;
        Ok(vec![self.admin_record(transition, key, None)])
    }

    fn admin_record(&self, transition: Transition, key: Option<&str>, by: Option<(&str, Option<&str>)>) -> String {
        self.counters.transition(transition.to);
        let mut record = events::transition(&transition);
        if let Some((reason, author)) = by {
            record.insert("reason".into(), reason.into());
            record.insert("author".into(), author.into());
        }
        events::complete(record, &self.label(), key, "")
    }
}
