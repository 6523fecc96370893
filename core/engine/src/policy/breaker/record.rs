//! What a result does: it votes once, in the generation of its permit, and is judged at once.

use crate::sync::Ordering;

use super::admit::{Permit, PermitKind};
use super::watch::{Ended, Watch};
use super::word::{State, StateWord, Streak, tagged, update_tagged};
use super::{Cell, Sums, Window, count, time_window};
use crate::outcome::Verdict;
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::MS;

/// One vote.
#[derive(Clone, Copy, Debug)]
pub struct Vote {
    /// What the outcome is to this breaker.
    pub verdict: Verdict,
    /// Whether it was the first attempt of its call.
    pub is_first: bool,
    /// Milliseconds that the server asked to be left alone, or 0.
    pub server_ms: u64,
}

impl Cell<'_> {
    /// Ends a permit. A result of another generation is dropped; giving a permit back twice does nothing the second time.
    pub fn record(&self, permit: Permit, vote: Vote, now: u64) -> Option<Transition> {
        match permit.kind {
            PermitKind::Free => None,
            PermitKind::Closed { watch } => self.record_closed(permit, watch, vote, now),
            PermitKind::Trial { slot, deadline_ms } => {
                let succeeded = match vote.verdict {
                    Verdict::Success => Some(true),
                    Verdict::Failure => Some(false),
                    Verdict::Ignored => None,
                };
                self.record_trial(permit.generation, (slot, deadline_ms), succeeded, vote.server_ms, now)
            }
        }
    }

    /// Counts successes that an isolate saw on its own, in the generation in which it was allowed to.
    pub fn record_successes(&self, generation: u32, successes: u32, now: u64) {
        let word = self.state_word();
        if successes == 0 || word.generation() != generation || word.state() != State::Closed {
            return;
        }
        Streak::end(self.word(at::STREAK), self.era(generation));
        match self.options.window {
            Window::Time(width) => time_window::record(self.window, width, generation, now, Sums { total: successes, ..Sums::default() }),
            Window::Count(size) => (0..successes.min(size)).for_each(|_| {
                count::record(self.window, size, self.era(generation), count::Entry::default());
            }),
        }
    }

    /// The generation in which a closed breaker counts now.
    #[must_use]
    pub fn closed_generation(&self) -> Option<u32> {
        let word = self.state_word();
        (word.state() == State::Closed).then_some(word.generation())
    }

    fn record_trial(&self, generation: u32, lease: (u32, u64), succeeded: Option<bool>, server_ms: u64, now: u64) -> Option<Transition> {
        let word = self.state_word();
        if word.generation() != generation || word.state() != State::HalfOpen {
            row!(BreakerStale);
            return None;
        }
        // What lapsed before came first: if it decided, this result is a stale one.
        if let Some(transition) = self.settle_half_open(word, now, 0) {
            return Some(transition);
        }
        // A lease whose deadline has passed has voted already, noticed or not.
        if lease.1 <= now / MS || !self.end_slot(generation, lease.0, lease.1, succeeded, now / MS) {
            return None;
        }
        self.settle_half_open(word, now, server_ms)
    }

    fn record_closed(&self, permit: Permit, watch: Option<Watch>, vote: Vote, now: u64) -> Option<Transition> {
        let generation = permit.generation;
        let word = self.state_word();
        if word.generation() != generation || word.state() != State::Closed {
            row!(BreakerStale);
            return None;
        }
        let failed = vote.verdict == Verdict::Failure;
        if !failed {
            self.count_accept(generation, now);
        }
        let seen = watch.map_or(Ended::Unseen, |watch| self.unwatch(generation, watch, failed));
        // Calls that became slow before now come first; if they open the circuit, this result belongs to a generation that is over.
        if let Some(transition) = self.notice(word, now) {
            return Some(transition);
        }
        match seen {
            _ if vote.verdict == Verdict::Ignored => {
                row!(BreakerIgnores);
                None
            }
            Ended::Seen(place) => self.record_seen(word, place, vote, now),
            Ended::Unseen => self.record_unseen(word, permit, vote, now),
        }
    }

    /// The end of a call that entered the window while it ran: it is not counted again.
    fn record_seen(&self, word: StateWord, place: Option<u64>, vote: Vote, now: u64) -> Option<Transition> {
        if vote.verdict == Verdict::Success {
            row!(BreakerSeenEnds);
            Streak::end(self.word(at::STREAK), self.era(word.generation()));
            return None;
        }
        row!(BreakerSeenFails);
        if let Some(place) = place {
            self.mark_failed(word.generation(), place, now);
        }
        update_tagged(self.word(at::FAILED_AT), self.era(word.generation()), |ms| ms.max(now / MS + 1));
        let streak = Streak::lengthen(self.word(at::STREAK), self.era(word.generation()), vote.is_first);
        self.judge(word, streak, vote.server_ms, now)
    }

    fn record_unseen(&self, word: StateWord, permit: Permit, vote: Vote, now: u64) -> Option<Transition> {
        let generation = permit.generation;
        let failed = vote.verdict == Verdict::Failure;
        let slow = self.options.slow.is_some_and(|(limit, _)| now.saturating_sub(permit.started) > limit);
        if failed || slow {
            update_tagged(self.word(at::FAILED_AT), self.era(generation), |ms| ms.max(now / MS + 1));
        }
        let streak = if failed {
            Streak::lengthen(self.word(at::STREAK), self.era(generation), vote.is_first)
        } else {
            Streak::end(self.word(at::STREAK), self.era(generation));
            Streak::default()
        };
        match self.options.window {
            Window::Time(width) => {
                time_window::record(
                    self.window,
                    width,
                    generation,
                    now,
                    Sums { total: 1, failures: u32::from(failed), slow: u32::from(slow) },
                );
            }
            Window::Count(size) => {
                count::record(self.window, size, self.era(generation), count::Entry { failed, slow });
            }
        }
        self.judge(word, streak, vote.server_ms, now)
    }

    /// Applies the rules after a counted outcome. A success is judged too: it may be the one that reaches minimum throughput.
    pub(super) fn judge(&self, word: StateWord, streak: Streak, server_ms: u64, now: u64) -> Option<Transition> {
        if self.options.throttle || self.is_free_of_trouble(word.generation(), now) {
            row!(BreakerCounts);
            return None;
        }
        let counts = self.window_counts(word.generation(), now);
        self.holds(counts, streak).then(|| self.open(word, now / MS, server_ms, counts, false)).flatten()
    }

    /// Whether the window surely holds neither failure nor slow call, without summing it. The word holds the latest one's millisecond plus one.
    fn is_free_of_trouble(&self, generation: u32, now: u64) -> bool {
        let last = tagged(self.word(at::FAILED_AT).load(Ordering::SeqCst), generation);
        match self.options.window {
            Window::Count(_) => last == 0,
            Window::Time(width) => last == 0 || now / MS > last.saturating_add(width.saturating_mul(at::BUCKETS as u64) / MS),
        }
    }

    fn holds(&self, Sums { total, failures, slow }: Sums, streak: Streak) -> bool {
        let options = self.options;
        let share = |part: u32, ratio: u32| {
            part > 0 && total >= options.minimum_throughput && u64::from(part) * 10_000 >= u64::from(ratio) * u64::from(total)
        };
        let ratio = options.failure_ratio.is_some_and(|ratio| share(failures, ratio));
        let slow = options.slow.is_some_and(|(_, ratio)| share(slow, ratio));
        let consecutive = options.consecutive.is_some_and(|limit| streak.every >= limit);
        let quiet = options.quiet_streak.is_some_and(|limit| streak.first >= limit && total < options.minimum_throughput);
        match () {
            () if ratio => row!(BreakerRatio),
            () if slow => row!(BreakerSlow),
            () if consecutive => row!(BreakerConsecutive),
            () if quiet => row!(BreakerQuiet),
            () => row!(BreakerCounts),
        }
        ratio || slow || consecutive || quiet
    }
}
