//! One native exception. Its text is JSON (`code`, `path`, `message`); the package turns it into the public classes.

use pyo3::PyErr;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use seawall_dlq::DlqError;
use seawall_runtime::ConfigError;

create_exception!(_native, NativeError, PyException, "An error of the native half; its text is JSON.");

pub(crate) fn config(error: &ConfigError) -> PyErr {
    NativeError::new_err(error.to_json())
}

pub(crate) fn dlq(error: &DlqError) -> PyErr {
    // Built by the one function that knows how to write such JSON.
    let mut as_config = ConfigError::new("", error.message.clone());
    as_config.code = error.code;
    NativeError::new_err(as_config.to_json())
}
