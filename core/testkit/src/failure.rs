//! Errors as the vectors write them, and which code strings match them.

use serde_json::Value;

use crate::vector::Step;

/// An error of the callee.
#[derive(Clone, Debug)]
pub(crate) struct CalleeError {
    pub(crate) name: String,
    pub(crate) status: u32,
    pub(crate) retry_after_ms: i64,
    pub(crate) kind: u32,
}

impl CalleeError {
    pub(crate) fn of(step: &Step) -> Option<Self> {
        let programming = step.programming.unwrap_or(false);
        if step.error.is_none() && !programming {
            return None;
        }
        let retry_after_ms = match step.retry_after.as_deref() {
            None => -1,
            Some("never") => -2,
            Some(wait) => i64::try_from(crate::vector::duration_ms(wait)).unwrap_or(i64::MAX),
        };
        let name = if programming { "programming".to_owned() } else { step.error.clone().unwrap_or_default() };
        Some(Self { name, status: step.status.unwrap_or(0), retry_after_ms, kind: if programming { 2 } else { 1 } })
    }

    fn matches(&self, code: &str) -> bool {
        match code.strip_prefix("http:") {
            Some(class) if class.ends_with("xx") => class.starts_with(&(self.status / 100).to_string()) && self.status > 0,
            Some(status) => status.parse() == Ok(self.status),
            None => code == self.name,
        }
    }
}

/// The two bits of each strategy whose `on` or `ignore` names the error.
pub(crate) fn bits(config: &serde_json::Map<String, Value>, error: &CalleeError) -> u32 {
    let strategies = [("retry", 1), ("circuit_breaker", 4), ("fallback", 16), ("dead_letter", 64)];
    let names = |strategy: &str, list: &str| {
        config
            .get(strategy)
            .and_then(|options| options.get(list))
            .and_then(Value::as_array)
            .is_some_and(|codes| codes.iter().filter_map(Value::as_str).any(|code| error.matches(code)))
    };
    strategies.iter().map(|(strategy, bit)| u32::from(names(strategy, "on")) * bit + u32::from(names(strategy, "ignore")) * bit * 2).sum()
}

/// The bits of the strategies whose `on_result` rejects the value.
pub(crate) fn result_bits(config: &serde_json::Map<String, Value>, value: &Value) -> u32 {
    let rejects = |strategy: &str| {
        config
            .get(strategy)
            .and_then(|options| options.get("on_result"))
            .and_then(Value::as_array)
            .is_some_and(|values| values.contains(value))
    };
    u32::from(rejects("retry")) * 256 + u32::from(rejects("circuit_breaker")) * 512
}
