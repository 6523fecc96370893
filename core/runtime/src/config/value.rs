//! The values of options, checked against the kind that their row in the table names.

use seawall_engine::table::options::Kind;
use serde_json::Value;

use super::{ConfigError, experiment};

/// Who wrote a configuration: it decides what a bare number means as a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Seconds.
    Python,
    /// Milliseconds.
    Node,
    /// Forbidden.
    File,
}

pub(super) type Checked<T> = Result<T, ConfigError>;

pub(super) fn wrong<T>(message: impl Into<String>) -> Checked<T> {
    Err(ConfigError::new("", message))
}

/// Checks one value; the path is added by the caller.
pub(super) fn check(kind: Kind, value: &Value, dialect: Dialect) -> Checked<()> {
    match kind {
        Kind::Duration(min, max) => duration(value, dialect).and_then(|ms| in_range(ms, min, max, "ms")).map(drop),
        Kind::Ratio(zero) => ratio(value, zero).map(drop),
        Kind::Int(min, max) => int(value).and_then(|number| in_range(number, min, max, "")).map(drop),
        Kind::Factor => factor(value).map(drop),
        Kind::Choice(words) => choice(value, words),
        Kind::HedgeDelay if value.as_str() == Some("p95") => Ok(()),
        Kind::HedgeDelay => duration(value, dialect).and_then(|ms| in_range(ms, 1, 86_400_000, "ms")).map(drop),
        Kind::Rate => rate(value).map(drop),
        Kind::Budget => budget(value).map(drop),
        Kind::Text => {
            if value.is_string() {
                Ok(())
            } else {
                wrong("must be text")
            }
        }
        Kind::Keys if dialect != Dialect::File && value == &Value::Bool(true) => Ok(()),
        Kind::Keys => match value.as_str().and_then(|text| text.split_once(':')) {
            Some(("env" | "file", place)) if !place.is_empty() => Ok(()),
            // Whatever stands there, it may be a key: it is not repeated.
            _ => wrong("names no source of keys; 'env:NAME' or 'file:PATH' would be right, and a key itself never"),
        },
        Kind::Flag => {
            if value.is_boolean() {
                Ok(())
            } else {
                wrong("must be true or false")
            }
        }
        Kind::Latency => latency(value, dialect).map(drop),
        Kind::Seed => {
            if value.is_u64() {
                Ok(())
            } else {
                wrong("must be a whole number, 0 or more")
            }
        }
        Kind::Instant => instant(value).map(drop),
        Kind::Value => Ok(()),
        Kind::Steps => int(value).map(drop),
        Kind::Faults => faults(value).map(drop),
        Kind::Window => experiment::window(value).map(drop),
        Kind::Share => experiment::share(value).map(drop),
        Kind::Abort => experiment::abort(value).map(drop),
        Kind::Code if dialect == Dialect::File => wrong("takes a function or a class, which only code can give; leave it out of the file"),
        Kind::Code => Ok(()),
    }
}

pub(super) fn in_range(value: u64, min: u64, max: u64, unit: &str) -> Checked<u64> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        wrong(format!("{value}{unit} is out of range; {min}{unit} to {max}{unit} would be right"))
    }
}

pub(super) fn int(value: &Value) -> Checked<u64> {
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0 && *number < 9e15);
    match value.as_u64().or(whole.map(|number| number as u64)) {
        Some(number) => Ok(number),
        None => wrong(format!("{value} is not a whole number, 0 or more")),
    }
}

/// Whole milliseconds.
/// A duration that was validated, in milliseconds.
pub(crate) fn duration_ms(value: &Value, dialect: Dialect) -> Option<u64> {
    duration(value, dialect).ok()
}

pub(super) fn duration(value: &Value, dialect: Dialect) -> Checked<u64> {
    match (value, dialect) {
        (Value::String(text), _) => parse_duration(text),
        (Value::Number(_), Dialect::File) => wrong(format!("a duration in a file is text: \"{value}ms\" or \"{value}s\"?")),
        (Value::Number(number), dialect) => {
            let scale = if dialect == Dialect::Python { 1_000.0 } else { 1.0 };
            whole_ms(number.as_f64().unwrap_or(-1.0) * scale)
        }
        _ => wrong("must be a duration such as \"100ms\" or \"1m30s\""),
    }
}

/// Tolerates the noise of binary fractions: 0.1 s is 100 ms.
fn whole_ms(ms: f64) -> Checked<u64> {
    let rounded = ms.round();
    if !(0.0..9e15).contains(&rounded) {
        return wrong("a duration must be finite and 0 or more");
    }
    if (ms - rounded).abs() > 1e-6 * ms.abs().max(1.0) {
        return wrong("a duration is a whole number of milliseconds");
    }
    Ok(rounded as u64)
}

