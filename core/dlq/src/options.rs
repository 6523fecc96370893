//! The options of a redrive.

use serde::Deserialize;
use serde_json::Value;

use crate::pace::Pace;
use crate::{DlqError, time};

/// How long a claim holds unless the options say otherwise.
const LEASE_MS: i64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default = "limit")]
    limit: Option<u64>,
    #[serde(default)]
    rate: Option<String>,
    #[serde(default = "stop_after_failures")]
    stop_after_failures: Option<u64>,
    #[serde(default = "max_redrives")]
    max_redrives: Option<u32>,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    lease: Option<String>,
    #[serde(default)]
    job: Option<bool>,
    #[serde(default)]
    resume: Option<String>,
}

// Left out means the default; `null` means none.
#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn limit() -> Option<u64> {
    Some(100)
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn stop_after_failures() -> Option<u64> {
    Some(10)
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn max_redrives() -> Option<u32> {
    Some(3)
}

/// Options, checked.
pub(crate) struct Options {
    pub(crate) limit: Option<u64>,
    pub(crate) pace: Option<Pace>,
    pub(crate) stop_after_failures: Option<u64>,
    pub(crate) max_redrives: Option<u32>,
    pub(crate) dry_run: bool,
    /// JSON; empty selects all.
    pub(crate) filter: String,
    pub(crate) lease_ms: i64,
    /// Whether it goes on record; left open, a redrive without a limit does.
    pub(crate) job: Option<bool>,
    /// The job to go on with.
    pub(crate) resume: Option<String>,
}

impl Options {
    pub(crate) fn parse(json: &str) -> Result<Self, DlqError> {
        let json = if json.trim().is_empty() { "{}" } else { json };
        let form: Form = serde_json::from_str(json).map_err(|why| DlqError::invalid(format!("redrive: {why}")))?;
        for (name, value) in
            [("limit", form.limit), ("stop_after_failures", form.stop_after_failures), ("max_redrives", form.max_redrives.map(u64::from))]
        {
            if value == Some(0) {
                return Err(DlqError::invalid(format!("redrive.{name}: must be at least 1, or null for no limit")));
            }
        }
        let lease_ms = match form.lease.as_deref() {
            None => LEASE_MS,
            Some(text) => time::parse_duration(text)
                .filter(|ms| *ms > 0)
                .ok_or_else(|| DlqError::invalid(format!("redrive.lease: '{text}' is no duration such as '60s'")))?,
        };
        Ok(Self {
            limit: form.limit,
            pace: form.rate.as_deref().map(Pace::parse).transpose()?,
            stop_after_failures: form.stop_after_failures,
            max_redrives: form.max_redrives,
            dry_run: form.dry_run.unwrap_or(false),
            filter: form.filter.map_or_else(String::new, |filter| filter.to_string()),
            lease_ms,
            job: form.job,
            resume: form.resume,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    #[test]
    fn left_out_is_the_default_and_null_is_none() {
        let options = Options::parse("").unwrap();
        assert_eq!((options.limit, options.stop_after_failures, options.max_redrives), (Some(100), Some(10), Some(3)));
        assert_eq!((options.lease_ms, options.pace, options.dry_run), (60_000, None, false));
        let options = Options::parse(r#"{"limit": null, "stop_after_failures": null, "rate": null}"#).unwrap();
        assert_eq!((options.limit, options.stop_after_failures), (None, None));
    }

    #[test]
    fn wrong_options_name_themselves() {
        for (json, part) in [
            (r#"{"limit": 0}"#, "redrive.limit"),
            (r#"{"rate": "fast"}"#, "'fast'"),
            (r#"{"lease": "0s"}"#, "redrive.lease"),
            (r#"{"speed": 1}"#, "speed"),
        ] {
            let Err(error) = Options::parse(json) else { panic!("{json} is wrong") };
            assert!(error.code == "config.invalid" && error.message.contains(part), "{error}");
        }
    }
}
