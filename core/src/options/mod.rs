//! Options of the strategies, by the names that they have in every language. What is left out has the default of `docs/policies`.
//!
//! Nothing is checked here: [`PolicyBuilder::build`](crate::PolicyBuilder::build) tells which option is wrong, and what would be right.

mod breaker;
mod limits;
mod retry;
mod waits;

use std::time::Duration;

use serde_json::{Map, Value};

pub use breaker::CircuitBreaker;
pub use limits::{Bulkhead, RateLimit};
pub use retry::{Backoff, Jitter, Retry};
pub(crate) use waits::Step;
pub use waits::{Chaos, Fallback, Hedge, Timeout};

/// Options as a specification has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(pub(crate) Map<String, Value>);

impl Written {
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Durations are whole milliseconds; what is finer is rounded up, so that a limit is never none by rounding.
    pub(crate) fn duration(&mut self, name: &str, value: Duration) {
        let ms = u64::try_from(value.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.set(name, format!("{ms}ms"));
    }
}
