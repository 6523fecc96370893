//! What a call works with: the compiled policy, and the words that its caller owns.

use crate::sync::AtomicU64;

use crate::chance::Source;
use crate::policy::breaker::{Breaker, Cell};
use crate::policy::bulkhead::Bulkhead;
use crate::policy::chaos::{self, Chaos, Reason, Strike};
use crate::policy::hedge::Hedge;
use crate::policy::rate_limit::RateLimit;
use crate::policy::retry::{Budget, Retry};

/// A compiled policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Retry.
    pub retry: Option<Retry>,
    /// Hedge.
    pub hedge: Option<Hedge>,
    /// Rate limit.
    pub rate_limit: Option<RateLimit>,
    /// Bulkhead.
    pub bulkhead: Option<Bulkhead>,
    /// Circuit breaker.
    pub breaker: Option<Breaker>,
    /// The limit of an attempt, in nanoseconds.
    pub attempt_ns: Option<u64>,
    /// The limit of the call, in nanoseconds.
    pub total_ns: Option<u64>,
    /// The longest wait between two items of a stream, in nanoseconds.
    pub idle_ns: Option<u64>,
    /// Fallback.
    pub fallback: Option<Fallback>,
    /// Dead letter.
    pub dead_letter: Option<DeadLetter>,
    /// Chaos.
    pub chaos: Option<Chaos>,
}

/// A fallback, as far as the engine cares.
#[derive(Clone, Copy, Debug)]
pub struct Fallback {
    /// Steps of the chain.
    pub steps: u32,
    /// Whether the last good value is tried before them.
    pub stale: bool,
    /// Whether `on` was given.
    pub has_on: bool,
}

/// A dead letter, as far as the engine cares.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter {
    /// Whether `on` was given.
    pub has_on: bool,
}

/// The policy, the shared words of one key, and the facts of one moment.
pub struct Env<'a, W> {
    /// The policy.
    pub policy: &'a Policy,
    /// The circuit breaker's fixed words.
    pub breaker: &'a [AtomicU64],
    /// The words of the circuit breaker's window.
    pub window: &'a [AtomicU64],
    /// The bulkhead's word.
    pub bulkhead: &'a AtomicU64,
    /// The bulkhead's waiters.
    pub waiters: &'a W,
    /// The words of the bulkhead's adaptive limit, if it has one.
    pub adaptive: &'a [AtomicU64],
    /// The rate limit's word.
    pub rate_limit: &'a AtomicU64,
    /// The retry budget's words, shared by all keys.
    pub budget: &'a [AtomicU64],
    /// The durations that a hedge's percentile is taken from.
    pub hedge: &'a [AtomicU64],
    /// The words of chaos, over all keys.
    pub chaos: &'a [AtomicU64],
    /// How often the circuits of the policy that chaos watches have opened; 0 where it watches none.
    pub openings: u64,
    /// The draws of this policy object.
    pub source: Source,
    /// The draws of chaos, if it has a seed of its own.
    pub chaos_source: Source,
    /// Whether chaos may strike.
    pub armed: bool,
    /// The key of the call.
    pub key: Option<&'a str>,
}

impl<'a, W> Env<'a, W> {
    /// The circuit breaker.
    #[must_use]
    pub fn cell(&self) -> Option<Cell<'a>> {
        let options = self.policy.breaker.as_ref()?;
        Some(Cell { options, words: self.breaker, window: self.window, source: self.source })
    }

    /// The bulkhead, with the slots that there are now.
    #[must_use]
    pub fn slots(&self) -> Option<Bulkhead> {
        self.policy.bulkhead.map(|bulkhead| bulkhead.at(self.adaptive))
    }

    /// What pays for retries and hedges: the retry's budget, or the hedge's where there is no retry.
    pub(super) fn purse(&self) -> Option<&'a Budget> {
        let hedge = || self.policy.hedge.as_ref().and_then(|hedge| hedge.budget.as_ref());
        self.policy.retry.as_ref().map_or_else(hedge, |retry| retry.budget.as_ref())
    }

    /// The experiment, if it is armed.
    pub(super) fn experiment(&self) -> Option<&'a Chaos> {
        self.policy.chaos.as_ref().filter(|_| self.armed)
    }

    /// What strikes this attempt, and whether what chaos watches has just ended it. Disarmed, it costs one comparison.
    pub(super) fn strike(&self, now: u64, attempt: u32, redrives: u32) -> (Option<Strike>, Option<Reason>) {
        let Some(chaos) = self.experiment() else { return (None, None) };
        let ended = chaos.watch(self.chaos, self.openings, now);
        (chaos.strike(self.chaos, self.chaos_source, now, chaos::Place { key: self.key, attempt, redrives }), ended)
    }
}
