//! Isolates: each thread of JavaScript has an event loop, calls and handles of its own, and shares the policies with all others.
//!
//! | when | what |
//! |---|---|
//! | the library is loaded | the isolate gets a number and a mailbox, and its end is watched |
//! | a handle is made | it is noted as this isolate's (`slab.rs`) |
//! | a wake is for a call of another isolate | it goes into that one's mailbox, and a threadsafe function rings there |
//! | the isolate ends, by itself or terminated in the middle of anything | its calls end as cancelled, its slots are free, its handles are gone |

use std::cell::Cell;
use std::sync::Arc;

use napi::bindgen_prelude::{Env, Function, Result};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use seawall_runtime::{Mailboxes, Op};

/// Of a thread whose isolate has ended: what still comes is thrown away.
const ENDED: u32 = u32::MAX;

static MAILBOXES: Mailboxes = Mailboxes::new();

thread_local! {
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// The isolate of this thread; 0 if it has not said so. Nothing once it has ended.
pub(crate) fn current() -> Option<u32> {
    Some(CURRENT.get()).filter(|isolate| *isolate != ENDED)
}

/// Parks and wakes as `ops` ask for, and leaves in them what this isolate has to do itself. `ticket`: that of the call, so far.
pub(crate) fn post(ticket: &mut Option<u64>, ops: &mut Vec<Op>) {
    MAILBOXES.post(CURRENT.get(), ticket, ops);
}

/// Nobody waits for the ticket any more.
pub(crate) fn forget(ticket: u64) {
    MAILBOXES.forget(ticket);
}

/// Wakes whoever waits. True if that is this isolate, which has to do it itself.
pub(crate) fn wake(ticket: u64) -> bool {
    MAILBOXES.wake(ticket, CURRENT.get())
}

/// Wakes all of them; gives those that this isolate has to wake itself.
pub(crate) fn wake_all(tickets: impl IntoIterator<Item = u64>) -> Vec<i64> {
    tickets.into_iter().filter(|ticket| wake(*ticket)).filter_map(|ticket| i64::try_from(ticket).ok()).collect()
}

/// This isolate uses the library from now on. Twice is once: some hosts load it anew on the same thread.
#[napi]
pub fn isolate_begin(env: &Env) -> Result<()> {
    if !matches!(CURRENT.get(), 0 | ENDED) {
        return Ok(());
    }
    let isolate = MAILBOXES.open();
    CURRENT.set(isolate);
    env.add_env_cleanup_hook(isolate, end)?;
    Ok(())
}

/// How many isolates use the library.
#[napi]
pub fn isolate_count() -> u32 {
    u32::try_from(MAILBOXES.count()).unwrap_or(u32::MAX)
}

/// Has `ring` called on this isolate's loop when its mailbox has something. That keeps no loop alive.
#[napi]
pub fn mailbox_hang(ring: Function<'_, (), ()>) -> Result<()> {
    let ring = ring.build_threadsafe_function::<()>().weak::<true>().build()?;
    let bell = move || {
        // Nobody hears it if the isolate is ending, and nobody needs to.
        let _ = ring.call((), ThreadsafeFunctionCallMode::NonBlocking);
    };
    MAILBOXES.hang(CURRENT.get(), Arc::new(bell));
    Ok(())
}

/// The tickets of this isolate that others have woken.
#[napi]
pub fn mailbox_take() -> Vec<i64> {
    MAILBOXES.take(CURRENT.get()).into_iter().filter_map(|ticket| i64::try_from(ticket).ok()).collect()
}

/// Runs on the isolate's thread, after the last of its JavaScript and before its memory goes.
fn end(isolate: u32) {
    CURRENT.set(ENDED);
    // First, so that its own calls are no longer woken while they are ended one by one.
    MAILBOXES.close(isolate);
    crate::ports::end_of(isolate);
    crate::call::end_of(isolate);
    crate::policy::end_of(isolate);
    crate::queue::end_of(isolate);
    crate::watch::end_of(isolate);
}
