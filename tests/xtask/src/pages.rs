//! The generated parts of docs/policies: each page's tables, between its markers; the prose around them is kept.

use std::fmt::Write as _;
use std::fs;

use seawall_engine::table::errors::{ERRORS, REASONS};
use seawall_engine::table::events::EVENTS;
use seawall_engine::table::metrics::METRICS;
use seawall_engine::table::options::STRATEGIES;

use crate::graph::root;
use crate::markdown::options;

const END: &str = "<!-- end of generated -->";

/// Beginnings of the names of events, codes and metrics that belong to each strategy's page.
const FAMILIES: &[(&str, &[&str])] = &[
    ("fallback", &["fallback.", "result.", "seawall_fallback"]),
    ("dead_letter", &["dlq.", "store.", "result.", "seawall_dlq"]),
    ("timeout", &["timeout.", "seawall_timeout"]),
    ("retry", &["retry.", "attempt.", "result.", "seawall_retr"]),
    ("hedge", &["hedge.", "seawall_hedge"]),
    ("rate_limit", &["rate.", "call.rejected", "seawall_rate"]),
    ("bulkhead", &["bulkhead.", "limit.", "call.rejected", "seawall_bulkhead"]),
    ("circuit_breaker", &["breaker.", "circuit.", "attempt.", "call.rejected", "seawall_breaker"]),
    ("chaos", &["chaos.", "seawall_chaos"]),
];

/// Each page's path and what it should hold.
pub fn render() -> Vec<(String, String)> {
    let names = STRATEGIES.iter().map(|strategy| (strategy, format!("docs/policies/{strategy}.md")));
    names.map(|(strategy, name)| (name.clone(), filled(strategy, &read(&name)))).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

/// The page with both of its tables written anew.
fn filled(strategy: &str, page: &str) -> String {
    let mut table = String::new();
    options(&mut table, "Its own", strategy);
    options(&mut table, "Of every strategy", "*");
    let page = between(page, "<!-- generated: options -->", &table);
    between(&page, "<!-- generated: names -->", &names(strategy))
}

/// Replaces what stands between a marker and the next end; a page without the marker gets it at its foot, and so drifts.
fn between(page: &str, marker: &str, text: &str) -> String {
    let (head, rest) = page.split_once(marker).unwrap_or((page, ""));
    let tail = rest.split_once(END).map_or("\n", |(_, tail)| tail);
    format!("{head}{marker}\n{text}\n{END}{tail}")
}

fn owns(strategy: &str, name: &str) -> bool {
    let family = FAMILIES.iter().find(|(owner, _)| *owner == strategy);
    family.is_some_and(|(_, beginnings)| beginnings.iter().any(|beginning| name.starts_with(beginning)))
}

fn names(strategy: &str) -> String {
    let mut text = "\n| kind | name | meaning |\n|---|---|---|\n".to_owned();
    let events = EVENTS.iter().map(|row| ("event", row.name, row.doc));
    let errors = ERRORS.iter().map(|row| ("error code", row.code, row.doc));
    let metrics = METRICS.iter().map(|row| ("metric", row.name, row.doc));
    for (kind, name, doc) in events.chain(errors).chain(metrics).filter(|(_, name, _)| owns(strategy, name)) {
        let _ = writeln!(text, "| {kind} | `{name}` | {doc} |");
    }
    if strategy == "retry" {
        for (name, doc) in REASONS {
            let _ = writeln!(text, "| reason | `{name}` | {doc} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: [&str; 8] =
        ["What it is for", "Use", "Options", "States", "Events, errors and metrics", "Order", "When not to use it", "Pitfalls"];
    /// What belongs to the whole policy, and so to no page of a strategy.
    const COMMON: &[&str] = &["config.", "mode.", "call.", "seawall_calls_", "seawall_attempts_", "seawall_keys_"];

    #[test]
    fn every_strategy_has_a_page_of_the_template() {
        for (name, page) in render() {
            let found: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(found, SECTIONS, "{name}");
            assert!(page.contains("```python run\n") && page.contains("```ts run\n"), "{name} shows both languages");
        }
    }

    #[test]
    fn every_name_of_the_table_has_a_page() {
        let names = EVENTS.iter().map(|row| row.name).chain(ERRORS.iter().map(|row| row.code));
        for name in names.chain(METRICS.iter().map(|row| row.name)) {
            let common = COMMON.iter().any(|beginning| name.starts_with(beginning));
            assert!(common || STRATEGIES.iter().any(|strategy| owns(strategy, name)), "{name} is on no page");
        }
    }
}
