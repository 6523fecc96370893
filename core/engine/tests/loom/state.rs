//! The state against the window: a trip has one winner, and a result of the old generation never votes in the new one.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::breaker::{Ask, Breaker, State, Window};
use seawall_engine::time::MS;

use crate::play::{Own, breaks, holds, options, vote};

/// Two failures at once, each enough to trip.
fn one_trip() {
    let own = Own::new(Breaker { consecutive: Some(1), ..options(Window::Count(2)) });
    let first = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let second = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let other = Arc::clone(&own);
    let failing = thread::spawn(move || other.cell().record(first, vote(true), 0));
    let mine = own.cell().record(second, vote(true), 0);
    let theirs = failing.join().expect("no panic");
    assert!(mine.is_some() ^ theirs.is_some(), "one trip: {mine:?} {theirs:?}");
    assert_eq!(mine.or(theirs).expect("one of them").generation, 1);
}

#[test]
fn a_trip_has_one_winner() {
    holds("state, one trip", one_trip);
    breaks("state, one trip", Fault::TransitionByStore, one_trip);
}

/// Two calls find the break over at once: one transition and one trial.
fn one_way_out() {
    let own = Own::new(options(Window::Count(2)));
    own.cell().hold(State::Isolated, 1, 0);
    let other = Arc::clone(&own);
    let asking = thread::spawn(move || other.cell().admit(Ask::default(), 2 * MS));
    let (mine, moved) = own.cell().admit(Ask::default(), 2 * MS);
    let (theirs, also_moved) = asking.join().expect("no panic");
    assert!(moved.is_some() ^ also_moved.is_some(), "one transition");
    assert!(mine.is_ok() ^ theirs.is_ok(), "one trial");
}

#[test]
fn a_break_ends_once() {
    holds("state, one way out", one_way_out);
    breaks("state, one way out", Fault::TransitionByStore, one_way_out);
}

/// The last failure of the old generation would be the second in a row of the new one.
fn old_vote() {
    let own = Own::new(Breaker { consecutive: Some(2), ..options(Window::Count(2)) });
    let permit = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let other = Arc::clone(&own);
    let late = thread::spawn(move || other.cell().record(permit, vote(true), 0));
    own.cell().hold(State::Disabled, 0, 0);
    let generation = own.cell().reset().generation;
    let fresh = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let trip = own.cell().record(fresh, vote(true), 0);
    assert_eq!((late.join().expect("no panic"), trip), (None, None), "one failure of each generation is not two in a row");
    assert_eq!(own.cell().closed_generation(), Some(generation));
    assert_eq!(own.cell().counts(0).consecutive_failures, 1);
    assert_eq!(own.window(0), (1, 1));
}

#[test]
fn a_result_of_the_old_generation_never_votes_in_the_new() {
    holds("state, old vote", old_vote);
    breaks("state, old vote", Fault::TagOfAnyGeneration, old_vote);
}

/// A success on the quick path meets a failure. Half of two outcomes fail, which trips whichever comes last: the success looks only for a sign
/// of trouble, and must not overlook the failure that has counted on it.
fn plain_success_meets_failure(window: Window) {
    let own = Own::new(Breaker { failure_ratio: Some(5_000), minimum_throughput: 2, ..options(window) });
    let other = Arc::clone(&own);
    let failing = thread::spawn(move || {
        let permit = other.cell().admit(Ask::default(), 0).0.expect("closed");
        other.cell().record(permit, vote(true), 0)
    });
    let generation = own.cell().admit_plain().expect("closed");
    let mine = own.cell().record_plain_success(generation, || 0, || 0);
    let theirs = failing.join().expect("no panic");
    assert!(mine.is_some() ^ theirs.is_some(), "one trip: {mine:?} {theirs:?}");
    assert_eq!(own.cell().state(0), State::Open);
}

#[test]
fn a_quick_success_overlooks_no_failure() {
    holds("state, quick success", || plain_success_meets_failure(Window::Count(4)));
    breaks("state, quick success", Fault::TroubleLooksFirst, || plain_success_meets_failure(Window::Count(4)));
    holds("state, quick success in time", || plain_success_meets_failure(Window::Time(MS)));
    breaks("state, quick success in time", Fault::TroubleLooksFirst, || plain_success_meets_failure(Window::Time(MS)));
}

/// A success on the quick path that ends while the circuit is reset counts in its own generation or not at all.
fn plain_success_meets_transition() {
    let own = Own::new(Breaker { consecutive: Some(2), ..options(Window::Count(2)) });
    let old = own.cell().admit_plain().expect("closed");
    let other = Arc::clone(&own);
    let late = thread::spawn(move || other.cell().record_plain_success(old, || 0, || 0));
    own.cell().hold(State::Disabled, 0, 0);
    own.cell().reset();
    let fresh = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let trip = own.cell().record(fresh, vote(true), 0);
    assert_eq!((late.join().expect("no panic"), trip), (None, None));
    assert_eq!(own.cell().counts(0).consecutive_failures, 1, "a success of the old generation ended a streak of the new one");
    assert_eq!(own.window(0), (1, 1));
}

#[test]
fn a_quick_success_of_the_old_generation_counts_for_nothing() {
    holds("state, quick success late", plain_success_meets_transition);
    breaks("state, quick success late", Fault::TagOfAnyGeneration, plain_success_meets_transition);
}
