//! The quick path and the machine are two ways to one end: the same history, played both ways, leaves the same answers, states and counts.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use seawall::{Bulkhead, CircuitBreaker, Error, Policy, PolicyBuilder, RateLimit, Retry, on_event, policy, testing};
use support::{Down, Task, ms};

/// A small generator (Marsaglia's xorshift64), so that a history is a number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What an attempt waits for until the history ends it.
#[derive(Clone, Default)]
struct Gate(Rc<Latch>);

#[derive(Default)]
struct Latch {
    ended: Cell<Option<bool>>,
    waiting: RefCell<Option<Waker>>,
}

impl Gate {
    fn attempt(&self) -> impl Future<Output = Result<u32, Down>> + use<> {
        let Gate(gate) = self.clone();
        poll_fn(move |context| match gate.ended.take() {
            Some(true) => Poll::Ready(Ok(1)),
            Some(false) => Poll::Ready(Err(Down("down"))),
            None => {
                *gate.waiting.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
    }

    fn end(&self, ok: bool) {
        self.0.ended.set(Some(ok));
        if let Some(waker) = self.0.waiting.borrow_mut().take() {
            waker.wake();
        }
    }
}

fn told(result: Result<u32, Error<Down>>) -> String {
    match result {
        Ok(value) => format!("ok {value}"),
        Err(Error::Callee(error)) => format!("callee {error}"),
        Err(Error::Rejected(rejection)) => format!("{} {:?}", rejection.code(), rejection.retry_after()),
        Err(other) => format!("{other}"),
    }
}

/// Plays history number `seed` and gives what could be seen of it, and how many calls took the quick path.
fn play(shape: fn(PolicyBuilder) -> PolicyBuilder, seed: u64, quick: bool) -> (Vec<String>, u64) {
    let clock = testing::clock(seed);
    let mut builder = shape(PolicyBuilder::unnamed());
    if !quick {
        builder = builder.without_quick_path();
    }
    let policy = builder.build().expect("valid");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut seen = Vec::new();
    let mut open: Vec<(u32, Gate, Task<'_, _>)> = Vec::new();
    let mut calls = 0;
    for _ in 0..120 {
        match dice.roll(20) {
            0..=6 if open.len() < 6 => {
                calls += 1;
                let gate = Gate::default();
                let attempts = gate.clone();
                open.push((calls, gate, Task::new(policy.call_async(move || attempts.attempt()))));
            }
            7..=13 if !open.is_empty() => {
                let place = dice.roll(open.len() as u64) as usize;
                open[place].1.end(dice.roll(3) > 0);
            }
            14 if !open.is_empty() => {
                let (number, ..) = open.swap_remove(dice.roll(open.len() as u64) as usize);
                seen.push(format!("{number} dropped"));
            }
            15..=16 => {
                let ok = dice.roll(3) > 0;
                seen.push(told(policy.call(|| if ok { Ok(2) } else { Err(Down("blocking")) })));
            }
            17 => clock.advance(ms(dice.roll(400))),
            18 => administer(&policy, dice.roll(12)),
            _ => {}
        }
        let mut place = 0;
        while place < open.len() {
            if open[place].2.run() {
                let (number, _, task) = open.swap_remove(place);
                seen.push(format!("{number} {}", told(task.done())));
            } else {
                place += 1;
            }
        }
        seen.push(format!("{:?} {:?} {:?}", clock.now(), policy.breaker().state(), policy.breaker().counts()));
    }
    drop(open);
    seen.push(counted());
    seen.push(format!("{:?}", clock.sleeps()));
    (seen, policy.quick_calls())
}

/// What was counted. Durations are left out: of calls on the quick path there are none.
fn counted() -> String {
    let snapshot = seawall::runtime::snapshot();
    let counts = snapshot.trim_start_matches(r#"{"":{"#);
    counts.split(',').filter(|count| !count.contains("_duration_seconds")).collect::<Vec<_>>().join(",")
}

fn administer(policy: &Policy, choice: u64) {
    // A policy without a breaker has none to hold; that too is the same both ways.
    let _ = match choice {
        0 => policy.breaker().isolate("a history", None, Some(ms(300))),
        1 => policy.breaker().disable("a history", None, Some(ms(300))),
        2 => policy.breaker().reset(),
        3 => policy.set_mode("shadow", "a history", None, Some(ms(200))),
        4 => policy.set_mode("disabled", "a history", None, Some(ms(200))),
        5 => policy.set_mode("enforce", "a history", None, None),
        _ => Ok(()),
    };
}

fn both_ways(shape: fn(PolicyBuilder) -> PolicyBuilder) {
    let mut quick_calls = 0;
    for seed in 1..=150 {
        let (machine, none) = play(shape, seed, false);
        let (quick, some) = play(shape, seed, true);
        assert_eq!(none, 0);
        for (line, (quick, machine)) in quick.iter().zip(&machine).enumerate() {
            assert_eq!(quick, machine, "history {seed}, line {line}");
        }
        assert_eq!(quick.len(), machine.len());
        quick_calls += some;
    }
    assert!(quick_calls > 500, "only {quick_calls} calls took the quick path");
}

#[test]
fn a_breaker_that_counts_calls() {
    both_ways(|policy| policy.circuit_breaker(CircuitBreaker::new().window_size(8).minimum_throughput(4).break_duration(ms(200))));
}

#[test]
fn a_breaker_with_a_window_in_time() {
    both_ways(|policy| {
        policy.circuit_breaker(CircuitBreaker::new().sampling_duration(ms(500)).minimum_throughput(4).break_duration(ms(200)))
    });
}

#[test]
fn a_breaker_whose_successes_can_open_it() {
    both_ways(|policy| policy.circuit_breaker(CircuitBreaker::new().failure_ratio(0.25).minimum_throughput(5).break_duration(ms(100))));
}

#[test]
fn a_bulkhead() {
    both_ways(|policy| policy.bulkhead(Bulkhead::new().max_concurrent(2)));
}

#[test]
fn a_rate_limit() {
    both_ways(|policy| policy.rate_limit(RateLimit::new("10/s").burst(3)));
}

#[test]
fn a_rate_limit_that_lets_wait() {
    both_ways(|policy| policy.rate_limit(RateLimit::new("10/s").burst(3).max_wait(ms(150))));
}

#[test]
fn a_retry_with_its_budget() {
    both_ways(|policy| policy.retry(Retry::new().base_delay(ms(20))));
}

#[test]
fn a_retry_without_a_budget_around_a_breaker_and_a_bulkhead() {
    both_ways(|policy| {
        policy
            .retry(Retry::new().max_attempts(4).base_delay(ms(20)).no_retry_budget())
            .circuit_breaker(CircuitBreaker::new().window_size(10).minimum_throughput(4).break_duration(ms(200)))
            .bulkhead(Bulkhead::new().max_concurrent(3))
    });
}

#[test]
fn a_rate_limit_above_a_breaker() {
    both_ways(|policy| {
        policy
            .rate_limit(RateLimit::new("20/s").burst(5))
            .circuit_breaker(CircuitBreaker::new().consecutive_failures(2).break_duration(ms(200)))
    });
}

/// What one policy shows after each of some calls that end in every way, one of which panics and one of which calls another policy inside.
fn panicking_and_nested(quick: bool) -> (Vec<String>, u64) {
    let _clock = testing::clock(5);
    let build = |builder: PolicyBuilder| if quick { builder } else { builder.without_quick_path() }.build().expect("valid");
    let breaker = || CircuitBreaker::new().window_size(8).minimum_throughput(8).failure_ratio(1.0);
    let outer = build(PolicyBuilder::unnamed().retry(Retry::new()).circuit_breaker(breaker()).bulkhead(Bulkhead::new().max_concurrent(1)));
    let inner = build(PolicyBuilder::unnamed().circuit_breaker(breaker()).bulkhead(Bulkhead::new().max_concurrent(1)));
    let mut seen = Vec::new();
    let mut look = |said: String| seen.push(format!("{said} {:?} {:?}", outer.breaker().counts(), inner.breaker().counts()));
    for turn in 0..6 {
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outer.call(|| -> Result<u32, Down> { panic!("of a test") })));
        look(format!("panicked {}", panicked.is_err()));
        // The slot that the panic held is free, and it voted for nothing.
        look(told(outer.call(|| Ok(turn))));
        // Inside the attempt the outer policy's only slot is held: the same policy turns the call away, another one lets it pass.
        look(told(outer.call(|| inner.call(|| if turn % 2 == 0 { Ok(turn) } else { Err(Down("inner")) }).map_err(|_| Down("outer")))));
        let full = outer.call(|| Ok::<_, Down>(told(outer.call(|| Ok(turn)))));
        look(full.unwrap_or_else(|error| format!("{error}")));
    }
    seen.push(counted());
    (seen, outer.quick_calls() + inner.quick_calls())
}

#[test]
fn panics_and_calls_inside_calls() {
    let (machine, none) = panicking_and_nested(false);
    let (quick, some) = panicking_and_nested(true);
    assert_eq!(quick, machine);
    assert_eq!(none, 0);
    assert!(some >= 12, "only {some} calls took the quick path");
    assert!(machine.iter().filter(|line| line.starts_with("panicked true")).count() == 6);
}

/// What a named policy shows while files change it under calls that run: each file comes between the start of three calls and their ends.
fn reloaded_in_mid_call(quick: bool) -> (Vec<String>, u64) {
    let clock = testing::clock(9);
    let builder = policy("reloaded")
        .retry(Retry::new().base_delay(ms(20)))
        .circuit_breaker(CircuitBreaker::new().window_size(6).minimum_throughput(2).break_duration(ms(100)))
        .bulkhead(Bulkhead::new().max_concurrent(2));
    let policy = if quick { builder } else { builder.without_quick_path() }.build().expect("valid");
    let path = std::env::temp_dir().join(format!("seawall-quick-{}.json", std::process::id()));
    let mut seen = Vec::new();
    for turn in 0..24 {
        let gates: Vec<Gate> = (0..3).map(|_| Gate::default()).collect();
        let mut tasks: Vec<_> = gates
            .iter()
            .map(|gate| {
                let gate = gate.clone();
                Task::new(policy.call_async(move || gate.attempt()))
            })
            .collect();
        // Every third turn nothing changes, so that calls also begin on the path that a file has just left.
        if turn % 3 > 0 {
            let (size, attempts, slots) = (2 + turn % 5, 1 + turn % 3, 2 + turn % 4);
            let file = format!(
                r#"{{"policy": {{"reloaded": {{"circuit_breaker": {{"window_size": {size}}},
                    "bulkhead": {{"max_concurrent": {slots}}}, "retry": {{"max_attempts": {attempts}}}}}}}}}"#
            );
            std::fs::write(&path, file).expect("a temporary file");
            let loaded = seawall::runtime::load(path.to_str().expect("UTF-8"), None, seawall::runtime::clock::now()).expect("a good file");
            seen.push(format!("{:?}", loaded.events));
        }
        for (place, gate) in gates.iter().enumerate() {
            // More than once: what is tried again ends too.
            for _ in 0..3 {
                gate.end((turn + place) % 4 > 0);
                clock.advance(ms(15));
                tasks[place].run();
            }
            seen.push(format!("{turn} {:?} {:?}", policy.breaker().state(), policy.breaker().counts()));
        }
        for mut task in tasks {
            seen.push(if task.run() { told(task.done()) } else { "dropped".into() });
        }
    }
    let _ = std::fs::remove_file(path);
    seen.push(counted());
    (seen, policy.quick_calls())
}

