//! The raw runner: vectors against the engine alone, without any language's driver.
//!
//! It performs outputs itself, in virtual time, and writes the transcript from what it saw.
#![forbid(unsafe_code)]

mod failure;
pub mod fuzz;
mod player;
mod raises;
mod seen;
mod stream;
mod transcript;
pub mod vector;

pub use player::play;
pub use seen::Seen;
