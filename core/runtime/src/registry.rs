//! Names: one state per name in the process, and the policy file over what code says.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock;
use crate::config::{ConfigError, File, Parts, Spec, merge};
use crate::policy::Policy;
use crate::{change, events, metrics};

#[derive(Default)]
struct Registry {
    file: Option<File>,
    named: HashMap<String, Arc<Policy>>,
    all: Vec<Weak<Policy>>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// What policies without a seed of their own draw from in tests. Read by every call, so not behind the registry's lock; Relaxed, because
/// whoever sets it does so while no call runs.
static IS_SEEDED: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);

/// Validates a spec.
///
/// # Errors
/// Names the option and says what would be right.
pub fn check(spec: &str) -> Result<(), ConfigError> {
    Spec::parse(spec).map(drop)
}

/// The policy of a spec. One name gives one policy, whoever asks.
///
/// # Errors
/// If the spec is wrong, contradicts an earlier definition of its name, or names what neither file nor code knows.
pub fn resolve(spec: &str) -> Result<Arc<Policy>, ConfigError> {
    let spec = Spec::parse(spec)?;
    REGISTRY.lock().resolve(spec)
}

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The records of its events.
    pub events: Vec<String>,
    /// The tickets of calls that it gave a slot; a driver is to wake them.
    pub tickets: Vec<u64>,
}

impl Loaded {
    /// Whether the file is in force now, and was not refused.
    fn is_taken(&self) -> bool {
        !self.events.iter().any(|record| record.contains("\"config.refused\""))
    }
}

/// Loads a policy file: what is resolved later follows it, and what is in use changes at once, all of it or nothing. A file that
/// would change what a policy in use is (its set of strategies, a scope) is refused by an event, and everything stays.
///
/// # Errors
/// Names the place in the file. Nothing of a bad file is taken, and the file before stays in force.
pub fn load(path: &str, env: Option<&str>, now: u64) -> Result<Loaded, ConfigError> {
    let loaded = File::read(path, env).and_then(|file| REGISTRY.lock().load(file, now));
    metrics::file_read(loaded.as_ref().is_ok_and(Loaded::is_taken));
    loaded
}

/// The same for the text of a file that is watched, or why it has none: a bad file is refused by an event.
pub(crate) fn reload(path: &str, text: Result<&str, &str>, env: Option<&str>, now: u64) -> Loaded {
    let file = text.map_err(|why| ConfigError::new(path, why)).and_then(|text| File::parse(path, text, env));
    let loaded = file.and_then(|file| REGISTRY.lock().load(file, now));
    metrics::file_read(loaded.as_ref().is_ok_and(Loaded::is_taken));
    loaded.unwrap_or_else(|error| {
        let record = events::complete(events::refused(path, &error.to_string()), "", None, "");
        Loaded { events: vec![record], tickets: Vec::new() }
    })
}

/// Forgets names, files and all state, for tests. `seed` is what policies without a seed of their own draw from afterwards.
pub fn reset_all(seed: Option<u64>) {
    let mut registry = REGISTRY.lock();
    registry.named.clear();
    registry.file = None;
    SEED.store(seed.unwrap_or(0), Ordering::Relaxed);
    IS_SEEDED.store(seed.is_some(), Ordering::Relaxed);
    registry.all.retain(|policy| policy.strong_count() > 0);
    registry.all.iter().filter_map(Weak::upgrade).for_each(|policy| policy.forget());
    drop(registry);
    metrics::forget();
}

/// A holder of stale values is gone, and all its values with it.
pub fn forget_stale_of(holder: u32) {
    all().iter().for_each(|policy| policy.forget_stale_of(holder));
}

/// To be called in a process that was just forked, by its one thread: its policies start where the parent's stood, and nothing of the parent's
/// calls under way is left in them: slots, places in queues and half-open permits are free. `chain`: the slots that the thread's own calls hold.
pub fn inherit_all(chain: &[u64]) {
    all().iter().for_each(|policy| policy.inherit(chain));
    crate::control::inherited();
}

