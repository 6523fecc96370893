//! What is allowed and yet likely a mistake, and how long a call may last at worst. Each finding has a stable code and its arithmetic.

mod rules;
mod worst;

use seawall_engine::pipeline::Policy as EnginePolicy;
use serde_json::{Value, json};

use crate::config::{ConfigError, Parts, Spec, duration_ms};
use crate::policy::Policy;

pub use worst::WorstCase;

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its code, which stays.
    pub code: &'static str,
    /// Where: `retry.max_attempts`.
    pub path: &'static str,
    /// What is likely wrong, and what would be right.
    pub message: String,
    /// The arithmetic behind it.
    pub lines: Vec<String>,
}

impl Finding {
    fn new(code: &'static str, path: &'static str, message: impl Into<String>, lines: Vec<String>) -> Self {
        Self { code, path, message: message.into(), lines }
    }

    fn to_json(&self, policy: &str) -> Value {
        json!({"code": self.code, "policy": policy, "path": self.path, "message": self.message, "lines": self.lines})
    }
}

/// What is judged: the options in force, and the policies that work inside this one's attempts.
pub(crate) struct Subject<'a> {
    pub(crate) engine: &'a EnginePolicy,
    pub(crate) spec: &'a Spec,
    pub(crate) inner: &'a [(String, WorstCase)],
}

impl Subject<'_> {
    fn value(&self, strategy: &str, option: &str) -> Option<&Value> {
        self.spec.parts.get(strategy)?.get(option)
    }

    fn has(&self, strategy: &str) -> bool {
        self.spec.parts.contains_key(strategy)
    }

    /// A duration as it was written.
    fn ms(&self, strategy: &str, option: &str) -> Option<u64> {
        duration_ms(self.value(strategy, option)?, self.spec.dialect)
    }

    /// Attempts of a call.
    fn attempts(&self) -> u64 {
        self.engine.retry.as_ref().map_or(1, |retry| retry.max_attempts.into())
    }

    /// Calls that one attempt may make at once beyond its own.
    fn hedges(&self) -> u64 {
        if self.has("hedge") { self.value("hedge", "max_hedges").and_then(Value::as_u64).unwrap_or(1) } else { 0 }
    }
}

/// The longest time and the most calls of a policy in force, those inside it included.
pub(crate) fn worst_case(policy: &Policy) -> WorstCase {
    with_subject(policy, 0, worst::of)
}

/// Policies may work inside each other in a circle; no honest nesting is that deep.
const DEEPEST: usize = 8;

fn with_subject<T>(policy: &Policy, depth: usize, work: fn(&Subject<'_>) -> T) -> T {
    let force = policy.force();
    let spec = policy.spec(force.parts.clone());
    let inner: Vec<(String, WorstCase)> =
        policy.inner().iter().filter(|_| depth < DEEPEST).map(|inner| (inner.label(), with_subject(inner, depth + 1, worst::of))).collect();
    work(&Subject { engine: &force.compiled.engine, spec: &spec, inner: &inner })
}

/// The findings of every living policy and of those that only the file in force defines, as a JSON list: `code`, `policy`, `path`,
/// `message`, `lines`.
#[must_use]
pub fn lint() -> String {
    let mut found = Vec::new();
    for policy in crate::registry::all() {
        found.extend(with_subject(&policy, 0, rules::findings).iter().map(|finding| finding.to_json(&policy.label())));
    }
    for (name, parts) in crate::registry::only_in_file() {
        found.extend(lint_parts(Some(name), parts));
    }
    Value::Array(found).to_string()
}

/// The findings of a spec, as the same list.
///
/// # Errors
/// If the spec is wrong.
pub fn lint_spec(spec: &str) -> Result<String, ConfigError> {
    let spec = Spec::parse(spec)?;
    Ok(Value::Array(lint_one(&spec)).to_string())
}

fn lint_parts(name: Option<String>, parts: Parts) -> Vec<Value> {
    lint_one(&Spec { name, dialect: crate::config::Dialect::File, seed: None, keyed: false, parts })
}

/// The longest time and the most calls of options that no policy in use has.
pub(crate) fn worst_case_of(spec: &Spec) -> WorstCase {
    let compiled = spec.compile(crate::clock::now(), 0);
    worst::of(&Subject { engine: &compiled.engine, spec, inner: &[] })
}

pub(crate) fn lint_one(spec: &Spec) -> Vec<Value> {
    let compiled = spec.compile(crate::clock::now(), 0);
    let subject = Subject { engine: &compiled.engine, spec, inner: &[] };
    let policy = spec.name.as_deref().unwrap_or("");
    rules::findings(&subject).iter().map(|finding| finding.to_json(policy)).collect()
}

/// A duration for people.
fn shown(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms if ms > 1_000 => format!("{}.{}s", ms / 1_000, format!("{:03}", ms % 1_000).trim_end_matches('0')),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests;
