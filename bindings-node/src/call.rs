//! Calls: inputs in, one flat array of numbers out. Each output is its code and exactly four numbers.

use std::cell::RefCell;
use std::sync::Arc;

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use parking_lot::Mutex;
use seawall_runtime::{Call, Ended, Op, clock};

use crate::error::config;
use crate::isolate;
use crate::policy::policy;
use crate::slab::Slab;

/// A call, and the ticket that it parked with last.
struct Held {
    call: Call,
    ticket: Option<u64>,
}

static CALLS: Slab<Mutex<Held>> = Slab::new("call");

thread_local! {
    /// Records of the latest input's events; TypeScript fetches them before it makes another.
    static RECORDS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Time as JavaScript tells it, in milliseconds, for the engine.
pub(crate) fn nanoseconds(ms: f64) -> u64 {
    // Saturates, and takes what is no number for 0.
    (ms * 1e6).round() as u64
}

/// Keeps the record of an event that did not come from an input.
pub(crate) fn keep_record(record: String) {
    RECORDS.with_borrow_mut(|records| {
        records.clear();
        records.push(record);
    });
}

/// The handle of a call.
pub(crate) fn put_call(call: Call) -> u32 {
    CALLS.put(Arc::new(Mutex::new(Held { call, ticket: None })))
}

impl Held {
    fn forget(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            isolate::forget(ticket);
        }
    }
}

/// An isolate has ended, and with it all its calls.
pub(crate) fn end_of(isolate: u32) {
    for call in CALLS.take_of(isolate) {
        let mut held = call.lock();
        let tickets = held.call.abandon(clock::now());
        held.forget();
        drop(held);
        isolate::wake_all(tickets);
    }
}

fn input(handle: u32, act: impl FnOnce(&mut Call) -> Vec<Op>) -> Result<Vec<i64>> {
    let call = CALLS.get(handle)?;
    let mut held = call.lock();
    let mut ops = act(&mut held.call);
    isolate::post(&mut held.ticket, &mut ops);
    drop(held);
    let mut flat = Vec::with_capacity(ops.len() * 5);
    RECORDS.with_borrow_mut(|records| {
        records.clear();
        for op in ops {
            flat.push(i64::from(op.code));
            flat.extend(op.args);
            records.extend(op.record);
        }
    });
    Ok(flat)
}

/// A call that has not begun.
#[napi]
pub fn call_new(handle: u32, key: Option<String>, correlation_id: String, flags: u32, deadline_ms: f64, redrives: u32) -> Result<u32> {
    let policy = policy(handle)?;
    let call = Call::new(&policy, key.as_deref(), &correlation_id, flags, deadline_ms as i64, redrives).map_err(config)?;
    Ok(put_call(call))
}

/// Tells whose slots the caller's attempts hold already, before the start; gives the number of this call's own.
#[napi]
pub fn call_within(call: u32, chain: Vec<i64>) -> Result<i64> {
    let chain: Vec<u64> = chain.into_iter().map(i64::unsigned_abs).collect();
    let id = CALLS.get(call)?.lock().call.within(&chain);
    Ok(i64::try_from(id).unwrap_or(i64::MAX))
}

/// Gives the handle back.
#[napi]
pub fn call_drop(call: u32) {
    if let Some(held) = CALLS.take(call) {
        held.lock().forget();
    }
}

/// Begins.
#[napi]
pub fn start(call: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.start(nanoseconds(now)))
}

/// The callee of an attempt ended.
#[napi]
#[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
pub fn ended(
    call: u32,
    attempt: u32,
    kind: u32,
    bits: u32,
    status: u32,
    retry_after_ms: f64,
    error_type: String,
    now: f64,
) -> Result<Vec<i64>> {
    let ended = Ended { attempt, kind, bits, status, retry_after_ms: retry_after_ms as i64, error_type: &error_type };
    input(call, |call| call.ended(nanoseconds(now), ended))
}

/// A sleep is over or an armed timer fired.
#[napi]
pub fn timer(call: u32, reason: u32, attempt: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.timer(nanoseconds(now), reason, attempt))
}

/// A wake arrived for the parked ticket.
#[napi]
pub fn granted(call: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.granted(nanoseconds(now)))
}

/// The caller gave up.
#[napi]
pub fn cancelled(call: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.cancelled(nanoseconds(now)))
}

/// The consumer of a stream waits for the next item of an attempt.
#[napi]
pub fn call_asked(call: u32, attempt: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.asked(nanoseconds(now), attempt))
}

/// An item of a stream arrived from an attempt.
#[napi]
pub fn call_item(call: u32, attempt: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.item(nanoseconds(now), attempt))
}

/// The consumer of a stream stops before its end.
#[napi]
pub fn call_stopped(call: u32, attempt: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.stopped(nanoseconds(now), attempt))
}

/// Which of `on` and `ignore` match the error that will surface.
#[napi]
pub fn classified(call: u32, bits: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.classified(nanoseconds(now), bits))
}

/// The dead letter was written, or was not.
#[napi]
pub fn letter_ended(call: u32, ok: bool, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.letter_ended(nanoseconds(now), ok))
}

/// For the metrics: the letter went another way than to its store, and so many others had to go for it.
#[napi]
pub fn letter_went(call: u32, aside: bool, dropped: u32) -> Result<()> {
    CALLS.get(call)?.lock().call.letter_went(aside, dropped);
    Ok(())
}

/// A fallback step failed (0), returned (1), was cancelled (2), or there is no stale result (3).
#[napi]
pub fn fallback_ended(call: u32, ok: u32, now: f64) -> Result<Vec<i64>> {
    input(call, |call| call.fallback_ended(nanoseconds(now), u8::try_from(ok).unwrap_or(0)))
}

/// The records of the latest input's events, as JSON texts in order.
#[napi]
pub fn take_events() -> Vec<String> {
    RECORDS.take()
}

/// The call so far, as JSON.
#[napi]
pub fn call_report(call: u32) -> Result<String> {
    Ok(CALLS.get(call)?.lock().call.report())
}