pub(crate) fn test_seed() -> Option<u64> {
    IS_SEEDED.load(Ordering::Relaxed).then(|| SEED.load(Ordering::Relaxed))
}

/// How often the circuits of the policy of this name have opened.
pub(crate) fn openings(name: &str) -> u64 {
    REGISTRY.lock().named.get(name).map_or(0, |policy| policy.counters.openings())
}

/// The policy of this name, if it is in use.
pub(crate) fn in_use(name: &str) -> Option<Arc<Policy>> {
    REGISTRY.lock().named.get(name).map(Arc::clone)
}

/// Whether a policy is the one that its name finds; it is not once everything was forgotten.
pub(crate) fn is_in_use(policy: &Arc<Policy>) -> bool {
    policy.name.as_deref().and_then(in_use).is_some_and(|known| Arc::ptr_eq(&known, policy))
}

/// Lays an experiment over a policy, or takes it away, while no file is loaded; gives the tickets to be woken.
pub(crate) fn lay_over(policy: &Policy, chaos: Option<Value>, now: u64) -> Vec<u64> {
    let _registry = REGISTRY.lock();
    policy.lay_over(chaos, now)
}

/// Every living policy.
pub(crate) fn all() -> Vec<Arc<Policy>> {
    REGISTRY.lock().all.iter().filter_map(Weak::upgrade).collect()
}

/// What the file in force says of names that nothing in use has.
pub(crate) fn only_in_file() -> Vec<(String, Parts)> {
    let registry = REGISTRY.lock();
    let Some(file) = &registry.file else { return Vec::new() };
    let unused = file.policies.iter().filter(|(name, _)| !registry.named.contains_key(*name));
    unused.map(|(name, parts)| (name.clone(), parts.clone())).collect()
}

impl Registry {
    fn resolve(&mut self, mut spec: Spec) -> Result<Arc<Policy>, ConfigError> {
        let Some(name) = spec.name.clone() else {
            let written = spec.parts.clone();
            return Ok(self.keep(Policy::new(&spec, written, clock::now())));
        };
        let written = std::mem::take(&mut spec.parts);
        if let Some(known) = self.named.get(&name) {
            if written.is_empty() || written == known.written {
                return Ok(Arc::clone(known));
            }
            if !known.written.is_empty() {
                return Err(contradiction(&name, &known.written, &written));
            }
        }
        self.check_fallback(&name, &written)?;
        spec.parts = self.effective(self.file.as_ref(), &name, &written)?;
        crate::config::validate_effective(&spec)?;
        let policy = self.keep(Policy::new(&spec, written, clock::now()));
        self.named.insert(name, Arc::clone(&policy));
        Ok(policy)
    }

    /// Lays `file` over the policies in use.
    fn load(&mut self, file: File, now: u64) -> Result<Loaded, ConfigError> {
        let mut live: Vec<&Arc<Policy>> = self.named.values().collect();
        live.sort_by(|a, b| a.name.cmp(&b.name));
        let mut changes = Vec::new();
        let mut refused = Vec::new();
        for policy in live {
            let Some(name) = policy.name.as_deref().filter(|name| file.policies.contains_key(*name) || !policy.written.is_empty()) else {
                // Only an earlier file, or nothing at all, told what it is: it keeps that.
                continue;
            };
            let old = policy.force();
            let spec = policy.spec(self.effective(Some(&file), name, &policy.written)?);
            crate::config::validate_effective(&spec)?;
            match change::refusal(&old.parts, &spec.parts) {
                Some(reason) => refused.push(events::complete(events::refused(&file.path, &reason), name, None, "")),
                None => changes.push((Arc::clone(policy), change::changed(&old.parts, &spec.parts), spec)),
            }
        }
        if !refused.is_empty() {
            return Ok(Loaded { events: refused, tickets: Vec::new() });
        }
        Ok(self.apply(file, changes, now))
    }

