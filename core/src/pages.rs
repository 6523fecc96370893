//! The Rust in docs/policies, compiled and run as documentation tests. xtask's tests see to it that every page that has some is named here.

macro_rules! pages {
    ($($name:ident $path:literal)*) => { $(#[doc = include_str!($path)] struct $name;)* };
}

pages! {
    Bulkhead "../../docs/policies/bulkhead.md"
    Chaos "../../docs/policies/chaos.md"
    CircuitBreaker "../../docs/policies/circuit_breaker.md"
    Fallback "../../docs/policies/fallback.md"
    Hedge "../../docs/policies/hedge.md"
    RateLimit "../../docs/policies/rate_limit.md"
    Retry "../../docs/policies/retry.md"
    Timeout "../../docs/policies/timeout.md"
}
