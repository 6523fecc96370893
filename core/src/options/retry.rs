//! Options of the retry.

use std::time::Duration;

use serde_json::json;

use super::Written;
use crate::rules::{Asked, Readers, RetryAfter};

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// base x factor^n.
    Exponential,
    /// base x (n + 1).
    Linear,
    /// base.
    Constant,
}

/// How waits spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// All of the wait is random.
    Full,
    /// Its upper half is.
    Equal,
    /// It follows from the wait before.
    Decorrelated,
    /// None of it is.
    None,
}

/// Tries a failed call again.
#[derive(Default)]
pub struct Retry {
    pub(crate) written: Written,
    pub(crate) asked: Asked,
    pub(crate) retry_after: Readers<RetryAfter>,
}

impl Retry {
    /// Three attempts, waits of 100 ms that double up to 10 s, full jitter, a budget of a fifth of the calls.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Attempts in all, the first included: 1 to 1,000.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.written.set("max_attempts", attempts);
        self
    }

    /// How waits grow.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        let word = match backoff {
            Backoff::Exponential => "exponential",
            Backoff::Linear => "linear",
            Backoff::Constant => "constant",
        };
        self.written.set("backoff", word);
        self
    }

    /// The first wait, before jitter.
    #[must_use]
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.written.duration("base_delay", delay);
        self
    }

    /// How much longer each exponential wait is than the one before: at least 1, up to three decimals.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.written.set("factor", factor);
        self
    }

    /// The cap of a wait, applied before jitter.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.written.duration("max_delay", delay);
        self
    }

    /// How waits spread.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        let word = match jitter {
            Jitter::Full => "full",
            Jitter::Equal => "equal",
            Jitter::Decorrelated => "decorrelated",
            Jitter::None => "none",
        };
        self.written.set("jitter", word);
        self
    }

    /// What the calls of the last ten seconds pay for: a share of them, and so many retries per second besides.
    #[must_use]
    pub fn retry_budget(mut self, ratio: f64, per_second: f64) -> Self {
        self.written.set("retry_budget", json!({"ratio": ratio, "per_second": per_second}));
        self
    }

    /// Retries cost nothing.
    #[must_use]
    pub fn no_retry_budget(mut self) -> Self {
        self.written.set("retry_budget", false);
        self
    }

    /// Go on when the circuit breaker inside has opened.
    #[must_use]
    pub fn wait_for_breaker(mut self, wait: bool) -> Self {
        self.written.set("wait_for_breaker", wait);
        self
    }

    /// The longest wait that a server may ask for; a longer one ends the call.
    #[must_use]
    pub fn retry_after_max(mut self, longest: Duration) -> Self {
        self.written.duration("retry_after_max", longest);
        self
    }

    /// Reads the server's wait from an error.
    #[must_use]
    pub fn retry_after<E: 'static>(mut self, read: impl Fn(&E) -> Option<RetryAfter> + Send + Sync + 'static) -> Self {
        self.retry_after.add(read);
        self
    }

    /// Errors that are tried again; replaces the default, which is all of them. May be given once for each type of error.
    #[must_use]
    pub fn on<E: 'static>(mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.asked.on(matches);
        self
    }

    /// Errors that are not tried again.
    #[must_use]
    pub fn ignore<E: 'static>(mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.asked.ignore(matches);
        self
    }

    /// Results that are tried again as if they were errors. The last one is returned.
    #[must_use]
    pub fn on_result<T: 'static>(mut self, rejects: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.asked.on_result(rejects);
        self
    }
}
