//! Bad configuration gets an error that names the place and says what would be right.

use seawall_runtime::check;
use serde_json::{Value, json};

fn error(dialect: &str, parts: Value) -> (String, String) {
    let spec = json!({"name": "pay", "dialect": dialect, "parts": parts}).to_string();
    let error = check(&spec).expect_err("the spec is wrong");
    (error.path, error.message)
}

fn experiment(option: &str, value: Value) -> Value {
    json!({"chaos": {"rate": 0.5, "fault": 1, "expires_in": "1h", option: value}})
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
        (experiment("window", json!("often")), "pay.chaos.window", "2m every 10m"),
        (experiment("window", json!("10m every 2m")), "pay.chaos.window", "cannot be"),
        (experiment("window", json!("0s every 2m")), "pay.chaos.window", "cannot be"),
        (experiment("window", json!("1m every soon")), "pay.chaos.window", "not a duration"),
        (experiment("window", json!("Mon-Fri 09:00-17:00")), "pay.chaos.window", "lacks a time zone"),
        (experiment("window", json!("09:00-17:00 Middle/Earth")), "pay.chaos.window", "Middle/Earth"),
        (experiment("window", json!("Mon-Fry 09:00-17:00 UTC")), "pay.chaos.window", "names no days"),
        (experiment("window", json!("09:00-09:00 UTC")), "pay.chaos.window", "00:00-24:00"),
        (experiment("window", json!("9-17 UTC")), "pay.chaos.window", "Mon-Fri 09:00-17:00"),
        (experiment("max_share", json!(0.005)), "pay.chaos.max_share", "at least 0.01"),
        (experiment("max_share", json!("120%")), "pay.chaos.max_share", "between 0 and 1"),
        (experiment("abort_when", json!("open")), "pay.chaos.abort_when", "table"),
        (experiment("abort_when", json!({})), "pay.chaos.abort_when", "never"),
        (experiment("abort_when", json!({"breaker": "closed"})), "pay.chaos.abort_when.breaker", "\"open\""),
        (experiment("abort_when", json!({"ratio": 0.5})), "pay.chaos.abort_when", "failure_ratio"),
        (experiment("abort_when", json!({"failure_ratio": 0})), "pay.chaos.abort_when.failure_ratio", "rounds to 0"),
        (experiment("abort_when", json!({"failure_ratio": 0.5, "policy": "bank"})), "pay.chaos.abort_when.policy", "breaker"),
        (
            experiment("abort_when", json!({"breaker": "open", "minimum_throughput": 5})),
            "pay.chaos.abort_when.minimum_throughput",
            "failure_ratio",
        ),
        (
            experiment("abort_when", json!({"failure_ratio": 0.5, "minimum_throughput": 51})),
            "pay.chaos.abort_when.minimum_throughput",
            "1 to 50",
        ),
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

#[test]
fn hours_of_the_day_need_an_end_in_sight() {
    let parts = |until: &str| json!({"chaos": {"rate": 0.5, "fault": 1, "window": "22:00-06:00 UTC", "until": until}});
    let (at, message) = error("python", parts("9000-01-01T00:00:00Z"));
    assert_eq!(at, "pay.chaos.until");
    assert!(message.contains("366 days"), "{message}");
    assert_eq!(check(&json!({"parts": parts("2020-01-01T00:00:00Z")}).to_string()), Ok(()));
}
