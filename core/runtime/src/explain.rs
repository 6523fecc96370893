//! Policies told to people: what a file says and whether it is sound, and where each number of a policy comes from.

use seawall_engine::table::options::{OPTIONS, STRATEGIES};
use serde_json::{Value, json};

use crate::config::{ConfigError, Dialect, File, Parts, Spec, lay_over, merge, nearest, validate_effective};
use crate::lint::{WorstCase, lint_one, worst_case_of};
use crate::registry::{self, default_parts};

/// The canonical order, outermost first: the strategy, and what is told in its place.
const ORDER: [(&str, &str); 10] = [
    ("fallback", ""),
    ("dead_letter", ""),
    ("timeout", "total"),
    ("retry", ""),
    ("hedge", ""),
    ("rate_limit", ""),
    ("bulkhead", ""),
    ("circuit_breaker", ""),
    ("timeout", "attempt"),
    ("chaos", ""),
];

/// One policy of a file, in one environment.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The environment; none for what the file says without one.
    pub env: Option<String>,
    /// The policy's name.
    pub policy: String,
    /// The findings of the lint, as JSON.
    pub findings: Vec<Value>,
    /// How long a call may last, and how many calls it may make.
    pub worst: WorstCase,
}

/// Checks a policy file: every policy in every environment, as far as the file alone says what it is.
///
/// # Errors
/// Names the place in the file and says what would be right.
pub fn check_file(path: &str) -> Result<Vec<Checked>, ConfigError> {
    let file = File::read(path, None)?;
    let mut checked = check_all(None, file.common.iter().map(|(name, parts)| (name, parts.clone())));
    for (env, overlay) in &file.environments {
        let laid = lay_over(&file.common, overlay);
        let touched = laid.iter().filter(|(name, _)| overlay.contains_key(*name)).map(|(name, parts)| (name, parts.clone()));
        checked.extend(check_all(Some(env), touched));
    }
    Ok(checked)
}

/// The environments that a policy file names.
///
/// # Errors
/// As [`check_file`].
pub fn environments(path: &str) -> Result<Vec<String>, ConfigError> {
    Ok(File::read(path, None)?.environments.into_keys().collect())
}

fn check_all<'a>(env: Option<&str>, policies: impl Iterator<Item = (&'a String, Parts)>) -> Vec<Checked> {
    let check = |(name, parts): (&String, Parts)| {
        let spec = Spec { name: Some(name.clone()), dialect: Dialect::File, seed: None, keyed: false, parts };
        Checked { env: env.map(str::to_owned), policy: name.clone(), findings: lint_one(&spec), worst: worst_case_of(&spec) }
    };
    policies.map(check).collect()
}

/// One option in force.
#[derive(Clone, Debug)]
pub struct Row {
    /// `retry.max_attempts`.
    pub path: String,
    /// Its value, as it was written; a default as the documentation shows it.
    pub value: Value,
    /// `default`, `code`, the path of the file, or `env.NAME` of it.
    pub origin: String,
}

/// A policy told.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The strategies that it has, outermost first.
    pub order: Vec<String>,
    /// Every option that has a value.
    pub rows: Vec<Row>,
    /// The findings of the lint, as JSON.
    pub findings: Vec<Value>,
    /// How long a call may last, and how many calls it may make.
    pub worst: WorstCase,
}

impl Explained {
    /// As JSON: `policy`, `order`, `options`, `findings`, `worst_case`.
    #[must_use]
    pub fn to_json(&self, policy: &str) -> Value {
        let options: Vec<Value> = self.rows.iter().map(|row| json!({"path": row.path, "value": row.value, "origin": row.origin})).collect();
        let worst = json!({"ms": self.worst.ms, "unbounded": self.worst.unbounded, "calls": self.worst.calls, "lines": self.worst.lines});
        json!({"policy": policy, "order": self.order, "options": options, "findings": self.findings, "worst_case": worst})
    }
}

