//! The rows of the transition tables that no vector can take, taken by hand. A row that says so (`elsewhere`) and is not taken here fails.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use seawall_engine::chance::Source;
use seawall_engine::outcome::{Bits, Kind, Outcome, Pushback};
use seawall_engine::pipeline::{Begin, Call, DeadLetter, Env, Fallback, Policy};
use seawall_engine::policy::adaptive_limit::{AdaptiveLimit, Sample};
use seawall_engine::policy::bulkhead::{WaitList, Waiters};
use seawall_engine::policy::chaos::{Abort, Chaos};
use seawall_engine::policy::retry::{Backoff, Growth, Jitter, Retry};
use seawall_engine::step::{Event, Finish, Injection, Input, Output, StepEnd, TimerReason};
use seawall_engine::table::layout::{adaptive_limit, chaos::WORDS};
use seawall_engine::table::transitions::{TRANSITIONS, take};
use seawall_engine::time::{MS, SECOND};

#[derive(Default)]
struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock().expect("no waiter panics"))
    }
}

/// What a call under `policy` does on these inputs, each at its moment.
fn play(policy: &Policy, begin: Begin, inputs: &[(u64, Input)]) -> Vec<Output> {
    let (word, waiters, source) = (AtomicU64::new(0), Locked::default(), Source::new(0, ""));
    let words: [AtomicU64; WORDS] = std::array::from_fn(|_| AtomicU64::new(0));
    let mut env = Env {
        policy,
        breaker: &[],
        window: &[],
        bulkhead: &word,
        waiters: &waiters,
        rate_limit: &word,
        adaptive: &[],
        hedge: &[],
        budget: &[],
        chaos: &words,
        openings: 0,
        source,
        chaos_source: source,
        armed: true,
        key: None,
    };
    let (mut call, mut out) = (Call::new(begin), Default::default());
    call.step(&env, 0, Input::Start, &mut out);
    env.openings = 1;
    inputs.iter().for_each(|(now, input)| call.step(&env, *now, *input, &mut out));
    out.into_iter().collect()
}

fn ended(kind: Kind) -> Input {
    Input::Ended { attempt: 1, outcome: Outcome { kind, bits: Bits(0), status: 0, pushback: Pushback::None } }
}

fn finishes(outputs: &[Output], how: Finish) -> bool {
    matches!(outputs.last(), Some(Output::Finish(finish)) if *finish == how)
}

/// An adaptive limit before a server of ten workers that all want to be used, which then works four times as long.
fn adapt() {
    let (limit, words) = (AdaptiveLimit { min: 1, max: 512 }, Vec::from_iter((0..adaptive_limit::WORDS).map(|_| AtomicU64::new(0))));
    let mut now = 0;
    for (took, windows) in [(MS, 100), (4 * MS, 300)] {
        let end = now + windows * SECOND;
        while now < end {
            let in_flight = limit.limit(&words);
            now += took / u64::from(in_flight.min(10));
            let waits = took * u64::from(in_flight.max(10)) / 10;
            limit.observe(&words, now, Sample::Took(waits), in_flight);
        }
        assert!((7..=14).contains(&limit.limit(&words)), "{}", limit.limit(&words));
    }
}

/// One more attempt, at once.
fn retry() -> Retry {
    let backoff = Backoff { growth: Growth::Constant, jitter: Jitter::None, base_ns: 0, factor_milli: 1_000, max_ns: 0 };
    Retry { max_attempts: 2, backoff, retry_after_max_ms: 0, wait_for_breaker: false, budget: None, has_on: false }
}

#[test]
fn rows_that_no_vector_can_take_are_taken_here() {
    take().for_each(drop);

    let plain = play(&Policy::default(), Begin::default(), &[(0, ended(Kind::Cancelled))]);
    assert!(finishes(&plain, Finish::Cancelled), "a callee that was cancelled is nobody's failure");

    let letters = Policy { dead_letter: Some(DeadLetter { has_on: false }), ..Policy::default() };
    let failing = [(0, ended(Kind::Error)), (0, Input::Classified(Bits(0))), (0, Input::Cancelled)];
    let writing = play(&letters, Begin::default(), &failing);
    assert!(matches!(writing.last(), Some(Output::Letter)), "the write ends first");
    let written = play(&letters, Begin::default(), &[&failing[..], &[(0, Input::LetterEnded(true))]].concat());
    assert!(finishes(&written, Finish::Cancelled));

    let hurried = Begin { left_ns: Some(SECOND), ..Begin::default() };
    let late = play(&Policy::default(), hurried, &[(SECOND, Input::Timer { reason: TimerReason::Total, attempt: 0 })]);
    assert!(late.iter().any(|output| matches!(output, Output::Cancel(1))) && finishes(&late, Finish::Error));

    let stale = Policy { fallback: Some(Fallback { steps: 0, stale: true, has_on: false }), ..Policy::default() };
    let kept = [(0, ended(Kind::Error)), (0, Input::Classified(Bits(0))), (0, Input::FallbackEnded(StepEnd::Returned))];
    assert!(finishes(&play(&stale, Begin::default(), &kept), Finish::Fallback(None)), "the last good value answers");

    let stream = Begin { stream: true, ..Begin::default() };
    assert!(finishes(&play(&Policy::default(), stream, &[(0, Input::Stopped(1))]), Finish::Cancelled));

    let chaos = Chaos { rate: 10_000, outcomes: vec![1], ends_at: u64::MAX, ..Chaos::default() };
    let struck = play(&Policy { chaos: Some(chaos), ..Policy::default() }, Begin::default(), &[]);
    assert!(struck.iter().any(|output| matches!(output, Output::Start { injected: Some(Injection::Outcome(0)), .. })));

    let abort = Abort { opens_elsewhere: true, ..Abort::default() };
    let chaos = Chaos { rate: 10_000, latency_ms: (1, 1), ends_at: u64::MAX, number: 1, abort, ..Chaos::default() };
    let watching = Policy { chaos: Some(chaos), retry: Some(retry()), ..Policy::default() };
    let again = Input::Timer { reason: TimerReason::Backoff, attempt: 0 };
    let outputs = play(&watching, Begin::default(), &[(0, ended(Kind::Error)), (0, again)]);
    let at = outputs.iter().position(|output| matches!(output, Output::Event(Event::ChaosAborted { reason: "breaker_open" })));
    let late: Vec<u64> =
        outputs.iter().filter_map(|output| if let Output::Start { latency_ms, .. } = output { Some(*latency_ms) } else { None }).collect();
    assert!(at.is_some() && late == [1, 0], "a circuit that opens elsewhere ends the experiment: {outputs:?}");

    adapt();

    let taken: Vec<&str> = take().map(|row| row.id).collect();
    let missing: Vec<&str> =
        TRANSITIONS.iter().filter(|row| !row.elsewhere.is_empty()).map(|row| row.id).filter(|id| !taken.contains(id)).collect();
    assert!(missing.is_empty(), "neither a vector nor this test takes {missing:?}");
}
