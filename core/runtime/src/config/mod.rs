//! Configuration: one validator for code and files, in every language. It reads the table, so an option exists exactly where its row does.

mod compile;
mod error;
mod experiment;
mod file;
mod rules;
mod spec;
mod value;

pub use error::ConfigError;
pub(crate) use error::nearest;
pub(crate) use file::{File, lay_over, merge};
pub(crate) use spec::{Compiled, Parts, Spec, check_experiment, validate_effective};
pub use value::Dialect;
pub(crate) use value::duration_ms;

/// Milliseconds of a duration as text: "1m30s".
///
/// # Errors
/// Says what would be right.
pub fn parse_duration(text: &str) -> Result<u64, ConfigError> {
    value::parse_duration(text)
}
