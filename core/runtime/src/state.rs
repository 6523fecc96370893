//! The words of one key, in this process's own memory.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use seawall_engine::pipeline::Policy;
use seawall_engine::policy::breaker::State;
use seawall_engine::policy::bulkhead::{WaitList, Waiters};
use seawall_engine::table::layout::breaker as at;
use seawall_engine::time::MS;

use crate::repeats::Repeats;

/// One key's shared state. Words that every call writes lie on cache lines of their own.
pub(crate) struct KeyState {
    /// Stands for this state in the chains of nested calls.
    pub(crate) id: u64,
    pub(crate) breaker: Box<[AtomicU64]>,
    pub(crate) bulkhead: CachePadded<AtomicU64>,
    pub(crate) waiters: Queue,
    pub(crate) rate_limit: CachePadded<AtomicU64>,
    pub(crate) repeats: Repeats,
    /// When a call last worked with it, in milliseconds, to the second.
    pub(crate) used_ms: AtomicU64,
}

const CLOSED: u64 = State::Closed as u64;
const OPEN: u64 = State::Open as u64;
const HALF_OPEN: u64 = State::HalfOpen as u64;

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
            repeats: Repeats::default(),
            used_ms: AtomicU64::new(0),
        }
    }

    /// When the state was last used, if a new one in its place would decide the same: no slot is in use and nobody waits, the circuit is
    /// closed or past its open deadline, nobody overrides it, and the rate limit is owed no turn. To be asked by whoever holds the state alone.
    pub(crate) fn settled_since(&mut self, now_ms: u64) -> Option<u64> {
        let word = self.breaker.get_mut(at::STATE).map_or(0, |word| *word.get_mut());
        let (state, until_ms) = (word >> at::STATE_SHIFT, word & at::UNTIL);
        let calm = match state {
            CLOSED | HALF_OPEN => true,
            OPEN => until_ms <= now_ms,
            _ => false,
        };
        let idle = *self.bulkhead.get_mut() == 0 && *self.rate_limit.get_mut() <= now_ms.saturating_mul(MS);
        (calm && idle).then(|| *self.used_ms.get_mut())
    }
}

/// So many words of zero.
pub(crate) fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}
