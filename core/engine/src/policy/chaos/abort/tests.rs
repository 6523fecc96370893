//! What ends an experiment, whom it is told, and how it reads afterwards.

use super::*;
use crate::table::layout::chaos::WORDS;

fn words() -> [AtomicU64; WORDS] {
    core::array::from_fn(|_| AtomicU64::new(0))
}

fn experiment(number: u32, abort: Abort) -> Chaos {
    Chaos { rate: 1, ends_at: 100, number, abort, ..Chaos::default() }
}

const OPENS: Abort = Abort { opens: true, opens_elsewhere: false, ratio: None };
const ELSEWHERE: Abort = Abort { opens: false, opens_elsewhere: true, ratio: None };
const RATIO: Abort = Abort { opens: false, opens_elsewhere: false, ratio: Some((5_000, 4)) };

#[test]
fn it_says_why_it_was_ended_and_says_so_once() {
    let (opens, ratio) = (experiment(1, OPENS), experiment(2, RATIO));
    let words = words();
    assert_eq!(opens.aborted(&words), None);
    assert_eq!(opens.opened(&words, 0), Some(Reason::BreakerOpen));
    assert_eq!((opens.opened(&words, 0), opens.aborted(&words)), (None, Some(Reason::BreakerOpen)));
    assert_eq!(ratio.aborted(&words), None, "another experiment is not ended by it");
    let told = [true, true, false, false, true].map(|failed| ratio.call_ended(&words, failed, 0));
    assert_eq!(told, [None, None, None, Some(Reason::FailureRatio), None]);
    assert_eq!(ratio.aborted(&words), Some(Reason::FailureRatio));
    assert_eq!(opens.opened(&words, 0), None, "an earlier one is over");
    assert_eq!([Reason::BreakerOpen, Reason::FailureRatio].map(Reason::name), ["breaker_open", "failure_ratio"]);
}

#[test]
fn an_opening_elsewhere_ends_it_after_its_first_look() {
    let (first, second, words) = (experiment(1, ELSEWHERE), experiment(2, ELSEWHERE), words());
    assert_eq!([0, 0, 1, 2].map(|openings| first.watch(&words, openings, 0)), [None, None, Some(Reason::BreakerOpen), None]);
    assert_eq!([2, 2, 3].map(|openings| second.watch(&words, openings, 0)), [None, None, Some(Reason::BreakerOpen)]);
}

#[test]
fn an_experiment_that_is_over_or_does_not_ask_is_not_ended_by_an_opening_elsewhere() {
    let (watches, does_not, words) = (experiment(1, ELSEWHERE), experiment(1, OPENS), words());
    assert_eq!([0, 1].map(|openings| does_not.watch(&words, openings, 0)), [None, None]);
    assert_eq!([0, 1].map(|openings| watches.watch(&words, openings, 100)), [None, None]);
    assert_eq!([1, 2].map(|openings| watches.watch(&words, openings, 99)), [None, Some(Reason::BreakerOpen)]);
}

#[test]
fn more_openings_than_the_word_can_hold_are_still_more() {
    let (experiment, words) = (experiment(1, ELSEWHERE), words());
    assert_eq!(experiment.watch(&words, 1 << 40, 0), None);
    assert_eq!(experiment.watch(&words, u64::MAX, 0), Some(Reason::BreakerOpen));
}

#[test]
fn calls_are_counted_for_one_experiment_alone_whatever_its_number() {
    let words = words();
    let fails = |number, times| (0..times).filter_map(|_| experiment(number, RATIO).call_ended(&words, true, 0)).count();
    assert_eq!((fails(2, 3), fails(4, 3), fails(4, 1)), (0, 0, 1));
    assert_eq!((fails(300, 3), fails(300, 1)), (0, 1));
}
