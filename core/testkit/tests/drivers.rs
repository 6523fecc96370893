//! What only drivers do to a call, or see of it, and vectors do not: timers that fire early, late calls where nothing can be cut, calls of other
//! kinds, the numbers in events.

#[path = "../../engine/tests/common/mod.rs"]
mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::chance::Source;
use seawall_engine::outcome::{Bits, Kind, Outcome, Pushback};
use seawall_engine::pipeline::{AttemptState, Begin, Call, Env, Mode, Policy};
use seawall_engine::policy::adaptive_limit::AdaptiveLimit;
use seawall_engine::policy::breaker::{Breaker, Cell, State, Window};
use seawall_engine::policy::bulkhead::{Bulkhead, WaitList, Waiters};
use seawall_engine::policy::hedge::Hedge;
use seawall_engine::policy::retry::{Backoff, Growth, Jitter, Retry};
use seawall_engine::step::{Event, Finish, Input, Output, TimerReason};
use seawall_engine::table::layout::adaptive_limit;
use seawall_engine::time::{MS, SECOND};

#[derive(Default)]
struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock().expect("no waiter panics"))
    }
}

/// The words of one policy, and the clock's moment at which its calls begin: not zero, so that no duration is a moment.
struct World {
    policy: Policy,
    breaker: Vec<AtomicU64>,
    adaptive: Vec<AtomicU64>,
    bulkhead: AtomicU64,
    waiters: Locked,
}

const BEGIN: u64 = SECOND;

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl World {
    fn new(policy: Policy) -> Self {
        Self {
            breaker: policy.breaker.as_ref().map_or_else(Vec::new, common::words),
            policy,
            adaptive: words(adaptive_limit::WORDS),
            bulkhead: AtomicU64::new(0),
            waiters: Locked::default(),
        }
    }

    fn cell(&self) -> Cell<'_> {
        common::cell(self.policy.breaker.as_ref().expect("a breaker"), &self.breaker)
    }

    /// Starts a call and steps through `inputs`, each so many milliseconds after the begin; gives what each of them led to, the start first.
    fn play(&self, mut call: Call, inputs: &[(u64, Input)]) -> (Call, Vec<Vec<Output>>) {
        let source = Source::new(0, "");
        let rate_limit = AtomicU64::new(0);
        let (breaker, window) = self.breaker.split_at(self.policy.breaker.as_ref().map_or(0, Breaker::words));
        let env = Env {
            policy: &self.policy,
            breaker,
            window,
            bulkhead: &self.bulkhead,
            waiters: &self.waiters,
            rate_limit: &rate_limit,
            adaptive: &self.adaptive,
            hedge: &[],
            budget: &[],
            chaos: &[],
            openings: 0,
            source,
            chaos_source: source,
            armed: false,
            key: None,
        };
        let mut told = Vec::new();
        for (ms, input) in std::iter::once(&(0, Input::Start)).chain(inputs) {
            let mut out = Default::default();
            call.step(&env, BEGIN + ms * MS, *input, &mut out);
            told.push(out.into_iter().collect());
        }
        (call, told)
    }
}

fn play(policy: Policy, begin: Begin, inputs: &[(u64, Input)]) -> Vec<Vec<Output>> {
    World::new(policy).play(Call::new(begin), inputs).1
}

fn ended(kind: Kind) -> Input {
    Input::Ended { attempt: 1, outcome: Outcome { kind, bits: Bits(0), status: 0, pushback: Pushback::None } }
}

fn timer(reason: TimerReason, attempt: u32) -> Input {
    Input::Timer { reason, attempt }
}

fn events(outputs: &[Output]) -> Vec<Event> {
    outputs.iter().filter_map(|output| if let Output::Event(event) = output { Some(*event) } else { None }).collect()
}

const COOPERATIVE: Begin = Begin {
    cooperative: true,
    spared: false,
    reentrant: false,
    left_ns: None,
    redrives: 0,
    ordinal: 0,
    stream: false,
    guard: false,
    mode: Mode::Enforce,
};