pub(super) fn parse_duration(text: &str) -> Checked<u64> {
    let units = [("ms", 1.0), ("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0), ("d", 86_400_000.0)];
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return wrong("a duration is empty; \"100ms\" or \"1m30s\" would be right");
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(number) = rest[..digits].parse::<f64>() else {
            return wrong(format!("\"{text}\" is not a duration such as \"100ms\" or \"1m30s\""));
        };
        let after = &rest[digits..];
        let Some((unit, scale)) = units.iter().find(|(unit, _)| after.starts_with(unit)) else {
            return wrong(format!("\"{text}\" lacks a unit: \"{}ms\" or \"{}s\"?", &rest[..digits], &rest[..digits]));
        };
        total += number * scale;
        rest = &after[unit.len()..];
    }
    whole_ms(total)
}

/// Parts per 10,000.
pub(super) fn ratio(value: &Value, zero: bool) -> Checked<u32> {
    let percent = value
        .as_str()
        .and_then(|text| text.strip_suffix('%'))
        .and_then(|text| text.trim().parse::<f64>().ok())
        .map(|number| number / 100.0);
    let Some(share) = value.as_f64().or(percent) else { return wrong(format!("{value} is not a share between 0 and 1")) };
    if !(0.0..=1.0).contains(&share) {
        return wrong(format!("{share} is out of range; a share between 0 and 1 would be right"));
    }
    let parts = (share * 10_000.0).round() as u32;
    if parts == 0 && !zero { wrong(format!("{share} rounds to 0; at least 0.0001 would be right")) } else { Ok(parts) }
}

/// Thousandths.
pub(super) fn factor(value: &Value) -> Checked<u64> {
    match value.as_f64() {
        Some(factor) if (1.0..=1_000.0).contains(&factor) => Ok((factor * 1_000.0).round() as u64),
        _ => wrong(format!("{value} is not a factor between 1 and 1000")),
    }
}

fn choice(value: &Value, words: &[&str]) -> Checked<()> {
    if value.as_str().is_some_and(|word| words.contains(&word)) {
        Ok(())
    } else {
        wrong(format!("{value} is none of {}", words.join(", ")))
    }
}

/// Calls, and the seconds they are spread over.
pub(super) fn rate(value: &Value) -> Checked<(u64, u64)> {
    let parsed = value.as_str().and_then(|text| text.split_once('/')).and_then(|(calls, per)| {
        let seconds = match per.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        calls.trim().parse::<u64>().ok().filter(|calls| (1..=1_000_000_000).contains(calls)).map(|calls| (calls, seconds))
    });
    parsed.map_or_else(|| wrong(format!("{value} is not a rate such as \"100/s\", \"5/m\" or \"1000/h\"")), Ok)
}

/// Thousandths of a retry deposited per call, and held per second; `None` for no budget.
pub(super) fn budget(value: &Value) -> Checked<Option<(u64, u64)>> {
    let table = match value {
        Value::Null | Value::Bool(false) => return Ok(None),
        Value::Object(table) => table,
        _ => return wrong("must be { ratio, per_second }, or null or false for none"),
    };
    if let Some(unknown) = table.keys().find(|key| !matches!(key.as_str(), "ratio" | "per_second")) {
        return wrong(format!("`{unknown}` is unknown; ratio and per_second would be right"));
    }
    let ratio = table.get("ratio").map_or(Ok(2_000), |value| ratio(value, true))?;
    let per_second = table.get("per_second").map_or(Some(1.0), Value::as_f64).filter(|number| (0.0..=1e6).contains(number));
    let Some(per_second) = per_second else { return wrong("per_second must be a number, 0 or more") };
    Ok(Some((u64::from(ratio) / 10, (per_second * 1_000.0).round() as u64)))
}

/// Shortest and longest, in milliseconds.
pub(super) fn latency(value: &Value, dialect: Dialect) -> Checked<(u64, u64)> {
    if let Some((from, to)) = value.as_str().and_then(|text| text.split_once("..")) {
        let (from, to) = (parse_duration(from)?, parse_duration(to)?);
        return if from <= to { Ok((from, to)) } else { wrong("the range starts after its end") };
    }
    duration(value, dialect).map(|ms| (ms, ms))
}

/// Milliseconds of the wall clock.
pub(super) fn instant(value: &Value) -> Checked<i64> {
    let parsed = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    parsed.map_or_else(|| wrong(format!("{value} is not an instant such as \"2030-01-31T12:00:00Z\"")), |at| Ok(at.as_millisecond()))
}

/// The weight of each fault.
pub(super) fn faults(value: &Value) -> Checked<Vec<u32>> {
    match value {
        Value::Number(_) => int(value).and_then(|count| in_range(count, 1, 1_000, "")).map(|count| vec![1; count as usize]),
        Value::Array(weights) => {
            weights.iter().map(|weight| int(weight).and_then(|w| in_range(w, 0, 1_000_000, "")).map(|w| w as u32)).collect()
        }
        Value::Object(table) if table.len() == 1 => table.get("faults").map_or_else(|| wrong("must be { faults }"), faults),
        _ => wrong("must name at least one fault"),
    }
}
