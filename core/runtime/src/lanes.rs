//! Counts of calls that do without the machine, one lane per thread.
//!
//! A lane that one thread alone writes needs no locked instruction, and shares no cache line. Threads take numbers; the first have lanes of
//! their own, all others share the last. A number is given back when its thread ends, so a lane has one writer at a time. The lanes of a
//! policy are made together, by its first such call: four kilobytes, which policies that are called otherwise do without.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use crate::metrics::REFUSED;

/// Lanes of a policy, a power of two; the last one is shared.
const LANES: usize = 32;
const SHARED: usize = LANES - 1;
const NONE: usize = usize::MAX;

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(NONE) };
    static HELD: RefCell<Option<Number>> = const { RefCell::new(None) };
}

/// Numbers given back, and the next one.
static FREE: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

/// A thread's number, given back with the thread.
struct Number(usize);

impl Drop for Number {
    fn drop(&mut self) {
        // What the thread still counts from here on goes where everybody may write.
        let _ = NUMBER.try_with(|number| number.set(SHARED));
        if self.0 < SHARED {
            FREE.lock().0.push(self.0);
        }
    }
}

#[cold]
fn take_number() -> usize {
    let number = {
        let mut free = FREE.lock();
        free.0.pop().unwrap_or_else(|| {
            free.1 = (free.1 + 1).min(SHARED + 1);
            free.1 - 1
        })
    };
    let kept = HELD.try_with(|held| *held.borrow_mut() = Some(Number(number))).is_ok();
    // A thread that is ending can keep nothing: it shares.
    let number = if kept { number.min(SHARED) } else { SHARED };
    NUMBER.set(number);
    number
}

#[derive(Default)]
pub(crate) struct Words {
    begun: AtomicU64,
    passed: AtomicU64,
    rejected: [AtomicU64; REFUSED],
}

/// All lanes of one policy.
pub(crate) type Table = [CachePadded<Words>; LANES];

/// The lanes of one policy, made by the first who asks for them.
#[derive(Default)]
pub(crate) struct Lanes(OnceLock<Arc<Table>>);

#[cold]
fn shared_or_new(number: usize) -> usize {
    if number == NONE { take_number() } else { SHARED }
}

/// Where one thread counts.
#[derive(Clone, Copy)]
pub struct Lane<'a> {
    words: &'a Words,
    number: usize,
}

/// Where this thread counts in `table`.
#[inline]
pub(crate) fn lane(table: &Table) -> Lane<'_> {
    let number = NUMBER.get();
    let number = if number < SHARED { number } else { shared_or_new(number) };
    Lane { words: &table[number & SHARED], number }
}

impl Lanes {
    /// For whoever asks often.
    pub(crate) fn table(&self) -> &Arc<Table> {
        self.0.get_or_init(Arc::default)
    }

    fn all(&self) -> impl Iterator<Item = &Words> {
        self.0.get().into_iter().flat_map(|table| table.iter()).map(|lane| &**lane)
    }

    fn sum(&self, word: impl Fn(&Words) -> &AtomicU64) -> u64 {
        self.all().map(|lane| word(lane).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    /// Calls that have begun and may draw.
    pub(crate) fn begun(&self) -> u64 {
        self.sum(|words| &words.begun)
    }

    /// Those of all lanes but one.
    pub(crate) fn begun_elsewhere(&self, number: usize) -> u64 {
        let own = self.0.get().and_then(|table| table.get(number)).map_or(0, |lane| lane.begun.load(Ordering::Relaxed));
        self.begun().wrapping_sub(own)
    }

    /// Calls that passed.
    pub(crate) fn passed(&self) -> u64 {
        self.sum(|words| &words.passed)
    }

    /// Calls that were turned away for the reason at this place among the metrics'.
    pub(crate) fn rejected(&self, reason: usize) -> u64 {
        self.sum(|words| &words.rejected[reason])
    }

    /// Only while no call runs.
    pub(crate) fn forget(&self) {
        for lane in self.all() {
            lane.begun.store(0, Ordering::Relaxed);
            lane.passed.store(0, Ordering::Relaxed);
            lane.rejected.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}

impl Lane<'_> {
    #[inline]
    fn up(self, word: &AtomicU64) {
        // Relaxed: a count stands for itself. Whoever had the number before wrote under the lock that handed it on.
        if self.number == SHARED {
            word.fetch_add(1, Ordering::Relaxed);
        } else {
            word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Counts a call that begins and may draw; gives how many had begun here before, and the lane's number.
    #[inline]
    pub(crate) fn begin(self) -> (u64, usize) {
        let before = self.words.begun.load(Ordering::Relaxed);
        self.up(&self.words.begun);
        (before, self.number)
    }

    /// Counts a call that passed at its first attempt.
    #[inline]
    pub fn passed(self) {
        self.up(&self.words.passed);
    }

    /// Counts a call that was turned away.
    #[inline]
    pub fn rejected(self, code: &str) {
        self.up(&self.words.rejected[crate::metrics::refusal(code)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_however_many_threads_come_and_go() {
        let lanes = Lanes::default();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..LANES + 8 {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            lane(lanes.table()).passed();
                        }
                        lane(lanes.table()).rejected("circuit.open");
                    });
                }
            });
        }
        assert_eq!(lanes.passed(), 3 * (LANES as u64 + 8) * 1_000);
        assert_eq!(lanes.rejected(0), 3 * (LANES as u64 + 8));
    }
}
