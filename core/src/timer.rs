//! Timers for async calls, without a runtime of our own.
//!
//! One thread serves all of them, started by the first. It sleeps on a condition variable until the earliest is due and wakes the tasks
//! that wait; it runs nothing else. Under virtual time it only waits to be told, and whoever moves the time on wakes who is due.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use seawall_engine::time::MS;
use seawall_runtime::clock;

#[derive(Default)]
struct Timers {
    /// By due moment, then by number.
    waiting: Mutex<BTreeMap<(u64, u64), Waker>>,
    changed: Condvar,
    numbers: AtomicU64,
}

static TIMERS: LazyLock<Timers> = LazyLock::new(Timers::default);

/// Whether the thread runs. A process that may have no more threads polls its timers instead: wasteful, never wrong.
static SERVED: LazyLock<bool> =
    LazyLock::new(|| std::thread::Builder::new().name("seawall-timers".into()).spawn(|| TIMERS.serve()).is_ok());

impl Timers {
    fn serve(&self) {
        let mut waiting = self.waiting.lock();
        loop {
            let due = Self::take_due(&mut waiting);
            if !due.is_empty() {
                // Outside the lock: a waker is somebody else's code.
                parking_lot::MutexGuard::unlocked(&mut waiting, || due.into_iter().for_each(Waker::wake));
                continue;
            }
            match waiting.first_key_value() {
                Some((&(at, _), _)) if !clock::is_virtual() => {
                    let left = Duration::from_nanos(at.saturating_sub(clock::now()));
                    self.changed.wait_for(&mut waiting, left);
                }
                _ => self.changed.wait(&mut waiting),
            }
        }
    }

    fn take_due(waiting: &mut BTreeMap<(u64, u64), Waker>) -> Vec<Waker> {
        let later = waiting.split_off(&(clock::now().saturating_add(1), 0));
        std::mem::replace(waiting, later).into_values().collect()
    }
}

/// The clock has been moved on, or changed: whoever is due wakes now.
pub(crate) fn clock_moved() {
    let due = Timers::take_due(&mut TIMERS.waiting.lock());
    due.into_iter().for_each(Waker::wake);
    TIMERS.changed.notify_one();
}

/// A moment that a task waits for.
#[derive(Debug)]
pub(crate) struct Timer {
    at: u64,
    number: Option<u64>,
}

impl Timer {
    /// In so many milliseconds.
    pub(crate) fn after(ms: u64) -> Self {
        Self { at: clock::now().saturating_add(ms.saturating_mul(MS)), number: None }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if clock::now() >= self.at {
            self.leave();
            return Poll::Ready(());
        }
        if !*SERVED {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Relaxed: the number only has to differ.
        let number = *self.number.get_or_insert_with(|| TIMERS.numbers.fetch_add(1, Ordering::Relaxed));
        let mut waiting = TIMERS.waiting.lock();
        let is_first = waiting.first_key_value().is_none_or(|(first, _)| (self.at, number) <= *first);
        waiting.insert((self.at, number), context.waker().clone());
        drop(waiting);
        if is_first {
            TIMERS.changed.notify_one();
        }
        // The time may have been moved between the look and the entry.
        if clock::now() >= self.at {
            self.leave();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            TIMERS.waiting.lock().remove(&(self.at, number));
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.leave();
    }
}