fn retry() -> Retry {
    let backoff = Backoff { growth: Growth::Constant, jitter: Jitter::None, base_ns: 50 * MS, factor_milli: 1_000, max_ns: 50 * MS };
    Retry { max_attempts: 2, backoff, retry_after_max_ms: 0, wait_for_breaker: false, budget: None, has_on: false }
}

fn slow_breaker() -> Breaker {
    Breaker { minimum_throughput: 10, slow: Some((100 * MS, 5_000)), window: Window::Count(10), lease: (10_000, true), ..common::options() }
}

#[test]
fn a_timer_that_fires_early_is_armed_for_what_is_left() {
    let limited = Policy { attempt_ns: Some(100 * MS), ..Policy::default() };
    let early = timer(TimerReason::Attempt, 1);
    let told = play(limited, Begin::default(), &[(60, early), (100, early)]);
    assert_eq!(told[1], [Output::Timer(TimerReason::Attempt, 1, 40)]);
    assert!(told[2].contains(&Output::Cancel(1)));
    assert_eq!(events(&told[2])[0], Event::TimeoutFired { code: "timeout.attempt", attempt: 1 });

    let stream = Begin { stream: true, ..Begin::default() };
    let idle = Policy { idle_ns: Some(100 * MS), ..Policy::default() };
    let early = timer(TimerReason::Idle, 1);
    let told = play(idle, stream, &[(10, Input::Item(1)), (20, Input::Asked(1)), (70, early), (120, early)]);
    assert_eq!(told[2], [Output::Timer(TimerReason::Idle, 1, 100)]);
    assert_eq!(told[3], [Output::Timer(TimerReason::Idle, 1, 50)]);
    assert!(told[4].contains(&Output::Cancel(1)));

    let hedged = Policy { hedge: Some(Hedge { delay_ms: Some(100), max_hedges: 1, budget: None }), ..Policy::default() };
    let early = timer(TimerReason::Hedge, 0);
    let told = play(hedged, Begin::default(), &[(60, early), (100, early)]);
    assert_eq!(told[1], []);
    assert_eq!(events(&told[2]), [Event::HedgeStarted { attempt: 2, delay_ms: 100 }]);
}

#[test]
fn a_queue_timer_that_fires_early_is_armed_again_and_the_total_names_an_end_that_falls_together() {
    let bulkhead = Bulkhead { max_concurrent: 1, max_queue: 1, max_wait_ms: Some(100), adaptive: None };
    let early = timer(TimerReason::Queue, 0);
    for (total_ns, end) in [(None, None), (Some(100 * MS), Some("timeout.total"))] {
        let world = World::new(Policy { bulkhead: Some(bulkhead), total_ns, ..Policy::default() });
        let _ = bulkhead.enter(&world.bulkhead, &world.waiters, false);
        let (_, told) = world.play(Call::new(Begin::default()), &[(60, early), (100, early)]);
        assert_eq!(told[1], [Output::Timer(TimerReason::Queue, 0, 40)]);
        let fired = events(&told[2]).into_iter().find_map(|event| match event {
            Event::TimeoutFired { code, attempt: 0 } => Some(code),
            _ => None,
        });
        assert_eq!(fired, end);
        assert_eq!(told[2].last(), Some(&Output::Finish(Finish::Error)));
    }
}

#[test]
fn what_cannot_be_cut_is_late_beyond_its_limit_and_says_how_long_it_took() {
    let limited = Policy { attempt_ns: Some(100 * MS), ..Policy::default() };
    let late = |ms, kind| events(&play(limited.clone(), COOPERATIVE, &[(ms, ended(kind))])[1]);
    assert_eq!(late(100, Kind::Success), []);
    let failed = |duration_ms| Event::AttemptFailed { attempt: 1, duration_ms };
    assert_eq!(late(150, Kind::Success), [failed(150), Event::TimeoutLate { attempt: 1, duration_ms: 150 }]);
    assert_eq!(late(70, Kind::Error), [failed(70)]);
}

