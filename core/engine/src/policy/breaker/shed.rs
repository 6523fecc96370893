//! Shares of calls that a closed circuit turns away: `throttle`, in place of opening, and `ramp`, after a close.
//!
//! `throttle` is client-side throttling (Beyer et al., "Site Reliability Engineering", chapter 21): p = (requests - K x accepts) / (requests + 1).
//! A request is counted once, at its attempt, the rejected ones included. What does not fail is accepted.

use crate::sync::AtomicU64;

use super::admit::Refusal;
use super::time_window::{bump, lane};
use super::word::{History, State, StateWord};
use super::{Ask, Cell};
use crate::chance::{Purpose, share};
use crate::table::layout::breaker as at;
use crate::time::{MS, SECOND};

/// Accepted requests weigh so much: every callee that takes half of what it is sent is left alone.
const K: u64 = 2;
const WIDTH: u64 = 120 * SECOND / at::THROTTLE_BUCKETS as u64;
/// The share let through right after a close is one of so many parts.
const FIRST_SHARE: u64 = 10;

impl<'a> Cell<'a> {
    fn throttle_words(&self) -> &'a [AtomicU64] {
        let start = self.options.outcome_words();
        &self.window[start..start + at::THROTTLE_WORDS]
    }

    fn throttle_bump(&self, generation: u32, now: u64, accepted: bool) {
        if self.options.throttle {
            bump(self.throttle_words(), (WIDTH, at::THROTTLE_BUCKETS, 2), usize::from(accepted), generation, now);
        }
    }

    /// Counts one request, let through or not.
    pub(super) fn count_request(&self, generation: u32, now: u64) {
        self.throttle_bump(generation, now, false);
    }

    /// Counts a request that the callee did not fail.
    pub(super) fn count_accept(&self, generation: u32, now: u64) {
        self.throttle_bump(generation, now, true);
    }

    /// Whether a closed circuit turns this attempt away. The draws depend on the attempt alone, so asking twice gives one answer.
    pub(super) fn sheds(&self, word: StateWord, ask: Ask, now: u64) -> Option<Refusal> {
        let throttles = self.throttles(word.generation(), ask, now);
        let sheds = throttles || self.ramps(ask, now);
        match (throttles, sheds) {
            (true, _) => row!(BreakerThrottles),
            (false, true) => row!(BreakerRamps),
            _ => {}
        }
        sheds.then(|| Refusal { code: "circuit.throttled", state: State::Closed, generation: word.generation(), retry_after_ms: None })
    }

    fn throttles(&self, generation: u32, ask: Ask, now: u64) -> bool {
        if !self.options.throttle {
            return false;
        }
        let shape = (WIDTH, at::THROTTLE_BUCKETS, 2);
        let requests = u64::from(lane(self.throttle_words(), shape, 0, generation, now));
        let accepts = u64::from(lane(self.throttle_words(), shape, 1, generation, now));
        let beyond = requests.saturating_sub(K * accepts);
        beyond > 0 && share(self.source.draw(Purpose::Throttle, ask.ordinal, ask.attempt), requests + 1) < beyond
    }

    fn ramps(&self, ask: Ask, now: u64) -> bool {
        let Some(ramp_ms) = self.options.ramp_ms else { return false };
        let closed_at_ms = History::read(self.word(at::HISTORY)).closed_at_ms;
        let elapsed_ms = (now / MS).saturating_sub(closed_at_ms);
        if closed_at_ms == 0 || elapsed_ms >= ramp_ms {
            return false;
        }
        let draw = self.source.draw(Purpose::Ramp, ask.ordinal, ask.attempt);
        share(draw, FIRST_SHARE * ramp_ms) >= ramp_ms + (FIRST_SHARE - 1) * elapsed_ms
    }
}
