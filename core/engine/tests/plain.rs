//! The plain case decides as the whole breaker does: each step is taken by both, on words of their own, and leaves the same counts and state.

mod common;

use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, Cell, Permit, State, Vote, Window};
use seawall_engine::time::{MS, SECOND};

fn options(window: Window) -> Breaker {
    Breaker { failure_ratio: Some(5_000), minimum_throughput: 4, window, quiet_streak: Some(3), ..common::options() }
}

/// Runs `test` on two fresh breakers of the same options.
fn with(options: &Breaker, test: impl Fn(Cell<'_>, Cell<'_>)) {
    let (plain, whole) = (common::words(options), common::words(options));
    test(common::cell(options, &plain), common::cell(options, &whole));
}

const WINDOWS: [Window; 2] = [Window::Count(5), Window::Time(SECOND)];

fn vote(verdict: Verdict) -> Vote {
    Vote { verdict, is_first: true, server_ms: 0 }
}

fn fail(cell: Cell<'_>, now: u64) -> Option<State> {
    let permit = cell.admit(Ask::default(), now).0.expect("a permit");
    cell.record(permit, vote(Verdict::Failure), now).map(|transition| transition.to)
}

#[test]
fn options_that_watch_or_shed_are_not_plain() {
    let options = options(Window::Count(5));
    assert!(options.is_plain());
    assert!(!Breaker { slow: Some((MS, 5_000)), ..options.clone() }.is_plain());
    assert!(!Breaker { throttle: true, ..options.clone() }.is_plain());
    assert!(!Breaker { ramp_ms: Some(1_000), ..options }.is_plain());
}

#[test]
fn it_admits_in_a_closed_circuit_alone_and_gives_its_generation() {
    with(&options(Window::Count(5)), |cell, _| {
        assert_eq!(cell.admit_plain(), Some(0));
        let _ = cell.reset();
        let _ = cell.reset();
        assert_eq!(cell.admit_plain(), Some(2));
        for held in [State::Isolated, State::Disabled] {
            let _ = cell.hold(held, 0, 0);
            assert_eq!(cell.admit_plain(), None, "{held:?}");
        }
        let _ = cell.reset();
        assert_eq!([0; 3].map(|now| fail(cell, now)), [None, None, Some(State::Open)]);
        assert_eq!(cell.admit_plain(), None);
        let _trial = cell.admit(Ask::default(), SECOND).0.expect("a trial");
        assert_eq!(cell.admit_plain(), None);
    });
}

/// A failure is a step of 0, a success one of 1; every script of nine steps.
#[test]
fn a_plain_success_counts_resets_and_opens_as_any_other() {
    for window in WINDOWS {
        for script in 0..1 << 9 {
            with(&options(window), |plain, whole| {
                for step in 0..9 {
                    // Some of the first outcomes leave a window in time before the last come.
                    let now = step * 1_700 * MS;
                    let Some(generation) = plain.admit_plain() else {
                        assert_ne!(whole.state(now), State::Closed, "{window:?}, step {step} of {script:b}");
                        return;
                    };
                    let permit = whole.admit(Ask::default(), now).0.expect("closed as the other");
                    let (mine, theirs) = if script >> step & 1 == 0 {
                        let verdict = vote(Verdict::Failure);
                        (plain.record(Permit::plain(generation), verdict, now), whole.record(permit, verdict, now))
                    } else {
                        let mine = plain.record_plain_success(generation, || now, || now);
                        (mine, whole.record(permit, vote(Verdict::Success), now))
                    };
                    assert_eq!(mine, theirs, "{window:?}, step {step} of {script:b}");
                    assert_eq!(plain.counts(now), whole.counts(now), "{window:?}, step {step} of {script:b}");
                }
            });
        }
    }
}

