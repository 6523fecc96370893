//! A copy of a breaker's words for a process in which none of the calls under way goes on, as after a fork.
//!
//! Circuit, history, counts and window stay. What calls hold goes: half-open slots, and entries of the calls that are watched for being slow.
//! The calls end on the words they began on, so nothing of them comes here.

use crate::sync::{AtomicU64, Ordering};

use super::{Breaker, lease, watch};
use crate::table::layout::breaker as at;

impl Breaker {
    /// Frees what calls hold in `words` and `window`, which are nobody else's yet.
    pub fn disown(&self, words: &[AtomicU64], window: &[AtomicU64]) {
        let slots = words.get(at::LEASES..).unwrap_or_default();
        change(slots, lease::disowned);
        if self.slow.is_some() {
            let watched = window.get(self.window_words() - at::WATCHED..self.window_words()).unwrap_or_default();
            change(watched, watch::disowned);
        }
    }
}

fn change(words: &[AtomicU64], new: impl Fn(u64) -> u64) {
    for word in words {
        // Relaxed: they are shared after this, by somebody who orders it.
        word.store(new(word.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}
