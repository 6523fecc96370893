//! How a call fails: rejections, limits and cancellation; then the letter, then the fallback.

use super::{AttemptState, Call, Env, Mode, Phase};
use crate::outcome::{Bits, Judge, Kind, Outcome, Pushback, Verdict};
use crate::policy::bulkhead::{Place, Waiters};
use crate::step::{Event, Failure, Finish, How, Output, Outputs, StepEnd, TimerReason};
use crate::time::ceil_ms;

pub(super) const fn ours(kind: Kind) -> Outcome {
    Outcome { kind, bits: Bits(0), status: 0, pushback: Pushback::None }
}

impl Call {
    pub(super) fn total_timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        if self.stream.held_since().is_some() {
            self.stream.total_due = true;
            return;
        }
        match self.left_ns(now) {
            Some(0) => self.expire(env, now, out),
            Some(left) => out.push(Output::Timer(TimerReason::Total, 0, ceil_ms(left))),
            None => {}
        }
    }

    /// The whole call's limit has passed. Cut by our own total an attempt failed; cut by somebody else's deadline it says nothing.
    pub(super) fn expire<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let own = self.deadline.is_none_or(|deadline| deadline.own);
        let code = if own { "timeout.total" } else { "timeout.deadline" };
        self.step_aside(env, out);
        match self.attempts.last() {
            _ if !own => row!(TimeoutDeadline),
            Some(attempt) if attempt.state == AttemptState::Running => row!(TimeoutTotal),
            _ => row!(TimeoutWaiting),
        }
        let running = self.attempts.last().is_some_and(|attempt| attempt.state == AttemptState::Running);
        let (state, verdict) = if own { (AttemptState::TimedOut, Verdict::Failure) } else { (AttemptState::Cancelled, Verdict::Ignored) };
        self.cut(env, now, state, verdict, out);
        let attempt = if running { u32::try_from(self.attempts.len()).unwrap_or(u32::MAX) } else { 0 };
        out.push(Output::Event(Event::TimeoutFired { code, attempt }));
        let cause = match self.last {
            Some((Failure { how: How::Attempt(number), .. }, _)) => number,
            _ => 0,
        };
        if self.stream.has_begun() {
            self.break_stream(env, attempt, out);
        }
        self.fail(env, Failure { how: How::Ours(code), retry_after_ms: None, cause }, ours(Kind::Timeout), out);
    }

    /// Leaves whatever queue the call stands in, holding nothing.
    fn step_aside<W: Waiters>(&mut self, env: &Env<'_, W>, out: &mut Outputs) {
        match self.phase {
            Phase::Turn { reservation } => {
                if let Some(limit) = env.policy.rate_limit.as_ref() {
                    limit.give_back(env.rate_limit, reservation);
                }
            }
            Phase::Queued { ticket } => {
                if let Some(bulkhead) = env.slots()
                    && bulkhead.settle(env.bulkhead, env.waiters, ticket, true) == Place::Granted
                {
                    Self::leave(env, out);
                }
                Self::tell_heir(env, out);
            }
            _ => {}
        }
    }

    pub(super) fn cancel<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        match self.phase {
            Phase::Done => {}
            // The write is shielded: it ends first.
            Phase::Letter => {
                row!(LetterCancelled);
                self.cancelled = true;
            }
            phase => {
                match phase {
                    Phase::Queued { .. } => row!(CallQueueCancelled),
                    Phase::Running => row!(CallCancelled),
                    _ => {}
                }
                self.step_aside(env, out);
                self.cut(env, now, AttemptState::Cancelled, Verdict::Ignored, out);
                self.reason = self.reason.or(env.policy.retry.as_ref().map(|_| "cancelled"));
                self.finish(Finish::Cancelled, out);
            }
        }
    }

    pub(super) fn fail<W>(&mut self, env: &Env<'_, W>, failure: Failure, outcome: Outcome, out: &mut Outputs) {
        self.failure = Some((failure, outcome));
        let guarded = self.begin.mode == Mode::Enforce && (env.policy.dead_letter.is_some() || env.policy.fallback.is_some());
        if let (How::Result(number), false) = (failure.how, guarded) {
            return self.finish(Finish::Value(number), out);
        }
        out.push(Output::Failed(failure));
        if guarded {
            self.phase = Phase::Failing;
        } else {
            row!(CallSurfaces);
            self.finish(Finish::Error, out);
        }
    }

    pub(super) fn classified<W>(&mut self, env: &Env<'_, W>, bits: Bits, out: &mut Outputs) {
        let (Phase::Failing, Some((_, outcome))) = (self.phase, self.failure.as_mut()) else { return };
        outcome.bits.0 |= bits.0;
        let outcome = *outcome;
        match env.policy.dead_letter {
            Some(letter) if outcome.verdict(Judge::DeadLetter, letter.has_on) == Verdict::Failure => {
                row!(LetterWritten);
                self.phase = Phase::Letter;
                out.push(Output::Letter);
            }
            letter => {
                if letter.is_some() {
                    row!(LetterSkipped);
                }
                self.fall_back(env, outcome, out);
            }
        }
    }

    pub(super) fn letter_ended<W>(&mut self, env: &Env<'_, W>, out: &mut Outputs) {
        let (Phase::Letter, Some((_, outcome))) = (self.phase, self.failure) else { return };
        if self.cancelled {
            return self.finish(Finish::Cancelled, out);
        }
        row!(LetterEnded);
        self.fall_back(env, outcome, out);
    }

    /// The stale result first, then the chain. What the consumer of a stream has seen cannot be taken back, so there is none after it.
    fn fall_back<W>(&mut self, env: &Env<'_, W>, outcome: Outcome, out: &mut Outputs) {
        match env.policy.fallback {
            Some(fallback) if !self.stream.has_begun() && outcome.verdict(Judge::Fallback, fallback.has_on) == Verdict::Failure => {
                if fallback.stale {
                    row!(FallbackStale);
                    self.phase = Phase::Fallback(None);
                    out.push(Output::Fallback(None));
                } else {
                    self.next_step(env, 0, out);
                }
            }
            _ => self.surface(out),
        }
    }

    fn next_step<W>(&mut self, env: &Env<'_, W>, step: u32, out: &mut Outputs) {
        if env.policy.fallback.is_some_and(|fallback| step < fallback.steps) {
            row!(FallbackStep);
            self.phase = Phase::Fallback(Some(step));
            out.push(Output::Fallback(Some(step)));
        } else {
            self.surface(out);
        }
    }

    pub(super) fn fallback_ended<W>(&mut self, env: &Env<'_, W>, end: StepEnd, out: &mut Outputs) {
        let Phase::Fallback(step) = self.phase else { return };
        let next = step.map_or(0, |step| step + 1);
        match end {
            StepEnd::Cancelled => self.finish(Finish::Cancelled, out),
            StepEnd::Returned => {
                row!(FallbackReturned);
                out.push(Output::Event(Event::FallbackUsed { step }));
                self.finish(Finish::Fallback(step), out);
            }
            StepEnd::Failed => {
                row!(FallbackFailed);
                out.push(Output::Event(Event::FallbackFailed { step }));
                self.next_step(env, next, out);
            }
            StepEnd::Missing => self.next_step(env, next, out),
        }
    }

    /// Ends with the failure itself; a rejected result is returned.
    fn surface(&mut self, out: &mut Outputs) {
        row!(FallbackNone);
        match self.failure {
            Some((Failure { how: How::Result(number), .. }, _)) => self.finish(Finish::Value(number), out),
            _ => self.finish(Finish::Error, out),
        }
    }
}
