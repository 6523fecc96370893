//! What one policy counts: words for calls in the machine, made at its first such call; lanes and turns for those that do without.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::pipeline::AttemptState;
use seawall_engine::policy::breaker::State;
use seawall_engine::step::{Injection, Transition};

use super::histogram::{Buckets, Histogram, Sampler, WEIGHT};
use super::words::{self as at, COMMON, STATES, TIMES, WORDS};
use crate::lanes::Lanes;
use crate::turns::Turns;

/// How a call ended, as the `outcome` label says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Success,
    Failure,
    Timeout,
    Cancelled,
    Ignored,
    Fallback,
    /// With the place of its reason.
    Rejected(usize),
}

impl CallEnd {
    fn place(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Timeout => 2,
            Self::Cancelled => 3,
            Self::Ignored => 4,
            Self::Fallback => 5,
            Self::Rejected(_) => 6,
        }
    }

    /// What letters of the call are counted by, where no reason of the retry is.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Rejected(_) => "rejected",
            _ => "failure",
        }
    }
}

/// The place of an attempt's end among those that are counted; none while it runs.
fn end_of(state: AttemptState) -> Option<usize> {
    match state {
        AttemptState::Running => None,
        AttemptState::Succeeded => Some(0),
        AttemptState::Failed => Some(1),
        AttemptState::TimedOut => Some(2),
        AttemptState::Cancelled => Some(3),
        AttemptState::Ignored => Some(4),
    }
}

/// What made a retry necessary: the end of the attempt before, or none if that was turned away.
pub(crate) fn retry_reason(before: Option<AttemptState>) -> usize {
    match before {
        None => 2,
        Some(AttemptState::TimedOut) => 1,
        Some(_) => 0,
    }
}

type Words<const N: usize> = OnceLock<Box<[AtomicU64; N]>>;
type Times = [OnceLock<Box<Histogram>>; TIMES];

/// Relaxed throughout: each counter stands for itself.
#[derive(Default)]
pub(crate) struct Counters {
    common: Words<COMMON>,
    rare: Words<{ WORDS - COMMON }>,
    times: OnceLock<Box<Times>>,
    /// What is counted by thread.
    pub(crate) lanes: Lanes,
    pub(crate) turns: Turns,
    /// Of calls on fast paths.
    pub(crate) sampler: Sampler,
}

impl Counters {
    /// The word at a place, if anybody wrote near it.
    fn known(&self, place: usize) -> Option<&AtomicU64> {
        match place.checked_sub(COMMON) {
            None => self.common.get().map(|words| &words[place]),
            Some(place) => self.rare.get().map(|words| &words[place]),
        }
    }

    fn add(&self, place: usize, count: u64) {
        let word = match place.checked_sub(COMMON) {
            None => &self.common.get_or_init(|| Box::new([const { AtomicU64::new(0) }; COMMON]))[place],
            Some(place) => &self.rare.get_or_init(|| Box::new([const { AtomicU64::new(0) }; WORDS - COMMON]))[place],
        };
        word.fetch_add(count, Ordering::Relaxed);
    }

    fn read(&self, places: std::ops::Range<usize>) -> u64 {
        places.filter_map(|place| self.known(place)).map(|word| word.load(Ordering::Relaxed)).sum()
    }

    fn observe(&self, place: usize, ns: u64, weight: u64) {
        let times = self.times.get_or_init(|| Box::new([const { OnceLock::new() }; TIMES]));
        times[place].get_or_init(Box::default).observe(ns, weight);
    }

    /// A call ended after so many nanoseconds, if that is known.
    pub(crate) fn call(&self, end: CallEnd, ns: Option<u64>) {
        let place = if let CallEnd::Rejected(reason) = end { at::REJECTED + reason } else { at::CALLS + end.place() };
        self.add(place, 1);
        // A call that is turned away at once took no time, and on a fast path nobody would have looked.
        if let Some(ns) = ns.filter(|ns| *ns > 0 || !matches!(end, CallEnd::Rejected(_))) {
            self.observe(at::CALL_TIMES + end.place(), ns, 1);
        }
    }

    /// Calls that passed at their first attempt, in an isolate of their own.
    pub(crate) fn passed_on_port(&self, calls: u32) {
        if calls > 0 {
            self.add(at::CALLS, calls.into());
            self.add(at::ATTEMPTS, calls.into());
        }
    }

    /// A call of a fast path that was chosen to be measured passed after so many nanoseconds.
    #[cold]
    pub(crate) fn sample(&self, ns: u64) {
        self.observe(at::CALL_TIMES, ns, WEIGHT);
        self.observe(at::ATTEMPT_TIMES, ns, WEIGHT);
    }