#[test]
fn an_item_that_comes_late_is_told_once() {
    let limited = Policy { attempt_ns: Some(100 * MS), idle_ns: Some(100 * MS), ..Policy::default() };
    let stream = Begin { stream: true, ..COOPERATIVE };
    let late = |ms| {
        let inputs = [(ms, Input::Item(1)), (200, Input::Asked(1)), (350, Input::Item(1))];
        let told = play(limited.clone(), stream, &inputs);
        assert!(!told.iter().flatten().any(|output| matches!(output, Output::Timer(..))), "no timer races it");
        [events(&told[1]), events(&told[3])]
    };
    let event = |duration_ms| vec![Event::TimeoutLate { attempt: 1, duration_ms }];
    assert_eq!(late(50), [vec![], event(350)]);
    assert_eq!(late(100), [vec![], event(350)]);
    assert_eq!(late(150), [event(150), vec![]]);
}

#[test]
fn a_call_that_is_over_takes_no_items() {
    let stream = Begin { stream: true, ..Begin::default() };
    let after = [(20, Input::Item(1)), (20, Input::Asked(1)), (20, Input::Stopped(1)), (20, timer(TimerReason::Idle, 1))];
    let told = play(Policy::default(), stream, &[&[(10, ended(Kind::Error))][..], &after].concat());
    assert_eq!(told[1].last(), Some(&Output::Finish(Finish::Error)));
    assert!(told[2..].iter().all(Vec::is_empty), "{told:?}");
}

#[test]
fn streams_and_guards_are_never_slow_in_flight_and_a_consumer_s_time_makes_no_stream_slow() {
    let policy = Policy { breaker: Some(slow_breaker()), ..Policy::default() };
    for (stream, guard, slow) in [(false, false, 1), (true, false, 0), (false, true, 0)] {
        let world = World::new(policy.clone());
        let _ = world.play(Call::new(Begin { stream, guard, ..Begin::default() }), &[]);
        let now = BEGIN + 200 * MS;
        let _ = world.cell().settle(now);
        assert_eq!(world.cell().counts(now).slow, slow, "stream {stream}, guard {guard}");
    }
    let stream = Begin { stream: true, ..Begin::default() };
    for (asked, slow) in [(210, 0), (60, 1)] {
        let world = World::new(policy.clone());
        let inputs = [(10, Input::Item(1)), (asked, Input::Asked(1)), (220, ended(Kind::Success))];
        let _ = world.play(Call::new(stream), &inputs);
        assert_eq!((world.cell().counts(BEGIN).total, world.cell().counts(BEGIN).slow), (1, slow), "asked at {asked}");
    }
}

#[test]
fn a_stream_says_nothing_about_the_adaptive_limit() {
    let bulkhead = Bulkhead { max_concurrent: 16, max_queue: 0, max_wait_ms: None, adaptive: Some(AdaptiveLimit { min: 1, max: 16 }) };
    for stream in [false, true] {
        let world = World::new(Policy { bulkhead: Some(bulkhead), ..Policy::default() });
        let _ = world.play(Call::new(Begin { stream, ..Begin::default() }), &[(10, ended(Kind::Success))]);
        assert_eq!(world.adaptive.iter().all(|word| word.load(Ordering::Relaxed) == 0), stream);
    }
}

