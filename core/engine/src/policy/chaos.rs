//! Chaos: whether an attempt is struck, by what, and how late.
//!
//! With a key the draw's place is (seed, experiment, key, attempt, redrive count): the same victims in every language, process and
//! order of arrival. Without one it is (seed, experiment, ordinal), the ordinal counting the attempts that `only` let through.
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#chaos.

use alloc::vec::Vec;

use crate::chance::{Purpose, Source, fnv1a, share};
use crate::step::Injection;

/// The compiled options.
#[derive(Clone, Debug)]
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
    /// The number of this attempt among all that chaos saw.
    pub ordinal: u64,
    /// The attempt within its call.
    pub attempt: u32,
    /// How often the letter of this call was redriven.
    pub redrives: u32,
}

impl Chaos {
    /// What strikes the attempt at `place`, if anything does.
    #[must_use]
    pub fn strike(&self, source: Source, now: u64, place: Place<'_>) -> Option<Strike> {
        if now >= self.ends_at || self.rate == 0 {
            row!(ChaosOver);
            return None;
        }
        let (ordinal, attempt) = match place.key {
            Some(key) => (fnv1a(key.as_bytes()).wrapping_add(u64::from(place.redrives) << 32), place.attempt),
            None => (place.ordinal, 0),
        };
        if share(source.draw(Purpose::Chaos, ordinal, attempt), 10_000) >= u64::from(self.rate) {
            row!(ChaosMiss);
            return None;
        }
        let (shortest, longest) = self.latency_ms;
        let spread = longest.saturating_sub(shortest).saturating_add(1);
        let latency_ms = shortest + share(source.draw(Purpose::Latency, ordinal, attempt), spread);
        let injected = self.injection(source.draw(Purpose::Fault, ordinal, attempt));
        match injected {
            Some(Injection::Fault(_)) => row!(ChaosFault),
            Some(Injection::Outcome(_)) => row!(ChaosOutcome),
            None => {}
        }
        if latency_ms > 0 {
            row!(ChaosLatency);
        }
        Some(Strike { injected, latency_ms })
    }

    fn injection(&self, draw: u64) -> Option<Injection> {
        let faults = (0u32..).zip(&self.faults).map(|(number, weight)| (Injection::Fault(number), u64::from(*weight)));
        let outcomes = (0u32..).zip(&self.outcomes).map(|(number, weight)| (Injection::Outcome(number), u64::from(*weight)));
        let total = self.faults.iter().chain(&self.outcomes).map(|weight| u64::from(*weight)).sum();
        let mut left = share(draw, total);
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

    #[test]
    fn a_key_has_the_same_fate_whatever_the_order() {
        let chaos =
            Chaos { rate: 5_000, faults: alloc::vec![1], outcomes: Vec::new(), behavior: false, latency_ms: (200, 800), ends_at: u64::MAX };
        let source = Source::new(1, "bank");
        let fate = |ordinal| chaos.strike(source, 0, Place { key: Some("order-9"), ordinal, attempt: 1, redrives: 0 });
        assert_eq!(fate(0), fate(77));
        let struck = (0..1_000)
            .filter(|ordinal| chaos.strike(source, 0, Place { key: None, ordinal: *ordinal, attempt: 1, redrives: 0 }).is_some())
            .count();
        assert!((400..600).contains(&struck), "{struck} of 1,000 at 50 %");
    }
}
