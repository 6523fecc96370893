//! Half-open slots: never more trials than slots, and a lease that ends against its lapse makes exactly one transition.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::breaker::{Ask, Breaker, State, Window};
use seawall_engine::time::MS;

use crate::play::{Own, breaks, holds, options, vote};

/// Half open from 1 ms on.
fn half_open(slots: u32) -> Arc<Own> {
    let own = Own::new(Breaker { slots, lease: (10, false), ..options(Window::Count(1)) });
    own.cell().hold(State::Isolated, 1, 0);
    own
}

/// Two threads ask for the only slot.
fn one_slot() {
    let own = half_open(1);
    let other = Arc::clone(&own);
    let asking = thread::spawn(move || other.cell().admit(Ask::default(), 2 * MS).0.is_ok());
    let mine = own.cell().admit(Ask::default(), 2 * MS).0.is_ok();
    assert!(mine ^ asking.join().expect("no panic"), "one slot, one trial");
}

#[test]
fn a_slot_is_taken_once() {
    holds("lease, take a slot", one_slot);
    breaks("lease, take a slot", Fault::SlotTakenByStore, one_slot);
}

/// The trial succeeds just before its deadline while another call finds the lease lapsed.
fn end_against_lapse() {
    let own = half_open(1);
    let (permit, _) = own.cell().admit(Ask::default(), 2 * MS);
    let other = Arc::clone(&own);
    let ending = thread::spawn(move || other.cell().record(permit.expect("the first trial"), vote(false), 11 * MS));
    let (_, lapse) = own.cell().admit(Ask::default(), 13 * MS);
    let end = ending.join().expect("no panic");
    assert!(lapse.is_some() ^ end.is_some(), "one transition: {lapse:?} {end:?}");
    let to = lapse.or(end).expect("one of them").to;
    assert!(matches!(to, State::Open | State::Closed));
}

#[test]
fn the_end_of_a_lease_against_its_lapse_is_one_transition() {
    holds("lease, end against lapse", end_against_lapse);
    breaks("lease, end against lapse", Fault::TransitionByStore, end_against_lapse);
}

/// A trial reports twice, as a driver may that is cancelled while it reports; another trial has meanwhile taken the slot that it gave back.
fn doubled_end() {
    let own = half_open(1);
    let permit = own.cell().admit(Ask::default(), 2 * MS).0.expect("the first trial");
    own.cell().record(permit, ignored(), 3 * MS);
    let other = Arc::clone(&own);
    let again = thread::spawn(move || other.cell().record(permit, ignored(), 3 * MS));
    let second = own.cell().admit(Ask::default(), 4 * MS).0;
    again.join().expect("no panic");
    assert!(second.is_ok() && own.cell().admit(Ask::default(), 4 * MS).0.is_err(), "the second trial's slot is its own");
}

fn ignored() -> seawall_engine::policy::breaker::Vote {
    seawall_engine::policy::breaker::Vote { verdict: seawall_engine::outcome::Verdict::Ignored, ..vote(false) }
}

#[test]
fn a_lease_ends_once() {
    holds("lease, end once", doubled_end);
    breaks("lease, end once", Fault::LeaseEndedByStore, doubled_end);
}

/// Two trials succeed at once and close together.
fn settle_by_two() {
    let own = Own::new(Breaker { slots: 2, successes_to_close: 2, ..options(Window::Count(1)) });
    own.cell().hold(State::Isolated, 1, 0);
    let first = own.cell().admit(Ask::default(), 2 * MS).0.expect("a slot");
    let second = own.cell().admit(Ask::default(), 2 * MS).0.expect("a slot");
    let other = Arc::clone(&own);
    let ending = thread::spawn(move || other.cell().record(first, vote(false), 3 * MS));
    let mine = own.cell().record(second, vote(false), 3 * MS);
    assert!(mine.is_some() ^ ending.join().expect("no panic").is_some(), "one closes");
    assert_eq!(own.cell().state(3 * MS), State::Closed);
}

#[test]
fn two_trials_settle_in_one_transition() {
    holds("lease, settle by two", settle_by_two);
    breaks("lease, settle by two", Fault::TransitionByStore, settle_by_two);
}
