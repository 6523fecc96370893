//! Circuit breaker.
//!
//! | from | on | to |
//! |---|---|---|
//! | closed | an outcome after which a rule holds | open, until `now` + break |
//! | closed | an admission that finds a call slow in flight, and a rule holds | open, until `now` + break; the call is rejected |
//! | open | an admission at or after the deadline | half open, its caller the first trial |
//! | half open | `half_open_successes` trials succeeded | closed |
//! | half open | too many trials failed or lapsed for that | open, from the failure or the lapse |
//! | any | `isolate`, `disable` | isolated, disabled |
//! | isolated | its expiry | half open |
//! | disabled | its expiry | closed |
//! | any | `reset` | closed |
//!
//! The generation changes with every transition and starts an empty window. A permit carries the generation it was given in, and a
//! result counts only if the exchange that commits it still finds that generation.
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#circuit-breaker.

mod admit;
mod count;
mod disown;
mod lease;
mod plain;
mod record;
mod shed;
mod time_window;
mod watch;
mod word;

use crate::sync::{AtomicU64, Ordering};

pub use admit::{Admission, Ask, Permit, Refusal};
pub use record::Vote;
pub use word::State;

use crate::chance::Source;
use crate::fault::{Fault, seeded};
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::MS;
use word::{Era, History, StateWord};

/// The compiled options. Ratios are parts per 10,000.
#[derive(Clone, Debug)]
pub struct Breaker {
    /// Share of failures that opens, if the ratio rule is in force.
    pub failure_ratio: Option<u32>,
    /// Outcomes before the ratio is judged.
    pub minimum_throughput: u32,
    /// The slow rule, if it is in force: nanoseconds beyond which a call is slow, and the share of slow calls that opens.
    pub slow: Option<(u64, u32)>,
    /// Whether a share of calls is rejected in place of opening by the rules.
    pub throttle: bool,
    /// Milliseconds after a close over which the share of calls let through grows from a tenth to all.
    pub ramp_ms: Option<u64>,
    /// What the rules look at.
    pub window: Window,
    /// The explicit count rule: so many failures in a row, every attempt counted.
    pub consecutive: Option<u32>,
    /// The default count rule: so many failed first attempts in a row while the window is below minimum throughput.
    pub quiet_streak: Option<u32>,
    /// The first break, in milliseconds.
    pub break_ms: u64,
    /// The longest break, in milliseconds.
    pub max_break_ms: u64,
    /// Spread of a break.
    pub break_jitter: u32,
    /// Milliseconds closed after which breaks start short again.
    pub reset_after_ms: u64,
    /// Half-open slots.
    pub slots: u32,
    /// Successes that close.
    pub successes_to_close: u32,
    /// Milliseconds of a lease, and whether it is the default one, which doubles when it lapses.
    pub lease: (u64, bool),
    /// Whether `on` was given.
    pub has_on: bool,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Ten buckets of so many nanoseconds each.
    Time(u64),
    /// The last so many outcomes.
    Count(u32),
}

/// A breaker's counts, of the current window and since the last transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Outcomes in the window.
    pub total: u32,
    /// Failures in the window.
    pub failures: u32,
    /// Slow calls in the window; a slow failure is among both.
    pub slow: u32,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Rejections since the last transition.
    pub rejected: u64,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Outcomes.
    pub total: u32,
    /// Failures.
    pub failures: u32,
    /// Slow calls; a slow failure is among both.
    pub slow: u32,
}

/// One breaker: options, its words, and where its jitter is drawn from.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    /// The options.
    pub options: &'a Breaker,
    /// The fixed words, at least [`Breaker::words`] of them.
    pub words: &'a [AtomicU64],
    /// The window's words, at least [`Breaker::window_words`] of them.
    pub window: &'a [AtomicU64],
    /// The draws.
    pub source: Source,
}

impl Breaker {
    /// How many fixed words a breaker needs: the same for all options.
    #[must_use]
    pub const fn words(&self) -> usize {
        at::WORDS
    }

    /// How many words the window of a breaker with these options needs: the outcomes, then `throttle`, then the calls watched in flight.
    #[must_use]
    pub fn window_words(&self) -> usize {
        let throttle = if self.throttle { at::THROTTLE_WORDS } else { 0 };
        let watched = if self.slow.is_some() { 1 + at::WATCHED } else { 0 };
        self.outcome_words() + throttle + watched
    }

