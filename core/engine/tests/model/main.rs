//! The strategies against plain models of them. Random histories are played to both, and every answer is compared. The models are
//! written from the rules, not from the engine: structs and lists that say what a rule says, slowly.
//!
//! `PROPTEST_CASES` runs a longer campaign, with a fresh seed; without it the histories are the same at each run.

mod breaker;
mod breaker_history;
mod breaker_shares;
mod bulkhead;
mod pipeline;
mod rate_limit;
mod retry;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How often each named thing was seen: a history that never gets anywhere compares nothing.
#[derive(Default)]
struct Coverage(RefCell<BTreeMap<String, u64>>);

impl Coverage {
    fn saw(&self, what: impl Into<String>) {
        *self.0.borrow_mut().entry(what.into()).or_default() += 1;
    }

    fn assert_all(&self, wanted: &[&str]) {
        let seen = self.0.borrow();
        println!("{seen:#?}");
        let missed: Vec<_> = wanted.iter().filter(|what| !seen.contains_key(**what)).collect();
        assert!(missed.is_empty(), "never reached: {missed:?}");
    }
}

fn runner(cases: u32) -> TestRunner {
    let long = std::env::var("PROPTEST_CASES").is_ok();
    let default = Config::default();
    let cases = if long { default.cases } else { cases };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..default };
    if long { TestRunner::new(config) } else { TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)) }
}
