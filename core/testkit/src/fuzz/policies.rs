//! Random policies over every option of the table that a vector can write. An option that is new in the table takes part by itself.

use seawall_engine::table::options::{Kind, OPTIONS, OptionRow, STRATEGIES};
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::values;

/// Options that are no business of a vector: the runners set them, they speak of the wall clock, a file or a program, or count bytes, which
/// differ between languages.
const LEFT_OUT: &[(&str, &str)] = &[
    ("timeout", "thread"),
    ("dead_letter", "queue"),
    ("dead_letter", "store"),
    ("dead_letter", "second_store"),
    ("dead_letter", "encrypt"),
    ("dead_letter", "await_durable"),
    ("dead_letter", "max_letters"),
    ("dead_letter", "max_bytes"),
    ("dead_letter", "max_age"),
    ("dead_letter", "retention"),
    ("dead_letter", "min_free"),
    ("chaos", "until"),
    ("fallback", "max_bytes"),
];
/// Options that must be given, and one that a strategy is nothing without.
const NEEDED: &[(&str, &str)] = &[("rate_limit", "rate"), ("chaos", "rate"), ("chaos", "expires_in")];
/// Callables that vectors write as data; every other option that needs code is left out.
const CODED: &[&str] = &["on", "ignore", "on_result", "steps", "fault", "behavior", "outcome", "stale_key"];

/// The configuration of a vector.
pub(super) fn config(dice: &mut Dice) -> Map<String, Value> {
    let mut config = Map::new();
    for strategy in STRATEGIES {
        if dice.percent(likely(strategy)) {
            config.insert((*strategy).to_owned(), Value::Object(options(strategy, dice)));
        }
    }
    if config.is_empty() {
        config.insert("retry".into(), json!({}));
    }
    if dice.percent(20) {
        config.insert("key".into(), json!(true));
    }
    if dice.percent(20) {
        config.insert("name".into(), json!("svc"));
    }
    if dice.percent(10) {
        config.insert("mode".into(), json!(dice.pick(values::MODES)));
    }
    config
}

/// Makes a bulkhead's limit one that adapts, for a script of many calls: the limit moves with what ten of them and more have taken.
pub(super) fn adapt(config: &mut Map<String, Value>, dice: &mut Dice) {
    let mut bulkhead = json!({"adaptive": true, "max_limit": 2 + dice.roll(12)});
    if dice.percent(50) {
        bulkhead["max_queue"] = json!(1 + dice.roll(4));
    }
    config.insert("bulkhead".into(), bulkhead);
    // What turns most calls away would leave too few.
    ["chaos", "rate_limit", "circuit_breaker", "mode"].iter().for_each(|part| drop(config.remove(*part)));
}

/// Percent of the policies that have this strategy.
fn likely(strategy: &str) -> usize {
    match strategy {
        "retry" | "circuit_breaker" => 55,
        "chaos" => 12,
        "dead_letter" | "fallback" => 20,
        _ => 30,
    }
}

/// What a policy file says of this policy: other values of some of its options. Callables only code can give.
pub(super) fn reload(config: &Map<String, Value>, dice: &mut Dice) -> Map<String, Value> {
    let strategies: Vec<&String> = config.iter().filter(|(_, options)| options.is_object()).map(|(strategy, _)| strategy).collect();
    let mut parts = Map::new();
    for strategy in strategies.into_iter().filter(|strategy| *strategy != "fallback" && *strategy != "dead_letter") {
        let mut options = options(strategy, dice);
        options.retain(|name, _| !CODED.contains(&name.as_str()) && dice.percent(60));
        if !options.is_empty() {
            parts.insert(strategy.clone(), Value::Object(options));
        }
    }
    // Now and then a set of strategies that is another one, which is refused.
    if dice.percent(25) {
        // Without `timeout`, which the runner of sync Python adds to every policy.
        let others = ["retry", "hedge", "bulkhead", "circuit_breaker"];
        parts.entry(*dice.pick(&others)).or_insert_with(|| json!({}));
    }
    parts
}

fn options(strategy: &str, dice: &mut Dice) -> Map<String, Value> {
    let mut options = Map::new();
    for row in OPTIONS.iter().filter(|row| row.strategy == strategy && !LEFT_OUT.contains(&(row.strategy, row.name))) {
        let needed = NEEDED.contains(&(row.strategy, row.name));
        let share = if matches!(row.kind, Kind::Code) { 12 } else { 35 };
        if (needed || dice.percent(share))
            && let Some(value) = value(row, dice)
        {
            options.insert(row.name.to_owned(), value);
        }
    }
    complete(strategy, &mut options, dice);
    options
}

/// Whether a vector can write the option.
#[cfg(test)]
pub(super) fn is_writable(row: &OptionRow) -> bool {
    let is_left_out = LEFT_OUT.contains(&(row.strategy, row.name));
    !is_left_out && (CODED.contains(&row.name) || values::of(row.kind, &mut Dice::new(0, 0)).is_some())
}

fn value(row: &OptionRow, dice: &mut Dice) -> Option<Value> {
    if !CODED.contains(&row.name) {
        return values::of(row.kind, dice);
    }
    Some(match row.name {
        "on_result" => json!([dice.pick(&values::results())]),
        "steps" => {
            let count = 1 + dice.roll(3);
            json!((0..count).map(|_| step(dice)).collect::<Vec<_>>())
        }
        "fault" => json!("storm"),
        "behavior" => dice.pick(&[json!(true), json!("storm")]).clone(),
        "outcome" => values::outcomes(dice),
        "stale_key" => values::stale_keys(dice),
        _ => values::codes(dice),
    })
}

fn step(dice: &mut Dice) -> Value {
    if dice.percent(50) { json!({"error": "no"}) } else { json!({"value": dice.pick(&values::results())}) }
}

/// What the strategies want beyond single options, and what would make most scripts dull.
fn complete(strategy: &str, options: &mut Map<String, Value>, dice: &mut Dice) {
    match strategy {
        // Node's `fallback(…)` takes several steps or options, not both.
        "fallback" if options.contains_key("steps") => options.retain(|name, _| name == "steps"),
        "fallback" => {
            if options.contains_key("stale_key") {
                options.insert("stale_if_error".into(), json!(true));
            }
            if options.get("stale_if_error") != Some(&json!(true)) || dice.percent(30) {
                options.entry("value").or_insert_with(|| json!("cached"));
            }
        }
        "chaos" if !["fault", "latency", "outcome", "behavior"].iter().any(|what| options.contains_key(*what)) => {
            drop(options.insert("fault".into(), json!("storm")));
        }
        "circuit_breaker" if dice.percent(50) => drop(options.insert("consecutive_failures".into(), json!(1 + dice.roll(3)))),
        "circuit_breaker" if options.contains_key("window_size") && dice.percent(90) => drop(options.remove("sampling_duration")),
        "bulkhead" if dice.percent(70) => {
            options.insert("max_concurrent".into(), json!(1 + dice.roll(2)));
            options.insert("max_queue".into(), json!(dice.roll(3)));
        }
        _ => {}
    }
}
