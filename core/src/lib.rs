//! Seawall: resilience decided in one engine, acted on in every language.
//!
//! This crate gathers the rooms under one name. Decisions are in [`engine`], which reads no clock and owns no state;
//! clocks, names, configuration and sessions are in [`runtime`]; failed calls wait for their second chance in [`dlq`],
//! on disk through [`sqlite`].
#![forbid(unsafe_code)]

pub use seawall_dlq as dlq;
pub use seawall_engine as engine;
pub use seawall_runtime as runtime;
pub use seawall_store_sqlite as sqlite;
