//! A call whose first attempt a driver admitted without the machine, because nothing but the strategies' words was needed, and that goes on
//! in the machine because the attempt did not simply succeed.

use super::attempts::Attempts;
use super::{Attempt, AttemptState, Begin, Call, Mode, Phase};
use crate::policy::breaker::Permit;

/// What the first attempt of such a call holds. Its driver has taken it in the order of `admit`, and deposited in the budget.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// When the attempt started, in nanoseconds.
    pub started: u64,
    /// The circuit breaker's permit, if there is one.
    pub permit: Option<Permit>,
    /// Whether it holds a slot of the bulkhead.
    pub slot: bool,
}

impl Call {
    /// The call with its first attempt running: where `Start` would have led it. Only enforced, and only without limits of time, which would
    /// have armed timers.
    #[must_use]
    pub fn resume(begin: Begin, Admitted { started, permit, slot }: Admitted) -> Self {
        let first = Attempt { number: 1, started, ended: None, state: AttemptState::Running, delay_ms: None, permit, slot, deadline: None };
        let mut attempts = Attempts::default();
        attempts.push(first);
        Self { phase: Phase::Running, attempts, ..Self::new(Begin { mode: Mode::Enforce, ..begin }) }
    }
}
