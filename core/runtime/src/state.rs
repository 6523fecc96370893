//! The words of one key, in this process's own memory.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use seawall_engine::pipeline::Policy;
use seawall_engine::policy::bulkhead::{WaitList, Waiters};

use crate::repeats::Repeats;

/// One key's shared state. Words that every call writes lie on cache lines of their own.
pub(crate) struct KeyState {
    /// Stands for this state in the chains of nested calls.
    pub(crate) id: u64,
    pub(crate) breaker: Box<[AtomicU64]>,
    pub(crate) bulkhead: CachePadded<AtomicU64>,
    pub(crate) waiters: Queue,
    pub(crate) rate_limit: CachePadded<AtomicU64>,
    pub(crate) hedge: Box<[AtomicU64]>,
    pub(crate) repeats: Repeats,
}

/// The lock around a wait list.
pub(crate) struct Queue(Mutex<WaitList>);

impl Waiters for Queue {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock())
    }
}

/// Each list numbers its tickets from a base of its own. JavaScript counts exactly to 2^53, so there is room for 2^21 lists of 2^32.
static LISTS: AtomicU64 = AtomicU64::new(0);

impl KeyState {
    pub(crate) fn new(policy: &Policy) -> Self {
        let id = LISTS.fetch_add(1, Ordering::Relaxed);
        let base = (id & 0x1F_FFFF) << 32;
        Self {
            id,
            breaker: words(policy.breaker.as_ref().map_or(0, seawall_engine::policy::breaker::Breaker::words)),
            bulkhead: CachePadded::new(AtomicU64::new(0)),
            waiters: Queue(Mutex::new(WaitList::starting_at(base))),
            rate_limit: CachePadded::new(AtomicU64::new(0)),
            hedge: words(hedge_words(policy)),
            repeats: Repeats::default(),
        }
    }
}

/// Only the percentile needs to remember durations.
fn hedge_words(policy: &Policy) -> usize {
    policy.hedge.as_ref().filter(|hedge| hedge.delay_ms.is_none()).map_or(0, |_| seawall_engine::table::layout::hedge::WORDS)
}

/// So many words of zero.
pub(crate) fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}
