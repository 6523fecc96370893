//! Whole calls under random policies: what must hold whatever happens, checked at every output.

use std::sync::atomic::AtomicU64;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use seawall_engine::chance::Source;
use seawall_engine::outcome::{Bits, Kind, Outcome, Pushback};
use seawall_engine::pipeline::{Begin, Call, Env, Policy};
use seawall_engine::policy::breaker::{Ask, Breaker, State, Window};
use seawall_engine::policy::bulkhead::Bulkhead;
use seawall_engine::policy::rate_limit::RateLimit;
use seawall_engine::policy::retry::{Backoff, Budget, Growth, Jitter, Retry};
use seawall_engine::step::{Input, Output, TimerReason};
use seawall_engine::table::layout::budget::WORDS;
use seawall_engine::time::MS;

use crate::bulkhead::Locked;
use crate::{Coverage, runner};

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin {
        cooperative: bool,
        left_ms: Option<u64>,
    },
    End {
        which: usize,
        kind: Kind,
        pushback: Pushback,
    },
    /// The n-th sleep or timer fires: at its time, or later if that has passed.
    Fire(usize),
    Wake(usize),
    Cancel(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![3 => Just(Kind::Success), 5 => Just(Kind::Error), 1 => Just(Kind::Programming), 1 => Just(Kind::Rejected)];
    let pushback = prop_oneof![5 => Just(Pushback::None), 1 => Just(Pushback::Never), 2 => (0..200u64).prop_map(Pushback::After)];
    prop_oneof![
        8 => (any::<bool>(), prop::option::weighted(0.3, 0..300u64)).prop_map(|(cooperative, left_ms)| Step::Begin { cooperative, left_ms }),
        10 => (any::<usize>(), kind, pushback).prop_map(|(which, kind, pushback)| Step::End { which, kind, pushback }),
        8 => any::<usize>().prop_map(Step::Fire),
        5 => any::<usize>().prop_map(Step::Wake),
        1 => any::<usize>().prop_map(Step::Cancel),
        4 => (0..60 * MS).prop_map(Step::Advance),
    ]
}

fn retry() -> impl Strategy<Value = Retry> {
    (2..5u32, any::<bool>(), prop::option::of(0..3_000u64)).prop_map(|(max_attempts, wait_for_breaker, floor)| Retry {
        max_attempts,
        backoff: Backoff { growth: Growth::Exponential, jitter: Jitter::Full, base_ns: 10 * MS, factor_milli: 2_000, max_ns: 50 * MS },
        retry_after_max_ms: 150,
        wait_for_breaker,
        budget: floor.map(|floor| Budget { deposit: 200, floor }),
        has_on: false,
    })
}

