//! Errors of ours on their way to TypeScript: JSON text in the message.

use napi::bindgen_prelude::Error;
use seawall_dlq::DlqError;
use seawall_runtime::ConfigError;

pub(crate) fn config(error: ConfigError) -> Error {
    Error::from_reason(error.to_json())
}

pub(crate) fn letters(error: DlqError) -> Error {
    Error::from_reason(serde_json::json!({"code": error.code, "message": error.message}).to_string())
}
