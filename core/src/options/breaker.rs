//! Options of the circuit breaker.

use std::time::Duration;

use super::Written;
use crate::rules::Asked;

/// Stops calling what fails.
#[derive(Default)]
pub struct CircuitBreaker {
    pub(crate) written: Written,
    pub(crate) asked: Asked,
}

impl CircuitBreaker {
    /// Opens for 5 s when half of at least 20 calls of the last 30 s failed, or five in a row while there are fewer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Share of failures in the window that opens the circuit, in (0, 1].
    #[must_use]
    pub fn failure_ratio(mut self, ratio: f64) -> Self {
        self.written.set("failure_ratio", ratio);
        self
    }

    /// Calls in the window before the ratio is judged.
    #[must_use]
    pub fn minimum_throughput(mut self, calls: u32) -> Self {
        self.written.set("minimum_throughput", calls);
        self
    }

    /// Length of a time window, in ten buckets.
    #[must_use]
    pub fn sampling_duration(mut self, duration: Duration) -> Self {
        self.written.duration("sampling_duration", duration);
        self
    }

    /// Length of a count window: the last so many calls, instead of a time window.
    #[must_use]
    pub fn window_size(mut self, calls: u32) -> Self {
        self.written.set("window_size", calls);
        self
    }

    /// Failures in a row that open the circuit.
    #[must_use]
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.written.set("consecutive_failures", failures);
        self
    }

    /// A call that takes longer is slow.
    #[must_use]
    pub fn slow_call_duration(mut self, duration: Duration) -> Self {
        self.written.duration("slow_call_duration", duration);
        self
    }

    /// Share of slow calls in the window that opens the circuit, in (0, 1].
    #[must_use]
    pub fn slow_call_ratio(mut self, ratio: f64) -> Self {
        self.written.set("slow_call_ratio", ratio);
        self
    }

    /// How long the circuit stays open the first time; doubles with each opening in a row.
    #[must_use]
    pub fn break_duration(mut self, duration: Duration) -> Self {
        self.written.duration("break_duration", duration);
        self
    }

    /// The cap of that doubling.
    #[must_use]
    pub fn max_break_duration(mut self, duration: Duration) -> Self {
        self.written.duration("max_break_duration", duration);
        self
    }

    /// Spread of a break, up and down, as a share of it, in [0, 1].
    #[must_use]
    pub fn break_jitter(mut self, share: f64) -> Self {
        self.written.set("break_jitter", share);
        self
    }

    /// How long the circuit must stay closed before breaks start short again.
    #[must_use]
    pub fn reset_after(mut self, duration: Duration) -> Self {
        self.written.duration("reset_after", duration);
        self
    }

    /// Trial calls let through when a break is over: 1 to 64.
    #[must_use]
    pub fn half_open_max_calls(mut self, calls: u32) -> Self {
        self.written.set("half_open_max_calls", calls);
        self
    }

    /// Successful trials that close the circuit.
    #[must_use]
    pub fn half_open_successes(mut self, successes: u32) -> Self {
        self.written.set("half_open_successes", successes);
        self
    }

    /// How long a trial may hold its slot before it counts as failed.
    #[must_use]
    pub fn half_open_lease(mut self, lease: Duration) -> Self {
        self.written.duration("half_open_lease", lease);
        self
    }

    /// Reject a share of calls that grows with the failures, instead of opening by the rules.
    #[must_use]
    pub fn throttle(mut self, throttle: bool) -> Self {
        self.written.set("throttle", throttle);
        self
    }

    /// After a close, how long the share of calls let through grows from a tenth to all.
    #[must_use]
    pub fn ramp(mut self, duration: Duration) -> Self {
        self.written.duration("ramp", duration);
        self
    }

    /// Errors that count as failures; replaces the default, which is all of them. May be given once for each type of error.
    #[must_use]
    pub fn on<E: 'static>(mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.asked.on(matches);
        self
    }

    /// Errors that count for nothing.
    #[must_use]
    pub fn ignore<E: 'static>(mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) -> Self {
        self.asked.ignore(matches);
        self
    }

    /// Results that count as failures.
    #[must_use]
    pub fn on_result<T: 'static>(mut self, rejects: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.asked.on_result(rejects);
        self
    }
}