    pub(crate) fn attempt(&self, state: AttemptState, ns: Option<u64>) {
        let Some(end) = end_of(state) else { return };
        self.add(at::ATTEMPTS + end, 1);
        if let Some(ns) = ns {
            self.observe(at::ATTEMPT_TIMES + end, ns, 1);
        }
    }

    pub(crate) fn retry(&self, reason: usize) {
        self.add(at::RETRIES + reason, 1);
    }

    pub(crate) fn retry_wait(&self, reason: usize, ns: u64) {
        self.observe(at::RETRY_WAITS + reason, ns, 1);
    }

    pub(crate) fn bulkhead_wait(&self, ns: u64) {
        self.observe(at::BULKHEAD_WAITS, ns, 1);
    }

    pub(crate) fn transition(&self, transition: &Transition) {
        self.add(at::TRANSITIONS + transition.to as usize * STATES.len() + transition.from as usize, 1);
    }

    /// How often a circuit of the policy has opened, over all keys.
    pub(crate) fn openings(&self) -> u64 {
        let open = at::TRANSITIONS + State::Open as usize * STATES.len();
        self.read(open..open + STATES.len())
    }

    /// A call that was hedged ended: by its first attempt, by a hedge, or without an answer.
    pub(crate) fn hedged(&self, winner: Option<u32>) {
        self.add(at::HEDGES + winner.map_or(2, |attempt| usize::from(attempt > 1)), 1);
    }

    pub(crate) fn fallback(&self, ok: bool) {
        self.add(at::FALLBACKS + usize::from(!ok), 1);
    }

    /// Attempts that chaos struck.
    pub(crate) fn injections(&self) -> u64 {
        self.read(at::INJECTIONS..at::INJECTIONS + 4)
    }

    pub(crate) fn injection(&self, injected: Option<Injection>, latency_ms: u64) {
        let kind = match injected {
            Some(Injection::Fault(_)) => 0,
            Some(Injection::Outcome(_)) => 1,
            None if latency_ms > 0 => 2,
            None => 3,
        };
        self.add(at::INJECTIONS + kind, 1);
    }

    /// A letter was written for this reason, or was lost.
    pub(crate) fn letter(&self, written: bool, reason: &str) {
        self.add(if written { at::LETTERS + at::letter_reason(reason) } else { at::LOST }, 1);
    }

    /// A letter went another way than to its store, or others had to make room for it.
    pub(crate) fn letter_went(&self, aside: bool, dropped: u32) {
        if aside {
            self.add(at::LETTER_FALLBACKS, 1);
        }
        if dropped > 0 {
            self.add(at::LETTERS_DROPPED, dropped.into());
        }
    }

    pub(crate) fn overflow(&self) {
        self.add(at::OVERFLOW, 1);
    }

    /// Everything that was counted, whoever counted it.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (place, total) in totals.words.iter_mut().enumerate() {
            *total = self.known(place).map_or(0, |word| word.load(Ordering::Relaxed));
        }
        let passed = self.lanes.passed() + self.turns.passed();
        totals.words[at::CALLS] += passed;
        totals.words[at::ATTEMPTS] += passed;
        for reason in 0..at::REFUSED {
            totals.words[at::REJECTED + reason] += self.lanes.rejected(reason) + self.turns.rejected(reason);
        }
        if let Some(times) = self.times.get() {
            totals.times = times.each_ref().map(|histogram| histogram.get().map(|histogram| histogram.read()));
        }
        totals
    }

    /// Only while no call runs.
    pub(crate) fn forget(&self) {
        (0..WORDS).filter_map(|place| self.known(place)).for_each(|word| word.store(0, Ordering::Relaxed));
        self.times.get().into_iter().flat_map(|times| times.iter()).filter_map(OnceLock::get).for_each(|histogram| histogram.forget());
        self.lanes.forget();
        self.turns.forget();
        self.sampler.forget();
    }
}

/// Counters as they were read. They add up.
#[derive(Clone)]
pub(crate) struct Totals {
    pub(crate) words: [u64; WORDS],
    pub(crate) times: [Option<Buckets>; TIMES],
}

impl Default for Totals {
    fn default() -> Self {
        Self { words: [0; WORDS], times: [None; TIMES] }
    }
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words).for_each(|(sum, count)| *sum += count);
        for (sum, more) in self.times.iter_mut().zip(&other.times) {
            if let Some(more) = more {
                sum.get_or_insert_default().add(more);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|count| *count == 0) && self.times.iter().flatten().all(Buckets::is_empty)
    }
}
