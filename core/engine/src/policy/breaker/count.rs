//! A window of the last N outcomes: a true ring.
//!
//! A recorder takes a ticket, exchanges the outcome in the ring at the ticket's place, and changes the counts of failures and of slow calls by the difference
//! between what it wrote and what it replaced. So at rest the count equals a scan of the ring, whatever the interleaving, and in a
//! healthy service nothing but the ticket is written. Each generation has a side of its own (its parity), whose words carry the
//! generation's tag: an older tag reads as empty, which makes a reset free.

use crate::sync::{AtomicU64, Ordering};

use super::Sums;
use super::word::{Era, exchange_tagged, tag, tagged, update_tagged};
use crate::fault::{Fault, seeded};
use crate::table::layout::breaker::OUTCOMES_PER_WORD;

/// Added to the stored count of failures, so that it may be read as negative for an instant while a slow writer is lapped.
const BIAS: u64 = 1 << 40;

/// Words beside the ring: the next ticket, the failures and the slow calls.
const HEAD: usize = 3;

/// A ticket is `laps:25 | place:20`: the place in the ring, and how often the ring had been filled. So nobody has to divide, and no window is
/// larger than 2^20. Laps start over from 1: at 0 the ring has never been full.
const PLACE_BITS: u32 = 20;
const LAPS: u64 = (1 << 25) - 1;

#[inline]
fn place_of(ticket: u64) -> usize {
    (ticket & ((1 << PLACE_BITS) - 1)) as usize
}

#[inline]
fn next_lap(laps: u64) -> u64 {
    if laps == LAPS { 1 } else { laps + 1 }
}

#[inline]
fn after(ticket: u64, size: u32) -> u64 {
    if place_of(ticket) + 1 < size as usize { ticket + 1 } else { next_lap(ticket >> PLACE_BITS) << PLACE_BITS }
}

/// Whether the outcome of `ticket` has not been replaced yet, if `next` is the next ticket.
fn is_in_window(ticket: u64, next: u64) -> bool {
    let (lap, now) = (ticket >> PLACE_BITS, next >> PLACE_BITS);
    if lap == now { place_of(ticket) < place_of(next) } else { next_lap(lap) == now && place_of(next) <= place_of(ticket) }
}

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

/// The heads of both sides come first: where they lie needs no arithmetic.
#[inline]
fn head(words: &[AtomicU64], generation: u32) -> &AtomicU64 {
    &words[(generation as usize & 1) * HEAD]
}

fn side(words: &[AtomicU64], size: u32, generation: u32) -> Side<'_> {
    let (heads, rings) = words.split_at(2 * HEAD);
    let side = generation as usize & 1;
    let head = &heads[side * HEAD..][..HEAD];
    let ring = ring_words(size);
    Side { head: &head[0], failures: &head[1], slow: &head[2], ring: &rings[side * ring..] }
}

/// Records one outcome and gives its ticket; none if the generation is over.
pub(super) fn record(words: &[AtomicU64], size: u32, era: Era<'_>, entry: Entry) -> Option<u64> {
    let ticket = tagged(take(words, size, era)?, era.generation);
    put(words, size, era, ticket, entry).then_some(ticket)
}

/// The first half: the ticket, with the tag of the word that it was taken from. The generation is compared in the exchange that commits, so a
/// late result can never count in a newer one.
#[inline]
pub(super) fn take(words: &[AtomicU64], size: u32, era: Era<'_>) -> Option<u64> {
    exchange_tagged(head(words, era.generation), era, |ticket| after(ticket, size))
}

/// The second half: the outcome in its place. A success may leave this out where every outcome of the generation is one: it would
/// replace its like.
pub(super) fn put(words: &[AtomicU64], size: u32, era: Era<'_>, ticket: u64, entry: Entry) -> bool {
    let side = side(words, size, era.generation);
    let place = place_of(ticket);
    let shift = 2 * (place % OUTCOMES_PER_WORD);
    let Some(replaced) = exchange(&side.ring[place / OUTCOMES_PER_WORD], era, shift, |_| entry) else { return false };
    change(side.failures, era, replaced.failed, entry.failed);
    change(side.slow, era, replaced.slow, entry.slow);
    true
}

