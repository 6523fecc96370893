//! Streams: items that arrive one by one. The limit of an attempt ends with its first item, `idle` holds between items, `total` over the
//! whole, and the consumer's own time counts for none of them. Before the first item a stream is an ordinary attempt; after it a failure
//! votes and surfaces, for what the consumer has seen cannot be taken back.
//!
//! | | input | then |
//! |---|---|---|
//! | no item yet | `Item` | the attempt has won: others are cancelled, its own limit is over, time stands still |
//! | held by the consumer | `Asked` | time runs, the idle timer is armed |
//! | awaited | `Item` | time stands still, the lease is renewed |
//! | awaited | `Timer(Idle)` | cut: `timeout.idle`, reason `stream_broken` |
//! | any | `Stopped` | a success after an item, before it cancelled |
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#streams.

use super::{AttemptState, Call, Env, Mode};
use crate::outcome::Verdict;
use crate::policy::bulkhead::Waiters;
use crate::step::{Event, Failure, Finish, How, Output, Outputs, TimerReason};
use crate::time::{MS, ceil_ms};

/// What a call knows of its stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    items: u64,
    /// Since when the consumer works.
    held: Option<u64>,
    /// Since when it waits for an item after the first.
    awaited: Option<u64>,
    idle_armed: bool,
    /// The total's timer fired while the consumer worked.
    pub(super) total_due: bool,
    /// An item came after its limit, where nothing could be cut.
    pub(super) late: bool,
}

impl Stream {
    pub(super) const fn has_begun(&self) -> bool {
        self.items > 0
    }

    pub(super) const fn held_since(&self) -> Option<u64> {
        self.held
    }
}

impl Call {
    fn is_running(&self, number: u32) -> bool {
        let attempt = (number as usize).checked_sub(1).and_then(|index| self.attempts.get(index));
        attempt.is_some_and(|attempt| attempt.state == AttemptState::Running)
    }

    pub(super) fn asked<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, out: &mut Outputs) {
        let Some(held) = self.stream.held.take().filter(|_| self.is_running(number)) else { return };
        let pause = now.saturating_sub(held);
        if let Some(deadline) = self.deadline.as_mut() {
            deadline.at = deadline.at.saturating_add(pause);
        }
        if let Some(attempt) = self.attempts.get_mut(number as usize - 1) {
            attempt.permit = attempt.permit.map(|permit| permit.postponed(pause));
        }
        row!(StreamAsked);
        self.stream.awaited = Some(now);
        if self.begin.cooperative || self.begin.mode != Mode::Enforce {
            return;
        }
        if let (Some(idle), false) = (env.policy.idle_ns, self.stream.idle_armed) {
            self.stream.idle_armed = true;
            out.push(Output::Timer(TimerReason::Idle, number, ceil_ms(idle)));
        }
        if let (true, Some(left)) = (core::mem::take(&mut self.stream.total_due), self.left_ns(now)) {
            out.push(Output::Timer(TimerReason::Total, 0, ceil_ms(left)));
        }
    }

    pub(super) fn item<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, out: &mut Outputs) {
        if !self.is_running(number) {
            return;
        }
        let limit = match self.stream.awaited.take() {
            Some(since) => env.policy.idle_ns.map(|idle| since.saturating_add(idle)),
            None => self.attempts.get(number as usize - 1).and_then(|attempt| attempt.deadline),
        };
        if limit.is_some_and(|limit| now > limit) && !core::mem::replace(&mut self.stream.late, true) {
            let started = self.attempts.get(number as usize - 1).map_or(now, |attempt| attempt.started);
            out.push(Output::Event(Event::TimeoutLate { attempt: number, duration_ms: now.saturating_sub(started) / MS }));
        }
        if self.stream.items > 0 {
            row!(StreamItem);
        } else {
            row!(StreamFirst);
            self.cut_others(env, now, number, out);
            if let Some(attempt) = self.attempts.get_mut(number as usize - 1) {
                attempt.deadline = None;
            }
        }
        if let (Some(attempt), Some(cell)) = (self.attempts.get_mut(number as usize - 1), env.cell()) {
            attempt.permit = attempt.permit.map(|permit| cell.renew(permit, now));
        }
        self.stream.items += 1;
        self.stream.held = Some(now);
    }

    pub(super) fn idle_timer<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, out: &mut Outputs) {
        self.stream.idle_armed = false;
        let (Some(since), Some(idle), true) = (self.stream.awaited, env.policy.idle_ns, self.is_running(number)) else { return };
        let due = since.saturating_add(idle);
        if now < due {
            self.stream.idle_armed = true;
            return out.push(Output::Timer(TimerReason::Idle, number, ceil_ms(due - now)));
        }
        row!(StreamIdle);
        row!(TimeoutIdle);
        self.cut_one(env, now, number as usize - 1, AttemptState::TimedOut, Verdict::Failure, out);
        out.push(Output::Event(Event::TimeoutFired { code: "timeout.idle", attempt: number }));
        let failure = Failure { how: How::Ours("timeout.idle"), retry_after_ms: None, cause: 0 };
        self.break_stream(env, number, out);
        self.fail(env, failure, super::attempt::CUT, out);
    }

    /// Says why nothing is tried again, once the consumer has seen an item.
    pub(super) fn break_stream<W>(&mut self, env: &Env<'_, W>, number: u32, out: &mut Outputs) {
        self.reason = Some("stream_broken");
        if env.policy.retry.is_some() {
            out.push(Output::Event(Event::RetryStopped { attempt: number, reason: "stream_broken" }));
        }
    }

    pub(super) fn stopped<W: Waiters>(&mut self, env: &Env<'_, W>, now: u64, number: u32, out: &mut Outputs) {
        if !self.is_running(number) {
            return;
        }
        if !self.stream.has_begun() {
            row!(StreamGivenUp);
            self.cancel(env, now, out);
            return self.free_slot(env, number, out);
        }
        row!(StreamStopped);
        let verdict = if self.stream.late { Verdict::Failure } else { Verdict::Success };
        self.vote(env, now, number, AttemptState::Succeeded, verdict, crate::outcome::Pushback::None, out);
        self.free_slot(env, number, out);
        self.finish(Finish::Value(number), out);
    }
}
