//! A value for each process, across `fork` too.
//!
//! A forked child must not use its parent's files, and a lock that another thread of the parent held at that moment stays locked in the
//! child for ever. So each process finds a slot of its own by its id and never touches another's.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::DlqError;

/// Generations of forks that one value can follow.
const SLOTS: usize = 8;

#[derive(Default)]
struct Slot<T> {
    /// Zero: nobody's.
    pid: AtomicU32,
    value: T,
}

/// One `T` per process that asks.
#[derive(Default)]
pub struct PerProcess<T> {
    slots: [Slot<T>; SLOTS],
}

impl<T> PerProcess<T> {
    /// This process's.
    ///
    /// # Errors
    /// `store.failed` after more forks in a row than there are slots.
    pub fn get(&self) -> Result<&T, DlqError> {
        let pid = std::process::id();
        for slot in &self.slots {
            // Slots fill up in order, so ours comes before the first that is free. AcqRel: whoever takes a slot hands its value to the
            // threads that find it.
            let took = slot.pid.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Acquire);
            if took.is_ok() || took == Err(pid) {
                return Ok(&slot.value);
            }
        }
        Err(DlqError::failed(format!("store: opened before {SLOTS} forks in a row; open the queue in the process that uses it")))
    }
}
