//! Metrics: names, types, labels and units, for Prometheus text, collectors of other libraries and snapshots.

/// One metric.
#[derive(Debug)]
pub struct MetricRow {
    /// Its name in Prometheus text.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// `seconds`, `ratio`, or empty where it counts.
    pub unit: &'static str,
    /// Whether it is a policy's, and carries the label `policy`.
    pub of_policy: bool,
    /// Its labels besides `policy` and `lang`.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub doc: &'static str,
}

const fn row(name: &'static str, kind: &'static str, labels: &'static [&'static str], doc: &'static str) -> MetricRow {
    MetricRow { name, kind, unit: "", of_policy: true, labels, doc }
}

/// In seconds.
const fn seconds(name: &'static str, kind: &'static str, labels: &'static [&'static str], doc: &'static str) -> MetricRow {
    MetricRow { unit: "seconds", ..row(name, kind, labels, doc) }
}

/// From 0 to 1.
const fn ratio(name: &'static str, doc: &'static str) -> MetricRow {
    MetricRow { unit: "ratio", ..row(name, "gauge", &[], doc) }
}

/// Of the process, and not of one policy.
const fn process(row: MetricRow) -> MetricRow {
    MetricRow { of_policy: false, ..row }
}

/// Upper bounds of the buckets of every histogram, in nanoseconds: powers of two times a quarter of a millisecond, so that histograms of any
/// process, policy or language add up. What is longer is in the last bucket, which has no bound.
pub const BOUNDS_NS: [u64; 19] = {
    let mut bounds = [0; 19];
    let mut place = 0;
    while place < bounds.len() {
        bounds[place] = 250_000 << place;
        place += 1;
    }
    bounds
};

/// The place of a duration among the buckets; a bound belongs to the bucket below it.
#[must_use]
pub fn bucket(ns: u64) -> usize {
    let quarters = ns.div_ceil(BOUNDS_NS[0]);
    let place = u64::BITS - quarters.saturating_sub(1).leading_zeros();
    (place as usize).min(BOUNDS_NS.len())
}

/// Every metric that the runtime keeps.
pub const METRICS: &[MetricRow] = &[
    row(
        "seawall_calls_total",
        "counter",
        &["outcome", "reason"],
        "Calls that ended: success, failure, timeout, cancelled, ignored, fallback, and rejected, which has a `reason`: breaker_open, bulkhead_full, rate_limited.",
    ),
    seconds(
        "seawall_call_duration_seconds",
        "histogram",
        &["outcome"],
        "How long calls took, waits and retries included. Of calls that succeed at once on a fast path one in 64 is measured, and counts for 64.",
    ),
    row("seawall_attempts_total", "counter", &["outcome"], "Attempts that ended: success, failure, timeout, cancelled, ignored."),
    seconds(
        "seawall_attempt_duration_seconds",
        "histogram",
        &["outcome"],
        "How long attempts took, the callee alone. Measured as the duration of calls is.",
    ),
    row(
        "seawall_retries_total",
        "counter",
        &["reason"],
        "Attempts that repeat an earlier one, by what that ended with: failure, timeout, rejected. Hedges are counted apart.",
    ),
    seconds("seawall_retry_wait_seconds", "histogram", &["reason"], "Waits that were asked for before a retry."),
    ratio("seawall_retry_budget_ratio", "The part of the retry budget's window that is left. Absent without a budget."),
    row(
        "seawall_breaker_transitions_total",
        "counter",
        &["to", "from"],
        "Transitions of the circuit breaker, by the state entered and the state left.",
    ),
    row(
        "seawall_breaker_state",
        "gauge",
        &["state"],
        "1 for the state the circuit breaker is in, 0 for the others. Of a policy with keys: how many keys are in it.",
    ),
    ratio(
        "seawall_breaker_failure_ratio",
        "Failures among the calls in the circuit breaker's window, over the keys that have seen `minimum_throughput`. Absent until one has.",
    ),
    row("seawall_breaker_window_calls", "gauge", &[], "Calls in the circuit breaker's window, over all keys."),
    row("seawall_bulkhead_in_flight", "gauge", &[], "Bulkhead slots in use."),
    row("seawall_bulkhead_limit", "gauge", &[], "Bulkhead slots that there are, over all keys in use."),
    row("seawall_bulkhead_queued", "gauge", &[], "Calls waiting for a bulkhead slot."),
    row("seawall_bulkhead_queue_limit", "gauge", &[], "Calls that may wait for a bulkhead slot, over all keys in use."),
    seconds("seawall_bulkhead_wait_seconds", "histogram", &[], "How long calls waited for a slot that had to."),
    row("seawall_hedges_total", "counter", &["winner"], "Calls that were hedged, by the attempt that answered: primary, hedge, or none."),
    row("seawall_fallbacks_total", "counter", &["outcome"], "Steps of a fallback: success, failure."),
    row(
        "seawall_dlq_written_total",
        "counter",
        &["queue", "reason"],
        "Dead letters written: why the retry stopped, else how the call ended: failure, timeout, rejected.",
    ),
    row("seawall_dlq_lost_total", "counter", &[], "Failed calls that could not be recorded."),
    row("seawall_dlq_fallback_total", "counter", &[], "Dead letters that their store did not take, and a later step of the chain did."),
    row("seawall_dlq_dropped_total", "counter", &[], "Dead letters removed because their queue was full, or they were too old."),
    row("seawall_chaos_injections_total", "counter", &["fault"], "Attempts that chaos struck: fault, outcome, latency, behavior."),
    row("seawall_chaos_rules", "gauge", &[], "1 while an experiment may strike in this process, else 0. Absent without one."),
    row("seawall_keys_overflow_total", "counter", &[], "Calls whose key found no room and shared the overflow state."),
    process(row(
        "seawall_dlq_letters",
        "gauge",
        &["queue", "status"],
        "Dead letters in the queues that this process has opened: ready, leased, parked.",
    )),
    process(seconds(
        "seawall_dlq_oldest_letter_timestamp_seconds",
        "gauge",
        &["queue"],
        "When the oldest ready dead letter was written, since 1970. Absent while there is none.",
    )),
    process(row(
        "seawall_dlq_redriven_total",
        "counter",
        &["queue", "outcome"],
        "Deliveries of dead letters by this process: success, failure, skipped.",
    )),
    process(row("seawall_dlq_store_errors_total", "counter", &["store", "op"], "Operations that a dead-letter store failed.")),
    process(seconds(
        "seawall_dlq_store_duration_seconds",
        "histogram",
        &["store", "op"],
        "How long dead-letter stores took: append, claim, ack, nack.",
    )),
    process(row("seawall_config_reloads_total", "counter", &["outcome"], "Policy files loaded and refused: success, failure.")),
    process(seconds(
        "seawall_config_last_reload_timestamp_seconds",
        "gauge",
        &[],
        "When a policy file was last loaded, since 1970. Absent without one.",
    )),
    process(row(
        "seawall_metrics_overflow_policies",
        "gauge",
        &[],
        "Policies whose label found no room: they share the label `_overflow`.",
    )),
    process(row("seawall_build_info", "gauge", &["version", "runtime"], "1.")),
];

/// The row of `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static MetricRow> {
    METRICS.iter().find(|row| row.name == name)
}
