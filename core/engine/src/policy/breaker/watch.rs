//! Slow in flight: a bounded table of the calls that run, so that one that never ends is seen as slow all the same.
//!
//! | entry | on | to |
//! |---|---|---|
//! | free | an admission | held until the call is slow |
//! | held | the call ends | free; the call counts as any other |
//! | held | somebody sees that it is slow | claimed, by one of them |
//! | claimed | the slow call is in the window | noticed, with its place there |
//! | claimed | the call fails meanwhile | failed; whoever claimed it marks the place, then frees the entry |
//! | claimed, noticed | the call ends | free; a failure marks its place |
//!
//! An entry of another generation reads as free. Beyond the table a call is judged at its end. One word keeps the earliest moment at which an
//! entry may be due, so the healthy path reads one word and scans at most once per `slow_call_duration`.

use crate::sync::{AtomicU64, Ordering};

use super::word::{State, StateWord, Streak, tag, tagged, update_tagged};
use super::{Ask, Cell, Sums, Window, count, time_window};
use crate::step::Transition;
use crate::table::layout::breaker as at;
use crate::time::MS;

const FREE: u64 = 0;
const HELD: u64 = 1;
const CLAIMED: u64 = 2;
const NOTICED: u64 = 3;
const FAILED: u64 = 4;
const VALUE: u64 = (1 << 45) - 1;

/// Nanoseconds per unit of a due moment, as a shift: 45 bits of these are 18 years.
const UNIT: u32 = 14;

/// A call's entry, as its permit knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    entry: usize,
    due: u64,
}

/// How a watched call stood when it ended.
pub(super) enum Ended {
    /// Nobody had seen that it was slow: it counts as any other.
    Unseen,
    /// It is in the window already; its place, if that is for the ender to mark.
    Seen(Option<u64>),
}

fn pack(generation: u32, code: u64, value: u64) -> u64 {
    (tag(generation) << 48) | (code << 45) | (value & VALUE)
}

/// The word of an entry without the call that it is of.
pub(super) fn disowned(word: u64) -> u64 {
    (word >> 48) << 48
}

