//! Durations in buckets. The bounds are fixed, so histograms add up bucket by bucket.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::table::metrics::{BOUNDS_NS, bucket};

/// One more than there are bounds: what is longer than all of them.
pub(crate) const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// What one measured call of a fast path stands for.
pub(crate) const WEIGHT: u64 = 64;

/// Relaxed throughout: each word stands for itself; a reader may see a count whose sum is yet to come.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, ns: u64, weight: u64) {
        self.buckets[bucket(ns)].fetch_add(weight, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns.saturating_mul(weight), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Buckets {
        Buckets { counts: self.buckets.each_ref().map(|word| word.load(Ordering::Relaxed)), sum_ns: self.sum_ns.load(Ordering::Relaxed) }
    }

    pub(crate) fn forget(&self) {
        self.buckets.iter().chain([&self.sum_ns]).for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

/// A histogram as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// How many were in each bucket alone.
    pub counts: [u64; BUCKETS],
    /// The sum of all durations, in nanoseconds.
    pub sum_ns: u64,
}

impl Buckets {
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }
}

/// Which calls of a fast path are measured: gaps between them are drawn from 1 to 127, so that no pattern of the callers can keep step with
/// them, and 64 on average. The draws are the same in every process: what is measured must not depend on the language.
#[derive(Default)]
pub(crate) struct Sampler {
    left: AtomicU64,
    draws: AtomicU64,
}

impl Sampler {
    /// Whether the call that begins now is measured. For threads that take turns.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        // Relaxed, and no locked instruction: nobody else writes meanwhile.
        let left = self.left.load(Ordering::Relaxed);
        if left > 1 {
            self.left.store(left - 1, Ordering::Relaxed);
            return false;
        }
        self.draw(left)
    }

    #[cold]
    fn draw(&self, left: u64) -> bool {
        self.left.store(self.gap(), Ordering::Relaxed);
        // Nothing was drawn before the first call.
        left == 1
    }

    /// The next gap, for whoever counts by himself.
    pub(crate) fn gap(&self) -> u64 {
        let draw = self.draws.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // The finalizer of SplitMix64.
        let mut mixed = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        1 + (mixed ^ (mixed >> 31)) % (2 * WEIGHT - 1)
    }

    pub(crate) fn forget(&self) {
        self.left.store(0, Ordering::Relaxed);
        self.draws.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        for (place, bound) in BOUNDS_NS.iter().enumerate() {
            assert_eq!((bucket(bound - 1), bucket(*bound), bucket(bound + 1)), (place, place, place + 1));
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn one_call_in_64_is_measured_however_calls_alternate() {
        let sampler = Sampler::default();
        let mut seen = [0u32; 2];
        for call in 0..1_280_000 {
            seen[call % 2] += u32::from(sampler.is_due());
        }
        assert!(seen.iter().all(|count| (9_700..10_300).contains(count)), "{seen:?}");
    }
}
