//! The plain case, for callers that must not pay for the others: a closed circuit that watches no call, turns no share away, and a success.
//!
//! What is here decides nothing of its own: where the case is not plain, [`Cell::admit_plain`] gives nothing and the caller asks
//! [`Cell::admit`]. [`Permit::plain`] makes the permit of it that [`Cell::record`] takes.

use crate::sync::Ordering;

use super::admit::{Ask, Permit, PermitKind, Refusal};
use super::word::{State, Streak, tagged};
use super::{Breaker, Cell, Sums, Window, count, time_window};
use crate::fault::{Fault, seeded};
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
        let word = self.state_word();
        if word.generation() != generation || word.state() != State::Closed {
            return None;
        }
        let early = seeded(Fault::TroubleLooksFirst).then(|| self.has_seen_failures(generation));
        Streak::end(self.word(at::STREAK), generation);
        match self.options.window {
            Window::Time(width) => {
                time_window::record(self.window, width, generation, about(), Sums { total: 1, ..Sums::default() });
            }
            Window::Count(size) => {
                count::record(self.window, size, generation, count::Entry::default());
            }
        }
        // After the count: a failure writes this word before it counts, and both count on one word by exchanges, so the last of the two sees
        // what the other has written.
        if !early.unwrap_or_else(|| self.has_seen_failures(generation)) {
            return None;
        }
        self.judge(word, Streak::default(), 0, now())
    }
    fn has_seen_failures(&self, generation: u32) -> bool {
        tagged(self.word(at::FAILED_AT).load(Ordering::SeqCst), generation) != 0
    }
}
