//! Rate limit: never more than the burst at one instant, and only the last reservation is returned.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::rate_limit::{Answer, RateLimit};
use seawall_engine::sync::{AtomicU64, Ordering};
use seawall_engine::time::MS;

use crate::play::{breaks, holds};

const INTERVAL: u64 = 100 * MS;

fn limit(burst: u64, max_wait_ms: u64) -> RateLimit {
    RateLimit { interval_ns: INTERVAL, burst, max_wait_ms }
}

/// Three callers and a burst of two; an interval later one more may pass.
fn burst() {
    let word = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let word = Arc::clone(&word);
            thread::spawn(move || limit(2, 0).take(&word, 0, None) == Answer::Pass)
        })
        .collect();
    let mine = limit(2, 0).take(&word, 0, None) == Answer::Pass;
    let passed = callers.into_iter().map(|caller| caller.join().expect("no panic")).filter(|passed| *passed).count();
    assert_eq!(passed + usize::from(mine), 2, "the burst and no more");
    assert_eq!(limit(2, 0).take(&word, INTERVAL, None), Answer::Pass);
    assert!(matches!(limit(2, 0).take(&word, INTERVAL, None), Answer::Refuse(_)));
}

#[test]
fn no_more_pass_than_burst_and_rate_allow() {
    holds("rate limit, burst", burst);
    breaks("rate limit, burst", Fault::TurnTakenByStore, burst);
}

/// One caller gives its turn up while another reserves: the word must hold exactly the turns that are still wanted, or, where the other's
/// turn stands behind the one given up, both.
fn give_back() {
    let word = Arc::new(AtomicU64::new(0));
    assert_eq!(limit(1, 1_000).take(&word, 0, None), Answer::Pass);
    let Answer::Wait { reservation, .. } = limit(1, 1_000).take(&word, 0, None) else { panic!("the burst is spent") };
    let other = Arc::clone(&word);
    let reserving = thread::spawn(move || limit(1, 1_000).take(&other, 0, None));
    limit(1, 1_000).give_back(&word, reservation);
    let Answer::Wait { reservation: theirs, .. } = reserving.join().expect("no panic") else { panic!("it waits") };
    assert_eq!(word.load(Ordering::Relaxed), theirs, "nobody else may be given the other's turn");
}

#[test]
fn only_the_last_reservation_is_returned() {
    holds("rate limit, give back", give_back);
    breaks("rate limit, give back", Fault::AnyTurnGivenBack, give_back);
}
