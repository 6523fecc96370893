//! The plain case, for callers that must not pay for the others: a closed circuit that watches no call, turns no share away, and a success.
//!
//! What is here decides nothing of its own: where the case is not plain, [`Cell::admit_plain`] gives no permit and the caller asks
//! [`Cell::admit`]. A plain permit is a [`Permit`] in one word, so that it stays in a register while the callee runs.

use crate::sync::Ordering;

use super::admit::{Permit, PermitKind};
use super::word::{State, Streak, tagged};
use super::{Breaker, Cell, Refusal, Sums, Window, count, time_window};
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::MS;

/// A permit of a closed circuit that watches no call.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    generation: u32,
}

impl From<Plain> for Permit {
    fn from(Plain { generation }: Plain) -> Self {
        Self { generation, kind: PermitKind::Closed { watch: None }, started: 0 }
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
        (word.state() == State::Closed).then(|| Plain { generation: word.generation() })
    }

    /// Turns a call away, and counts that, where the circuit is held open for at least `margin_ms` more: so much earlier than now `about` may be.
    #[inline]
    #[must_use]
    pub fn refuse_plain(&self, about: u64, margin_ms: u64) -> Option<Refusal> {
        let word = self.state_word();
        let is_held = matches!(word.state(), State::Open | State::Isolated);
        let forever = word.until_ms() == 0 && word.state() == State::Isolated;
        if !is_held || !(forever || word.until_ms() > about / MS + margin_ms) {
            return None;
        }
        Some(self.refuse(word, about))
    }

    /// Records a success of such a permit, as [`Cell::record`] does, up to the judgement; gives whether there is trouble to judge. `about` is
    /// asked only where a window in time needs a moment: one that is a small part of a bucket late will do.
    #[inline]
    #[must_use]
    pub fn count_plain_success(&self, permit: Plain, about: impl FnOnce() -> u64) -> bool {
        let generation = permit.generation;
        let word = self.state_word();
        if word.generation() != generation || word.state() != State::Closed {
            return false;
        }
        Streak::end(self.word(at::STREAK), generation);
        match self.options.window {
            Window::Time(width) => {
                time_window::record(self.window, width, generation, about(), Sums { total: 1, ..Sums::default() });
            }
            Window::Count(size) => {
                count::record(self.window, size, generation, count::Entry::default());
            }
        }
        // SeqCst as in `judge`: a failure that has counted before this success did is seen here.
        tagged(self.word(at::FAILED_AT).load(Ordering::SeqCst), generation) != 0
    }

    /// The judgement after that. Somebody may have moved the circuit meanwhile; then theirs holds.
    #[must_use]
    pub fn judge_plain_success(&self, permit: Plain, now: u64) -> Option<Transition> {
        let word = self.state_word();
        let holds = word.generation() == permit.generation && word.state() == State::Closed;
        holds.then(|| self.judge(word, Streak::default(), 0, now)).flatten()
    }
}
