//! Random histories of a circuit breaker.

use std::sync::atomic::AtomicU64;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use seawall_engine::chance::Source;
use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, Cell, Permit, State, Vote, Window};
use seawall_engine::table::layout::breaker::WATCHED;
use seawall_engine::time::MS;

use crate::breaker::{Model, No, Ticket};
use crate::{Coverage, runner};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Asks for a permit; `watched` as for a call that is no guard and no stream.
    Admit {
        watched: bool,
    },
    /// Lets time alone decide.
    Settle,
    /// The n-th open permit ends; `twice` gives it back a second time.
    End {
        which: usize,
        verdict: Verdict,
        first: bool,
        server_ms: u64,
        twice: bool,
    },
    Advance(u64),
    Isolate(Option<u64>),
    Disable(Option<u64>),
    Reset,
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![4 => Just(Verdict::Success), 6 => Just(Verdict::Failure), 1 => Just(Verdict::Ignored)]
}

fn end() -> impl Strategy<Value = Step> {
    let server = prop_oneof![5 => Just(0), 1 => 1..3_000u64];
    (any::<usize>(), verdict(), any::<bool>(), server, prop::bool::weighted(0.1))
        .prop_map(|(which, verdict, first, server_ms, twice)| Step::End { which, verdict, first, server_ms, twice })
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = || prop::option::weighted(0.8, 1..400u64);
    prop_oneof![
        40 => prop::bool::weighted(0.9).prop_map(|watched| Step::Admit { watched }),
        3 => Just(Step::Settle),
        40 => end(),
        12 => (0..100 * MS).prop_map(Step::Advance),
        12 => (0..150u64).prop_map(|ms| Step::Advance(ms * MS)),
        4 => (0..2_500u64).prop_map(|ms| Step::Advance(ms * MS)),
        1 => (0..150_000u64).prop_map(|ms| Step::Advance(ms * MS)),
        4 => (0..4u64).prop_map(|grains| Step::Advance(grains * GRAIN)),
        1 => expiry().prop_map(Step::Isolate),
        1 => expiry().prop_map(Step::Disable),
        1 => Just(Step::Reset),
    ]
}

fn options() -> impl Strategy<Value = Breaker> {
    let window = prop_oneof![(1..200u64).prop_map(|ms| Window::Time(ms * MS)), (1..60u32).prop_map(Window::Count)];
    let rules = (prop::option::of(1..=10_000u32), 1..12u32, prop::option::of(1..6u32), prop::option::of(1..6u32));
    let breaks = (1..300u64, 0..1_000u64, 0..=10_000u32, 1..1_500u64);
    let trials = (1..6u32, any::<prop::sample::Index>(), 1..400u64, any::<bool>());
    let slow = prop::option::of(
        (prop_oneof![1 => 0..4u64, 3 => 0..300 * MS / GRAIN], 1..=10_000u32).prop_map(|(limit, ratio)| (limit * GRAIN, ratio)),
    );
    let shares = (prop::bool::weighted(0.2), prop::option::weighted(0.2, 1..2_000u64));
    (window, rules, breaks, trials, slow, shares).prop_map(|(window, rules, breaks, trials, slow, shares)| Breaker {
        failure_ratio: rules.0,
        minimum_throughput: rules.1,
        slow,
        window,
        consecutive: rules.2,
        throttle: shares.0,
        ramp_ms: shares.1,
        quiet_streak: rules.3,
        break_ms: breaks.0,
        max_break_ms: breaks.0 + breaks.1,
        break_jitter: breaks.2,
        reset_after_ms: breaks.3,
        slots: trials.0,
        successes_to_close: 1 + trials.1.index(trials.0 as usize) as u32,
        lease: (trials.2, trials.3),
        has_on: false,
    })
}

/// The engine sees that a call in flight is slow with this grain, in nanoseconds; between its multiples it may be one of them late.
const GRAIN: u64 = 1 << 14;

