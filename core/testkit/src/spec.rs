//! What a vector's `config` says to the runtime.

use serde_json::{Value, json};

use crate::vector::Vector;

/// The key of a call's good value: what `stale_key` maps its payload to, else the payload.
pub(crate) fn stale_key(fallback: &Value, payload: &str) -> String {
    fallback["stale_key"].get(payload).and_then(Value::as_str).unwrap_or(payload).to_owned()
}

/// The spec of a vector's policy: callables become marks.
pub(crate) fn spec(vector: &Vector) -> String {
    let mut parts = vector.config.clone();
    let name = parts.remove("name");
    let keyed = parts.remove("key").is_some();
    let mode = parts.remove("mode");
    for options in parts.values_mut().filter_map(Value::as_object_mut) {
        for name in ["on", "ignore", "on_result", "stale_key", "behavior"] {
            if options.contains_key(name) {
                options.insert(name.into(), json!(true));
            }
        }
        if let Some(steps) = options.get("steps").and_then(Value::as_array).map(Vec::len) {
            options.insert("steps".into(), json!(steps));
        }
        if options.get("fault").is_some_and(Value::is_string) {
            options.insert("fault".into(), json!({"faults": 1}));
        }
        if let Some(outcomes) = options.get("outcome").and_then(Value::as_array) {
            let weights: Vec<Value> = outcomes.iter().map(|one| one.get("weight").cloned().unwrap_or(json!(1))).collect();
            options.insert("outcome".into(), json!({"faults": weights}));
        }
    }
    // The raw runner is neither language, and callables are only allowed in code; vectors write durations as text in both.
    json!({"name": name, "dialect": "node", "seed": vector.seed, "keyed": keyed, "mode": mode, "parts": parts}).to_string()
}
