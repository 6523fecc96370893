//! What surrounds the engine in one process: clocks, names, configuration, sessions, events and metrics.
//!
//! The bindings for Python and Node are glue over this crate. A driver makes a [`Call`] of a [`Policy`], reports inputs, and performs the
//! [`Op`]s that come back.
#![forbid(unsafe_code)]

mod call;
pub mod chaos;
pub mod clock;
pub mod config;
pub mod events;
pub mod ids;
mod metrics;
mod policy;
mod registry;
mod repeats;
mod stale;
mod state;

pub use call::{Call, Ended, Op};
pub use config::ConfigError;
pub use metrics::{metrics, snapshot};
pub use policy::Policy;
pub use registry::{check, load, reset_all, resolve};
