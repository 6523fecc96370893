//! The JSON Schema of the policy file.

use seawall_engine::table::options::{Kind, OPTIONS, OptionRow, STRATEGIES};
use serde_json::{Map, Value, json};

use crate::mirror::HEADER;

const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$";

/// The text of `seawall.schema.json`.
pub fn render() -> String {
    let policies = json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/policy" } });
    let mut strategies: Map<String, Value> = Map::new();
    for strategy in STRATEGIES {
        strategies.insert((*strategy).to_owned(), options(strategy));
    }
    strategies.insert("mode".to_owned(), json!({ "enum": ["enforce", "shadow", "disabled"], "description": "Whether the policy enforces, only judges and reports, or does nothing. Default: enforce." }));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": HEADER,
        "title": "Seawall policy file",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "defaults": { "$ref": "#/$defs/defaults" },
            "policy": policies,
            "env": {
                "type": "object",
                "description": "What differs in one environment, chosen by SEAWALL_ENV.",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "defaults": { "$ref": "#/$defs/defaults" }, "policy": policies },
                },
            },
        },
        "$defs": {
            "defaults": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "app": { "type": "string", "description": "The application's name." } },
            },
            "duration": { "type": "string", "pattern": DURATION },
            "policy": { "type": "object", "additionalProperties": false, "properties": strategies },
        },
    });
    format!("{schema:#}\n")
}

/// The schema of one strategy: what a file may say of it.
fn options(strategy: &str) -> Value {
    let mut properties = Map::new();
    for row in OPTIONS.iter().filter(|row| row.strategy == strategy || is_for_files(row)) {
        if let Some(mut value) = kind(&row.kind) {
            let default = if row.default.is_empty() { String::new() } else { format!(" Default: {}.", row.default) };
            value["description"] = Value::from(format!("{}{default}", row.doc));
            properties.insert(row.name.to_owned(), value);
        }
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// Of the options of every strategy, a file may give the scope alone: the policy's own name stands above them.
fn is_for_files(row: &OptionRow) -> bool {
    row.strategy == "*" && row.name == "scope"
}

/// The schema of one value, `None` for what only code can give.
fn kind(kind: &Kind) -> Option<Value> {
    let ratio = |low: &str| json!({ "type": "number", low: 0, "maximum": 1 });
    Some(match kind {
        Kind::Duration(..) => json!({ "$ref": "#/$defs/duration" }),
        Kind::Ratio(false) => ratio("exclusiveMinimum"),
        Kind::Ratio(true) => json!({ "anyOf": [ratio("minimum"), { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$" }] }),
        Kind::Int(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::HedgeDelay => json!({ "anyOf": [{ "const": "p95" }, { "$ref": "#/$defs/duration" }] }),
        Kind::Factor => json!({ "type": "number", "minimum": 1 }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Rate => json!({ "type": "string", "pattern": r"^[0-9]+/(s|m|h)$" }),
        Kind::Budget => json!({ "anyOf": [{ "const": false }, { "type": "null" }, {
            "type": "object",
            "additionalProperties": false,
            "properties": { "ratio": ratio("minimum"), "per_second": { "type": "number", "minimum": 0 } },
        }] }),
        Kind::Text | Kind::Instant => json!({ "type": "string" }),
        Kind::Keys => json!({ "type": "string", "pattern": "^(env|file):.+$" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Latency => json!({ "type": "string", "pattern": r"^[0-9a-z.]+(\.\.[0-9a-z.]+)?$" }),
        Kind::Seed => json!({ "type": "integer", "minimum": 0 }),
        Kind::Value => json!({}),
        Kind::Window => json!({ "type": "string", "pattern": r"^(\S+ every \S+|(\S+ )?[0-9:]+-[0-9:]+ \S+)$" }),
        Kind::Share => json!({ "anyOf": [
            { "type": "number", "minimum": 0.01, "maximum": 1 },
            { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$" },
        ] }),
        Kind::Abort => json!({
            "type": "object",
            "additionalProperties": false,
            "anyOf": [{ "required": ["breaker"] }, { "required": ["failure_ratio"] }],
            "properties": {
                "breaker": { "const": "open" },
                "policy": { "type": "string" },
                "failure_ratio": ratio("exclusiveMinimum"),
                "minimum_throughput": { "type": "integer", "minimum": 1, "maximum": 50 },
            },
        }),
        Kind::Code | Kind::Steps | Kind::Faults => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::render;
    use serde_json::Value;

    #[test]
    fn the_schema_names_every_data_option_and_no_code() {
        let schema: Value = serde_json::from_str(&render()).expect("the schema is JSON");
        let retry = &schema["$defs"]["policy"]["properties"]["retry"]["properties"];
        assert_eq!(retry["max_attempts"]["maximum"], 1_000);
        assert!(retry["on"].is_null());
        assert!(schema["$defs"]["policy"]["properties"]["chaos"]["properties"]["fault"].is_null());
    }
}