/// Tells of the policy `name`, as code of this process and the file at `path` define it.
///
/// # Errors
/// If neither does, or if the two do not go together.
pub fn explain(name: &str, path: Option<&str>, env: Option<&str>) -> Result<Explained, ConfigError> {
    let file = path.map(|path| File::read(path, env)).transpose()?;
    let code = registry::in_use(name);
    let written = code.as_ref().map(|policy| policy.written.clone()).unwrap_or_default();
    let in_file = file.as_ref().and_then(|file| file.policies.get(name));
    if code.is_none() && in_file.is_none() {
        return Err(unknown(name, file.as_ref()));
    }
    let is_bare = in_file.is_none() && written.keys().all(|part| part == "mode");
    let base = if is_bare { merge(default_parts(), &written) } else { written.clone() };
    let parts = in_file.map_or_else(|| base.clone(), |over| merge(base.clone(), over));
    let dialect = code.as_ref().map_or(Dialect::File, |policy| policy.dialect());
    let spec = Spec { name: Some(name.to_owned()), dialect, seed: None, keyed: false, parts };
    if code.is_some() {
        validate_effective(&spec)?;
    }
    let layers = layers(name, file.as_ref(), env, &written, is_bare.then(default_parts).as_ref());
    Ok(Explained { order: order(&spec.parts), rows: rows(&spec.parts, &layers), findings: lint_one(&spec), worst: worst_case_of(&spec) })
}

fn unknown(name: &str, file: Option<&File>) -> ConfigError {
    let known = || file.iter().flat_map(|file| file.policies.keys()).map(String::as_str);
    let hint = nearest(name, known()).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    let place = file.map_or_else(|| "no file is given".to_owned(), |file| format!("{} does not define it", file.path));
    ConfigError::new(name, format!("{place}, and no code that was imported does{hint}"))
}

/// What said something of the policy, the strongest first.
fn layers(name: &str, file: Option<&File>, env: Option<&str>, written: &Parts, bare: Option<&Parts>) -> Vec<(String, Parts)> {
    let mut layers = Vec::new();
    if let Some(file) = file {
        let overlay = env.and_then(|env| Some((env, file.environments.get(env)?.get(name)?)));
        layers.extend(overlay.map(|(env, parts)| (format!("{} env.{env}", file.path), parts.clone())));
        layers.extend(file.common.get(name).map(|parts| (file.path.clone(), parts.clone())));
    }
    layers.push(("code".to_owned(), written.clone()));
    layers.extend(bare.map(|parts| ("default of a bare policy".to_owned(), parts.clone())));
    layers
}

fn order(parts: &Parts) -> Vec<String> {
    let has = |strategy: &str, option: &str| {
        parts.get(strategy).is_some_and(|options| option.is_empty() || options.get(option).is_some_and(|value| !value.is_null()))
    };
    let told = |(strategy, option): &(&str, &str)| if option.is_empty() { (*strategy).to_owned() } else { format!("{strategy}.{option}") };
    ORDER.iter().filter(|(strategy, option)| has(strategy, option)).map(told).collect()
}

fn rows(parts: &Parts, layers: &[(String, Parts)]) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(mode) = parts.get("mode") {
        let origin = layers.iter().find(|(_, layer)| layer.contains_key("mode")).map_or("code", |(origin, _)| origin);
        rows.push(Row { path: "mode".into(), value: mode.clone(), origin: origin.to_owned() });
    }
    for strategy in STRATEGIES {
        let Some(options) = parts.get(*strategy) else { continue };
        for option in OPTIONS.iter().filter(|option| option.strategy == *strategy) {
            let path = format!("{strategy}.{}", option.name);
            let origin = layers.iter().find(|(_, layer)| layer.get(*strategy).is_some_and(|said| said.get(option.name).is_some()));
            match (options.get(option.name), origin) {
                (Some(value), Some((origin, _))) => rows.push(Row { path, value: value.clone(), origin: origin.clone() }),
                (None, _) if !option.default.is_empty() => rows.push(Row { path, value: option.default.into(), origin: "default".into() }),
                _ => {}
            }
        }
    }
    rows
}
