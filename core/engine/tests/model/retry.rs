//! The retry's questions and waits, and its budget.

use std::sync::atomic::AtomicU64;

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_engine::outcome::Pushback;
use seawall_engine::policy::retry::{Backoff, Budget, Growth, Jitter, Retry, Situation};
use seawall_engine::table::layout::budget::WORDS;
use seawall_engine::time::{MS, SECOND};

use crate::{Coverage, runner};

fn backoff() -> impl Strategy<Value = Backoff> {
    let growth = prop_oneof![Just(Growth::Exponential), Just(Growth::Linear), Just(Growth::Constant)];
    let jitter = prop_oneof![Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated), Just(Jitter::None)];
    (growth, jitter, 1..2_000u64, 1_000..5_000u64, 0..20_000u64).prop_map(|(growth, jitter, base, factor_milli, more)| Backoff {
        growth,
        jitter,
        base_ns: base * MS,
        factor_milli,
        max_ns: (base + more) * MS,
    })
}

/// min(cap, base x growth), and how far integers may fall short of it.
fn envelope(options: &Backoff, n: u32) -> (f64, f64) {
    let factor = options.factor_milli as f64 / 1_000.0;
    let grown = factor.powf(f64::from(n));
    let (growth, short) = match options.growth {
        Growth::Exponential if factor > 1.0 => (grown, (grown - 1.0) / (factor - 1.0)),
        Growth::Linear => (f64::from(n) + 1.0, 0.0),
        Growth::Exponential | Growth::Constant => (1.0, 0.0),
    };
    let whole = (options.base_ns as f64 * growth).min(options.max_ns as f64);
    (whole, short.min(whole) + whole * 1e-9 + 2.0)
}

/// The least and the most that the wait's own part may be, in nanoseconds.
fn bounds(options: &Backoff, n: u32, previous_ns: u64) -> (f64, f64) {
    let (whole, short) = envelope(options, n);
    let (base, cap) = (options.base_ns as f64, options.max_ns as f64);
    let previous = if n == 0 { base } else { previous_ns as f64 };
    match options.jitter {
        Jitter::None => (whole - short, whole + 2.0),
        Jitter::Full => (0.0, whole + 2.0),
        Jitter::Equal => (whole / 2.0 - short, whole + 2.0),
        Jitter::Decorrelated => (base, (3.0 * previous).min(cap).max(base)),
    }
}

/// The questions in their order: attempts, pushback, the circuit inside. `None` if only the time is left to ask.
fn refusal(retry: &Retry, at: &Situation) -> Option<&'static str> {
    let server = match at.pushback {
        Pushback::Never => Some("retry_after_never"),
        Pushback::After(ms) if ms > retry.retry_after_max_ms => Some("retry_after_too_long"),
        _ => None,
    };
    let attempts = (at.attempt >= retry.max_attempts).then_some("attempts_exhausted");
    attempts.or(server).or((at.breaker_open && !retry.wait_for_breaker).then_some("breaker_open"))
}

#[test]
fn a_wait_lies_in_its_envelope_and_the_questions_keep_their_order() {
    let coverage = Coverage::default();
    let pushback = prop_oneof![3 => Just(Pushback::None), 1 => Just(Pushback::Never), 3 => (0..5_000u64).prop_map(Pushback::After)];
    let options = (backoff(), 2..30u32, 0..5_000u64, any::<bool>());
    let facts = (1..30u32, pushback, prop::bool::weighted(0.2), prop::option::of(0..30 * SECOND), 0..10 * SECOND, 0..20_000u64);
    let result = runner(2_000).run(&(options, facts, any::<u64>()), |((backoff, max_attempts, longest, wait_for_breaker), facts, draw)| {
        let retry = Retry { max_attempts, backoff, retry_after_max_ms: longest, wait_for_breaker, budget: None, has_on: false };
        let (attempt, pushback, breaker_open, left_ns, attempt_ns, previous_ms) = facts;
        // The previous wait of ours was itself one between the base and the cap.
        let previous_ns = (previous_ms * MS).clamp(retry.backoff.base_ns, retry.backoff.max_ns);
        let at = Situation { attempt, waits: attempt - 1, pushback, breaker_open, left_ns, attempt_ns, previous_ns, draw };
        match (retry.wait(at), refusal(&retry, &at)) {
            (Err(reason), Some(wanted)) => {
                prop_assert_eq!(reason, wanted);
                coverage.saw(reason);
            }
            (Err(reason), None) => {
                prop_assert_eq!(reason, "no_time_left");
                let without_time = retry.wait(Situation { left_ns: None, ..at }).expect("only the time was short");
                prop_assert!(without_time.ms * MS + attempt_ns / 2 >= left_ns.expect("limited"));
                coverage.saw(reason);
            }
            (Ok(wait), None) => {
                let (least, most) = bounds(&retry.backoff, attempt - 1, previous_ns);
                prop_assert!((least..=most).contains(&(wait.own_ns as f64)), "{wait:?} outside {least}..={most}");
                let server = if let Pushback::After(ms) = pushback { ms } else { 0 };
                prop_assert_eq!(wait.ms, wait.own_ns.div_ceil(MS) + server);
                prop_assert!(left_ns.is_none_or(|left| wait.ms * MS + attempt_ns / 2 < left));
                coverage.saw(format!("{:?} {:?}", retry.backoff.growth, retry.backoff.jitter));
            }
            (Ok(wait), Some(reason)) => prop_assert!(false, "{wait:?} though {reason}"),
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["attempts_exhausted", "retry_after_never", "retry_after_too_long", "breaker_open", "no_time_left"]);
    coverage.assert_all(&[
        "Exponential Full",
        "Exponential Equal",
        "Exponential Decorrelated",
        "Exponential None",
        "Linear Full",
        "Constant None",
    ]);
}

#[test]
fn a_budget_does_what_a_list_of_payments_does() {
    let coverage = Coverage::default();
    let step = (0..10u32, prop_oneof![4 => Just(0), 2 => 0..SECOND, 1 => 0..12 * SECOND]);
    let result = runner(400).run(&(0..1_500u64, 0..5_000u64, vec(step, 1..150)), |(deposit, floor, steps)| {
        let budget = Budget { deposit, floor };
        let words: [AtomicU64; WORDS] = std::array::from_fn(|_| AtomicU64::new(0));
        let mut now = 0;
        let mut deposits: Vec<u64> = Vec::new();
        let mut withdrawals: Vec<(u64, u64)> = Vec::new();
        for (what, later) in steps {
            now += later;
            let second = now / SECOND;
            let paid = deposit * deposits.iter().filter(|at| **at + 10 > second).count() as u64;
            let spent: u64 = withdrawals.iter().filter(|(at, _)| at + 10 > second).map(|(_, cost)| cost).sum();
            prop_assert_eq!(budget.left(&words, now), (floor + paid).saturating_sub(spent));
            if what < 5 {
                budget.deposit(&words, now);
                deposits.push(second);
                continue;
            }
            let cost = if what < 8 { 1_000 } else { 2_000 };
            let allowed = floor + paid >= spent + cost;
            prop_assert_eq!(budget.withdraw(&words, now, cost), allowed);
            coverage.saw(if allowed { "paid" } else { "refused" });
            if allowed {
                withdrawals.push((second, cost));
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["paid", "refused"]);
}
