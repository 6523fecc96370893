//! Outputs, flat as the bindings read them (ADR 1).

use seawall_engine::step::{Failure, Finish, How, Injection};
use seawall_engine::table::errors::index;

/// One output, flat: its code and arguments as ADR 1 lists them; `record` is the event of code 10 as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The output.
    pub code: u8,
    /// Its arguments, zero where unused.
    pub args: [i64; 4],
    /// The event.
    pub record: Option<String>,
}

/// Codes of outputs.
pub(crate) const PARK: u8 = 4;
const WAKE: u8 = 5;

impl Op {
    /// A wake of the ticket.
    #[must_use]
    pub fn wake(ticket: u64) -> Self {
        Self { code: WAKE, args: [i64::try_from(ticket).unwrap_or(i64::MAX), 0, 0, 0], record: None }
    }

    /// The ticket that the call parks with.
    #[must_use]
    pub fn parks(&self) -> Option<u64> {
        (self.code == PARK).then(|| self.args[0].unsigned_abs())
    }

    /// The ticket that is to be woken.
    #[must_use]
    pub fn wakes(&self) -> Option<u64> {
        (self.code == WAKE).then(|| self.args[0].unsigned_abs())
    }
}

/// The stale result is step -1.
pub(crate) fn step_arg(step: Option<u32>) -> i64 {
    step.map_or(-1, i64::from)
}

/// -1 for the callee, n for fault n, -2 - n for outcome n.
pub(crate) fn injected_arg(injected: Option<Injection>) -> i64 {
    match injected {
        None => -1,
        Some(Injection::Fault(number)) => number.into(),
        Some(Injection::Outcome(number)) => -2 - i64::from(number),
    }
}

pub(crate) fn failed_args(failure: Failure) -> [i64; 4] {
    let retry_after = failure.retry_after_ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
    match failure.how {
        How::Attempt(attempt) => [0, attempt.into(), 0, retry_after],
        How::Ours(code) => [1, failure.cause.into(), i64::try_from(index(code)).unwrap_or(0), retry_after],
        How::Result(attempt) => [2, attempt.into(), 0, retry_after],
    }
}

pub(crate) fn finish_args(finish: Finish) -> [i64; 4] {
    match finish {
        Finish::Value(attempt) => [0, attempt.into(), 0, 0],
        Finish::Error => [1, 0, 0, 0],
        Finish::Fallback(step) => [2, step_arg(step), 0, 0],
        Finish::Cancelled => [3, 0, 0, 0],
    }
}
