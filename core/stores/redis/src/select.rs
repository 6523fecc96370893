//! A query as the scripts read it.

use seawall_dlq::{Query, SCHEMA, State};
use serde_json::{Map, Value, json};

const ALL: [State; 4] = [State::Ready, State::Leased, State::Parked, State::Archived];

pub(crate) fn json(query: &Query, more: Value) -> Value {
    let mut all = Map::new();
    let mut columns = if query.states.is_empty() { ALL.to_vec() } else { query.states.clone() };
    if columns.contains(&State::Ready) && !columns.contains(&State::Leased) {
        // A lease that has lapsed is ready.
        columns.push(State::Leased);
    }
    all.insert("columns".into(), columns.iter().map(|state| state.word()).collect());
    if !query.states.is_empty() {
        all.insert("states".into(), Value::Object(query.states.iter().map(|state| (state.word().to_owned(), json!(true))).collect()));
    }
    let place = |mark: Option<u64>| mark.map(Value::from);
    for (name, value) in [
        ("id", query.id.map(|id| json!(id.to_string()))),
        ("fingerprint", query.group.clone().map(Value::from)),
        ("error", query.error.clone().map(Value::from)),
        ("policy", query.policy.clone().map(Value::from)),
        ("key", query.key.clone().map(Value::from)),
        ("correlation_id", query.correlation_id.clone().map(Value::from)),
        ("operation", query.operation.clone().map(Value::from)),
        ("lease_owner", query.owner.clone().map(Value::from)),
        ("older_than", query.older_than.map(Value::from)),
        ("newer_than", query.newer_than.map(Value::from)),
        ("bound", place(query.bound)),
        ("since", place(query.since)),
        ("archived_before", query.archived_before.map(Value::from)),
        ("actionable", query.actionable.map(Value::from)),
        ("schema", Some(json!(SCHEMA))),
    ] {
        if let Some(value) = value {
            all.insert(name.into(), value);
        }
    }
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all)
}
