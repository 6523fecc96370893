//! Blocking calls.

mod support;

use std::sync::{Arc, Mutex};

use seawall::{
    Bulkhead, Chaos, CircuitBreaker, Error, Fallback, PolicyBuilder, RateLimit, Retry, RetryAfter, Timeout, on_event, policy, testing,
};
use support::{Down, ms};

fn down() -> Result<u32, Down> {
    Err(Down("down"))
}

#[test]
fn a_failed_call_is_tried_again_after_its_waits() {
    let clock = testing::clock(7);
    let retry = Retry::new().max_attempts(4).base_delay(ms(100)).jitter(seawall::Jitter::None);
    let policy = policy("retries").retry(retry).build().expect("valid");
    let mut attempts = Vec::new();
    let value = policy.run(|current| {
        attempts.push(current.attempt());
        if attempts.len() < 3 { Err(Down("down")) } else { Ok(5) }
    });
    assert_eq!(value.ok(), Some(5));
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(clock.sleeps(), [ms(100), ms(200)]);
}

#[test]
fn the_callees_own_error_surfaces_when_retries_are_used_up() {
    let _clock = testing::clock(0);
    let policy = policy("used up").retry(Retry::new().max_attempts(2)).build().expect("valid");
    let error = policy.call(down).expect_err("it fails");
    assert_eq!(error.code(), None);
    assert_eq!(error.into_callee(), Some(Down("down")));
}

#[test]
fn on_and_ignore_decide_what_is_tried_again() {
    let clock = testing::clock(0);
    let retry = Retry::new().on(|error: &Down| error.0 != "final").ignore(|error: &Down| error.0 == "mine");
    let policy = policy("on").retry(retry).build().expect("valid");
    for (word, attempts) in [("final", 1), ("mine", 1), ("other", 3)] {
        let mut calls = 0;
        let result: Result<(), _> = policy.call(|| {
            calls += 1;
            Err(Down(word))
        });
        assert_eq!((calls, result.expect_err("it fails").into_callee()), (attempts, Some(Down(word))), "{word}");
    }
    assert_eq!(clock.sleeps().len(), 2);
}

#[test]
fn a_rejected_result_is_tried_again_and_returned_at_last() {
    let _clock = testing::clock(0);
    let policy = policy("results").retry(Retry::new().max_attempts(2).on_result(|value: &u32| *value == 0)).build().expect("valid");
    let mut calls = 0;
    let result: Result<u32, Error<Down>> = policy.call(|| {
        calls += 1;
        Ok(0)
    });
    assert_eq!((result.ok(), calls), (Some(0), 2));
}

#[test]
fn a_server_says_when() {
    let clock = testing::clock(0);
    let read = |error: &Down| (error.0 == "busy").then_some(RetryAfter::After(ms(5_000)));
    let retry = Retry::new().max_attempts(2).base_delay(ms(0)).retry_after(read);
    let policy = policy("server").retry(retry).build().expect("valid");
    let result: Result<(), _> = policy.call(|| Err(Down("busy")));
    assert!(result.is_err());
    assert_eq!(clock.sleeps(), [ms(5_000)]);
}

#[test]
fn an_open_circuit_rejects_with_all_that_a_caller_needs() {
    let clock = testing::clock(0);
    let breaker = CircuitBreaker::new().consecutive_failures(3).break_duration(ms(1_000)).break_jitter(0.0);
    let policy = policy("bank").circuit_breaker(breaker).build().expect("valid");
    for _ in 0..3 {
        assert_eq!(policy.call(down).expect_err("down").into_callee(), Some(Down("down")));
    }
    assert_eq!(policy.breaker().state(), Ok("open"));
    clock.advance(ms(400));
    let error = policy.using().correlation_id("order-7").call(down).expect_err("open");
    let rejection = error.rejection().expect("a rejection");
    assert_eq!((rejection.code(), rejection.policy(), rejection.key()), ("circuit.open", "bank", None));
    assert_eq!((rejection.retry_after(), rejection.http_status()), (Some(ms(600)), 503));
    assert_eq!(rejection.correlation_id(), "order-7");
    assert_eq!(policy.breaker().counts().map(|counts| counts.rejected), Ok(1));
    clock.advance(ms(600));
    for _ in 0..2 {
        assert_eq!(policy.call(|| Ok::<_, Down>(1)).ok(), Some(1));
    }
    assert_eq!(policy.breaker().state(), Ok("closed"));
}

#[test]
fn a_rejection_further_in_is_neutral_further_out() {
    let _clock = testing::clock(0);
    let inner = policy("inner").circuit_breaker(CircuitBreaker::new()).build().expect("valid");
    let outer = policy("outer").circuit_breaker(CircuitBreaker::new().consecutive_failures(1)).build().expect("valid");
    inner.breaker().isolate("a test", Some("me"), None).expect("it has a breaker");
    let error = outer.call(|| inner.call(down)).expect_err("isolated");
    assert_eq!(error.callee().and_then(|inner| inner.code()), Some("circuit.isolated"));
    assert_eq!(outer.breaker().state(), Ok("closed"));
    let boxed = outer.call(|| inner.call(down).map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>));
    assert!(boxed.is_err());
    assert_eq!(outer.breaker().counts().map(|counts| counts.total), Ok(0));
    inner.breaker().reset().expect("it has a breaker");
    assert!(outer.call(|| inner.call(down)).is_err(), "the callee's own error");
    assert_eq!(outer.breaker().state(), Ok("open"));
}

