//! Metrics: what calls leave in them, and what no flood does to them.

use std::sync::{Mutex, PoisonError};

use seawall_runtime::{Call, Ended, Policy, clock, families, metrics, metrics_open, reset_all, resolve, snapshot};
use std::sync::Arc;

/// The registry and the clock are the process's.
static ALONE: Mutex<()> = Mutex::new(());

fn alone(work: impl FnOnce()) {
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    reset_all(Some(0));
    clock::set_virtual(0);
    work();
    clock::set_real();
    reset_all(None);
}

const NOTHING: Ended<'static> = Ended { attempt: 1, kind: 0, bits: 0, status: 0, retry_after_ms: -1, error_type: "" };
const FAILED: Ended<'static> = Ended { kind: 1, error_type: "Down", ..NOTHING };

/// One call whose callee works for so many milliseconds.
fn call(policy: &Arc<Policy>, key: Option<&str>, ms: u64, ended: Ended<'_>) {
    let mut call = Call::new(policy, key, "id", 0, -1, 0).expect("a key where one is needed");
    call.start(clock::now());
    clock::advance(ms);
    call.ended(clock::now(), ended);
}

fn lines(text: &str, head: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(head)).map(str::to_owned).collect()
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn durations_of_calls_and_attempts_are_in_buckets_that_add_up() {
    alone(|| {
        let policy = resolve(r#"{"name": "timed", "parts": {"circuit_breaker": {}}}"#).expect("a spec");
        for ms in [1, 3, 100] {
            call(&policy, None, ms, NOTHING);
        }
        let text = metrics();
        let bucket = |le: &str| {
            value(&text, &format!(r#"seawall_call_duration_seconds_bucket{{policy="timed",lang="rust",outcome="success",le="{le}"}}"#))
        };
        assert_eq!([bucket("0.00025"), bucket("0.001"), bucket("0.004"), bucket("0.064")], [Some(0.0), Some(1.0), Some(2.0), Some(2.0)]);
        assert_eq!([bucket("0.128"), bucket("65.536"), bucket("+Inf")], [Some(3.0); 3]);
        let sum = value(&text, r#"seawall_call_duration_seconds_sum{policy="timed",lang="rust",outcome="success"}"#);
        assert_eq!(sum, Some(0.104));
        assert_eq!(value(&text, r#"seawall_attempt_duration_seconds_count{policy="timed",lang="rust",outcome="success"}"#), Some(3.0));
    });
}

#[test]
fn policies_of_one_label_are_one_series_and_what_they_counted_outlives_them() {
    alone(|| {
        let series = r#"seawall_calls_total{policy="twin",lang="rust",outcome="success"}"#;
        let make = || {
            let policy = resolve(r#"{"parts": {"retry": {}}}"#).expect("a spec");
            policy.set_label("twin");
            policy
        };
        let (one, other) = (make(), make());
        call(&one, None, 1, NOTHING);
        call(&other, None, 1, NOTHING);
        assert_eq!(lines(&metrics(), series), [format!("{series} 2")]);
        drop(one);
        call(&other, None, 1, NOTHING);
        drop(other);
        assert_eq!(lines(&metrics(), series), [format!("{series} 3")]);
    });
}

#[test]
fn a_flood_of_keys_makes_the_text_no_longer() {
    alone(|| {
        let policy = resolve(r#"{"name": "keyed", "keyed": true, "parts": {"circuit_breaker": {}}}"#).expect("a spec");
        call(&policy, Some("first"), 1, NOTHING);
        let before = metrics().lines().count();
        for key in 0..50_000 {
            call(&policy, Some(&format!("tenant-{key}")), 0, NOTHING);
        }
        let text = metrics();
        assert_eq!(text.lines().count(), before);
        assert!(!text.contains("tenant-"));
        assert_eq!(value(&text, r#"seawall_calls_total{policy="keyed",lang="rust",outcome="success"}"#), Some(50_001.0));
        assert_eq!(value(&text, r#"seawall_breaker_state{policy="keyed",lang="rust",state="closed"}"#), Some(10_000.0));
    });
}

#[test]
fn a_flood_of_policies_shares_one_label_and_loses_no_call() {
    alone(|| {
        let mut kept = Vec::new();
        for number in 0..3_000 {
            let policy = resolve(&format!(r#"{{"name": "p{number}", "parts": {{"retry": {{}}}}}}"#)).expect("a spec");
            call(&policy, None, 0, NOTHING);
            kept.push(policy);
        }
        let text = metrics();
        let ended = lines(&text, "seawall_calls_total{").into_iter().filter(|line| line.contains("success")).collect::<Vec<_>>();
        assert_eq!(ended.len(), 1_001);
        assert!(ended.contains(&r#"seawall_calls_total{policy="_overflow",lang="rust",outcome="success"} 2000"#.to_owned()));
        assert_eq!(value(&text, r#"seawall_metrics_overflow_policies{lang="rust"}"#), Some(1_000.0), "counted up to as many as have room");
    });
}

#[test]
fn names_are_escaped_and_open_metrics_ends_as_it_must() {
    alone(|| {
        let policy = resolve(r#"{"name": "a\"b\\c\nd", "parts": {"circuit_breaker": {}}}"#).expect("a spec");
        call(&policy, None, 1, FAILED);
        let series = r#"seawall_calls_total{policy="a\"b\\c\nd",lang="rust",outcome="failure"}"#;
        let text = metrics_open();
        assert!(text.contains(series) && text.ends_with("\n# EOF\n"), "{text}");
        assert!(text.contains("# TYPE seawall_calls counter\n") && text.contains("# UNIT seawall_call_duration_seconds seconds\n"));
        assert!(metrics().contains("# TYPE seawall_calls_total counter\n"));
    });
}

#[test]
fn a_snapshot_has_the_sums_of_what_the_text_has_apart() {
    alone(|| {
        let policy = resolve(r#"{"name": "summed", "parts": {"circuit_breaker": {"consecutive_failures": 1}}}"#).expect("a spec");
        call(&policy, None, 1, FAILED);
        call(&policy, None, 1, NOTHING);
        let found: serde_json::Value = serde_json::from_str(&snapshot()).expect("JSON");
        let of = |name: &str| found["summed"][name].as_f64();
        assert_eq!(of("seawall_calls_total"), Some(2.0));
        assert_eq!(of("seawall_calls_total:rejected"), Some(1.0));
        assert_eq!(of("seawall_calls_total:rejected:breaker_open"), Some(1.0));
        assert_eq!(of("seawall_breaker_transitions_total:open"), Some(1.0));
        assert_eq!(of("seawall_call_duration_seconds_count:failure"), Some(1.0));
        let families: serde_json::Value = serde_json::from_str(&families()).expect("JSON");
        let names = families.as_array().expect("an array").iter().filter_map(|family| family["name"].as_str());
        assert!(names.eq(seawall_engine::table::metrics::METRICS.iter().map(|row| row.name)));
    });
}
