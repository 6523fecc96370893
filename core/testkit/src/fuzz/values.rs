//! Values of options, by kind: small numbers, edges, and what contradicts nothing by itself.

use seawall_engine::table::options::Kind;
use serde_json::{Value, json};

use super::dice::Dice;

/// Durations that meet each other: sums, halves and doubles of one another occur.
pub(super) const DURATIONS_MS: &[u64] =
    &[0, 1, 2, 10, 50, 100, 200, 250, 400, 500, 999, 1_000, 1_001, 2_000, 3_000, 5_000, 10_000, 30_000, 60_000];
/// Results of callees and fallbacks. Fractions whose text differs between languages are left out.
pub(super) fn results() -> Vec<Value> {
    vec![json!("ok"), json!("bad"), json!(1), json!(null), json!(false), json!([1, "ü"]), json!({"b": 1, "a": []}), json!(1.5), json!("")]
}

/// Codes that `on` and `ignore` may name.
pub(super) const CODES: &[&str] = &[
    "boom",
    "boom",
    "known",
    "other",
    "storm",
    "http:5xx",
    "http:404",
    "http:429",
    "circuit.open",
    "bulkhead.full",
    "rate.limited",
    "timeout.attempt",
    "timeout.total",
    "result.rejected",
    "chaos.injected",
];

pub(super) fn duration(ms: u64) -> String {
    match ms {
        ms if ms > 0 && ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms > 1_000 && ms % 1_000 != 0 => format!("{}s{}ms", ms / 1_000, ms % 1_000),
        ms if ms > 0 && ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// A value of this kind; `None` for what vectors cannot write.
pub(super) fn of(kind: Kind, dice: &mut Dice) -> Option<Value> {
    Some(match kind {
        Kind::Duration(min, max) => json!(duration(dice.pick(DURATIONS_MS).clamp(&min, &max).to_owned())),
        Kind::Ratio(zero) => {
            let share: f64 = *dice.pick(&[0.0, 0.0001, 0.1, 0.25, 0.3333, 0.5, 0.5, 0.7, 1.0]);
            json!(if zero { share } else { share.max(0.0001) })
        }
        Kind::Int(min, max) => json!((*dice.pick(&[0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 20, 64])).clamp(min, max)),
        Kind::Factor => json!(dice.pick(&[1.0, 1.5, 2.0, 2.125, 3.0, 10.0, 1000.0])),
        Kind::Choice(words) => json!(dice.pick(words)),
        Kind::Rate => json!(dice.pick(&["1/s", "2/s", "3/s", "10/s", "100/s", "1/m", "5/m", "1000/h", "7/h"])),
        Kind::Budget => dice
            .pick(&[
                json!(null),
                json!(false),
                json!({"ratio": 0, "per_second": 0}),
                json!({"ratio": 1, "per_second": 0}),
                json!({"ratio": 0.5, "per_second": 0}),
                json!({"ratio": 0, "per_second": 0.1}),
                json!({"per_second": 0.2}),
                json!({"ratio": 0.2}),
            ])
            .clone(),
        Kind::Flag => json!(dice.percent(60)),
        Kind::Latency => json!(dice.pick(&["10ms", "0ms..20ms", "200ms..800ms", "1s", "0ms"])),
        Kind::Seed => json!(dice.roll(1 << 30)),
        Kind::Window => json!(dice.pick(&["1s every 2s", "500ms every 3s", "1m every 1m", "30s every 5m"])),
        Kind::Share => json!(dice.pick(&[0.01, 0.2, 0.3333, 0.5, 0.75, 1.0])),
        Kind::Abort => dice
            .pick(&[
                json!({"breaker": "open"}),
                json!({"failure_ratio": 0.5, "minimum_throughput": 2}),
                json!({"breaker": "open", "failure_ratio": 0.3333, "minimum_throughput": 3}),
                json!({"failure_ratio": 1}),
            ])
            .clone(),
        Kind::HedgeDelay => json!(dice.pick(&["p95", "p95", "1ms", "10ms", "50ms", "100ms", "400ms", "1s"])),
        Kind::Value => dice.pick(&results()).clone(),
        _ => return None,
    })
}

/// A policy's mode.
pub(super) const MODES: &[&str] = &["enforce", "shadow", "disabled"];

/// The name of the call with this number: letters, so that names of any length sort as they come.
pub(super) fn call(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + (digit % 26) as u8);
    if number < 26 { letter(number).into() } else { [letter(number / 26 - 1), letter(number)].iter().collect() }
}

/// Values that chaos makes up, with weights now and then.
pub(super) fn outcomes(dice: &mut Dice) -> Value {
    let count = 1 + dice.roll(3);
    let one = |dice: &mut Dice| {
        let value = dice.pick(&results()).clone();
        if dice.percent(30) { json!({"value": value, "weight": 1 + dice.roll(4)}) } else { json!({"value": value}) }
    };
    json!((0..count).map(|_| one(dice)).collect::<Vec<_>>())
}

/// Which calls share a good value: a table from their names to two keys.
pub(super) fn stale_keys(dice: &mut Dice) -> Value {
    Value::Object((0..MOST_CALLS).map(|number| (call(number), json!(dice.pick(&["p", "p", "q"])))).collect())
}

/// The most calls of one script.
pub(super) const MOST_CALLS: usize = 40;

/// A list of codes for `on` and `ignore`.
pub(super) fn codes(dice: &mut Dice) -> Value {
    let count = 1 + dice.roll(2);
    json!((0..count).map(|_| *dice.pick(CODES)).collect::<Vec<_>>())
}
