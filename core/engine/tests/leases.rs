//! Leases of half-open slots, and slow calls in both kinds of window.

mod common;

use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, Cell, Permit, State, Vote, Window};
use seawall_engine::time::MS;

fn options() -> Breaker {
    Breaker {
        minimum_throughput: 4,
        slow: Some((100 * MS, 5_000)),
        window: Window::Count(10),
        consecutive: Some(1),
        lease: (10_000, true),
        ..common::options()
    }
}

/// Runs `test` on a fresh breaker.
fn with(options: &Breaker, test: impl FnOnce(Cell<'_>)) {
    test(common::cell(options, &common::words(options)));
}

fn take(cell: Cell<'_>, now_ms: u64) -> Permit {
    cell.admit(Ask::default(), now_ms * MS).0.expect("a permit")
}

fn end(cell: Cell<'_>, permit: Permit, verdict: Verdict, now_ms: u64) -> Option<State> {
    cell.record(permit, Vote { verdict, is_first: true, server_ms: 0 }, now_ms * MS).map(|transition| transition.to)
}

/// Opens at 0; from 1,000 ms on trials are let through.
fn trip(cell: Cell<'_>) {
    assert_eq!(end(cell, take(cell, 0), Verdict::Failure, 0), Some(State::Open));
}

#[test]
fn the_lapse_that_decided_starts_the_break_whenever_it_is_noticed() {
    with(&options(), |cell| {
        trip(cell);
        for now in [1_000, 2_000, 3_000] {
            let _ = take(cell, now);
        }
        // Two lapses decide: the second is at 12,000, and the second break in a row takes 2,000.
        assert_eq!(cell.state(11_999 * MS), State::HalfOpen);
        assert_eq!(cell.state(12_000 * MS), State::Open);
        let refusal = cell.would_refuse(Ask::default(), 13_500 * MS).expect("refused");
        assert_eq!((refusal.state, refusal.retry_after_ms), (State::Open, Some(500)));
        assert_eq!(cell.state(14_000 * MS), State::HalfOpen);
        // Noticed at 14,500 for the first time: the break is over, so this call is a trial, and its default lease has doubled.
        let permit = take(cell, 14_500);
        let _ = take(cell, 14_500);
        let _ = take(cell, 14_500);
        assert_eq!(cell.state(34_499 * MS), State::HalfOpen);
        assert_eq!(cell.state(34_500 * MS), State::Open);
        assert_eq!(end(cell, permit, Verdict::Success, 34_600), Some(State::Open));
    });
}

#[test]
fn a_failure_after_a_lapse_starts_the_break_itself() {
    with(&options(), |cell| {
        trip(cell);
        let _ = take(cell, 1_000);
        let late = take(cell, 8_000);
        assert_eq!(end(cell, late, Verdict::Failure, 13_000), Some(State::Open));
        assert_eq!(cell.state(14_999 * MS), State::Open);
        assert_eq!(cell.state(15_000 * MS), State::HalfOpen);
    });
}

#[test]
fn an_item_renews_the_lease_and_a_lapsed_one_stays_lapsed() {
    with(&options(), |cell| {
        trip(cell);
        let stream = take(cell, 1_000);
        let renewed = cell.renew(stream, 10_000 * MS);
        assert_ne!(renewed, stream);
        let _ = take(cell, 10_500);
        assert_eq!(cell.state(19_999 * MS), State::HalfOpen);
        assert_eq!(end(cell, stream, Verdict::Failure, 10_600), None, "the permit before the renewal ends nothing");
        assert_eq!(cell.renew(renewed, 20_000 * MS), renewed);
        assert_eq!(end(cell, renewed, Verdict::Success, 20_000), None);
        assert_eq!(cell.state(20_499 * MS), State::HalfOpen);
        assert_eq!(cell.state(20_500 * MS), State::Open);
    });
}

#[test]
fn a_refusal_in_half_open_tells_the_earliest_lease_left() {
    with(&Breaker { break_ms: 30_000, ..options() }, |cell| {
        trip(cell);
        for now in [30_000, 31_000, 32_000] {
            let _ = take(cell, now);
        }
        let left = |now: u64| cell.admit(Ask::default(), now).0.expect_err("every slot is taken").retry_after_ms;
        assert_eq!(left(33_000 * MS), Some(7_000));
        assert_eq!(left(33_000 * MS + 1), Some(7_000));
        // The first has lapsed, the second is the earliest left.
        assert_eq!(left(40_500 * MS), Some(500));
    });
}

#[test]
fn slow_calls_open_in_both_windows_and_slow_is_strict() {
    for window in [Window::Count(10), Window::Time(3_000 * MS)] {
        with(&Breaker { window, ..options() }, |cell| {
            for (duration, to) in [(100, None), (101, None), (100, None), (101, Some(State::Open))] {
                assert_eq!(end(cell, take(cell, 0), Verdict::Success, duration), to, "{window:?}");
            }
            let frozen = cell.frozen();
            assert_eq!((frozen.total, frozen.failures, frozen.slow), (4, 0, 2));
        });
    }
}

fn watched(cell: Cell<'_>, now_ms: u64) -> Permit {
    cell.admit(Ask { ordinal: now_ms, attempt: 1, watched: true }, now_ms * MS).0.expect("a permit")
}

#[test]
fn a_slow_call_in_flight_counts_once_and_its_failure_marks_that_entry() {
    for window in [Window::Count(10), Window::Time(3_000 * MS)] {
        with(&Breaker { window, consecutive: Some(9), ..options() }, |cell| {
            let slow = watched(cell, 0);
            let _ = watched(cell, 100);
            assert_eq!(cell.counts(100 * MS).slow, 0, "strict");
            let other = watched(cell, 101);
            let counts = cell.counts(101 * MS);
            assert_eq!((counts.total, counts.failures, counts.slow), (1, 0, 1), "{window:?}");
            assert_eq!(end(cell, slow, Verdict::Failure, 150), None);
            let counts = cell.counts(150 * MS);
            assert_eq!((counts.total, counts.failures, counts.slow, counts.consecutive_failures), (1, 1, 1, 1), "{window:?}");
            assert_eq!(end(cell, other, Verdict::Success, 160), None);
            let counts = cell.counts(160 * MS);
            assert_eq!((counts.total, counts.failures, counts.slow, counts.consecutive_failures), (2, 1, 1, 0), "{window:?}");
        });
    }
}

#[test]
fn a_failure_marks_the_place_of_its_slow_call_anywhere_in_the_ring() {
    for before in [0, 23, 24, 30, 59] {
        with(&Breaker { window: Window::Count(60), minimum_throughput: 60, consecutive: Some(9), ..options() }, |cell| {
            (0..before).for_each(|_| assert_eq!(end(cell, take(cell, 0), Verdict::Success, 0), None));
            let slow = watched(cell, 0);
            let _ = take(cell, 200);
            assert_eq!(end(cell, slow, Verdict::Failure, 200), None);
            assert_eq!((cell.counts(200 * MS).failures, cell.counts(200 * MS).slow), (1, 1), "place {before}");
            (before + 1..60 + before).for_each(|_| assert_eq!(end(cell, take(cell, 200), Verdict::Success, 200), None));
            assert_eq!(cell.counts(200 * MS).failures, 1, "the last of the window");
            assert_eq!(end(cell, take(cell, 200), Verdict::Success, 200), None);
            assert_eq!((cell.counts(200 * MS).failures, cell.counts(200 * MS).slow), (0, 0), "place {before} is taken again");
        });
    }
}

#[test]
fn time_that_was_not_the_callee_s_does_not_make_it_slow() {
    with(&options(), |cell| {
        let permit = take(cell, 0);
        assert_eq!(end(cell, permit.postponed(100 * MS), Verdict::Success, 200), None);
        assert_eq!((cell.counts(200 * MS).total, cell.counts(200 * MS).slow), (1, 0));
        assert_eq!(end(cell, permit, Verdict::Success, 200), None);
        assert_eq!((cell.counts(200 * MS).total, cell.counts(200 * MS).slow), (2, 1));
    });
}

#[test]
fn an_admission_that_notices_is_itself_rejected_and_the_break_runs_from_there() {
    with(&Breaker { minimum_throughput: 2, ..options() }, |cell| {
        let held = [watched(cell, 0), watched(cell, 1)];
        let (answer, transition) = cell.admit(Ask::default(), 500 * MS);
        assert_eq!(answer.expect_err("rejected").retry_after_ms, Some(1_000));
        let transition = transition.expect("opened");
        assert_eq!((transition.to, transition.total, transition.slow), (State::Open, 2, 2));
        // Their ends belong to a generation that is over.
        for permit in held {
            assert_eq!(end(cell, permit, Verdict::Failure, 600), None);
        }
        assert_eq!(cell.counts(600 * MS).total, 0);
    });
}

#[test]
fn cancelled_and_unwatched_calls_are_never_slow_in_flight() {
    with(&options(), |cell| {
        let unwatched = take(cell, 0);
        let cancelled = watched(cell, 0);
        assert_eq!(end(cell, cancelled, Verdict::Ignored, 50), None);
        let _ = take(cell, 1_000);
        assert_eq!(cell.counts(1_000 * MS).total, 0);
        assert_eq!(end(cell, unwatched, Verdict::Success, 1_000), None);
        assert_eq!(cell.counts(1_000 * MS).slow, 1, "judged at its end");
        let noticed = watched(cell, 1_000);
        let _ = take(cell, 1_101);
        assert_eq!(end(cell, noticed, Verdict::Ignored, 1_200), None);
        assert_eq!(cell.counts(1_200 * MS).total, 2, "a vote already cast stays");
    });
}

#[test]
fn beyond_the_table_a_call_is_judged_at_its_end() {
    with(&Breaker { minimum_throughput: 10, window: Window::Time(3_000 * MS), slow: Some((100 * MS, 10_000)), ..options() }, |cell| {
        end(cell, take(cell, 0), Verdict::Success, 0);
        let permits: Vec<_> = (0..65).map(|_| watched(cell, 0)).collect();
        let _ = take(cell, 200);
        assert_eq!(cell.counts(200 * MS).slow, 64);
        permits.into_iter().for_each(|permit| assert_eq!(end(cell, permit, Verdict::Success, 300), None));
        assert_eq!((cell.counts(300 * MS).total, cell.counts(300 * MS).slow), (66, 65));
    });
}

/// A slot's tag tells 65,536 generations apart; between two uses of one slot there may be more, or half as many.
#[test]
fn a_slot_is_free_in_every_later_generation() {
    for generations in [1, 2, 32_766, 32_767, 32_768, 32_769, 40_000, 65_535, 65_537, 1 << 21] {
        with(&options(), |cell| {
            trip(cell);
            let first = take(cell, 1_000);
            assert_eq!(end(cell, first, Verdict::Failure, 1_000), None);
            for _ in 0..generations {
                let _ = cell.hold(State::Disabled, 0, 0);
            }
            let _ = cell.reset();
            trip(cell);
            let trials = [1_000; 2].map(|now| take(cell, now));
            assert_eq!(trials.map(|trial| end(cell, trial, Verdict::Success, 1_000)), [None, Some(State::Closed)], "{generations}");
        });
    }
}
