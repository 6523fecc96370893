//! Half-open slots. A trial holds its slot by a lease; the lease that nobody ends votes failure at its deadline, so that a trial that
//! never reports can neither wedge the breaker nor let more calls through than there are slots.

use crate::sync::{AtomicU64, Ordering};

use super::Cell;
use super::admit::{Permit, PermitKind};
use super::word::{State, StateWord, tag};
use crate::fault::{Fault, seeded};
use crate::table::layout::breaker as at;
use crate::time::MS;

const FREE: u64 = 0;
const HELD: u64 = 1;
const SUCCEEDED: u64 = 2;
const FAILED: u64 = 3;
const DEADLINE: u64 = (1 << 46) - 1;

/// `generation:16 | code:2 | deadline_ms:46`, of one generation. A failure keeps its own millisecond in the deadline's place.
#[derive(Clone, Copy)]
struct Lease {
    code: u64,
    deadline_ms: u64,
}

fn pack(generation: u32, code: u64, deadline_ms: u64) -> u64 {
    (tag(generation) << 48) | (code << 46) | (deadline_ms & DEADLINE)
}

fn unpack(word: u64, generation: u32) -> Lease {
    if word >> 48 == tag(generation) {
        Lease { code: (word >> 46) & 3, deadline_ms: word & DEADLINE }
    } else {
        Lease { code: FREE, deadline_ms: 0 }
    }
}

/// The word of a slot without whoever holds it.
pub(super) fn disowned(word: u64) -> u64 {
    let is_held = (word >> 46) & 3 == HELD;
    if is_held { (word >> 48) << 48 } else { word }
}

/// The millisecond of a failure, and whether it was told: of one millisecond the lapses come first.
fn failed_at(lease: Lease, now_ms: u64) -> Option<(u64, bool)> {
    match lease.code {
        FAILED => Some((lease.deadline_ms, true)),
        HELD if lease.deadline_ms <= now_ms => Some((lease.deadline_ms, false)),
        _ => None,
    }
}

/// How the trials of a half-open generation stand.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) held: u32,
    /// The earliest deadline of a held lease.
    pub(super) earliest_ms: Option<u64>,
}

/// What a half-open generation has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Undecided,
    Close,
    /// Open, the break running from this millisecond; true if a lapse decided it.
    Open(u64, bool),
}

impl Cell<'_> {
    fn slots(&self) -> &[AtomicU64] {
        &self.words[at::LEASES..at::LEASES + self.options.slots as usize]
    }

    /// Takes a free slot until `deadline_ms`. Nobody takes over a lapsed one: it is spent.
    pub(super) fn take_slot(&self, generation: u32, deadline_ms: u64) -> Option<u32> {
        let held = pack(generation, HELD, deadline_ms);
        (0u32..).zip(self.slots()).find_map(|(number, word)| {
            // SeqCst: slots are compared with the state word, see `Cell::state_word`.
            let seen = word.load(Ordering::SeqCst);
            let is_ours = seen >> 48 == tag(generation);
            let free = if is_ours { unpack(seen, generation).code == FREE } else { self.era(generation).is_present() };
            if free && seeded(Fault::SlotTakenByStore) {
                word.store(held, Ordering::SeqCst);
                return Some(number);
            }
            (free && word.compare_exchange(seen, held, Ordering::SeqCst, Ordering::SeqCst).is_ok()).then_some(number)
        })
    }

    /// Ends a lease by its exact word; a lease that lapsed or ended before stays as it is.
    pub(super) fn end_slot(&self, generation: u32, slot: u32, deadline_ms: u64, succeeded: Option<bool>, now_ms: u64) -> bool {
        let Some(word) = self.slots().get(slot as usize) else { return false };
        let (code, at_ms) = match succeeded {
            None => (FREE, 0),
            Some(true) => (SUCCEEDED, 0),
            Some(false) => (FAILED, now_ms),
        };
        let mine = pack(generation, HELD, deadline_ms);
        if seeded(Fault::LeaseEndedByStore) {
            word.store(pack(generation, code, at_ms), Ordering::SeqCst);
            return true;
        }
        let ended = word.compare_exchange(mine, pack(generation, code, at_ms), Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if ended && succeeded.is_none() {
            row!(BreakerGivesBack);
        }
        ended
    }

    /// Holds the slot for another lease from `now`, for each item of a stream. A lease that lapsed or ended stays as it is. Gives the permit
    /// as it is from now on; the one before no longer ends the slot.
    #[must_use]
    pub fn renew(&self, permit: Permit, now: u64) -> Permit {
        let PermitKind::Trial { slot, deadline_ms } = permit.kind else { return permit };
        let (Some(word), true) = (self.slots().get(slot as usize), deadline_ms > now / MS) else { return permit };
        let later_ms = deadline_ms.max(self.lease_from(now));
        let (mine, renewed) = (pack(permit.generation, HELD, deadline_ms), pack(permit.generation, HELD, later_ms));
        // SeqCst as for every slot: a tally sees the lease before or after, never a free slot between.
        match word.compare_exchange(mine, renewed, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                row!(BreakerRenews);
                Permit { kind: PermitKind::Trial { slot, deadline_ms: later_ms }, ..permit }
            }
            Err(_) => permit,
        }
    }

    pub(super) fn tally(&self, generation: u32, now_ms: u64) -> Tally {
        let mut tally = Tally::default();
        for word in self.slots() {
            let lease = unpack(word.load(Ordering::SeqCst), generation);
            match lease.code {
                SUCCEEDED => tally.succeeded += 1,
                FAILED => tally.failed += 1,
                HELD if lease.deadline_ms <= now_ms => tally.failed += 1,
                HELD => {
                    tally.held += 1;
                    tally.earliest_ms = Some(tally.earliest_ms.map_or(lease.deadline_ms, |ms| ms.min(lease.deadline_ms)));
                }
                _ => {}
            }
        }
        tally
    }

    pub(super) fn decide(&self, generation: u32, tally: Tally, now_ms: u64) -> Decision {
        if tally.succeeded >= self.options.successes_to_close {
            return Decision::Close;
        }
        if tally.failed > self.options.slots - self.options.successes_to_close {
            let (from_ms, lapsed) = self.losing_failure(generation, now_ms).unwrap_or((now_ms, false));
            return Decision::Open(from_ms, lapsed);
        }
        Decision::Undecided
    }

    /// When the failure fell after which too few slots were left to close, and whether it was a lapse: the earliest failure that has
    /// enough others no later than itself. A lapse falls at its deadline, whenever it is noticed.
    fn losing_failure(&self, generation: u32, now_ms: u64) -> Option<(u64, bool)> {
        let spare = (self.options.slots - self.options.successes_to_close) as usize;
        let failures = || self.slots().iter().filter_map(move |word| failed_at(unpack(word.load(Ordering::SeqCst), generation), now_ms));
        let (at, told) = failures().filter(|key| failures().filter(|other| other <= key).count() > spare).min()?;
        Some((at, !told))
    }

    /// The state that a half-open word stands for: a lapse may have opened it, and that break may be over too.
    pub(super) fn half_open_state(&self, word: StateWord, now: u64) -> State {
        match self.decide(word.generation(), self.tally(word.generation(), now / MS), now / MS) {
            Decision::Open(from_ms, _) if now / MS < from_ms + self.next_break_ms(word.generation(), 0, from_ms) => State::Open,
            Decision::Undecided | Decision::Open(..) => State::HalfOpen,
            Decision::Close => State::Closed,
        }
    }
}
