//! Rate limit: the generic cell rate algorithm (ITU-T I.371) on one word, the theoretical arrival time (TAT).
//!
//! | at `now`, cost = one interval, tolerance = (burst - 1) x interval | answer | word |
//! |---|---|---|
//! | TAT - tolerance <= now | pass | max(TAT, now) + interval |
//! | later, but within the longest wait | wait until TAT - tolerance | TAT + interval (reserved) |
//! | later than that | refuse, with the time until it would pass | unchanged |
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#rate-limit.

use crate::sync::{AtomicU64, Ordering};

use crate::fault::{Fault, seeded};
use crate::time::{MS, ceil_ms};

/// The compiled options.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Nanoseconds between two calls at the full rate.
    pub interval_ns: u64,
    /// Calls that may come at once.
    pub burst: u64,
    /// The longest wait for a turn, in milliseconds.
    pub max_wait_ms: u64,
}

/// The answer to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Pass,
    /// Go on after so many milliseconds; the turn is reserved.
    Wait {
        /// The wait.
        ms: u64,
        /// The reservation, to be returned if the wait is given up.
        reservation: u64,
    },
    /// Not now; in so many milliseconds a call would pass.
    Refuse(u64),
}

impl RateLimit {
    /// Takes a turn, or reserves one no further away than both the option and `left_ms` allow.
    #[inline]
    pub fn take(&self, word: &AtomicU64, now: u64, left_ms: Option<u64>) -> Answer {
        let tolerance = self.interval_ns.saturating_mul(self.burst.saturating_sub(1));
        let longest = self.max_wait_ms.min(left_ms.unwrap_or(u64::MAX)).saturating_mul(MS);
        // Relaxed suffices: the word is the whole state, and no other memory is published through it.
        let mut tat = word.load(Ordering::Relaxed);
        loop {
            let ready = tat.saturating_sub(tolerance);
            let wait = ready.saturating_sub(now);
            if wait > longest {
                row!(RateRefuse);
                return Answer::Refuse(ceil_ms(wait));
            }
            let next = tat.max(now).saturating_add(self.interval_ns);
            if seeded(Fault::TurnTakenByStore) {
                word.store(next, Ordering::Relaxed);
                return if wait == 0 { Answer::Pass } else { Answer::Wait { ms: ceil_ms(wait), reservation: next } };
            }
            match word.compare_exchange_weak(tat, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if wait == 0 => {
                    row!(RatePass);
                    return Answer::Pass;
                }
                Ok(_) => {
                    row!(RateWait);
                    return Answer::Wait { ms: ceil_ms(wait), reservation: next };
                }
                Err(seen) => tat = seen,
            }
        }
    }

    /// Brings the arrival time under new options: no further ahead than a whole burst of them.
    pub fn clamp(&self, word: &AtomicU64, now: u64) {
        row!(RateClamp);
        // Relaxed, as in `take`.
        word.fetch_min(now.saturating_add(self.interval_ns.saturating_mul(self.burst)), Ordering::Relaxed);
    }

    /// Returns a reservation, if nobody has reserved after it.
    pub fn give_back(&self, word: &AtomicU64, reservation: u64) {
        let before = reservation.saturating_sub(self.interval_ns);
        if seeded(Fault::AnyTurnGivenBack) {
            return word.store(before, Ordering::Relaxed);
        }
        if word.compare_exchange(reservation, before, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            row!(RateGiveBack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_waits_its_interval() {
        let limit = RateLimit { interval_ns: 100 * MS, burst: 2, max_wait_ms: 150 };
        let word = AtomicU64::new(0);
        assert_eq!(limit.take(&word, 0, None), Answer::Pass);
        assert_eq!(limit.take(&word, 0, None), Answer::Pass);
        let Answer::Wait { ms: 100, reservation } = limit.take(&word, 0, None) else { panic!("a wait of one interval") };
        assert_eq!(limit.take(&word, 0, None), Answer::Refuse(200));
        limit.give_back(&word, reservation);
        assert!(matches!(limit.take(&word, 0, None), Answer::Wait { ms: 100, .. }));
        assert_eq!(limit.take(&word, 0, Some(50)), Answer::Refuse(200), "no further than the time left");
    }
}
