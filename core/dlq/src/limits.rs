//! What a queue may hold, and what happens when it would hold more.
//!
//! | a letter would exceed | archived letters | then, with `reject` | then, with `drop_oldest` |
//! |---|---|---|---|
//! | `max_letters`, `max_bytes` | go first, oldest first: they are recovered | `store.full` | the oldest ready and parked ones go, counted |
//! | `min_free` | stay | `store.full` | `store.full`: removing letters gives no room back at once |
//!
//! Numbers come from the store, at most a second old, and anew before anything is refused or removed. So the letters that other processes write within
//! a second may come on top. A store that is too busy to count refuses nothing. Leased letters are never removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use serde::Deserialize;

use crate::metrics::Meter;
use crate::store::{DeadLetterStore, Evict, Usage};
use crate::{DlqError, Query, State, time};

/// How old a queue's numbers may be.
const FRESH_MS: i64 = 1_000;
/// How often a process looks for letters that are too old.
const SWEEP_MS: i64 = 60_000;
/// The most letters that one look removes, so that the call that pays for it pays little.
const SWEEP: u64 = 1_000;

/// What to do with a letter for a full queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Full {
    /// Refuse it: it goes the way of letters that the store does not take.
    #[default]
    Reject,
    /// Make room for it.
    DropOldest,
}

/// The limits of a queue, as its writers have them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    max_letters: Option<u64>,
    max_bytes: Option<u64>,
    min_free: Option<u64>,
    max_age: Option<Age>,
    retention: Option<Age>,
    when_full: Full,
}

/// A duration, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Age(i64);

impl TryFrom<String> for Age {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let found = time::parse_duration(&text).filter(|ms| *ms > 0);
        found.map(Self).ok_or_else(|| format!("'{text}' is no duration such as '30d'"))
    }
}

/// Letters that had to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// To make room.
    pub(crate) full: u64,
    /// Because of their age.
    pub(crate) expired: u64,
}

impl Dropped {
    pub(crate) fn letters(self) -> u64 {
        self.full + self.expired
    }
}

/// What a process knows of a queue, and has done to it.
#[derive(Default)]
pub(crate) struct Books {
    /// Letters that no step of the chain took.
    pub(crate) lost: AtomicU64,
    /// Letters removed by the limits.
    pub(crate) dropped: AtomicU64,
    pub(crate) meter: Meter,
    known: Mutex<Option<Known>>,
    swept: AtomicI64,
}

#[derive(Clone, Copy)]
struct Known {
    usage: Usage,
    at: i64,
}

/// A letter that wants to come in.
pub(crate) struct Door<'a> {
    pub(crate) store: &'a dyn DeadLetterStore,
    pub(crate) queue: &'a str,
    pub(crate) books: &'a Arc<Books>,
    pub(crate) by: Instant,
    pub(crate) now: i64,
}

