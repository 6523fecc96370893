//! The atomics that every protocol of the engine is built on: the machine's own or, under `cfg(loom)`, loom's, whose tests run every
//! order in which threads can meet. A protocol that named `core`'s atomics would escape those tests, so nothing here does.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
