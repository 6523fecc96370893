//! Whether a call may pass.

use crate::sync::Ordering;

use super::lease::Decision;
use super::word::{History, State, StateWord, update_tagged};
use super::{Breaker, Cell};
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PermitKind {
    Closed,
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
    /// Whether an admission now would be refused, without any effect.
    #[must_use]
    pub fn would_refuse(&self, now: u64) -> Option<Refusal> {
        let word = self.state_word();
        let now_ms = now / MS;
        let expired = word.until_ms() > 0 && now_ms >= word.until_ms();
        match word.state() {
            State::Open | State::Isolated if !expired => Some(self.refusal(word, now)),
            State::HalfOpen => match self.decide(self.tally(word.generation(), now_ms), now_ms) {
                Decision::Undecided if !self.has_free_slot(word.generation(), now_ms) => Some(self.refusal(word, now)),
                Decision::Open(from_ms, _) => self.refusal_since(word, now, from_ms),
                _ => None,
            },
            _ => None,
        }
    }

    /// The refusal of a circuit that a lapse opened at `from_ms`, though nobody has noticed yet; none once that break is over too.
    fn refusal_since(&self, word: StateWord, now: u64, from_ms: u64) -> Option<Refusal> {
        let until = from_ms.saturating_add(self.next_break_ms(word.generation(), 0, from_ms)).saturating_mul(MS);
        let left_ms = until.saturating_sub(now).div_ceil(MS);
        let refusal = Refusal { code: "circuit.open", state: State::Open, generation: word.generation(), retry_after_ms: Some(left_ms) };
        (left_ms > 0).then_some(refusal)
    }

    fn has_free_slot(&self, generation: u32, now_ms: u64) -> bool {
        let tally = self.tally(generation, now_ms);
        tally.succeeded + tally.failed + tally.held < self.options.slots
    }

    /// Asks for a permit.
    pub fn admit(&self, now: u64) -> Admission {
        let mut caused = None;
        loop {
            let word = self.state_word();
            let expired = word.until_ms() > 0 && now / MS >= word.until_ms();
            let kind = match word.state() {
                State::Closed => PermitKind::Closed,
                State::Disabled if !expired => PermitKind::Free,
                State::Open | State::Isolated if !expired => return (Err(self.refuse(word, now)), caused),
                State::Open | State::Isolated => {
                    caused = self.transit(word, State::HalfOpen, 0, (0, 0), 0).or(caused);
                    continue;
                }
                State::Disabled => {
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
            return (Ok(Permit { generation: word.generation(), kind }), caused);
        }
    }

    fn admit_trial(&self, word: StateWord, now: u64) -> Trial {
        let now_ms = now / MS;
        if self.decide(self.tally(word.generation(), now_ms), now_ms) != Decision::Undecided {
            return Trial::Moved(self.settle_half_open(word, now, 0));
        }
        let lapses = History::read(self.word(at::HISTORY)).lapses;
        let deadline_ms = ceil_ms(now) + self.options.lease_ms(lapses);
        match self.take_slot(word.generation(), deadline_ms) {
            Some(slot) => Trial::Permit(PermitKind::Trial { slot, deadline_ms }),
            None => Trial::Refused,
        }
    }

    fn refuse(&self, word: StateWord, now: u64) -> Refusal {
        update_tagged(self.word(at::REJECTED), word.generation(), |count| count + 1);
        self.refusal(word, now)
    }

    /// Counts a rejection that was made without asking for a permit.
    pub fn count_refusal(&self, refusal: &Refusal) {
        update_tagged(self.word(at::REJECTED), refusal.generation, |count| count + 1);
    }

    fn refusal(&self, word: StateWord, now: u64) -> Refusal {
        let now_ms = now / MS;
        let left = |until: u64| Some(until.saturating_mul(MS).saturating_sub(now).div_ceil(MS));
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
    fn opens_in_a_row(&self, from_ms: u64) -> u32 {
        let history = History::read(self.word(at::HISTORY));
        let calm =
            self.state_word().state() == State::Closed && from_ms.saturating_sub(history.closed_at_ms) >= self.options.reset_after_ms;
        if calm { 0 } else { history.opens }
    }

    pub(super) fn open(&self, word: StateWord, from_ms: u64, server_ms: u64, counts: (u32, u32), lapsed: bool) -> Option<Transition> {
        let opens = self.opens_in_a_row(from_ms);
        let history = History::read(self.word(at::HISTORY));
        let break_ms = self.next_break_ms(word.generation(), server_ms, from_ms);
        let transition = self.transit(word, State::Open, from_ms + break_ms, counts, break_ms)?;
        self.word(at::FROZEN).store((u64::from(counts.0) << 32) | u64::from(counts.1), Ordering::Relaxed);
        History { opens: opens + 1, lapses: history.lapses + u32::from(lapsed), closed_at_ms: 0 }.write(self.word(at::HISTORY));
        Some(transition)
    }

    pub(super) fn close(&self, word: StateWord, now_ms: u64) -> Option<Transition> {
        let history = History::read(self.word(at::HISTORY));
        let transition = self.transit(word, State::Closed, 0, (0, 0), 0)?;
        // Other expiries than a break's start anew: only a half-open generation remembers how often it opened.
        let opens = if word.state() == State::HalfOpen { history.opens } else { 0 };
        History { opens, lapses: 0, closed_at_ms: now_ms }.write(self.word(at::HISTORY));
        Some(transition)
    }

    /// Makes the transition that the trials call for, if they do.
    pub(super) fn settle_half_open(&self, word: StateWord, now: u64, server_ms: u64) -> Option<Transition> {
        let now_ms = now / MS;
        let tally = self.tally(word.generation(), now_ms);
        match self.decide(tally, now_ms) {
            Decision::Undecided => None,
            Decision::Close => self.close(word, now_ms),
            Decision::Open(from_ms, lapsed) => self.open(word, from_ms, server_ms, (tally.succeeded + tally.failed, tally.failed), lapsed),
        }
    }
}

enum Trial {
    Permit(PermitKind),
    Refused,
    Moved(Option<Transition>),
}
