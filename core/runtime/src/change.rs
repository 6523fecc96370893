//! A change of the options of a live policy: what it changes, whether it may, and what follows at once.
//!
//! | changed | takes effect |
//! |---|---|
//! | breaker thresholds, mode | at the next judgement |
//! | `window_size`, `sampling_duration` | at once, with an empty window; the state stays |
//! | breaks, half-open settings | at the next opening |
//! | `max_concurrent` | at once: more wakes who waits, fewer evicts nobody |
//! | `rate`, `burst` | at once; the arrival time stays, but no further ahead than a whole burst |
//! | retry, timeouts, the rest | for calls that begin |
//! | name, key, scope, the set of strategies | never: the load is refused |

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::Parts;

/// The options that differ, as `strategy.option`.
pub(crate) fn changed(old: &Parts, new: &Parts) -> Vec<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().flat_map(|name| changed_part(name, old.get(name), new.get(name))).collect()
}

fn changed_part(name: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => options(old, new)
            .into_iter()
            .filter(|option| old.get(option) != new.get(option))
            .map(|option| format!("{name}.{option}"))
            .collect(),
        (old, new) if old != new => vec![name.to_owned()],
        _ => Vec::new(),
    }
}

fn options(old: &Map<String, Value>, new: &Map<String, Value>) -> BTreeSet<String> {
    old.keys().chain(new.keys()).cloned().collect()
}

/// Why a live policy cannot take these changes.
pub(crate) fn refusal(old: &Parts, new: &Parts) -> Option<String> {
    let strategies = |parts: &Parts| parts.keys().filter(|name| *name != "mode").cloned().collect::<BTreeSet<_>>();
    let (before, after) = (strategies(old), strategies(new));
    let list = |names: Vec<&String>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (added, removed) = (after.difference(&before).collect::<Vec<_>>(), before.difference(&after).collect::<Vec<_>>());
    if !added.is_empty() {
        return Some(format!("it adds {} to a policy in use; restart the process for another set of strategies", list(added)));
    }
    if !removed.is_empty() {
        return Some(format!("it takes {} from a policy in use; restart the process for another set of strategies", list(removed)));
    }
    let fixed = changed(old, new).into_iter().find(|path| is_fixed(path, old, new));
    fixed.map(|path| format!("it changes {path}, which is part of what a policy in use is; restart the process for that"))
}

/// Whether a change of this option changes what the policy is. A scope that is only written out does not.
fn is_fixed(path: &str, old: &Parts, new: &Parts) -> bool {
    let Some((strategy, option)) = path.split_once('.') else { return false };
    let scope = |parts: &Parts| {
        parts.get(strategy).and_then(|options| options.get("scope")).and_then(Value::as_str).unwrap_or("process").to_owned()
    };
    match option {
        "name" | "key" => true,
        "scope" => scope(old) != scope(new),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parts(value: Value) -> Parts {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_differs_is_named_by_its_path() {
        let old = parts(json!({"retry": {"max_attempts": 3, "jitter": "none"}, "bulkhead": {}}));
        let new = parts(json!({"retry": {"max_attempts": 4, "jitter": "none"}, "bulkhead": {"max_queue": 1}, "mode": "shadow"}));
        assert_eq!(changed(&old, &new), ["bulkhead.max_queue", "mode", "retry.max_attempts"]);
        assert!(changed(&old, &old).is_empty());
    }

    #[test]
    fn identity_does_not_change() {
        let old = parts(json!({"retry": {}}));
        assert_eq!(refusal(&old, &parts(json!({"retry": {"max_attempts": 9}, "mode": "shadow"}))), None);
        let told = |new: Value| refusal(&old, &parts(new)).unwrap_or_default();
        assert!(told(json!({"retry": {}, "bulkhead": {}})).contains("adds `bulkhead`"));
        assert!(told(json!({})).contains("takes `retry`"));
        assert!(told(json!({"retry": {"name": "x"}})).contains("retry.name"));
        assert!(told(json!({"retry": {"scope": "host"}})).contains("retry.scope"));
        assert_eq!(told(json!({"retry": {"scope": "process"}})), "");
    }
}