fn breaker() -> impl Strategy<Value = Breaker> {
    (prop::option::of(1..4u32), 1..4u32, 10..200u64).prop_map(|(consecutive, slots, lease)| Breaker {
        failure_ratio: Some(5_000),
        minimum_throughput: 6,
        slow: None,
        window: Window::Count(20),
        consecutive,
        throttle: false,
        ramp_ms: None,
        quiet_streak: None,
        break_ms: 30,
        max_break_ms: 200,
        break_jitter: 2_000,
        reset_after_ms: 200,
        slots,
        successes_to_close: 1,
        lease: (lease, true),
        has_on: false,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let limit =
        (1..30 * MS, 1..4u64, 0..100u64).prop_map(|(interval_ns, burst, max_wait_ms)| RateLimit { interval_ns, burst, max_wait_ms });
    let bulkhead = (1..4u32, 0..4u32, prop::option::of(0..80u64));
    let bulkhead =
        bulkhead.prop_map(|(max_concurrent, max_queue, max_wait_ms)| Bulkhead { max_concurrent, max_queue, max_wait_ms, adaptive: None });
    let limits = (prop::option::of(1..80 * MS), prop::option::of(80 * MS..400 * MS));
    let parts =
        (prop::option::weighted(0.7, retry()), prop::option::of(limit), prop::option::weighted(0.7, bulkhead), prop::option::of(breaker()));
    (parts, limits).prop_map(|((retry, rate_limit, bulkhead, breaker), (attempt_ns, total_ns))| Policy {
        retry,
        rate_limit,
        bulkhead,
        breaker,
        attempt_ns,
        total_ns,
        ..Policy::default()
    })
}

/// One call as a driver sees it.
struct Driven {
    call: Call,
    deadline: Option<u64>,
    started: u32,
    finished: u32,
    /// Attempts whose callee has not ended.
    running: Vec<u32>,
    /// When, what for, which attempt.
    timers: Vec<(u64, TimerReason, u32)>,
    /// What the server said last, in milliseconds.
    server_ms: u64,
    ticket: Option<u64>,
}

struct World<'a> {
    env: Env<'a, Locked>,
    calls: Vec<Driven>,
    wakes: Vec<u64>,
    now: u64,
}

impl World<'_> {
    fn input(&mut self, number: usize, input: Input, coverage: &Coverage) -> TestCaseResult {
        let mut out = Vec::new();
        let was_done = self.calls[number].call.is_done();
        self.calls[number].call.step(&self.env, self.now, input, &mut out);
        for output in out {
            let after = was_done || self.calls[number].finished > 0;
            prop_assert!(!after || matches!(output, Output::Wake(_)), "{output:?} after the finish");
            self.output(number, output, coverage)?;
        }
        prop_assert_eq!(self.calls[number].call.is_done(), self.calls[number].finished == 1);
        Ok(())
    }

    fn output(&mut self, number: usize, output: Output, coverage: &Coverage) -> TestCaseResult {
        let now = self.now;
        let most = self.env.policy.retry.as_ref().map_or(1, |retry| retry.max_attempts);
        let call = &mut self.calls[number];
        coverage.saw(format!("{output:?}").split(['(', ' ']).next().unwrap_or_default());
        match output {
            Output::Start { attempt, .. } => {
                call.started += 1;
                prop_assert!(attempt == call.started && attempt <= most, "attempt {attempt} of {most}");
                prop_assert!(call.deadline.is_none_or(|deadline| now < deadline), "an attempt after the total");
                call.running.push(attempt);
                call.ticket = None;
            }
            Output::Sleep(reason, ms) => {
                prop_assert!(reason != TimerReason::Backoff || ms >= call.server_ms, "earlier than the server said");
                prop_assert!(call.deadline.is_none_or(|deadline| now + (ms - 1.min(ms)) * MS <= deadline), "a wait beyond the total");
                call.timers.push((now + ms * MS, reason, 0));
            }
            Output::Timer(reason, attempt, ms) => call.timers.push((now + ms * MS, reason, attempt)),
            Output::Park(ticket) => call.ticket = Some(ticket),
            Output::Wake(ticket) => self.wakes.push(ticket),
            Output::Finish(_) => call.finished += 1,
            Output::Cancel(attempt) => prop_assert!(call.running.contains(&attempt), "cancels what does not run"),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, number: usize, which: usize, kind: Kind, pushback: Pushback, coverage: &Coverage) -> TestCaseResult {
        let call = &mut self.calls[number];
        let attempt = call.running.swap_remove(which % call.running.len());
        call.server_ms = if let Pushback::After(ms) = pushback { ms } else { 0 };
        let outcome = Outcome { kind, bits: Bits(0), status: 0, pushback };
        self.input(number, Input::Ended { attempt, outcome }, coverage)?;
        // A doubled end does nothing.
        self.input(number, Input::Ended { attempt, outcome }, coverage)
    }

    fn fire(&mut self, number: usize, which: usize, coverage: &Coverage) -> TestCaseResult {
        let call = &mut self.calls[number];
        let (at, reason, attempt) = call.timers.swap_remove(which % call.timers.len());
        call.server_ms = if reason == TimerReason::Attempt { 0 } else { call.server_ms };
        self.now = self.now.max(at);
        self.input(number, Input::Timer { reason, attempt }, coverage)
    }

    fn wake(&mut self, which: usize, coverage: &Coverage) -> TestCaseResult {
        let ticket = self.wakes.swap_remove(which % self.wakes.len());
        match self.calls.iter().position(|call| call.ticket == Some(ticket)) {
            Some(number) => self.input(number, Input::Granted, coverage),
            None => Ok(()),
        }
    }

    fn pick(&self, which: usize, wanted: impl Fn(&Driven) -> bool) -> Option<usize> {
        let fitting: Vec<_> = (0..self.calls.len()).filter(|number| wanted(&self.calls[*number])).collect();
        (!fitting.is_empty()).then(|| fitting[which % fitting.len()])
    }

    fn play(&mut self, step: Step, coverage: &Coverage) -> TestCaseResult {
        match step {
            Step::Begin { cooperative, left_ms } => {
                let left_ns = left_ms.map(|ms| ms * MS);
                let begin = Begin { cooperative, left_ns, ordinal: self.calls.len() as u64, ..Begin::default() };
                let deadline = left_ns.into_iter().chain(self.env.policy.total_ns).min().map(|left| self.now + left);
                let (running, timers) = (Vec::new(), Vec::new());
                let call = Call::new(begin);
                self.calls.push(Driven { call, deadline, started: 0, finished: 0, running, timers, server_ms: 0, ticket: None });
                self.input(self.calls.len() - 1, Input::Start, coverage)?;
            }
            Step::End { which, kind, pushback } => {
                if let Some(number) = self.pick(which, |call| !call.running.is_empty()) {
                    self.end(number, which, kind, pushback, coverage)?;
                }
            }
            Step::Fire(which) => {
                if let Some(number) = self.pick(which, |call| !call.timers.is_empty()) {
                    self.fire(number, which, coverage)?;
                }
            }
            Step::Wake(which) if !self.wakes.is_empty() => self.wake(which, coverage)?,
            Step::Cancel(which) => {
                if let Some(number) = self.pick(which, |call| !call.call.is_done()) {
                    self.input(number, Input::Cancelled, coverage)?;
                }
            }
            Step::Advance(ns) => self.now += ns,
            Step::Wake(_) => {}
        }
        self.check()
    }

    fn check(&self) -> TestCaseResult {
        let attempts: u32 = self.calls.iter().map(|call| call.started).sum();
        if let Some(cell) = self.env.cell() {
            prop_assert!(cell.counts(self.now).total <= attempts, "more votes than attempts");
        }
        if let Some(bulkhead) = &self.env.policy.bulkhead {
            let (in_use, queued) = Bulkhead::load(self.env.bulkhead);
            prop_assert!(in_use <= bulkhead.max_concurrent && queued <= bulkhead.max_queue, "{in_use} in use, {queued} queued");
        }
        Ok(())
    }

    /// Lets everything end; then nothing may be held.
    fn drain(&mut self, coverage: &Coverage) -> TestCaseResult {
        for _ in 0..10_000 {
            if !self.wakes.is_empty() {
                self.wake(0, coverage)?;
            } else if let Some(number) = self.pick(0, |call| !call.running.is_empty()) {
                self.end(number, 0, Kind::Programming, Pushback::None, coverage)?;
            } else if let Some(number) = self.pick(0, |call| !call.call.is_done() && !call.timers.is_empty()) {
                self.fire(number, 0, coverage)?;
            } else {
                break;
            }
        }
        prop_assert!(self.calls.iter().all(|call| call.finished == 1), "a call never finished");
        prop_assert_eq!(Bulkhead::load(self.env.bulkhead), (0, 0));
        if let Some(cell) = self.env.cell().filter(|cell| cell.state(self.now) == State::HalfOpen) {
            prop_assert!(cell.would_refuse(Ask::default(), self.now).is_none(), "a lease is held by nobody");
            coverage.saw("half open at the end");
        }
        Ok(())
    }
}

fn run(policy: &Policy, seed: u64, steps: &[Step], coverage: &Coverage) -> TestCaseResult {
    let own = |count: usize| -> Vec<AtomicU64> { (0..count).map(|_| AtomicU64::new(0)).collect() };
    let words = own(policy.breaker.as_ref().map_or(0, Breaker::words));
    let window = own(policy.breaker.as_ref().map_or(0, Breaker::window_words));
    let budget: [AtomicU64; WORDS] = std::array::from_fn(|_| AtomicU64::new(0));
    let (bulkhead, rate_limit, waiters) = (AtomicU64::new(0), AtomicU64::new(0), Locked::default());
    let source = Source::new(seed, "model");
    let env = Env {
        policy,
        breaker: &words,
        window: &window,
        bulkhead: &bulkhead,
        waiters: &waiters,
        rate_limit: &rate_limit,
        adaptive: &[],
        hedge: &[],
        budget: &budget,
        chaos: &[],
        openings: 0,
        source,
        chaos_source: source,
        armed: false,
        key: None,
    };
    let mut world = World { env, calls: Vec::new(), wakes: Vec::new(), now: 0 };
    for (number, step) in steps.iter().enumerate() {
        world.play(*step, coverage).map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
    }
    world.drain(coverage)
}

#[test]
fn a_call_keeps_its_promises_whatever_happens() {
    let coverage = Coverage::default();
    let result =
        runner(500).run(&(policy(), any::<u64>(), vec(step(), 1..120)), |(policy, seed, steps)| run(&policy, seed, &steps, &coverage));
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["Start", "Sleep", "Timer", "Park", "Wake", "Cancel", "Failed", "Finish", "half open at the end"]);
}

const CALL: Step = Step::Begin { cooperative: true, left_ms: None };

#[test]
fn a_turn_that_comes_after_the_total_starts_nothing() {
    let rate_limit = RateLimit { interval_ns: 50 * MS, burst: 1, max_wait_ms: 100 };
    let policy = Policy { rate_limit: Some(rate_limit), total_ns: Some(80 * MS), ..Policy::default() };
    let steps = [CALL, CALL, Step::Advance(90 * MS), Step::Fire(0)];
    run(&policy, 0, &steps, &Coverage::default()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_slot_that_comes_after_the_total_starts_nothing_and_is_passed_on() {
    let bulkhead = Bulkhead { max_concurrent: 1, max_queue: 2, max_wait_ms: None, adaptive: None };
    let policy = Policy { bulkhead: Some(bulkhead), total_ns: Some(80 * MS), ..Policy::default() };
    let end = Step::End { which: 0, kind: Kind::Success, pushback: Pushback::None };
    let steps = [CALL, CALL, CALL, Step::Advance(90 * MS), end, Step::Wake(0)];
    run(&policy, 0, &steps, &Coverage::default()).unwrap_or_else(|error| panic!("{error}"));
}
