//! A policy as it was written: a name, the dialect, and the parts.

use seawall_engine::table::options::{Kind, OPTIONS, STRATEGIES, find};
use serde_json::{Map, Value};

use super::error::nearest;
use super::value::{Dialect, check};
use super::{ConfigError, rules};
use seawall_engine::pipeline::Policy as EnginePolicy;

pub(crate) type Parts = Map<String, Value>;

/// A validated spec.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: Option<String>,
    pub(crate) dialect: Dialect,
    pub(crate) seed: Option<u64>,
    pub(crate) keyed: bool,
    pub(crate) parts: Parts,
}

/// A compiled policy, and what does not go into the engine.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) engine: EnginePolicy,
    pub(crate) chaos_seed: Option<u64>,
    /// The policy whose circuits chaos watches.
    pub(crate) chaos_watches: Option<std::sync::Arc<str>>,
    pub(crate) stale: Option<crate::stale::Bounds>,
}

impl Spec {
    /// Reads and validates the JSON text that a binding hands over.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_str(text).map_err(|error| ConfigError::new("", format!("the spec is not JSON: {error}")))?;
        let Value::Object(mut table) = value else { return Err(ConfigError::new("", "the spec must be a table")) };
        let dialect = match table.get("dialect").and_then(Value::as_str) {
            Some("python") => Dialect::Python,
            Some("node") => Dialect::Node,
            _ => Dialect::File,
        };
        let name = table.get("name").and_then(Value::as_str).map(str::to_owned);
        let mut parts = match table.remove("parts") {
            Some(Value::Object(parts)) => parts,
            _ => Map::new(),
        };
        if let Some(mode) = table.remove("mode").filter(|mode| !mode.is_null()) {
            parts.insert("mode".into(), mode);
        }
        let spec = Self {
            dialect,
            seed: table.get("seed").and_then(Value::as_u64),
            keyed: table.get("keyed").and_then(Value::as_bool).unwrap_or(false),
            parts: written_in_code(parts),
            name,
        };
        spec.validate().map_err(|error| spec.locate(error))?;
        Ok(spec)
    }

    pub(crate) fn locate(&self, error: ConfigError) -> ConfigError {
        match &self.name {
            Some(name) => error.within(name),
            None => error,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        validate_parts(&self.parts, self.dialect)?;
        rules::check(&self.parts, self.dialect)
    }
}

/// A chain given as functions crosses as `{"steps": n}`, one given as one value may cross bare.
fn written_in_code(mut parts: Parts) -> Parts {
    if let Some(Value::Object(chaos)) = parts.get_mut("chaos") {
        for name in ["fault", "outcome"] {
            let count = chaos.get(name).and_then(|given| given.get("faults")).cloned();
            if let Some(count) = count {
                chaos.insert(name.into(), count);
            }
        }
    }
    parts
}

pub(super) fn validate_parts(parts: &Parts, dialect: Dialect) -> Result<(), ConfigError> {
    for (strategy, options) in parts {
        if strategy == "mode" {
            check(Kind::Choice(&crate::mode::WORDS), options, dialect).map_err(|error| error.within("mode"))?;
            continue;
        }
        if !STRATEGIES.contains(&strategy.as_str()) {
            let hint = nearest(strategy, STRATEGIES.iter().copied())
                .map_or_else(|| STRATEGIES.join(", "), |name| format!("did you mean `{name}`?"));
            return Err(ConfigError::new(strategy, format!("there is no such strategy; {hint}")));
        }
        let Value::Object(options) = options else { return Err(ConfigError::new(strategy, "must be a table of options")) };
        for (name, value) in options {
            validate_option(strategy, name, value, dialect).map_err(|error| error.within(name).within(strategy))?;
        }
    }
    Ok(())
}

fn validate_option(strategy: &str, name: &str, value: &Value, dialect: Dialect) -> Result<(), ConfigError> {
    let Some(row) = find(strategy, name) else {
        let names = OPTIONS.iter().filter(|row| row.strategy == strategy).map(|row| row.name);
        let hint = nearest(name, names.clone())
            .map_or_else(|| format!("known are {}", names.collect::<Vec<_>>().join(", ")), |near| format!("did you mean `{near}`?"));
        return Err(ConfigError::new("", format!("`{strategy}` has no option `{name}`; {hint}")));
    };
    check(row.kind, value, dialect)
}

/// Whether parts that are of chaos alone may be in force, by the rules of a policy file.
pub(crate) fn check_experiment(parts: &Parts) -> Result<(), ConfigError> {
    validate_parts(parts, Dialect::File)?;
    rules::check(parts, Dialect::File)
}

/// Checks a spec again after a file was laid over it.
pub(crate) fn validate_effective(spec: &Spec) -> Result<(), ConfigError> {
    spec.validate().map_err(|error| spec.locate(error))
}
