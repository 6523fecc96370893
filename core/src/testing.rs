//! Virtual time for tests.

use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use seawall_runtime::{chaos, clock};

use crate::policy::whole_ms;
use crate::timer;

static ONE_AT_A_TIME: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
static SLEEPS: LazyLock<Mutex<Vec<Duration>>> = LazyLock::new(Mutex::default);

/// Virtual time for the whole process, until it is dropped: see [`clock()`].
#[derive(Debug)]
#[must_use = "time is virtual until this is dropped"]
pub struct Clock {
    _alone: MutexGuard<'static, ()>,
    was_armed: bool,
}

/// Makes time virtual for all policies and threads of the process, from 0. Waits of our own between attempts and for a rate limit's turn
/// move it on at once; timers that race work fire on [`Clock::advance`] only. Policies without a seed of their own draw from `seed`, chaos
/// is armed, and all state is forgotten at both ends. A second test that asks for a clock waits until the first is done.
pub fn clock(seed: u64) -> Clock {
    let alone = ONE_AT_A_TIME.lock();
    clock::set_virtual(0);
    seawall_runtime::reset_all(Some(seed));
    SLEEPS.lock().clear();
    Clock { _alone: alone, was_armed: chaos::arm(true) }
}

impl Clock {
    /// Moves time on.
    pub fn advance(&self, by: Duration) {
        clock::advance(whole_ms(by));
        timer::clock_moved();
    }

    /// The time that has passed.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(clock::now())
    }

    /// The waits of our own so far.
    #[must_use]
    pub fn sleeps(&self) -> Vec<Duration> {
        SLEEPS.lock().clone()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        chaos::arm(self.was_armed);
        seawall_runtime::reset_all(None);
        clock::set_real();
        timer::clock_moved();
    }
}

/// A wait of ours, under virtual time.
pub(crate) fn slept(ms: u64) {
    SLEEPS.lock().push(Duration::from_millis(ms));
    clock::advance(ms);
    timer::clock_moved();
}
