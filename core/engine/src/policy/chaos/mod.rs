//! Chaos: whether an attempt is struck, by what, and how late.
//!
//! With a key the draw's place is (seed, experiment, key, attempt, redrive count): the same victims in every language, process and
//! order of arrival. Without one it is (seed, experiment, ordinal), the ordinal counting the attempts that `only` and the window let through,
//! those that the cap spares among them.
//!
//! | an attempt that `only` let through | is |
//! |---|---|
//! | outside the window | not struck, and takes no ordinal |
//! | after the end, or once the experiment was aborted | not struck |
//! | beyond `rate` | not struck; counts for the cap |
//! | within `rate`, and one more would pass the cap | not struck; counts for the cap |
//! | within `rate` | struck; counts for the cap |
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#chaos.

mod abort;
mod share;
mod window;

use alloc::vec::Vec;

pub use abort::{Abort, CALLS_JUDGED, Reason};
pub use share::ATTEMPTS;
pub use window::Window;

use crate::sync::{AtomicU64, Ordering};

use crate::chance::{self, Purpose, Source, fnv1a};
use crate::step::Injection;
use crate::table::layout::chaos::{SEEN, SHARE};

/// The compiled options.
#[derive(Clone, Debug, Default)]
pub struct Chaos {
    /// Parts per 10,000 of attempts that are struck.
    pub rate: u32,
    /// The weight of each fault; empty for none.
    pub faults: Vec<u32>,
    /// The weight of each outcome; empty for none. One draw chooses among faults and outcomes.
    pub outcomes: Vec<u32>,
    /// Whether a behaviour runs at each strike.
    pub behavior: bool,
    /// Shortest and longest injected latency, in milliseconds.
    pub latency_ms: (u64, u64),
    /// Nanoseconds of the clock at which it ends.
    pub ends_at: u64,
    /// The experiment's number within its policy, from 1; a later one's is higher.
    pub number: u32,
    /// When it strikes.
    pub window: Window,
    /// Parts per 10,000 of any [`ATTEMPTS`] attempts in a row that may be struck.
    pub max_share: Option<u32>,
    /// What ends it early.
    pub abort: Abort,
}

/// What strikes one attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strike {
    /// What stands in the callee's place.
    pub injected: Option<Injection>,
    /// The latency to add before.
    pub latency_ms: u64,
}

/// Where the draw of one attempt lies.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The key, for draws by key.
    pub key: Option<&'a str>,
    /// The attempt within its call.
    pub attempt: u32,
    /// How often the letter of this call was redriven.
    pub redrives: u32,
}

impl Chaos {
    /// Whether its end has come, or it never strikes.
    #[must_use]
    pub const fn is_over(&self, now: u64) -> bool {
        now >= self.ends_at || self.rate == 0
    }

    /// What strikes the attempt at `place`, if anything does.
    #[must_use]
    pub fn strike(&self, words: &[AtomicU64], source: Source, now: u64, place: Place<'_>) -> Option<Strike> {
        if !self.window.is_open(now) {
            row!(ChaosClosed);
            return None;
        }
        // Relaxed: the number only has to differ from every other attempt's.
        let seen = words[SEEN].fetch_add(1, Ordering::Relaxed);
        if self.is_over(now) {
            row!(ChaosOver);
            return None;
        }
        if self.aborted(words).is_some() {
            row!(ChaosSpent);
            return None;
        }
        let (ordinal, attempt) = match place.key {
            Some(key) => (fnv1a(key.as_bytes()).wrapping_add(u64::from(place.redrives) << 32), place.attempt),
            None => (seen, 0),
        };
        let drawn = chance::share(source.draw(Purpose::Chaos, ordinal, attempt), 10_000) < u64::from(self.rate);
        let struck = self.max_share.map_or(drawn, |max_share| share::note(&words[SHARE], max_share, drawn));
        match (drawn, struck) {
            (false, _) => row!(ChaosMiss),
            (true, false) => row!(ChaosCapped),
            (true, true) => return Some(self.strike_at(source, ordinal, attempt)),
        }
        None
    }

