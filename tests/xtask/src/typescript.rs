//! The TypeScript mirror: unions, tables, and an interface per strategy for what is data.

use std::fmt::Write as _;

use seawall_engine::table::errors::{ERRORS, REASONS};
use seawall_engine::table::events::EVENTS;
use seawall_engine::table::options::{Kind, OPTIONS, STRATEGIES};

use crate::mirror::HEADER;

/// The text of `table.ts`.
pub fn render() -> String {
    let mut text = format!("// {HEADER}\n");
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
    interfaces(&mut text);
    port(&mut text);
    text
}

fn port(text: &mut String) {
    use seawall_engine::table::layout::port as at;
    *text += "\n/** Where a port has each of its words, and how many it has. */\n";
    let _ = writeln!(
        text,
        "export const PORT = {{ EVEN: {}, ODD: {}, GENERATION: {}, CREDIT: {}, BEGUN: {}, PASSED: {}, SLOTS: {}, ELSEWHERE: {}, IN_USE: {}, WORDS: {} }} as const;",
        at::EVEN,
        at::ODD,
        at::GENERATION,
        at::CREDIT,
        at::BEGUN,
        at::PASSED,
        at::SLOTS,
        at::ELSEWHERE,
        at::IN_USE,
        at::WORDS
    );
}

/// A tuple and the union of its members.
fn names(text: &mut String, union: &str, tuple: &str, doc: &str, items: &[&str]) {
    let _ = write!(text, "\n/** {doc} */\nexport const {tuple} = [\n");
    for item in items {
        let _ = writeln!(text, "  {},", quote(item));
    }
    let _ = write!(text, "] as const;\n\nexport type {union} = (typeof {tuple})[number];\n");
}

fn errors(text: &mut String) {
    *text += "\n/** The class that carries each code, and the HTTP status a service would answer with (0: none). */\n";
    *text += "export const ERROR_CLASSES: Readonly<Record<ErrorCode, readonly [string, number]>> = {\n";
    for row in ERRORS {
        let _ = writeln!(text, "  /** {} */\n  {}: [{}, {}],", row.doc, quote(row.code), quote(row.class), row.http_status);
    }
    *text += "};\n";
}

fn event_rows(text: &mut String) {
    *text += "\n/** Each event's severity and its own fields. */\n";
    *text += "export const EVENT_FIELDS: Readonly<Record<EventName, readonly [string, readonly string[]]>> = {\n";
    for row in EVENTS {
        let _ = writeln!(text, "  /** {} */\n  {}: [{}, [{}]],", row.doc, quote(row.name), quote(row.severity), quoted(row.fields));
    }
    *text += "};\n";
}

fn options(text: &mut String) {
    *text += "\n/** The options of each strategy with their defaults as documentation shows them; `*` stands for every strategy. Names in snake_case. */\n";
    *text += "export const OPTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {\n";
    for strategy in STRATEGIES.iter().chain(&["*"]) {
        let _ = writeln!(text, "  {}: {{", quote(strategy));
        for row in OPTIONS.iter().filter(|row| row.strategy == *strategy) {
            let _ = writeln!(text, "    {}: {},", row.name, quote(row.default));
        }
        *text += "  },\n";
    }
    *text += "};\n";
}

fn interfaces(text: &mut String) {
    *text += "\n/** A string such as `\"100ms\"` or `\"1m30s\"`, or whole milliseconds. */\nexport type DurationLike = string | number;\n";
    for strategy in STRATEGIES {
        let _ = write!(
            text,
            "\n/** What is data among the options of `{}`. */\nexport interface {}Data {{\n",
            camel(strategy),
            pascal(strategy)
        );
        for row in OPTIONS.iter().filter(|row| row.strategy == *strategy) {
            let Some(kind) = type_of(&row.kind) else { continue };
            let default = if row.default.is_empty() { String::new() } else { format!(" Default: {}.", row.default) };
            let _ = writeln!(text, "  /** {}{default} */\n  {}?: {kind};", row.doc, camel(row.name));
        }
        *text += "}\n";
    }
}

/// The type of an option that is data, `None` for what only code can give.
fn type_of(kind: &Kind) -> Option<String> {
    let name = match kind {
        Kind::Duration(..) | Kind::Latency => "DurationLike",
        Kind::HedgeDelay => "DurationLike | 'p95'",
        Kind::Share | Kind::Ratio(_) => "number | string",
        Kind::Int(..) | Kind::Factor | Kind::Seed => "number",
        Kind::Choice(words) => return Some(words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" | ")),
        Kind::Abort => "{ breaker?: 'open'; policy?: string; failureRatio?: number; minimumThroughput?: number }",
        Kind::Rate | Kind::Text | Kind::Keys | Kind::Window => "string",
        Kind::Instant => "string | Date",
        Kind::Budget => "{ ratio?: number; perSecond?: number } | null | false",
        Kind::Flag => "boolean",
        Kind::Value => "unknown",
        Kind::Code | Kind::Steps | Kind::Faults => return None,
    };
    Some(name.to_owned())
}

fn quoted(items: &[&str]) -> String {
    items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", ")
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + &capital(word))
}

fn pascal(name: &str) -> String {
    name.split('_').map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{camel, pascal, quote};

    #[test]
    fn names_change_their_case() {
        assert_eq!(camel("half_open_max_calls"), "halfOpenMaxCalls");
        assert_eq!(pascal("rate_limit"), "RateLimit");
        assert_eq!(quote("one second's"), "'one second\\'s'");
    }
}
