//! Wakes: who waits for a slot with which ticket, and how a blocking call waits for anything.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use parking_lot::Mutex;

static PARKED: LazyLock<Mutex<HashMap<u64, Waker>>> = LazyLock::new(Mutex::default);

/// A place in a queue. The wait list in the engine holds the truth; this only says whom to wake.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) ticket: u64,
    /// Whether the wait list was asked after the waker was entered: a wake may have come before.
    asked: bool,
}

impl Parked {
    pub(crate) fn new(ticket: u64) -> Self {
        Self { ticket, asked: false }
    }

    /// Ready if the wait list is to be asked.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let was_entered = PARKED.lock().insert(self.ticket, context.waker().clone()).is_some();
        if was_entered && self.asked {
            return Poll::Pending;
        }
        self.asked = true;
        Poll::Ready(())
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        PARKED.lock().remove(&self.ticket);
    }
}

/// Wakes whoever parked with this ticket. Nobody does yet, or any more: then whoever holds the ticket asks for itself.
pub(crate) fn wake(ticket: u64) {
    let waker = PARKED.lock().remove(&ticket);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A thread that waits for one call. The flag keeps its wakes apart from those of a call inside it.
struct Waiting {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        // Release pairs with the Acquire of the waiter: it sees what was done before it was woken.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waiting = Arc::new(Waiting { thread: std::thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&waiting));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        while !waiting.woken.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }
}
