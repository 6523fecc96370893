//! The plain case, for callers that must not pay for the others: a closed circuit that watches no call, turns no share away, and a success.
//!
//! What is here decides nothing of its own: where the case is not plain, [`Cell::admit_plain`] gives no permit and the caller asks
//! [`Cell::admit`]. A plain permit is a [`Permit`] in one word, so that it stays in a register while the callee runs.

use crate::sync::Ordering;

use super::admit::{Permit, PermitKind, left_ms};
use super::word::{State, StateWord, Streak, tagged};
use super::{Breaker, Cell, Window, count, time_window};
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::MS;

/// A permit of a closed circuit that watches no call: the state word as it was. That of a closed circuit says nothing but its generation.
/// The default one is of the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain(StateWord);

impl From<Plain> for Permit {
    fn from(Plain(word): Plain) -> Self {
        Self { generation: word.generation(), kind: PermitKind::Closed { watch: None }, started: 0 }
    }
}

impl Breaker {
    /// Whether these options let a closed circuit admit without a look at the clock or at the draws.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.slow.is_none() && !self.throttle && self.ramp_ms.is_none()
    }
}

impl Cell<'_> {
    /// A permit of a closed circuit. Only with plain options.
    #[inline]
    #[must_use]
    pub fn admit_plain(&self) -> Option<Plain> {
        let word = self.state_word();
        (word.state() == State::Closed).then_some(Plain(word))
    }

    /// Turns a call away, and counts that, where the circuit is held open for more than `margin_ms` from `about` on: now may be so much later.
    /// Gives the code, and the milliseconds until another call makes sense, as a refusal by [`Cell::admit`] would at `about`.
    #[inline]
    #[must_use]
    pub fn refuse_plain(&self, about: u64, margin_ms: u64) -> Option<(&'static str, Option<u64>)> {
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

    /// Records a success of such a permit, as [`Cell::record`] does, up to the judgement; gives whether there is trouble to judge. `about` is
    /// asked only where a window in time needs a moment: one that is a small part of a bucket late will do.
    #[inline]
    #[must_use]
    pub fn count_plain_success(&self, Plain(word): Plain, about: impl FnOnce() -> u64) -> bool {
        if self.state_word() != word {
            return false;
        }
        let generation = word.generation();
        let ticket = match self.options.window {
            Window::Time(width) => {
                time_window::record_success(self.window, width, generation, about());
                None
            }
            Window::Count(size) => count::take(self.window, size, generation),
        };
        // SeqCst as in `judge`: of this success and a failure at the same time, the one that counted last sees the other. A failure writes this
        // word before all others. So where it says that there was none in this generation, there is no streak to end, and in the ring no
        // other outcome to replace.
        if tagged(self.word(at::FAILED_AT).load(Ordering::SeqCst), generation) == 0 {
            return false;
        }
        Streak::end(self.word(at::STREAK), generation);
        if let (Some(ticket), Window::Count(size)) = (ticket, self.options.window) {
            count::put(self.window, size, generation, tagged(ticket, generation), count::Entry::default());
        }
        true
    }

    /// The judgement after that. Somebody may have moved the circuit meanwhile; then theirs holds.
    #[must_use]
    pub fn judge_plain_success(&self, Plain(word): Plain, now: u64) -> Option<Transition> {
        self.judge(word, Streak::default(), 0, now)
    }
}
