//! An attempt's life: it runs, it ends or is cut, it votes once, and the retry is asked.

use super::{Call, Env, Mode, Phase};
use crate::chance::Purpose;
use crate::outcome::{Bits, Judge, Kind, Outcome, Pushback, Verdict};
use crate::policy::adaptive_limit::Sample;
use crate::policy::breaker::{Permit, State, Vote};
use crate::policy::bulkhead::{Bulkhead, Waiters, lent_for};
use crate::policy::hedge;
use crate::policy::retry::{COST, Situation};
use crate::step::{Event, Failure, Finish, How, Output, Outputs, TimerReason};
use crate::time::{MS, ceil_ms};

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it started, in nanoseconds.
    pub started: u64,
    /// When it ended or was cut.
    pub ended: Option<u64>,
    /// Where it stands.
    pub state: AttemptState,
    /// The wait of ours that followed it, in milliseconds.
    pub delay_ms: Option<u64>,
    /// The circuit breaker's permit, until it has voted.
    pub(super) permit: Option<Permit>,
    /// Whether it holds a slot of the bulkhead; abandoned work does until it really ends.
    pub(super) slot: bool,
    /// By what number the bulkhead knows the slot of work that was cut; 0 before that.
    pub(super) lent: u64,
    /// When its own limit passes, in nanoseconds.
    pub(super) deadline: Option<u64>,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// The callee works.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It ended with an error that does not count.
    Ignored,
    /// A limit passed; the callee may still work.
    TimedOut,
    /// It was cancelled; the callee may still work.
    Cancelled,
}

impl AttemptState {
    /// Its name in reports, letters and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "success",
            Self::Failed => "failure",
            Self::Ignored => "ignored",
            Self::TimedOut => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

pub(super) const CUT: Outcome = Outcome { kind: Kind::Timeout, bits: Bits(0), status: 0, pushback: Pushback::None };

/// What one more attempt costs after this outcome, in thousandths of a retry: double if the server said that it is overloaded.
const fn cost_of(outcome: Outcome) -> u64 {
    if outcome.throttled() { 2 * COST } else { COST }
}

impl Call {
    pub(super) fn push_attempt<W>(&mut self, env: &Env<'_, W>, now: u64, permit: Option<Permit>, slot: bool) -> Attempt {
        let own = env.policy.attempt_ns.map(|limit| now.saturating_add(limit));
        let attempt = Attempt {
            number: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1),
            started: now,
            ended: None,
            state: AttemptState::Running,
            delay_ms: None,
            permit,
            slot,
            lent: 0,
            deadline: own,
        };
        self.attempts.push(attempt);
        attempt
    }

    fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        self.attempts.get_mut((number as usize).checked_sub(1)?)
    }

    pub(super) fn ended<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, outcome: Outcome, out: &mut Outputs) {
        let Some(attempt) = self.attempt_mut(number).copied() else { return };
        if attempt.state != AttemptState::Running {
            row!(CallLateEnd);
            return self.free_slot(env, number, out);
        }
        if self.begin.mode == Mode::Disabled {
            return self.pass_through(now, number, outcome, out);
        }
        let limit = attempt.deadline.into_iter().chain(self.deadline.map(|deadline| deadline.at)).min();
        let overdue = limit.is_some_and(|limit| now > limit) && outcome.kind != Kind::Cancelled;
        let late = overdue || self.stream.late;
        let counts = self.close_attempt(env, now, number, outcome, late, out);
        self.free_slot(env, number, out);
        if overdue && !self.stream.late {
            let duration_ms = (now - attempt.started) / MS;
            row!(TimeoutLate);
            out.push(Output::Event(Event::TimeoutLate { attempt: number, duration_ms }));
        }
        match (outcome.kind, self.stream.has_begun()) {
            (Kind::Success, true) => row!(StreamEnds),
            (Kind::Error, true) => row!(StreamFails),
            _ => {}
        }
        match (outcome.kind, counts) {
            (Kind::Cancelled, _) => {
                row!(CallCalleeCancelled);
                self.decide(env, now, number, Finish::Cancelled, out);
            }
            // A late success is delivered, whatever its limit said and whatever `on_result` thinks of it; so is the end of a stream.
            (Kind::Success, _) if late || self.stream.has_begun() => self.decide(env, now, number, Finish::Value(number), out),
            (Kind::Success, Verdict::Success) => self.decide(env, now, number, Finish::Value(number), out),
            (Kind::Success, _) => self.failed_attempt(env, now, number, How::Result(number), outcome, out),
            _ => self.failed_attempt(env, now, number, How::Attempt(number), outcome, out),
        }
    }

    /// The policy is switched off: what the callee did is what the caller gets.
    fn pass_through(&mut self, now: u64, number: u32, outcome: Outcome, out: &mut Outputs) {
        let (state, finish) = match outcome.kind {
            Kind::Success => {
                row!(ModeDisabledValue);
                (AttemptState::Succeeded, Finish::Value(number))
            }
            Kind::Cancelled => (AttemptState::Cancelled, Finish::Cancelled),
            _ => {
                row!(ModeDisabledError);
                (AttemptState::Failed, Finish::Error)
            }
        };
        if let Some(attempt) = self.attempt_mut(number) {
            attempt.ended = Some(now);
            attempt.state = state;
        }
        if finish == Finish::Error {
            out.push(Output::Failed(Failure { how: How::Attempt(number), retry_after_ms: None, cause: 0 }));
        }
        self.finish(finish, out);
    }

    /// The call ends with this attempt; others lose.
    fn decide<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, finish: Finish, out: &mut Outputs) {
        self.cut_others(env, now, number, out);
        self.finish(finish, out);
    }

    /// An attempt failed. While others run, or another may start at once, only an error that must not be retried ends the call.
    fn failed_attempt<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, how: How, outcome: Outcome, out: &mut Outputs) {
        let failure = Failure { how, retry_after_ms: None, cause: 0 };
        if !matches!(how, How::Result(_)) {
            self.last = Some((failure, outcome));
        }
        if self.stream.has_begun() {
            self.break_stream(env, number, out);
            return self.fail(env, failure, outcome, out);
        }
        if env.policy.hedge.is_some() && self.is_retryable(env, how, outcome) {
            let at_once = outcome.pushback == Pushback::None && self.try_hedge(env, now, 0, cost_of(outcome), out);
            if at_once || self.others_run(number) {
                row!(CallOthersRun);
                return;
            }
        }
        self.cut_others(env, now, number, out);
        self.consider_retry(env, now, number, how, outcome, out);
    }

    fn is_retryable<W>(&self, env: &Env<'_, W>, how: How, outcome: Outcome) -> bool {
        let has_on = env.policy.retry.as_ref().is_some_and(|retry| retry.has_on);
        matches!(how, How::Ours(_)) || outcome.verdict(Judge::Retry, has_on) == Verdict::Failure
    }

    /// Votes, and marks how the attempt ended. Gives what the outcome is to the caller: a failure if anybody counts it as one.
    fn close_attempt<W: Waiters>(
        &mut self,
        env: &Env<'_, W>,
        now: u64,
        number: u32,
        outcome: Outcome,
        late: bool,
        out: &mut Outputs,
    ) -> Verdict {
        let retry_on = env.policy.retry.as_ref().is_some_and(|retry| retry.has_on);
        let breaker_on = env.policy.breaker.as_ref().is_some_and(|breaker| breaker.has_on);
        let to_retry = outcome.verdict(Judge::Retry, retry_on);
        let to_breaker = if late { Verdict::Failure } else { outcome.verdict(Judge::Breaker, breaker_on) };
        let failed = to_retry == Verdict::Failure || to_breaker == Verdict::Failure;
        let state = match outcome.kind {
            Kind::Success if !failed => AttemptState::Succeeded,
            Kind::Cancelled => AttemptState::Cancelled,
            _ if failed => AttemptState::Failed,
            _ => AttemptState::Ignored,
        };
        let started = self.attempt_mut(number).map_or(now, |attempt| attempt.started);
        if state == AttemptState::Failed {
            out.push(Output::Event(Event::AttemptFailed { attempt: number, duration_ms: now.saturating_sub(started) / MS }));
        }
        self.vote(env, now, number, state, to_breaker, outcome.pushback, out);
        let sample = match state {
            _ if late || (state == AttemptState::Failed && outcome.throttled()) => Some(Sample::Dropped),
            AttemptState::Succeeded => Some(Sample::Took(now.saturating_sub(started))),
            _ => None,
        };
        self.teach(env, now, number, sample, out);
        match outcome.kind {
            Kind::Success if failed => Verdict::Failure,
            Kind::Success => Verdict::Success,
            _ => to_retry,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one end, told in full")]
    pub(super) fn vote<W: Waiters>(
        &mut self,
        env: &Env<'_, W>,
        now: u64,
        number: u32,
        state: AttemptState,
        verdict: Verdict,
        pushback: Pushback,
        out: &mut Outputs,
    ) {
        let Some(attempt) = self.attempt_mut(number) else { return };
        attempt.ended = Some(now);
        attempt.state = state;
        if let (AttemptState::Succeeded, Some(_)) = (state, env.policy.hedge.as_ref()) {
            hedge::observe(env.hedge, now, now.saturating_sub(attempt.started));
        }
        let (Some(permit), Some(cell)) = (attempt.permit.take(), env.cell()) else { return };
        let server_ms = if let Pushback::After(ms) = pushback { ms } else { 0 };
        let transition = cell.record(permit, Vote { verdict, is_first: number == 1, server_ms }, now);
        Self::announce(env, now, transition, out);
    }

    /// What an end says about the adaptive limit, if the attempt holds a slot. How long a stream took says more about its consumer.
    fn teach<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, sample: Option<Sample>, out: &mut Outputs) {
        let Some(limit) = env.policy.bulkhead.as_ref().and_then(|bulkhead| bulkhead.adaptive) else { return };
        let Some(sample) = sample.filter(|_| !self.begin.stream && self.attempt_mut(number).is_some_and(|attempt| attempt.slot)) else {
            return;
        };
        let Some(change) = limit.observe(env.adaptive, now, sample, Bulkhead::load(env.bulkhead).0) else { return };
        out.push(Output::Event(Event::LimitChanged { from: change.from, to: change.to, reason: change.reason.name() }));
        if let Some(bulkhead) = env.slots() {
            out.extend(bulkhead.grant_free(env.bulkhead, env.waiters).into_iter().map(Output::Wake));
        }
    }

    pub(super) fn free_slot<W: Waiters>(&mut self, env: &Env<'_, W>, number: u32, out: &mut Outputs) {
        let Some(attempt) = self.attempt_mut(number) else { return };
        let (held, lent) = (core::mem::take(&mut attempt.slot), attempt.lent);
        match (lent, env.slots()) {
            _ if !held => {}
            (0, _) => Self::leave(env, out),
            (lent, Some(bulkhead)) => out.extend(bulkhead.end_lent(env.bulkhead, env.waiters, lent).map(Output::Wake)),
            (_, None) => {}
        }
    }

    /// Cuts what runs. Its slot stays taken until the callee really ends.
    pub(super) fn cut<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, state: AttemptState, verdict: Verdict, out: &mut Outputs) {
        for index in 0..self.attempts.len() {
            self.cut_one(env, now, index, state, verdict, out);
        }
    }

    /// Cuts one attempt, by its index, if it runs.
    pub(super) fn cut_one<W: Waiters>(
        &mut self,
        env: &Env<'_, W>,
        now: u64,
        index: usize,
        state: AttemptState,
        verdict: Verdict,
        out: &mut Outputs,
    ) {
        let Some(attempt) = self.attempts.get(index).copied().filter(|attempt| attempt.state == AttemptState::Running) else { return };
        self.vote(env, now, attempt.number, state, verdict, Pushback::None, out);
        self.teach(env, now, attempt.number, (state == AttemptState::TimedOut).then_some(Sample::Dropped), out);
        if attempt.slot {
            self.attempts[index].lent = Bulkhead::lend(env.waiters, now.saturating_add(lent_for(env.policy.attempt_ns)));
            Self::tell_heir(env, out);
        }
        out.push(Output::Cancel(attempt.number));
    }

    pub(super) fn attempt_timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, out: &mut Outputs) {
        let Some(attempt) = self.attempt_mut(number).copied() else { return };
        let (AttemptState::Running, Some(deadline)) = (attempt.state, attempt.deadline) else { return };
        if now < deadline {
            return out.push(Output::Timer(TimerReason::Attempt, number, ceil_ms(deadline - now)));
        }
        row!(TimeoutAttempt);
        self.cut_one(env, now, number as usize - 1, AttemptState::TimedOut, Verdict::Failure, out);
        out.push(Output::Event(Event::TimeoutFired { code: "timeout.attempt", attempt: number }));
        self.failed_attempt(env, now, number, How::Ours("timeout.attempt"), CUT, out);
    }

    fn consider_retry<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, how: How, outcome: Outcome, out: &mut Outputs) {
        let failure = Failure { how, retry_after_ms: None, cause: 0 };
        match self.retry_wait(env, now, how, outcome) {
            None => {
                row!(CallFails);
                self.fail(env, failure, outcome, out);
            }
            Some(Err(reason)) => {
                row!(CallFails);
                self.reason = Some(reason);
                if reason != "not_retryable" {
                    out.push(Output::Event(Event::RetryStopped { attempt: number, reason }));
                }
                self.fail(env, failure, outcome, out);
            }
            Some(Ok(ms)) => {
                out.push(Output::Event(Event::RetryScheduled { attempt: number, delay_ms: ms }));
                if self.begin.mode == Mode::Shadow {
                    row!(ModeShadowRetry);
                    return self.fail(env, failure, outcome, out);
                }
                row!(CallBacksOff);
                self.phase = Phase::Backoff;
                if let Some(attempt) = self.attempt_mut(number) {
                    attempt.delay_ms = Some(ms);
                }
                out.push(Output::Sleep(TimerReason::Backoff, ms));
            }
        }
    }

    pub(super) fn retry_wait<W: Waiters>(
        &mut self,
        env: &Env<'_, W>,
        now: u64,
        how: How,
        outcome: Outcome,
    ) -> Option<Result<u64, &'static str>> {
        let retry = env.policy.retry.as_ref()?;
        if !self.is_retryable(env, how, outcome) {
            row!(RetryNot);
            return Some(Err("not_retryable"));
        }
        let breaker_open = env.cell().is_some_and(|cell| matches!(cell.state(now), State::Open | State::Isolated));
        let wait = retry.wait(Situation {
            attempt: self.tries(),
            waits: self.waits,
            pushback: outcome.pushback,
            breaker_open,
            left_ns: self.left_ns(now),
            attempt_ns: env.policy.attempt_ns.unwrap_or(0),
            previous_ns: self.previous_wait_ns,
            draw: env.source.draw(Purpose::Backoff, self.begin.ordinal, self.waits + 1),
        });
        let wait = match wait {
            Ok(wait) => wait,
            Err(reason) => return Some(Err(reason)),
        };
        if retry.budget.as_ref().is_some_and(|budget| !budget.withdraw(env.budget, now, cost_of(outcome))) {
            row!(RetryPoor);
            return Some(Err("budget_exhausted"));
        }
        if outcome.throttled() {
            row!(RetryThrottled);
        }
        row!(RetryWaits);
        self.waits += 1;
        self.previous_wait_ns = wait.own_ns;
        Some(Ok(wait.ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_throttling_costs_two() {
        let throttled = |status, pushback| Outcome { status, pushback, ..CUT };
        assert_eq!([429, 503, 500].map(|status| cost_of(throttled(status, Pushback::After(1)))), [2_000, 2_000, 1_000]);
        assert_eq!([429, 503].map(|status| cost_of(throttled(status, Pushback::None))), [2_000, 1_000]);
    }

    #[test]
    fn states_have_their_words_in_reports_and_letters() {
        use AttemptState::{Cancelled, Failed, Ignored, Running, Succeeded, TimedOut};
        let states = [Running, Succeeded, Failed, Ignored, TimedOut, Cancelled];
        assert_eq!(states.map(AttemptState::name), ["running", "success", "failure", "ignored", "timeout", "cancelled"]);
    }
}
