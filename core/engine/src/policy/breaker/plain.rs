//! The plain case, for callers that must not pay for the others: a closed circuit that watches no call, turns no share away, and a success.
//!
//! What is here decides nothing of its own: where the case is not plain, [`Cell::admit_plain`] gives nothing and the caller asks
//! [`Cell::admit`]. [`Permit::plain`] makes the permit of it that [`Cell::record`] takes.

use crate::sync::Ordering;

use super::admit::{Ask, Permit, PermitKind, Refusal, left_ms};
use super::word::{State, StateWord, Streak, tagged};
use super::{Breaker, Cell, Window, count, time_window};
use crate::fault::{Fault, seeded};
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::MS;

impl Breaker {
    /// Whether these options let a closed circuit admit without a look at the clock or at the draws.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.slow.is_none() && !self.throttle && self.ramp_ms.is_none()
    }
}

impl Permit {
    /// The permit that [`Cell::admit_plain`] has given in `generation`.
    #[must_use]
    pub fn plain(generation: u32) -> Self {
        Self { generation, kind: PermitKind::Closed { watch: None }, started: 0 }
    }
}

impl Cell<'_> {
    /// The generation of a closed circuit, in which one attempt may pass and vote. Only with plain options.
    #[inline]
    #[must_use]
    pub fn admit_plain(&self) -> Option<u32> {
        let word = self.state_word();
        (word.state() == State::Closed).then(|| word.generation())
    }

    /// Turns a call away, and counts that, where the circuit is held open for more than `margin_ms` from `about` on: now may be so much later.
    /// Gives the code, and the milliseconds until another call makes sense, as a refusal by [`Cell::admit`] would at `about`.
    #[inline]
    #[must_use]
    pub fn turn_away_plain(&self, about: u64, margin_ms: u64) -> Option<(&'static str, Option<u64>)> {
        let word = self.state_word();
        let is_isolated = word.state() == State::Isolated;
        let retry_after_ms = match word.until_ms() {
            0 if is_isolated => None,
            until_ms if until_ms > about / MS + margin_ms => Some(left_ms(until_ms, about)),
            _ => return None,
        };
        if !is_isolated && word.state() != State::Open {
            return None;
        }
        self.count_rejection(word);
        Some((if is_isolated { "circuit.isolated" } else { "circuit.open" }, retry_after_ms))
    }

    /// The refusal of a circuit that is open or isolated, and known to be: nothing has to be written down first, as when a lapse has opened it.
    #[must_use]
    pub fn refuse_plain(&self, now: u64) -> Option<Refusal> {
        let is_open = matches!(self.state_word().state(), State::Open | State::Isolated);
        if is_open { self.would_refuse(Ask::default(), now) } else { None }
    }

    /// Records a success of an attempt that was admitted so, as [`Cell::record`] does. `now` is asked only where there is trouble to judge,
    /// and `about` only where a window in time needs a moment: one that is a small part of a bucket late will do.
    #[inline]
    pub fn record_plain_success(&self, generation: u32, about: impl FnOnce() -> u64, now: impl FnOnce() -> u64) -> Option<Transition> {
        if self.count_plain_success(generation, about) { self.judge_plain_success(generation, now()) } else { None }
    }

    /// The first half: counts the success, and gives whether there is trouble to judge.
    #[inline]
    #[must_use]
    pub fn count_plain_success(&self, generation: u32, about: impl FnOnce() -> u64) -> bool {
        // The word of a closed circuit says nothing else.
        if self.state_word() != StateWord::new(State::Closed, generation, 0) {
            return false;
        }
        let early = seeded(Fault::TroubleLooksFirst).then(|| self.has_seen_failures(generation));
        let ticket = match self.options.window {
            Window::Time(width) => {
                time_window::record_success(self.window, width, generation, about());
                None
            }
            Window::Count(size) => count::take(self.window, size, self.era(generation)),
        };
        // After the count: a failure writes this word before all others, and both count on one word by exchanges, so the last of the two sees
        // what the other has written. Where there was no failure in this generation there is no streak to end, and in the ring
        // no outcome to replace but successes.
        if !early.unwrap_or_else(|| self.has_seen_failures(generation)) {
            return false;
        }
        self.count_among_failures(generation, ticket);
        true
    }

    #[cold]
    fn count_among_failures(&self, generation: u32, ticket: Option<u64>) {
        Streak::end(self.word(at::STREAK), self.era(generation));
        if let (Some(ticket), Window::Count(size)) = (ticket, self.options.window) {
            count::put(self.window, size, self.era(generation), tagged(ticket, generation), count::Entry::default());
        }
    }

    /// The second half. Somebody may have moved the circuit meanwhile; then theirs holds.
    #[must_use]
    pub fn judge_plain_success(&self, generation: u32, now: u64) -> Option<Transition> {
        self.judge(StateWord::new(State::Closed, generation, 0), Streak::default(), 0, now)
    }

    #[inline]
    fn has_seen_failures(&self, generation: u32) -> bool {
        tagged(self.word(at::FAILED_AT).load(Ordering::SeqCst), generation) != 0
    }
}
