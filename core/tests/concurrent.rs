//! Async calls, polled by hand under virtual time.

mod support;

use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;

use seawall::{Bulkhead, CircuitBreaker, Error, Hedge, Retry, Timeout, policy, testing};
use support::{Down, Task, ms};

#[test]
fn an_attempt_is_dropped_when_its_limit_passes() {
    let clock = testing::clock(0);
    let policy = policy("limit")
        .timeout(Timeout::new().attempt(ms(50)))
        .circuit_breaker(CircuitBreaker::new().consecutive_failures(1))
        .build()
        .expect("valid");
    let alive = Rc::new(());
    let mut task = Task::new(policy.call_async(|| {
        let held = Rc::clone(&alive);
        async move {
            pending::<()>().await;
            drop(held);
            Ok::<(), Down>(())
        }
    }));
    clock.advance(ms(49));
    assert!(!task.run());
    clock.advance(ms(1));
    let error = task.done().expect_err("too late");
    assert_eq!(error.code(), Some("timeout.attempt"));
    assert_eq!(Rc::strong_count(&alive), 1, "nothing of the attempt is left");
    assert_eq!(policy.breaker().state(), Ok("open"));
}

#[test]
fn a_total_limit_names_the_last_error() {
    let clock = testing::clock(0);
    let policy = policy("all").timeout(Timeout::new().total(ms(500))).retry(Retry::new().base_delay(ms(0))).build().expect("valid");
    let calls = Cell::new(0);
    let mut task = Task::new(policy.call_async(|| {
        calls.set(calls.get() + 1);
        let first = calls.get() == 1;
        async move { if first { Err::<(), _>(Down("first")) } else { pending().await } }
    }));
    assert!(!task.run());
    clock.advance(ms(500));
    let error = task.done().expect_err("too late");
    assert_eq!((error.code(), error.callee()), (Some("timeout.total"), Some(&Down("first"))));
}

#[test]
fn a_dropped_call_counts_for_nothing_and_frees_its_slot() {
    let _clock = testing::clock(0);
    let policy = policy("dropped")
        .bulkhead(Bulkhead::new().max_concurrent(1))
        .circuit_breaker(CircuitBreaker::new().consecutive_failures(1))
        .build()
        .expect("valid");
    let task = Task::new(policy.call_async(pending::<Result<(), Down>>));
    let full = Task::new(policy.call_async(|| ready(Ok::<_, Down>(())))).done();
    assert_eq!(full.expect_err("one slot").code(), Some("bulkhead.full"));
    drop(task);
    assert!(Task::new(policy.call_async(|| ready(Ok::<_, Down>(())))).done().is_ok());
    assert_eq!(policy.breaker().counts().map(|counts| (counts.total, counts.failures)), Ok((1, 0)));
}

#[test]
fn a_freed_slot_wakes_whoever_waits_longest() {
    let _clock = testing::clock(0);
    let policy = policy("queue").bulkhead(Bulkhead::new().max_concurrent(1).max_queue(2)).build().expect("valid");
    let first = Task::new(policy.call_async(pending::<Result<u32, Down>>));
    let mut second = Task::new(policy.call_async(pending::<Result<u32, Down>>));
    let mut third = Task::new(policy.call_async(|| ready(Ok::<_, Down>(3))));
    assert!(!second.run() && !third.run());
    drop(second);
    assert!(!third.run(), "the slot is the first call's");
    drop(first);
    assert_eq!(third.done().ok(), Some(3));
}

#[test]
fn a_wait_in_the_queue_ends() {
    let clock = testing::clock(0);
    let policy = policy("wait").bulkhead(Bulkhead::new().max_concurrent(1).max_queue(2).max_wait(ms(30))).build().expect("valid");
    let _first = Task::new(policy.call_async(pending::<Result<u32, Down>>));
    let mut second = Task::new(policy.call_async(|| ready(Ok::<_, Down>(2))));
    clock.advance(ms(29));
    assert!(!second.run());
    clock.advance(ms(1));
    assert_eq!(second.done().expect_err("too long").code(), Some("bulkhead.full"));
}

#[test]
fn an_opening_circuit_turns_away_who_is_queued() {
    let clock = testing::clock(0);
    let policy = policy("turned away")
        .bulkhead(Bulkhead::new().max_concurrent(1).max_queue(2))
        .timeout(Timeout::new().attempt(ms(10)))
        .circuit_breaker(CircuitBreaker::new().consecutive_failures(1))
        .build()
        .expect("valid");
    let first = Task::new(policy.call_async(pending::<Result<u32, Down>>));
    let second = Task::new(policy.call_async(|| ready(Ok::<_, Down>(2))));
    clock.advance(ms(10));
    assert_eq!(first.done().expect_err("too late").code(), Some("timeout.attempt"));
    assert_eq!(second.done().expect_err("open").code(), Some("circuit.open"));
}

#[test]
fn a_hedge_wins_and_the_loser_is_dropped() {
    let clock = testing::clock(0);
    let policy = policy("hedged").hedge(Hedge::new().delay(ms(20))).build().expect("valid");
    let alive = Rc::new(());
    let mut task = Task::new(policy.run_async(|current| {
        let (attempt, held) = (current.attempt(), Rc::clone(&alive));
        async move {
            if attempt == 1 {
                pending::<()>().await;
            }
            drop(held);
            Ok::<_, Down>(attempt)
        }
    }));
    assert!(!task.run());
    clock.advance(ms(20));
    assert_eq!(task.done().ok(), Some(2));
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(policy.call(|| Ok::<_, Down>(1)).expect_err("blocking").code(), Some("config.invalid"));
}

#[test]
fn waits_of_our_own_move_virtual_time_on() {
    let clock = testing::clock(0);
    let retry = Retry::new().max_attempts(2).base_delay(ms(100)).jitter(seawall::Jitter::None);
    let policy = policy("waits").retry(retry).build().expect("valid");
    let result = Task::new(policy.call_async(|| ready(Err::<(), _>(Down("down"))))).done();
    assert!(matches!(result, Err(Error::Callee(Down("down")))));
    assert_eq!((clock.sleeps(), clock.now()), (vec![ms(100)], ms(100)));
}

#[test]
fn a_call_is_sent_between_threads_if_its_parts_are() {
    fn is_send<T: Send>(_: &T) {}
    let _clock = testing::clock(0);
    let policy = policy("send").retry(Retry::new()).build().expect("valid");
    let call = policy.call_async(|| async { Ok::<_, Down>(1) });
    is_send(&call);
    assert_eq!(Task::new(call).done().ok(), Some(1));
}

#[test]
fn what_is_inside_an_attempt_ends_with_its_call() {
    let clock = testing::clock(0);
    let outer = policy("around").timeout(Timeout::new().total(ms(100))).build().expect("valid");
    let inner = policy("within").retry(Retry::new().base_delay(ms(200)).jitter(seawall::Jitter::None)).build().expect("valid");
    let result = Task::new(outer.call_async(|| inner.call_async(|| ready(Err::<(), _>(Down("down")))))).done();
    assert!(matches!(result, Err(Error::Callee(Error::Callee(Down("down"))))), "the wait does not fit into the time left: {result:?}");
    assert!(clock.sleeps().is_empty());
}
