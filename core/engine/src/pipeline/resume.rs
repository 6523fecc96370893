//! A call whose first attempt a driver admitted without the machine, because nothing but the strategies' words was needed, and that goes on
//! in the machine because the attempt did not simply succeed.

use super::attempts::Attempts;
use super::{Attempt, AttemptState, Begin, Call, Deadline, Mode, Phase, Policy};
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
    /// The call with its first attempt running: where `Start` would have led it. Only enforced. Without [`Call::limited_by`] it has no limits of
    /// time.
    #[must_use]
    pub fn resume(begin: Begin, Admitted { started, permit, slot }: Admitted) -> Self {
        let first = Attempt {
            number: 1,
            started,
            ended: None,
            state: AttemptState::Running,
            delay_ms: None,
            permit,
            slot,
            lent: 0,
            deadline: None,
        };
        let mut attempts = Attempts::default();
        attempts.push(first);
        Self { phase: Phase::Running, attempts, ..Self::new(Begin { mode: Mode::Enforce, ..begin }) }
    }

    /// The same with the limits of time of its policy, which count from the start of the attempt. Its driver arms the timers.
    #[must_use]
    pub fn limited_by(mut self, policy: &Policy) -> Self {
        let Some(first) = self.attempts.get_mut(0) else { return self };
        first.deadline = policy.attempt_ns.map(|limit| first.started.saturating_add(limit));
        self.deadline = policy.total_ns.map(|total| Deadline { at: first.started.saturating_add(total), own: true });
        self
    }
}