/// Both sides, and the permits that are out.
struct Both<'a> {
    cell: Cell<'a>,
    model: Model,
    open: Vec<(Permit, Ticket)>,
    now: u64,
    /// Who asks next.
    ask: Ask,
}

impl Both<'_> {
    fn play(&mut self, step: Step, coverage: &Coverage) -> TestCaseResult {
        match step {
            // Calls of one moment enter the table in the order in which they began as long as the table has not come round.
            Step::Admit { .. } if self.comes_round() => {}
            Step::Admit { watched } => {
                self.ask = Ask { ordinal: self.ask.ordinal + 1, watched, ..self.ask };
                self.admit(coverage)?;
            }
            Step::Settle => {
                self.model.moved = None;
                let moved = self.cell.settle(self.now);
                self.model.settle(self.now);
                prop_assert_eq!(moved, self.model.moved, "after time alone");
                self.note(coverage);
            }
            Step::End { which, verdict, first, server_ms, twice } if !self.open.is_empty() => {
                let (permit, ticket) = self.open.swap_remove(which % self.open.len());
                for _ in 0..if twice && ticket.is_trial() { 2 } else { 1 } {
                    let vote = Vote { verdict, is_first: first, server_ms };
                    self.model.moved = None;
                    let moved = self.cell.record(permit, vote, self.now);
                    self.model.record(ticket, vote, self.now);
                    prop_assert_eq!(moved, self.model.moved, "after a result");
                    self.note(coverage);
                }
            }
            Step::End { .. } => {}
            Step::Advance(ns) if self.cell.options.slow.is_some() => self.now = (self.now + ns).next_multiple_of(GRAIN),
            Step::Advance(ns) => self.now += ns,
            Step::Isolate(ms) => self.hold(State::Isolated, ms),
            Step::Disable(ms) => self.hold(State::Disabled, ms),
            Step::Reset => {
                self.cell.reset();
                self.model.reset(self.now);
            }
        }
        self.compare(coverage)
    }

    fn hold(&mut self, state: State, ms: Option<u64>) {
        let until = ms.map(|ms| self.now / MS + ms);
        self.cell.hold(state, until.unwrap_or(0), self.now);
        self.model.hold(state, until, self.now);
    }

    fn comes_round(&self) -> bool {
        let options = self.cell.options;
        options.slow.is_some() && matches!(options.window, Window::Count(_)) && self.ask.ordinal as usize + 1 >= WATCHED
    }

    fn admit(&mut self, coverage: &Coverage) -> TestCaseResult {
        let (got, moved) = self.cell.admit(self.ask, self.now);
        let wanted = self.model.admit(self.ask, self.now);
        prop_assert_eq!(moved, self.model.moved, "after an admission");
        self.note(coverage);
        match (got, wanted) {
            (Ok(permit), Ok(ticket)) => self.open.push((permit, ticket)),
            (Err(refusal), Err(no)) => {
                let said = No { state: refusal.state, generation: refusal.generation, retry_after_ms: refusal.retry_after_ms };
                prop_assert_eq!(said, no);
                coverage.saw(format!("refused {}", no.state.name()));
            }
            (got, wanted) => prop_assert!(false, "engine {got:?}, model {wanted:?}"),
        }
        Ok(())
    }

    fn note(&mut self, coverage: &Coverage) {
        if let Some(moved) = self.model.moved {
            coverage.saw(format!("{} -> {}", moved.from.name(), moved.to.name()));
        }
        std::mem::take(&mut self.model.notes).into_iter().for_each(|note| coverage.saw(note));
    }

    fn compare(&self, coverage: &Coverage) -> TestCaseResult {
        let state = self.model.state(self.now);
        prop_assert_eq!(self.cell.state(self.now), state);
        prop_assert_eq!(self.cell.counts(self.now), self.model.counts(self.now));
        prop_assert_eq!(self.cell.frozen(), self.model.frozen);
        let next = Ask { ordinal: self.ask.ordinal + 1, ..self.ask };
        prop_assert_eq!(self.cell.would_refuse(next, self.now).is_some(), self.model.would_refuse(next, self.now), "in {:?}", state);
        coverage.saw(state.name());
        Ok(())
    }
}

