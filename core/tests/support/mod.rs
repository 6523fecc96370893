//! What the tests share: one task, polled by hand.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down(pub &'static str);

impl std::fmt::Display for Down {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for Down {}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled only after somebody woke it, as an executor would.
pub struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
    output: Option<T>,
}

impl<'a, T> Task<'a, T> {
    pub fn new(future: impl Future<Output = T> + 'a) -> Self {
        let mut task = Self { future: Box::pin(future), wakes: Arc::default(), output: None };
        task.wakes.0.store(1, Ordering::SeqCst);
        task.run();
        task
    }

    /// Polls until nobody has woken it again; whether it is done.
    pub fn run(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakes));
        while self.output.is_none() && self.wakes.0.swap(0, Ordering::SeqCst) > 0 {
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.output = Some(output);
            }
        }
        self.output.is_some()
    }

    pub fn done(mut self) -> T {
        assert!(self.run(), "nobody has woken the task");
        self.output.take().expect("just seen")
    }
}
