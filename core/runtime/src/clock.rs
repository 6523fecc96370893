//! The clock of this process: monotonic, or virtual for tests. Never the wall clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static VIRTUAL: AtomicBool = AtomicBool::new(false);
static VIRTUAL_NS: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since this process first asked, virtual time or not: what threads with a clock of their own count from.
#[must_use]
pub fn real() -> u64 {
    real::now()
}

/// Nanoseconds since this process first asked, or of virtual time.
#[inline]
#[must_use]
pub fn now() -> u64 {
    // Relaxed: whoever switches the clock does so while no call runs.
    if VIRTUAL.load(Ordering::Relaxed) {
        return VIRTUAL_NS.load(Ordering::Relaxed);
    }
    real::now()
}

/// The same, as of the kernel's last tick: at most some milliseconds ago, and cheaper to ask. Where there is no such clock it is [`now`].
#[inline]
#[must_use]
pub fn coarse() -> u64 {
    if VIRTUAL.load(Ordering::Relaxed) {
        return VIRTUAL_NS.load(Ordering::Relaxed);
    }
    real::coarse()
}

/// The kernel's monotonic clock is asked without the detour through `Duration`, in which `Instant` speaks.
#[cfg(target_os = "linux")]
mod real {
    use std::sync::LazyLock;

    use rustix::time::{ClockId, clock_gettime};

    /// Both clocks of the kernel count from one moment; ours from their first use.
    static ORIGIN: LazyLock<u64> = LazyLock::new(|| read(ClockId::Monotonic));

    #[inline]
    fn read(clock: ClockId) -> u64 {
        let time = clock_gettime(clock);
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }

    #[inline]
    pub(super) fn now() -> u64 {
        let origin = *ORIGIN;
        read(ClockId::Monotonic).saturating_sub(origin)
    }

    #[inline]
    pub(super) fn coarse() -> u64 {
        let origin = *ORIGIN;
        read(ClockId::MonotonicCoarse).saturating_sub(origin)
    }
}

#[cfg(not(target_os = "linux"))]
mod real {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub(super) fn now() -> u64 {
        u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn coarse() -> u64 {
        now()
    }
}

/// Switches to virtual time, at so many milliseconds.
pub fn set_virtual(ms: u64) {
    VIRTUAL_NS.store(ms.saturating_mul(1_000_000), Ordering::Relaxed);
    VIRTUAL.store(true, Ordering::Relaxed);
}

/// Moves virtual time on.
pub fn advance(ms: u64) {
    let _ = VIRTUAL_NS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ns| Some(ns.saturating_add(ms.saturating_mul(1_000_000))));
}

/// Whether time is virtual, as in tests.
#[must_use]
pub fn is_virtual() -> bool {
    VIRTUAL.load(Ordering::Relaxed)
}

/// Back to the monotonic clock.
pub fn set_real() {
    VIRTUAL.store(false, Ordering::Relaxed);
}
