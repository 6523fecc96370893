//! Count window: the count of failures equals the ring at rest, no trip is missed, and nothing crosses into another generation.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::breaker::{Ask, Breaker, State, Window};

use crate::play::{Own, breaks, holds, options, vote};

fn record(own: &Own, failed: bool) {
    let (permit, _) = own.cell().admit(Ask::default(), 0);
    own.cell().record(permit.expect("closed"), vote(failed), 0);
}

/// A ring of two that two threads write at once, so that a slow writer is lapped. Two known outcomes flush it at the end: what the count
/// of failures then shows beyond them has drifted from the ring.
fn count_is_ring() {
    let own = Own::new(options(Window::Count(2)));
    let other = Arc::clone(&own);
    let lapping = thread::spawn(move || {
        record(&other, true);
        record(&other, false);
    });
    record(&own, true);
    lapping.join().expect("no panic");
    record(&own, false);
    record(&own, false);
    assert_eq!(own.window(0), (2, 0));
    record(&own, true);
    assert_eq!(own.window(0), (2, 1));
}

#[test]
fn the_count_of_failures_is_that_of_the_ring() {
    holds("count window, count is ring", count_is_ring);
    breaks("count window, count is ring", Fault::CountByLoadAndStore, count_is_ring);
}

/// Half of two outcomes fail, which trips whichever comes last.
fn no_missed_trip() {
    let own = Own::new(Breaker { failure_ratio: Some(5_000), minimum_throughput: 2, ..options(Window::Count(4)) });
    let other = Arc::clone(&own);
    let failing = thread::spawn(move || record(&other, true));
    record(&own, false);
    failing.join().expect("no panic");
    assert_eq!(own.cell().state(0), State::Open);
}

#[test]
fn no_trip_is_missed() {
    holds("count window, no missed trip", no_missed_trip);
    breaks("count window, no missed trip", Fault::HeadReadRelaxed, no_missed_trip);
}

/// A failure that was begun in one generation ends while the next has begun and counts there.
fn late_result() {
    let own = Own::new(options(Window::Count(2)));
    let permit = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let other = Arc::clone(&own);
    let late = thread::spawn(move || other.cell().record(permit, vote(true), 0));
    // Two transitions on, the generations share a side of the window.
    own.cell().hold(State::Disabled, 0, 0);
    own.cell().reset();
    record(&own, true);
    record(&own, false);
    late.join().expect("no panic");
    assert_eq!(own.window(0), (2, 1), "a result of an earlier generation voted");
    record(&own, false);
    assert_eq!(own.window(0), (2, 0), "a result of an earlier generation disturbed the ring");
}

#[test]
fn a_late_result_never_votes_in_another_generation() {
    holds("count window, late result", late_result);
    breaks("count window, late result", Fault::RingOfAnyGeneration, late_result);
}
