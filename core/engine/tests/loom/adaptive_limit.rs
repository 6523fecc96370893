//! Adaptive limit: a window is judged by one of those who find it over, and no sample is lost to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::adaptive_limit::{AdaptiveLimit, Sample};
use seawall_engine::table::layout::adaptive_limit::{HEAD, OUTCOMES, POINTS, WORDS};
use seawall_engine::time::{MS, SECOND};

use crate::play::{breaks, holds, words};

const LIMIT: AdaptiveLimit = AdaptiveLimit { min: 1, max: 512 };

/// Ten samples in, two attempts end as the window is over.
fn window_over() {
    let words = Arc::new(words(WORDS));
    for _ in 0..10 {
        LIMIT.observe(&words, 0, Sample::Took(MS), 16);
    }
    let end = |words: &[_]| LIMIT.observe(words, SECOND, Sample::Took(MS), 16);
    let other = Arc::clone(&words);
    let theirs = thread::spawn(move || end(&other));
    let mine = end(&words);
    let changes = usize::from(mine.is_some()) + usize::from(theirs.join().expect("no panic").is_some());
    assert!(changes == 1 && words[HEAD].load(Ordering::Relaxed) == 1, "one window, one judge");
    // The judge wrote how many samples it took per thousand seconds.
    let judged = words[POINTS + 1].load(Ordering::Relaxed) / 1_000;
    assert_eq!(judged + words[OUTCOMES].load(Ordering::Relaxed), 12, "every sample is in this window or the next");
}

#[test]
fn a_window_has_one_judge_and_loses_no_sample() {
    holds("adaptive limit, window over", window_over);
    breaks("adaptive limit, window over", Fault::EverybodyJudges, window_over);
    breaks("adaptive limit, window over", Fault::SumTakenByStore, window_over);
}
