//! Events: one alphabet for hooks, log lines and diagnostics, in every language.

/// One event. Besides its fields each carries `event`, `severity`, `policy`, `key` (where there is one) and `correlation_id`.
#[derive(Debug)]
pub struct EventRow {
    /// Its name.
    pub name: &'static str,
    /// `debug`, `info`, `warning` or `error`.
    pub severity: &'static str,
    /// Its own fields.
    pub fields: &'static [&'static str],
    /// When it is emitted.
    pub doc: &'static str,
}

const fn row(name: &'static str, severity: &'static str, fields: &'static [&'static str], doc: &'static str) -> EventRow {
    EventRow { name, severity, fields, doc }
}

/// Every event.
pub const EVENTS: &[EventRow] = &[
    row(
        "attempt.failed",
        "debug",
        &["attempt", "error_type", "duration_ms"],
        "An attempt ended with an error that the retry or the circuit breaker counts.",
    ),
    row(
        "retry.scheduled",
        "info",
        &["attempt", "delay_ms", "error_type"],
        "Another attempt follows after this wait; `attempt` is the one that failed.",
    ),
    row("retry.stopped", "warning", &["attempt", "reason", "error_type"], "No further attempt will be made, and why."),
    row("breaker.opened", "warning", &["generation", "from", "total", "failures", "slow", "break_ms"], "The circuit breaker opened."),
    row("breaker.half_opened", "info", &["generation", "from"], "The break is over; trial calls are let through."),
    row("breaker.closed", "info", &["generation", "from"], "The trial calls succeeded, or an override ended."),
    row("breaker.isolated", "warning", &["generation", "from", "reason", "author"], "Somebody holds the circuit breaker open."),
    row("breaker.disabled", "warning", &["generation", "from", "reason", "author"], "Somebody lets every call through, whatever happens."),
    row(
        "call.rejected",
        "warning",
        &["code", "retry_after_ms", "repeats"],
        "The policy rejected the call; the callee was not reached by this attempt. Within a second of the last such warning it is a debug event; the next warning says in `repeats` how many there were.",
    ),
    row("timeout.fired", "warning", &["code", "attempt"], "A limit passed and the work was cut or abandoned."),
    row(
        "timeout.late",
        "warning",
        &["attempt", "duration_ms"],
        "Work that could not be cut ended after its limit; its outcome was delivered.",
    ),
    row("bulkhead.queued", "debug", &["in_use", "queued"], "The call waits for a slot."),
    row("chaos.injected", "warning", &["attempt", "fault", "outcome", "latency_ms"], "Chaos struck this attempt."),
    row(
        "fallback.used",
        "warning",
        &["step", "error_type"],
        "A fallback answered in place of the call: a step by its number, or `stale` for the last good value.",
    ),
    row("fallback.failed", "error", &["step"], "A fallback failed too."),
    row("dlq.written", "warning", &["queue", "letter_id", "attempts", "error_type"], "The failed call was recorded as a dead letter."),
    row(
        "dlq.unredrivable",
        "error",
        &["queue", "letter_id"],
        "The letter was recorded, but its arguments could not be encoded: it cannot be redriven.",
    ),
    row("dlq.lost", "error", &["queue", "error_type"], "The failed call could not be recorded; the caller still gets its own error."),
    row("dlq.redriven", "info", &["queue", "letter_id", "outcome"], "A letter was handed to its handler, and how that ended."),
    row("config.loaded", "info", &["path", "policies"], "A policy file was loaded."),
    row("mode.changed", "warning", &["from", "to", "reason", "author", "expires_in_ms"], "Somebody set the policy's mode."),
    row("config.reloaded", "info", &["path", "changed"], "A policy file changed the options of a policy in use; `changed` lists them."),
    row("config.refused", "error", &["path", "reason"], "A policy file was refused, all of it: what was in force stays."),
    row(
        "hedge.started",
        "info",
        &["attempt", "delay_ms"],
        "Another attempt was started beside a running one, or at once after one failed (`delay_ms` 0).",
    ),
    row(
        "fallback.stale_skipped",
        "warning",
        &["reason"],
        "A call cannot be told apart by value, so its result is not kept; said once per policy.",
    ),
    row(
        "bulkhead.limit_changed",
        "info",
        &["from", "to", "reason"],
        "The adaptive limit moved: there is `room`, or because of `latency`, `throughput` or `drops`.",
    ),
    row(
        "chaos.aborted",
        "warning",
        &["reason"],
        "`abort_when` has ended the experiment, which injects nothing more: `breaker_open` or `failure_ratio`.",
    ),
    row(
        "dlq.fallback",
        "error",
        &["queue", "letter_id", "step", "cause"],
        "The store did not take the letter, and why; it went to the `second` store, or waits in `memory` to be written.",
    ),
    row(
        "dlq.dropped",
        "error",
        &["queue", "letters", "reason"],
        "Letters were removed because of a limit: the queue is `full`, or they were too old (`age`).",
    ),
    row("control.refused", "error", &["path", "reason"], "The control file, or one entry of it, was refused: what was in force stays."),
    row(
        "chaos.started",
        "warning",
        &["experiment", "author", "reason", "until"],
        "An experiment was laid over the policy by the control file.",
    ),
    row(
        "chaos.ended",
        "warning",
        &["experiment", "reason", "attempts", "struck", "faults", "latency_ms", "calls", "failed"],
        "Such an experiment is over, because of `off`, `expired`, `breaker_open` or `failure_ratio`: what it struck in this process, the calls meanwhile, and those of them that ended badly.",
    ),
];

/// The row of `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static EventRow> {
    EVENTS.iter().find(|row| row.name == name)
}