fn run(options: &Breaker, seed: u64, steps: &[Step], coverage: &Coverage) -> TestCaseResult {
    let words: Vec<_> = (0..options.words() + options.window_words()).map(|_| AtomicU64::new(0)).collect();
    let source = Source::new(seed, "model");
    let model = Model::new(options.clone(), source);
    let mut both = Both {
        cell: Cell { options, words: &words[..options.words()], window: &words[options.words()..], source },
        model,
        open: Vec::new(),
        now: 0,
        ask: Ask { ordinal: 0, attempt: 63, watched: true },
    };
    for (number, step) in steps.iter().enumerate() {
        both.play(*step, coverage).map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
    }
    Ok(())
}

#[test]
fn a_breaker_does_what_the_model_does() {
    let coverage = Coverage::default();
    let histories = (options(), any::<u64>(), prop_oneof![4 => vec(step(), 1..200), 1 => vec(step(), 200..500)]);
    let result = runner(1_000).run(&histories, |(options, seed, steps)| run(&options, seed, &steps, &coverage));
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&[
        "closed",
        "open",
        "half_open",
        "isolated",
        "disabled",
        "closed -> open",
        "open -> half_open",
        "half_open -> closed",
        "half_open -> open",
        "isolated -> half_open",
        "disabled -> closed",
        "refused open",
        "refused half_open",
        "refused isolated",
        "refused closed",
        "a lapse opened",
        "slow at the end",
        "slow in flight",
        "slow in flight failed",
        "slow in flight opened",
        "slow calls opened",
        "throttled",
        "ramped",
    ]);
}

const ADMIT: Step = Step::Admit { watched: true };

/// Opens on the first failure for 100 ms, then has three trials, two of which close; leases of 50 ms.
fn small() -> Breaker {
    Breaker {
        failure_ratio: None,
        minimum_throughput: 1,
        slow: None,
        window: Window::Count(10),
        consecutive: Some(1),
        throttle: false,
        ramp_ms: None,
        quiet_streak: None,
        break_ms: 100,
        max_break_ms: 1_000,
        break_jitter: 0,
        reset_after_ms: 1_000,
        slots: 3,
        successes_to_close: 2,
        lease: (50, false),
        has_on: false,
    }
}

fn ended(verdict: Verdict) -> Step {
    Step::End { which: 0, verdict, first: true, server_ms: 0, twice: false }
}

