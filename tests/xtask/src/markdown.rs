//! The reference tables.

use std::fmt::Write as _;

use seawall_engine::table::errors::{ERRORS, REASONS};
use seawall_engine::table::events::EVENTS;
use seawall_engine::table::metrics::METRICS;
use seawall_engine::table::options::{Kind, OPTIONS, OptionRow, STRATEGIES};

use crate::mirror::HEADER;

/// The text of `table.md`.
pub fn render() -> String {
    let mut text = format!(
        "<!-- {HEADER} -->\n\n# Reference tables\n\n\
         Names are as in Python and in the policy file; TypeScript writes them in camelCase.\n\n## Options\n"
    );
    for strategy in STRATEGIES {
        options(&mut text, &format!("`{strategy}`"), strategy);
    }
    options(&mut text, "Of every strategy", "*");
    section(&mut text, "Errors", "Codes never change; nobody need match a message.", &error_rows(|_| true));
    section(&mut text, "Reasons", "Why a retry stopped, as `failure(error).reason`.", &reason_rows());
    let doc = "Every event also carries `event`, `severity`, `policy`, `correlation_id`, and `key` where there is one.";
    section(&mut text, "Events", doc, &event_rows(|_| true));
    section(
        &mut text,
        "Metrics",
        "Every metric also carries the label `lang`, and the label `policy` unless its row says that it is the process's. Histograms have buckets from 0.25 ms to 65.5 s, each twice the one before.",
        &metric_rows(|_| true),
    );
    text
}

/// Writes a section with a table.
fn section(text: &mut String, title: &str, doc: &str, rows: &str) {
    let _ = write!(text, "\n## {title}\n\n{doc}\n\n{rows}");
}

/// The head of a table.
fn head(columns: &[&str]) -> String {
    format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn options(text: &mut String, title: &str, strategy: &str) {
    let _ = write!(text, "\n### {title}\n\n{}", option_rows(strategy));
}

/// The options of one strategy, `*` for those of all.
pub fn option_rows(strategy: &str) -> String {
    let mut text = head(&["option", "takes", "default", "meaning"]);
    for row in OPTIONS.iter().filter(|row| row.strategy == strategy) {
        let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", row.name, takes(row), row.doc);
    }
    text
}

/// What an option takes, with its bounds, in words.
fn takes(row: &OptionRow) -> String {
    match row.kind {
        Kind::Duration(low, high) => format!("duration, {} to {}", duration(low), duration(high)),
        Kind::Ratio(true) => "ratio, 0 to 1".to_owned(),
        Kind::Ratio(false) => "ratio above 0, to 1".to_owned(),
        Kind::Int(low, high) => format!("whole number, {low} to {high}"),
        Kind::HedgeDelay => "duration of at least 1ms, or `p95`".to_owned(),
        Kind::Factor => "number of at least 1, up to three decimals".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Rate => "rate such as `100/s`, `5/m`, `1000/h`".to_owned(),
        Kind::Budget => "`{ ratio, per_second }`, or none".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Keys => "`env:NAME`, `file:PATH`, or a function".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Latency => "duration, or a range such as `200ms..800ms`".to_owned(),
        Kind::Seed => "whole number".to_owned(),
        Kind::Instant => "instant, RFC 3339".to_owned(),
        Kind::Value => "any value".to_owned(),
        Kind::Code => "code".to_owned(),
        Kind::Steps => "code: values and functions".to_owned(),
        Kind::Window => "beat such as `2m every 10m`, or hours such as `Mon-Fri 09:00-17:00 Europe/Berlin`".to_owned(),
        Kind::Share => "ratio, 0.01 to 1".to_owned(),
        Kind::Abort => "`{ breaker, policy, failure_ratio, minimum_throughput }`".to_owned(),
        Kind::Faults => "code: a class, a factory or a weighted list".to_owned(),
    }
}

/// Milliseconds in their largest whole unit.
fn duration(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fitting = units.iter().find(|(size, _)| ms >= *size && ms.is_multiple_of(*size));
    fitting.map_or_else(|| format!("{ms}ms"), |(size, unit)| format!("{}{unit}", ms / size))
}

/// The error codes that `wanted` names.
pub fn error_rows(wanted: impl Fn(&str) -> bool) -> String {
    let mut text = head(&["code", "class", "HTTP", "raised when"]);
    for row in ERRORS.iter().filter(|row| wanted(row.code)) {
        let status = if row.http_status == 0 { String::new() } else { row.http_status.to_string() };
        let _ = writeln!(text, "| `{}` | `{}` | {status} | {} |", row.code, row.class, row.doc);
    }
    text
}

/// Why a retry stops.
pub fn reason_rows() -> String {
    head(&["reason", "meaning"]) + &REASONS.iter().map(|(name, doc)| format!("| `{name}` | {doc} |\n")).collect::<String>()
}

/// The events that `wanted` names.
pub fn event_rows(wanted: impl Fn(&str) -> bool) -> String {
    let mut text = head(&["event", "severity", "fields", "emitted when"]);
    for row in EVENTS.iter().filter(|row| wanted(row.name)) {
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", row.name, row.severity, code_list(row.fields), row.doc);
    }
    text
}

/// The metrics that `wanted` names.
pub fn metric_rows(wanted: impl Fn(&str) -> bool) -> String {
    let mut text = head(&["metric", "type", "labels", "meaning"]);
    for row in METRICS.iter().filter(|row| wanted(row.name)) {
        let whose = if row.of_policy { "" } else { " Of the process." };
        let _ = writeln!(text, "| `{}` | {} | {} | {}{whose} |", row.name, row.kind, code_list(row.labels), row.doc);
    }
    text
}

fn code_list(items: &[&str]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_take_their_largest_whole_unit() {
        assert_eq!(duration(0), "0ms");
        assert_eq!(duration(1_500), "1500ms");
        assert_eq!(duration(90_000), "90s");
        assert_eq!(duration(30 * 86_400_000), "30d");
    }
}
