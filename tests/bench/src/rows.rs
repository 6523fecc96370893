//! Our rows.

use std::time::Duration;

use seawall::{Bulkhead, CircuitBreaker, Policy, PolicyBuilder, RateLimit, Retry, Timeout};

use crate::budget::OURS;
use crate::measure::{Failed, Suite, callee};

const HOUR: Duration = Duration::from_secs(3_600);

fn build(shape: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    shape(PolicyBuilder::unnamed()).build().expect("valid options")
}

fn counting() -> Policy {
    build(|policy| policy.circuit_breaker(CircuitBreaker::new().window_size(100).break_duration(HOUR).max_break_duration(HOUR)))
}

fn timing() -> Policy {
    build(|policy| policy.circuit_breaker(CircuitBreaker::new().sampling_duration(Duration::from_secs(30))))
}

fn opened() -> Policy {
    let policy = counting();
    while policy.breaker().state() != Ok("open") {
        let _ = policy.call(|| Err::<u64, _>(Failed));
    }
    policy
}

fn guarded(policy: Policy) -> impl Fn(u64) -> Option<u64> + Sync {
    move |number| policy.call(|| callee(number)).ok()
}

pub fn all(suite: &mut Suite) {
    suite.row("bare call", "callee", 1, callee);
    suite.row("breaker, closed, 1 thread", OURS, 1, guarded(counting()));
    suite.row("breaker, closed, 2 threads", OURS, 2, guarded(counting()));
    suite.row("breaker, window in time, 1 thread", OURS, 1, guarded(timing()));
    suite.row("breaker, window in time, 2 threads", OURS, 2, guarded(timing()));
    suite.row("breaker, open: rejected", OURS, 1, guarded(opened()));
    suite.row("bulkhead", OURS, 1, guarded(build(|policy| policy.bulkhead(Bulkhead::new().max_concurrent(100)))));
    suite.row("rate limit", OURS, 1, guarded(build(|policy| policy.rate_limit(RateLimit::new("1000000000/s")))));
    suite.row("retry, first try", OURS, 1, guarded(build(|policy| policy.retry(Retry::new().no_retry_budget()))));
    suite.row("retry, first try", "seawall, with its budget", 1, guarded(build(|policy| policy.retry(Retry::new()))));
    let machine = build(|policy| policy.circuit_breaker(CircuitBreaker::new().window_size(100)).without_quick_path());
    suite.row("breaker, closed, 1 thread", "seawall, machine", 1, guarded(machine));
    let stack = build(|policy| {
        policy
            .retry(Retry::new())
            .circuit_breaker(CircuitBreaker::new())
            .bulkhead(Bulkhead::new())
            .timeout(Timeout::new().attempt(Duration::from_secs(2)).total(Duration::from_secs(10)))
    });
    suite.row("stack of four", OURS, 1, guarded(stack));
}
