//! The policy file: TOML or JSON, the same keys as in code.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::spec::{Parts, validate_parts};
use super::value::Dialect;
use super::{ConfigError, rules};

/// A validated policy file.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) policies: BTreeMap<String, Parts>,
}

impl File {
    /// Reads `path`, with the tables of `env` laid over the common ones.
    pub(crate) fn read(path: &str, env: Option<&str>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(path, format!("cannot be read: {error}")))?;
        Self::parse(path, &text, env).map_err(|error| error.within(path))
    }

    fn parse(path: &str, text: &str, env: Option<&str>) -> Result<Self, ConfigError> {
        let value: Value = if path.ends_with(".json") {
            serde_json::from_str(text).map_err(|error| ConfigError::new("", format!("is not JSON: {error}")))?
        } else {
            toml::from_str(text).map_err(|error| ConfigError::new("", format!("is not TOML: {error}")))?
        };
        let Value::Object(table) = value else { return Err(ConfigError::new("", "must be a table")) };
        if let Some(unknown) = table.keys().find(|key| !matches!(key.as_str(), "defaults" | "policy" | "env")) {
            return Err(ConfigError::new(unknown, "is unknown; defaults, policy and env would be right"));
        }
        let mut policies = policies(table.get("policy"), "policy")?;
        if let Some(env) = env {
            let overlay = table.get("env").and_then(|envs| envs.get(env)).and_then(|env| env.get("policy"));
            for (name, parts) in self::policies(overlay, &format!("env.{env}.policy"))? {
                let target = policies.entry(name).or_default();
                *target = merge(std::mem::take(target), &parts);
            }
        }
        for (name, parts) in &policies {
            let at = |error: ConfigError| error.within(&format!("policy.{name}"));
            validate_parts(parts, Dialect::File).map_err(at)?;
            rules::check(parts, Dialect::File).map_err(at)?;
        }
        Ok(Self { path: path.to_owned(), policies })
    }
}

fn policies(value: Option<&Value>, path: &str) -> Result<BTreeMap<String, Parts>, ConfigError> {
    match value {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(table)) => table
            .iter()
            .map(|(name, parts)| match parts {
                Value::Object(parts) => Ok((name.clone(), parts.clone())),
                _ => Err(ConfigError::new(format!("{path}.{name}"), "must be a table of strategies")),
            })
            .collect(),
        Some(_) => Err(ConfigError::new(path, "must be a table of policies")),
    }
}

/// `over` laid over `base`, field by field.
pub(crate) fn merge(mut base: Parts, over: &Parts) -> Parts {
    for (strategy, options) in over {
        let target = base.entry(strategy.clone()).or_insert_with(|| Value::Object(Map::new()));
        if let (Value::Object(target), Value::Object(options)) = (target, options) {
            target.extend(options.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    base
}
