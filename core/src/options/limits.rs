//! Options of the bulkhead and of the rate limit.

use std::time::Duration;

use super::Written;

/// Bounds how many attempts run at once.
#[derive(Clone, Debug, Default)]
pub struct Bulkhead {
    pub(crate) written: Written,
}

impl Bulkhead {
    /// 64 slots and no queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Attempts in flight at once.
    #[must_use]
    pub fn max_concurrent(mut self, attempts: u32) -> Self {
        self.written.set("max_concurrent", attempts);
        self
    }

    /// Calls that may wait for a slot, first come, first served.
    #[must_use]
    pub fn max_queue(mut self, calls: u32) -> Self {
        self.written.set("max_queue", calls);
        self
    }

    /// The longest wait in the queue; without it the total limit holds.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.written.duration("max_wait", wait);
        self
    }

    /// Find the number of slots, from 16 on, by watching how long attempts take; in place of [`max_concurrent`](Self::max_concurrent).
    #[must_use]
    pub fn adaptive(mut self) -> Self {
        self.written.set("adaptive", true);
        self
    }

    /// The fewest slots that [`adaptive`](Self::adaptive) may come to; default 1.
    #[must_use]
    pub fn min_limit(mut self, attempts: u32) -> Self {
        self.written.set("min_limit", attempts);
        self
    }

    /// The most slots that [`adaptive`](Self::adaptive) may come to; default 512.
    #[must_use]
    pub fn max_limit(mut self, attempts: u32) -> Self {
        self.written.set("max_limit", attempts);
        self
    }
}

/// Bounds how often is called.
#[derive(Clone, Debug, Default)]
pub struct RateLimit {
    pub(crate) written: Written,
}

impl RateLimit {
    /// So many calls per second, minute or hour: `"100/s"`, `"5/m"`, `"1000/h"`.
    #[must_use]
    pub fn new(rate: &str) -> Self {
        let mut written = Written::default();
        written.set("rate", rate);
        Self { written }
    }

    /// How many calls may come at once after a pause; default: one second's worth, at least 1.
    #[must_use]
    pub fn burst(mut self, calls: u32) -> Self {
        self.written.set("burst", calls);
        self
    }

    /// The longest wait for a turn; a longer one is refused at once. Default: none.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.written.duration("max_wait", wait);
        self
    }
}
