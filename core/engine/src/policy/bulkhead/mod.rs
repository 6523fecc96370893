//! Bulkhead: slots and a queue in front of them, first come, first served.
//!
//! | in use, queued | enter | leave |
//! |---|---|---|
//! | below the maximum, none queued | slot taken | slot freed |
//! | otherwise, queue has room | parked with a ticket | the slot passes to the first ticket, which is woken |
//! | otherwise | full | the same |
//!
//! A maximum that was lowered evicts nobody: a slot that is freed above it is gone, and passes to nobody. One that was raised gives its new
//! slots to whoever waits.
//!
//! Work that was cut, and that nobody can end, keeps its slot until it ends, but no longer than its patience ([`lent_for`]): then the slot
//! lapses, and its late end frees nothing. That is looked at by whoever comes for a slot or waits for one; no timer is kept for it.
//!
//! A call inside an attempt that holds a slot here never queues: it would wait for its own caller. It is full at once.
//!
//! One word holds both counts, so that no wake is lost between them: whoever frees a slot sees in the same word whether somebody waits.
//! The order of the waiters is in a list that the caller keeps behind a lock of its own, entered only when somebody waits.
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#bulkhead.

mod queue;

use alloc::vec::Vec;

use crate::policy::adaptive_limit::AdaptiveLimit;
use crate::sync::{AtomicU64, Ordering};
use crate::time::MS;

use crate::fault::{Fault, seeded};
pub use queue::{Place, WaitList};

/// The compiled options.
#[derive(Clone, Copy, Debug)]
pub struct Bulkhead {
    /// Slots; the most there may be, where their number adapts.
    pub max_concurrent: u32,
    /// Places in the queue.
    pub max_queue: u32,
    /// The longest wait in the queue, in milliseconds.
    pub max_wait_ms: Option<u64>,
    /// What finds the number of slots, if it adapts.
    pub adaptive: Option<AdaptiveLimit>,
}

/// The lock around a [`WaitList`], whose kind the engine does not know.
pub trait Waiters {
    /// Runs `work` alone on the list.
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T;

    /// [`WaitList::next_lapse`]. It may be a moment old: an implementation keeps it where it can be read without the lock.
    fn next_lapse(&self) -> u64 {
        self.with(|list| list.next_lapse())
    }
}

/// The shortest patience with work that was cut, in nanoseconds.
const PATIENCE: u64 = 60_000 * MS;

/// How long work that was cut may keep its slot, in nanoseconds: 60 s, or twice the limit of an attempt if that is more.
#[must_use]
pub fn lent_for(attempt_ns: Option<u64>) -> u64 {
    attempt_ns.map_or(PATIENCE, |limit| limit.saturating_mul(2).max(PATIENCE))
}

/// The answer to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A slot is taken.
    Entered,
    /// The caller waits with this ticket.
    Parked(u64),
    /// Neither.
    Full,
}

fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn join(in_use: u32, queued: u32) -> u64 {
    (u64::from(in_use) << 32) | u64::from(queued)
}

impl Bulkhead {
    /// With as many slots as there are now, by the words of the adaptive limit.
    #[must_use]
    pub fn at(mut self, adaptive: &[AtomicU64]) -> Self {
        if let Some(limit) = self.adaptive {
            self.max_concurrent = limit.limit(adaptive);
        }
        self
    }

    /// Slots in use and waiters queued.
    #[must_use]
    pub fn load(word: &AtomicU64) -> (u32, u32) {
        split(word.load(Ordering::Acquire))
    }

    /// Empties the bulkhead but for so many slots that are held. Only while nobody else works with it, as after a fork.
    pub fn disown(word: &AtomicU64, waiters: &impl Waiters, held: u32) {
        waiters.with(WaitList::clear);
        // Relaxed: alone with it, as said.
        word.store(join(held, 0), Ordering::Relaxed);
    }

    /// Whether an attempt that may not queue, or finds the queue full, would be refused. Takes nothing.
    #[must_use]
    pub fn would_refuse(&self, word: &AtomicU64, may_queue: bool) -> bool {
        let (in_use, queued) = Self::load(word);
        (in_use >= self.max_concurrent || queued > 0) && (!may_queue || queued >= self.max_queue)
    }

