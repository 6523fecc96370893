//! What surrounds the engine in one process: clocks, names, configuration, sessions, events and metrics.
//!
//! The bindings for Python and Node are glue over this crate. A driver makes a [`Call`] of a [`Policy`], reports inputs, and performs the
//! [`Op`]s that come back.
#![forbid(unsafe_code)]

mod call;
mod change;
pub mod chaos;
pub mod clock;
pub mod config;
pub mod control;
mod doubling;
pub mod events;
pub mod explain;
mod force;
mod grip;
pub mod ids;
mod keys;
mod lanes;
mod lint;
mod mailboxes;
mod measure;
mod metrics;
mod mode;
mod op;
mod policy;
mod ports;
pub mod quick;
mod registry;
mod repeats;
mod snapshot;
mod stale;
mod state;
mod turns;
mod watch;

pub use call::{Call, Ended};
pub use config::ConfigError;
pub use doubling::Doubling;
pub use grip::{Grip, Limits, Place, Unfit};
pub use lanes::Lane;
pub use lint::{Finding, WorstCase, lint, lint_spec};
pub use mailboxes::{Bell, Mailboxes};
pub use metrics::{Buckets, Sample, add_source, families, metrics, metrics_open, set_language, snapshot};
pub use mode::Mode;
pub use op::Op;
pub use policy::Policy;
pub use ports::{Begun, Counted, HeldPort, PORT_WORDS, Shares};
pub use registry::{Loaded, check, forget_stale_of, inherit_all, load, reset_all, resolve};
pub use watch::Watch;
