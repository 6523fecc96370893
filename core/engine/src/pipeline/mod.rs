//! One guarded call: the strategies in their canonical order, as a state machine.
//!
//! | phase | input | next |
//! |---|---|---|
//! | new | `Start` | an attempt is admitted: running, queued, waiting for its turn, or failing |
//! | turn (rate limit) | `Timer` | queued or running |
//! | queued | `Granted`, `Timer` | running or failing |
//! | running | `Ended`, `Timer`, `Asked`, `Item`, `Stopped` | running, finished, backing off, or failing |
//! | backing off | `Timer` | as after `Start` |
//! | rejected | `Classified` | backing off or failing |
//! | failing | `Classified` | letter, fallback, or finished |
//! | letter | `LetterEnded` | fallback or finished |
//! | fallback | `FallbackEnded` | the next step, or finished |
//! | any | `Cancelled` | finished; the letter is written first |
//!
//! An input that does not fit the phase is ignored: a doubled wake, a timer that lost its race and a late end are ordinary.
//! After the finish, `Ended` still frees the slot that abandoned work held.
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#the-call.

mod admit;
mod attempt;
mod attempts;
mod env;
mod finish;
mod hedge;
mod reject;
mod resume;
mod shadow;
mod stream;

pub use attempt::{Attempt, AttemptState};
pub use env::{DeadLetter, Env, Fallback, Policy};
pub use resume::Admitted;

use crate::outcome::Outcome;
use crate::policy::breaker::Refusal;
use crate::policy::bulkhead::Waiters;
use crate::step::{Event, Failure, Finish, Input, Output, Outputs, TimerReason};

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
    /// The callee gives a stream of items.
    pub stream: bool,
    /// A block of the caller's own stands in for the callee.
    pub guard: bool,
    /// How much of the policy is in force for this call.
    pub mode: Mode,
}

/// How much of a policy is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All of it.
    #[default]
    Enforce,
    /// Everything is judged and reported; nothing waits, rejects, retries, times out or writes a letter.
    Shadow,
    /// Nothing: the callee is called.
    Disabled,
}

