//! Retry budget: the last unit is paid once, and a refusal leaves nothing behind.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::retry::Budget;
use seawall_engine::table::layout::budget::WORDS;

use crate::play::{breaks, holds, words};

const BUDGET: Budget = Budget { deposit: 200, floor: 1_000 };

/// Two callers, one unit. Both may be refused, since each sees the other's withdrawal before that is taken back; never do both pass.
fn last_unit() {
    let words = Arc::new(words(WORDS));
    let other = Arc::clone(&words);
    let theirs = thread::spawn(move || BUDGET.withdraw(&other, 0, 1_000));
    let mine = BUDGET.withdraw(&words, 0, 1_000);
    let passed = u64::from(mine) + u64::from(theirs.join().expect("no panic"));
    assert!(passed <= 1, "one unit paid for two retries");
    assert_eq!(BUDGET.left(&words, 0), (1 - passed) * 1_000, "a refusal costs nothing");
}

#[test]
fn the_last_unit_is_paid_once() {
    holds("budget, last unit", last_unit);
    breaks("budget, last unit", Fault::BudgetLooksFirst, last_unit);
    breaks("budget, last unit", Fault::RefusalKept, last_unit);
}
