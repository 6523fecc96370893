//! Whether a call may pass.

use crate::sync::Ordering;

use super::lease::Decision;
use super::watch::Watch;
use super::word::{History, State, StateWord, update_tagged};
use super::{Breaker, Cell, Sums};
use crate::chance::{Purpose, share};
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::{MS, ceil_ms};

/// The longest that a default lease grows to, in milliseconds.
const LONGEST_LEASE_MS: u64 = 120_000;

/// The right to make one attempt, and to vote once. Opaque to drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    pub(super) generation: u32,
    pub(super) kind: PermitKind,
    /// When it was given, in nanoseconds: a call's duration runs from here.
    pub(super) started: u64,
}

/// Who asks for a permit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// The number of the call within its policy object, and of the attempt within the call: the place of the ask's draws.
    pub ordinal: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Whether the call may be seen as slow while it is in flight: guards and streams are not.
    pub watched: bool,
}

impl Permit {
    /// The same permit, begun so many nanoseconds later: time that was not the callee's does not make it slow.
    #[must_use]
    pub fn postponed(self, by: u64) -> Self {
        Self { started: self.started.saturating_add(by), ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PermitKind {
    Closed { watch: Option<Watch> },
    Trial { slot: u32, deadline_ms: u64 },
    Free,
}

/// Why a call may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: &'static str,
    /// The state that refused.
    pub state: State,
    /// Its generation.
    pub generation: u32,
    /// Milliseconds until another call makes sense, if that is known.
    pub retry_after_ms: Option<u64>,
}

/// The answer, and the transition that asking for it may have caused.
pub type Admission = (Result<Permit, Refusal>, Option<Transition>);

impl Breaker {
    fn lease_ms(&self, lapses: u32) -> u64 {
        let (lease, doubles) = self.lease;
        let doubled = lease.saturating_mul(1 << lapses.min(16));
        if doubles { doubled.min(LONGEST_LEASE_MS.max(lease)) } else { lease }
    }
}

impl Cell<'_> {
    /// Writes down what time alone has decided: that leases have lapsed, or that calls in flight have become slow.
    pub fn settle(&self, now: u64) -> Option<Transition> {
        let word = self.state_word();
        match word.state() {
            State::Closed => self.notice(word, now),
            State::HalfOpen => self.settle_half_open(word, now, 0),
            _ => None,
        }
    }

    /// Whether an admission now would be refused, without any effect.
    #[must_use]
    pub fn would_refuse(&self, ask: Ask, now: u64) -> Option<Refusal> {
        let word = self.state_word();
        let now_ms = now / MS;
        let expired = word.until_ms() > 0 && now_ms >= word.until_ms();
        match word.state() {
            State::Closed => self.sheds(word, ask, now),
            State::Open | State::Isolated if !expired => Some(self.refusal(word, now)),
            State::HalfOpen => match self.decide(word.generation(), self.tally(word.generation(), now_ms), now_ms) {
                Decision::Undecided if !self.has_free_slot(word.generation(), now_ms) => Some(self.refusal(word, now)),
                Decision::Open(from, _) => {
                    // A lapse has opened the circuit, and nobody has written it down yet.
                    let until_ms = from + self.next_break_ms(word.generation(), 0, from);
                    let open = StateWord::new(State::Open, word.generation(), until_ms);
                    (now_ms < until_ms).then(|| self.refusal(open, now))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// When a lease taken or renewed at `now` lapses.
    pub(super) fn lease_from(&self, now: u64) -> u64 {
        ceil_ms(now).saturating_add(self.options.lease_ms(History::read(self.word(at::HISTORY)).lapses))
    }

    fn has_free_slot(&self, generation: u32, now_ms: u64) -> bool {
        let tally = self.tally(generation, now_ms);
        tally.succeeded + tally.failed + tally.held < self.options.slots
    }

    /// Asks for a permit.
    pub fn admit(&self, ask: Ask, now: u64) -> Admission {
        let mut caused = None;
        loop {
            let word = self.state_word();
            let expired = word.until_ms() > 0 && now / MS >= word.until_ms();
            let kind = match word.state() {
                State::Closed => {
                    // A call newly seen as slow is judged before this one is let through.
                    if let Some(transition) = self.notice(word, now) {
                        caused = Some(transition);
                        continue;
                    }
                    if let Some(refusal) = self.sheds(word, ask, now) {
                        self.count_refusal(&refusal, now);
                        return (Err(refusal), caused);
                    }
                    self.count_request(word.generation(), now);
                    PermitKind::Closed { watch: self.watch(word.generation(), ask, now) }
                }
                State::Disabled if !expired => {
                    row!(BreakerDisabled);
                    PermitKind::Free
                }
                State::Open | State::Isolated if !expired => return (Err(self.refuse(word, now)), caused),
                held @ (State::Open | State::Isolated) => {
                    if held == State::Open {
                        row!(BreakerTries);
                    } else {
                        row!(BreakerIsolateOver);
                    }
                    caused = self.transit(word, State::HalfOpen, 0, Sums::default(), 0).or(caused);
                    continue;
                }
                State::Disabled => {
                    row!(BreakerDisableOver);
                    caused = self.close(word, now / MS).or(caused);
                    continue;
                }
                State::HalfOpen => match self.admit_trial(word, now) {
                    Trial::Permit(kind) => kind,
                    Trial::Refused => return (Err(self.refuse(word, now)), caused),
                    Trial::Moved(transition) => {
                        caused = transition.or(caused);
                        continue;
                    }
                },
            };
            return (Ok(Permit { generation: word.generation(), kind, started: now }), caused);
        }
    }

    fn admit_trial(&self, word: StateWord, now: u64) -> Trial {
        let now_ms = now / MS;
        if self.decide(word.generation(), self.tally(word.generation(), now_ms), now_ms) != Decision::Undecided {
            return Trial::Moved(self.settle_half_open(word, now, 0));
        }
        let deadline_ms = self.lease_from(now);
        match self.take_slot(word.generation(), deadline_ms) {
            Some(slot) => {
                row!(BreakerTrial);
                Trial::Permit(PermitKind::Trial { slot, deadline_ms })
            }
            None => Trial::Refused,
        }
    }

    fn refuse(&self, word: StateWord, now: u64) -> Refusal {
        self.count_rejection(word);
        self.refusal(word, now)
    }

    #[inline]
    pub(super) fn count_rejection(&self, word: StateWord) {
        mark_refusal(word.state());
        update_tagged(self.word(at::REJECTED), self.era(word.generation()), |count| count + 1);
    }

    /// Counts a rejection that was made without asking for a permit.
    pub fn count_refusal(&self, refusal: &Refusal, now: u64) {
        mark_refusal(refusal.state);
        if refusal.state == State::Closed {
            self.count_request(refusal.generation, now);
        }
        update_tagged(self.word(at::REJECTED), self.era(refusal.generation), |count| count + 1);
    }

    fn refusal(&self, word: StateWord, now: u64) -> Refusal {
        let now_ms = now / MS;
        let left = |until| Some(left_ms(until, now));
        let (code, retry_after_ms) = match word.state() {
            State::Isolated => ("circuit.isolated", if word.until_ms() > 0 { left(word.until_ms()) } else { None }),
            State::HalfOpen => {
                let earliest = self.tally(word.generation(), now_ms).earliest_ms.map(|ms| ms.saturating_sub(now_ms));
                ("circuit.open", Some(earliest.unwrap_or(u64::MAX).min(self.options.break_ms)))
            }
            _ => ("circuit.open", left(word.until_ms())),
        };
        Refusal { code, state: word.state(), generation: word.generation(), retry_after_ms }
    }

    /// How long the next break is, if it starts at `from_ms`; a server's wait may only lengthen it.
    pub(super) fn next_break_ms(&self, generation: u32, server_ms: u64, from_ms: u64) -> u64 {
        let opens = self.opens_in_a_row(from_ms);
        let options = self.options;
        let grown = options.break_ms.saturating_mul(1 << opens.min(40)).min(options.max_break_ms);
        let server = server_ms.min(options.max_break_ms);
        let spread = |whole: u64| whole.saturating_mul(u64::from(options.break_jitter)) / 10_000;
        let draw = self.source.draw(Purpose::Break, u64::from(generation), 0);
        if server > grown {
            return server + share(draw, spread(server) + 1);
        }
        grown - spread(grown) + share(draw, 2 * spread(grown) + 1)
    }

    /// How many breaks preceded one that starts at `from_ms`; forgotten once the circuit stayed closed long enough.
    pub(super) fn opens_in_a_row(&self, from_ms: u64) -> u32 {
        let history = History::read(self.word(at::HISTORY));
        let calm =
            self.state_word().state() == State::Closed && from_ms.saturating_sub(history.closed_at_ms) >= self.options.reset_after_ms;
        if calm { 0 } else { history.opens }
    }

    pub(super) fn open(&self, word: StateWord, from_ms: u64, server_ms: u64, counts: Sums, lapsed: bool) -> Option<Transition> {
        let opens = self.opens_in_a_row(from_ms);
        let history = History::read(self.word(at::HISTORY));
        let break_ms = self.next_break_ms(word.generation(), server_ms, from_ms);
        let transition = self.transit(word, State::Open, from_ms + break_ms, counts, break_ms)?;
        match (word.state(), lapsed) {
            (State::HalfOpen, true) => row!(BreakerLapses),
            (State::HalfOpen, false) => row!(BreakerReopens),
            _ if history.opens > 0 && opens == 0 => row!(BreakerForgets),
            _ => {}
        }
        if opens > 0 {
            row!(BreakerGrows);
        }
        if opens == 0 && server_ms > self.options.break_ms {
            row!(BreakerServer);
        }
        // Relaxed: told to people, decided upon by nobody.
        self.word(at::FROZEN).store((u64::from(counts.total) << 32) | u64::from(counts.failures), Ordering::Relaxed);
        self.word(at::FROZEN_SLOW).store(u64::from(counts.slow), Ordering::Relaxed);
        History { opens: opens + 1, lapses: history.lapses + u32::from(lapsed), closed_at_ms: 0 }.write(self.word(at::HISTORY));
        Some(transition)
    }

    pub(super) fn close(&self, word: StateWord, now_ms: u64) -> Option<Transition> {
        let history = History::read(self.word(at::HISTORY));
        let transition = self.transit(word, State::Closed, 0, Sums::default(), 0)?;
        // Other expiries than a break's start anew: only a half-open generation remembers how often it opened.
        let opens = if word.state() == State::HalfOpen { history.opens } else { 0 };
        History { opens, lapses: 0, closed_at_ms: now_ms }.write(self.word(at::HISTORY));
        Some(transition)
    }

    /// Makes the transition that the trials call for, if they do.
    pub(super) fn settle_half_open(&self, word: StateWord, now: u64, server_ms: u64) -> Option<Transition> {
        let now_ms = now / MS;
        let tally = self.tally(word.generation(), now_ms);
        match self.decide(word.generation(), tally, now_ms) {
            Decision::Undecided => None,
            Decision::Close => {
                row!(BreakerCloses);
                self.close(word, now_ms)
            }
            Decision::Open(from_ms, lapsed) => {
                let counts = Sums { total: tally.succeeded + tally.failed, failures: tally.failed, slow: 0 };
                self.open(word, from_ms, server_ms, counts, lapsed)
            }
        }
    }
}

/// Rounded up.
#[inline]
pub(super) fn left_ms(until_ms: u64, now: u64) -> u64 {
    until_ms.saturating_mul(MS).saturating_sub(now).div_ceil(MS)
}

#[inline]
fn mark_refusal(state: State) {
    match state {
        State::Open => row!(BreakerRejects),
        State::HalfOpen => row!(BreakerTrialFull),
        State::Isolated => row!(BreakerIsolated),
        State::Closed | State::Disabled => {}
    }
}

enum Trial {
    Permit(PermitKind),
    Refused,
    Moved(Option<Transition>),
}
