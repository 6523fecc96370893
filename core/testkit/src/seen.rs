//! What playing a vector reached: outputs, timers, errors, reasons, events and states, each with how often.

use std::collections::BTreeMap;

use seawall_engine::table::errors::ERRORS;
use seawall_runtime::Op;
use serde_json::Value;

/// The outputs of the alphabet, by code.
pub const OUTPUTS: &[&str] =
    &["start", "cancel", "sleep", "timer", "park", "wake", "failed", "letter", "fallback", "finish", "event", "behavior"];
/// What sleeps and timers are for, by code.
pub const TIMERS: &[&str] = &["backoff", "rate_limit", "attempt", "total", "queue", "idle", "hedge"];
/// How a call may finish, by code.
pub const FINISHES: &[&str] = &["value", "error", "fallback", "cancelled"];

/// Counts by name, such as `error circuit.open`.
#[derive(Clone, Debug, Default)]
pub struct Seen(pub BTreeMap<String, u64>);

impl Seen {
    pub(crate) fn count(&mut self, kind: &str, what: &str) {
        *self.0.entry(format!("{kind} {what}")).or_default() += 1;
    }

    pub(crate) fn op(&mut self, op: &Op) {
        let name =
            |names: &[&'static str], code: i64| usize::try_from(code).ok().and_then(|code| names.get(code).copied()).unwrap_or("new");
        self.count("output", name(OUTPUTS, op.code.into()));
        match op.code {
            2 | 3 => self.count("timer", name(TIMERS, op.args[0])),
            6 if op.args[0] == 1 => self.count("error", usize::try_from(op.args[2]).map_or("new", |code| ERRORS[code].code)),
            6 if op.args[0] == 2 => self.count("error", "result.rejected"),
            9 => self.count("finish", name(FINISHES, op.args[0])),
            _ => {}
        }
        if let Some(record) = &op.record {
            self.record(record);
        }
    }

    /// An event, as JSON.
    pub(crate) fn record(&mut self, record: &str) {
        let record: Value = serde_json::from_str(record).unwrap_or_default();
        let event = record["event"].as_str().unwrap_or("none").to_owned();
        self.count("event", &event);
        if event == "chaos.injected" && !record["fault"].is_null() {
            self.count("error", "chaos.injected");
        }
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }
}
