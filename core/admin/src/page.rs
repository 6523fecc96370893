//! Tables for people, lines of JSON for programs.

use std::io;

use seawall_dlq::Finding;
use serde_json::{Value, json};

use crate::Console;

/// Columns as wide as their longest cell; the last one is not padded.
fn table(head: &[&str], rows: &[Vec<String>], console: &mut Console<'_>) -> io::Result<()> {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, name)| rows.iter().map(|row| row[at].chars().count()).chain([name.len()]).max().unwrap_or(0))
        .collect();
    let mut line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(console.out, "{}", padded.join("  ").trim_end())
    };
    line(&head.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    rows.iter().try_for_each(|row| line(row))
}

/// A value for people: texts without quotes, nothing as a dash, and no line breaks or control characters.
pub(crate) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn short(value: &Value, most: usize) -> String {
    let text = cell(value);
    if text.chars().count() <= most { text } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn lines(values: &[Value], console: &mut Console<'_>) -> io::Result<()> {
    values.iter().try_for_each(|value| writeln!(console.out, "{value}"))
}

pub(crate) fn queues(rows: &[Value], json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json {
        return lines(rows, console);
    }
    let cells = |row: &Value| ["queue", "ready", "leased", "parked", "archived", "bytes", "oldest"].map(|name| cell(&row[name])).to_vec();
    table(
        &["QUEUE", "READY", "LEASED", "PARKED", "ARCHIVED", "BYTES", "OLDEST READY"],
        &rows.iter().map(cells).collect::<Vec<_>>(),
        console,
    )
}

pub(crate) fn letters(found: &[Value], json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json {
        return lines(found, console);
    }
    let cells = |letter: &Value| {
        vec![
            cell(&letter["id"]),
            cell(&letter["times"]["dead_lettered"]),
            cell(&letter["state"]),
            cell(&letter["attempt_count"]),
            cell(&letter["redrives"]),
            short(&letter["origin"]["operation"], 32),
            short(&letter["error"]["type"], 32),
            short(&letter["error"]["message"], 48),
        ]
    };
    let head = ["ID", "WRITTEN", "STATE", "ATTEMPTS", "REDRIVES", "OPERATION", "ERROR", "MESSAGE"];
    table(&head, &found.iter().map(cells).collect::<Vec<_>>(), console)
}

pub(crate) fn groups(found: &[Value], json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json {
        return lines(found, console);
    }
    let cells = |group: &Value| {
        vec![
            cell(&group["group"]),
            cell(&group["count"]),
            cell(&group["first"]),
            cell(&group["last"]),
            short(&group["error"]["type"], 32),
            short(&group["error"]["message"], 48),
        ]
    };
    table(&["GROUP", "LETTERS", "FIRST", "LAST", "ERROR", "NEWEST MESSAGE"], &found.iter().map(cells).collect::<Vec<_>>(), console)
}

pub(crate) fn letter(letter: &Value, json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json {
        return writeln!(console.out, "{letter}");
    }
    let text = serde_json::to_string_pretty(letter).unwrap_or_default();
    // Line breaks in texts are escaped in JSON already.
    writeln!(console.out, "{text}")
}

pub(crate) fn stats(stats: &Value, json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json {
        return writeln!(console.out, "{stats}");
    }
    let names = ["ready", "leased", "parked", "archived", "bytes", "oldest"];
    names.iter().try_for_each(|name| writeln!(console.out, "{name:<9} {}", cell(&stats[*name])))
}

pub(crate) fn count(counted: &Value, what: &str, json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json { writeln!(console.out, "{counted}") } else { writeln!(console.out, "{} {what}", cell(&counted[what])) }
}

pub(crate) fn findings(found: &[Finding], json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if found.is_empty() && !json {
        return writeln!(console.out, "nothing to see to");
    }
    found.iter().try_for_each(|one| {
        if json {
            writeln!(console.out, "{}", json!({"place": one.place, "message": one.message}))
        } else {
            writeln!(console.out, "{}: {}", one.place, one.message)
        }
    })
}

pub(crate) fn jobs(found: &[Value], json: bool, console: &mut Console<'_>) -> io::Result<()> {
    if json {
        return lines(found, console);
    }
    let names = ["id", "state", "started", "total", "ok", "failed", "skipped", "remaining", "arrived", "stopped"];
    let rows: Vec<Vec<String>> = found.iter().map(|job| names.map(|name| cell(&job[name])).to_vec()).collect();
    table(&["JOB", "STATE", "STARTED", "LETTERS", "OK", "FAILED", "SKIPPED", "REMAINING", "ARRIVED SINCE", "STOPPED BY"], &rows, console)
}

/// A redrive that failed for some letters, or stopped, is a finding.
pub(crate) fn report(report: &Value, json: bool, console: &mut Console<'_>) -> u8 {
    // A closed output changes nothing about how the redrive went.
    let _ = if json {
        writeln!(console.out, "{report}")
    } else {
        let names = ["ok", "failed", "skipped", "remaining"];
        let counts: Vec<String> = names.iter().map(|name| format!("{} {name}", cell(&report[*name]))).collect();
        let stopped = report["stopped"].as_str().map(|why| format!("; stopped by {why}")).unwrap_or_default();
        let arrived = report["arrived"].as_u64().filter(|count| *count > 0).map(|count| format!("; {count} arrived since"));
        let job = report["job"].as_str().map(|id| format!("; job {id}")).filter(|_| !stopped.is_empty());
        writeln!(console.out, "{}{stopped}{}{}", counts.join(", "), arrived.unwrap_or_default(), job.unwrap_or_default()).and_then(|()| {
            match report["groups"].as_array() {
                Some(found) => groups(found, false, console),
                None => Ok(()),
            }
        })
    };
    u8::from(report["failed"].as_u64().unwrap_or(0) > 0 || report["stopped"].as_str().is_some_and(|why| why != "limit"))
}
