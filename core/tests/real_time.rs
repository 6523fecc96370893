//! The thread behind the timers, on the real clock. What is asserted is that things end, never when.

mod support;

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use seawall::{Bulkhead, Retry, Timeout, policy};
use support::{Down, ms};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn limits_and_waits_end() {
    let policy = policy("thread")
        .timeout(Timeout::new().attempt(ms(3)))
        .retry(Retry::new().max_attempts(3).base_delay(ms(1)))
        .build()
        .expect("valid");
    let error = block_on(policy.call_async(pending::<Result<(), Down>>)).expect_err("nothing comes");
    assert_eq!(error.code(), Some("timeout.attempt"));
}

#[test]
fn a_blocking_call_waits_for_its_slot_without_a_runtime() {
    let policy = policy("blocking queue").bulkhead(Bulkhead::new().max_concurrent(1).max_queue(8)).build().expect("valid");
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    policy.call(|| {
                        let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        Ok::<_, Down>(others)
                    })
                })
            })
            .collect();
        for call in calls {
            assert_eq!(call.join().expect("no panic").ok(), Some(0), "one at a time, and every one");
        }
    });
}
