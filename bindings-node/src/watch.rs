//! A policy file that is watched.

use std::sync::Arc;

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use parking_lot::Mutex;
use seawall_runtime::Watch;

use crate::call::nanoseconds;
use crate::policy::Loaded;
use crate::slab::Slab;

static WATCHES: Slab<Mutex<Watch>> = Slab::new("watch");

/// What an isolate that has ended watched is watched no longer.
pub(crate) fn end_of(isolate: u32) {
    drop(WATCHES.take_of(isolate));
}

/// Watches a policy file from its present state on.
#[napi]
pub fn watch_new(path: String, env: Option<String>) -> u32 {
    WATCHES.put(Arc::new(Mutex::new(Watch::new(&path, env.as_deref()))))
}

/// Looks, and loads what is to be taken.
#[napi]
pub fn watch_look(handle: u32, now: f64) -> Result<Loaded> {
    let watch = WATCHES.get(handle)?;
    let mut watch = watch.lock();
    let loaded = if watch.look() { watch.take(nanoseconds(now)) } else { seawall_runtime::Loaded::default() };
    Ok(loaded.into())
}

/// Gives a handle back.
#[napi]
pub fn watch_drop(handle: u32) {
    WATCHES.drop_handle(handle);
}
