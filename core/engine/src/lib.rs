//! Every decision of Seawall, and nothing else.
//!
//! Two rules hold throughout. The engine never reads a clock and never draws entropy: `now` and the seed are arguments.
//! It never owns shared state: each strategy works on slices of atomic words that its caller made, at the offsets of
//! [`table::layout`].
//!
//! [`pipeline::Call`] is one guarded call as a state machine; [`step`] is the alphabet that it and its driver speak.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(loom)]
extern crate std;

// First: its macro marks rows everywhere below.
#[macro_use]
pub mod table;

pub mod chance;
#[cfg(loom)]
pub mod fault;
#[cfg(not(loom))]
mod fault;
pub mod outcome;
pub mod pipeline;
pub mod policy;
pub mod ports;
pub mod step;
pub mod sync;
pub mod time;