fn exchange(word: &AtomicU64, era: Era<'_>, shift: usize, next: impl Fn(Entry) -> Entry) -> Option<Entry> {
    let generation = era.generation;
    // Where nothing would change nothing is written: the exchange would take effect where this load does, and leave what it found. A word of
    // another generation is empty to this one. SeqCst as below: whoever exchanged before, in the order of all, is seen.
    let was = Entry::of(tagged(word.load(Ordering::SeqCst), generation) >> shift);
    if next(was) == was {
        return Some(was);
    }
    let changed = |outcomes: u64| (outcomes & !(3 << shift)) | (next(Entry::of(outcomes >> shift)).bits() << shift);
    if seeded(Fault::RingOfAnyGeneration) {
        let before = word.load(Ordering::SeqCst);
        word.store((tag(generation) << 48) | changed(tagged(before, generation)), Ordering::SeqCst);
        return Some(Entry::of(tagged(before, generation) >> shift));
    }
    // SeqCst pairs with the state word: see `Cell::state_word`.
    update_tagged(word, era, changed).map(|before| Entry::of(before >> shift))
}

/// Moves a count by the difference between what an entry was and what it is; most often there is none and nothing is written.
fn change(count: &AtomicU64, era: Era<'_>, was: bool, is: bool) {
    if was == is {
        return;
    }
    let changed = |value| {
        let value = if value == 0 { BIAS } else { value };
        if is { value + 1 } else { value - 1 }
    };
    if seeded(Fault::CountByLoadAndStore) {
        let value = tagged(count.load(Ordering::SeqCst), era.generation);
        return count.store((tag(era.generation) << 48) | changed(value), Ordering::SeqCst);
    }
    update_tagged(count, era, changed);
}

/// Makes the slow outcome of `ticket` a failure too, if it is still in the window. Whoever laps the ring between the look and the exchange
/// may find its own slow outcome marked; the counts equal the ring all the same.
pub(super) fn mark_failed(words: &[AtomicU64], size: u32, era: Era<'_>, ticket: u64) {
    let side = side(words, size, era.generation);
    if !is_in_window(ticket, tagged(side.head.load(Ordering::SeqCst), era.generation)) {
        return;
    }
    let place = place_of(ticket);
    let mark = |entry: Entry| Entry { failed: entry.failed || entry.slow, ..entry };
    if let Some(was) = exchange(&side.ring[place / OUTCOMES_PER_WORD], era, 2 * (place % OUTCOMES_PER_WORD), mark) {
        change(side.failures, era, was.failed, mark(was).failed);
    }
}

/// What the window holds.
pub(super) fn sum(words: &[AtomicU64], size: u32, generation: u32) -> Sums {
    let side = side(words, size, generation);
    let order = if seeded(Fault::HeadReadRelaxed) { Ordering::Relaxed } else { Ordering::SeqCst };
    let next = tagged(side.head.load(order), generation);
    let total = if next >> PLACE_BITS > 0 { size } else { (place_of(next) as u32).min(size) };
    let count = |word: &AtomicU64| (tagged(word.load(Ordering::SeqCst), generation).saturating_sub(BIAS) as u32).min(total);
    Sums { total, failures: count(side.failures), slow: count(side.slow) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_in_the_window_until_its_place_is_taken_again_even_where_laps_start_over() {
        for start in [0, 1 << PLACE_BITS, (LAPS - 1) << PLACE_BITS, LAPS << PLACE_BITS] {
            for size in [1, 2, 5] {
                let tickets: [u64; 12] = core::array::from_fn(|steps| (0..steps).fold(start, |ticket, _| after(ticket, size)));
                for (later, next) in tickets.iter().enumerate().skip(1) {
                    for (earlier, ticket) in tickets[..later].iter().enumerate() {
                        assert_eq!(is_in_window(*ticket, *next), later - earlier <= size as usize, "{earlier} {later} of {size}");
                        assert!(place_of(*ticket) < size as usize);
                    }
                }
            }
        }
    }
}
