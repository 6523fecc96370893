//! Calls without the machine, as a binding makes them whose threads take turns.

use std::sync::Arc;

use seawall_runtime::quick::{self, Begun, Start, Success};
use seawall_runtime::{Ended, Grip, Policy, clock, resolve};
use serde_json::json;

const FAILURE: u32 = 1;

fn policy(parts: &serde_json::Value) -> Arc<Policy> {
    resolve(&json!({"name": null, "dialect": "python", "parts": parts}).to_string()).expect("valid")
}

fn grip(policy: &Arc<Policy>) -> Grip {
    Grip::of(policy, clock::now()).expect("fit")
}

/// Begins a call that must begin.
fn begun(grip: &Grip) -> Begun {
    let mut begun = Begun::nothing();
    assert!(matches!(quick::begin(grip, &mut begun, || true), Start::Begun));
    begun
}

fn pass(grip: &Grip) {
    assert!(matches!(quick::succeed(grip, &begun(grip)), (Success::Recorded, None)));
}

fn fail(grip: &Grip) {
    let mut call = quick::resume(grip, &begun(grip), 1);
    call.identify("id-1");
    let ended = Ended { attempt: 1, kind: FAILURE, bits: 0, status: 0, retry_after_ms: -1, error_type: "Error" };
    let ops = call.ended(clock::now(), ended);
    assert!(ops.iter().any(|op| op.code == 6), "it goes on in the machine: {ops:?}");
    assert!(call.report().contains("id-1"));
}

fn begins(grip: &Grip, quiet: bool) -> Start {
    quick::begin(grip, &mut Begun::nothing(), || quiet)
}

#[test]
fn successes_are_counted_here_and_failures_by_the_machine() {
    let policy = policy(&json!({"circuit_breaker": {"consecutive_failures": 2}, "bulkhead": {"max_concurrent": 1}}));
    let grip = grip(&policy);
    assert!(quick::suits(&grip));
    pass(&grip);
    fail(&grip);
    pass(&grip);
    assert_eq!(policy.quick_calls(), 2);
    let counts = policy.breaker_counts(None, clock::now()).expect("a breaker");
    assert_eq!((counts[0], counts[1], counts[3]), (3, 1, 0), "total, failures, in a row");
}

#[test]
fn a_refusal_is_quick_only_where_it_repeats_one_and_nobody_hears() {
    let policy = policy(&json!({"bulkhead": {"max_concurrent": 1}}));
    let grip = grip(&policy);
    let held = begun(&grip);
    assert!(matches!(begins(&grip, true), Start::Slow), "the first is told, by the machine");
    let mut loud = seawall_runtime::Call::new(&policy, None, "id", 1, -1, 0).expect("no key");
    assert!(loud.start(clock::now()).iter().any(|op| op.code == 10));
    assert!(matches!(begins(&grip, false), Start::Slow), "somebody listens");
    match begins(&grip, true) {
        Start::Refused(refused) => assert_eq!((refused.code, refused.retry_after_ms, refused.trip), ("bulkhead.full", None, None)),
        _ => panic!("it is full"),
    }
    assert!(matches!(quick::succeed(&grip, &held), (Success::Recorded, None)));
    pass(&grip);
    assert_eq!(policy.quick_calls(), 3);
}

#[test]
fn a_retry_or_a_fallback_has_a_say_in_refusals() {
    for part in [json!({"retry": {"max_attempts": 2}}), json!({"fallback": {"steps": 1}})] {
        let mut parts = json!({"bulkhead": {"max_concurrent": 1}});
        parts.as_object_mut().expect("an object").extend(part.as_object().expect("an object").clone());
        let policy = policy(&parts);
        let grip = grip(&policy);
        let held = begun(&grip);
        for _ in 0..3 {
            assert!(matches!(begins(&grip, true), Start::Slow));
        }
        assert!(matches!(quick::succeed(&grip, &held), (Success::Recorded, None)));
    }
}

#[test]
fn what_was_changed_meanwhile_is_the_machines() {
    let policy = policy(&json!({"bulkhead": {"max_concurrent": 1}}));
    let grip = grip(&policy);
    let held = begun(&grip);
    policy.set_mode("shadow", "test", None, None, clock::now()).expect("a mode");
    assert!(!grip.is_current() && Grip::of(&policy, clock::now()).is_err());
    assert!(matches!(quick::succeed(&grip, &held), (Success::Machine, None)));
    let ended = Ended { attempt: 1, kind: 0, bits: 0, status: 0, retry_after_ms: -1, error_type: "" };
    let _ = quick::resume(&grip, &held, 1).ended(clock::now(), ended);
    policy.set_mode("enforce", "test", None, Some(0), clock::now()).expect("a mode");
    let mut call = seawall_runtime::Call::new(&policy, None, "id", 1, -1, 0).expect("no key");
    assert!(call.start(clock::now()).iter().any(|op| op.code == 0), "the slot was given back");
}

#[test]
fn calls_of_threads_that_take_turns_add_up() {
    let policy = policy(&json!({"retry": {"max_attempts": 2}}));
    let grip = grip(&policy);
    for _ in 0..3 {
        std::thread::scope(|scope| drop(scope.spawn(|| pass(&grip))));
    }
    let mut call = seawall_runtime::Call::new(&policy, None, "id", 1, -1, 0).expect("no key");
    assert!(!call.start(clock::now()).is_empty());
    assert_eq!(policy.quick_calls(), 3);
}

#[test]
fn a_limit_of_time_goes_on_in_the_machine_with_what_is_left_of_it() {
    let policy = policy(&json!({"timeout": {"attempt": 3_600, "total": 7_200}, "circuit_breaker": {"consecutive_failures": 1}}));
    assert!(Grip::of(&policy, clock::now()).is_err(), "whoever asks for none gets none");
    let grip = Grip::with_limits(&policy, clock::now()).expect("fit");
    let hour = 3_600_000_000_000;
    assert_eq!((grip.limits().attempt, grip.limits().total), (Some(hour), Some(2 * hour)));
    let held = begun(&grip);
    assert_eq!(held.due(), held.started() + hour, "the nearest");
    let mut call = quick::resume(&grip, &held, 0);
    assert_eq!(call.wait_ms(held.started() + hour), 3_600_000);
    assert_eq!(call.wait_ms(held.started() + hour + 1), 3_600_000, "rounded up");
    let early = call.timer(held.due() - 1, 2, 1);
    assert_eq!(early.iter().map(|op| (op.code, op.args)).collect::<Vec<_>>(), [(3, [2, 1, 1, 0])], "once more, for the millisecond left");
    let ops = call.timer(held.due(), 2, 1);
    assert!(ops.iter().any(|op| op.code == 1) && ops.iter().any(|op| op.code == 6), "cut, and failed: {ops:?}");
    assert_eq!(policy.breaker_state(None, held.due()).expect("a breaker"), "open");
}

#[test]
fn a_late_success_is_the_machines() {
    let policy = policy(&json!({"timeout": {"attempt": "1ms"}}));
    let grip = Grip::with_limits(&policy, clock::now()).expect("fit");
    let held = begun(&grip);
    while clock::now() <= held.due() {
        std::hint::spin_loop();
    }
    assert!(matches!(quick::succeed(&grip, &held), (Success::Machine, None)));
    assert_eq!(policy.quick_calls(), 0);
}
