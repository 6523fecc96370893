//! Which events, error codes and metrics are told on which page.

/// What a page tells. A pattern is a name, or the head of names before a `*`.
pub struct Topic {
    /// The strategy, or the page of the guide.
    pub name: &'static str,
    /// Its events.
    pub events: &'static [&'static str],
    /// Its error codes.
    pub codes: &'static [&'static str],
    /// Its metrics.
    pub metrics: &'static [&'static str],
}

const CALLS: &str = "seawall_calls_total";
const ATTEMPTS: &str = "seawall_attempts_total";

/// Every page that tells something.
pub const TOPICS: &[Topic] = &[
    Topic { name: "fallback", events: &["fallback.*"], codes: &["result.rejected"], metrics: &["seawall_fallbacks_total", CALLS] },
    Topic { name: "dead_letter", events: &["dlq.*"], codes: &["store.*", "result.rejected"], metrics: &["seawall_dlq_*"] },
    Topic { name: "timeout", events: &["timeout.*"], codes: &["timeout.*", "bulkhead.full"], metrics: &[CALLS] },
    Topic {
        name: "retry",
        events: &["attempt.failed", "retry.*"],
        codes: &["result.rejected"],
        metrics: &["seawall_retries_total", "seawall_retry_*", ATTEMPTS],
    },
    Topic { name: "hedge", events: &["hedge.*"], codes: &[], metrics: &["seawall_hedges_total", ATTEMPTS] },
    Topic { name: "rate_limit", events: &["call.rejected"], codes: &["rate.*"], metrics: &[CALLS] },
    Topic { name: "bulkhead", events: &["bulkhead.*", "call.rejected"], codes: &["bulkhead.*"], metrics: &["seawall_bulkhead_*", CALLS] },
    Topic {
        name: "circuit_breaker",
        events: &["attempt.failed", "breaker.*", "call.rejected"],
        codes: &["circuit.*"],
        metrics: &["seawall_breaker_*", CALLS],
    },
    Topic { name: "chaos", events: &["chaos.*"], codes: &["chaos.*"], metrics: &["seawall_chaos_*"] },
    Topic { name: "streams", events: &[], codes: &["timeout.idle"], metrics: &[] },
    Topic { name: "keys", events: &[], codes: &[], metrics: &["seawall_keys_*"] },
    Topic { name: "modes", events: &["mode.*"], codes: &[], metrics: &[] },
    Topic { name: "control", events: &["control.*"], codes: &[], metrics: &[] },
    Topic {
        name: "operating",
        events: &[],
        codes: &[],
        metrics: &[
            "seawall_call_duration_seconds",
            "seawall_attempt_duration_seconds",
            "seawall_metrics_overflow_policies",
            "seawall_build_info",
        ],
    },
    Topic { name: "reload", events: &["config.*"], codes: &["config.*"], metrics: &["seawall_config_*"] },
];

const NOTHING: Topic = Topic { name: "", events: &[], codes: &[], metrics: &[] };

/// What the page `name` tells: nothing, if it is not named above.
pub fn of(name: &str) -> &'static Topic {
    TOPICS.iter().find(|topic| topic.name == name).unwrap_or(&NOTHING)
}

/// Whether one of `patterns` means `name`.
pub fn matches(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.strip_suffix('*').map_or(*pattern == name, |head| name.starts_with(head)))
}
