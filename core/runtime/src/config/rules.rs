//! Contradictions between given values. Only what was written can contradict; a default gives way.

use serde_json::Value;

use super::ConfigError;
use super::experiment;
use super::spec::Parts;
use super::value::{Dialect, duration, instant};

struct Given<'a> {
    parts: &'a Parts,
    dialect: Dialect,
}

impl Given<'_> {
    fn value(&self, strategy: &str, name: &str) -> Option<&Value> {
        self.parts.get(strategy)?.get(name)
    }

    fn ms(&self, strategy: &str, name: &str) -> Option<u64> {
        duration(self.value(strategy, name)?, self.dialect).ok()
    }

    fn int(&self, strategy: &str, name: &str) -> Option<u64> {
        self.value(strategy, name)?.as_f64().map(|number| number as u64)
    }

    /// `small` must not be larger than `large`, if both were given.
    fn ordered(
        &self,
        strategy: &str,
        small: &str,
        large: &str,
        read: impl Fn(&Self, &str, &str) -> Option<u64>,
    ) -> Result<(), ConfigError> {
        match (read(self, strategy, small), read(self, strategy, large)) {
            (Some(a), Some(b)) if a > b => Err(ConfigError::new(
                format!("{strategy}.{small}"),
                format!("{a} is larger than {large} ({b}); {large} or less would be right"),
            )),
            _ => Ok(()),
        }
    }
}

/// All that makes parts unfit to be in force.
pub(super) fn check(parts: &Parts, dialect: Dialect) -> Result<(), ConfigError> {
    contradictions(parts, dialect)?;
    let given = Given { parts, dialect };
    if parts.contains_key("rate_limit") && given.value("rate_limit", "rate").is_none() {
        return Err(ConfigError::new("rate_limit.rate", "must be given, such as \"100/s\""));
    }
    if given.value("circuit_breaker", "slow_call_ratio").is_some() && given.value("circuit_breaker", "slow_call_duration").is_none() {
        return Err(ConfigError::new("circuit_breaker.slow_call_ratio", "needs slow_call_duration: without it no call is slow"));
    }
    check_adaptive(&given)?;
    check_stale(&given)?;
    check_chaos(&given)
}

/// What given values make of each other. A file may say only a part of what code says, so it need not be complete.
pub(super) fn contradictions(parts: &Parts, dialect: Dialect) -> Result<(), ConfigError> {
    let given = Given { parts, dialect };
    given.ordered("timeout", "attempt", "total", Given::ms)?;
    given.ordered("retry", "base_delay", "max_delay", Given::ms)?;
    given.ordered("circuit_breaker", "break_duration", "max_break_duration", Given::ms)?;
    given.ordered("bulkhead", "min_limit", "max_limit", Given::int)?;
    given.ordered("circuit_breaker", "minimum_throughput", "window_size", Given::int)?;
    given.ordered("circuit_breaker", "half_open_successes", "half_open_max_calls", Given::int)?;
    if given.value("circuit_breaker", "window_size").is_some() && given.value("circuit_breaker", "sampling_duration").is_some() {
        return Err(ConfigError::new("circuit_breaker", "window_size and sampling_duration exclude each other; give one of them"));
    }
    Ok(())
}

/// Bounds of something that is off are a slip, and a number that is found cannot be given.
fn check_adaptive(given: &Given<'_>) -> Result<(), ConfigError> {
    let is_on = given.value("bulkhead", "adaptive").and_then(Value::as_bool).unwrap_or(false);
    if is_on && given.value("bulkhead", "max_concurrent").is_some() {
        return Err(ConfigError::new("bulkhead.max_concurrent", "contradicts `adaptive`, which finds the number; bound it with max_limit"));
    }
    match ["min_limit", "max_limit"].iter().find(|name| given.value("bulkhead", name).is_some()) {
        Some(name) if !is_on => {
            Err(ConfigError::new(format!("bulkhead.{name}"), "has no effect without `adaptive`; set that to true, or give max_concurrent"))
        }
        _ => Ok(()),
    }
}

/// Bounds of something that is off are a slip.
fn check_stale(given: &Given<'_>) -> Result<(), ConfigError> {
    let is_on = given.value("fallback", "stale_if_error").and_then(Value::as_bool).unwrap_or(false);
    match ["max_age", "stale_key", "max_entries", "max_bytes"].iter().find(|name| given.value("fallback", name).is_some()) {
        Some(name) if !is_on => {
            Err(ConfigError::new(format!("fallback.{name}"), "has no effect without `stale_if_error`; set that to true"))
        }
        _ => Ok(()),
    }
}

fn check_chaos(given: &Given<'_>) -> Result<(), ConfigError> {
    if !given.parts.contains_key("chaos") {
        return Ok(());
    }
    if given.value("chaos", "rate").is_none() {
        return Err(ConfigError::new("chaos.rate", "must be given, such as 0.3 or \"30%\""));
    }
    if given.value("chaos", "until").is_none() && given.value("chaos", "expires_in").is_none() {
        return Err(ConfigError::new("chaos", "must have an end: give `until` (an instant) or `expires_in` (a duration)"));
    }
    if ["fault", "latency", "outcome", "behavior"].iter().all(|name| given.value("chaos", name).is_none()) {
        return Err(ConfigError::new("chaos", "does nothing: give `fault`, `outcome`, `latency` or `behavior`"));
    }
    let hours = given.value("chaos", "window").and_then(|window| experiment::window(window).ok());
    let until = given.value("chaos", "until").and_then(|until| instant(until).ok());
    let horizon = jiff::Timestamp::now().as_millisecond() + experiment::HORIZON_DAYS * 86_400_000;
    if given.value("chaos", "expires_in").is_none() && hours.is_some_and(|hours| hours.is_calendar()) && until > Some(horizon) {
        return Err(ConfigError::new("chaos.until", format!("hours of the day need an end within {} days", experiment::HORIZON_DAYS)));
    }
    Ok(())
}
