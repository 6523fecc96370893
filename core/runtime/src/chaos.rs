//! Whether chaos may strike in this process.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Read once: only the start of the process decides.
static ARMED: LazyLock<AtomicBool> = LazyLock::new(|| AtomicBool::new(std::env::var("SEAWALL_CHAOS").is_ok_and(|value| value == "allow")));

/// Whether the process was started with `SEAWALL_CHAOS=allow`, or a test has armed it.
#[must_use]
pub fn armed() -> bool {
    ARMED.load(Ordering::Relaxed)
}

/// Arms or disarms chaos, for tests; gives what it was before.
pub fn arm(on: bool) -> bool {
    ARMED.swap(on, Ordering::Relaxed)
}
