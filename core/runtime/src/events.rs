//! Events as records: flat JSON with the same keys in every language.

use seawall_engine::policy::breaker::State;
use seawall_engine::step::{Event, Injection, Transition};
use seawall_engine::table::events::find;
use serde_json::{Map, Value};

use crate::control::Entry;
use crate::mode::Mode;

/// A record under construction.
pub(crate) type Record = Map<String, Value>;

fn record<const N: usize>(name: &str, fields: [(&str, Value); N]) -> Record {
    let mut record: Record = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    record.insert("event".into(), name.into());
    record
}

/// The record of one event, with its own fields alone.
pub(crate) fn of(event: &Event, error_type: Option<&str>) -> Record {
    let error = || Value::from(error_type);
    match *event {
        Event::AttemptFailed { attempt, duration_ms } => {
            record("attempt.failed", [("attempt", attempt.into()), ("duration_ms", duration_ms.into()), ("error_type", error())])
        }
        Event::RetryScheduled { attempt, delay_ms } => {
            record("retry.scheduled", [("attempt", attempt.into()), ("delay_ms", delay_ms.into()), ("error_type", error())])
        }
        Event::RetryStopped { attempt, reason } => {
            record("retry.stopped", [("attempt", attempt.into()), ("reason", reason.into()), ("error_type", error())])
        }
        Event::Breaker(ref change) => transition(change),
        Event::Rejected { code, retry_after_ms } => {
            record("call.rejected", [("code", code.into()), ("retry_after_ms", retry_after_ms.into())])
        }
        Event::TimeoutFired { code, attempt } => record("timeout.fired", [("code", code.into()), ("attempt", attempt.into())]),
        Event::TimeoutLate { attempt, duration_ms } => {
            record("timeout.late", [("attempt", attempt.into()), ("duration_ms", duration_ms.into())])
        }
        Event::Queued { in_use, queued } => record("bulkhead.queued", [("in_use", in_use.into()), ("queued", queued.into())]),
        Event::Chaos { attempt, injected, latency_ms } => {
            let (fault, outcome) = match injected {
                Some(Injection::Fault(number)) => (Value::from(number), Value::Null),
                Some(Injection::Outcome(number)) => (Value::Null, Value::from(number)),
                None => (Value::Null, Value::Null),
            };
            record(
                "chaos.injected",
                [("attempt", attempt.into()), ("fault", fault), ("outcome", outcome), ("latency_ms", latency_ms.into())],
            )
        }
        Event::ChaosAborted { reason } => record("chaos.aborted", [("reason", reason.into())]),
        Event::FallbackUsed { step } => record("fallback.used", [("step", step_name(step)), ("error_type", error())]),
        Event::FallbackFailed { step } => record("fallback.failed", [("step", step_name(step))]),
        Event::LimitChanged { from, to, reason } => {
            record("bulkhead.limit_changed", [("from", from.into()), ("to", to.into()), ("reason", reason.into())])
        }
        Event::HedgeStarted { attempt, delay_ms } => record("hedge.started", [("attempt", attempt.into()), ("delay_ms", delay_ms.into())]),
    }
}

fn step_name(step: Option<u32>) -> Value {
    step.map_or_else(|| "stale".into(), Value::from)
}

/// The record of a breaker's transition.
pub(crate) fn transition(change: &Transition) -> Record {
    let (generation, from) = (Value::from(change.generation), Value::from(change.from.name()));
    match change.to {
        State::Open => record(
            "breaker.opened",
            [
                ("generation", generation),
                ("from", from),
                ("total", change.total.into()),
                ("failures", change.failures.into()),
                ("slow", change.slow.into()),
                ("break_ms", change.break_ms.into()),
            ],
        ),
        State::HalfOpen => record("breaker.half_opened", [("generation", generation), ("from", from)]),
        State::Closed => record("breaker.closed", [("generation", generation), ("from", from)]),
        State::Isolated => record("breaker.isolated", [("generation", generation), ("from", from)]),
        State::Disabled => record("breaker.disabled", [("generation", generation), ("from", from)]),
    }
}

/// The record of a policy's mode, set by hand.
pub(crate) fn mode_changed(from: Mode, to: Mode, reason: &str, author: Option<&str>, expires_in_ms: Option<u64>) -> Record {
    let fields = [
        ("from", from.name().into()),
        ("to", to.name().into()),
        ("reason", reason.into()),
        ("author", author.into()),
        ("expires_in_ms", expires_in_ms.into()),
    ];
    record("mode.changed", fields)
}

/// The record of options that a file changed.
pub(crate) fn reloaded(path: &str, changed: &[String]) -> Record {
    record("config.reloaded", [("path", path.into()), ("changed", changed.into())])
}

/// The record of a file of which nothing was taken.
pub(crate) fn refused(path: &str, reason: &str) -> Record {
    record("config.refused", [("path", path.into()), ("reason", reason.into())])
}

/// The record of a control file, or of an entry in it, of which nothing was taken.
pub(crate) fn control_refused(path: &str, reason: &str) -> Record {
    record("control.refused", [("path", path.into()), ("reason", reason.into())])
}

/// The record of an experiment that somebody began by the control file.
pub(crate) fn chaos_started(entry: &Entry) -> Record {
    let until = jiff::Timestamp::from_millisecond(entry.until_ms).unwrap_or_default();
    let fields = [
        ("experiment", entry.id.as_str().into()),
        ("author", entry.author.as_str().into()),
        ("reason", entry.reason.as_str().into()),
        ("until", format!("{until:.3}").into()),
    ];
    record("chaos.started", fields)
}

/// The record of its end, with what was counted meanwhile.
pub(crate) fn chaos_ended(experiment: &str, reason: &str, counts: &Record) -> Record {
    let count = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    let calls = |outcome: &str| count(&format!("seawall_calls_total:{outcome}"));
    let bad = ["failure", "timeout", "rejected"].map(calls).iter().sum::<u64>();
    let all = bad + ["success", "fallback", "cancelled"].map(calls).iter().sum::<u64>();
    let fields = [
        ("experiment", experiment.into()),
        ("reason", reason.into()),
        ("attempts", count("attempts").into()),
        ("struck", count("struck").into()),
        ("faults", count("faults").into()),
        ("latency_ms", count("latency_ms").into()),
        ("calls", all.into()),
        ("failed", bad.into()),
    ];
    record("chaos.ended", fields)
}

/// Adds what every record carries, and writes it as JSON.
pub(crate) fn complete(mut record: Record, policy: &str, key: Option<&str>, correlation_id: &str) -> String {
    let severity = record.get("event").and_then(Value::as_str).and_then(find).map_or("info", |row| row.severity);
    // A record may have been lowered before: see `repeats`.
    record.entry("severity").or_insert_with(|| severity.into());
    record.insert("policy".into(), policy.into());
    if let Some(key) = key {
        record.insert("key".into(), key.into());
    }
    if !correlation_id.is_empty() {
        record.insert("correlation_id".into(), correlation_id.into());
    }
    Value::Object(record).to_string()
}

/// The log line of a record: the same record with the wall clock's `time` (RFC 3339, UTC, milliseconds). A record that is no table becomes
/// the `message` of one.
#[must_use]
pub fn line(record: &str) -> String {
    let mut table = match serde_json::from_str(record) {
        Ok(Value::Object(table)) => table,
        _ => self::record("log", [("message", record.into())]),
    };
    let now = jiff::Timestamp::now().round(jiff::Unit::Millisecond).unwrap_or_default();
    table.insert("time".into(), format!("{now:.3}").into());
    Value::Object(table).to_string()
}
