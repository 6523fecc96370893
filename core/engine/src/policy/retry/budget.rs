//! The retry budget: retries are paid for by first attempts, so that they can never multiply the load of a failing service.
//!
//! Ten one-second buckets of thousandths of a retry. A first attempt that reaches the callee deposits `ratio`; a retry costs 1,000, after
//! throttling 2,000, and is allowed while `10 x per_second + deposits - withdrawals` covers it.

use crate::sync::{AtomicU64, Ordering};

use crate::fault::{Fault, seeded};
use crate::table::layout::budget::BUCKETS;
use crate::time::SECOND;

const AMOUNT_BITS: u32 = 40;
const AMOUNT: u64 = (1 << AMOUNT_BITS) - 1;
const SECOND_MASK: u64 = (1 << 24) - 1;

/// The compiled options.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Thousandths of a retry that each call deposits.
    pub deposit: u64,
    /// Thousandths of a retry that every window holds without any call.
    pub floor: u64,
}

impl Budget {
    /// A first attempt reached the callee.
    #[inline]
    pub fn deposit(&self, words: &[AtomicU64], now: u64) {
        add(&words[..BUCKETS], now, self.deposit);
    }

    /// So many first attempts reached the callee.
    pub fn deposit_for(&self, words: &[AtomicU64], calls: u32, now: u64) {
        if calls > 0 {
            add(&words[..BUCKETS], now, self.deposit.saturating_mul(calls.into()));
        }
    }

    /// Takes `cost` thousandths, if they are there.
    pub fn withdraw(&self, words: &[AtomicU64], now: u64, cost: u64) -> bool {
        let (deposits, withdrawals) = words.split_at(BUCKETS);
        let covered = |spent: u64| self.floor.saturating_add(sum(deposits, now)) >= spent.saturating_add(cost);
        if seeded(Fault::BudgetLooksFirst) {
            let passes = covered(sum(withdrawals, now));
            add(withdrawals, now, if passes { cost } else { 0 });
            return passes;
        }
        // Withdraw first, look after, take back if it was too much: two callers that look at the same time cannot both pass.
        add(withdrawals, now, cost);
        let spent = sum(withdrawals, now).saturating_sub(cost);
        if covered(spent) {
            return true;
        }
        if !seeded(Fault::RefusalKept) {
            subtract(withdrawals, now, cost);
        }
        false
    }

    /// Thousandths that the window holds in all, spent ones included.
    #[must_use]
    pub fn full(&self, words: &[AtomicU64], now: u64) -> u64 {
        self.floor.saturating_add(sum(&words[..BUCKETS], now))
    }

    /// Thousandths that are left.
    #[must_use]
    pub fn left(&self, words: &[AtomicU64], now: u64) -> u64 {
        let (deposits, withdrawals) = words.split_at(BUCKETS);
        self.floor.saturating_add(sum(deposits, now)).saturating_sub(sum(withdrawals, now))
    }
}

#[inline]
fn second_of(now: u64) -> u64 {
    now / SECOND
}

#[inline]
fn bucket(words: &[AtomicU64], second: u64) -> &AtomicU64 {
    &words[(second % BUCKETS as u64) as usize]
}

/// Relaxed throughout: each word stands for itself, and a neighbour's delay of nanoseconds changes no decision that matters.
#[inline]
fn add(words: &[AtomicU64], now: u64, amount: u64) {
    let second = second_of(now);
    let tag = second & SECOND_MASK;
    let _ = bucket(words, second).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
        let kept = if word >> AMOUNT_BITS == tag { word & AMOUNT } else { 0 };
        Some((tag << AMOUNT_BITS) | kept.saturating_add(amount).min(AMOUNT))
    });
}

fn subtract(words: &[AtomicU64], now: u64, amount: u64) {
    let second = second_of(now);
    let tag = second & SECOND_MASK;
    let _ = bucket(words, second).fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
        (word >> AMOUNT_BITS == tag).then(|| (tag << AMOUNT_BITS) | (word & AMOUNT).saturating_sub(amount))
    });
}

fn sum(words: &[AtomicU64], now: u64) -> u64 {
    let newest = second_of(now);
    let oldest = newest.saturating_sub(BUCKETS as u64 - 1);
    (oldest..=newest)
        .map(|second| {
            let word = bucket(words, second).load(Ordering::Relaxed);
            if word >> AMOUNT_BITS == second & SECOND_MASK { word & AMOUNT } else { 0 }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::layout::budget::WORDS;

    fn words() -> [AtomicU64; WORDS] {
        core::array::from_fn(|_| AtomicU64::new(0))
    }

    #[test]
    fn ten_free_retries_then_a_fifth_of_the_calls() {
        let budget = Budget { deposit: 200, floor: 10_000 };
        let words = words();
        let granted = (0..20).filter(|_| budget.withdraw(&words, 0, 1_000)).count();
        assert_eq!(granted, 10);
        (0..10).for_each(|_| budget.deposit(&words, 0));
        assert!(budget.withdraw(&words, 0, 1_000) && budget.withdraw(&words, 0, 1_000) && !budget.withdraw(&words, 0, 1_000));
    }

    #[test]
    fn what_was_spent_is_forgotten_after_ten_seconds() {
        let budget = Budget { deposit: 200, floor: 1_000 };
        let words = words();
        assert!(budget.withdraw(&words, 0, 1_000) && !budget.withdraw(&words, 9 * SECOND, 1_000));
        assert!(budget.withdraw(&words, 10 * SECOND, 1_000));
    }
}
