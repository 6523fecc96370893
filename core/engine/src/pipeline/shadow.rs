//! A call in shadow: everything is judged and reported, nothing is enforced. What would have been refused goes on without a turn, a slot
//! or a permit, so it does not vote, as it would not have.

use super::{Call, Env};
use crate::policy::breaker::Permit;
use crate::policy::bulkhead::{Answer as SlotAnswer, Bulkhead, Waiters};
use crate::policy::rate_limit::Answer as TurnAnswer;
use crate::step::{Event, Output, Outputs};

impl Call {
    pub(super) fn attempt_in_shadow<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let ask = self.ask();
        Self::announce(env, now, env.cell().and_then(|cell| cell.settle(now)), out);
        let refusal = env.cell().and_then(|cell| cell.would_refuse(ask, now).inspect(|refusal| cell.count_refusal(refusal, now)));
        if let Some(refusal) = refusal {
            row!(ModeShadowRefused);
            out.push(Output::Event(Event::Rejected { code: refusal.code, retry_after_ms: refusal.retry_after_ms }));
            return self.start_attempt(env, now, None, false, out);
        }
        let turn = env.policy.rate_limit.as_ref().map_or(TurnAnswer::Pass, |limit| limit.take(env.rate_limit, now, None));
        if let TurnAnswer::Refuse(ms) = turn {
            row!(ModeShadowLimited);
            out.push(Output::Event(Event::Rejected { code: "rate.limited", retry_after_ms: Some(ms) }));
            return self.start_attempt(env, now, None, false, out);
        }
        let slot = Self::slot_in_shadow(env, now, out);
        let permit = if slot || env.policy.bulkhead.is_none() { self.permit_in_shadow(env, now, out) } else { None };
        self.start_attempt(env, now, permit, slot, out);
    }

    /// Takes a slot that is free. Where the call would have queued, the event says that; where it would have been full, that.
    fn slot_in_shadow<W: Waiters>(env: &Env<'_, W>, now: u64, out: &mut Outputs) -> bool {
        let Some(bulkhead) = Self::slots_at(env, now, out) else { return false };
        if bulkhead.enter(env.bulkhead, env.waiters, false) == SlotAnswer::Entered {
            return true;
        }
        let (in_use, queued) = Bulkhead::load(env.bulkhead);
        out.push(Output::Event(if queued < bulkhead.max_queue {
            row!(ModeShadowQueued);
            Event::Queued { in_use, queued }
        } else {
            row!(ModeShadowFull);
            Event::Rejected { code: "bulkhead.full", retry_after_ms: None }
        }));
        false
    }

    fn permit_in_shadow<W: Waiters>(&self, env: &Env<'_, W>, now: u64, out: &mut Outputs) -> Option<Permit> {
        let (answer, transition) = env.cell()?.admit(self.ask(), now);
        Self::announce(env, now, transition, out);
        answer
            .inspect_err(|refusal| {
                out.push(Output::Event(Event::Rejected { code: refusal.code, retry_after_ms: refusal.retry_after_ms }));
            })
            .ok()
    }
}
