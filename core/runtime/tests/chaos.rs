//! Experiments as hooks and snapshots see them. One test, since the clock and whether chaos is armed are the process's.

use std::sync::Arc;

use seawall_runtime::{Call, Ended, Op, Policy, chaos, clock, resolve};
use serde_json::{Value, json};

fn policy(name: &str, parts: Value) -> Arc<Policy> {
    resolve(&json!({"name": name, "dialect": "node", "parts": parts}).to_string()).expect("valid parts")
}

/// What a call that fails, by a fault or by itself, tells.
fn failing_call(policy: &Arc<Policy>) -> (bool, Vec<Value>) {
    let mut call = Call::new(policy, None, "", 1, -1, 0).expect("no key");
    let mut ops = call.start(0);
    let struck = ops.iter().any(|op| op.code == 0 && op.args[3] >= 0);
    let ended = Ended { attempt: 1, kind: if struck { 6 } else { 1 }, bits: 0, status: 0, retry_after_ms: -1, error_type: "boom" };
    ops.extend(call.ended(0, ended));
    let records = ops.iter().filter_map(|op: &Op| op.record.as_deref()).map(|record| serde_json::from_str(record).expect("JSON"));
    (struck, records.collect())
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().filter_map(|record| record["event"].as_str()).filter(|name| !name.starts_with("attempt.")).collect()
}

fn experiment(policy: &Policy) -> Value {
    let snapshot: Value = serde_json::from_str(&policy.snapshot(None, clock::now())).expect("JSON");
    snapshot["chaos"].clone()
}

fn always(abort: Value) -> Value {
    json!({"rate": 1, "fault": 1, "expires_in": "1h", "abort_when": abort})
}

#[test]
fn an_experiment_ends_once_and_says_so() {
    clock::set_virtual(0);
    let breaker = json!({"consecutive_failures": 2});
    let own = policy("own", json!({"circuit_breaker": breaker, "chaos": always(json!({"breaker": "open"}))}));

    chaos::arm(false);
    assert!(!failing_call(&own).0);
    assert_eq!(experiment(&own), json!({"armed": false, "state": "disarmed", "aborted": null, "attempts": 0, "struck": 0}));
    own.breaker_reset(None).expect("a breaker");

    chaos::arm(true);
    assert_eq!(names(&failing_call(&own).1), ["chaos.injected"]);
    assert_eq!(experiment(&own), json!({"armed": true, "state": "running", "aborted": null, "attempts": 1, "struck": 1}));
    let (_, records) = failing_call(&own);
    assert_eq!(names(&records), ["chaos.injected", "breaker.opened", "chaos.aborted"], "cause before effect");
    let told = records.iter().find(|record| record["event"] == "chaos.aborted").expect("told");
    assert_eq!((&told["reason"], &told["severity"], &told["policy"]), (&json!("breaker_open"), &json!("warning"), &json!("own")));
    assert_eq!(experiment(&own), json!({"armed": true, "state": "aborted", "aborted": "breaker_open", "attempts": 2, "struck": 2}));
    // It opens once more, without chaos, and nothing is said again.
    own.breaker_reset(None).expect("a breaker");
    assert_eq!(names(&failing_call(&own).1), Vec::<&str>::new());
    assert_eq!(names(&failing_call(&own).1), ["breaker.opened"]);

    let bank = policy("bank", json!({"circuit_breaker": breaker}));
    let far = policy("far", json!({"chaos": always(json!({"breaker": "open", "policy": "bank"}))}));
    assert_eq!((failing_call(&far).0, failing_call(&far).0), (true, true), "it has no circuit of its own");
    failing_call(&bank);
    failing_call(&bank);
    bank.breaker_reset(None).expect("a breaker");
    let (struck, records) = failing_call(&far);
    assert_eq!((struck, names(&records)), (false, vec!["chaos.aborted"]), "closed again, and not forgotten");
    assert_eq!((failing_call(&far).0, experiment(&far)["aborted"].as_str()), (false, Some("breaker_open")));

    let ratio = policy("ratio", json!({"chaos": always(json!({"failure_ratio": 1, "minimum_throughput": 2}))}));
    failing_call(&ratio);
    assert_eq!(names(&failing_call(&ratio).1), ["chaos.injected", "chaos.aborted"]);
    assert_eq!((failing_call(&ratio).0, experiment(&ratio)["aborted"].as_str()), (false, Some("failure_ratio")));

    let beat = policy("beat", json!({"chaos": {"rate": 1, "fault": 1, "expires_in": "1h", "window": "1s every 1m"}}));
    assert_eq!(experiment(&beat)["state"], "running");
    clock::set_virtual(1_000);
    assert_eq!(experiment(&beat)["state"], "waiting");
    clock::set_virtual(3_600_000);
    assert_eq!(experiment(&beat)["state"], "over");

    seawall_runtime::reset_all(None);
    clock::set_virtual(0);
    assert!(failing_call(&ratio).0, "a reset of all state arms it again");
    chaos::arm(false);
}
