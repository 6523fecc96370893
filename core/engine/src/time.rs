//! Time as the engine sees it: monotonic `u64` nanoseconds, given with every input.

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds as whole milliseconds, rounded down: break deadlines, which must not end late.
#[must_use]
pub const fn floor_ms(ns: u64) -> u64 {
    ns / MS
}

/// Nanoseconds as whole milliseconds, rounded up: waits, leases and deadlines named by a server, which must not end early.
#[must_use]
pub const fn ceil_ms(ns: u64) -> u64 {
    ns.div_ceil(MS)
}
