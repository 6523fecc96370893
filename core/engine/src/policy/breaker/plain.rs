//! The plain case, for callers that must not pay for the others: a closed circuit that watches no call, turns no share away, and a success.
//!
//! What is here decides nothing of its own: where the case is not plain, [`Cell::admit_plain`] gives no permit and the caller asks
//! [`Cell::admit`]. A permit is the same wherever it came from, and [`Cell::record`] takes both.

use crate::sync::Ordering;

use super::admit::{Permit, PermitKind};
use super::word::{State, Streak, tagged};
use super::{Breaker, Cell, Sums, Window, count, time_window};
use crate::step::Transition;
use crate::table::layout::breaker as at;

impl Breaker {
    /// Whether these options let a closed circuit admit without a look at the clock or at the draws.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.slow.is_none() && !self.throttle && self.ramp_ms.is_none()
    }

    /// Whether a success says what time it is: it enters a bucket of its own moment.
    #[must_use]
    pub fn times_successes(&self) -> bool {
        matches!(self.window, Window::Time(_))
    }
}

impl Cell<'_> {
    /// A permit of a closed circuit. Only with plain options.
    #[inline]
    #[must_use]
    pub fn admit_plain(&self) -> Option<Permit> {
        let word = self.state_word();
        let permit = || Permit { generation: word.generation(), kind: PermitKind::Closed { watch: None }, started: 0 };
        (word.state() == State::Closed).then(permit)
    }

    /// Records a success of such a permit, as [`Cell::record`] does. `now` is asked only where there is trouble to judge, and `about` only
    /// where a window in time needs a moment: one that is a small part of a bucket late will do.
    #[inline]
    pub fn record_plain_success(&self, permit: Permit, about: impl FnOnce() -> u64, now: impl FnOnce() -> u64) -> Option<Transition> {
        let generation = permit.generation;
        let word = self.state_word();
        if word.generation() != generation || word.state() != State::Closed {
            return None;
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
        if tagged(self.word(at::FAILED_AT).load(Ordering::SeqCst), generation) == 0 {
            return None;
        }
        self.judge(word, Streak::default(), 0, now())
    }
}
