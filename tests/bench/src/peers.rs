//! The peers, each at the same job.

use std::future::{Future, Ready, ready};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use failsafe::CircuitBreaker as _;
use tower_layer::Layer;
use tower_service::Service;

use crate::measure::{Failed, Suite, callee};

const HOUR: Duration = Duration::from_secs(3_600);

/// The callee as a service.
#[derive(Clone)]
struct Callee;

impl Service<u64> for Callee {
    type Response = u64;
    type Error = Failed;
    type Future = Ready<Result<u64, Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u64) -> Self::Future {
        ready(callee(number))
    }
}

/// A future that is ready at once.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A call of a service. It needs `&mut`, so one thread's row holds it in a lock of its own, whose nanoseconds are among the row's.
fn serving<S>(service: S) -> impl Fn(u64) -> bool + Sync
where
    S: Service<u64> + Send,
{
    let service = Mutex::new(service);
    move |number| {
        let mut service = service.lock().expect("unpoisoned");
        at_once(service.call(number)).is_some()
    }
}

fn recloser() -> recloser::Recloser {
    recloser::Recloser::custom().error_rate(0.5).closed_len(100).half_open_len(10).open_wait(HOUR).build()
}

fn failsafe_counting() -> impl failsafe::CircuitBreaker + Send + Sync {
    let waits = failsafe::backoff::constant(HOUR);
    failsafe::Config::new().failure_policy(failsafe::failure_policy::consecutive_failures(5, waits)).build()
}

fn failsafe_timing() -> impl failsafe::CircuitBreaker + Send + Sync {
    let waits = failsafe::backoff::constant(HOUR);
    let rate = failsafe::failure_policy::success_rate_over_time_window(0.5, 100, Duration::from_secs(30), waits);
    failsafe::Config::new().failure_policy(rate).build()
}

fn breakers(suite: &mut Suite) {
    for (group, threads) in [("breaker, closed, 1 thread", 1), ("breaker, closed, 2 threads", 2)] {
        let breaker = recloser();
        suite.row(group, "recloser", threads, move |number| breaker.call(|| callee(number)).is_ok());
        let breaker = failsafe_counting();
        suite.row(group, "failsafe", threads, move |number| breaker.call(|| callee(number)).is_ok());
    }
    for (group, threads) in [("breaker, window in time, 1 thread", 1), ("breaker, window in time, 2 threads", 2)] {
        let breaker = failsafe_timing();
        suite.row(group, "failsafe", threads, move |number| breaker.call(|| callee(number)).is_ok());
    }
    let breaker = recloser();
    for _ in 0..200 {
        let _ = breaker.call(|| Err::<u64, _>(Failed));
    }
    suite.row("breaker, open: rejected", "recloser", 1, move |number| breaker.call(|| callee(number)).is_ok());
    let breaker = failsafe_counting();
    for _ in 0..5 {
        let _ = breaker.call(|| Err::<u64, _>(Failed));
    }
    suite.row("breaker, open: rejected", "failsafe", 1, move |number| breaker.call(|| callee(number)).is_ok());
}

fn services(suite: &mut Suite) {
    use tower_resilience_bulkhead::BulkheadLayer;
    use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};
    use tower_resilience_ratelimiter::RateLimiterLayer;

    let breaker = || CircuitBreakerLayer::builder().failure_rate_threshold(0.5).sliding_window_size(100);
    let counting = breaker().build().expect("valid").layer(Callee);
    suite.row("breaker, closed, 1 thread", "tower-resilience", 1, serving(counting));
    let timing = breaker().sliding_window_type(SlidingWindowType::TimeBased).sliding_window_duration(Duration::from_secs(30));
    suite.row("breaker, window in time, 1 thread", "tower-resilience", 1, serving(timing.build().expect("valid").layer(Callee)));
    let slots = BulkheadLayer::builder().max_concurrent_calls(100).build().expect("valid");
    suite.row("bulkhead", "tower-resilience", 1, serving(slots.layer(Callee)));
    let rate = RateLimiterLayer::builder().limit_for_period(usize::MAX / 2).refresh_period(HOUR).build().expect("valid");
    suite.row("rate limit", "tower-resilience", 1, serving(rate.layer(Callee)));
}

pub fn all(suite: &mut Suite) {
    breakers(suite);
    services(suite);
    let slots = tokio::sync::Semaphore::new(100);
    suite.row("bulkhead", "tokio Semaphore", 1, move |number| slots.try_acquire().map(|_held| callee(number)).is_ok());
    let quota = governor::Quota::per_second(NonZeroU32::new(1_000_000_000).expect("not zero"));
    let rate = governor::RateLimiter::direct(quota);
    suite.row("rate limit", "governor", 1, move |number| rate.check().map(|()| callee(number)).is_ok());
    suite.row("retry, first try", "backon", 1, |number| {
        use backon::BlockingRetryable;
        (move || callee(number)).retry(backon::ExponentialBuilder::default().with_jitter()).call().is_ok()
    });
}
