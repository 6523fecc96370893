//! Bad configuration gets an error that names the place and says what would be right.

use seawall_runtime::check;
use serde_json::{Value, json};

fn error(dialect: &str, parts: Value) -> (String, String) {
    let spec = json!({"name": "pay", "dialect": dialect, "parts": parts}).to_string();
    let error = check(&spec).expect_err("the spec is wrong");
    (error.path, error.message)
}

#[test]
fn every_error_names_its_place() {
    let cases = [
        (json!({"retry": {"max_attempts": 0}}), "pay.retry.max_attempts", "out of range"),
        (json!({"retry": {"max_atempts": 3}}), "pay.retry.max_atempts", "did you mean `max_attempts`"),
        (json!({"rety": {}}), "pay.rety", "did you mean `retry`"),
        (json!({"retry": {"base_delay": "5s", "max_delay": "1s"}}), "pay.retry.base_delay", "max_delay"),
        (json!({"timeout": {"attempt": "2s", "total": "1s"}}), "pay.timeout.attempt", "total"),
        (json!({"timeout": {"attempt": "0.5ms"}}), "pay.timeout.attempt", "whole number of milliseconds"),
        (json!({"timeout": {"attempt": "5"}}), "pay.timeout.attempt", "unit"),
        (json!({"circuit_breaker": {"failure_ratio": 0.00001}}), "pay.circuit_breaker.failure_ratio", "rounds to 0"),
        (json!({"circuit_breaker": {"failure_ratio": 1.5}}), "pay.circuit_breaker.failure_ratio", "between 0 and 1"),
        (json!({"circuit_breaker": {"slow_call_ratio": 0.3}}), "pay.circuit_breaker.slow_call_ratio", "needs slow_call_duration"),
        (
            json!({"circuit_breaker": {"slow_call_duration": "1s", "slow_call_ratio": 0.00001}}),
            "pay.circuit_breaker.slow_call_ratio",
            "rounds to 0",
        ),
        (json!({"circuit_breaker": {"window_size": 10, "sampling_duration": "10s"}}), "pay.circuit_breaker", "exclude each other"),
        (
            json!({"circuit_breaker": {"window_size": 10, "minimum_throughput": 20}}),
            "pay.circuit_breaker.minimum_throughput",
            "window_size",
        ),
        (
            json!({"circuit_breaker": {"half_open_successes": 3, "half_open_max_calls": 2}}),
            "pay.circuit_breaker.half_open_successes",
            "half_open_max_calls",
        ),
        (json!({"bulkhead": {"adaptive": true, "max_concurrent": 9}}), "pay.bulkhead.max_concurrent", "bound it with max_limit"),
        (json!({"bulkhead": {"min_limit": 2}}), "pay.bulkhead.min_limit", "without `adaptive`"),
        (json!({"bulkhead": {"adaptive": false, "max_limit": 2}}), "pay.bulkhead.max_limit", "without `adaptive`"),
        (json!({"bulkhead": {"adaptive": true, "min_limit": 9, "max_limit": 2}}), "pay.bulkhead.min_limit", "max_limit"),
        (json!({"bulkhead": {"adaptive": true, "min_limit": 0}}), "pay.bulkhead.min_limit", "out of range"),
        (json!({"rate_limit": {}}), "pay.rate_limit.rate", "must be given"),
        (json!({"rate_limit": {"rate": "fast"}}), "pay.rate_limit.rate", "100/s"),
        (json!({"chaos": {"rate": 0.5, "fault": 1}}), "pay.chaos", "must have an end"),
        (json!({"bulkhead": {"scope": "host"}}), "pay.bulkhead.scope", "process"),
        (json!({"retry": {"retry_budget": {"share": 1}}}), "pay.retry.retry_budget", "ratio and per_second"),
    ];
    for (parts, path, hint) in cases {
        let (at, message) = error("python", parts.clone());
        assert_eq!(at, path, "{parts}");
        assert!(message.contains(hint), "{message:?} says {hint:?}");
    }
}

#[test]
fn a_number_has_the_unit_of_its_language_and_none_in_a_file() {
    for (dialect, value) in [("python", json!(0.1)), ("node", json!(100)), ("file", json!("100ms"))] {
        let spec = json!({"dialect": dialect, "parts": {"retry": {"base_delay": value}}}).to_string();
        assert_eq!(check(&spec), Ok(()), "{dialect}");
    }
    let (_, message) = error("file", json!({"retry": {"base_delay": 100}}));
    assert!(message.contains("\"100ms\""), "{message}");
}

#[test]
fn only_given_values_contradict_and_defaults_give_way() {
    for parts in [
        json!({"circuit_breaker": {"window_size": 5}}),
        json!({"circuit_breaker": {"half_open_max_calls": 1}}),
        json!({"circuit_breaker": {"half_open_successes": 5}}),
        json!({"circuit_breaker": {"break_duration": "2m"}}),
        json!({"circuit_breaker": {"max_break_duration": "1s"}}),
        json!({"bulkhead": {"adaptive": true, "min_limit": 600}}),
        json!({"retry": {"base_delay": "20s"}}),
        json!({"retry": {"max_delay": "10ms"}}),
    ] {
        assert_eq!(check(&json!({"parts": parts}).to_string()), Ok(()), "{parts}");
    }
}
