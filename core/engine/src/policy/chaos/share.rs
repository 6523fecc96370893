//! The cap on the share of attempts struck: of any [`ATTEMPTS`] attempts in a row, and of all while there are fewer, at most `max_share`.
//!
//! One word counts strikes in cells of ten attempts: the cell that fills, and ten full ones behind it. Of the oldest cell only a part lies within
//! the last hundred attempts; as many strikes as fit there are taken to lie in it, so no hundred in a row can hold more, wherever they begin.

use crate::sync::{AtomicU64, Ordering};

use crate::fault::{Fault, seeded};

/// The attempts over which the cap holds.
pub const ATTEMPTS: u64 = 100;

/// Attempts of a cell, and full cells kept.
const CELL: u64 = 10;
const CELLS: u64 = ATTEMPTS / CELL;
/// `strikes:4 x 11 | full cells:4 | attempts of the newest cell:4`, the newest cell lowest.
const FIELD: u64 = 15;
const FIELD_BITS: u32 = 4;
const STRIKES: u64 = (1 << (FIELD_BITS * 11)) - 1;
const STRIKES_SHIFT: u32 = 2 * FIELD_BITS;

/// Notes an attempt that wishes to be struck or not; gives whether it is. Relaxed: the word stands for itself, and what an attempt may do
/// and what it did are one exchange, so attempts that come at once cannot pass the cap together.
pub(super) fn note(word: &AtomicU64, max_share: u32, wishes: bool) -> bool {
    if seeded(Fault::ShareLooksFirst) {
        let (_, struck) = next(word.load(Ordering::Relaxed), max_share, wishes);
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(forced(old, struck)));
        return struck;
    }
    let mut struck = false;
    let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
        let (new, granted) = next(old, max_share, wishes);
        struck = granted;
        Some(new)
    });
    struck
}

/// The word after one more attempt, and whether that is struck.
fn next(word: u64, max_share: u32, wishes: bool) -> (u64, bool) {
    let (strikes, full, attempts) = begun(word);
    let seen = (full * CELL + attempts).min(ATTEMPTS);
    let would_be = sum(strikes, CELL - attempts) + 1;
    let struck = wishes && would_be * 10_000 <= seen * u64::from(max_share);
    (joined(strikes + u64::from(struck), full, attempts), struck)
}

fn forced(word: u64, struck: bool) -> u64 {
    let (strikes, full, attempts) = begun(word);
    joined(strikes + u64::from(struck), full, attempts)
}

/// The fields with one more attempt in the newest cell, a new one if that was full.
fn begun(word: u64) -> (u64, u64, u64) {
    let (strikes, full, attempts) = (word >> STRIKES_SHIFT, (word >> FIELD_BITS) & FIELD, word & FIELD);
    if attempts < CELL { (strikes, full, attempts + 1) } else { ((strikes << FIELD_BITS) & STRIKES, (full + 1).min(CELLS), 1) }
}

fn joined(strikes: u64, full: u64, attempts: u64) -> u64 {
    (strikes << STRIKES_SHIFT) | (full << FIELD_BITS) | attempts
}

/// Strikes of the last hundred attempts, of which `left` lie in the oldest cell.
fn sum(strikes: u64, left: u64) -> u64 {
    let cell = |cell: u32| (strikes >> (cell * FIELD_BITS)) & FIELD;
    (0..CELLS as u32).map(cell).sum::<u64>() + cell(CELLS as u32).min(left)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Every run of a hundred, and every beginning, whatever is wished.
    #[test]
    fn no_hundred_attempts_in_a_row_hold_more_than_the_share() {
        for max_share in [100, 150, 1_000, 3_333, 5_000, 9_999, 10_000] {
            for wish in [|_: u64| true, |at: u64| at / 130 % 2 == 1, |at: u64| at.is_multiple_of(3) || at % 97 < 40] {
                let word = AtomicU64::new(0);
                let struck: Vec<bool> = (0..1_000).map(|at| note(&word, max_share, wish(at))).collect();
                let count = |run: &[bool]| run.iter().filter(|struck| **struck).count() as u64;
                assert!(struck.windows(100).all(|run| count(run) * 10_000 <= 100 * u64::from(max_share)), "{max_share}");
                assert!((1..100).all(|most| count(&struck[..most]) * 10_000 <= most as u64 * u64::from(max_share)), "{max_share}");
                assert!(count(&struck) > 0, "{max_share}");
                assert!(max_share < 10_000 || (0..1_000).all(|at| struck[at as usize] == wish(at)), "a share of one refuses nothing");
            }
        }
    }
}