#[test]
fn state_is_parted_by_key() {
    let _clock = testing::clock(0);
    let policy = policy("tenants").keyed().circuit_breaker(CircuitBreaker::new().consecutive_failures(1)).build().expect("valid");
    assert!(policy.using().key("a").call(down).is_err());
    assert_eq!(policy.using().key("a").breaker().state(), Ok("open"));
    assert_eq!(policy.using().key("b").breaker().state(), Ok("closed"));
    assert_eq!(policy.call(down).expect_err("no key").code(), Some("config.invalid"));
    let error = policy.using().key("a").call(down).expect_err("open");
    assert_eq!(error.rejection().and_then(|rejection| rejection.key()), Some("a"));
}

#[test]
fn a_full_bulkhead_rejects_and_one_call_never_queues_behind_itself() {
    let _clock = testing::clock(0);
    let policy = policy("slots").bulkhead(Bulkhead::new().max_concurrent(1).max_queue(5)).build().expect("valid");
    let nested = policy.call(|| policy.call(|| Ok::<_, Down>(1)).map_err(|error| error.code()));
    assert_eq!(nested.expect_err("full").into_callee(), Some(Some("bulkhead.full")));
    assert_eq!(policy.call(|| Ok::<_, Down>(2)).ok(), Some(2), "both have left");
}

#[test]
fn a_rate_limit_lets_wait_and_then_rejects() {
    let clock = testing::clock(0);
    let policy = policy("rate").rate_limit(RateLimit::new("10/s").burst(1).max_wait(ms(100))).build().expect("valid");
    assert!(policy.call(|| Ok::<_, Down>(())).is_ok());
    assert!(policy.call(|| Ok::<_, Down>(())).is_ok());
    assert_eq!(clock.sleeps(), [ms(100)]);
    let strict = PolicyBuilder::unnamed().rate_limit(RateLimit::new("10/s").burst(1)).build().expect("valid");
    assert!(strict.call(|| Ok::<_, Down>(())).is_ok());
    let error = strict.call(|| Ok::<_, Down>(())).expect_err("too fast");
    let rejection = error.rejection().expect("a rejection");
    assert_eq!((rejection.code(), rejection.retry_after(), rejection.http_status()), ("rate.limited", Some(ms(100)), 429));
}

#[test]
fn a_late_result_is_delivered_and_counted_as_a_failure() {
    let clock = testing::clock(0);
    let policy = policy("late")
        .timeout(Timeout::new().attempt(ms(50)))
        .circuit_breaker(CircuitBreaker::new().consecutive_failures(1))
        .build()
        .expect("valid");
    let late = policy.run(|current| {
        assert_eq!(current.remaining(), Some(ms(50)));
        clock.advance(ms(60));
        Ok::<_, Down>(1)
    });
    assert_eq!(late.ok(), Some(1));
    assert_eq!(policy.breaker().state(), Ok("open"));
}

#[test]
fn a_total_limit_ends_the_waits_and_names_the_last_error() {
    let clock = testing::clock(0);
    let policy = policy("total")
        .timeout(Timeout::new().total(ms(300)))
        .retry(Retry::new().max_attempts(2).base_delay(ms(100)).jitter(seawall::Jitter::None))
        .build()
        .expect("valid");
    let mut calls = 0;
    let error = policy.call(|| {
        calls += 1;
        clock.advance(ms(199));
        down()
    });
    let _ = error.expect_err("it fails");
    assert_eq!(calls, 2, "the wait of 100 ms just fits");
    let received = policy.using().deadline(ms(0)).call(down).expect_err("no time");
    assert_eq!(received.code(), Some("timeout.deadline"));
}

#[test]
fn fallbacks_answer_in_order() {
    let _clock = testing::clock(0);
    let answers = Fallback::new().with(|error: &Error<Down>| (error.callee()?.0 == "known").then_some(1u32)).value(2u32);
    let policy = policy("answers").fallback(answers).build().expect("valid");
    assert_eq!(policy.call(|| Err::<u32, _>(Down("known"))).ok(), Some(1));
    assert_eq!(policy.call(down).ok(), Some(2));
    let other = policy.call(|| Err::<String, _>(Down("down"))).expect_err("gives text");
    assert_eq!(other.code(), Some("config.invalid"), "{other}");
}

