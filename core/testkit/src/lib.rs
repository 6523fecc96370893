//! The raw runner: vectors against the engine alone, without any language's driver.
//!
//! It performs outputs itself, in virtual time, and writes the transcript from what it saw.
#![forbid(unsafe_code)]

mod defaults;
mod failure;
pub mod fuzz;
mod player;
mod raises;
mod rows;
mod seen;
mod spec;
mod stream;
mod transcript;
pub mod vector;

pub use player::play;
pub use rows::Coverage;
pub use seen::Seen;
