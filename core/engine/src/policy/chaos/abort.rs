//! What ends an experiment early: a circuit that opens, or too many calls that fail. It then injects nothing more until another takes its
//! place, and whoever ends it says so, once.

use crate::sync::{AtomicU64, Ordering};

use super::Chaos;
use crate::fault::{Fault, seeded};
use crate::table::layout::chaos::{CALLS, ENDED, WATCHED};

/// Calls over which the ratio is judged: the last so many that ended.
pub const CALLS_JUDGED: u32 = 50;

const OUTCOMES: u64 = (1 << CALLS_JUDGED) - 1;
const COUNT_BITS: u32 = 6;
const TAG_BITS: u32 = 8;
const OPENINGS_BITS: u32 = 48;

/// The compiled `abort_when`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abort {
    /// The policy's own circuit opens.
    pub opens: bool,
    /// The circuit of another policy opens.
    pub opens_elsewhere: bool,
    /// Parts per 10,000 of the last calls that failed, and the fewest calls that are judged.
    pub ratio: Option<(u32, u32)>,
}

/// Why an experiment was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A watched circuit opened.
    BreakerOpen = 1,
    /// Too many calls failed.
    FailureRatio = 2,
}

impl Reason {
    /// Its word on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker_open",
            Self::FailureRatio => "failure_ratio",
        }
    }
}

impl Chaos {
    /// Why this experiment was ended early, if it was. Relaxed: the word stands for itself.
    #[must_use]
    pub fn aborted(&self, words: &[AtomicU64]) -> Option<Reason> {
        let word = words[ENDED].load(Ordering::Relaxed);
        if word == 0 || word >> 2 != u64::from(self.number) {
            return None;
        }
        Some(if word & 3 == 1 { Reason::BreakerOpen } else { Reason::FailureRatio })
    }

    /// The policy's own circuit opened. Gives the reason to whoever has ended the experiment by it.
    #[must_use]
    pub fn opened(&self, words: &[AtomicU64], now: u64) -> Option<Reason> {
        let ended = (self.abort.opens && !self.is_over(now)).then(|| self.end(words, Reason::BreakerOpen)).flatten();
        if ended.is_some() {
            row!(ChaosAbortsOpen);
        }
        ended
    }

    /// Another policy's circuits have opened `openings` times. More often than when this experiment first looked ends it.
    #[must_use]
    pub fn watch(&self, words: &[AtomicU64], openings: u64, now: u64) -> Option<Reason> {
        if !self.abort.opens_elsewhere || self.is_over(now) {
            return None;
        }
        let tag = u64::from(self.number) << OPENINGS_BITS;
        let seen = tag | openings.saturating_add(1).min((1 << OPENINGS_BITS) - 1);
        let word = &words[WATCHED];
        // Relaxed: the word stands for itself. The first look of an experiment stays; an opening that it misses is the next look's.
        let first = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            (old == 0 || old >> OPENINGS_BITS != tag >> OPENINGS_BITS).then_some(seen)
        });
        let ended = first.is_err_and(|first| first < seen).then(|| self.end(words, Reason::BreakerOpen)).flatten();
        if ended.is_some() {
            row!(ChaosAbortsWatched);
        }
        ended
    }

    /// A call ended, well or not.
    #[must_use]
    pub fn call_ended(&self, words: &[AtomicU64], failed: bool, now: u64) -> Option<Reason> {
        let (ratio, minimum) = self.abort.ratio?;
        if self.is_over(now) {
            return None;
        }
        let tag = u64::from(self.number) & ((1 << TAG_BITS) - 1);
        let mut after = 0;
        // Relaxed: outcome and count are one exchange; of calls that end at once each is judged with all those before it.
        let _ = words[CALLS].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            let kept = if old >> (COUNT_BITS + CALLS_JUDGED) == tag { old } else { 0 };
            let count = ((kept >> CALLS_JUDGED) & ((1 << COUNT_BITS) - 1)).saturating_add(1).min(u64::from(CALLS_JUDGED));
            after = (tag << (COUNT_BITS + CALLS_JUDGED)) | (count << CALLS_JUDGED) | ((kept << 1) & OUTCOMES) | u64::from(failed);
            Some(after)
        });
        let (total, failures) = ((after >> CALLS_JUDGED) & ((1 << COUNT_BITS) - 1), u64::from((after & OUTCOMES).count_ones()));
        let too_many = total >= u64::from(minimum) && failures * 10_000 >= total * u64::from(ratio);
        let ended = too_many.then(|| self.end(words, Reason::FailureRatio)).flatten();
        if ended.is_some() {
            row!(ChaosAbortsRatio);
        }
        ended
    }

    /// Relaxed: the exchange alone decides who ended it. A later experiment's end is never undone by an earlier one's.
    fn end(&self, words: &[AtomicU64], reason: Reason) -> Option<Reason> {
        let number = u64::from(self.number);
        if seeded(Fault::AbortLooksFirst) {
            let was = words[ENDED].load(Ordering::Relaxed) >> 2;
            words[ENDED].store((number << 2) | reason as u64, Ordering::Relaxed);
            return (was < number).then_some(reason);
        }
        let ended = words[ENDED]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| (old >> 2 < number).then_some((number << 2) | reason as u64));
        ended.is_ok().then_some(reason)
    }
}

#[cfg(test)]
mod tests;
