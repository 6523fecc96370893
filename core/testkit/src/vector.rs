//! Vectors, format 1. An unknown key anywhere is an error.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One vector.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// What it shows.
    pub title: String,
    /// The parts of one policy, `name`, and `key: true`.
    pub config: Map<String, Value>,
    /// The seed of chance.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// Whether sync Python runs callees in the caller's own thread.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cooperative: bool,
    /// Whether its calls are streams.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Whether it shows work that outlives its call, which asyncio never has: it awaits the callee's cleanup.
    #[serde(default, skip_serializing_if = "is_false")]
    pub abandons: bool,
    /// What happens.
    pub steps: Vec<Step>,
    /// The expected lines.
    #[serde(default)]
    pub transcript: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One step; exactly one of the naming keys is present.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are described in tests/vectors/README.md")]
pub struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programming: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// Keeps an explicit null apart from an absent value.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The vectors of one file.
///
/// # Errors
/// If the file cannot be read or is not in format 1.
pub fn read(path: &Path) -> Result<Vec<Vector>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let cases = match value {
        Value::Array(cases) => cases,
        Value::Object(mut table) if table.contains_key("cases") => match table.remove("cases") {
            Some(Value::Array(cases)) if table.is_empty() => cases,
            _ => return Err(format!("{}: `cases` must be a list, and the only key", path.display())),
        },
        one => vec![one],
    };
    cases.into_iter().map(|case| serde_json::from_value(case).map_err(|error| format!("{}: {error}", path.display()))).collect()
}

/// Every vector file under a folder, sorted.
///
/// # Errors
/// If a folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A duration of a vector in milliseconds: digits and a unit, several in a row.
#[must_use]
pub fn duration_ms(text: &str) -> u64 {
    let mut total = 0;
    let mut rest = text;
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
        let number: u64 = rest[..end].parse().unwrap_or(0);
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                unit => panic!("`{text}`: unknown unit `{unit}`"),
            };
        rest = &rest[unit_end..];
    }
    total
}
