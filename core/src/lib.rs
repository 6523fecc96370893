#![doc = include_str!("guide.md")]
#![forbid(unsafe_code)]

mod breaker;
mod builder;
mod context;
mod drive;
mod error;
mod event;
#[cfg(feature = "metrics")]
pub mod metrics;
mod nested;
mod options;
#[cfg(doctest)]
mod pages;
mod policy;
mod quick;
mod rules;
pub mod testing;
mod timer;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
mod trace;
mod wake;

pub use breaker::{BreakerHandle, Counts};
pub use builder::{PolicyBuilder, policy};
pub use context::{correlate, correlation_id};
pub use error::{ConfigError, Error, Injected, Rejection, TimeoutExceeded};
pub use event::{Event, Subscription, on_event};
pub use options::{Backoff, Bulkhead, Chaos, CircuitBreaker, Fallback, Hedge, Jitter, RateLimit, Retry, Timeout};
pub use policy::{Current, Policy, Using};
pub use rules::RetryAfter;

pub use seawall_dlq as dlq;
pub use seawall_engine as engine;
pub use seawall_runtime as runtime;
pub use seawall_store_sqlite as sqlite;
