//! The alphabet between a call and its driver.

use alloc::vec::Vec;

use crate::outcome::{Bits, Outcome};

/// What a driver reports.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// Begin.
    Start,
    /// The callee of an attempt ended.
    Ended {
        /// The attempt, from 1.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// A sleep is over or an armed timer fired.
    Timer {
        /// What it was for.
        reason: TimerReason,
        /// The attempt, for an attempt's time-out.
        attempt: u32,
    },
    /// A wake came for the parked ticket.
    Granted,
    /// The caller gave up.
    Cancelled,
    /// The consumer of a stream waits for its next item: the callee's time runs.
    Asked(u32),
    /// An item of a stream arrived: the consumer's time runs, which does not count.
    Item(u32),
    /// The consumer of a stream stops before the end.
    Stopped(u32),
    /// Which of `on` and `ignore` match the error that would surface.
    Classified(Bits),
    /// The dead letter was written, or was not.
    LetterEnded(bool),
    /// A fallback step ended.
    FallbackEnded(StepEnd),
}

/// How a fallback step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// It failed.
    Failed,
    /// It returned.
    Returned,
    /// The caller gave up meanwhile.
    Cancelled,
    /// Nothing stale is stored.
    Missing,
}

/// What a timer or a sleep is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerReason {
    /// A wait between attempts.
    Backoff = 0,
    /// A wait for the rate limit's turn.
    RateLimit = 1,
    /// An attempt's limit.
    Attempt = 2,
    /// The call's limit.
    Total = 3,
    /// The longest wait in a queue.
    Queue = 4,
    /// The longest wait between two items of a stream.
    Idle = 5,
    /// The wait before another attempt is started beside the running one.
    Hedge = 6,
}

impl TimerReason {
    /// The reason behind its number on the boundary.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Backoff),
            1 => Some(Self::RateLimit),
            2 => Some(Self::Attempt),
            3 => Some(Self::Total),
            4 => Some(Self::Queue),
            5 => Some(Self::Idle),
            6 => Some(Self::Hedge),
            _ => None,
        }
    }
}

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Call the function, after an injected latency, or raise an injected fault in its place.
    Start {
        /// The attempt, from 1.
        attempt: u32,
        /// Milliseconds it has, if limited.
        deadline_ms: Option<u64>,
        /// Injected latency.
        latency_ms: u64,
        /// What is raised or returned in the callee's place.
        injected: Option<Injection>,
    },
    /// Run the chaos behaviour inside this attempt, before everything else of it.
    Behavior(u32),
    /// Cancel or abandon an attempt.
    Cancel(u32),
    /// Wait, once, exactly so long.
    Sleep(TimerReason, u64),
    /// Arm a timer that races work.
    Timer(TimerReason, u32, u64),
    /// Wait for a wake of this ticket.
    Park(u64),
    /// Wake whoever parked with this ticket.
    Wake(u64),
    /// Make the error that would surface.
    Failed(Failure),
    /// Write the dead letter.
    Letter,
    /// Run this step of the fallback; none is the stale result.
    Fallback(Option<u32>),
    /// The call is over.
    Finish(Finish),
    /// Tell hooks and logs.
    Event(Event),
}

/// What chaos puts in the callee's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// Raise the fault of this number.
    Fault(u32),
    /// Return the outcome of this number.
    Outcome(u32),
}

/// The error that would surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose error it is.
    pub how: How,
    /// Milliseconds until another call makes sense, where one of ours knows.
    pub retry_after_ms: Option<u64>,
    /// The attempt whose error is the cause of ours; 0 for none.
    pub cause: u32,
}

/// Whose error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The callee's, of this attempt.
    Attempt(u32),
    /// One of ours.
    Ours(&'static str),
    /// None: the rejected result of this attempt.
    Result(u32),
}

/// How the call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// With the value of this attempt.
    Value(u32),
    /// With the error made at [`Output::Failed`].
    Error,
    /// With the value of this fallback step, or the stale result.
    Fallback(Option<u32>),
    /// With the caller's own cancellation.
    Cancelled,
}

/// One event; the names and fields of `table::events`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are described in the one table")]
pub enum Event {
    AttemptFailed { attempt: u32, duration_ms: u64 },
    RetryScheduled { attempt: u32, delay_ms: u64 },
    RetryStopped { attempt: u32, reason: &'static str },
    Breaker(Transition),
    Rejected { code: &'static str, retry_after_ms: Option<u64> },
    TimeoutFired { code: &'static str, attempt: u32 },
    TimeoutLate { attempt: u32, duration_ms: u64 },
    Queued { in_use: u32, queued: u32 },
    Chaos { attempt: u32, injected: Option<Injection>, latency_ms: u64 },
    FallbackUsed { step: Option<u32> },
    FallbackFailed { step: Option<u32> },
    HedgeStarted { attempt: u32, delay_ms: u64 },
    LimitChanged { from: u32, to: u32, reason: &'static str },
    ChaosAborted { reason: &'static str },
}

/// A change of a circuit breaker's state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are described in the one table")]
pub struct Transition {
    pub from: crate::policy::breaker::State,
    pub to: crate::policy::breaker::State,
    pub generation: u32,
    pub total: u32,
    pub failures: u32,
    pub slow: u32,
    pub break_ms: u64,
}

/// Outputs of one input, in the order in which they are to be performed.
pub type Outputs = Vec<Output>;
