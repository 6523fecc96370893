//! Another attempt beside the running ones: when one takes long, or at once when one has failed.

use super::{AttemptState, Call, Env, Mode};
use crate::outcome::Verdict;
use crate::policy::breaker::State;
use crate::policy::bulkhead::{Answer as SlotAnswer, Waiters};
use crate::policy::rate_limit::Answer as TurnAnswer;
use crate::policy::retry::COST;
use crate::step::{Event, Output, Outputs, TimerReason};
use crate::time::MS;

impl Call {
    /// Whether an attempt runs besides `number`.
    pub(super) fn others_run(&self, number: u32) -> bool {
        self.attempts.iter().any(|attempt| attempt.number != number && attempt.state == AttemptState::Running)
    }

    /// Cancels every attempt but the one that has decided the call. A loser says nothing about the callee, and keeps its slot until it
    /// really ends.
    pub(super) fn cut_others<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, out: &mut Outputs) {
        for index in 0..self.attempts.len() {
            if self.attempts[index].number != number {
                if self.attempts[index].state == AttemptState::Running {
                    row!(HedgeLoses);
                }
                self.cut_one(env, now, index, AttemptState::Cancelled, Verdict::Ignored, out);
            }
        }
    }

    /// Arms the timer of the next hedge, if there may be one.
    pub(super) fn arm_hedge<W>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let Some(hedge) = env.policy.hedge.as_ref().filter(|hedge| self.may_hedge(env, now, hedge.max_hedges)) else { return };
        if let Some(ms) = hedge.delay_ms(env.hedge, now) {
            row!(HedgeArmed);
            self.hedge_at = now.saturating_add(ms * MS);
            out.push(Output::Timer(TimerReason::Hedge, 0, ms));
        } else {
            row!(HedgeUnknown);
        }
    }

    fn may_hedge<W>(&self, env: &Env<'_, W>, now: u64, max_hedges: u32) -> bool {
        let attempts_left = env.policy.retry.as_ref().is_none_or(|retry| self.tries() < retry.max_attempts);
        let closed = env.cell().is_none_or(|cell| cell.state(now) == State::Closed);
        let possible = self.begin.mode == Mode::Enforce && !self.begin.cooperative && !self.stream.has_begun();
        possible && self.hedges < max_hedges && attempts_left && closed
    }

    pub(super) fn hedge_timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        // A hedge that a failure started in the meantime has armed a later timer.
        if now >= self.hedge_at && self.others_run(0) {
            let since = self.attempts.iter().rev().find(|attempt| attempt.state == AttemptState::Running);
            let delay_ms = since.map_or(0, |attempt| now.saturating_sub(attempt.started) / MS);
            self.try_hedge(env, now, delay_ms, COST, out);
        }
    }

    /// Starts an attempt beside the others, if nothing has to be waited for. Looks first, takes afterwards.
    pub(super) fn try_hedge<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, delay_ms: u64, cost: u64, out: &mut Outputs) -> bool {
        let Some(hedge) = env.policy.hedge.as_ref() else { return false };
        let full = Self::slots_at(env, now, out).is_some_and(|bulkhead| bulkhead.would_refuse(env.bulkhead, false));
        let poor = env.purse().is_some_and(|budget| budget.left(env.budget, now) < cost);
        if full || poor || self.is_overdue(now) || !self.may_hedge(env, now, hedge.max_hedges) {
            match () {
                () if full => row!(HedgeFull),
                () if poor => row!(HedgePoor),
                () => row!(HedgeMayNot),
            }
            return false;
        }
        let turn = env.policy.rate_limit.as_ref().map_or(TurnAnswer::Pass, |limit| limit.take(env.rate_limit, now, Some(0)));
        if turn != TurnAnswer::Pass {
            row!(HedgeLimited);
            return false;
        }
        let slot = match env.slots() {
            Some(bulkhead) if bulkhead.enter(env.bulkhead, env.waiters, false) != SlotAnswer::Entered => return false,
            bulkhead => bulkhead.is_some(),
        };
        let paid = env.purse().is_none_or(|budget| budget.withdraw(env.budget, now, cost));
        let permit = if paid { self.hedge_permit(env, now, out) } else { None };
        let Some(permit) = permit else {
            if slot {
                Self::leave(env, out);
            }
            return false;
        };
        if delay_ms == 0 {
            row!(HedgeAtOnce);
        } else {
            row!(HedgeStarts);
        }
        self.hedges += 1;
        let attempt = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        out.push(Output::Event(Event::HedgeStarted { attempt, delay_ms }));
        self.start_attempt(env, now, permit, slot, out);
        true
    }

    /// A permit, or none where there is no breaker; outer none if it refuses.
    #[allow(clippy::option_option, reason = "refused, and nothing to ask, are two answers")]
    fn hedge_permit<W: Waiters>(&self, env: &Env<'_, W>, now: u64, out: &mut Outputs) -> Option<Option<crate::policy::breaker::Permit>> {
        let Some(cell) = env.cell() else { return Some(None) };
        let (answer, transition) = cell.admit(self.ask(), now);
        Self::announce(env, now, transition, out);
        answer.ok().map(Some)
    }
}
