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
    pub(crate) policies: Policies,
    /// What it says for every environment, and what each environment lays over that.
    pub(crate) common: Policies,
    pub(crate) environments: BTreeMap<String, Policies>,
}

impl File {
    /// Reads `path`, with the tables of `env` laid over the common ones.
    pub(crate) fn read(path: &str, env: Option<&str>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::new(path, format!("cannot be read: {error}")))?;
        Self::parse(path, &text, env)
    }

    /// The same for the text of the file.
    pub(crate) fn parse(path: &str, text: &str, env: Option<&str>) -> Result<Self, ConfigError> {
        Self::parse_text(path, text, env).map_err(|error| error.within(path))
    }

    fn parse_text(path: &str, text: &str, env: Option<&str>) -> Result<Self, ConfigError> {
        let value: Value = if path.ends_with(".json") {
            serde_json::from_str(text).map_err(|error| ConfigError::new("", format!("is not JSON: {error}")))?
        } else {
            toml::from_str(text).map_err(|error| ConfigError::new("", format!("is not TOML: {error}")))?
        };
        let Value::Object(table) = value else { return Err(ConfigError::new("", "must be a table")) };
        if let Some(unknown) = table.keys().find(|key| !matches!(key.as_str(), "defaults" | "policy" | "env")) {
            return Err(ConfigError::new(unknown, "is unknown; defaults, policy and env would be right"));
        }
        check_defaults(table.get("defaults"))?;
        let common = policies(table.get("policy"), "policy")?;
        validate(&common, "policy")?;
        let environments = environments(table.get("env"))?;
        for (name, overlay) in &environments {
            // Every environment is checked, not only the one in force: a slip must not wait for the day it is deployed.
            validate(&lay_over(&common, overlay), &format!("env.{name}.policy"))?;
        }
        let chosen = env.and_then(|env| environments.get(env)).map(|overlay| lay_over(&common, overlay));
        let policies = chosen.unwrap_or_else(|| common.clone());
        Ok(Self { path: path.to_owned(), policies, common, environments })
    }
}

pub(crate) type Policies = BTreeMap<String, Parts>;

fn validate(policies: &Policies, path: &str) -> Result<(), ConfigError> {
    for (name, parts) in policies {
        let at = |error: ConfigError| error.within(&format!("{path}.{name}"));
        only_in_code(parts).map_err(at)?;
        validate_parts(parts, Dialect::File).map_err(at)?;
        rules::contradictions(parts, Dialect::File).map_err(at)?;
    }
    Ok(())
}

/// What crosses from code as a number of things that stay there.
fn only_in_code(parts: &Parts) -> Result<(), ConfigError> {
    for (strategy, option) in [("chaos", "fault"), ("chaos", "outcome"), ("fallback", "steps")] {
        if parts.get(strategy).is_some_and(|options| options.get(option).is_some()) {
            return Err(ConfigError::new(format!("{strategy}.{option}"), "is what only code can give; leave it out of the file"));
        }
    }
    Ok(())
}

/// An environment's tables over the common ones.
pub(crate) fn lay_over(common: &Policies, overlay: &Policies) -> Policies {
    let mut laid = common.clone();
    for (name, parts) in overlay {
        let target = laid.entry(name.clone()).or_default();
        *target = merge(std::mem::take(target), parts);
    }
    laid
}

/// `app` is the only default there is: it names the folder of state.
fn check_defaults(defaults: Option<&Value>) -> Result<(), ConfigError> {
    match defaults {
        None => Ok(()),
        Some(Value::Object(table)) => match table.iter().find(|(name, value)| name.as_str() != "app" || !value.is_string()) {
            Some((name, _)) if name == "app" => Err(ConfigError::new("defaults.app", "must be text")),
            Some((name, _)) => Err(ConfigError::new(format!("defaults.{name}"), "is unknown; app would be right")),
            None => Ok(()),
        },
        Some(_) => Err(ConfigError::new("defaults", "must be a table")),
    }
}

fn environments(value: Option<&Value>) -> Result<BTreeMap<String, Policies>, ConfigError> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let Value::Object(table) = value else { return Err(ConfigError::new("env", "must be a table of environments")) };
    table
        .iter()
        .map(|(name, overlay)| {
            let path = format!("env.{name}");
            let Value::Object(overlay) = overlay else { return Err(ConfigError::new(path, "must be a table with `policy`")) };
            if let Some(unknown) = overlay.keys().find(|key| key.as_str() != "policy") {
                return Err(ConfigError::new(format!("{path}.{unknown}"), "is unknown; policy would be right"));
            }
            Ok((name.clone(), policies(overlay.get("policy"), &format!("{path}.policy"))?))
        })
        .collect()
}

fn policies(value: Option<&Value>, path: &str) -> Result<Policies, ConfigError> {
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
        match (base.entry(strategy.clone()).or_insert_with(|| Value::Object(Map::new())), options) {
            (Value::Object(target), Value::Object(options)) => {
                target.extend(options.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            (target, mode) => *target = mode.clone(),
        }
    }
    base
}
