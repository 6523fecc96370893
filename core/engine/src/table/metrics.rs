//! Metrics: names, types and labels, for Prometheus text and snapshots. Every one carries the label `policy`.

/// One metric.
#[derive(Debug)]
pub struct MetricRow {
    /// Its name in Prometheus text.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// Its labels besides `policy`.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub doc: &'static str,
}

const fn row(name: &'static str, kind: &'static str, labels: &'static [&'static str], doc: &'static str) -> MetricRow {
    MetricRow { name, kind, labels, doc }
}

/// Every metric that the runtime keeps.
pub const METRICS: &[MetricRow] = &[
    row("seawall_calls_total", "counter", &["outcome"], "Calls that ended: success, failure, timeout, rejected, cancelled, fallback."),
    row("seawall_attempts_total", "counter", &["outcome"], "Attempts that ended: success, failure, cancelled, ignored."),
    row("seawall_retries_total", "counter", &[], "Attempts beyond the first."),
    row("seawall_breaker_transitions_total", "counter", &["to"], "Transitions of the circuit breaker, by the state entered."),
    row("seawall_breaker_state", "gauge", &["state"], "1 for the state the circuit breaker is in, 0 for the others."),
    row("seawall_bulkhead_in_flight", "gauge", &[], "Bulkhead slots in use."),
    row("seawall_bulkhead_queued", "gauge", &[], "Calls waiting for a bulkhead slot."),
    row("seawall_fallbacks_total", "counter", &[], "Calls that a fallback answered."),
    row("seawall_dlq_written_total", "counter", &[], "Dead letters written."),
    row("seawall_dlq_lost_total", "counter", &[], "Failed calls that could not be recorded."),
    row("seawall_dlq_fallback_total", "counter", &[], "Dead letters that their store did not take, and a later step of the chain did."),
    row("seawall_dlq_dropped_total", "counter", &[], "Dead letters removed because their queue was full, or they were too old."),
    row("seawall_chaos_injections_total", "counter", &[], "Attempts that chaos struck."),
    row("seawall_keys_overflow_total", "counter", &[], "Calls whose key found no room and shared the overflow state."),
];
