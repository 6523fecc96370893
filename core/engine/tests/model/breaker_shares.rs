//! The shares of calls that a closed circuit turns away, plainly: `throttle` and `ramp`.

use seawall_engine::chance::{Purpose, Source};
use seawall_engine::policy::breaker::{Ask, Breaker};
use seawall_engine::time::{MS, SECOND};

/// Two minutes in 24 buckets.
const BUCKET: u64 = 5 * SECOND;
const BUCKETS: u64 = 24;

/// What was asked and what was not failed, by moment, and since when the circuit is closed again.
#[derive(Default)]
pub struct Shares {
    requests: Vec<u64>,
    accepts: Vec<u64>,
    closed_again_ms: Option<u64>,
}

impl Shares {
    /// A new generation: nothing was asked yet. `closed_again_ms` is none unless something ended that kept the circuit from being closed.
    pub fn renew(&mut self, closed_again_ms: Option<u64>) {
        *self = Self { closed_again_ms, ..Self::default() };
    }

    pub fn request(&mut self, now: u64) {
        self.requests.push(now);
    }

    pub fn accept(&mut self, now: u64) {
        self.accepts.push(now);
    }

    /// Whether the attempt is turned away, and by what.
    pub fn turn_away(&self, options: &Breaker, source: Source, ask: Ask, now: u64) -> Option<&'static str> {
        let throttled = options.throttle && self.throttles(source.draw(Purpose::Throttle, ask.ordinal, ask.attempt), now);
        let ramped = options.ramp_ms.is_some_and(|ramp_ms| self.ramps(source.draw(Purpose::Ramp, ask.ordinal, ask.attempt), ramp_ms, now));
        throttled.then_some("throttled").or(ramped.then_some("ramped"))
    }

    /// u < (requests - 2 x accepts) / (requests + 1), u being the draw as a part of 2^64.
    fn throttles(&self, draw: u64, now: u64) -> bool {
        let recent = |moments: &[u64]| moments.iter().filter(|at| *at / BUCKET + BUCKETS > now / BUCKET).count() as i128;
        let (requests, accepts) = (recent(&self.requests), recent(&self.accepts));
        i128::from(draw) * (requests + 1) < (requests - 2 * accepts) << 64
    }

    /// Of the ramp's ten tenths the first is let through at once, the other nine as it goes on.
    fn ramps(&self, draw: u64, ramp_ms: u64, now: u64) -> bool {
        let Some(elapsed_ms) = self.closed_again_ms.map(|since| now / MS - since) else { return false };
        let (elapsed, ramp) = (i128::from(elapsed_ms), i128::from(ramp_ms));
        // The draw falls on one of 10 x ramp equal parts.
        let part = (i128::from(draw) * 10 * ramp) >> 64;
        elapsed < ramp && part >= ramp + 9 * elapsed
    }
}
