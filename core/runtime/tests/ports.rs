//! Ports of isolates, with the isolate's part played here.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use seawall_engine::ports::count_success;
use seawall_engine::table::layout::port as at;
use seawall_runtime::{Begun, Call, Counted, Ended, HeldPort, Op, PORT_WORDS, Policy, resolve};

const SHUT: u32 = u32::MAX;

fn policy(parts: &str) -> Arc<Policy> {
    resolve(&format!(r#"{{"dialect":"node","parts":{{{parts}}}}}"#)).expect("valid")
}

fn words() -> &'static [AtomicU32] {
    Box::leak((0..PORT_WORDS).map(|_| AtomicU32::new(0)).collect())
}

fn up(words: &[AtomicU32], word: usize) {
    words[word].store(words[word].load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// A call that passes on the port.
fn pass(words: &[AtomicU32]) {
    up(words, at::BEGUN);
    assert!(count_success(words, words[at::GENERATION].load(Ordering::Acquire)));
    up(words, at::PASSED);
}

/// As [`pass`], while others write the gate: they take its credit away for a moment, and without credit the isolate asks.
fn pass_or_ask(port: &HeldPort, words: &[AtomicU32]) {
    up(words, at::BEGUN);
    let generation = words[at::GENERATION].load(Ordering::Acquire);
    if !count_success(words, generation) {
        assert!(matches!(port.succeeded(generation, 0), Counted::Done));
    }
    up(words, at::PASSED);
}

fn ended(kind: u32) -> Ended<'static> {
    Ended { attempt: 1, kind, bits: 0, status: 0, retry_after_ms: -1, error_type: if kind == 0 { "" } else { "Error" } }
}

fn fail(policy: &Arc<Policy>, now: u64) -> Vec<Op> {
    let mut call = Call::new(policy, None, "id", 0, -1, 0).expect("no key");
    call.start(now);
    let mut ops = call.ended(now, ended(1));
    if ops.iter().all(|op| op.code != 9) {
        ops.extend(call.classified(now, 0));
    }
    ops
}

#[test]
fn what_the_isolate_counted_is_in_the_counts_and_the_metrics() {
    let policy = policy(r#""circuit_breaker":{"failure_ratio":0.5}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    (0..40).for_each(|_| pass(words));
    assert_eq!(policy.breaker_counts(None, 0).expect("a breaker")[0], 40);
    let snapshot = policy.snapshot(None, 0);
    assert!(snapshot.contains(r#""seawall_calls_total:success":40"#), "{snapshot}");
    assert!(port.is_current());
}

#[test]
fn a_failure_ends_credit_and_successes_then_ask() {
    let policy = policy(r#""circuit_breaker":{"failure_ratio":0.5}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    pass(words);
    fail(&policy, 0);
    assert_eq!(words[at::CREDIT].load(Ordering::Acquire), 0);
    let generation = words[at::GENERATION].load(Ordering::Acquire);
    assert_ne!(generation, SHUT, "the circuit is closed: calls may begin");
    assert!(matches!(port.succeeded(generation, 0), Counted::Done));
    assert_eq!(policy.breaker_counts(None, 0).expect("a breaker")[..2], [3, 1]);
}

#[test]
fn an_open_circuit_shuts_the_gate() {
    let policy = policy(r#""circuit_breaker":{"consecutive_failures":1}"#);
    let words = words();
    let _port = HeldPort::attach(&policy, words, 0).expect("fit");
    fail(&policy, 0);
    assert_eq!(words[at::GENERATION].load(Ordering::Acquire), SHUT);
    policy.breaker_reset(None).expect("a breaker");
    assert_ne!(words[at::GENERATION].load(Ordering::Acquire), SHUT);
}

#[test]
fn counts_belong_to_the_bucket_that_the_isolate_was_told_of() {
    let policy = policy(r#""circuit_breaker":{"failure_ratio":0.5,"sampling_duration":"10s"}"#);
    let words = words();
    let second = 1_000_000_000;
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    assert_eq!(port.roll(0), Some(second));
    pass(words);
    // Drained late, and gone with its bucket all the same.
    assert_eq!(policy.breaker_counts(None, 9 * second).expect("a breaker")[0], 1);
    assert_eq!(policy.breaker_counts(None, 10 * second).expect("a breaker")[0], 0);
}

#[test]
fn unused_slots_are_free_to_everybody_else() {
    let policy = policy(r#""bulkhead":{"max_concurrent":2}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    assert!(port.enter() && port.enter() && !port.enter());
    words[at::SLOTS].store(2, Ordering::Release);
    assert!(policy.snapshot(None, 0).contains(r#""in_flight":0"#));
    let mut call = Call::new(&policy, None, "id", 0, -1, 0).expect("no key");
    assert!(call.start(0).iter().any(|op| op.code == 0), "a slot that the isolate kept is free");
    assert_eq!(words[at::SLOTS].load(Ordering::Acquire), 0);
    assert!(port.enter() && !port.enter());
}

#[test]
fn while_somebody_waits_the_isolate_is_asked_for_its_slots() {
    let policy = policy(r#""bulkhead":{"max_concurrent":1,"max_queue":1}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    assert!(port.enter());
    let mut call = Call::new(&policy, None, "id", 0, -1, 0).expect("no key");
    assert!(call.start(0).iter().any(|op| op.code == 4), "the slot is in use: the call waits");
    assert_eq!(words[at::SLOTS].load(Ordering::Acquire), 1 << 31);
    assert!(port.leave().is_some(), "the slot passes to the one who waits");
    assert!(call.granted(0).iter().any(|op| op.code == 0));
    assert_eq!(words[at::SLOTS].load(Ordering::Acquire), 0, "nobody waits any more");
}

#[test]
fn an_isolate_that_ends_gives_back_what_its_calls_held() {
    let policy = policy(r#""bulkhead":{"max_concurrent":2}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    assert!(port.enter() && port.enter());
    // One call is under way, the other has left its slot to the next.
    words[at::IN_USE].store(1, Ordering::Release);
    words[at::SLOTS].store(1, Ordering::Release);
    assert!(port.isolate_ended().is_empty(), "nobody waits");
    assert!(policy.snapshot(None, 0).contains(r#""in_flight":0"#));
    let other = HeldPort::attach(&policy, self::words(), 0).expect("fit");
    assert!(other.enter() && other.enter() && !other.enter());
}

#[test]
fn an_isolate_that_ends_wakes_those_who_wait_for_its_slots() {
    let policy = policy(r#""bulkhead":{"max_concurrent":1,"max_queue":5}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    assert!(port.enter());
    words[at::IN_USE].store(1, Ordering::Release);
    let mut call = Call::new(&policy, None, "id", 0, -1, 0).expect("no key");
    let parked = call.start(0).iter().find_map(Op::parks).expect("the slot is in use");
    assert_eq!(port.isolate_ended(), [parked]);
    assert!(call.granted(0).iter().any(|op| op.code == 0));
}

#[test]
fn a_call_that_is_abandoned_hands_on_what_it_holds() {
    let policy = policy(
        r#""bulkhead":{"max_concurrent":1,"max_queue":5},"circuit_breaker":{"consecutive_failures":1,"break_duration":"1ms","break_jitter":0,"half_open_max_calls":1,"half_open_successes":1}"#,
    );
    fail(&policy, 0);
    let begin = |now| {
        let mut call = Call::new(&policy, None, "id", 0, -1, 0).expect("no key");
        let ops = call.start(now);
        (call, ops)
    };
    let (mut trial, started) = begin(1_000_000);
    assert!(started.iter().any(|op| op.code == 0), "the trial of a half-open circuit runs");
    assert!(trial.abandon(1_000_000).is_empty(), "nobody waits");
    assert!(trial.abandon(1_000_000).is_empty(), "twice is once");
    let (mut trial, started) = begin(1_000_000);
    assert!(started.iter().any(|op| op.code == 0), "its trial and its slot were given back");
    trial.ended(1_000_000, ended(0));
    let (mut holder, _) = begin(1_000_000);
    let (mut first, ops) = begin(1_000_000);
    let ticket = ops.iter().find_map(Op::parks).expect("the slot is in use");
    let (_second, ops) = begin(1_000_000);
    let next = ops.iter().find_map(Op::parks).expect("the slot is in use");
    // The first wake is to look when the slot lapses, the second for the slot itself.
    assert!(holder.abandon(1_000_000).contains(&ticket));
    assert!(first.abandon(1_000_000).contains(&next), "the slot that it was granted and never heard of");
}

#[test]
fn an_open_circuit_refuses_until_its_break_is_over() {
    let policy = policy(r#""circuit_breaker":{"consecutive_failures":1,"break_duration":"1s","break_jitter":0}"#);
    let port = HeldPort::attach(&policy, words(), 0).expect("fit");
    assert_eq!(port.refuse(0), None);
    fail(&policy, 0);
    assert_eq!(port.refuse(400_000_000), Some((1, Some(600))));
    assert_eq!(port.opening(0), (false, 1, 1));
    assert_eq!(port.refuse(1_000_000_000), None, "the next caller is a trial, and somebody has to judge it");
    assert_eq!(policy.breaker_counts(None, 0).expect("a breaker")[4], 1);
}

/// The wait that is asked for, in milliseconds.
fn delay(ops: &[Op]) -> i64 {
    ops.iter().find(|op| op.code == 2).map(|op| op.args[1]).expect("a wait")
}

/// How long a call waits after its first attempt failed, if so many began before it and all in the machine.
fn wait_in_the_machine(spec: &str, before: usize) -> i64 {
    let policy = resolve(spec).expect("valid");
    (0..before).for_each(|_| drop(Call::new(&policy, None, "id", 0, -1, 0)));
    let mut call = Call::new(&policy, None, "id", 0, -1, 0).expect("no key");
    call.start(0);
    delay(&call.ended(0, ended(1)))
}

#[test]
fn a_resumed_call_draws_as_if_it_had_begun_in_the_machine() {
    let spec = r#"{"dialect":"node","seed":7,"parts":{"retry":{"max_attempts":3}}}"#;
    let one = resolve(spec).expect("valid");
    let words = words();
    let port = HeldPort::attach(&one, words, 0).expect("fit");
    // Two calls before it on the port, one in the machine.
    up(words, at::BEGUN);
    let _elsewhere = fail(&one, 0);
    up(words, at::BEGUN);
    let before = words[at::BEGUN].load(Ordering::Acquire) + words[at::ELSEWHERE].load(Ordering::Acquire);
    assert_eq!(before, 3);
    up(words, at::BEGUN);
    up(words, at::BEGUN);
    let mut resumed = port.resume("id", Begun { generation: 0, slot: false, before, started: 0 });
    assert_eq!(delay(&resumed.ended(0, ended(1))), wait_in_the_machine(spec, 3));
}

#[test]
fn a_call_that_is_said_to_have_begun_later_than_it_goes_on_is_reported() {
    let policy = resolve(r#"{"dialect":"node","seed":7,"parts":{"retry":{"max_attempts":2,"base_delay":0}}}"#).expect("valid");
    let port = HeldPort::attach(&policy, words(), 0).expect("fit");
    let mut resumed = port.resume("id", Begun { generation: 0, slot: false, before: 0, started: 2_000_000 });
    resumed.ended(1_000_000, ended(1));
    resumed.timer(1_000_000, 0, 0);
    let report = resumed.report();
    assert_eq!(report.matches(r#""started_ms":0"#).count(), 2, "{report}");
}

#[test]
fn a_call_of_a_port_that_is_gone_draws_as_the_first_one_still() {
    let spec = r#"{"dialect":"node","seed":531421459,"parts":{"retry":{"max_attempts":3}}}"#;
    let one = resolve(spec).expect("valid");
    let words = words();
    let port = HeldPort::attach(&one, words, 0).expect("fit");
    up(words, at::BEGUN);
    // The policy changes, and the isolate's next call begins elsewhere.
    one.set_mode("enforce", "test", None, None, 0).expect("a mode");
    assert!(port.detach().is_empty());
    let mut next = Call::new(&one, None, "next", 0, -1, 0).expect("no key");
    next.start(0);
    let mut resumed = port.resume("id", Begun { generation: 0, slot: false, before: 0, started: 0 });
    assert_eq!(delay(&resumed.ended(0, ended(1))), wait_in_the_machine(spec, 0));
}

#[test]
fn a_change_shuts_the_port_for_good() {
    let policy = policy(r#""circuit_breaker":{"failure_ratio":0.5}"#);
    let words = words();
    let port = HeldPort::attach(&policy, words, 0).expect("fit");
    policy.set_mode("shadow", "test", None, None, 0).expect("a mode");
    assert!(!port.is_current());
    assert_eq!(words[at::GENERATION].load(Ordering::Acquire), SHUT);
    fail(&policy, 0);
    assert_eq!(words[at::GENERATION].load(Ordering::Acquire), SHUT);
    assert!(HeldPort::attach(&policy, self::words(), 0).is_err(), "not while nothing is enforced");
}

#[test]
fn isolates_come_and_go_under_load_and_nothing_is_lost() {
    const ISOLATES: u64 = 3;
    const ROUNDS: u64 = 50;
    const CALLS: u64 = 100;
    let policy = policy(r#""circuit_breaker":{"failure_ratio":0.5}"#);
    let start = Barrier::new(ISOLATES as usize + 1);
    thread::scope(|scope| {
        for _ in 0..ISOLATES {
            scope.spawn(|| {
                start.wait();
                for _ in 0..ROUNDS {
                    let words = words();
                    let port = HeldPort::attach(&policy, words, 0).expect("fit");
                    (0..CALLS).for_each(|_| pass_or_ask(&port, words));
                    assert!(port.detach().is_empty(), "nobody waits");
                    assert_eq!(words[at::GENERATION].load(Ordering::Acquire), SHUT);
                }
            });
        }
        scope.spawn(|| {
            start.wait();
            for _ in 0..200 {
                assert!(policy.breaker_counts(None, 0).expect("a breaker")[0] <= ISOLATES * ROUNDS * CALLS);
            }
        });
    });
    let all = ISOLATES * ROUNDS * CALLS;
    assert_eq!(policy.breaker_counts(None, 0).expect("a breaker")[0], all);
    let snapshot = policy.snapshot(None, 0);
    assert!(snapshot.contains(&format!(r#""seawall_calls_total:success":{all}"#)), "{snapshot}");
}
