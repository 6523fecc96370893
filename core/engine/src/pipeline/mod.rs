//! One guarded call: the strategies in their canonical order, as a state machine.
//!
//! | phase | input | next |
//! |---|---|---|
//! | new | `Start` | an attempt is admitted: running, queued, waiting for its turn, or failing |
//! | turn (rate limit) | `Timer` | queued or running |
//! | queued | `Granted`, `Timer` | running or failing |
//! | running | `Ended`, `Timer` | finished, backing off, or failing |
//! | backing off | `Timer` | as after `Start` |
//! | failing | `Classified` | letter, fallback, or finished |
//! | letter | `LetterEnded` | fallback or finished |
//! | fallback | `FallbackEnded` | the next step, or finished |
//! | any | `Cancelled` | finished; the letter is written first |
//!
//! An input that does not fit the phase is ignored: a doubled wake, a timer that lost its race and a late end are ordinary.
//! After the finish, `Ended` still frees the slot that abandoned work held.

mod admit;
mod attempt;
mod env;
mod finish;

use alloc::vec::Vec;

pub use attempt::{Attempt, AttemptState};
pub use env::{DeadLetter, Env, Fallback, Policy};

use crate::outcome::Outcome;
use crate::policy::breaker::Refusal;
use crate::policy::bulkhead::Waiters;
use crate::step::{Failure, Finish, Input, Output, Outputs, TimerReason};

/// What the caller says about a call when it begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begin {
    /// The driver cannot cut work, so no timer races an attempt.
    pub cooperative: bool,
    /// `only` of chaos spares this call: none of its attempts is struck or counted among those that could be.
    pub spared: bool,
    /// The call is made inside an attempt that holds a slot of the same bulkhead, so it must not wait for one.
    pub reentrant: bool,
    /// Nanoseconds left of a caller's or received deadline.
    pub left_ns: Option<u64>,
    /// How often the letter of this call was redriven.
    pub redrives: u32,
    /// The number of the call within its policy object.
    pub ordinal: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    Turn { reservation: u64 },
    Queued { ticket: u64 },
    Running,
    Backoff,
    Failing,
    Letter,
    Fallback(u32),
    Done,
}

/// The nearest limit of the whole call.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: u64,
    /// Our own total, or somebody else's deadline.
    own: bool,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    begin: Begin,
    phase: Phase,
    deadline: Option<Deadline>,
    attempts: Vec<Attempt>,
    queued_at: u64,
    previous_wait_ns: u64,
    /// The failure of the last attempt that reached the callee, and how it ended.
    last: Option<(Failure, Outcome)>,
    /// The failure that surfaces.
    failure: Option<(Failure, Outcome)>,
    refusal: Option<Refusal>,
    reason: Option<&'static str>,
    cancelled: bool,
}

impl Call {
    /// A call that has not begun.
    #[must_use]
    pub fn new(begin: Begin) -> Self {
        Self {
            begin,
            phase: Phase::New,
            deadline: None,
            attempts: Vec::new(),
            queued_at: 0,
            previous_wait_ns: 0,
            last: None,
            failure: None,
            refusal: None,
            reason: None,
            cancelled: false,
        }
    }

    /// Says that the call is made inside an attempt that holds a slot of the same bulkhead. Only before it has begun.
    pub fn reenter(&mut self) {
        self.begin.reentrant = true;
    }

    /// Takes one input and appends what is to be done.
    pub fn step<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, input: Input, out: &mut Outputs) {
        match input {
            Input::Start => self.start(env, now, out),
            Input::Ended { attempt, outcome } => self.ended(env, now, attempt, outcome, out),
            Input::Timer { reason, attempt } => self.timer(env, now, reason, attempt, out),
            Input::Granted => self.granted(env, now, false, out),
            Input::Cancelled => self.cancel(env, now, out),
            Input::Classified(bits) => self.classified(env, bits, out),
            Input::LetterEnded(_) => self.letter_ended(env, out),
            Input::FallbackEnded(end) => self.fallback_ended(env, end, out),
        }
    }

    /// Whether the call is over. Late ends of abandoned attempts may still come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// The attempts so far, in order.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Why the retry stopped, one of the table's reasons.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// What the circuit breaker said, if it rejected this call.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Nanoseconds left of the call, if it is limited.
    #[must_use]
    pub fn left_ns(&self, now: u64) -> Option<u64> {
        self.deadline.map(|deadline| deadline.at.saturating_sub(now))
    }

    fn is_overdue(&self, now: u64) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline.at)
    }

    fn start<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        if self.phase != Phase::New {
            return;
        }
        let own = env.policy.total_ns.map(|total| Deadline { at: now.saturating_add(total), own: true });
        let received = self.begin.left_ns.map(|left| Deadline { at: now.saturating_add(left), own: false });
        self.deadline = match (own, received) {
            (Some(own), Some(received)) if received.at < own.at => Some(received),
            (own, received) => own.or(received),
        };
        if let (Some(left), false) = (self.left_ns(now), self.begin.cooperative) {
            out.push(Output::Timer(TimerReason::Total, 0, crate::time::ceil_ms(left)));
        }
        self.begin_attempt(env, now, out);
    }

    fn timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, reason: TimerReason, attempt: u32, out: &mut Outputs) {
        match (reason, self.phase) {
            (TimerReason::Backoff, Phase::Backoff) => self.begin_attempt(env, now, out),
            // A sleep that ended late may have outlasted the call's limit.
            (TimerReason::RateLimit, Phase::Turn { .. }) if self.is_overdue(now) => self.expire(env, now, out),
            (TimerReason::RateLimit, Phase::Turn { .. }) => self.enter(env, now, out),
            (TimerReason::Queue, Phase::Queued { .. }) => self.queue_timer(env, now, out),
            (TimerReason::Attempt, Phase::Running) => self.attempt_timer(env, now, attempt, out),
            (TimerReason::Total, phase)
                if !matches!(phase, Phase::New | Phase::Failing | Phase::Letter | Phase::Fallback(_) | Phase::Done) =>
            {
                self.total_timer(env, now, out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, how: Finish, out: &mut Outputs) {
        self.phase = Phase::Done;
        out.push(Output::Finish(how));
    }
}
