//! A window of the last N outcomes: a true ring.
//!
//! A recorder takes a ticket, exchanges the outcome in the ring at the ticket's place, and changes the counts of failures and of slow calls by the difference
//! between what it wrote and what it replaced. So at rest the count equals a scan of the ring, whatever the interleaving, and in a
//! healthy service nothing but the ticket is written. Each generation has a side of its own (its parity), whose words carry the
//! generation's tag: an older tag reads as empty, which makes a reset free.

use crate::sync::{AtomicU64, Ordering};

use super::Sums;
use super::word::{tag, tagged, update_tagged};
use crate::fault::{Fault, seeded};
use crate::table::layout::breaker::OUTCOMES_PER_WORD;

/// Added to the stored count of failures, so that it may be read as negative for an instant while a slow writer is lapped.
const BIAS: u64 = 1 << 40;

/// Words before the ring: the ticket, the failures and the slow calls.
const HEAD: usize = 3;

/// One outcome of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

impl Entry {
    fn bits(self) -> u64 {
        u64::from(self.failed) | (u64::from(self.slow) << 1)
    }

    fn of(bits: u64) -> Self {
        Self { failed: bits & 1 != 0, slow: bits & 2 != 0 }
    }
}

struct Side<'a> {
    head: &'a AtomicU64,
    failures: &'a AtomicU64,
    slow: &'a AtomicU64,
    ring: &'a [AtomicU64],
}

fn ring_words(size: u32) -> usize {
    (size as usize).div_ceil(OUTCOMES_PER_WORD)
}

/// Words of a window of `size` outcomes: two sides.
pub(super) fn words(size: u32) -> usize {
    2 * (HEAD + ring_words(size))
}

fn side(words: &[AtomicU64], size: u32, generation: u32) -> Side<'_> {
    let ring = ring_words(size);
    let start = (generation as usize & 1) * (HEAD + ring);
    let end = start + HEAD + ring;
    Side { head: &words[start], failures: &words[start + 1], slow: &words[start + 2], ring: &words[start + HEAD..end] }
}

/// Records one outcome and gives its ticket; none if the generation is over.
pub(super) fn record(words: &[AtomicU64], size: u32, generation: u32, entry: Entry) -> Option<u64> {
    let side = side(words, size, generation);
    let ticket = take_ticket(side.head, generation)?;
    let place = (ticket % u64::from(size)) as usize;
    let shift = 2 * (place % OUTCOMES_PER_WORD);
    let replaced = exchange(&side.ring[place / OUTCOMES_PER_WORD], generation, shift, |_| entry)?;
    change(side.failures, generation, replaced.failed, entry.failed);
    change(side.slow, generation, replaced.slow, entry.slow);
    Some(ticket)
}

/// The generation is compared in the exchange that commits, so a late result can never count in a newer one.
fn take_ticket(head: &AtomicU64, generation: u32) -> Option<u64> {
    update_tagged(head, generation, |ticket| ticket + 1)
}

fn exchange(word: &AtomicU64, generation: u32, shift: usize, next: impl Fn(Entry) -> Entry) -> Option<Entry> {
    let changed = |outcomes: u64| (outcomes & !(3 << shift)) | (next(Entry::of(outcomes >> shift)).bits() << shift);
    if seeded(Fault::RingOfAnyGeneration) {
        let before = word.load(Ordering::SeqCst);
        word.store((tag(generation) << 48) | changed(tagged(before, generation)), Ordering::SeqCst);
        return Some(Entry::of(tagged(before, generation) >> shift));
    }
    // An entry that is there already is not written: the exchange would change nothing, so it is as if it had happened at this load. The
    // ticket was taken by an exchange before, and that pairs with the state word and with a judge's look at the head.
    let seen = word.load(Ordering::SeqCst);
    if seen == (tag(generation) << 48) | changed(tagged(seen, generation)) {
        return Some(Entry::of(tagged(seen, generation) >> shift));
    }
    // SeqCst pairs with the state word: see `Cell::state_word`.
    update_tagged(word, generation, changed).map(|before| Entry::of(before >> shift))
}

/// Moves a count by the difference between what an entry was and what it is; most often there is none and nothing is written.
fn change(count: &AtomicU64, generation: u32, was: bool, is: bool) {
    if was == is {
        return;
    }
    let changed = |value| {
        let value = if value == 0 { BIAS } else { value };
        if is { value + 1 } else { value - 1 }
    };
    if seeded(Fault::CountByLoadAndStore) {
        let value = tagged(count.load(Ordering::SeqCst), generation);
        return count.store((tag(generation) << 48) | changed(value), Ordering::SeqCst);
    }
    update_tagged(count, generation, changed);
}

/// Makes the slow outcome of `ticket` a failure too, if it is still in the window. Whoever laps the ring between the look and the exchange
/// may find its own slow outcome marked; the counts equal the ring all the same.
pub(super) fn mark_failed(words: &[AtomicU64], size: u32, generation: u32, ticket: u64) {
    let side = side(words, size, generation);
    if tagged(side.head.load(Ordering::SeqCst), generation).saturating_sub(ticket) > u64::from(size) {
        return;
    }
    let place = (ticket % u64::from(size)) as usize;
    let mark = |entry: Entry| Entry { failed: entry.failed || entry.slow, ..entry };
    if let Some(was) = exchange(&side.ring[place / OUTCOMES_PER_WORD], generation, 2 * (place % OUTCOMES_PER_WORD), mark) {
        change(side.failures, generation, was.failed, mark(was).failed);
    }
}

/// What the window holds.
pub(super) fn sum(words: &[AtomicU64], size: u32, generation: u32) -> Sums {
    let side = side(words, size, generation);
    let order = if seeded(Fault::HeadReadRelaxed) { Ordering::Relaxed } else { Ordering::SeqCst };
    let total = tagged(side.head.load(order), generation).min(u64::from(size)) as u32;
    let count = |word: &AtomicU64| (tagged(word.load(Ordering::SeqCst), generation).saturating_sub(BIAS) as u32).min(total);
    Sums { total, failures: count(side.failures), slow: count(side.slow) }
}
