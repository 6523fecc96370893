//! One work, one letter.

use serde_json::json;

use super::{Bench, Case, drive, step};

pub const CASES: &[Case] = &[
    ("a ready letter takes later failures of its key", by_key),
    ("the first three and last seven attempts stay", attempts),
    ("a letter that is not ready takes none", only_ready),
    ("within a retry equal calls are one letter", within_retry),
    ("an outer success archives", archive),
    ("a redriven call updates its own letter", redriven),
];

fn by_key(bench: &Bench) {
    let failure =
        |message: &str| json!({"payload": 1, "idempotency_key": "k", "error": {"type": "E", "message": message}, "attempts": [{}, {}]});
    let first = bench.put(&failure("one"));
    bench.advance(5000);
    let second = bench.put(&failure("two"));
    assert_ne!(first, second);
    let letter = bench.get(&second);
    // Either id finds the one letter.
    assert_eq!(letter["id"], first.as_str());
    assert_eq!(letter, bench.get(&first));
    assert_eq!(letter["error"]["message"], "two");
    assert_eq!(letter["attempt_count"], 4);
    assert_eq!(letter["attempts"][3]["number"], 4);
    assert_eq!(letter["times"]["last_failure"], "2026-11-24T23:30:05.000Z");
    assert_eq!(letter["times"]["dead_lettered"], "2026-11-24T23:30:00.000Z");
    assert_eq!(bench.peek(&json!({"id": second})), [1]);
    assert_eq!(bench.stats()["ready"], 1);
    bench.put(&json!({"payload": 2, "idempotency_key": "other"}));
    assert_eq!(bench.stats()["ready"], 2);
}

fn attempts(bench: &Bench) {
    let tries: Vec<_> = (1..=8).map(|n| json!({"message": format!("try {n}")})).collect();
    let id = bench.put(&json!({"payload": 1, "idempotency_key": "k", "attempts": tries}));
    bench.put(&json!({"payload": 1, "idempotency_key": "k", "attempts": tries}));
    let letter = bench.get(&id);
    let numbers: Vec<u64> = letter["attempts"].as_array().unwrap().iter().map(|attempt| attempt["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 10, 11, 12, 13, 14, 15, 16]);
    assert_eq!(letter["attempts"][9]["message"], "try 8");
    assert_eq!(letter["attempt_count"], 16);
}

fn only_ready(bench: &Bench) {
    let put = || bench.put(&json!({"payload": 1, "idempotency_key": "k"}));
    let first = put();
    let redrive = bench.redrive(&json!({}));
    assert!(step(&redrive, 0)["deliver"].is_object());
    let second = put();
    assert_eq!(bench.get(&second)["id"], second.as_str());
    assert!(redrive.delivered(1, true, None, 0).unwrap());
    bench.queue.park(&json!({"id": second}).to_string()).unwrap();
    let third = put();
    assert_eq!(bench.get(&third)["id"], third.as_str());
    assert_eq!(bench.state(&first), "archived");
}

fn within_retry(bench: &Bench) {
    let call = |payload: i64, within: bool| {
        bench.put(&json!({"payload": payload, "correlation_id": "c", "operation": "charge", "within_retry": within, "attempts": [{}]}))
    };
    let first = call(1, true);
    assert_eq!(bench.get(&call(1, true))["id"], first.as_str());
    assert_eq!(bench.get(&first)["attempt_count"], 2);
    // Other work, and work that only looks the same.
    call(2, true);
    call(1, false);
    assert_eq!(bench.stats()["ready"], 3);
}

fn archive(bench: &Bench) {
    let put = |operation: &str| bench.put(&json!({"payload": 1, "correlation_id": "c", "operation": operation}));
    let (mine, other, parked) = (put("charge"), put("refund"), put("charge"));
    bench.queue.park(&json!({"id": parked}).to_string()).unwrap();
    assert_eq!(bench.queue.archive("c", "charge").unwrap(), 1);
    assert_eq!(bench.queue.archive("c", "charge").unwrap(), 0);
    assert_eq!([mine, other, parked].map(|id| bench.state(&id)), ["archived", "ready", "parked"]);
    assert_eq!(bench.peek(&json!({"state": "archived"})), [1]);
}

fn redriven(bench: &Bench) {
    let id = bench.put_number(1);
    let again =
        |message: &str| bench.put(&json!({"payload": 1, "id": id, "error": {"type": "E", "message": message}, "attempts": [{}, {}]}));
    let redrive = bench.redrive(&json!({}));
    step(&redrive, 0);
    assert_eq!(again("inside"), id);
    assert_eq!(bench.state(&id), "leased");
    // What the call wrote itself is not written twice.
    assert!(redrive.delivered(1, false, Some(r#"{"type": "E", "message": "outside"}"#), 0).unwrap());
    let letter = bench.get(&id);
    assert_eq!((letter["attempt_count"].as_u64(), letter["error"]["message"].as_str()), (Some(2), Some("inside")));
    assert_eq!(bench.stats()["ready"], 1);
    // An archived letter is history: what fails afterwards is a new one, and nothing is lost.
    assert_eq!(drive(&bench.redrive(&json!({})), |_| true).1["ok"], 1);
    let new = again("later");
    assert_ne!(new, id);
    assert_eq!(bench.state(&new), "ready");
}
