//! A breaker for tests: options, the words of one circuit, and the cell over both.

use std::sync::atomic::AtomicU64;

use seawall_engine::chance::Source;
use seawall_engine::policy::breaker::{Breaker, Cell, Window};

/// Opens by nothing: a test names what is its business.
pub fn options() -> Breaker {
    Breaker {
        failure_ratio: None,
        minimum_throughput: 20,
        slow: None,
        window: Window::Count(100),
        consecutive: None,
        throttle: false,
        ramp_ms: None,
        quiet_streak: None,
        break_ms: 1_000,
        max_break_ms: 60_000,
        break_jitter: 0,
        reset_after_ms: 60_000,
        slots: 3,
        successes_to_close: 2,
        lease: (10_000, false),
        has_on: false,
    }
}

/// The words of a fresh circuit, those of its window last.
pub fn words(options: &Breaker) -> Vec<AtomicU64> {
    (0..options.words() + options.window_words()).map(|_| AtomicU64::new(0)).collect()
}

pub fn cell<'a>(options: &'a Breaker, words: &'a [AtomicU64]) -> Cell<'a> {
    let (words, window) = words.split_at(options.words());
    Cell { options, words, window, source: Source::new(0, "") }
}
