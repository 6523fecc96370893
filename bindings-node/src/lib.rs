//! The native module of the Node package: free functions over integer handles.
//!
//! Glue and nothing else. Decisions are made in `seawall-runtime`, letters are kept by `seawall-dlq`; what happens in between is TypeScript's.
// Compiled as a test (`--all-targets`), napi registers nothing, so nothing is used.
#![cfg_attr(test, allow(dead_code, unused_imports))]

mod call;
mod cli;
mod control;
mod error;
mod isolate;
mod policy;
mod ports;
mod queue;
mod slab;
mod watch;
