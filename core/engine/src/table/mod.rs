//! The one table: options, error codes, events, metrics and the layout of words, declared once. The policy file's schema, the Python
//! stubs, the TypeScript types and the reference pages are generated from here (`cargo run -p xtask -- generate`).

pub mod errors;
pub mod events;
pub mod layout;
pub mod metrics;
pub mod options;
#[macro_use]
pub mod transitions;