    /// Takes a slot or, if it may, a place in the queue.
    #[inline]
    pub fn enter(&self, word: &AtomicU64, waiters: &impl Waiters, may_queue: bool) -> Answer {
        if seeded(Fault::EnterLooksFirst) && !self.would_refuse(word, false) {
            let (in_use, queued) = Self::load(word);
            word.store(join(in_use + 1, queued), Ordering::Release);
            return Answer::Entered;
        }
        // Acquire and Release: what a leaving call did happens before what the next holder of its slot does.
        let taken = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (in_use, queued) = split(word);
            (in_use < self.max_concurrent && queued == 0).then(|| join(in_use + 1, 0))
        });
        if taken.is_ok() {
            row!(BulkheadEnters);
            return Answer::Entered;
        }
        if self.max_queue == 0 || !may_queue {
            row!(BulkheadFull);
            return Answer::Full;
        }
        waiters.with(|list| self.enter_or_park(word, list))
    }

    /// Under the lock only other entries are shut out, not leavers, so the count of the queue is raised in the same exchange that
    /// finds no slot free.
    #[cold]
    fn enter_or_park(&self, word: &AtomicU64, list: &mut WaitList) -> Answer {
        let mut parked = false;
        let changed = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (in_use, queued) = split(word);
            parked = in_use >= self.max_concurrent || queued > 0;
            match parked {
                false => Some(join(in_use + 1, queued)),
                true if queued < self.max_queue => Some(join(in_use, queued + 1)),
                true => None,
            }
        });
        match changed {
            Err(_) => {
                row!(BulkheadFull);
                Answer::Full
            }
            Ok(_) if parked => {
                row!(BulkheadParks);
                Answer::Parked(list.push())
            }
            Ok(_) => Answer::Entered,
        }
    }

    /// Gives a slot back. Somebody who waited now holds it and is to be woken.
    #[inline]
    pub fn leave(&self, word: &AtomicU64, waiters: &impl Waiters) -> Option<u64> {
        if seeded(Fault::LeaveLooksFirst) && Self::load(word).1 == 0 {
            word.fetch_sub(join(1, 0), Ordering::AcqRel);
            return None;
        }
        let freed = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (in_use, queued) = split(word);
            (queued == 0).then(|| join(in_use.saturating_sub(1), 0))
        });
        if freed.is_ok() {
            row!(BulkheadLeaves);
            return None;
        }
        waiters.with(|list| self.pass_on(word, list))
    }

    /// Notes that the work in a slot was cut and may hold it until `until`, in nanoseconds; gives the number to end it by.
    pub fn lend(waiters: &impl Waiters, until: u64) -> u64 {
        waiters.with(|list| list.lend(until))
    }

    /// Cut work has ended: as [`Bulkhead::leave`], unless its slot has lapsed.
    pub fn end_lent(&self, word: &AtomicU64, waiters: &impl Waiters, number: u64) -> Option<u64> {
        if waiters.with(|list| list.give_back(number)) {
            return self.leave(word, waiters);
        }
        row!(BulkheadLapsed);
        None
    }

    /// Frees the slots that cut work has held for too long; the tickets are to be woken.
    pub fn lapse(&self, word: &AtomicU64, waiters: &impl Waiters, now: u64, mut wake: impl FnMut(u64)) {
        if waiters.next_lapse() > now {
            return;
        }
        for _ in 0..waiters.with(|list| list.take_lapsed(now)) {
            row!(BulkheadLapses);
            self.leave(word, waiters).into_iter().for_each(&mut wake);
        }
    }

    /// Who waits longest, if a slot may lapse for it: it has to be told, since it waits for that moment.
    pub fn heir(word: &AtomicU64, waiters: &impl Waiters) -> Option<u64> {
        if Self::load(word).1 == 0 || waiters.next_lapse() == u64::MAX {
            return None;
        }
        waiters.with(|list| list.first())
    }

    /// Gives the slots that a raised maximum has added to whoever waits longest; the tickets are to be woken.
    pub fn grant_free(&self, word: &AtomicU64, waiters: &impl Waiters) -> Vec<u64> {
        if Self::load(word).1 == 0 {
            return Vec::new();
        }
        waiters.with(|list| core::iter::from_fn(|| self.grant_one(word, list)).collect())
    }

    fn grant_one(&self, word: &AtomicU64, list: &mut WaitList) -> Option<u64> {
        // The queue is counted, so under the lock nobody enters past it; slots may only be freed meanwhile.
        word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (in_use, queued) = split(word);
            (in_use < self.max_concurrent && queued > 0).then(|| join(in_use + 1, queued - 1))
        })
        .ok()?;
        row!(BulkheadRaised);
        list.grant_first()
    }

    /// Under the lock the queue cannot change, except that its last waiter may just have been cancelled: then the slot is freed.
    #[cold]
    fn pass_on(&self, word: &AtomicU64, list: &mut WaitList) -> Option<u64> {
        let is_above = Self::load(word).0 > self.max_concurrent;
        if is_above {
            row!(BulkheadGone);
        } else {
            row!(BulkheadPasses);
        }
        let next = if is_above { None } else { list.grant_first() };
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (in_use, queued) = split(word);
            Some(match next {
                Some(_) => join(in_use, queued.saturating_sub(1)),
                None => join(in_use.saturating_sub(1), queued),
            })
        });
        next
    }

    /// Where the holder of `ticket` stands, after a wake, a time-out or a cancellation; `abandon` takes it out of the queue.
    pub fn settle(&self, word: &AtomicU64, waiters: &impl Waiters, ticket: u64, abandon: bool) -> Place {
        waiters.with(|list| {
            let place = list.settle(ticket, abandon);
            if place == Place::Left {
                row!(BulkheadGivesUp);
                Self::drop_queued(word, 1);
            }
            place
        })
    }

    /// Turns away everybody who waits, because the circuit below has opened; the tickets are to be woken.
    pub fn turn_away(&self, word: &AtomicU64, waiters: &impl Waiters, mut wake: impl FnMut(u64)) {
        if Self::load(word).1 == 0 {
            return;
        }
        let tickets = waiters.with(|list| {
            row!(BulkheadTurnsAway);
            let tickets = list.turn_away_all();
            Self::drop_queued(word, u32::try_from(tickets.len()).unwrap_or(u32::MAX));
            tickets
        });
        tickets.into_iter().for_each(&mut wake);
    }

    fn drop_queued(word: &AtomicU64, count: u32) {
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (in_use, queued) = split(word);
            Some(join(in_use, queued.saturating_sub(count)))
        });
    }
}
