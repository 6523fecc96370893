//! The strategies, a folder each. Each opens with its table of transitions.

pub mod adaptive_limit;
pub mod breaker;
pub mod bulkhead;
pub mod chaos;
pub mod hedge;
pub mod rate_limit;
pub mod retry;
