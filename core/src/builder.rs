//! How a policy is written.

use std::collections::HashSet;
use std::sync::LazyLock;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::error::ConfigError;
use crate::options::{Bulkhead, Chaos, CircuitBreaker, Fallback, Hedge, RateLimit, Retry, Step, Timeout, Written};
use crate::policy::Policy;
use crate::rules::{Asked, Readers, RetryAfter};

/// The caller's functions of one policy object. They belong to the object, the state belongs to the name.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) retry: Asked,
    pub(crate) breaker: Asked,
    pub(crate) fallback: Asked,
    pub(crate) all: Asked,
    pub(crate) retry_after: Readers<RetryAfter>,
    pub(crate) status: Readers<u16>,
    pub(crate) steps: Vec<Step>,
}

impl Rules {
    /// Whether a success needs no function of the caller's, and an error is answered by none.
    pub(crate) fn are_plain(&self) -> bool {
        let judges_results = [&self.retry, &self.breaker, &self.all].iter().any(|asked| asked.judges_results());
        self.steps.is_empty() && !judges_results
    }

    /// What a strategy says of errors; where it says nothing, what the policy says holds.
    pub(crate) fn errors<'a>(&'a self, own: &'a Asked) -> &'a Asked {
        if own.judges_errors() { own } else { &self.all }
    }

    /// What a strategy says of results.
    pub(crate) fn results<'a>(&'a self, own: &'a Asked) -> &'a Asked {
        if own.judges_results() { own } else { &self.all }
    }
}

/// A policy that is being written. Strategies work in one order whatever order they are written in:
///
/// fallback > total timeout > retry and hedge > rate limit > bulkhead > circuit breaker > attempt timeout > chaos > the call
#[must_use = "a policy guards nothing until it is built"]
pub struct PolicyBuilder {
    name: Option<String>,
    parts: Map<String, Value>,
    keyed: bool,
    seed: Option<u64>,
    quick: bool,
    rules: Rules,
}

/// A policy of this name. It shares its state with every policy of the name in this process, and a loaded file may change its options.
///
/// Built without any strategy it is the policy that the file or other code defines, else the default: a circuit breaker, a bulkhead of 64
/// with a queue of 64 and a wait of 1 s, 5 s for an attempt and 15 s in all.
pub fn policy(name: impl Into<String>) -> PolicyBuilder {
    PolicyBuilder { name: Some(name.into()), ..PolicyBuilder::unnamed() }
}

impl PolicyBuilder {
    /// A policy that shares its state with no other.
    pub fn unnamed() -> Self {
        Self { name: None, parts: Map::new(), keyed: false, seed: None, quick: true, rules: Rules::default() }
    }

    fn part(mut self, strategy: &str, written: Written) -> Self {
        self.parts.insert(strategy.into(), Value::Object(written.0));
        self
    }

    /// Tries failed calls again. Writing it declares that the call may be repeated.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.rules.retry = retry.asked;
        self.rules.retry_after = retry.retry_after;
        self.part("retry", retry.written)
    }

    /// Stops calling what fails.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.rules.breaker = breaker.asked;
        self.part("circuit_breaker", breaker.written)
    }

    /// Bounds how many attempts run at once.
    pub fn bulkhead(self, bulkhead: Bulkhead) -> Self {
        self.part("bulkhead", bulkhead.written)
    }

    /// Bounds how often is called.
    pub fn rate_limit(self, limit: RateLimit) -> Self {
        self.part("rate_limit", limit.written)
    }

    /// Bounds how long a call may take.
    pub fn timeout(self, timeout: Timeout) -> Self {
        self.part("timeout", timeout.written)
    }

    /// Starts another attempt beside one that takes long. Only for async calls.
    pub fn hedge(self, hedge: Hedge) -> Self {
        self.part("hedge", hedge.written)
    }

    /// Answers in place of an error.
    pub fn fallback(mut self, mut fallback: Fallback) -> Self {
        self.rules.fallback = fallback.asked;
        self.rules.steps = fallback.steps;
        fallback.written.set("steps", self.rules.steps.len());
        self.part("fallback", fallback.written)
    }

    /// Makes attempts slow or fail, on purpose.
    pub fn chaos(self, chaos: Chaos) -> Self {
        self.part("chaos", chaos.written)
    }

    /// Errors that retry and circuit breaker count as failures, where they say nothing themselves.
    pub fn on<E: 'static>(mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.rules.all.on(matches);
        self
    }

    /// Errors that retry and circuit breaker count for nothing, where they say nothing themselves.
    pub fn ignore<E: 'static>(mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.rules.all.ignore(matches);
        self
    }

    /// Results that retry and circuit breaker count as failures, where they say nothing themselves.
    pub fn on_result<T: 'static>(mut self, rejects: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.rules.all.on_result(rejects);
        self
    }

    /// Reads the HTTP status of an error. Client errors other than 408, 425 and 429 are no failures by default.
    pub fn status<E: 'static>(mut self, read: impl Fn(&E) -> Option<u16> + Send + Sync + 'static) -> Self {
        self.rules.status.add(read);
        self
    }

    /// Parts the state of breaker, bulkhead and rate limit by a key, which every call then names: [`Policy::using`].
    pub fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// `enforce`, `shadow` or `disabled`.
    pub fn mode(mut self, mode: &str) -> Self {
        self.parts.insert("mode".into(), mode.into());
        self
    }

    /// Decides every draw, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Every call goes through the machine, for tests that compare the two ways.
    #[doc(hidden)]
    pub fn without_quick_path(mut self) -> Self {
        self.quick = false;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// If an option is out of range or contradicts another, if the name is defined elsewhere with other options, or if a loaded file knows
    /// other names but not this one.
    pub fn build(self) -> Result<Policy, ConfigError> {
        let spec = json!({"name": self.name, "parts": self.parts, "keyed": self.keyed, "seed": self.seed});
        let policy = seawall_runtime::resolve(&spec.to_string())?;
        let info: Value = serde_json::from_str(&policy.info()).unwrap_or_default();
        let has = |strategy: &str| info["parts"].get(strategy).is_some();
        if has("dead_letter") {
            return Err(ConfigError::new(policy.label(), "dead_letter: put letters with `seawall::dlq`; a policy in Rust writes none"));
        }
        if has("fallback") && self.rules.steps.is_empty() {
            return Err(ConfigError::new(policy.label(), "fallback: its answers are values and functions of the code; give them there"));
        }
        let label = intern(&policy.label());
        Ok(Policy::new(policy, label, self.rules, has("hedge"), self.quick))
    }
}

/// Names live as long as the process anyhow: its registry keeps them.
fn intern(name: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock();
    if let Some(known) = names.get(name) {
        return known;
    }
    let known: &'static str = Box::leak(name.into());
    names.insert(known);
    known
}