#[test]
fn a_success_without_failures_has_nothing_to_judge() {
    for window in WINDOWS {
        with(&options(window), |cell, _| {
            assert!(!cell.count_plain_success(0, || 0));
            assert_eq!(fail(cell, 0), None);
            assert!(cell.count_plain_success(0, || 0), "{window:?}");
            assert_eq!(cell.judge_plain_success(0, 0), None);
            assert_eq!((cell.counts(0).total, cell.counts(0).failures), (3, 1), "{window:?}");
        });
    }
}

#[test]
fn a_success_of_a_generation_that_is_over_counts_nowhere() {
    for window in WINDOWS {
        with(&options(window), |cell, _| {
            let _ = cell.reset();
            assert_eq!(cell.record_plain_success(0, || 0, || 0), None);
            assert_eq!(cell.counts(0).total, 0, "{window:?}");
            let _ = cell.hold(State::Disabled, 0, 0);
            assert!(!cell.count_plain_success(2, || 0), "held, though of that generation");
            assert_eq!(cell.counts(0).total, 0, "{window:?}");
        });
    }
}

#[test]
fn an_open_circuit_turns_away_as_the_whole_breaker_would_where_the_margin_leaves_no_doubt() {
    with(&options(Window::Count(5)), |plain, whole| {
        assert_eq!(plain.turn_away_plain(0, 0), None, "closed");
        for cell in [plain, whole] {
            assert_eq!([100 * MS; 3].map(|now| fail(cell, now)), [None, None, Some(State::Open)]);
        }
        for about in [100 * MS, 100 * MS + 1, 600 * MS, 1_099 * MS] {
            let refusal = whole.admit(Ask::default(), about).0.expect_err("open until 1,100");
            assert_eq!(plain.refuse_plain(about), Some(refusal));
            assert_eq!(plain.turn_away_plain(about, 0), Some((refusal.code, refusal.retry_after_ms)));
        }
        assert_eq!((plain.counts(0).rejected, whole.counts(0).rejected), (4, 4), "and counts it; a look counts nothing");
        assert_eq!(plain.turn_away_plain(1_089 * MS, 10), Some(("circuit.open", Some(11))));
        for (about, margin) in [(1_090 * MS, 10), (1_100 * MS, 0), (1_000 * MS, 100)] {
            assert_eq!(plain.turn_away_plain(about, margin), None, "{margin} ms later it may be over");
        }
        assert_eq!(plain.refuse_plain(1_100 * MS), None);
        assert_eq!(plain.counts(0).rejected, 5);
    });
}

#[test]
fn an_isolated_circuit_turns_away_with_the_time_left_or_none() {
    with(&options(Window::Count(5)), |cell, _| {
        let _ = cell.hold(State::Isolated, 0, 0);
        assert_eq!(cell.turn_away_plain(5_000 * MS, 10), Some(("circuit.isolated", None)));
        assert_eq!(cell.refuse_plain(5_000 * MS).map(|refusal| refusal.state), Some(State::Isolated));
        let _ = cell.hold(State::Isolated, 2_000, 0);
        assert_eq!(cell.turn_away_plain(1_500 * MS, 10), Some(("circuit.isolated", Some(500))));
        assert_eq!(cell.turn_away_plain(1_995 * MS, 10), None);
        assert_eq!(cell.counts(0).rejected, 1);
    });
}

#[test]
fn only_an_open_or_isolated_circuit_turns_away() {
    with(&options(Window::Count(5)), |cell, _| {
        for until_ms in [0, 2_000] {
            let _ = cell.hold(State::Disabled, until_ms, 0);
            assert_eq!((cell.turn_away_plain(0, 10), cell.refuse_plain(0)), (None, None), "disabled until {until_ms}");
        }
        let _ = cell.reset();
        assert_eq!([0; 3].map(|now| fail(cell, now)), [None, None, Some(State::Open)]);
        let _trials = [SECOND; 3].map(|now| cell.admit(Ask::default(), now).0.expect("a trial"));
        assert_eq!(
            (cell.turn_away_plain(SECOND, 0), cell.refuse_plain(SECOND)),
            (None, None),
            "half open: a lapse may have to be written down"
        );
        assert_eq!(cell.counts(SECOND).rejected, 0);
    });
}
