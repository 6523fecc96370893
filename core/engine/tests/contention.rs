//! The protocols under real threads: each test states what must hold whatever the interleaving.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, State, Vote, Window};
use seawall_engine::policy::bulkhead::{Answer, Bulkhead, Place, WaitList, Waiters};
use seawall_engine::policy::retry::Budget;
use seawall_engine::table::layout::budget::WORDS;
use seawall_engine::time::MS;

fn breaker(window: Window) -> Breaker {
    Breaker { failure_ratio: Some(10_000), minimum_throughput: 1_000_000, window, ..common::options() }
}

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

fn vote(verdict: Verdict) -> Vote {
    Vote { verdict, is_first: true, server_ms: 0 }
}

/// Runs `work` once per item, all at once, and joins each thread by its handle: a sanitizer sees such a join, the end of a scope it does not.
fn at_once<T: Send>(items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

/// Every thread records a fixed pattern; once at rest, the window must hold exactly the last N outcomes' worth of failures.
#[test]
fn a_count_window_loses_and_doubles_nothing() {
    for size in [7u32, 100, 1_000] {
        let options = breaker(Window::Count(size));
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        at_once(0..4u32, |worker| {
            for round in 0..20_000u32 {
                let (permit, _) = cell.admit(Ask::default(), 0);
                let failed = (round + worker).is_multiple_of(3);
                cell.record(permit.expect("closed"), vote(if failed { Verdict::Failure } else { Verdict::Success }), 0);
            }
        });
        // Flush the ring with known outcomes: what is left is then known exactly, and any drift of the count would show.
        for round in 0..size {
            let (permit, _) = cell.admit(Ask::default(), 0);
            cell.record(permit.expect("closed"), vote(if round < 2 { Verdict::Failure } else { Verdict::Success }), 0);
        }
        let counts = cell.counts(0);
        assert_eq!((counts.total, counts.failures), (size, 2), "window of {size}");
    }
}

#[test]
fn a_time_window_loses_nothing() {
    let options = breaker(Window::Time(3_000 * MS));
    let words = common::words(&options);
    let cell = common::cell(&options, &words);
    at_once(0..4u64, |worker| {
        for round in 0..10_000u64 {
            let now = (round % 10) * 1_000 * MS;
            let (permit, _) = cell.admit(Ask::default(), now);
            let failed = (round + worker).is_multiple_of(2);
            cell.record(permit.expect("closed"), vote(if failed { Verdict::Failure } else { Verdict::Success }), now);
        }
    });
    let counts = cell.counts(9_000 * MS);
    assert_eq!((counts.total, counts.failures), (40_000, 20_000));
}

#[test]
fn half_open_never_admits_more_than_its_slots() {
    for _ in 0..200 {
        let options = breaker(Window::Count(10));
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        cell.hold(State::Isolated, 1, 0);
        let admitted = AtomicU32::new(0);
        at_once(0..4, |_| {
            for _ in 0..5 {
                if cell.admit(Ask::default(), 2 * MS).0.is_ok() {
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        assert_eq!(admitted.into_inner(), 3);
        assert_eq!(cell.state(2 * MS), State::HalfOpen);
    }
}

/// Threads that trip the breaker at once make one transition.
#[test]
fn one_trip_has_one_winner() {
    for _ in 0..200 {
        let options = Breaker { consecutive: Some(1), ..breaker(Window::Count(10)) };
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        let permits: Vec<_> = (0..4).map(|_| cell.admit(Ask::default(), 0).0.expect("closed")).collect();
        let trips = AtomicU32::new(0);
        at_once(permits, |permit| {
            if cell.record(permit, vote(Verdict::Failure), 0).is_some() {
                trips.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(trips.into_inner(), 1);
    }
}

struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        // Tried again and again rather than waited for: the waiting is in the standard library, where a sanitizer does not see it.
        loop {
            if let Ok(mut list) = self.0.try_lock() {
                return work(&mut list);
            }
            thread::yield_now();
        }
    }
}

#[test]
fn a_bulkhead_never_exceeds_its_slots_and_forgets_nobody() {
    let bulkhead = Bulkhead { max_concurrent: 2, max_queue: 64, max_wait_ms: None, adaptive: None };
    let word = AtomicU64::new(0);
    let waiters = Locked(Mutex::new(WaitList::default()));
    let (inside, peak) = (AtomicU32::new(0), AtomicU32::new(0));
    at_once(0..6, |_| {
        for _ in 0..2_000 {
            match bulkhead.enter(&word, &waiters, true) {
                Answer::Full => continue,
                Answer::Entered => {}
                Answer::Parked(ticket) => {
                    while bulkhead.settle(&word, &waiters, ticket, false) != Place::Granted {
                        thread::yield_now();
                    }
                }
            }
            peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            inside.fetch_sub(1, Ordering::SeqCst);
            bulkhead.leave(&word, &waiters);
        }
    });
    assert!(peak.into_inner() <= 2);
    assert_eq!(Bulkhead::load(&word), (0, 0), "every slot and every place in the queue came back");
}

#[test]
fn a_budget_never_pays_twice() {
    let budget = Budget { deposit: 0, floor: 50_000 };
    let words = words(WORDS);
    let paid = AtomicU32::new(0);
    at_once(0..4, |_| {
        for _ in 0..100 {
            if budget.withdraw(&words, 0, 1_000) {
                paid.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let paid = paid.into_inner();
    assert!(paid <= 50, "{paid} of 50");
}

/// Calls that become slow in flight while others notice them and they themselves fail: each is in the window exactly once, as slow and failed.
#[test]
fn a_call_noticed_in_flight_is_counted_once_whoever_comes_first() {
    for window in [Window::Count(1_000), Window::Time(3_000 * MS)] {
        for _ in 0..200 {
            let options = Breaker { slow: Some((100 * MS, 10_000)), ..breaker(window) };
            let words = common::words(&options);
            let cell = common::cell(&options, &words);
            let ask = |ordinal| Ask { ordinal, attempt: 1, watched: true };
            let permits: Vec<_> = (0..32).map(|ordinal| cell.admit(ask(ordinal), 0).0.expect("closed")).collect();
            at_once(permits.chunks(8), |quarter| {
                quarter.iter().for_each(|permit| assert!(cell.record(*permit, vote(Verdict::Failure), 200 * MS).is_none()));
            });
            let counts = cell.counts(200 * MS);
            assert_eq!((counts.total, counts.failures, counts.slow, counts.consecutive_failures), (32, 32, 32, 32), "{window:?}");
        }
    }
}
