//! The control file of the host.

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use seawall_runtime::control;

use crate::call::nanoseconds;
use crate::policy::Loaded;

/// Whether this process follows it.
#[napi]
pub fn control_is_on() -> bool {
    control::is_on()
}

/// Looks, and does what it asks for.
#[napi]
pub fn control_look(now: f64) -> Result<Loaded> {
    Ok(control::look(nanoseconds(now)).into())
}
