//! Chaos: attempts that come at once cannot pass the cap together, and an experiment is ended once.

use std::sync::Arc;

use loom::thread;
use seawall_engine::chance::Source;
use seawall_engine::fault::Fault;
use seawall_engine::policy::chaos::{Abort, Chaos, Place, Reason};
use seawall_engine::sync::AtomicU64;
use seawall_engine::table::layout::chaos::WORDS;

use crate::play::{breaks, holds, words};

fn experiment() -> Chaos {
    let abort = Abort { opens: true, opens_elsewhere: false, ratio: Some((10_000, 1)) };
    Chaos { rate: 10_000, latency_ms: (1, 1), ends_at: u64::MAX, number: 1, max_share: Some(5_000), abort, ..Chaos::default() }
}

fn is_struck(words: &[AtomicU64]) -> bool {
    experiment().strike(words, Source::new(0, ""), 0, Place { key: None, attempt: 1, redrives: 0 }).is_some()
}

/// The first attempt is spared; of three, half are one.
fn cap() {
    let words = Arc::new(words(WORDS));
    assert!(!is_struck(&words));
    let other = Arc::clone(&words);
    let theirs = thread::spawn(move || is_struck(&other));
    let mine = is_struck(&words);
    let struck = u64::from(mine) + u64::from(theirs.join().expect("no panic"));
    assert_eq!(struck, 1, "two attempts passed the cap together, or spared each other");
}

/// The circuit opens while the last call fails.
fn end() {
    let words = Arc::new(words(WORDS));
    let other = Arc::clone(&words);
    let theirs = thread::spawn(move || experiment().opened(&other, 0));
    let mine = experiment().call_ended(&words, true, 0);
    let told = [mine, theirs.join().expect("no panic")];
    assert_eq!(told.iter().flatten().count(), 1, "an experiment is ended once: {told:?}");
    let reason: Option<Reason> = told.into_iter().flatten().next();
    assert_eq!(experiment().aborted(&words), reason, "whoever ended it says why");
}

#[test]
fn attempts_cannot_pass_the_cap_together() {
    holds("chaos, cap", cap);
    breaks("chaos, cap", Fault::ShareLooksFirst, cap);
}

#[test]
fn an_experiment_is_ended_once() {
    holds("chaos, end", end);
    breaks("chaos, end", Fault::AbortLooksFirst, end);
}
