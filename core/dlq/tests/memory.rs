//! The contract over the memory store.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod contract;

use std::sync::Arc;

use seawall_dlq::MemoryStore;

#[test]
fn memory_keeps_the_contract() {
    contract::run(&(Arc::new(MemoryStore::default()) as _));
}
