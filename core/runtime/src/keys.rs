//! The keys of one policy: at most ten thousand, the idle ones given up, one overflow key for what does not fit.
//!
//! | a call's key | what serves it |
//! |---|---|
//! | known | its state, marked as used; the lock is shared |
//! | new, room left | a state of its own; a few older keys are looked at, and go if they are evictable and idle for 15 minutes |
//! | new, no room | a state of its own in place of the evictable key that is idle for longest |
//! | new, no room, nothing evictable | the overflow state, shared and counted |
//!
//! No timer is kept: whoever brings a new key pays for the eviction. A key is evictable while no call holds its state and its words
//! say that nothing would be lost: see [`KeyState::settled_since`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::state::KeyState;

/// The most keys of one policy.
const MAX_KEYS: usize = 10_000;
/// Milliseconds after which an unused key may go.
const IDLE_MS: u64 = 15 * 60 * 1_000;
/// Older keys looked at for each new one. More than one, so that idle keys go faster than new ones come.
const LOOKS: usize = 4;
/// Keys that one search of a full table lines up for eviction, so that not every new key has to search.
const LINE: usize = 256;
/// Milliseconds between two searches of a full table in which nothing was evictable.
const SEARCH_AGAIN_MS: u64 = 1_000;

/// What serves a key.
pub(crate) struct Served {
    pub(crate) state: Arc<KeyState>,
    /// Whether it is the overflow state.
    pub(crate) overflow: bool,
}

#[derive(Default)]
struct Table {
    states: HashMap<Arc<str>, Arc<KeyState>>,
    /// The keys in the order in which they are looked at. One whose key is gone goes when it is looked at.
    ring: Vec<Arc<str>>,
    hand: usize,
    /// The longest idle keys of the last search, longest first, each with its last use then.
    line: VecDeque<(u64, Arc<str>)>,
    /// When a search found nothing.
    barren_ms: Option<u64>,
    overflow: Option<Arc<KeyState>>,
}

/// The states of a policy's keys.
#[derive(Default)]
pub(crate) struct Keys {
    table: RwLock<Table>,
    /// The latest time that any call told, in milliseconds. New keys are judged by it: a call is made before its time is known.
    latest_ms: AtomicU64,
}

impl Keys {
    /// The state of `key`, made by `make` if it is new.
    pub(crate) fn serve(&self, key: &str, make: impl Fn() -> KeyState) -> Served {
        if let Some(state) = self.table.read().states.get(key) {
            return Served { state: Arc::clone(state), overflow: false };
        }
        self.table.write().insert(key, self.latest_ms(), make)
    }

    /// The state of `key`, if it has one.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<KeyState>> {
        self.table.read().states.get(key).map(Arc::clone)
    }

    /// A call says what time it is while it works with `state`. Written once a second at most: calls share these words.
    pub(crate) fn touch(&self, state: &KeyState, now_ms: u64) {
        // Relaxed: a coarse time on its own. Eviction reads a key's word alone after it has found that nobody else holds the state.
        for word in [&state.used_ms, &self.latest_ms] {
            if word.load(Ordering::Relaxed) / 1_000 != now_ms / 1_000 {
                word.store(now_ms, Ordering::Relaxed);
            }
        }
    }

    fn latest_ms(&self) -> u64 {
        self.latest_ms.load(Ordering::Relaxed)
    }

    /// Every state with its key, the overflow state last.
    pub(crate) fn all(&self) -> Vec<(String, Arc<KeyState>)> {
        let table = self.table.read();
        let overflow = table.overflow.iter().map(|state| (String::new(), Arc::clone(state)));
        table.states.iter().map(|(key, state)| (key.to_string(), Arc::clone(state))).chain(overflow).collect()
    }

    /// Puts another state in place of each.
    pub(crate) fn replace(&self, make: impl Fn(&KeyState) -> KeyState) {
        let mut table = self.table.write();
        let Table { states, overflow, .. } = &mut *table;
        states.values_mut().chain(overflow).for_each(|state| *state = Arc::new(make(state)));
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        *self.table.write() = Table::default();
        self.latest_ms.store(0, Ordering::Relaxed);
    }
}

impl Table {
    fn insert(&mut self, key: &str, now_ms: u64, make: impl Fn() -> KeyState) -> Served {
        // Somebody else may have brought the key between the two locks.
        if let Some(state) = self.states.get(key) {
            return Served { state: Arc::clone(state), overflow: false };
        }
        self.look_around(now_ms);
        if self.states.len() >= MAX_KEYS && !self.evict_longest_idle(now_ms) {
            let state = Arc::clone(self.overflow.get_or_insert_with(|| Arc::new(make())));
            return Served { state, overflow: true };
        }
        let key: Arc<str> = key.into();
        let state = Arc::new(make());
        state.used_ms.store(now_ms, Ordering::Relaxed);
        self.states.insert(Arc::clone(&key), Arc::clone(&state));
        self.ring.push(key);
        Served { state, overflow: false }
    }

    /// The last use of a key that may go now. Exclusive access to the state proves that no call holds it, and makes what the last one
    /// wrote visible.
    fn evictable(&mut self, key: &str, now_ms: u64) -> Option<u64> {
        Arc::get_mut(self.states.get_mut(key)?)?.settled_since(now_ms)
    }

    fn look_around(&mut self, now_ms: u64) {
        for _ in 0..LOOKS.min(self.ring.len()) {
            self.hand = if self.hand < self.ring.len() { self.hand } else { 0 };
            let Some(key) = self.ring.get(self.hand).map(Arc::clone) else { return };
            let is_gone = self.states.get_key_value(&key).is_none_or(|(known, _)| !Arc::ptr_eq(known, &key));
            let is_idle = !is_gone && self.evictable(&key, now_ms).is_some_and(|used| now_ms.saturating_sub(used) >= IDLE_MS);
            if is_idle {
                self.states.remove(&key);
            }
            if is_gone || is_idle {
                self.ring.swap_remove(self.hand);
            } else {
                self.hand += 1;
            }
        }
    }

    fn evict_longest_idle(&mut self, now_ms: u64) -> bool {
        if self.evict_from_line(now_ms) {
            return true;
        }
        if self.barren_ms.is_some_and(|at| now_ms.abs_diff(at) < SEARCH_AGAIN_MS) {
            return false;
        }
        let mut idle: Vec<(u64, Arc<str>)> = self
            .states
            .iter_mut()
            .filter_map(|(key, state)| Arc::get_mut(state)?.settled_since(now_ms).map(|used| (used, Arc::clone(key))))
            .collect();
        idle.sort_unstable();
        idle.truncate(LINE);
        self.line = idle.into();
        let evicted = self.evict_from_line(now_ms);
        self.barren_ms = (!evicted).then_some(now_ms);
        evicted
    }

    /// Takes the first of the line that was not used since it was lined up.
    fn evict_from_line(&mut self, now_ms: u64) -> bool {
        while let Some((used, key)) = self.line.pop_front() {
            if self.evictable(&key, now_ms) == Some(used) {
                self.states.remove(&key);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
