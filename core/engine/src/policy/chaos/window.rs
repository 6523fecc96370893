//! When an experiment strikes: always, by a beat, or between moments that the runtime has read from a calendar.

use alloc::vec::Vec;

/// The compiled window, in nanoseconds of the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// Open until the experiment ends.
    #[default]
    Always,
    /// Open for the first `on` of every `every`, counted from the clock's zero.
    Beat {
        /// How long it is open.
        on: u64,
        /// From one opening to the next; not zero.
        every: u64,
    },
    /// Open from each first moment, included, to its second, excluded. In order, apart from each other.
    Spans(Vec<(u64, u64)>),
}

impl Window {
    /// Whether it is open at `now`.
    #[must_use]
    pub fn is_open(&self, now: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Beat { on, every } => now.checked_rem(*every).is_some_and(|into| into < *on),
            Self::Spans(spans) => {
                let begun = spans.partition_point(|(from, _)| *from <= now);
                begun.checked_sub(1).is_some_and(|last| now < spans[last].1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn its_first_moment_is_in_and_its_last_is_out() {
        let beat = Window::Beat { on: 2, every: 10 };
        assert_eq!([0, 1, 2, 9, 10, 11, 12].map(|now| beat.is_open(now)), [true, true, false, false, true, true, false]);
        let spans = Window::Spans(alloc::vec![(3, 5), (8, 9)]);
        assert_eq!([2, 3, 4, 5, 7, 8, 9].map(|now| spans.is_open(now)), [false, true, true, false, false, true, false]);
        assert!(!Window::Spans(alloc::vec![]).is_open(0) && Window::Always.is_open(u64::MAX));
    }
}
