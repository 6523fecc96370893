//! Which vectors show a default: one that leaves an option out, and whose transcript is another once the option is given another value.
//! Numbers are tried a little below and a little above their default, so that the default itself is pinned from both sides.

use seawall_engine::table::options::{Kind, OPTIONS, OptionRow};
use serde_json::{Value, json};

use crate::player::play;
use crate::vector::{Vector, duration_ms};

/// Defaults that no vector can show, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("timeout.thread", "a matter of sync Python"),
    ("fallback.stale_if_error", "a matter of kept results, which the raw runner has none of"),
    ("fallback.max_age", "a matter of kept results, which the raw runner has none of"),
    ("fallback.max_entries", "a matter of kept results, which the raw runner has none of"),
    ("fallback.max_bytes", "a matter of kept results, which the raw runner has none of"),
    ("dead_letter.queue", "a matter of stores, which the raw runner has none of"),
    ("dead_letter.store", "a matter of stores, which the raw runner has none of"),
    ("dead_letter.durability", "a matter of stores, which the raw runner has none of"),
    ("dead_letter.await_durable", "a matter of stores, which the raw runner has none of"),
    ("dead_letter.when_full", "a matter of stores, which the raw runner has none of"),
    ("dead_letter.write_timeout", "a matter of stores, which the raw runner has none of"),
    ("bulkhead.max_limit", "as many attempts in flight are too long for a vector; a test of the runtime compiles it"),
    ("chaos.seed", "the policy object's seed, which a vector gives"),
    ("*.scope", "there is one value"),
];

/// `strategy.option`.
pub(crate) fn name(option: &OptionRow) -> String {
    format!("{}.{}", option.strategy, option.name)
}

/// Why no vector shows the default, if none can.
pub(crate) fn elsewhere(option: &OptionRow) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(name, _)| name.split('.').eq([option.strategy, option.name])).map(|(_, why)| *why)
}

/// Every option that has a default.
pub(crate) fn all() -> impl Iterator<Item = &'static OptionRow> {
    OPTIONS.iter().filter(|option| !option.default.is_empty())
}

/// Other values than the default: near it where it is a number.
pub(crate) fn others(option: &OptionRow) -> Vec<Value> {
    let default = option.default;
    match option.kind {
        Kind::Int(low, high) => match default.parse::<u64>() {
            Ok(number) => [number.saturating_sub(1), number + 1]
                .into_iter()
                .filter(|n| (low..=high).contains(n) && *n != number)
                .map(Value::from)
                .collect(),
            Err(_) => vec![json!(2)],
        },
        Kind::Duration(low, high) if default.starts_with(|c: char| c.is_ascii_digit()) && !default.contains(' ') => {
            let ms = duration_ms(default);
            let near = [ms * 9 / 10, ms * 11 / 10 + 1];
            near.into_iter().filter(|n| (low..=high).contains(n) && *n != ms).map(|ms| json!(format!("{ms}ms"))).collect()
        }
        Kind::Duration(..) => vec![json!("1ms"), json!("1h")],
        Kind::Ratio(_) => default.parse::<f64>().map(|share| vec![json!(share * 0.9), json!(share * 1.1)]).unwrap_or_default(),
        Kind::Factor => vec![json!(1.9), json!(2.1)],
        Kind::Choice(words) => words.iter().filter(|word| **word != default).map(|word| json!(word)).collect(),
        Kind::Flag => vec![json!(default != "true")],
        Kind::Budget => vec![json!({"ratio": 0.1, "per_second": 1}), json!({"ratio": 0.2, "per_second": 2}), json!(false)],
        Kind::Window => vec![json!("1ms every 1h")],
        Kind::HedgeDelay => vec![json!("1ms"), json!("1h")],
        _ => Vec::new(),
    }
}

/// The options and other values that this vector tells from the default.
pub(crate) fn told_apart(vector: &Vector) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for option in all().filter(|option| elsewhere(option).is_none()) {
        let Some(strategy) = vector.config.get(option.strategy).and_then(Value::as_object) else { continue };
        if strategy.contains_key(option.name) {
            continue;
        }
        for other in others(option) {
            let mut changed = vector.clone();
            if let Some(Value::Object(strategy)) = changed.config.get_mut(option.strategy) {
                strategy.insert(option.name.into(), other.clone());
            }
            // A value that contradicts the others shows nothing.
            if play(&changed).is_ok_and(|transcript| transcript != vector.transcript) {
                told.push((name(option), other.to_string()));
            }
        }
    }
    told
}
