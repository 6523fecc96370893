use super::*;

fn spec(parts: &Value) -> Spec {
    let spec = Spec::parse(&json!({"name": "pay", "dialect": "node", "parts": parts}).to_string());
    spec.expect("valid parts")
}

fn worst(parts: &Value, inner: &[(String, WorstCase)]) -> WorstCase {
    let spec = spec(parts);
    let compiled = spec.compile(0, 0);
    worst::of(&Subject { engine: &compiled.engine, spec: &spec, inner })
}

fn codes(parts: &Value) -> Vec<String> {
    lint_one(&spec(parts)).iter().map(|finding| finding["code"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_worst_case_is_a_sum_that_the_total_cuts() {
    let parts = json!({
        "retry": {"max_attempts": 4, "base_delay": "100ms", "retry_after_max": "1s"},
        "rate_limit": {"rate": "10/s", "max_wait": "50ms"},
        "bulkhead": {"max_queue": 5, "max_wait": "500ms"},
        "timeout": {"attempt": "2s"},
    });
    let found = worst(&parts, &[]);
    // 4 x 50 ms + 4 x 500 ms + 4 x 2 s + (100 + 200 + 400) ms + 3 x 1 s
    assert_eq!((found.ms, found.calls), (Some(13_900), 4), "{:#?}", found.lines);
    let delays = "delays between attempts: 3, none longer than 10s, together = 700ms";
    assert!(found.lines.iter().any(|line| line == delays), "{:#?}", found.lines);
    let mut cut = parts.clone();
    cut["timeout"]["total"] = json!("10s");
    cut["dead_letter"] = json!({});
    let found = worst(&cut, &[]);
    assert_eq!(found.ms, Some(10_250), "the letter is written after the total: {:#?}", found.lines);
    assert!(found.lines.iter().any(|line| line == "13.9s, cut by timeout.total = 10s"), "{:#?}", found.lines);
}

#[test]
fn what_nothing_bounds_is_said() {
    let found = worst(&json!({"retry": {}}), &[]);
    assert_eq!(found.ms, None);
    assert!(found.unbounded.is_some_and(|why| why.contains("timeout.attempt")));
    let queued = worst(&json!({"bulkhead": {"max_queue": 1}, "timeout": {"attempt": "1s"}}), &[]);
    assert!(queued.unbounded.is_some_and(|why| why.contains("queue")));
    assert_eq!(worst(&json!({"retry": {}, "timeout": {"total": "3s"}}), &[]).ms, Some(3_000));
}

#[test]
fn policies_inside_multiply_calls_and_bound_attempts() {
    let inner =
        worst(&json!({"retry": {"max_attempts": 3, "base_delay": "0s", "retry_after_max": "0s"}, "timeout": {"attempt": "1s"}}), &[]);
    assert_eq!((inner.ms, inner.calls), (Some(3_000), 3));
    let outer = json!({"retry": {"max_attempts": 2, "base_delay": "0s", "retry_after_max": "0s"}});
    let found = worst(&outer, &[("inner".to_owned(), inner)]);
    assert_eq!((found.ms, found.calls), (Some(6_000), 6), "{:#?}", found.lines);
}

#[test]
fn decorrelated_delays_are_taken_at_their_longest() {
    let parts = json!({"retry": {"max_attempts": 4, "base_delay": "100ms", "jitter": "decorrelated", "retry_after_max": "0s"}, "timeout": {"attempt": "1s"}});
    // 300 ms, 900 ms, 2,700 ms and four attempts of a second.
    assert_eq!(worst(&parts, &[]).ms, Some(7_900));
}

#[test]
fn each_rule_finds_its_mistake() {
    let bounded = json!({"attempt": "1s"});
    for (code, parts) in [
        ("delays_exceed_total", json!({"retry": {"max_attempts": 10, "max_delay": "30s"}, "timeout": {"attempt": "1s", "total": "20s"}})),
        ("attempts_exceed_total", json!({"retry": {"max_attempts": 3}, "timeout": {"attempt": "2s", "total": "5s"}})),
        ("retry_without_attempt_timeout", json!({"retry": {}})),
        ("retry_without_budget", json!({"retry": {"retry_budget": false}, "timeout": bounded})),
        ("queue_exceeds_total", json!({"bulkhead": {"max_queue": 1, "max_wait": "5s"}, "timeout": {"total": "5s"}})),
        ("queue_exceeds_total", json!({"bulkhead": {"max_concurrent": 2, "max_queue": 9}, "timeout": {"attempt": "1s", "total": "5s"}})),
        ("queue_without_limit", json!({"bulkhead": {"max_queue": 1}})),
        ("throughput_out_of_reach", json!({"rate_limit": {"rate": "5/m"}, "circuit_breaker": {}})),
        ("lease_shorter_than_attempt", json!({"circuit_breaker": {"half_open_lease": "500ms"}, "timeout": bounded})),
        ("letter_under_sure_fallback", json!({"fallback": {"value": 0}, "dead_letter": {}})),
        ("chaos_expires_in", json!({"chaos": {"rate": 0.1, "latency": "1s", "expires_in": "1h"}})),
    ] {
        assert_eq!(codes(&parts), [code], "{parts}");
    }
}

#[test]
fn what_is_right_is_not_warned_of() {
    for parts in [
        json!({"retry": {"max_attempts": 4, "base_delay": "100ms"}, "circuit_breaker": {}, "bulkhead": {"max_concurrent": 10}, "timeout": {"attempt": "2s", "total": "10s"}}),
        json!({"retry": {"max_attempts": 1, "retry_budget": null}}),
        json!({"fallback": {"steps": 1}, "dead_letter": {}}),
        json!({"rate_limit": {"rate": "100/s"}, "circuit_breaker": {}}),
        json!({"chaos": {"rate": 0.1, "latency": "1s", "until": "2030-01-01T00:00:00Z"}}),
    ] {
        assert_eq!(codes(&parts), [""; 0], "{parts}");
    }
}

#[test]
fn every_finding_shows_its_arithmetic() {
    let found = lint_one(&spec(&json!({"retry": {"max_attempts": 3}, "timeout": {"attempt": "2s", "total": "5s"}})));
    assert_eq!(found[0]["policy"], "pay");
    assert_eq!(found[0]["path"], "timeout.total");
    assert_eq!(found[0]["lines"][2], "6s + 300ms = 6.3s > timeout.total = 5s");
}

#[test]
fn durations_are_shown_in_their_largest_unit() {
    let found = [0, 1, 250, 1_000, 1_250, 90_000, 120_000, 7_200_000].map(shown);
    assert_eq!(found, ["0s", "1ms", "250ms", "1s", "1.25s", "90s", "2m", "2h"]);
}

#[test]
fn an_experiment_that_watches_no_circuit_is_said() {
    let chaos = |abort: Value| json!({"rate": 0.5, "fault": 1, "until": "2030-01-01T00:00:00Z", "abort_when": abort});
    let own = json!({"breaker": "open"});
    assert_eq!(codes(&json!({"chaos": chaos(own.clone())})), ["chaos_watches_nothing"]);
    assert!(codes(&json!({"circuit_breaker": {}, "chaos": chaos(own)})).is_empty());
    assert!(codes(&json!({"chaos": chaos(json!({"breaker": "open", "policy": "bank"}))})).is_empty());
    assert!(codes(&json!({"chaos": chaos(json!({"failure_ratio": 0.5}))})).is_empty());
}