    fn strike_at(&self, source: Source, ordinal: u64, attempt: u32) -> Strike {
        let (shortest, longest) = self.latency_ms;
        let spread = longest.saturating_sub(shortest).saturating_add(1);
        let latency_ms = shortest + chance::share(source.draw(Purpose::Latency, ordinal, attempt), spread);
        let injected = self.injection(source.draw(Purpose::Fault, ordinal, attempt));
        match injected {
            Some(Injection::Fault(_)) => row!(ChaosFault),
            Some(Injection::Outcome(_)) => row!(ChaosOutcome),
            None => {}
        }
        if latency_ms > 0 {
            row!(ChaosLatency);
        }
        if self.behavior {
            row!(ChaosBehavior);
        }
        Strike { injected, latency_ms }
    }

    fn injection(&self, draw: u64) -> Option<Injection> {
        let faults = (0u32..).zip(&self.faults).map(|(number, weight)| (Injection::Fault(number), u64::from(*weight)));
        let outcomes = (0u32..).zip(&self.outcomes).map(|(number, weight)| (Injection::Outcome(number), u64::from(*weight)));
        let total = self.faults.iter().chain(&self.outcomes).map(|weight| u64::from(*weight)).sum();
        let mut left = chance::share(draw, total);
        for (injection, weight) in faults.chain(outcomes) {
            if left < weight {
                return Some(injection);
            }
            left -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::layout::chaos::WORDS;

    #[test]
    fn a_key_has_the_same_fate_whatever_the_order() {
        let chaos = Chaos { rate: 5_000, faults: alloc::vec![1], latency_ms: (200, 800), ends_at: u64::MAX, ..Chaos::default() };
        let source = Source::new(1, "bank");
        let words: [AtomicU64; WORDS] = core::array::from_fn(|_| AtomicU64::new(0));
        let fate = |key| chaos.strike(&words, source, 0, Place { key, attempt: 1, redrives: 0 });
        let before = fate(Some("order-9"));
        let struck = (0..1_000).filter(|_| fate(None).is_some()).count();
        assert_eq!(before, fate(Some("order-9")));
        assert!((400..600).contains(&struck), "{struck} of 1,000 at 50 %");
    }

    #[test]
    fn a_rate_strikes_the_draws_below_it_and_no_other() {
        let chaos = Chaos { rate: 2, ends_at: u64::MAX, ..Chaos::default() };
        let source = Source::new(1, "bank");
        let words: [AtomicU64; WORDS] = core::array::from_fn(|_| AtomicU64::new(0));
        let place = Place { key: None, attempt: 1, redrives: 0 };
        let struck: Vec<u64> = (0..20_000).filter(|_| chaos.strike(&words, source, 0, place).is_some()).collect();
        let below: Vec<u64> = (0..20_000).filter(|at| chance::share(source.draw(Purpose::Chaos, *at, 0), 10_000) < 2).collect();
        assert_eq!(struck, below);
        assert!((0..20_000).any(|at| chance::share(source.draw(Purpose::Chaos, at, 0), 10_000) == 2), "one draw is the rate itself");
    }

    #[test]
    fn each_redrive_of_a_letter_is_drawn_anew() {
        let chaos = Chaos { rate: 5_000, ends_at: u64::MAX, ..Chaos::default() };
        let words: [AtomicU64; WORDS] = core::array::from_fn(|_| AtomicU64::new(0));
        let fate =
            |redrives| chaos.strike(&words, Source::new(1, "bank"), 0, Place { key: Some("order-9"), attempt: 1, redrives }).is_some();
        let struck = (0..100).filter(|redrives| fate(*redrives)).count();
        assert!((30..70).contains(&struck), "{struck} of 100 at 50 %");
    }
}
