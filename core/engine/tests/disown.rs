//! What a forked process takes over: the circuit as it stands, and nothing that calls of its parent hold.

mod common;

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, Cell, Permit, State, Vote, Window};
use seawall_engine::policy::bulkhead::{Answer, Bulkhead, WaitList, Waiters};
use seawall_engine::time::MS;

fn take(cell: Cell<'_>, now_ms: u64) -> Option<Permit> {
    cell.admit(Ask::default(), now_ms * MS).0.ok()
}

fn end(cell: Cell<'_>, permit: Permit, verdict: Verdict, now_ms: u64) -> Option<State> {
    cell.record(permit, Vote { verdict, is_first: true, server_ms: 0 }, now_ms * MS).map(|transition| transition.to)
}

#[test]
fn held_half_open_slots_are_free_and_what_trials_told_stays() {
    let options = Breaker { consecutive: Some(1), slots: 2, lease: (10_000, false), ..common::options() };
    let words = common::words(&options);
    let cell = common::cell(&options, &words);
    let failure = take(cell, 0).expect("closed");
    assert_eq!(end(cell, failure, Verdict::Failure, 0), Some(State::Open));
    let told = take(cell, 1_000).expect("a trial");
    assert_eq!(end(cell, told, Verdict::Success, 1_000), None);
    let _held = take(cell, 1_000).expect("the other");
    assert_eq!(take(cell, 1_000), None);
    options.disown(cell.words, cell.window);
    assert_eq!(cell.state(1_000 * MS), State::HalfOpen);
    let free = take(cell, 1_000).expect("free again");
    assert_eq!(end(cell, free, Verdict::Success, 1_000), Some(State::Closed), "the second success of two");
}

#[test]
fn calls_that_are_watched_for_being_slow_are_watched_no_more_and_the_window_stays() {
    let options = Breaker { slow: Some((100 * MS, 5_000)), window: Window::Count(10), ..common::options() };
    for (is_disowned, slow) in [(false, 1), (true, 0)] {
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        let success = take(cell, 0).expect("closed");
        assert_eq!(end(cell, success, Verdict::Success, 0), None);
        let _watched = cell.admit(Ask { ordinal: 1, attempt: 1, watched: true }, 0);
        if is_disowned {
            options.disown(cell.words, cell.window);
        }
        let _notices = take(cell, 200);
        assert_eq!((cell.counts(200 * MS).total, cell.counts(200 * MS).slow), (1 + slow, slow));
    }
}

#[derive(Default)]
struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock().expect("no waiter panics"))
    }
}

#[test]
fn slots_and_places_in_the_queue_are_free_but_for_the_slots_that_are_kept() {
    let bulkhead = Bulkhead { max_concurrent: 2, max_queue: 1, max_wait_ms: None, adaptive: None };
    let (word, waiters) = (AtomicU64::new(0), Locked::default());
    let enter = || bulkhead.enter(&word, &waiters, true);
    assert!(matches!([enter(), enter(), enter()], [Answer::Entered, Answer::Entered, Answer::Parked(_)]));
    Bulkhead::disown(&word, &waiters, 1);
    assert_eq!(Bulkhead::load(&word), (1, 0));
    let [Answer::Entered, Answer::Parked(waiter)] = [enter(), enter()] else { panic!("one slot is free, and one place") };
    assert_eq!(bulkhead.leave(&word, &waiters), Some(waiter), "who queued here, and nobody of before");
}
