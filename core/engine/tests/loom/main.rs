//! The engine's protocols under every order in which their threads can meet, by loom. Built with `--cfg loom`; `make loom` runs it, and
//! docs/spec/proofs.md says what it proves. Each model calls the engine's own functions and is played once as it is, when every execution
//! must satisfy it, and once per seeded fault, when one execution must not.
#![cfg(loom)]

mod adaptive_limit;
mod budget;
mod bulkhead;
mod chaos;
mod count_window;
mod lease;
mod play;
mod ports;
mod rate_limit;
mod state;
mod time_window;