impl Mode {
    /// The mode of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Enforce, Self::Shadow, Self::Disabled].into_iter().find(|mode| mode.name() == word)
    }

    /// The mode's name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    Turn {
        reservation: u64,
    },
    Queued {
        ticket: u64,
    },
    Running,
    Backoff,
    /// Rejected, and the retry's `on` is asked.
    Rejected,
    Failing,
    Letter,
    /// The step under way; none is the stale result.
    Fallback(Option<u32>),
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
    attempts: attempts::Attempts,
    queued_at: u64,
    /// Waits between attempts so far, and the last of them before rounding.
    waits: u32,
    /// Rejections that were tried again.
    rejections: u32,
    previous_wait_ns: u64,
    /// Attempts started beside others, and when the next may be.
    hedges: u32,
    hedge_at: u64,
    /// What only a stream needs.
    stream: stream::Stream,
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
            attempts: attempts::Attempts::default(),
            queued_at: 0,
            waits: 0,
            rejections: 0,
            previous_wait_ns: 0,
            hedges: 0,
            hedge_at: 0,
            stream: stream::Stream::default(),
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

    /// Says how much of the policy is in force. Only before it has begun.
    pub fn set_mode(&mut self, mode: Mode) {
        if self.phase == Phase::New {
            self.begin.mode = mode;
        }
    }

    /// Takes one input and appends what is to be done.
    pub fn step<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, input: Input, out: &mut Outputs) {
        let lives = self.phase != Phase::Done;
        self.take(env, now, input, out);
        if lives && self.phase == Phase::Done && self.begin.mode == Mode::Enforce {
            self.tell_chaos(env, now, out);
        }
    }

    /// Tells an experiment that watches the calls how this one ended. Its own end is told before that of the call.
    fn tell_chaos<W>(&self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let Some(chaos) = env.experiment() else { return };
        let Some(place) = out.iter().rposition(|output| matches!(output, Output::Finish(_))) else { return };
        let failed = match out[place] {
            Output::Finish(Finish::Cancelled) => return,
            Output::Finish(Finish::Value(_)) => self.failure.is_some(),
            _ => true,
        };
        if let Some(reason) = chaos.call_ended(env.chaos, failed, now) {
            out.insert(place, Output::Event(Event::ChaosAborted { reason: reason.name() }));
        }
    }

    fn take<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, input: Input, out: &mut Outputs) {
        match input {
            Input::Start => self.start(env, now, out),
            Input::Ended { attempt, outcome } => self.ended(env, now, attempt, outcome, out),
            Input::Timer { reason, attempt } => self.timer(env, now, reason, attempt, out),
            Input::Granted => self.granted(env, now, false, out),
            Input::Cancelled => self.cancel(env, now, out),
            Input::Asked(attempt) => self.asked(env, now, attempt, out),
            Input::Item(attempt) => self.item(env, now, attempt, out),
            Input::Stopped(attempt) => self.stopped(env, now, attempt, out),
            Input::Classified(bits) if self.phase == Phase::Rejected => self.rejection_classified(env, now, bits, out),
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

    /// How much of the policy is in force.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.begin.mode
    }

    /// Nanoseconds left of the call, if it is limited. They stand still while a stream's consumer works.
    #[must_use]
    pub fn left_ns(&self, now: u64) -> Option<u64> {
        let now = self.stream.held_since().map_or(now, |held| held.min(now));
        self.deadline.map(|deadline| deadline.at.saturating_sub(now))
    }

    fn is_overdue(&self, now: u64) -> bool {
        self.left_ns(now) == Some(0)
    }

    fn start<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        if self.phase != Phase::New {
            return;
        }
        let enforced = self.begin.mode == Mode::Enforce;
        let own = env.policy.total_ns.filter(|_| enforced).map(|total| Deadline { at: now.saturating_add(total), own: true });
        let received = self.begin.left_ns.map(|left| Deadline { at: now.saturating_add(left), own: false });
        self.deadline = match (own, received) {
            (Some(own), Some(received)) if received.at < own.at => Some(received),
            (own, received) => own.or(received),
        };
        match self.begin.mode {
            Mode::Enforce => {
                if let (Some(left), false) = (self.left_ns(now), self.begin.cooperative) {
                    out.push(Output::Timer(TimerReason::Total, 0, crate::time::ceil_ms(left)));
                }
                self.begin_attempt(env, now, out);
            }
            Mode::Shadow => self.attempt_in_shadow(env, now, out),
            Mode::Disabled => self.start_attempt(env, now, None, false, out),
        }
    }

    fn timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, reason: TimerReason, attempt: u32, out: &mut Outputs) {
        match (reason, self.phase) {
            (TimerReason::Backoff, Phase::Backoff) => {
                row!(CallTriesAgain);
                self.begin_attempt(env, now, out);
            }
            // A sleep that ended late may have outlasted the call's limit.
            (TimerReason::RateLimit, Phase::Turn { .. }) if self.is_overdue(now) => self.expire(env, now, out),
            (TimerReason::RateLimit, Phase::Turn { .. }) => {
                row!(CallTurnComes);
                self.enter(env, now, out);
            }
            (TimerReason::Queue, Phase::Queued { .. }) => self.queue_timer(env, now, out),
            (TimerReason::Attempt, Phase::Running) => self.attempt_timer(env, now, attempt, out),
            (TimerReason::Idle, Phase::Running) => self.idle_timer(env, now, attempt, out),
            (TimerReason::Hedge, Phase::Running) => self.hedge_timer(env, now, out),
            (TimerReason::Total, phase)
                if !matches!(phase, Phase::New | Phase::Rejected | Phase::Failing | Phase::Letter | Phase::Fallback(_) | Phase::Done) =>
            {
                self.total_timer(env, now, out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, how: Finish, out: &mut Outputs) {
        if matches!((self.phase, how), (Phase::Running, Finish::Value(_))) {
            row!(CallSucceeds);
        }
        self.phase = Phase::Done;
        out.push(Output::Finish(how));
    }
}
