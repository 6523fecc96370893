//! Error codes: stable, dotted, the same in every language.

/// One error code.
#[derive(Debug)]
pub struct ErrorRow {
    /// The code, as in every error's `code` field.
    pub code: &'static str,
    /// The class that carries it, the same name in Python and TypeScript.
    pub class: &'static str,
    /// The HTTP status a service would answer with, or 0.
    pub http_status: u16,
    /// When it is raised.
    pub doc: &'static str,
}

const fn row(code: &'static str, class: &'static str, http_status: u16, doc: &'static str) -> ErrorRow {
    ErrorRow { code, class, http_status, doc }
}

/// Every error code. A code crosses the boundary as its index here, so rows are only ever added at the end.
pub const ERRORS: &[ErrorRow] = &[
    row("circuit.open", "CircuitOpenError", 503, "The circuit breaker is open, or half open with every trial slot taken."),
    row("circuit.isolated", "CircuitOpenError", 503, "Somebody holds the circuit breaker open."),
    row("bulkhead.full", "BulkheadFullError", 503, "Every slot is in use, and the queue is full or the wait in it was too long."),
    row("rate.limited", "RateLimitedError", 429, "The rate limit would be exceeded, and the wait for it is longer than allowed."),
    row("timeout.attempt", "TimeoutExceededError", 0, "An attempt took longer than `timeout.attempt`."),
    row("timeout.total", "TimeoutExceededError", 0, "The call, with its retries and waits, took longer than `timeout.total`."),
    row("timeout.deadline", "TimeoutExceededError", 0, "The deadline of the caller, or of the service that called this one, has passed."),
    row(
        "result.rejected",
        "SeawallError",
        0,
        "`on_result` rejected the result that the call ended with; recorded in dead letters and given to fallbacks.",
    ),
    row("chaos.injected", "InjectedFaultError", 0, "Chaos injected this fault."),
    row("config.invalid", "ConfigError", 0, "An option is unknown, of the wrong type, out of range, or contradicts another."),
    row("store.failed", "StoreError", 0, "The dead-letter store could not do what was asked."),
    row("store.unsupported", "StoreError", 0, "The store's address names no store that this build has."),
    row("store.schema", "StoreError", 0, "The store was written by a version whose schema this one does not know."),
    row("store.busy", "StoreError", 0, "Other processes held the store for longer than the write may take."),
    row("store.full", "StoreError", 0, "The disk or the store's own limit is full."),
    row(
        "circuit.throttled",
        "CircuitOpenError",
        503,
        "The circuit breaker turned away its share of calls: `throttle`, or `ramp` after a close.",
    ),
    row("timeout.idle", "TimeoutExceededError", 0, "A stream's next item took longer than `timeout.idle`."),
    row("store.key", "StoreError", 0, "A letter is encrypted under a key that was not given, or not given right."),
];

/// Why a retry stopped: the `reason` of `failure(error)`. Crosses the boundary as text.
pub const REASONS: &[(&str, &str)] = &[
    ("attempts_exhausted", "`max_attempts` attempts have failed."),
    ("not_retryable", "The error is not one that `on` names, or `ignore` names it."),
    ("retry_after_never", "The server asked not to be called again."),
    ("retry_after_too_long", "The server asked for a longer wait than `retry_after_max`."),
    ("no_time_left", "The next wait and half an attempt would not fit into the time left."),
    ("budget_exhausted", "The retry budget is used up."),
    ("breaker_open", "The circuit breaker inside the retry has opened, is held open, or turned the next attempt away."),
    ("cancelled", "The caller gave up."),
    ("stream_broken", "The stream failed after its first item; what the consumer has seen cannot be taken back."),
];

/// The index of `code` in [`ERRORS`]. Only for codes of the table: an unknown one gives the first row.
#[must_use]
pub fn index(code: &str) -> usize {
    ERRORS.iter().position(|row| row.code == code).unwrap_or(0)
}
