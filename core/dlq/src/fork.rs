//! The moment of a fork, for hosts whose threads may be anywhere in here when another one forks.
//!
//! A lock that some other thread holds at that moment is held in the child for ever, those of SQLite and of the allocator's callers too. So a
//! host has every thread pass through [`inside`], and forks between [`begins`] and [`ended`], when nobody is inside. The lock is the
//! standard library's: it has no state outside of itself, so the child can open it.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static HELD: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// As long as it lives, a thread is at work with queues or stores. Not to be asked for by a thread that is inside already.
#[must_use]
pub struct Inside(#[expect(dead_code, reason = "held until it is dropped")] RwLockReadGuard<'static, ()>);

/// Goes inside, after a fork that is under way.
pub fn inside() -> Inside {
    // Nothing lies behind the lock that a panic could have left half done.
    Inside(GATE.read().unwrap_or_else(PoisonError::into_inner))
}

/// Waits until nobody is inside, and lets nobody in. For the thread that is about to fork.
pub fn begins() {
    let gate = GATE.write().unwrap_or_else(PoisonError::into_inner);
    HELD.with(|held| held.replace(Some(gate)));
}

/// Lets everybody in again: in the parent and in the child, on the thread that forked.
pub fn ended() {
    HELD.with(|held| held.take());
}
