//! Counts of calls that do without the machine, by threads that take turns, as under an interpreter's lock: two words in place of lanes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::REFUSED;

#[derive(Default)]
pub(crate) struct Turns {
    passed: AtomicU64,
    rejected: [AtomicU64; REFUSED],
}

/// For whoever's turn it is.
#[inline]
fn up(word: &AtomicU64) {
    // Relaxed, and no locked instruction: nobody else writes meanwhile, and whoever gives the turn away orders this before what comes after.
    word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl Turns {
    #[inline]
    pub(crate) fn pass(&self) {
        up(&self.passed);
    }

    /// `reason`: the place of the metrics' reason.
    pub(crate) fn reject(&self, reason: usize) {
        up(&self.rejected[reason]);
    }

    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    pub(crate) fn rejected(&self, reason: usize) -> u64 {
        self.rejected[reason].load(Ordering::Relaxed)
    }

    /// Only while no call runs.
    pub(crate) fn forget(&self) {
        self.passed.store(0, Ordering::Relaxed);
        self.rejected.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}
