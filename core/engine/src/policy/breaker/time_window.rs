//! A window in time: ten buckets aligned to multiples of their width, the current one included. Each outcome enters exactly one
//! life of one bucket; an old bucket is recycled by the exchange that first counts in its new life, and a late recorder finds it recycled.

use crate::sync::{AtomicU64, Ordering};

use super::Sums;
use crate::fault::{Fault, seeded};
use crate::table::layout::breaker::{BUCKET_WORDS, BUCKETS};

const COUNT: u64 = (1 << 24) - 1;

/// `generation:8 | epoch:32`, the life of a bucket.
#[inline]
fn life(generation: u32, epoch: u64) -> u64 {
    (u64::from(generation & 0xFF) << 56) | ((epoch & 0xFFFF_FFFF) << 24)
}

/// Whether the bucket has begun a later life than `life`: a later stretch of time or, within the same, a later generation. Its outcomes are
/// the window's, so a recorder that comes that late has nothing to count any more. Epochs and generations wrap: half the circle is later.
#[inline]
fn is_over(life: u64, word: u64) -> bool {
    let later = ((word >> 24) as u32).wrapping_sub((life >> 24) as u32) as i32;
    let newer = ((word >> 56) as u8).wrapping_sub((life >> 56) as u8) as i8;
    word & COUNT != 0 && (later > 0 || (later == 0 && newer > 0))
}

#[inline]
fn add(word: &AtomicU64, life: u64, by: u64) {
    if seeded(Fault::BucketByLoadAndStore) {
        let seen = word.load(Ordering::SeqCst);
        return word.store(life | ((if seen & !COUNT == life { seen & COUNT } else { 0 }) + by), Ordering::SeqCst);
    }
    // SeqCst pairs with the state word: see `Cell::state_word`.
    let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
        if is_over(life, word) && !seeded(Fault::BucketTakenBack) {
            return None;
        }
        let count = if word & !COUNT == life { word & COUNT } else { 0 };
        Some(life | count.saturating_add(by).min(COUNT))
    });
}

/// Counts one in a lane of buckets of another `shape`: width in nanoseconds, buckets, lanes.
pub(super) fn bump(words: &[AtomicU64], (width, buckets, lanes): (u64, usize, usize), lane: usize, generation: u32, now: u64) {
    let epoch = now / width;
    add(&words[lanes * (epoch % buckets as u64) as usize + lane], life(generation, epoch), 1);
}

/// What the buckets of another `shape` hold in one lane.
pub(super) fn lane(words: &[AtomicU64], (width, buckets, lanes): (u64, usize, usize), lane: usize, generation: u32, now: u64) -> u32 {
    let newest = now / width;
    (newest.saturating_sub(buckets as u64 - 1)..=newest).fold(0u32, |sum, epoch| {
        let word = words[lanes * (epoch % buckets as u64) as usize + lane].load(Ordering::SeqCst);
        sum.saturating_add(if word & !COUNT == life(generation, epoch) { (word & COUNT) as u32 } else { 0 })
    })
}

/// Counts `outcomes` at `now`. The total comes last: whoever judges after it sees what the same outcome counted elsewhere.
pub(super) fn record(words: &[AtomicU64], width: u64, generation: u32, now: u64, outcomes: Sums) {
    let epoch = now / width;
    let at = BUCKET_WORDS * (epoch % BUCKETS as u64) as usize;
    for (lane, by) in [(1, outcomes.failures), (2, outcomes.slow), (0, outcomes.total)] {
        if by > 0 {
            add(&words[at + lane], life(generation, epoch), u64::from(by));
        }
    }
}

/// The same for one success.
#[inline]
pub(super) fn record_success(words: &[AtomicU64], width: u64, generation: u32, now: u64) {
    let epoch = now / width;
    add(&words[BUCKET_WORDS * (epoch % BUCKETS as u64) as usize], life(generation, epoch), 1);
}

/// Counts a failure in the bucket of `epoch`, whose outcome was counted before, if that is still in the window.
pub(super) fn mark_failed(words: &[AtomicU64], width: u64, generation: u32, now: u64, epoch: u64) {
    if (now / width).saturating_sub(epoch) < BUCKETS as u64 {
        add(&words[BUCKET_WORDS * (epoch % BUCKETS as u64) as usize + 1], life(generation, epoch), 1);
    }
}

/// What the last ten buckets hold.
pub(super) fn sum(words: &[AtomicU64], width: u64, generation: u32, now: u64) -> Sums {
    let newest = now / width;
    let oldest = newest.saturating_sub(BUCKETS as u64 - 1);
    let count = |at: usize, epoch: u64| {
        let word = words[at].load(Ordering::SeqCst);
        if word & !COUNT == life(generation, epoch) { (word & COUNT) as u32 } else { 0 }
    };
    (oldest..=newest).fold(Sums::default(), |sums, epoch| {
        let at = BUCKET_WORDS * (epoch % BUCKETS as u64) as usize;
        Sums {
            total: sums.total + count(at, epoch),
            failures: sums.failures + count(at + 1, epoch),
            slow: sums.slow + count(at + 2, epoch),
        }
    })
}