impl Door<'_> {
    /// Makes room for a letter of so many bytes, or refuses it.
    pub(crate) fn admit(&self, limits: &Limits, bytes: u64) -> Result<u64, DlqError> {
        if let Some(least) = limits.min_free
            && self.store.free()?.is_some_and(|free| free < least.saturating_add(bytes))
        {
            return Err(self.full("less is free on its disk than", "min_free", least));
        }
        if limits.max_letters.is_none() && limits.max_bytes.is_none() {
            return Ok(0);
        }
        if let Some(most) = limits.max_bytes.filter(|most| bytes > *most) {
            // No room that could be made would do.
            return Err(self.full("a letter is longer than all that", "max_bytes", most));
        }
        let mut known = self.books.known.lock();
        if let Some(now) = known.filter(|known| self.now.saturating_sub(known.at) < FRESH_MS)
            && limits.excess(now.usage, bytes).is_none()
        {
            known.replace(now.plus(bytes));
            return Ok(0);
        }
        let mut dropped = 0;
        // Recovered letters make room whatever the policy is.
        for (states, counted) in [(&[State::Archived][..], false), (&[State::Ready, State::Parked], true)] {
            let Some(usage) = self.look()? else { return Ok(dropped) };
            let fresh = Known { usage, at: self.now };
            let Some((letters, excess)) = limits.excess(usage, bytes) else {
                known.replace(fresh.plus(bytes));
                return Ok(dropped);
            };
            if counted && limits.when_full == Full::Reject {
                break;
            }
            let query = Query { states: states.to_vec(), ..Query::all(self.queue) };
            let gone = self.store.evict(&Evict { query, letters, bytes: excess }, self.by, self.now)?;
            dropped += if counted { gone.letters } else { 0 };
        }
        *known = None;
        match self.look()? {
            Some(usage) if limits.excess(usage, bytes).is_some() => {
                let (name, limit) = limits.reached(usage, bytes);
                self.books.dropped.fetch_add(dropped, Ordering::Relaxed);
                Err(self.full("it holds as much as", name, limit))
            }
            _ => Ok(dropped),
        }
    }

    /// Removes what is too old, now and then: how many of them were not recovered.
    pub(crate) fn sweep(&self, limits: &Limits) -> Result<u64, DlqError> {
        if limits.max_age.is_none() && limits.retention.is_none() {
            return Ok(0);
        }
        let swept = self.books.swept.load(Ordering::Relaxed);
        if swept != 0 && self.now.saturating_sub(swept) < SWEEP_MS {
            return Ok(0);
        }
        self.books.swept.store(self.now, Ordering::Relaxed);
        if let Some(Age(kept)) = limits.retention {
            let before = Some(self.now.saturating_sub(kept));
            let query = Query { states: vec![State::Archived], archived_before: before, ..Query::all(self.queue) };
            self.store.evict(&Evict { query, letters: SWEEP, bytes: 0 }, self.by, self.now)?;
        }
        let Some(Age(oldest)) = limits.max_age else { return Ok(0) };
        let before = Some(self.now.saturating_sub(oldest));
        let query = Query { states: vec![State::Ready, State::Parked], older_than: before, ..Query::all(self.queue) };
        Ok(self.store.evict(&Evict { query, letters: SWEEP, bytes: 0 }, self.by, self.now)?.letters)
    }

    fn look(&self) -> Result<Option<Usage>, DlqError> {
        match self.store.usage(self.queue, self.by, self.now) {
            Ok(usage) => Ok(Some(usage)),
            Err(why) if why.code == "store.busy" => Ok(None),
            Err(why) => Err(why),
        }
    }

    fn full(&self, what: &str, name: &str, limit: u64) -> DlqError {
        DlqError::full(format!("queue '{}' is full: {what} {name} ({limit}) allows; redrive or purge letters, or raise it", self.queue))
    }
}

impl Known {
    fn plus(self, bytes: u64) -> Self {
        let usage = Usage { letters: self.usage.letters + 1, bytes: self.usage.bytes + bytes };
        Self { usage, at: self.at }
    }
}

impl Limits {
    /// How many letters and bytes would be too many with one letter more.
    fn excess(&self, usage: Usage, bytes: u64) -> Option<(u64, u64)> {
        let letters = self.max_letters.map_or(0, |most| (usage.letters + 1).saturating_sub(most));
        let bytes = self.max_bytes.map_or(0, |most| (usage.bytes + bytes).saturating_sub(most));
        (letters > 0 || bytes > 0).then_some((letters, bytes))
    }

    /// The limit that is in the way.
    fn reached(&self, usage: Usage, bytes: u64) -> (&'static str, u64) {
        match (self.max_letters, self.max_bytes) {
            (Some(most), _) if usage.letters + 1 > most => ("max_letters", most),
            (_, Some(most)) if usage.bytes + bytes > most => ("max_bytes", most),
            _ => ("its limit", 0),
        }
    }
}
