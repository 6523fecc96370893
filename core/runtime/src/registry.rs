//! Names: one state per name in the process, and the policy file over what code says.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::clock;
use crate::config::{ConfigError, File, Parts, Spec, merge};
use crate::policy::Policy;

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

/// Loads a policy file; what is resolved later follows it.
///
/// # Errors
/// Names the place in the file. Nothing of a bad file is taken, and the file before stays in force.
pub fn load(path: &str, env: Option<&str>) -> Result<String, ConfigError> {
    let file = File::read(path, env)?;
    let record =
        json!({"event": "config.loaded", "severity": "info", "path": file.path, "policies": file.policies.keys().collect::<Vec<_>>()});
    REGISTRY.lock().file = Some(file);
    Ok(record.to_string())
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
}

pub(crate) fn test_seed() -> Option<u64> {
    IS_SEEDED.load(Ordering::Relaxed).then(|| SEED.load(Ordering::Relaxed))
}

/// Every living policy.
pub(crate) fn all() -> Vec<Arc<Policy>> {
    REGISTRY.lock().all.iter().filter_map(Weak::upgrade).collect()
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
        spec.parts = self.effective(&name, &written)?;
        crate::config::validate_effective(&spec)?;
        let policy = self.keep(Policy::new(&spec, written, clock::now()));
        self.named.insert(name, Arc::clone(&policy));
        Ok(policy)
    }

    fn effective(&self, name: &str, written: &Parts) -> Result<Parts, ConfigError> {
        match self.file.as_ref().map(|file| (file, file.policies.get(name))) {
            Some((_, Some(parts))) => Ok(merge(written.clone(), parts)),
            _ if !written.is_empty() => Ok(written.clone()),
            Some((file, None)) => {
                let known: BTreeSet<&str> = file.policies.keys().chain(self.named.keys()).map(String::as_str).collect();
                let hint = crate::config::nearest(name, known.iter().copied()).map_or_else(
                    || format!("known are {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                Err(ConfigError::new(name, format!("neither {} nor the code defines this policy; {hint}", file.path)))
            }
            None => Ok(default_parts()),
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
    let (known, written) = (Value::Object(known.clone()), Value::Object(written.clone()));
    ConfigError::new(name, format!("is defined twice with different data: {known} and {written}; give both the same, or two names"))
}

/// What a bare name means where no file is loaded: protection that needs no promise that the call may be repeated.
fn default_parts() -> Parts {
    let parts = json!({
        "circuit_breaker": {},
        "bulkhead": {"max_concurrent": 64, "max_queue": 64, "max_wait": "1s"},
        "timeout": {"attempt": "5s", "total": "15s"},
    });
    if let Value::Object(parts) = parts { parts } else { Parts::new() }
}
