//! Results that come late: when the bucket or the generation that they belong to is over.

mod common;

use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, Cell, State, Vote, Window};
use seawall_engine::time::SECOND;

const FAILURE: Vote = Vote { verdict: Verdict::Failure, is_first: true, server_ms: 0 };

fn options() -> Breaker {
    Breaker { window: Window::Time(SECOND), ..common::options() }
}

fn window(cell: &Cell<'_>, now: u64) -> (u32, u32) {
    let counts = cell.counts(now);
    (counts.total, counts.failures)
}

#[test]
fn a_late_result_leaves_the_bucket_of_a_later_stretch_of_time_alone() {
    let options = options();
    let words = common::words(&options);
    let cell = common::cell(&options, &words);
    let late = cell.admit(Ask::default(), 0).0.expect("closed");
    let timely = cell.admit(Ask::default(), 0).0.expect("closed");
    cell.record(timely, FAILURE, 10 * SECOND);
    cell.record(late, FAILURE, 0);
    assert_eq!(window(&cell, 10 * SECOND), (1, 1));
}

/// More generations than a bucket's tag tells apart may pass before it is used again.
#[test]
fn a_bucket_of_long_ago_is_taken_over_whatever_its_generation() {
    let options = options();
    for generations in [1, 2, 100, 127, 128, 129, 200, 255, 256] {
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        cell.record(cell.admit(Ask::default(), 0).0.expect("closed"), FAILURE, 0);
        for _ in 1..generations {
            cell.hold(State::Disabled, 0, 0);
        }
        cell.reset();
        let now = 10 * SECOND;
        cell.record(cell.admit(Ask::default(), now).0.expect("closed"), FAILURE, now);
        assert_eq!(window(&cell, now), (1, 1), "{generations} generations later");
    }
}

/// The tag of a word tells 65,536 generations apart, and an outage of a day may pass through more of them than half.
#[test]
fn an_outcome_counts_however_many_generations_the_last_was_ago() {
    let options = Breaker { window: Window::Count(30), quiet_streak: Some(3), ..options() };
    for generations in [1, 2, 32_767, 32_768, 40_001, 65_535, 65_537, 100_000] {
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        let fail = || cell.record(cell.admit(Ask::default(), 0).0.expect("closed"), FAILURE, 0).map(|transition| transition.to);
        assert_eq!(fail(), None);
        for _ in 1..generations {
            cell.hold(State::Disabled, 0, 0);
        }
        cell.reset();
        assert_eq!((fail(), fail()), (None, None));
        assert_eq!((window(&cell, 0), cell.counts(0).consecutive_failures), ((2, 2), 2), "{generations} generations later");
        assert_eq!(fail(), Some(State::Open));
    }
}

#[test]
fn each_generation_counts_in_the_bucket_that_it_shares_with_the_one_before() {
    let options = options();
    for first in [0, 200] {
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        for _ in 0..first {
            cell.hold(State::Disabled, 0, 0);
        }
        for generation in first..first + 100 {
            cell.reset();
            cell.record(cell.admit(Ask::default(), 0).0.expect("closed"), FAILURE, 0);
            assert_eq!(window(&cell, 0), (1, 1), "generation {generation}");
        }
    }
}
