//! The rate limit against a leaking bucket: the cell rate algorithm in its other, equal form.

use std::sync::atomic::AtomicU64;

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_engine::policy::rate_limit::{Answer, RateLimit};
use seawall_engine::time::MS;

use crate::{Coverage, runner};

/// A bucket that leaks a nanosecond each nanosecond. Each turn pours in one interval.
struct Bucket {
    level: u64,
    at: u64,
    /// The turns taken and not returned, oldest first.
    turns: Vec<usize>,
    taken: usize,
}

impl Bucket {
    fn leak(&mut self, now: u64) {
        self.level = self.level.saturating_sub(now - self.at);
        self.at = now;
    }

    /// The wait in nanoseconds and the number of the turn, or the wait that is too long.
    fn take(&mut self, options: &RateLimit, now: u64, left_ms: Option<u64>) -> Result<(u64, usize), u64> {
        self.leak(now);
        let wait = self.level.saturating_sub(options.interval_ns * (options.burst - 1));
        if wait > options.max_wait_ms * MS || left_ms.is_some_and(|left| wait > left * MS) {
            return Err(wait);
        }
        self.level += options.interval_ns;
        self.taken += 1;
        self.turns.push(self.taken);
        Ok((wait, self.taken))
    }

    fn give_back(&mut self, options: &RateLimit, turn: usize, now: u64) -> bool {
        self.leak(now);
        let last = self.turns.last() == Some(&turn);
        if last {
            self.turns.pop();
            self.level = self.level.saturating_sub(options.interval_ns);
        }
        last
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take(Option<u64>),
    GiveBack(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::option::weighted(0.3, 0..500u64).prop_map(Step::Take),
        2 => any::<usize>().prop_map(Step::GiveBack),
        3 => (0..200 * MS).prop_map(Step::Advance),
    ]
}

#[test]
fn a_rate_limit_does_what_the_bucket_does() {
    let coverage = Coverage::default();
    let histories = (1..100 * MS, 1..10u64, 0..400u64, vec(step(), 1..100));
    let result = runner(400).run(&histories, |(interval_ns, burst, max_wait_ms, steps)| {
        let options = RateLimit { interval_ns, burst, max_wait_ms };
        let word = AtomicU64::new(0);
        let mut bucket = Bucket { level: 0, at: 0, turns: Vec::new(), taken: 0 };
        let (mut now, mut waiting) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Advance(ns) => now += ns,
                Step::GiveBack(_) if waiting.is_empty() => {}
                Step::GiveBack(which) => {
                    let (reservation, turn) = waiting.swap_remove(which % waiting.len());
                    options.give_back(&word, reservation);
                    coverage.saw(if bucket.give_back(&options, turn, now) { "returned" } else { "not the last" });
                }
                Step::Take(left_ms) => match (options.take(&word, now, left_ms), bucket.take(&options, now, left_ms)) {
                    (Answer::Pass, Ok((0, _))) => coverage.saw("passed"),
                    (Answer::Wait { ms, reservation }, Ok((wait, turn))) => {
                        prop_assert!(wait > 0 && ms == wait.div_ceil(MS));
                        waiting.push((reservation, turn));
                        coverage.saw("waited");
                    }
                    (Answer::Refuse(ms), Err(wait)) => {
                        prop_assert_eq!(ms, wait.div_ceil(MS));
                        coverage.saw("refused");
                    }
                    (got, wanted) => prop_assert!(false, "engine {got:?}, model {wanted:?}"),
                },
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["passed", "waited", "refused", "returned", "not the last"]);
}
