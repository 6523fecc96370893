//! The end of the chain: memory that is full, and what is given up.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::time::{Duration, Instant};

use seawall_dlq::{Queue, abandon, flush, write_closed};
use serde_json::{Value, json};

/// Nobody serves it until a test says so: then there is a store, but it takes nothing.
fn nowhere(_: &str) -> Result<std::sync::Arc<dyn seawall_dlq::DeadLetterStore>, seawall_dlq::DlqError> {
    Err(seawall_dlq::DlqError::failed("the disk is gone"))
}

fn send(n: usize) -> Value {
    let letter = json!({
        "payload": {"n": n, "password": "canary-1"},
        "error": {"type": "Timeout", "message": "token=canary-2", "stack": "at charge(secret=canary-3)"},
        "headers": {"Authorization": "canary-4"},
        "redact": ["iban"],
        "chain": true,
    });
    let text = write_closed("orders", "nowhere://", &letter.to_string()).unwrap();
    assert!(!text.contains("canary"), "redacted before it goes anywhere: {text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn memory_is_bounded_and_what_it_cannot_take_goes_to_the_log() {
    seawall_dlq::register_store("nowhere", nowhere);
    for n in 0..1000 {
        let told = send(n);
        assert!(told["step"] == "memory" && told["cause"] == "store.failed" && told["lost"].is_null(), "{told}");
    }
    let told = (1000..1003).map(send).find(|told| told["step"] == "log").unwrap();
    assert_eq!(told["lost"]["letter"]["payload"], json!({"n": told["lost"]["letter"]["payload"]["n"], "password": "[redacted]"}));
    let line: Value = serde_json::from_str(told["lost"]["line"].as_str().unwrap()).unwrap();
    assert_eq!((line["error"]["type"].as_str(), line["error"]["stack"].is_null()), (Some("Timeout"), true));
    assert!(!flush(Instant::now() + Duration::from_millis(1)));
    let left = abandon();
    assert!(left.len() >= 999, "{}", left.len());
    assert!(left.iter().all(|text| !text.contains("canary")));
    assert!(abandon().len() <= 1, "at most the one that the thread had in its hands");

    // A letter that is long leaves a short line.
    let long = json!({"payload": "x".repeat(20_000), "chain": true}).to_string();
    let told: Value = serde_json::from_str(&write_closed("orders", "kafka://", &long).unwrap()).unwrap();
    assert_eq!((told["step"].as_str(), told["cause"].as_str()), (Some("log"), Some("store.unsupported")));
    assert!(told["lost"]["line"].as_str().unwrap().len() < 2_000);
    assert_eq!(told["lost"]["letter"]["payload"].as_str().map(str::len), Some(20_000));

    // By hand there is no chain: whoever puts a letter hears of it.
    let why = Queue::open("orders", "nowhere://").err().unwrap();
    assert_eq!(why.code, "store.failed");
}
