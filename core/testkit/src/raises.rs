//! How an error that surfaces is written.

use seawall_runtime::Call;
use serde_json::Value;

/// What `FAILED` said.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) retry_after_ms: i64,
    pub(crate) cause: Option<String>,
}

/// The call so far.
pub(crate) fn report(call: &Call) -> Value {
    serde_json::from_str(&call.report()).unwrap_or_default()
}

/// The text of an error that surfaces, after the call's name.
pub(crate) fn raises(failed: Option<&Failed>, call: &Call, has_retry: bool) -> String {
    use std::fmt::Write as _;
    let Some(failed) = failed else { return "raises".into() };
    let mut text = format!("raises {}", failed.name);
    if failed.ours && failed.retry_after_ms >= 0 {
        let _ = write!(text, " retry_after={}", failed.retry_after_ms);
    }
    if let Some(cause) = &failed.cause {
        let _ = write!(text, " cause={cause}");
    }
    let report = report(call);
    let attempts = report["attempts"].as_array().cloned().unwrap_or_default();
    if has_retry && !attempts.is_empty() {
        if let Some(reason) = report["reason"].as_str() {
            let _ = write!(text, " reason={reason}");
        }
        let _ = write!(text, " attempts={}", attempts.len());
        let delays: Vec<String> = attempts.iter().filter_map(|attempt| attempt["delay_ms"].as_u64()).map(|ms| ms.to_string()).collect();
        if !delays.is_empty() {
            let _ = write!(text, " delays=[{}]", delays.join(","));
        }
    }
    text
}
