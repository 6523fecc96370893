//! Hedge: another attempt beside one that takes unusually long.
//!
//! | at the delay | then |
//! |---|---|
//! | the circuit is closed, attempts and budget allow it, and neither a turn nor a slot must be waited for | an attempt starts beside the others |
//! | otherwise | nothing; the running attempts go on |
//!
//! The delay is fixed, or the 95th percentile (nearest rank) of the successful attempts of the last 30 s, once there are 20 of them: Dean and
//! Barroso, "The tail at scale" (CACM 56, 2013), defer the second request in this way so that it costs a few per cent of load.
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#hedge.

use crate::sync::{AtomicU64, Ordering};
use crate::table::layout::hedge::{HEAD, SAMPLES, WORDS};
use crate::time::MS;

/// Samples that are needed before the percentile means anything.
const ENOUGH: usize = 20;

/// How long a sample counts, in milliseconds.
const AGE_MS: u64 = 30_000;

const DURATION_BITS: u32 = 24;
const DURATION: u64 = (1 << DURATION_BITS) - 1;

/// The compiled options.
#[derive(Clone, Debug)]
pub struct Hedge {
    /// The fixed delay in milliseconds, or the percentile.
    pub delay_ms: Option<u64>,
    /// Attempts that may be started beside others, per call.
    pub max_hedges: u32,
    /// What pays where no retry brings a budget along.
    pub budget: Option<super::retry::Budget>,
}

impl Hedge {
    /// The delay before the next hedge, in milliseconds, if one can be told. `words` holds the latest durations, see [`observe`].
    #[must_use]
    pub fn delay_ms(&self, words: &[AtomicU64], now: u64) -> Option<u64> {
        self.delay_ms.or_else(|| percentile(words, now / MS)).map(|ms| ms.max(1))
    }
}

/// Keeps the duration of a successful attempt: `ended_ms:40 | duration_ms:24` in a ring.
pub fn observe(words: &[AtomicU64], now: u64, duration_ns: u64) {
    if words.len() < WORDS {
        return;
    }
    // Relaxed: each sample stands for itself, and one that is overwritten early only makes the ring a little shorter.
    let place = words[HEAD].fetch_add(1, Ordering::Relaxed) as usize % SAMPLES;
    let sample = ((now / MS + 1) << DURATION_BITS) | (duration_ns.div_ceil(MS)).min(DURATION);
    words[HEAD + 1 + place].store(sample, Ordering::Relaxed);
}

fn percentile(words: &[AtomicU64], now_ms: u64) -> Option<u64> {
    let mut durations = [0u64; SAMPLES];
    let mut count = 0;
    for word in words.iter().skip(HEAD + 1) {
        let sample = word.load(Ordering::Relaxed);
        if sample != 0 && (sample >> DURATION_BITS) - 1 + AGE_MS > now_ms && count < SAMPLES {
            durations[count] = sample & DURATION;
            count += 1;
        }
    }
    if count < ENOUGH {
        return None;
    }
    let seen = &mut durations[..count];
    seen.sort_unstable();
    // Nearest rank: the smallest value that at least 95 % do not exceed.
    seen.get((95 * count).div_ceil(100) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hedge() -> Hedge {
        Hedge { delay_ms: None, max_hedges: 1, budget: None }
    }

    #[test]
    fn the_percentile_is_the_nearest_rank_of_recent_samples() {
        let words: [AtomicU64; WORDS] = core::array::from_fn(|_| AtomicU64::new(0));
        for ms in 1..=19 {
            observe(&words, 0, ms * MS);
        }
        assert_eq!(hedge().delay_ms(&words, 0), None, "19 samples are too few");
        observe(&words, 0, 20 * MS);
        assert_eq!(hedge().delay_ms(&words, 0), Some(19), "rank ceil(0.95 x 20) = 19");
        assert_eq!(hedge().delay_ms(&words, 29_999 * MS), Some(19));
        assert_eq!(hedge().delay_ms(&words, 30_000 * MS), None, "30 s old is too old");
    }

    #[test]
    fn a_delay_is_at_least_a_millisecond_and_the_ring_forgets_its_oldest() {
        let words: [AtomicU64; WORDS] = core::array::from_fn(|_| AtomicU64::new(0));
        for _ in 0..SAMPLES {
            observe(&words, 0, 900 * MS);
        }
        for _ in 0..SAMPLES {
            observe(&words, 0, 0);
        }
        assert_eq!(hedge().delay_ms(&words, 0), Some(1));
    }
}
