//! From the wish to attempt to the attempt: refusals are looked up first, innermost first and without effect; then resources are taken
//! outermost first, the breaker's permit last. So an open circuit uses up no turn and no slot, and no lease runs in a queue.

use super::{Call, Env, Mode, Phase};
use crate::policy::breaker::{Ask, Permit, Refusal, State};
use crate::policy::bulkhead::{Answer as SlotAnswer, Bulkhead, Place, Waiters};
use crate::policy::chaos::Strike;
use crate::policy::rate_limit::Answer as TurnAnswer;
use crate::step::{Event, Output, Outputs, TimerReason, Transition};
use crate::time::{MS, ceil_ms};

impl Call {
    pub(super) fn begin_attempt<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        if self.is_overdue(now) {
            return self.expire(env, now, out);
        }
        if let Some(cell) = env.cell() {
            Self::announce(env, now, cell.settle(now), out);
            if let Some(refusal) = cell.would_refuse(self.ask(), now) {
                cell.count_refusal(&refusal, now);
                return self.refused(env, refusal, out);
            }
        }
        if Self::slots_at(env, now, out).is_some_and(|bulkhead| bulkhead.would_refuse(env.bulkhead, !self.begin.reentrant)) {
            return self.reject(env, "bulkhead.full", None, out);
        }
        self.take_turn(env, now, out);
    }

    fn take_turn<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let Some(limit) = env.policy.rate_limit.as_ref() else { return self.enter(env, now, out) };
        let left_ms = self.left_ns(now).map(|left| left / MS);
        match limit.take(env.rate_limit, now, left_ms) {
            TurnAnswer::Pass => self.enter(env, now, out),
            TurnAnswer::Wait { ms, reservation } => {
                row!(CallTurn);
                self.phase = Phase::Turn { reservation };
                out.push(Output::Sleep(TimerReason::RateLimit, ms));
            }
            TurnAnswer::Refuse(ms) => self.reject(env, "rate.limited", Some(ms), out),
        }
    }

    pub(super) fn enter<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let Some(bulkhead) = Self::slots_at(env, now, out) else { return self.admit(env, now, false, out) };
        match bulkhead.enter(env.bulkhead, env.waiters, !self.begin.reentrant) {
            SlotAnswer::Entered => self.admit(env, now, true, out),
            SlotAnswer::Full => self.reject(env, "bulkhead.full", None, out),
            SlotAnswer::Parked(ticket) => {
                row!(CallParks);
                self.phase = Phase::Queued { ticket };
                self.queued_at = now;
                let (in_use, queued) = Bulkhead::load(env.bulkhead);
                out.push(Output::Park(ticket));
                self.arm_queue(env, &bulkhead, now, out);
                out.push(Output::Event(Event::Queued { in_use, queued }));
            }
        }
    }

    /// The longest wait in the queue from `now`: the option's, or the time left where no timer races the whole call.
    fn queue_wait_ms(&self, bulkhead: &Bulkhead, now: u64) -> Option<u64> {
        let own = bulkhead.max_wait_ms.map(|ms| (self.queued_at + ms * MS).saturating_sub(now));
        let left = if self.begin.cooperative { self.left_ns(now) } else { None };
        match (own, left) {
            (Some(own), Some(left)) => Some(ceil_ms(own.min(left))),
            (own, left) => own.or(left).map(ceil_ms),
        }
    }

    pub(super) fn queue_timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let Some(bulkhead) = Self::slots_at(env, now, out) else { return };
        match self.queue_wait_ms(&bulkhead, now) {
            Some(0) => self.granted(env, now, true, out),
            _ => self.arm_queue(env, &bulkhead, now, out),
        }
    }

    /// Until the wait is over, or a slot lapses, whichever comes first.
    fn arm_queue<W: Waiters>(&self, env: &Env<'_, W>, bulkhead: &Bulkhead, now: u64, out: &mut Outputs) {
        let lapse = Some(env.waiters.next_lapse()).filter(|at| *at != u64::MAX).map(|at| ceil_ms(at.saturating_sub(now)));
        if let Some(ms) = self.queue_wait_ms(bulkhead, now).into_iter().chain(lapse).min() {
            out.push(Output::Timer(TimerReason::Queue, 0, ms));
        }
    }

    /// The slots that there are now, those freed that have lapsed.
    pub(super) fn slots_at<W: Waiters>(env: &Env<'_, W>, now: u64, out: &mut Outputs) -> Option<Bulkhead> {
        let bulkhead = env.slots()?;
        bulkhead.lapse(env.bulkhead, env.waiters, now, |ticket| out.push(Output::Wake(ticket)));
        Some(bulkhead)
    }

    /// Wakes who waits longest while a slot may lapse, so that it arms the timer for that.
    pub(super) fn tell_heir<W: Waiters>(env: &Env<'_, W>, out: &mut Outputs) {
        out.extend(Bulkhead::heir(env.bulkhead, env.waiters).map(Output::Wake));
    }

    /// Fetches the answer for the parked ticket; `overdue` leaves the queue if there is none.
    pub(super) fn granted<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, overdue: bool, out: &mut Outputs) {
        let Phase::Queued { ticket } = self.phase else { return };
        let Some(bulkhead) = Self::slots_at(env, now, out) else { return };
        let place = bulkhead.settle(env.bulkhead, env.waiters, ticket, overdue);
        if place != Place::Waiting {
            Self::tell_heir(env, out);
        }
        match place {
            Place::Waiting => {
                out.push(Output::Park(ticket));
                self.arm_queue(env, &bulkhead, now, out);
            }
            Place::Granted if self.is_overdue(now) => {
                Self::leave(env, out);
                self.expire(env, now, out);
            }
            Place::Granted => {
                row!(CallGranted);
                self.admit(env, now, true, out);
            }
            Place::Left if self.is_overdue(now) => self.expire(env, now, out),
            Place::Left => {
                row!(CallQueueOver);
                self.reject(env, "bulkhead.full", None, out);
            }
            Place::TurnedAway => {
                row!(CallTurnedAway);
                self.turned_away(env, now, out);
            }
        }
    }

    /// The circuit opened while the call waited for its slot. It may have closed again since; the call was rejected all the same.
    fn turned_away<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, out: &mut Outputs) {
        let Some(cell) = env.cell() else { return self.reject(env, "bulkhead.full", None, out) };
        let refusal = cell.would_refuse(self.ask(), now).unwrap_or(Refusal {
            code: "circuit.open",
            state: State::Open,
            generation: 0,
            retry_after_ms: Some(0),
        });
        cell.count_refusal(&refusal, now);
        self.refused(env, refusal, out);
    }

    /// What the next attempt says when it asks the circuit breaker.
    pub(super) fn ask(&self) -> Ask {
        let attempt = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        Ask { ordinal: self.begin.ordinal, attempt, watched: !self.begin.stream && !self.begin.guard }
    }

    fn admit<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, slot: bool, out: &mut Outputs) {
        let permit = match env.cell() {
            None => None,
            Some(cell) => {
                let (answer, transition) = cell.admit(self.ask(), now);
                Self::announce(env, now, transition, out);
                match answer {
                    Ok(permit) => Some(permit),
                    Err(refusal) => {
                        if slot {
                            Self::leave(env, out);
                        }
                        return self.refused(env, refusal, out);
                    }
                }
            }
        };
        self.start_attempt(env, now, permit, slot, out);
    }

    pub(super) fn start_attempt<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, permit: Option<Permit>, slot: bool, out: &mut Outputs) {
        let enforced = self.begin.mode == Mode::Enforce;
        let attempt = self.push_attempt(env, now, permit, slot);
        let (strike, ended) =
            if self.begin.spared || !enforced { (None, None) } else { env.strike(now, attempt.number, self.begin.redrives) };
        if let (1, Some(budget), true) = (attempt.number, env.purse(), self.begin.mode != Mode::Disabled) {
            budget.deposit(env.budget, now);
        }
        if self.phase == Phase::New && enforced {
            row!(CallStarts);
        }
        self.phase = Phase::Running;
        out.extend(ended.map(|reason| Output::Event(Event::ChaosAborted { reason: reason.name() })));
        if let Some(strike) = strike {
            let Strike { injected, latency_ms } = strike;
            out.push(Output::Event(Event::Chaos { attempt: attempt.number, injected, latency_ms }));
            if env.policy.chaos.as_ref().is_some_and(|chaos| chaos.behavior) {
                out.push(Output::Behavior(attempt.number));
            }
        }
        let own_ms = env.policy.attempt_ns.filter(|_| enforced).map(ceil_ms);
        let left_ms = self.left_ns(now).map(ceil_ms);
        // Armed first: an injected latency is part of the attempt that the limit bounds, and that a hedge need not wait out.
        if let (Some(ms), false) = (own_ms, self.begin.cooperative) {
            out.push(Output::Timer(TimerReason::Attempt, attempt.number, ms));
        }
        self.arm_hedge(env, now, out);
        out.push(Output::Start {
            attempt: attempt.number,
            deadline_ms: own_ms.into_iter().chain(left_ms).min(),
            latency_ms: strike.map_or(0, |strike| strike.latency_ms),
            injected: strike.and_then(|strike| strike.injected),
        });
    }

    /// Frees a slot; whoever waited longest now holds it.
    pub(super) fn leave<W: Waiters>(env: &Env<'_, W>, out: &mut Outputs) {
        if let Some(bulkhead) = env.slots()
            && let Some(ticket) = bulkhead.leave(env.bulkhead, env.waiters)
        {
            out.push(Output::Wake(ticket));
        }
    }

    /// Tells of a transition. When the circuit opens, everybody queued above it is turned away at once, and an experiment that watches it ends.
    pub(super) fn announce<W: Waiters>(env: &Env<'_, W>, now: u64, transition: Option<Transition>, out: &mut Outputs) {
        let Some(transition) = transition else { return };
        out.push(Output::Event(Event::Breaker(transition)));
        if let (State::Open, Some(chaos)) = (transition.to, env.experiment())
            && let Some(reason) = chaos.opened(env.chaos, now)
        {
            out.push(Output::Event(Event::ChaosAborted { reason: reason.name() }));
        }
        if let (State::Open, Some(bulkhead)) = (transition.to, env.slots()) {
            bulkhead.turn_away(env.bulkhead, env.waiters, |ticket| out.push(Output::Wake(ticket)));
        }
    }
}
