//! A circuit breaker as people see it.

use std::time::Duration;

use seawall_runtime::{ConfigError, Policy, clock};

use crate::event;
use crate::policy::whole_ms;

/// What the window of a breaker holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Outcomes in the window.
    pub total: u64,
    /// Failures in the window.
    pub failures: u64,
    /// Slow calls in the window; a slow failure is among both.
    pub slow: u64,
    /// Failures in a row.
    pub consecutive_failures: u64,
    /// Rejections since the last transition.
    pub rejected: u64,
}

/// The circuit breaker of a policy, or of one key of it.
///
/// Every method fails if the policy has no breaker, or has a key and none was named.
#[derive(Clone, Copy)]
pub struct BreakerHandle<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) key: Option<&'p str>,
}

impl std::fmt::Debug for BreakerHandle<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BreakerHandle").field("policy", &self.policy.label()).field("key", &self.key).finish()
    }
}

impl BreakerHandle<'_> {
    /// `closed`, `open`, `half_open`, `isolated` or `disabled`, as of now.
    ///
    /// # Errors
    /// See [`BreakerHandle`].
    pub fn state(&self) -> Result<&'static str, ConfigError> {
        self.policy.breaker_state(self.key, clock::now())
    }

    /// The counts of the current window.
    ///
    /// # Errors
    /// See [`BreakerHandle`].
    pub fn counts(&self) -> Result<Counts, ConfigError> {
        let [total, failures, slow, consecutive_failures, rejected] = self.policy.breaker_counts(self.key, clock::now())?;
        Ok(Counts { total, failures, slow, consecutive_failures, rejected })
    }

    /// Holds the circuit open, until it is reset or so much time has passed; then trial calls pass.
    ///
    /// # Errors
    /// See [`BreakerHandle`].
    pub fn isolate(&self, reason: &str, author: Option<&str>, expires_in: Option<Duration>) -> Result<(), ConfigError> {
        self.policy.breaker_isolate(self.key, reason, author, expires_in.map(whole_ms), clock::now()).map(tell_all)
    }

    /// Lets every call through, until it is reset or so much time has passed.
    ///
    /// # Errors
    /// See [`BreakerHandle`].
    pub fn disable(&self, reason: &str, author: Option<&str>, expires_in: Option<Duration>) -> Result<(), ConfigError> {
        self.policy.breaker_disable(self.key, reason, author, expires_in.map(whole_ms), clock::now()).map(tell_all)
    }

    /// Closes the circuit and forgets its history.
    ///
    /// # Errors
    /// See [`BreakerHandle`].
    pub fn reset(&self) -> Result<(), ConfigError> {
        self.policy.breaker_reset(self.key).map(tell_all)
    }
}

fn tell_all(records: Vec<String>) {
    records.iter().for_each(|record| event::tell(record));
}
