//! A window of the last N outcomes: a true ring.
//!
//! A recorder takes a ticket, exchanges the outcome in the ring at the ticket's place, and changes the count of failures by the difference
//! between what it wrote and what it replaced. So at rest the count equals a scan of the ring, whatever the interleaving, and in a
//! healthy service nothing but the ticket is written. Each generation has a side of its own (its parity), whose words carry the
//! generation's tag: an older tag reads as empty, which makes a reset free.

use crate::sync::{AtomicU64, Ordering};

use super::word::{is_older, tag, tagged, update_tagged};
use crate::fault::{Fault, seeded};
use crate::table::layout::breaker::OUTCOMES_PER_WORD;

/// Added to the stored count of failures, so that it may be read as negative for an instant while a slow writer is lapped.
const BIAS: u64 = 1 << 40;

struct Side<'a> {
    head: &'a AtomicU64,
    failures: &'a AtomicU64,
    ring: &'a [AtomicU64],
}

fn side(words: &[AtomicU64], size: u32, generation: u32) -> Side<'_> {
    let ring = (size as usize).div_ceil(OUTCOMES_PER_WORD);
    let start = (generation as usize & 1) * (2 + ring);
    Side { head: &words[start], failures: &words[start + 1], ring: &words[start + 2..start + 2 + ring] }
}

/// Records one outcome; false if the generation is over.
pub(super) fn record(words: &[AtomicU64], size: u32, generation: u32, failed: bool) -> bool {
    let side = side(words, size, generation);
    let Some(ticket) = take_ticket(side.head, generation) else { return false };
    let place = (ticket % u64::from(size)) as usize;
    let word = &side.ring[place / OUTCOMES_PER_WORD];
    let bit = 1u64 << (2 * (place % OUTCOMES_PER_WORD));
    let Some(replaced) = exchange(word, generation, bit, failed) else { return false };
    if replaced != failed {
        change(side.failures, generation, failed);
    }
    true
}

/// The generation is compared in the exchange that commits, so a late result can never count in a newer one.
fn take_ticket(head: &AtomicU64, generation: u32) -> Option<u64> {
    update_tagged(head, generation, |ticket| ticket + 1)
}

fn exchange(word: &AtomicU64, generation: u32, bit: u64, failed: bool) -> Option<bool> {
    let mut replaced = false;
    word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
        let seen = word >> 48;
        if seen != tag(generation) && !is_older(seen, generation) && !seeded(Fault::RingOfAnyGeneration) {
            return None;
        }
        let outcomes = tagged(word, generation);
        replaced = outcomes & bit != 0;
        let outcomes = if failed { outcomes | bit } else { outcomes & !bit };
        Some((tag(generation) << 48) | outcomes)
    })
    .ok()
    .map(|_| replaced)
}

fn change(failures: &AtomicU64, generation: u32, up: bool) {
    let changed = |value| {
        let value = if value == 0 { BIAS } else { value };
        if up { value + 1 } else { value - 1 }
    };
    if seeded(Fault::CountByLoadAndStore) {
        let value = tagged(failures.load(Ordering::SeqCst), generation);
        return failures.store((tag(generation) << 48) | changed(value), Ordering::SeqCst);
    }
    update_tagged(failures, generation, changed);
}

/// Outcomes and failures in the window.
pub(super) fn sum(words: &[AtomicU64], size: u32, generation: u32) -> (u32, u32) {
    let side = side(words, size, generation);
    let order = if seeded(Fault::HeadReadRelaxed) { Ordering::Relaxed } else { Ordering::SeqCst };
    let total = tagged(side.head.load(order), generation).min(u64::from(size)) as u32;
    let failures = tagged(side.failures.load(Ordering::SeqCst), generation).saturating_sub(BIAS) as u32;
    (total, failures.min(total))
}