#[test]
fn files_that_change_a_policy_under_running_calls() {
    let (machine, none) = reloaded_in_mid_call(false);
    let (quick, some) = reloaded_in_mid_call(true);
    assert_eq!(none, 0);
    // Where tracing is compiled in somebody always listens, and calls that are turned away are the machine's.
    assert!(some >= 3, "only {some} calls took the quick path");
    assert!(machine.iter().filter(|line| line.contains("config.reloaded")).count() > 8, "{machine:?}");
    for (line, (quick, machine)) in quick.iter().zip(&machine).enumerate() {
        assert_eq!(quick, machine, "line {line}");
    }
    assert_eq!(quick.len(), machine.len());
}

#[test]
fn whoever_listens_hears_of_both_ways_alike() {
    let hear = |quick: bool| {
        let _clock = testing::clock(3);
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let lines = std::sync::Arc::clone(&heard);
        let _listening = on_event(move |event| {
            let line = (event.name().to_owned(), event.number("duration_ms"), event.number("retry_after_ms"), event.number("generation"));
            lines.lock().expect("unpoisoned").push(line);
        });
        let builder = PolicyBuilder::unnamed().circuit_breaker(CircuitBreaker::new().failure_ratio(0.5).minimum_throughput(4)).seed(1);
        let policy = if quick { builder } else { builder.without_quick_path() }.build().expect("valid");
        for ok in [true, false, false, true, true] {
            let _ = policy.call(|| if ok { Ok(()) } else { Err(Down("down")) });
        }
        heard.lock().expect("unpoisoned").clone()
    };
    let (quick, machine) = (hear(true), hear(false));
    assert_eq!(quick, machine);
    let names: Vec<_> = quick.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["attempt.failed", "attempt.failed", "breaker.opened", "call.rejected"]);
}
