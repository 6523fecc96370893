//! Ports: words that JavaScript owns and both sides read, behind integer handles. The only `unsafe` of this module is here.
//!
//! JavaScript keeps the words of all its ports in pages that it makes and never gives up while its isolate lives, so no runtime has to accept
//! memory of ours. Before an isolate ends, the hook of `isolate.rs` detaches every port that it has left.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use napi::bindgen_prelude::{Error, Result};
use napi_derive::napi;
use seawall_runtime::{Begun, Counted, HeldPort, PORT_WORDS};

use crate::call::{keep_record, nanoseconds, put_call};
use crate::isolate;
use crate::policy::policy;
use crate::slab::Slab;

static PORTS: Slab<HeldPort> = Slab::new("port");

/// Bits of what a port shares.
const BREAKER: u32 = 1;
const BULKHEAD: u32 = 2;

/// How a success was counted.
const DONE: u32 = 0;
const TOLD: u32 = 1;
const MACHINE: u32 = 2;

fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// An isolate has ended: what it counted is kept, what its calls held is free.
pub(crate) fn end_of(isolate: u32) {
    for port in PORTS.take_of(isolate) {
        isolate::wake_all(port.isolate_ended());
    }
}

/// Attaches this isolate to a policy in `words`, which hold zero. Gives nothing if each call has to be decided; else the handle, what is shared
/// (1 breaker, 2 bulkhead), the limits of an attempt and of the call in milliseconds (-1: none), and the number of the bulkhead's slots.
#[napi]
pub fn port_attach(handle: u32, words: &[u32], now: f64) -> Result<Vec<f64>> {
    if words.len() != PORT_WORDS {
        return Err(Error::from_reason(format!("a port has {PORT_WORDS} words, not {}", words.len())));
    }
    let words = words.as_ptr().cast::<AtomicU32>();
    // SAFETY: `words` are `PORT_WORDS` aligned words, in memory that is shared and initialized, of a page that lib/ports.ts keeps until its
    // isolate ends. Nobody reads them through this slice after `HeldPort::detach`, which `end_of` calls before that; readers on other
    // threads hold the lock that `detach` takes. `AtomicU32` has the layout of `u32`, and JavaScript writes single words of this width.
    let words: &'static [AtomicU32] = unsafe { std::slice::from_raw_parts(words, PORT_WORDS) };
    let Ok(port) = HeldPort::attach(&policy(handle)?, words, nanoseconds(now)) else { return Ok(Vec::new()) };
    let shares = port.shares();
    let handle = PORTS.put(Arc::new(port));
    let bits = if shares.breaker { BREAKER } else { 0 } | if shares.bulkhead { BULKHEAD } else { 0 };
    let limit = |ms: Option<u64>| ms.map_or(-1.0, |ms| ms as f64);
    Ok(vec![f64::from(handle), f64::from(bits), limit(shares.attempt_ms), limit(shares.total_ms), shares.chain as f64])
}

/// The bucket is over, or the lane is about to be full: counts what is there. Gives when the next bucket is over, in milliseconds.
#[napi]
pub fn port_roll(port: u32, now: f64) -> Result<f64> {
    Ok(PORTS.get(port)?.roll(nanoseconds(now)).map_or(f64::INFINITY, milliseconds))
}

/// After how many calls the next one is to be measured.
#[napi]
pub fn port_next_measured(port: u32) -> u32 {
    PORTS.get(port).map_or(u32::MAX, |port| port.next_measured())
}

/// That call passed after so many milliseconds.
#[napi]
pub fn port_measured(port: u32, ms: f64) {
    if let Ok(port) = PORTS.get(port) {
        port.measured(nanoseconds(ms));
    }
}

/// Whether the policy is still what the port was attached to.
#[napi]
pub fn port_is_current(port: u32) -> bool {
    PORTS.get(port).is_ok_and(|port| port.is_current())
}

/// A success for which there was no credit: 0 counted, 1 counted and there is an event to take, 2 resume the call.
#[napi]
pub fn port_succeeded(port: u32, generation: u32, now: f64) -> u32 {
    let Ok(port) = PORTS.get(port) else { return MACHINE };
    match port.succeeded(generation, nanoseconds(now)) {
        Counted::Done => DONE,
        Counted::Told(record) => {
            keep_record(record);
            TOLD
        }
        Counted::Machine => MACHINE,
    }
}

/// Bits of a time in what `port_refuse` gives; above them is the generation, and both together are an exact number in JavaScript.
const TIME_BITS: u32 = 32;

/// Turns a call away while the circuit is open: generation x 2^32 + 1 + milliseconds until another call makes sense (0: unknown). -1 if it is not.
#[napi]
pub fn port_refuse(port: u32, now: f64) -> f64 {
    let refused = PORTS.get(port).ok().and_then(|port| port.refuse(nanoseconds(now)));
    refused.map_or(-1.0, |(generation, retry_after_ms)| {
        let time = retry_after_ms.map_or(0, |ms| (ms + 1).min((1 << TIME_BITS) - 1));
        (u64::from(generation) << TIME_BITS | time) as f64
    })
}

/// Whether somebody holds the circuit open (1), and the outcomes and failures when it opened.
#[napi]
pub fn port_opening(port: u32, now: f64) -> Result<Vec<u32>> {
    let (isolated, total, failures) = PORTS.get(port)?.opening(nanoseconds(now));
    Ok(vec![isolated.into(), total, failures])
}

/// Takes a slot that is free at once: 1, else 0.
#[napi]
pub fn port_enter(port: u32) -> u32 {
    PORTS.get(port).is_ok_and(|port| port.enter()).into()
}

/// Gives a slot back; the ticket to be woken here, or -1.
#[napi]
pub fn port_leave(port: u32) -> f64 {
    PORTS.get(port).ok().and_then(|port| port.leave()).filter(|ticket| isolate::wake(*ticket)).map_or(-1.0, |ticket| ticket as f64)
}

/// The call that began on the port, in the machine, its first attempt running.
#[napi]
pub fn port_resume(port: u32, generation: u32, slot: bool, before: u32, started: f64, correlation_id: String) -> Result<u32> {
    let begun = Begun { generation, slot, before, started: nanoseconds(started) };
    Ok(put_call(PORTS.get(port)?.resume(&correlation_id, begun)))
}

/// Counts what is left. The isolate writes no more. Gives the tickets to be woken here.
#[napi]
pub fn port_detach(port: u32) -> Vec<i64> {
    PORTS.get(port).map_or_else(|_| Vec::new(), |port| isolate::wake_all(port.detach()))
}

/// Gives the handle back: no call of the port is under way. Gives the tickets to be woken here.
#[napi]
pub fn port_drop(port: u32) -> Vec<i64> {
    let tickets = port_detach(port);
    PORTS.drop_handle(port);
    tickets
}