/// Plays `steps` after a break has ended.
fn run_half_open(steps: &[Step]) {
    let opening = [ADMIT, ended(Verdict::Failure), Step::Advance(100 * MS)];
    let steps: Vec<_> = opening.iter().chain(steps).copied().collect();
    run(&small(), 0, &steps, &Coverage::default()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_break_runs_from_the_failure_that_decided_it_not_from_an_earlier_lapse() {
    let wait = Step::Advance(30 * MS);
    run_half_open(&[
        ADMIT,
        wait,
        ADMIT,
        wait,
        Step::End { which: 1, verdict: Verdict::Failure, first: true, server_ms: 0, twice: false },
        Step::Advance(95 * MS),
    ]);
}

#[test]
fn a_break_runs_from_the_lapse_that_decided_it_not_from_a_later_one() {
    let wait = Step::Advance(5 * MS);
    run_half_open(&[ADMIT, wait, ADMIT, wait, ADMIT, Step::Advance(70 * MS), ADMIT]);
}

#[test]
fn a_failure_in_the_millisecond_of_a_lapse_comes_after_it() {
    let options = Breaker { lease: (119, true), ..small() };
    let failed = Step::End { which: 1, verdict: Verdict::Failure, first: true, server_ms: 0, twice: false };
    let opening = [ADMIT, ended(Verdict::Failure), Step::Advance(100 * MS)];
    let trials = [ADMIT, Step::Advance(119 * MS), ADMIT, failed];
    let next = [Step::Advance(200 * MS), ADMIT, ADMIT, ADMIT, Step::Advance(40 * MS), ADMIT];
    let steps = [&opening[..], &trials, &next].concat();
    run(&options, 0, &steps, &Coverage::default()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_result_after_a_lapse_that_decided_is_stale() {
    let wait = Step::Advance(20 * MS);
    run_half_open(&[
        ADMIT,
        ADMIT,
        wait,
        ADMIT,
        Step::Advance(31 * MS),
        Step::End { which: 2, verdict: Verdict::Failure, first: true, server_ms: 900, twice: false },
    ]);
}

#[test]
fn isolating_a_circuit_that_was_closed_long_does_not_bring_its_old_breaks_back() {
    let success = [ADMIT, ended(Verdict::Success)];
    let mut steps = [success, success].concat();
    steps.extend([Step::Advance(1_000 * MS), Step::Isolate(Some(1)), Step::Advance(MS)]);
    steps.extend([ADMIT, ended(Verdict::Failure), ADMIT, ended(Verdict::Failure)]);
    run_half_open(&steps);
}

fn run_slow(options: Breaker, steps: &[Step]) {
    let coverage = Coverage::default();
    run(&options, 0, steps, &coverage).unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["slow in flight", "open"]);
}

#[test]
fn a_call_that_becomes_slow_in_the_first_millisecond_is_judged() {
    let options = Breaker { slow: Some((0, 10_000)), consecutive: None, ..small() };
    run_slow(options, &[ADMIT, Step::Advance(GRAIN), Step::Settle]);
}

#[test]
fn a_call_seen_to_be_slow_fails_in_the_first_millisecond() {
    let options = Breaker { slow: Some((0, 10_000)), minimum_throughput: 2, ..small() };
    run_slow(options, &[ADMIT, Step::Advance(GRAIN), Step::Settle, ended(Verdict::Failure)]);
}

#[test]
fn a_failure_counts_in_a_row_long_after_its_call_was_seen_to_be_slow() {
    let options = Breaker { slow: Some((0, 10_000)), minimum_throughput: 2, window: Window::Time(MS), ..small() };
    // 512 ms are whole milliseconds and whole grains.
    let rest = Step::Advance(512 * MS - GRAIN);
    run_slow(options, &[ADMIT, Step::Advance(GRAIN), Step::Settle, rest, ended(Verdict::Failure)]);
}

#[test]
fn a_place_in_the_table_of_watched_calls_is_used_again() {
    let options = Breaker { slow: Some((0, 1)), consecutive: None, window: Window::Time(MS), ..small() };
    let ended_calls = [ADMIT, ended(Verdict::Success)].repeat(WATCHED);
    run_slow(options, &[&[Step::Reset], &ended_calls[..], &[ADMIT, Step::Advance(GRAIN), Step::Settle]].concat());
}

#[test]
fn a_call_beyond_the_table_takes_no_other_calls_place() {
    let options = Breaker { slow: Some((2 * GRAIN, 1)), consecutive: None, window: Window::Time(MS), ..small() };
    let others = [ADMIT].repeat(WATCHED);
    run_slow(options, &[&[ADMIT, Step::Advance(GRAIN)], &others[..], &[Step::Advance(2 * GRAIN), Step::Settle]].concat());
}

#[test]
fn the_next_call_to_become_slow_is_found_wherever_it_lies_in_the_table() {
    // Two of 64 outcomes open; the last call lies at the table's start, the two before it at its end.
    let options = Breaker { slow: Some((4 * GRAIN, 300)), consecutive: None, window: Window::Time(MS), ..small() };
    let ended_calls = [ADMIT, ended(Verdict::Success)].repeat(WATCHED - 2);
    let later = Step::Advance(GRAIN);
    let calls = [ADMIT, later, ADMIT, later, ADMIT, Step::Advance(3 * GRAIN), Step::Settle, later, Step::Settle];
    run_slow(options, &[&ended_calls[..], &calls].concat());
}
