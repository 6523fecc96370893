//! The happy path allocates nothing: a closed breaker, a free slot, a turn at once, a deposit, a first try.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Count;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::chance::Source;
use seawall_engine::outcome::{Bits, Kind, Outcome, Pushback, Verdict};
use seawall_engine::pipeline::{Begin, Call, Env, Policy};
use seawall_engine::policy::breaker::{Ask, Breaker, Vote, Window};
use seawall_engine::policy::bulkhead::{Answer, Bulkhead, WaitList, Waiters};
use seawall_engine::policy::chaos::{Abort, Chaos};
use seawall_engine::policy::rate_limit::{self, RateLimit};
use seawall_engine::policy::retry::{Backoff, Budget, Growth, Jitter, Retry};
use seawall_engine::step::Input;
use seawall_engine::table::layout::budget::WORDS;
use seawall_engine::table::layout::chaos;
use seawall_engine::time::{MS, SECOND};

/// Counts what the present thread allocates; the others are the test harness's.
struct Counting;

std::thread_local! {
    static ALLOCATIONS: Count<usize> = const { Count::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every request goes to the system's allocator unchanged; the count is a thread-local without a destructor and allocates nothing.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's obligations are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, that is from the system's allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often `work` allocates in many rounds.
fn allocations(mut work: impl FnMut(u64)) -> usize {
    let before = ALLOCATIONS.get();
    (0..10_000).for_each(&mut work);
    ALLOCATIONS.get() - before
}

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|round| drop(std::hint::black_box(Box::new(round)))), 10_000);
}

#[test]
fn a_closed_breaker_allocates_nothing() {
    for window in [Window::Count(100), Window::Time(SECOND)] {
        let options = Breaker { failure_ratio: Some(5_000), window, quiet_streak: Some(5), ..common::options() };
        let words = common::words(&options);
        let cell = common::cell(&options, &words);
        let seen = allocations(|round| {
            let now = round * 10 * MS;
            assert!(cell.would_refuse(Ask::default(), now).is_none());
            let permit = cell.admit(Ask::default(), now).0.expect("closed");
            // A failure now and then, so that the window is summed and judged.
            let verdict = if round % 10 == 0 { Verdict::Failure } else { Verdict::Success };
            assert!(cell.record(permit, Vote { verdict, is_first: true, server_ms: 0 }, now).is_none());
        });
        assert_eq!(seen, 0, "{window:?}");
    }
}

struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock().expect("no panic inside"))
    }
}

#[test]
fn a_free_slot_allocates_nothing() {
    let bulkhead = Bulkhead { max_concurrent: 2, max_queue: 2, max_wait_ms: None, adaptive: None };
    let (word, waiters) = (AtomicU64::new(0), Locked(Mutex::new(WaitList::default())));
    let seen = allocations(|_| {
        assert_eq!(bulkhead.enter(&word, &waiters, true), Answer::Entered);
        assert_eq!(bulkhead.leave(&word, &waiters), None);
    });
    assert_eq!(seen, 0);
}

#[test]
fn a_turn_allocates_nothing() {
    let limit = RateLimit { interval_ns: MS, burst: 10, max_wait_ms: 0 };
    let word = AtomicU64::new(0);
    assert_eq!(allocations(|round| assert_eq!(limit.take(&word, round * MS, None), rate_limit::Answer::Pass)), 0);
}

#[test]
fn a_budget_allocates_nothing() {
    let budget = Budget { deposit: 200, floor: 10_000 };
    let words = words(WORDS);
    let seen = allocations(|round| {
        budget.deposit(&words, round * MS);
        budget.withdraw(&words, round * MS, 1_000);
    });
    assert_eq!(seen, 0);
}

/// Strikes every attempt, if it is armed.
fn experiment() -> Chaos {
    let abort = Abort { opens: true, opens_elsewhere: true, ratio: Some((1, 1)) };
    Chaos { rate: 10_000, faults: vec![1], ends_at: u64::MAX, number: 1, max_share: Some(10_000), abort, ..Chaos::default() }
}

/// A whole call whose first try succeeds, with its list of outputs kept from call to call.
#[test]
fn a_first_try_allocates_nothing() {
    let policy = Policy {
        retry: Some(Retry {
            max_attempts: 3,
            backoff: Backoff { growth: Growth::Exponential, jitter: Jitter::Full, base_ns: MS, factor_milli: 2_000, max_ns: SECOND },
            retry_after_max_ms: 60_000,
            wait_for_breaker: false,
            budget: Some(Budget { deposit: 200, floor: 10_000 }),
            has_on: false,
        }),
        bulkhead: Some(Bulkhead { max_concurrent: 2, max_queue: 2, max_wait_ms: None, adaptive: None }),
        rate_limit: Some(RateLimit { interval_ns: MS, burst: 10, max_wait_ms: 0 }),
        chaos: Some(experiment()),
        ..Policy::default()
    };
    let (bulkhead, rate_limit) = (AtomicU64::new(0), AtomicU64::new(0));
    let (waiters, budget, struck) = (Locked(Mutex::new(WaitList::default())), words(WORDS), words(chaos::WORDS));
    let source = Source::new(0, "");
    let env = Env {
        policy: &policy,
        breaker: &[],
        window: &[],
        bulkhead: &bulkhead,
        waiters: &waiters,
        rate_limit: &rate_limit,
        adaptive: &[],
        hedge: &[],
        budget: &budget,
        chaos: &struck,
        openings: 0,
        source,
        chaos_source: source,
        armed: false,
        key: None,
    };
    let success = Outcome { kind: Kind::Success, bits: Bits::default(), status: 0, pushback: Pushback::None };
    let mut out = Vec::with_capacity(16);
    let seen = allocations(|round| {
        let mut call = Call::new(Begin::default());
        call.step(&env, round * MS, Input::Start, &mut out);
        call.step(&env, round * MS, Input::Ended { attempt: 1, outcome: success }, &mut out);
        assert!(call.is_done() && out.len() == 2, "{out:?}");
        out.clear();
    });
    assert_eq!(seen, 0);
    assert!(struck.iter().all(|word| word.load(Ordering::Relaxed) == 0), "disarmed, chaos touches nothing");
}
