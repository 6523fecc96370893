//! The Python mirror: literal unions and tables.

use std::fmt::Write as _;

use seawall_engine::table::errors::{ERRORS, REASONS};
use seawall_engine::table::events::EVENTS;
use seawall_engine::table::metrics::METRICS;
use seawall_engine::table::options::{OPTIONS, STRATEGIES};

use crate::mirror::HEADER;

/// The text of `_table.py`.
pub fn render() -> String {
    let mut text = format!(
        "# {HEADER}\n\"\"\"The table of error codes, events, reasons, metrics and options, the same in every language.\"\"\"\n\n\
         from seawall._typing import Final, Literal\n"
    );
    let codes: Vec<&str> = ERRORS.iter().map(|row| row.code).collect();
    let reasons: Vec<&str> = REASONS.iter().map(|(name, _)| *name).collect();
    let events: Vec<&str> = EVENTS.iter().map(|row| row.name).collect();
    names(&mut text, "ErrorCode", "ERROR_CODES", "Every error code; a code crosses the boundary as its index here.", &codes);
    names(&mut text, "Reason", "REASONS", "Why a retry stopped.", &reasons);
    names(&mut text, "EventName", "EVENTS", "Every event.", &events);
    names(&mut text, "Strategy", "STRATEGIES", "Every strategy, outermost first.", STRATEGIES);
    errors(&mut text);
    event_rows(&mut text);
    options(&mut text);
    metrics(&mut text);
    text
}

/// A literal union and the tuple of its members.
fn names(text: &mut String, union: &str, tuple: &str, doc: &str, items: &[&str]) {
    let _ = write!(text, "\n{union} = Literal[\n");
    for item in items {
        let _ = writeln!(text, "    {item:?},");
    }
    let _ = write!(text, "]\n\n# {doc}\n{tuple}: Final[tuple[{union}, ...]] = (\n");
    for item in items {
        let _ = writeln!(text, "    {item:?},");
    }
    *text += ")\n";
}

fn errors(text: &mut String) {
    *text += "\n# The class that carries each code, and the HTTP status a service would answer with (0: none).\n";
    *text += "ERROR_CLASSES: Final[dict[ErrorCode, tuple[str, int]]] = {\n";
    for row in ERRORS {
        let _ = writeln!(text, "    {:?}: ({:?}, {}),  # {}", row.code, row.class, row.http_status, row.doc);
    }
    *text += "}\n";
}

fn event_rows(text: &mut String) {
    *text += "\n# Each event's severity and its own fields.\n";
    *text += "EVENT_FIELDS: Final[dict[EventName, tuple[str, tuple[str, ...]]]] = {\n";
    for row in EVENTS {
        let fields: String = row.fields.iter().map(|field| format!("{field:?}, ")).collect();
        let _ = writeln!(text, "    {:?}: ({:?}, ({})),  # {}", row.name, row.severity, fields.trim_end(), row.doc);
    }
    *text += "}\n";
}

fn options(text: &mut String) {
    *text += "\n# The options of each strategy with their defaults as documentation shows them; `*` stands for every strategy.\n";
    *text += "OPTIONS: Final[dict[str, dict[str, str]]] = {\n";
    for strategy in STRATEGIES.iter().chain(&["*"]) {
        let _ = writeln!(text, "    {strategy:?}: {{");
        for row in OPTIONS.iter().filter(|row| row.strategy == *strategy) {
            let _ = writeln!(text, "        {:?}: {:?},  # {}", row.name, row.default, row.doc);
        }
        *text += "    },\n";
    }
    *text += "}\n";
}

fn metrics(text: &mut String) {
    *text += "\n# Each metric's type and its labels besides `policy` and `lang`.\n";
    *text += "METRICS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {\n";
    for row in METRICS {
        let labels: String = row.labels.iter().map(|label| format!("{label:?}, ")).collect();
        let _ = writeln!(text, "    {:?}: ({:?}, ({})),  # {}", row.name, row.kind, labels.trim_end(), row.doc);
    }
    *text += "}\n";
}
