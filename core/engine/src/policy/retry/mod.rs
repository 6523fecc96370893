//! Retry: whether another attempt follows a failed one, and when.
//!
//! Asked in this order; the first "no" ends the call with the callee's own error and this reason:
//!
//! | question | reason if not |
//! |---|---|
//! | does the outcome count? | `not_retryable` |
//! | are attempts left? | `attempts_exhausted` |
//! | does the server allow it? | `retry_after_never`, `retry_after_too_long` |
//! | is the circuit inside still closed? | `breaker_open` |
//! | do the wait and half an attempt fit into the time left? | `no_time_left` |
//! | does the budget pay? | `budget_exhausted` |
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#retry.

mod backoff;
mod budget;

pub use backoff::{Backoff, Growth, Jitter};
pub use budget::Budget;

use crate::outcome::Pushback;
use crate::time::MS;

/// What one more attempt costs the budget, in thousandths of a retry.
pub const COST: u64 = 1_000;

/// The compiled options.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: u32,
    /// How waits grow and spread.
    pub backoff: Backoff,
    /// The longest wait that a server may ask for, in milliseconds.
    pub retry_after_max_ms: u64,
    /// Whether to go on when the circuit inside has opened.
    pub wait_for_breaker: bool,
    /// What pays for retries, if they must be paid for.
    pub budget: Option<Budget>,
    /// Whether `on` was given.
    pub has_on: bool,
}

/// What is known when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Attempts so far.
    pub attempt: u32,
    /// Waits so far: the number of this one, from 0.
    pub waits: u32,
    /// What the server said.
    pub pushback: Pushback,
    /// Whether the circuit inside is open now.
    pub breaker_open: bool,
    /// Nanoseconds left, if the call is limited.
    pub left_ns: Option<u64>,
    /// The attempt's own limit in nanoseconds, or 0.
    pub attempt_ns: u64,
    /// The previous wait of ours, in nanoseconds, for decorrelated jitter.
    pub previous_ns: u64,
    /// The draw for this wait.
    pub draw: u64,
}

/// A wait that may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Our own part, before rounding, in nanoseconds.
    pub own_ns: u64,
    /// All of it, in whole milliseconds.
    pub ms: u64,
}

impl Retry {
    /// The wait before the next attempt, or the reason why there is none. The budget is asked by the caller, last.
    ///
    /// # Errors
    /// The reason, one of the table's.
    pub fn wait(&self, now: Situation) -> Result<Wait, &'static str> {
        if now.attempt >= self.max_attempts {
            row!(RetryExhausted);
            return Err("attempts_exhausted");
        }
        let server_ms = match now.pushback {
            Pushback::None => 0,
            Pushback::Never => {
                row!(RetryNever);
                return Err("retry_after_never");
            }
            Pushback::After(ms) if ms > self.retry_after_max_ms => {
                row!(RetryTooLong);
                return Err("retry_after_too_long");
            }
            Pushback::After(ms) => ms,
        };
        if now.breaker_open && !self.wait_for_breaker {
            row!(RetryOpen);
            return Err("breaker_open");
        }
        let own_ns = self.backoff.wait_ns(now.waits, now.previous_ns, now.draw);
        let ms = own_ns.div_ceil(MS).saturating_add(server_ms);
        let needed = ms.saturating_mul(MS).saturating_add(now.attempt_ns / 2);
        match now.left_ns {
            Some(left) if needed >= left => {
                row!(RetryNoTime);
                Err("no_time_left")
            }
            _ => {
                if server_ms > 0 {
                    row!(RetryServer);
                }
                Ok(Wait { own_ns, ms })
            }
        }
    }
}
