//! Adaptive limit: the number of a bulkhead's slots, found by watching how long attempts take.
//!
//! | a window is over, and | then the limit |
//! |---|---|
//! | of its attempts a tenth were cut or told that the server is overloaded | falls to nine tenths |
//! | at most half of the slots were ever in use | stays: nobody knows what more would do |
//! | over the last windows more attempts in flight brought latency and no throughput | falls a step |
//! | there are less than 50 samples (AIMD), and they took twice as long as the baseline | falls to nine tenths |
//! | there are less than 50 samples otherwise | grows by one |
//! | many attempts wait (the gradient), and latency does not run against the number in flight | falls towards the baseline's share |
//! | many wait, but latency rises while fewer are in flight | stays, and the baseline is learned anew |
//! | few attempts wait | grows a step, or three if hardly any do |
//! | otherwise | stays |
//!
//! A sample is an attempt that succeeded: a failure may come early, and a cancelled attempt says nothing. A window lasts a second, and up to ten
//! until it has ten samples. The law is in `law.rs`; ADR 8 has its sources and its reasons.
//!
//! Whoever ends an attempt adds to the window's sums; one of those who find the window over judges it. All words are of one key.
//!
//! Every row, and the vectors that take it: docs/spec/transitions.md#adaptive.

mod law;

pub use law::Reason;
use law::{Point, Window};

use crate::fault::{Fault, seeded};
use crate::sync::{AtomicU64, Ordering};
use crate::table::layout::adaptive_limit::{BASELINE, HEAD, LIMIT, LOAD, OUTCOMES, PEAK, POINTS, START, SUM, WINDOWS, WORDS};
use crate::time::MS;

/// Where the limit starts.
const INITIAL: u32 = 16;
/// A window's length, and the longest that it waits for samples, in milliseconds.
const WINDOW_MS: u64 = 1_000;
const LONGEST_MS: u64 = 10_000;
/// Samples without which nothing is judged before the window's longest.
const FEWEST: u64 = 10;

/// In `START`: somebody is judging.
const JUDGING: u64 = 1 << 63;

/// The compiled options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveLimit {
    /// The lowest limit.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

/// What an attempt says about the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// It took so many nanoseconds.
    Took(u64),
    /// A time limit cut it, or the server said that it is overloaded.
    Dropped,
}

/// A limit that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The limit before.
    pub from: u32,
    /// The limit from now on.
    pub to: u32,
    /// Why.
    pub reason: Reason,
}

impl AdaptiveLimit {
    /// The limit in force.
    #[must_use]
    pub fn limit(self, words: &[AtomicU64]) -> u32 {
        // Relaxed: a limit that is a moment old is as good.
        let word = words.get(LIMIT).map_or(0, |word| word.load(Ordering::Relaxed));
        let limit = if word == 0 { INITIAL } else { u32::try_from(word).unwrap_or(u32::MAX) };
        limit.clamp(self.min, self.max)
    }

    /// An attempt ended while `in_flight` were in flight, itself included. Gives what that does to the limit.
    pub fn observe(self, words: &[AtomicU64], now: u64, sample: Sample, in_flight: u32) -> Option<Change> {
        if words.len() < WORDS {
            return None;
        }
        add(words, sample, in_flight);
        let now_ms = now / MS + 1;
        let start = words[START].load(Ordering::Acquire);
        if start == 0 {
            // Relaxed: whoever is first begins the window, and nothing was written before it.
            let _ = words[START].compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
            return None;
        }
        if start & JUDGING != 0 || !is_over(words, now_ms.saturating_sub(start)) {
            return None;
        }
        // Acquire pairs with the Release below: what the last judge wrote is seen by the next.
        let taken = words[START].compare_exchange(start, start | JUDGING, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() && !seeded(Fault::EverybodyJudges) {
            return None;
        }
        let change = self.judge(words, now_ms - start);
        words[START].store(now_ms, Ordering::Release);
        change
    }

    fn judge(self, words: &[AtomicU64], elapsed_ms: u64) -> Option<Change> {
        let outcomes = take(&words[OUTCOMES]);
        let window = Window {
            samples: outcomes & u64::from(u32::MAX),
            drops: outcomes >> 32,
            sum_us: take(&words[SUM]),
            load: take(&words[LOAD]),
            peak: take(&words[PEAK]),
            elapsed_ms: elapsed_ms.max(1),
        };
        let from = self.limit(words);
        let baseline_us = words[BASELINE].load(Ordering::Relaxed);
        // A window that time closed tells next to nothing about throughput.
        if window.samples >= FEWEST {
            remember(words, &window);
        }
        let mut points = [Point::default(); WINDOWS];
        let count = recall(words, &mut points);
        let verdict = law::judge(from, baseline_us, &points[..count], &window);
        // Relaxed, these two: judges hand them on by `START`; the limit alone is read by others, and stands for itself.
        words[BASELINE].store(verdict.baseline_us, Ordering::Relaxed);
        let to = verdict.limit.clamp(self.min, self.max);
        words[LIMIT].store(u64::from(to), Ordering::Relaxed);
        (to != from).then_some(Change { from, to, reason: verdict.reason })
    }
}

/// Relaxed throughout: sums of a window that one judge takes. A sample that ends in the moment of judging may be split between two windows.
fn add(words: &[AtomicU64], sample: Sample, in_flight: u32) {
    words[PEAK].fetch_max(u64::from(in_flight), Ordering::Relaxed);
    match sample {
        Sample::Took(ns) => {
            words[SUM].fetch_add((ns / 1_000).max(1), Ordering::Relaxed);
            words[LOAD].fetch_add(u64::from(in_flight), Ordering::Relaxed);
            words[OUTCOMES].fetch_add(1, Ordering::Relaxed);
        }
        Sample::Dropped => {
            words[OUTCOMES].fetch_add(1 << 32, Ordering::Relaxed);
        }
    }
}

fn take(word: &AtomicU64) -> u64 {
    if seeded(Fault::SumTakenByStore) {
        let value = word.load(Ordering::Relaxed);
        word.store(0, Ordering::Relaxed);
        return value;
    }
    word.swap(0, Ordering::Relaxed)
}

fn is_over(words: &[AtomicU64], elapsed_ms: u64) -> bool {
    let outcomes = words[OUTCOMES].load(Ordering::Relaxed);
    let enough = outcomes & u64::from(u32::MAX) >= FEWEST || outcomes >> 32 >= FEWEST;
    elapsed_ms >= if enough { WINDOW_MS } else { LONGEST_MS }
}

/// Keeps a window's point in the ring. Only the judge writes there.
fn remember(words: &[AtomicU64], window: &Window) {
    let Some(point) = window.point() else { return };
    let head = words[HEAD].load(Ordering::Relaxed);
    let place = POINTS + 2 * (head as usize % WINDOWS);
    words[place].store(u64::from(point.load_milli) << 32 | u64::from(point.took_us), Ordering::Relaxed);
    words[place + 1].store(point.throughput, Ordering::Relaxed);
    words[HEAD].store(head + 1, Ordering::Relaxed);
}

/// The latest points, in no order; how many there are.
fn recall(words: &[AtomicU64], points: &mut [Point; WINDOWS]) -> usize {
    let count = (words[HEAD].load(Ordering::Relaxed) as usize).min(WINDOWS);
    for (place, point) in points.iter_mut().enumerate().take(count) {
        let pair = words[POINTS + 2 * place].load(Ordering::Relaxed);
        let throughput = words[POINTS + 2 * place + 1].load(Ordering::Relaxed);
        *point = Point { load_milli: (pair >> 32) as u32, took_us: pair as u32, throughput };
    }
    count
}