    fn outcome_words(&self) -> usize {
        match self.window {
            Window::Time(_) => at::BUCKET_WORDS * at::BUCKETS,
            Window::Count(size) => count::words(size),
        }
    }
}

impl<'a> Cell<'a> {
    #[inline]
    fn word(&self, at: usize) -> &'a AtomicU64 {
        &self.words[at]
    }

    /// SeqCst on the state word: recorders read it after they wrote the window, and transitions write it before anybody counts in the
    /// new generation; one of the two must see the other.
    #[inline]
    fn state_word(&self) -> StateWord {
        StateWord(self.word(at::STATE).load(Ordering::SeqCst))
    }

    #[inline]
    fn era(&self, generation: u32) -> Era<'a> {
        Era { generation, state: self.word(at::STATE) }
    }

    /// The judged state, without any effect: expiries and lapses are noticed, nothing is written.
    #[must_use]
    pub fn state(&self, now: u64) -> State {
        let word = self.state_word();
        let expired = word.until_ms() > 0 && now / MS >= word.until_ms();
        match word.state() {
            State::Open | State::Isolated if expired => State::HalfOpen,
            State::Disabled if expired => State::Closed,
            State::HalfOpen => self.half_open_state(word, now),
            state => state,
        }
    }

    /// The counts of the current window.
    #[must_use]
    pub fn counts(&self, now: u64) -> Counts {
        let generation = self.state_word().generation();
        let Sums { total, failures, slow } = self.window_counts(generation, now);
        Counts {
            total,
            failures,
            slow,
            consecutive_failures: word::Streak::read(self.word(at::STREAK), generation).every,
            rejected: word::tagged(self.word(at::REJECTED).load(Ordering::Relaxed), generation),
        }
    }

    /// The window's totals at the moment of the last trip.
    #[must_use]
    pub fn frozen(&self) -> Sums {
        let word = self.word(at::FROZEN).load(Ordering::Relaxed);
        let slow = self.word(at::FROZEN_SLOW).load(Ordering::Relaxed) as u32;
        Sums { total: (word >> 32) as u32, failures: word as u32, slow }
    }

    fn window_counts(&self, generation: u32, now: u64) -> Sums {
        match self.options.window {
            Window::Time(width) => time_window::sum(self.window, width, generation, now),
            Window::Count(size) => count::sum(self.window, size, generation),
        }
    }

    /// Moves from `seen` to `to`; `None` if somebody else moved first.
    fn transit(&self, seen: StateWord, to: State, until_ms: u64, counts: Sums, break_ms: u64) -> Option<Transition> {
        let next = StateWord::new(to, seen.generation().wrapping_add(1), until_ms);
        let done = Transition {
            from: seen.state(),
            to,
            generation: next.generation(),
            total: counts.total,
            failures: counts.failures,
            slow: counts.slow,
            break_ms,
        };
        if seeded(Fault::TransitionByStore) {
            self.word(at::STATE).store(next.0, Ordering::SeqCst);
            return Some(done);
        }
        self.word(at::STATE).compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| done)
    }

    /// Holds the circuit open (`Isolated`) or lets everything through (`Disabled`), until `until_ms` or, at 0, until reset.
    pub fn hold(&self, state: State, until_ms: u64, now: u64) -> Transition {
        // A circuit that was closed long enough has forgotten its breaks; what follows the hold must not remember them.
        let opens = self.opens_in_a_row(now / MS);
        if state == State::Isolated {
            row!(BreakerIsolate);
        } else {
            row!(BreakerDisable);
        }
        let transition = self.force(state, until_ms);
        History { opens, ..History::read(self.word(at::HISTORY)) }.write(self.word(at::HISTORY));
        transition
    }

    /// Closes the circuit and forgets its history.
    pub fn reset(&self) -> Transition {
        row!(BreakerReset);
        let transition = self.force(State::Closed, 0);
        self.word(at::HISTORY).store(0, Ordering::SeqCst);
        transition
    }

    fn force(&self, state: State, until_ms: u64) -> Transition {
        loop {
            if let Some(transition) = self.transit(self.state_word(), state, until_ms, Sums::default(), 0) {
                return transition;
            }
        }
    }
}