impl<'a> Cell<'a> {
    fn watched(&self) -> &'a [AtomicU64] {
        let end = self.options.window_words();
        &self.window[end - at::WATCHED..end]
    }

    fn due(&self) -> &'a AtomicU64 {
        &self.window[self.options.window_words() - at::WATCHED - 1]
    }

    /// Watches a call that starts now, if the slow rule is on and there is room.
    pub(super) fn watch(&self, generation: u32, ask: Ask, now: u64) -> Option<Watch> {
        let (limit, _) = self.options.slow.filter(|_| ask.watched)?;
        // The first unit that lies wholly beyond the limit: never early, at most one unit late.
        let due = ((now.saturating_add(limit) >> UNIT) + 1) & VALUE;
        let held = pack(generation, HELD, due);
        let first = (ask.ordinal as usize).wrapping_add(ask.attempt as usize);
        let entry = (0..at::WATCHED).map(|step| first.wrapping_add(step) % at::WATCHED).find(|entry| {
            let word = &self.watched()[*entry];
            let seen = word.load(Ordering::SeqCst);
            let free = if seen >> 48 == tag(generation) { (seen >> 45) & 7 == FREE } else { self.era(generation).is_present() };
            // SeqCst: the entry is in the table before `due` is read below; see `notice`.
            free && word.compare_exchange(seen, held, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        })?;
        self.lower_due(generation, due);
        Some(Watch { entry, due })
    }

    fn lower_due(&self, generation: u32, due: u64) {
        let earliest = tagged(self.due().load(Ordering::SeqCst), generation);
        if earliest == 0 || earliest > due {
            update_tagged(self.due(), self.era(generation), |earliest| if earliest == 0 { due } else { earliest.min(due) });
        }
    }

    /// Ends a call's entry.
    pub(super) fn unwatch(&self, generation: u32, watch: Watch, failed: bool) -> Ended {
        let mut ended = Ended::Unseen;
        // Options that came meanwhile may watch nobody.
        if self.options.slow.is_none() {
            return ended;
        }
        let word = &self.watched()[watch.entry % at::WATCHED];
        // SeqCst: claims, ends and notices of one entry are ordered by its word alone, and its place is written before `NOTICED` names it.
        let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seen| {
            let value = seen & VALUE;
            ended = Ended::Unseen;
            if seen >> 48 != tag(generation) {
                return None;
            }
            match (seen >> 45) & 7 {
                HELD if value == watch.due => Some(pack(generation, FREE, 0)),
                CLAIMED if value == watch.due => {
                    ended = Ended::Seen(None);
                    Some(if failed { pack(generation, FAILED, value) } else { pack(generation, FREE, 0) })
                }
                NOTICED => {
                    ended = Ended::Seen(Some(value));
                    Some(pack(generation, FREE, 0))
                }
                _ => None,
            }
        });
        ended
    }

    /// Counts the calls that became slow in flight, and judges if there were any.
    pub(super) fn notice(&self, word: StateWord, now: u64) -> Option<Transition> {
        self.options.slow?;
        let generation = word.generation();
        // SeqCst: a call is entered first and reads `due` after. Either it reads the word as this exchange leaves it, and writes its own
        // moment, or its entry precedes the exchange and the scan finds it. So no entry is ever without a moment that leads to it.
        let seen = self.due().load(Ordering::SeqCst);
        let earliest = tagged(seen, generation);
        if word.state() != State::Closed || earliest == 0 || now >> UNIT < earliest {
            return None;
        }
        self.due().compare_exchange(seen, pack(generation, 0, 0), Ordering::SeqCst, Ordering::SeqCst).ok()?;
        let mut noticed = false;
        for entry in self.watched() {
            let seen = entry.load(Ordering::SeqCst);
            let due = seen & VALUE;
            if seen & !VALUE != pack(generation, HELD, 0) {
                continue;
            }
            if now >> UNIT < due {
                self.lower_due(generation, due);
            } else if entry.compare_exchange(seen, pack(generation, CLAIMED, due), Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                row!(BreakerInFlight);
                self.count_in_flight(entry, generation, due, now);
                noticed = true;
            }
        }
        if noticed { self.judge(word, Streak::read(self.word(at::STREAK), generation), 0, now) } else { None }
    }

    /// Enters one claimed call into the window, and tells its entry where.
    fn count_in_flight(&self, entry: &AtomicU64, generation: u32, due: u64, now: u64) {
        update_tagged(self.word(at::FAILED_AT), self.era(generation), |ms| ms.max(now / MS + 1));
        let place = match self.options.window {
            Window::Time(width) => {
                time_window::record(self.window, width, generation, now, Sums { total: 1, failures: 0, slow: 1 });
                Some(now / width)
            }
            Window::Count(size) => count::record(self.window, size, self.era(generation), count::Entry { failed: false, slow: true }),
        };
        let Some(place) = place else { return };
        let claimed = pack(generation, CLAIMED, due);
        // A reused entry never equals `claimed`: it is due later than this one was.
        if entry.compare_exchange(claimed, pack(generation, NOTICED, place), Ordering::SeqCst, Ordering::SeqCst)
            == Err(pack(generation, FAILED, due))
        {
            self.mark_failed(generation, place, now);
            entry.store(pack(generation, FREE, 0), Ordering::SeqCst);
        }
    }

    /// Makes the slow outcome at `place` a failure too, if it is still in the window.
    pub(super) fn mark_failed(&self, generation: u32, place: u64, now: u64) {
        match self.options.window {
            Window::Time(width) => time_window::mark_failed(self.window, width, generation, now, place),
            Window::Count(size) => count::mark_failed(self.window, size, self.era(generation), place),
        }
    }
}