#[test]
fn what_fallback_ignores_surfaces() {
    let _clock = testing::clock(0);
    let answers = Fallback::new().value(2u32).ignore(|error: &Error<Down>| error.callee() == Some(&Down("final")));
    let policy = policy("ignores").fallback(answers).build().expect("valid");
    assert_eq!(policy.call(|| Err::<u32, _>(Down("final"))).expect_err("ignored").into_callee(), Some(Down("final")));
    assert_eq!(policy.call(down).ok(), Some(2));
}

#[test]
fn a_panic_counts_for_nothing_and_frees_the_slot() {
    let _clock = testing::clock(0);
    let policy = policy("panic")
        .bulkhead(Bulkhead::new().max_concurrent(1))
        .circuit_breaker(CircuitBreaker::new().consecutive_failures(1))
        .build()
        .expect("valid");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = policy.call(|| -> Result<(), Down> { panic!("a bug of the caller's") });
    }));
    assert!(panicked.is_err());
    assert_eq!(policy.call(|| Ok::<_, Down>(1)).ok(), Some(1), "slot and circuit are free");
    assert_eq!(policy.breaker().counts().map(|counts| counts.failures), Ok(0));
}

#[test]
fn shadow_judges_and_enforces_nothing() {
    let _clock = testing::clock(0);
    let policy = policy("shadow").circuit_breaker(CircuitBreaker::new().consecutive_failures(1)).build().expect("valid");
    policy.set_mode("shadow", "a trial", None, Some(ms(1_000))).expect("known");
    assert_eq!(policy.mode(), "shadow");
    for _ in 0..3 {
        assert_eq!(policy.call(down).expect_err("down").code(), None, "the callee is called");
    }
    assert_eq!(policy.breaker().state(), Ok("open"));
    assert!(policy.set_mode("off", "", None, None).is_err());
}

#[test]
fn events_are_told_in_order_and_a_broken_hook_is_left_out() {
    let _clock = testing::clock(0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&seen);
    let broken = on_event(|_| panic!("a bug of the hook's"));
    let listening = on_event(move |event| names.lock().expect("unpoisoned").push((event.name().to_owned(), event.policy().to_owned())));
    let policy = policy("told").circuit_breaker(CircuitBreaker::new().consecutive_failures(1)).build().expect("valid");
    let _ = policy.call(down);
    let _ = policy.call(down);
    drop((listening, broken));
    let _ = policy.call(down);
    let seen = seen.lock().expect("unpoisoned").clone();
    let names: Vec<&str> = seen.iter().filter(|(_, policy)| policy == "told").map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["attempt.failed", "breaker.opened", "call.rejected"]);
}

#[test]
fn wrong_options_name_the_place() {
    let _clock = testing::clock(0);
    let error = policy("wrong").retry(Retry::new().max_attempts(0)).build().expect_err("out of range");
    assert_eq!(error.path, "wrong.retry.max_attempts");
    let error = policy("both").timeout(Timeout::new().attempt(ms(20)).total(ms(10))).build().expect_err("contradictory");
    assert_eq!(error.code, "config.invalid");
}

#[test]
fn a_correlation_id_reaches_the_calls_inside() {
    let _clock = testing::clock(0);
    let policy = policy("ids").retry(Retry::new()).build().expect("valid");
    let seen = seawall::correlate("order-9", || {
        policy.run(|current| Ok::<_, Down>((current.correlation_id().to_owned(), seawall::correlation_id())))
    });
    assert_eq!(seen.ok(), Some(("order-9".to_owned(), Some("order-9".to_owned()))));
    assert_eq!(seawall::correlation_id(), None);
}

#[test]
fn an_experiment_keeps_within_its_bounds() {
    let clock = testing::clock(0);
    let always = || Chaos::new(1.0, std::time::Duration::from_secs(3_600)).fault();
    let build = |name: &str, chaos: Chaos| {
        policy(name).circuit_breaker(CircuitBreaker::new().consecutive_failures(2)).chaos(chaos).build().expect("valid")
    };
    let struck = |policy: &seawall::Policy| matches!(policy.call(|| Ok::<_, Down>(1)), Err(Error::Injected(_)));
    let share = build("chaos-share", always().max_share(0.5).window("1s every 10s"));
    assert_eq!([(); 4].map(|()| struck(&share)), [false, true, false, true]);
    clock.advance(std::time::Duration::from_secs(1));
    assert!(!struck(&share) && !struck(&share));
    let open = build("chaos-open", always().abort_when_open());
    assert!(struck(&open) && struck(&open));
    clock.advance(std::time::Duration::from_secs(10));
    assert!(!struck(&open), "its trial is left alone");
    let far = build("chaos-far", always().abort_when_open_in("chaos-near"));
    let near = build("chaos-near", always());
    assert!(struck(&far) && struck(&near) && struck(&near) && !struck(&far));
    let failing = build("chaos-failing", always().abort_when_failing(1.0, 1));
    assert!(struck(&failing) && !struck(&failing));
    let wrong = policy("chaos-wrong").chaos(always().max_share(0.001)).build().expect_err("too small");
    assert_eq!(wrong.path, "chaos-wrong.chaos.max_share");
}
