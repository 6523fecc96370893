//! The words of one key, in this process's own memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use seawall_engine::pipeline::Policy;
use seawall_engine::policy::breaker::{Breaker, State, Window};
use seawall_engine::policy::bulkhead::{Bulkhead, WaitList, Waiters};
use seawall_engine::table::layout::breaker as at;
use seawall_engine::time::MS;

use crate::force::HalfOpen;
use crate::repeats::Repeats;

/// One key's shared state. Words that every call writes lie on cache lines of their own.
pub(crate) struct KeyState {
    /// Stands for this state in the chains of nested calls.
    pub(crate) id: u64,
    pub(crate) breaker: Arc<[AtomicU64]>,
    window: Mutex<Slot>,
    pub(crate) bulkhead: CachePadded<AtomicU64>,
    pub(crate) waiters: Queue,
    /// Made once the limit adapts, which a reload may decide.
    adaptive: OnceLock<Box<[AtomicU64]>>,
    pub(crate) rate_limit: CachePadded<AtomicU64>,
    pub(crate) hedge: Box<[AtomicU64]>,
    pub(crate) repeats: Repeats,
    /// When a call last worked with it, in milliseconds, to the second.
    pub(crate) used_ms: AtomicU64,
    /// The half-open settings of the opening under way, and the last generation they hold for.
    pin: Mutex<Option<(u32, HalfOpen)>>,
    is_pinned: AtomicBool,
}

const CLOSED: u64 = State::Closed as u64;
const OPEN: u64 = State::Open as u64;
const HALF_OPEN: u64 = State::HalfOpen as u64;

/// The next generation, as wide as the word has it.
fn next_generation(generation: u32) -> u32 {
    (generation + 1) & 0x1F_FFFF
}

/// The window in force. Calls under way may still hold one before it, and what they count there is lost with it.
#[derive(Default)]
struct Slot {
    generation: u64,
    /// What the words are laid out for: the window, whether calls in flight are watched, and whether the breaker throttles.
    layout: Option<(Window, bool, bool)>,
    words: Option<Arc<[AtomicU64]>>,
}

/// The lock around a wait list, and beside it what is looked at without the lock.
pub(crate) struct Queue {
    list: Mutex<WaitList>,
    next_lapse: AtomicU64,
}

impl Queue {
    fn starting_at(base: u64) -> Self {
        Self { list: Mutex::new(WaitList::starting_at(base)), next_lapse: AtomicU64::new(u64::MAX) }
    }
}