    fn apply(&mut self, file: File, changes: Vec<(Arc<Policy>, Vec<String>, Spec)>, now: u64) -> Loaded {
        let policies: Vec<_> = file.policies.keys().collect();
        let record = json!({"event": "config.loaded", "severity": "info", "path": file.path, "policies": policies});
        let mut loaded = Loaded { events: vec![record.to_string()], tickets: Vec::new() };
        for (policy, changed, spec) in changes.into_iter().filter(|(_, changed, _)| !changed.is_empty()) {
            loaded.tickets.extend(policy.replace(&spec, now));
            loaded.events.push(events::complete(events::reloaded(&file.path, &changed), &policy.label(), None, ""));
        }
        self.file = Some(file);
        loaded
    }

    /// A file may tune a fallback, not add one: what answers in place of an error is for the code to say.
    fn check_fallback(&self, name: &str, written: &Parts) -> Result<(), ConfigError> {
        let adds = |file: &&File| file.policies.get(name).is_some_and(|parts| parts.contains_key("fallback"));
        match self.file.as_ref().filter(adds).filter(|_| !written.contains_key("fallback")) {
            None => Ok(()),
            Some(file) => Err(ConfigError::new(
                format!("{}.policy.{name}.fallback", file.path),
                "a file may tune a fallback that the code gives, and this code gives none; write fallback(…) there, or leave it out here",
            )),
        }
    }

    fn effective(&self, file: Option<&File>, name: &str, written: &Parts) -> Result<Parts, ConfigError> {
        let only_mode = written.keys().all(|part| part == "mode");
        match file.map(|file| (file, file.policies.get(name))) {
            Some((_, Some(parts))) => Ok(merge(written.clone(), parts)),
            _ if !only_mode => Ok(written.clone()),
            Some((file, None)) => {
                let known: BTreeSet<&str> = file.policies.keys().chain(self.named.keys()).map(String::as_str).collect();
                let hint = crate::config::nearest(name, known.iter().copied()).map_or_else(
                    || format!("known are {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                Err(ConfigError::new(name, format!("neither {} nor the code defines this policy; {hint}", file.path)))
            }
            None => Ok(merge(default_parts(), written)),
        }
    }

    fn keep(&mut self, policy: Policy) -> Arc<Policy> {
        let policy = Arc::new(policy);
        if self.all.len() >= 1_024 && self.all.len().is_power_of_two() {
            self.all.retain(|policy| policy.strong_count() > 0);
        }
        self.all.push(Arc::downgrade(&policy));
        policy
    }
}

fn contradiction(name: &str, known: &Parts, written: &Parts) -> ConfigError {
    let (known, written) = (shown(known), shown(written));
    ConfigError::new(name, format!("is defined twice with different data: {known} and {written}; give both the same, or two names"))
}

/// Parts as an error may repeat them: of a store on a server only the scheme, for its URL may have a password anywhere.
fn shown(parts: &Parts) -> Value {
    let mut parts = parts.clone();
    for option in ["store", "second_store"] {
        let Some(Value::String(url)) = parts.get_mut("dead_letter").and_then(|part| part.get_mut(option)) else { continue };
        let scheme = url.split(':').next().unwrap_or_default().to_owned();
        if !matches!(scheme.as_str(), "sqlite" | "memory") {
            *url = format!("{scheme}:…");
        }
    }
    Value::Object(parts)
}

/// What a bare name means where no file is loaded: protection that needs no promise that the call may be repeated.
pub(crate) fn default_parts() -> Parts {
    let parts = json!({
        "circuit_breaker": {},
        "bulkhead": {"max_concurrent": 64, "max_queue": 64, "max_wait": "1s"},
        "timeout": {"attempt": "5s", "total": "15s"},
    });
    if let Value::Object(parts) = parts { parts } else { Parts::new() }
}
