//! Storms of one rejection: told loudly once a second, with the number of those that were not.

use std::sync::atomic::{AtomicU64, Ordering};

/// Milliseconds between two loud tellings.
const QUIET_MS: u64 = 1_000;
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// The codes that are watched, a word each.
const CODES: [&str; 4] = ["circuit.open", "circuit.isolated", "bulkhead.full", "rate.limited"];

/// `loud_at_ms + 1:40 | since:24` of each code; 0 for one that never came.
#[derive(Default)]
pub(crate) struct Repeats([AtomicU64; CODES.len()]);

impl Repeats {
    /// Whether this rejection is to be told loudly, and if so how many came since the last one that was.
    pub(crate) fn loud(&self, code: &str, now_ms: u64) -> Option<u64> {
        let Some(place) = CODES.iter().position(|known| *known == code) else { return Some(0) };
        let mut told = None;
        // Relaxed: the word stands for itself. One exchange decides, so of several threads one is loud and the others are counted.
        let _ = self.0[place].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (loud_at, since) = (word >> COUNT_BITS, word & COUNT);
            let is_loud = loud_at == 0 || now_ms + 1 >= loud_at + QUIET_MS;
            told = is_loud.then_some(since);
            Some(if is_loud { (now_ms + 1) << COUNT_BITS } else { (loud_at << COUNT_BITS) | (since + 1).min(COUNT) })
        });
        told
    }

    /// Counts a rejection that is not to be told loudly; false, and nothing is counted, if it is.
    pub(crate) fn quiet(&self, code: &str, now_ms: u64) -> bool {
        let Some(place) = CODES.iter().position(|known| *known == code) else { return false };
        // Relaxed, as above.
        let counted = self.0[place].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (loud_at, since) = (word >> COUNT_BITS, word & COUNT);
            let is_loud = loud_at == 0 || now_ms + 1 >= loud_at + QUIET_MS;
            (!is_loud).then(|| (loud_at << COUNT_BITS) | (since + 1).min(COUNT))
        });
        counted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_loud_and_says_how_many_were_not() {
        let repeats = Repeats::default();
        assert_eq!(repeats.loud("circuit.open", 0), Some(0));
        assert_eq!(repeats.loud("circuit.open", 1), None);
        assert_eq!(repeats.loud("circuit.open", 999), None);
        assert_eq!(repeats.loud("bulkhead.full", 999), Some(0), "another rejection has a count of its own");
        assert_eq!(repeats.loud("circuit.open", 1_000), Some(2));
        assert_eq!(repeats.loud("circuit.open", 5_000), Some(0));
    }

    #[test]
    fn a_quiet_one_counts_only_where_it_is_quiet() {
        let repeats = Repeats::default();
        assert!(!repeats.quiet("circuit.open", 0), "the first is loud");
        assert_eq!(repeats.loud("circuit.open", 0), Some(0));
        assert!(repeats.quiet("circuit.open", 1));
        assert!(!repeats.quiet("circuit.open", 1_000));
        assert_eq!(repeats.loud("circuit.open", 1_000), Some(1));
        assert!(!repeats.quiet("timeout.total", 1), "not watched: always loud");
    }
}
