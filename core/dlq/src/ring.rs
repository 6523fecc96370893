//! Letters in memory, on their way to a store that does not take them now, or for which nobody waits.
//!
//! Bounded, one per process: a child of a fork begins with none of its parent's, who still writes them. A thread writes them, again and again, and ends
//! when none are left. Nothing leaves the ring but into a store, or by [`abandon`], which gives it to a log.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::PerProcess;
use crate::chain::{Lost, Target};
use crate::fork;
use crate::letter::Parcel;

/// The most letters.
const LETTERS: usize = 1_000;
/// The most bytes.
const BYTES: usize = 16 << 20;
/// How long one letter may wait for other writers.
const WAIT: Duration = Duration::from_secs(5);
/// Pauses between rounds in which nothing could be written.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long the end waits for what is being written.
const LAST: Duration = Duration::from_millis(500);

static RING: LazyLock<PerProcess<Ring>> = LazyLock::new(PerProcess::default);

struct Entry {
    target: Target,
    parcel: Parcel,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// What the thread has in its hands.
    busy: Option<Arc<Entry>>,
    runs: bool,
    /// Somebody wants it now.
    hurry: bool,
}

#[derive(Default)]
struct Ring {
    state: Mutex<State>,
    changed: Condvar,
}

/// Takes a letter in; gives it back if there is no room.
pub(crate) fn offer(target: &Target, mut parcel: Parcel) -> Result<(), Box<Parcel>> {
    let Ok(ring) = RING.get() else { return Err(Box::new(parcel)) };
    let size = parcel.size();
    let mut state = ring.state.lock();
    if state.waiting.len() >= LETTERS || state.bytes + size > BYTES {
        return Err(Box::new(parcel));
    }
    if !state.runs {
        state.runs = std::thread::Builder::new().name("seawall-letters".into()).spawn(|| RING.get().map(Ring::work)).is_ok();
    }
    if !state.runs {
        return Err(Box::new(parcel));
    }
    state.bytes += size;
    parcel.wait = WAIT;
    state.waiting.push_back(Arc::new(Entry { target: target.clone(), parcel }));
    Ok(())
}

impl Ring {
    fn work(&self) {
        let (mut pause, mut failures) = (PAUSES.0, 0);
        let mut state = self.state.lock();
        while let Some(entry) = state.waiting.pop_front() {
            state.busy = Some(entry.clone());
            let size = entry.parcel.size();
            state.bytes -= size;
            let written = MutexGuard::unlocked(&mut state, || {
                // No fork comes between.
                let _inside = fork::inside();
                entry.target.deliver(&entry.parcel)
            });
            state.busy = None;
            if written.is_ok() {
                (pause, failures) = (PAUSES.0, 0);
            } else {
                // To the end of the line: it must not hold up another queue's.
                state.bytes += size;
                state.waiting.push_back(entry);
                failures += 1;
            }
            self.changed.notify_all();
            if failures >= state.waiting.len() && !state.waiting.is_empty() {
                if !std::mem::take(&mut state.hurry) {
                    self.changed.wait_for(&mut state, pause);
                }
                (pause, failures) = ((pause * 2).min(PAUSES.1), 0);
            }
        }
        state.runs = false;
        self.changed.notify_all();
    }
}

/// Waits until all letters in memory are written, until `by` at the latest. Tells whether they are. Not to be called [`inside`](crate::fork::inside).
#[must_use]
pub fn flush(by: Instant) -> bool {
    let Ok(ring) = RING.get() else { return true };
    let mut state = ring.state.lock();
    while state.busy.is_some() || !state.waiting.is_empty() {
        state.hurry = true;
        ring.changed.notify_all();
        if ring.changed.wait_until(&mut state, by).timed_out() {
            return state.busy.is_none() && state.waiting.is_empty();
        }
    }
    true
}

/// Gives up the letters that are in memory still, each counted as lost: for each a JSON object of its
/// `letter`, redacted, and of that as one short `line` for a log.
pub fn abandon() -> Vec<String> {
    let Ok(ring) = RING.get() else { return Vec::new() };
    let mut state = ring.state.lock();
    let by = Instant::now() + LAST;
    // What is in the thread's hands is written, or comes back.
    while state.busy.is_some() && !ring.changed.wait_until(&mut state, by).timed_out() {}
    state.bytes = 0;
    let mut left = std::mem::take(&mut state.waiting);
    // Or hangs: it may be written after all, but nobody will hear of it.
    left.extend(state.busy.clone());
    drop(state);
    let _inside = fork::inside();
    left.into_iter()
        .map(|entry| {
            entry.target.lost();
            Lost::of(&entry.parcel).json().to_string()
        })
        .collect()
}