#[test]
fn attempts_tell_how_they_ended_and_only_failures_are_events() {
    let told = |kind, bits| {
        let end = Outcome { kind, bits: Bits(bits), status: 0, pushback: Pushback::None };
        let world = World::new(Policy { retry: Some(retry()), ..Policy::default() });
        let (call, told) = world.play(Call::new(Begin::default()), &[(5, Input::Ended { attempt: 1, outcome: end })]);
        (call.attempts()[0].state, events(&told[1]))
    };
    let failed = Event::AttemptFailed { attempt: 1, duration_ms: 5 };
    let again = Event::RetryScheduled { attempt: 1, delay_ms: 50 };
    assert_eq!(told(Kind::Success, 0), (AttemptState::Succeeded, vec![]));
    assert_eq!(told(Kind::Success, Bits::RETRY_RESULT), (AttemptState::Failed, vec![failed, again]));
    assert_eq!(told(Kind::Error, 0), (AttemptState::Failed, vec![failed, again]));
    assert_eq!(told(Kind::Programming, 0), (AttemptState::Ignored, vec![]));
    assert_eq!(told(Kind::Cancelled, 0), (AttemptState::Cancelled, vec![]));
}

#[test]
fn a_retry_that_stops_says_why_and_a_total_which_attempt_it_cut() {
    let policy = Policy { retry: Some(Retry { max_attempts: 1, ..retry() }), ..Policy::default() };
    let told = play(policy, Begin::default(), &[(5, ended(Kind::Error))]);
    assert_eq!(events(&told[1])[1..], [Event::RetryStopped { attempt: 1, reason: "attempts_exhausted" }]);

    let policy = Policy { retry: Some(retry()), total_ns: Some(100 * MS), ..Policy::default() };
    let total = timer(TimerReason::Total, 0);
    let cut = play(policy.clone(), Begin::default(), &[(100, total)]);
    assert_eq!(events(&cut[1]), [Event::TimeoutFired { code: "timeout.total", attempt: 1 }]);
    let waiting = play(policy, Begin::default(), &[(5, ended(Kind::Error)), (100, total)]);
    assert_eq!(events(&waiting[2]), [Event::TimeoutFired { code: "timeout.total", attempt: 0 }]);
}

#[test]
fn in_a_policy_switched_off_the_callee_s_cancellation_is_the_call_s() {
    let off = Begin { mode: Mode::Disabled, ..Begin::default() };
    let (call, told) = World::new(Policy::default()).play(Call::new(off), &[(5, ended(Kind::Cancelled))]);
    assert_eq!(told[1], [Output::Finish(Finish::Cancelled)]);
    assert_eq!((call.attempts()[0].state, call.mode()), (AttemptState::Cancelled, Mode::Disabled));
}

#[test]
fn in_shadow_a_free_slot_is_taken_without_a_word() {
    let bulkhead = Bulkhead { max_concurrent: 1, max_queue: 0, max_wait_ms: None, adaptive: None };
    let world = World::new(Policy { bulkhead: Some(bulkhead), ..Policy::default() });
    let (_, told) = world.play(Call::new(Begin { mode: Mode::Shadow, ..Begin::default() }), &[]);
    assert_eq!((events(&told[0]), Bulkhead::load(&world.bulkhead)), (vec![], (1, 0)));
    let (_, told) = world.play(Call::new(Begin { mode: Mode::Shadow, ..Begin::default() }), &[]);
    assert_eq!(events(&told[0]).len(), 1, "full");
}

#[test]
fn a_call_inside_its_own_slot_never_queues_and_a_refused_one_keeps_what_the_circuit_said() {
    let bulkhead = Bulkhead { max_concurrent: 1, max_queue: 1, max_wait_ms: None, adaptive: None };
    let world = World::new(Policy { bulkhead: Some(bulkhead), ..Policy::default() });
    let _ = bulkhead.enter(&world.bulkhead, &world.waiters, false);
    let mut inside = Call::new(Begin::default());
    inside.reenter();
    assert_eq!(world.play(inside, &[]).1[0].last(), Some(&Output::Finish(Finish::Error)));

    let world = World::new(Policy { breaker: Some(slow_breaker()), ..Policy::default() });
    let _ = world.cell().hold(State::Isolated, 0, BEGIN);
    let (call, _) = world.play(Call::new(Begin::default()), &[]);
    assert_eq!(call.refusal().map(|refusal| refusal.code), Some("circuit.isolated"));
}
