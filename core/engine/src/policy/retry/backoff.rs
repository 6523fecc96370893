//! How long to wait. Cap first, jitter second; integers throughout. The jitters are those of Brooker, "Exponential backoff and jitter"
//! (AWS architecture blog, 2015).

use crate::chance::share;

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// base x factor^n.
    Exponential,
    /// base x (n + 1).
    Linear,
    /// base.
    Constant,
}

/// How waits are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Anywhere between nothing and the whole wait.
    Full,
    /// Anywhere in the upper half.
    Equal,
    /// Anywhere between the base and three times the previous wait.
    Decorrelated,
    /// Not at all.
    None,
}

/// The compiled options of a back-off.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// How waits grow.
    pub growth: Growth,
    /// How they are spread.
    pub jitter: Jitter,
    /// The first wait, in nanoseconds.
    pub base_ns: u64,
    /// Thousandths of the exponential factor.
    pub factor_milli: u64,
    /// The cap, in nanoseconds.
    pub max_ns: u64,
}

impl Backoff {
    /// Wait number `n` (from 0), after a wait of `previous_ns`.
    #[must_use]
    pub fn wait_ns(&self, n: u32, previous_ns: u64, draw: u64) -> u64 {
        let whole = self.envelope_ns(n);
        match self.jitter {
            Jitter::None => whole,
            Jitter::Full => share(draw, whole),
            Jitter::Equal => whole / 2 + share(draw, whole - whole / 2),
            Jitter::Decorrelated => {
                let previous = if n == 0 { self.base_ns } else { previous_ns };
                let top = self.max_ns.min(previous.saturating_mul(3)).max(self.base_ns);
                self.base_ns + share(draw, top - self.base_ns)
            }
        }
    }

    fn envelope_ns(&self, n: u32) -> u64 {
        match self.growth {
            Growth::Constant => self.base_ns.min(self.max_ns),
            Growth::Linear => self.base_ns.saturating_mul(u64::from(n) + 1).min(self.max_ns),
            Growth::Exponential => self.exponential_ns(n),
        }
    }

    /// Stops at the cap, so that no power overflows and no loop is longer than the way to it. A factor of 1 never gets there.
    fn exponential_ns(&self, n: u32) -> u64 {
        let mut wait = u128::from(self.base_ns);
        let cap = u128::from(self.max_ns);
        if self.factor_milli == 1_000 || wait == 0 {
            return self.base_ns.min(self.max_ns);
        }
        for _ in 0..n {
            if wait >= cap {
                break;
            }
            let next = wait * u128::from(self.factor_milli) / 1_000;
            if next == wait {
                break;
            }
            wait = next;
        }
        u64::try_from(wait.min(cap)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MS;

    fn backoff(growth: Growth, jitter: Jitter) -> Backoff {
        Backoff { growth, jitter, base_ns: 100 * MS, factor_milli: 2_000, max_ns: 1_000 * MS }
    }

    #[test]
    fn the_cap_holds_however_late_the_attempt() {
        let growing = backoff(Growth::Exponential, Jitter::None);
        let waits = [0, 1, 2, 3, 4, u32::MAX].map(|n| growing.wait_ns(n, 0, 0) / MS);
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn jitter_stays_in_its_range() {
        for draw in [0, u64::MAX / 2, u64::MAX] {
            assert!(backoff(Growth::Constant, Jitter::Full).wait_ns(0, 0, draw) < 100 * MS);
            assert!((50 * MS..100 * MS).contains(&backoff(Growth::Constant, Jitter::Equal).wait_ns(0, 0, draw)));
            assert!((100 * MS..600 * MS).contains(&backoff(Growth::Constant, Jitter::Decorrelated).wait_ns(3, 200 * MS, draw)));
        }
    }
}
