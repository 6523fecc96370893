//! A port as an isolate uses it: counting on its own while it may, and never into another generation.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, State, Vote, Window};
use seawall_engine::ports::{Behind, Port, count_success, counted};
use seawall_engine::table::layout::port::{CREDIT, GENERATION, WORDS};

fn options() -> Breaker {
    Breaker { failure_ratio: Some(5_000), minimum_throughput: 100, consecutive: Some(5), ..common::options() }
}

#[test]
fn successes_are_drained_once_and_credit_ends_with_the_first_failure() {
    let options = options();
    let state = common::words(&options);
    let cell = common::cell(&options, &state);
    let words: [AtomicU32; WORDS] = std::array::from_fn(|_| AtomicU32::new(0));
    let behind = Behind::default();
    let port = Port { words: &words, behind: &behind };
    port.rewrite_gate(&cell, 0, 64);
    assert_eq!(words[CREDIT].load(Ordering::Relaxed), 64);
    assert!((0..40).all(|_| count_success(&words, 0)));
    port.drain(&cell, 0);
    port.drain(&cell, 0);
    assert_eq!(cell.counts(0).total, 40, "a second drain finds nothing");
    let (permit, _) = cell.admit(Ask::default(), 0);
    cell.record(permit.expect("closed"), Vote { verdict: Verdict::Failure, is_first: true, server_ms: 0 }, 0);
    port.rewrite_gate(&cell, 0, 64);
    assert_eq!(words[CREDIT].load(Ordering::Relaxed), 0, "a success could change a decision now");
    assert!(!count_success(&words, 0), "without credit the isolate asks");
}

#[test]
fn drained_successes_count_in_a_window_in_time() {
    let options = Breaker { window: Window::Time(1_000), ..options() };
    let state = common::words(&options);
    let cell = common::cell(&options, &state);
    let words: [AtomicU32; WORDS] = std::array::from_fn(|_| AtomicU32::new(0));
    let behind = Behind::default();
    let port = Port { words: &words, behind: &behind };
    port.rewrite_gate(&cell, 0, 64);
    assert!((0..3).all(|_| count_success(&words, 0)));
    port.drain(&cell, 500);
    assert_eq!((cell.counts(500).total, cell.counts(9_999).total, cell.counts(10_000).total), (3, 3, 0));
}

#[test]
fn what_was_counted_before_a_transition_never_votes_after_it() {
    let options = options();
    let state = common::words(&options);
    let cell = common::cell(&options, &state);
    let words: [AtomicU32; WORDS] = std::array::from_fn(|_| AtomicU32::new(0));
    let behind = Behind::default();
    let port = Port { words: &words, behind: &behind };
    port.rewrite_gate(&cell, 0, 64);
    assert!((0..10).all(|_| count_success(&words, 0)));
    cell.hold(State::Disabled, 0, 0);
    cell.reset();
    port.drain(&cell, 0);
    assert_eq!(cell.counts(0).total, 0);
    port.rewrite_gate(&cell, 0, 64);
    assert_eq!(words[GENERATION].load(Ordering::Relaxed), 2);
    assert!(!count_success(&words, 0) && count_success(&words, 2));
    port.drain(&cell, 0);
    assert_eq!(cell.counts(0).total, 1, "the lane begins anew in each generation");
}

#[test]
fn a_lane_wraps_within_its_generation() {
    let (mut lane, full) = (0, (7 << 24) | 0xFF_FFFF);
    lane = counted(lane, 7);
    assert_eq!(lane, (7 << 24) | 1);
    assert_eq!(counted(full, 7), 7 << 24);
    assert_eq!(counted(full, 8), (8 << 24) | 1);
}

#[test]
fn a_removed_port_is_drained_and_stays_shut() {
    let options = options();
    let state = common::words(&options);
    let cell = common::cell(&options, &state);
    let words: [AtomicU32; WORDS] = std::array::from_fn(|_| AtomicU32::new(0));
    let behind = Behind::default();
    let port = Port { words: &words, behind: &behind };
    port.rewrite_gate(&cell, 0, 64);
    assert!(count_success(&words, 0));
    port.shut(&cell, 0);
    port.rewrite_gate(&cell, 0, 64);
    assert!(!count_success(&words, 0), "a rewrite does not open it again");
    port.detach(&cell, 0);
    assert_eq!(cell.counts(0).total, 1);
}