impl Waiters for Queue {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        let mut list = self.list.lock();
        let found = work(&mut list);
        // Relaxed: a hint of when to take the lock, under which the truth is.
        self.next_lapse.store(list.next_lapse(), Ordering::Relaxed);
        found
    }

    fn next_lapse(&self) -> u64 {
        self.next_lapse.load(Ordering::Relaxed)
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
            breaker: words(policy.breaker.as_ref().map_or(0, Breaker::words)).into(),
            bulkhead: CachePadded::new(AtomicU64::new(0)),
            waiters: Queue::starting_at(base),
            adaptive: OnceLock::new(),
            rate_limit: CachePadded::new(AtomicU64::new(0)),
            hedge: words(hedge_words(policy)),
            repeats: Repeats::default(),
            used_ms: AtomicU64::new(0),
            window: Mutex::new(Slot::default()),
            pin: Mutex::new(None),
            is_pinned: AtomicBool::new(false),
        }
    }

    /// A copy for a process that was forked, in which none of the calls goes on that are under way here: they hold no slot in it, have no place in
    /// its queue, and end on the words they began on. The calls of the thread that forked, as `chain` has them, may go on: there too they
    /// need not wait for those that do not.
    pub(crate) fn inherited(&self, policy: &Policy, chain: &[u64]) -> Self {
        let held = chain.iter().filter(|id| **id == self.id).count();
        Bulkhead::disown(&self.bulkhead, &self.waiters, u32::try_from(held).unwrap_or(u32::MAX));
        let made = Self::new(policy);
        if let Some(breaker) = &policy.breaker {
            let slot = self.window.lock();
            let window: Option<Arc<[AtomicU64]>> = slot.words.as_deref().map(|words| copied(words).collect());
            copy(&self.breaker, &made.breaker);
            breaker.disown(&made.breaker, window.as_deref().filter(|_| slot.layout == Some(layout_of(breaker))).unwrap_or_default());
            *made.window.lock() = Slot { generation: slot.generation, layout: slot.layout, words: window };
        }
        copy(std::slice::from_ref(&*self.rate_limit), std::slice::from_ref(&*made.rate_limit));
        copy(&self.hedge, &made.hedge);
        if let Some(adaptive) = self.adaptive.get() {
            let _ = made.adaptive.set(copied(adaptive).collect());
        }
        made.used_ms.store(self.used_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        let pin = *self.pin.lock();
        made.is_pinned.store(pin.is_some(), Ordering::Relaxed);
        *made.pin.lock() = pin;
        made
    }

    /// The words of the adaptive limit; none, if these options have none.
    pub(crate) fn adaptive(&self, policy: &Policy) -> &[AtomicU64] {
        if policy.bulkhead.is_none_or(|bulkhead| bulkhead.adaptive.is_none()) {
            return &[];
        }
        self.adaptive.get_or_init(|| words(seawall_engine::table::layout::adaptive_limit::WORDS))
    }

    /// The state and the generation of the circuit.
    fn circuit(&self) -> Option<(u64, u32)> {
        let word = self.breaker.get(at::STATE)?.load(Ordering::SeqCst);
        let generation = (word & !(7 << at::STATE_SHIFT)) >> at::UNTIL.count_ones();
        Some((word >> at::STATE_SHIFT, generation as u32))
    }

    /// Keeps the half-open settings of an opening that is under way: others hold from the next one on.
    pub(crate) fn before_reload(&self, old: &Policy, new: &Policy) {
        let (Some(old), Some(new)) = (&old.breaker, &new.breaker) else { return };
        let (old, new) = (HalfOpen::of(old), HalfOpen::of(new));
        let last = match self.circuit() {
            Some((OPEN, generation)) => next_generation(generation),
            Some((HALF_OPEN, generation)) => generation,
            _ => return,
        };
        if old != new && self.half_open_pin().is_none() {
            *self.pin.lock() = Some((last, old));
            // Release pairs with the Acquire of whoever looks for the pin.
            self.is_pinned.store(true, Ordering::Release);
        }
    }

    /// The half-open settings that hold in place of those in force; forgotten once their opening is over.
    pub(crate) fn half_open_pin(&self) -> Option<HalfOpen> {
        if !self.is_pinned.load(Ordering::Acquire) {
            return None;
        }
        let mut pin = self.pin.lock();
        let holds = match (*pin, self.circuit()) {
            (Some((last, _)), Some((OPEN, generation))) => next_generation(generation) == last,
            (Some((last, _)), Some((HALF_OPEN, generation))) => generation == last,
            _ => false,
        };
        if !holds {
            *pin = None;
            self.is_pinned.store(false, Ordering::Release);
        }
        pin.map(|(_, settings)| settings)
    }

    /// The words of the window for the options of this generation; an empty window if they ask for another one than those before. `None`
    /// if newer options have come since.
    pub(crate) fn window(&self, breaker: Option<&Breaker>, generation: u64) -> Option<Arc<[AtomicU64]>> {
        let layout = breaker.map(layout_of);
        let mut slot = self.window.lock();
        if slot.generation > generation {
            return None;
        }
        slot.generation = generation;
        if slot.layout != layout || slot.words.is_none() {
            slot.layout = layout;
            slot.words = None;
        }
        Some(Arc::clone(slot.words.get_or_insert_with(|| words(breaker.map_or(0, Breaker::window_words)).into())))
    }

    /// What new options do at once; gives the tickets to be woken.
    pub(crate) fn after_reload(&self, new: &Policy, now: u64) -> Vec<u64> {
        if let Some(limit) = &new.rate_limit {
            limit.clamp(&self.rate_limit, now);
        }
        let slots = new.bulkhead.map(|bulkhead| bulkhead.at(self.adaptive(new)));
        slots.map_or_else(Vec::new, |bulkhead| bulkhead.grant_free(&self.bulkhead, &self.waiters))
    }

    /// When the state was last used, if a new one in its place would decide the same: no slot is in use and nobody waits, the circuit is
    /// closed or past its open deadline, nobody overrides it, and the rate limit is owed no turn. To be asked by whoever holds the state alone.
    pub(crate) fn settled_since(&mut self, now_ms: u64) -> Option<u64> {
        // Nobody else can hold these words: whoever does holds the state too.
        let word = Arc::get_mut(&mut self.breaker)?.get_mut(at::STATE).map_or(0, |word| *word.get_mut());
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

/// What the words of a window are laid out for.
fn layout_of(breaker: &Breaker) -> (Window, bool, bool) {
    (breaker.window, breaker.slow.is_some(), breaker.throttle)
}

/// Copies words that nobody writes meanwhile, hence Relaxed.
fn copy(from: &[AtomicU64], to: &[AtomicU64]) {
    from.iter().zip(to).for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
}

fn copied(from: &[AtomicU64]) -> impl Iterator<Item = AtomicU64> {
    from.iter().map(|word| AtomicU64::new(word.load(Ordering::Relaxed)))
}

/// For every hedge: a reload may turn a fixed delay into the percentile.
fn hedge_words(policy: &Policy) -> usize {
    policy.hedge.as_ref().map_or(0, |_| seawall_engine::table::layout::hedge::WORDS)
}

/// So many words of zero.
pub(crate) fn words(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests;
