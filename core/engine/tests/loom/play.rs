//! Plays a model, and the same model with a fault.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use seawall_engine::chance::Source;
use seawall_engine::fault::{self, Fault};
use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Breaker, Cell, Counts, Vote, Window};
use seawall_engine::sync::AtomicU64;

/// Preemptions per execution unless `LOOM_MAX_PREEMPTIONS` says otherwise: `make test` runs with this bound, `make loom` with a larger one.
/// Switches where a thread ends or blocks are not counted.
const PREEMPTIONS: usize = 3;

/// Explores `model` and prints how many executions that took.
pub fn holds(protocol: &str, model: impl Fn() + Send + Sync + 'static) {
    fault::seed(None);
    let executions = explore(model);
    // A line of its own: the harness writes its lines in pieces, and two models run at once.
    println!("\n{protocol}: holds in {executions} executions");
}

/// Explores `model` with `fault` seeded, until an execution fails.
pub fn breaks(protocol: &str, fault: Fault, model: impl Fn() + Send + Sync + 'static) {
    fault::seed(Some(fault));
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    hush();
    let explored = panic::catch_unwind(AssertUnwindSafe(|| {
        explore(move || {
            count.fetch_add(1, Ordering::Relaxed);
            model();
        })
    }));
    fault::seed(None);
    let seen = seen.load(Ordering::Relaxed);
    assert!(explored.is_err(), "{protocol}: {fault:?} went unnoticed in {seen} executions");
    println!("\n{protocol}: {fault:?} caught in execution {seen}");
}

fn explore(model: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    executions.load(Ordering::Relaxed)
}

/// A breaker that no model trips unless it says how.
pub fn options(window: Window) -> Breaker {
    Breaker {
        failure_ratio: None,
        minimum_throughput: 1_000_000,
        slow: None,
        window,
        consecutive: None,
        throttle: false,
        ramp_ms: None,
        quiet_streak: None,
        break_ms: 1_000,
        max_break_ms: 60_000,
        break_jitter: 0,
        reset_after_ms: 60_000,
        slots: 1,
        successes_to_close: 1,
        lease: (10_000, false),
        has_on: false,
    }
}

/// A breaker with words of its own.
pub struct Own {
    options: Breaker,
    words: Vec<AtomicU64>,
}

impl Own {
    /// All words zero: closed, generation 0.
    pub fn new(options: Breaker) -> Arc<Self> {
        let words = words(options.words() + options.window_words());
        Arc::new(Self { options, words })
    }

    /// The breaker on these words.
    pub fn cell(&self) -> Cell<'_> {
        Cell {
            options: &self.options,
            words: &self.words[..self.options.words()],
            window: &self.words[self.options.words()..],
            source: Source::new(0, ""),
        }
    }

    /// Outcomes and failures in the window at `now`.
    pub fn window(&self, now: u64) -> (u32, u32) {
        let Counts { total, failures, .. } = self.cell().counts(now);
        (total, failures)
    }
}

/// So many words of zero.
pub fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// A vote of a first attempt.
pub fn vote(failed: bool) -> Vote {
    Vote { verdict: if failed { Verdict::Failure } else { Verdict::Success }, is_first: true, server_ms: 0 }
}

/// Failures of models with a fault are what the tests are after: their messages would bury the real ones.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !fault::is_seeded() {
                loud(info);
            }
        }));
    });
}
