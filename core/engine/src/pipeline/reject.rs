//! A rejection of this policy's own: by the breaker, the bulkhead or the rate limit. It says nothing about the callee, so it neither votes
//! nor is tried again, unless the retry's `on` names it; which only the language can tell.

use super::finish::ours;
use super::{Call, Env, Phase};
use crate::outcome::{Bits, Judge, Kind, Outcome, Pushback, Verdict};
use crate::policy::breaker::Refusal;
use crate::policy::bulkhead::Waiters;
use crate::step::{Event, Failure, How, Output, Outputs, TimerReason};

impl Call {
    pub(super) fn refused<W: Waiters>(&mut self, env: &Env<'_, W>, refusal: Refusal, out: &mut Outputs) {
        self.refusal = Some(refusal);
        self.reject(env, refusal.code, refusal.retry_after_ms, out);
    }

    pub(super) fn reject<W: Waiters>(&mut self, env: &Env<'_, W>, code: &'static str, retry_after_ms: Option<u64>, out: &mut Outputs) {
        out.push(Output::Event(Event::Rejected { code, retry_after_ms }));
        let failure = Failure { how: How::Ours(code), retry_after_ms, cause: 0 };
        let pushback = retry_after_ms.map_or(Pushback::None, Pushback::After);
        let outcome = Outcome { pushback, ..ours(Kind::Rejected) };
        if env.policy.retry.as_ref().is_some_and(|retry| retry.has_on) {
            self.failure = Some((failure, outcome));
            row!(CallRejectionAsked);
            self.phase = Phase::Rejected;
            return out.push(Output::Failed(failure));
        }
        if env.policy.retry.is_some() {
            self.stopped_by_breaker(code);
        }
        self.surface_rejection(env, failure, outcome, out);
    }

    /// Why the retry ends with the callee's last error. Whether the circuit was open, held open, or closed and throttling: the breaker
    /// inside turned the next attempt away, and which it was says the event of the rejection.
    fn stopped_by_breaker(&mut self, code: &str) {
        if self.last.is_some() && code.starts_with("circuit.") {
            self.reason = Some("breaker_open");
        }
    }

    /// A rejection surfaces only if no attempt reached the callee; otherwise the callee's last error does.
    fn surface_rejection<W>(&mut self, env: &Env<'_, W>, failure: Failure, outcome: Outcome, out: &mut Outputs) {
        match (self.phase, self.last) {
            (Phase::Rejected, _) => row!(CallRejectionKept),
            (_, Some(_)) => row!(CallRejectedLater),
            _ => row!(CallRejected),
        }
        let (failure, outcome) = self.last.unwrap_or((failure, outcome));
        self.fail(env, failure, outcome, out);
    }

    /// Whether `on` names the rejection. What it says of waiting is heeded like a server's word.
    pub(super) fn rejection_classified<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, bits: Bits, out: &mut Outputs) {
        let Some((failure, mut outcome)) = self.failure.take() else { return };
        let How::Ours(code) = failure.how else { return };
        outcome.bits.0 |= bits.0;
        if outcome.verdict(Judge::Retry, true) != Verdict::Failure {
            self.stopped_by_breaker(code);
            return self.surface_rejection(env, failure, outcome, out);
        }
        self.rejections += 1;
        let attempt = self.tries();
        match self.retry_wait(env, now, failure.how, outcome) {
            Some(Ok(ms)) => {
                if let Some(last) = self.attempts.last_mut() {
                    last.delay_ms = Some(last.delay_ms.unwrap_or(0).saturating_add(ms));
                }
                row!(CallRejectionRetried);
                self.phase = Phase::Backoff;
                out.push(Output::Event(Event::RetryScheduled { attempt, delay_ms: ms }));
                out.push(Output::Sleep(TimerReason::Backoff, ms));
            }
            stopped => {
                if let Some(Err(reason)) = stopped {
                    self.reason = Some(reason);
                    out.push(Output::Event(Event::RetryStopped { attempt, reason }));
                }
                self.surface_rejection(env, failure, outcome, out);
            }
        }
    }

    /// Attempts, and rejections that were tried again: what `max_attempts` counts.
    pub(super) fn tries(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(self.rejections)
    }
}
