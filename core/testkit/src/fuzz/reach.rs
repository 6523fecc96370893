//! What a run of the fuzzer, and all vectors together, must have reached, from the tables. What is new in a table must be reached, or named here as out of reach.

use seawall_engine::table::errors::{ERRORS, REASONS};
use seawall_engine::table::events::EVENTS;

use crate::seen::{FINISHES, OUTPUTS, Seen, TIMERS};

/// Out of reach of a vector, and why.
const BEYOND: &[&str] = &[
    // Deadlines of other services: vectors hand none over.
    "error timeout.deadline",
    // Build errors are compared by themselves, and never surface from a call.
    "error config.invalid",
    // Stores and files are outside the engine.
    "error store.failed",
    "error store.unsupported",
    "error store.schema",
    "error store.busy",
    "error store.full",
    "error store.key",
    "event dlq.written",
    "event dlq.unredrivable",
    "event dlq.lost",
    "event dlq.fallback",
    "event dlq.dropped",
    "event fallback.stale_skipped",
    "event dlq.redriven",
    // What a shell asks for by a file is tested with real processes: tests/parity.
    "event control.refused",
    "event chaos.started",
    "event chaos.ended",
    "event config.loaded",
];

/// What was to be reached and was not.
#[must_use]
pub fn missing(seen: &Seen) -> Vec<String> {
    let named = |kind: &'static str, names: Vec<&'static str>| names.into_iter().map(move |name| format!("{kind} {name}"));
    named("output", OUTPUTS.to_vec())
        .chain(named("timer", TIMERS.to_vec()))
        .chain(named("finish", FINISHES.to_vec()))
        .chain(named("state", vec!["closed", "open", "half_open", "isolated", "disabled"]))
        .chain(named("error", ERRORS.iter().map(|row| row.code).collect()))
        .chain(named("reason", REASONS.iter().map(|row| row.0).collect()))
        .chain(named("event", EVENTS.iter().map(|row| row.name).collect()))
        .filter(|name| !BEYOND.contains(&name.as_str()) && !seen.0.contains_key(name))
        .chain(seen.0.keys().filter(|name| name.ends_with(" new")).map(|name| format!("{name}: a code without a name in seen.rs")))
        .collect()
}
