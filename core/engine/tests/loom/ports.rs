//! Ports: each success is counted once and in its generation, the gate is never left open for a state that is over, and a removed port
//! loses nothing.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::breaker::{Ask, State, Window};
use seawall_engine::ports::{Behind, Port, count_success};
use seawall_engine::sync::{AtomicU32, Ordering};
use seawall_engine::table::layout::port::{CREDIT, GENERATION, WORDS};

use crate::play::{Own, breaks, holds, options, vote};

const CREDITS: u32 = 64;

struct Isolate {
    own: Arc<Own>,
    words: [AtomicU32; WORDS],
    behind: Behind,
}

impl Isolate {
    /// With an open gate in generation 0.
    fn attached() -> Arc<Self> {
        let words = std::array::from_fn(|_| AtomicU32::new(0));
        let isolate = Self { own: Own::new(options(Window::Count(8))), words, behind: Behind::default() };
        isolate.port().rewrite_gate(&isolate.own.cell(), 0, CREDITS);
        Arc::new(isolate)
    }

    fn port(&self) -> Port<'_> {
        Port { words: &self.words, behind: &self.behind }
    }

    fn drain(&self) {
        self.port().drain(&self.own.cell(), 0);
    }

    fn rewrite_gate(&self) {
        self.port().rewrite_gate(&self.own.cell(), 0, CREDITS);
    }

    /// `successes` calls of generation 0 that succeed; how many were counted without asking.
    fn succeed(&self, successes: u32) -> u32 {
        (0..successes).map(|_| u32::from(count_success(&self.words, 0))).sum()
    }
}

/// Two threads drain while the isolate counts.
fn two_drains() {
    let isolate = Isolate::attached();
    let counting = Arc::clone(&isolate);
    let counting = thread::spawn(move || counting.succeed(2));
    let other = Arc::clone(&isolate);
    let draining = thread::spawn(move || other.drain());
    isolate.drain();
    draining.join().expect("no panic");
    assert_eq!(counting.join().expect("no panic"), 2);
    isolate.drain();
    assert_eq!(isolate.own.window(0), (2, 0), "each success once");
}

#[test]
fn two_drains_count_each_success_once() {
    holds("port, two drains", two_drains);
    breaks("port, two drains", Fault::DrainByLoadAndStore, two_drains);
}

/// The isolate counts while the generation moves on by two, so that the new one has the parity of the old.
fn drain_against_transition() {
    let isolate = Isolate::attached();
    let counting = Arc::clone(&isolate);
    let counting = thread::spawn(move || counting.succeed(2));
    isolate.drain();
    let before = isolate.own.window(0).0;
    isolate.own.cell().hold(State::Disabled, 0, 0);
    isolate.rewrite_gate();
    isolate.own.cell().reset();
    isolate.rewrite_gate();
    isolate.drain();
    let counted = counting.join().expect("no panic");
    isolate.drain();
    assert!(before <= counted, "no success twice");
    assert_eq!(isolate.own.window(0), (0, 0), "a success of generation 0 voted in generation 2");
}

#[test]
fn a_success_votes_in_its_own_generation_only() {
    holds("port, drain against transition", drain_against_transition);
    breaks("port, drain against transition", Fault::LaneOfAnyGeneration, drain_against_transition);
}

/// One thread rewrites the gate after a failure-free judgement while another opens the circuit and shuts the gate.
fn gate_against_transition() {
    let isolate = Isolate::attached();
    let other = Arc::clone(&isolate);
    let rewriting = thread::spawn(move || other.rewrite_gate());
    isolate.own.cell().hold(State::Isolated, 0, 0);
    isolate.rewrite_gate();
    rewriting.join().expect("no panic");
    assert!(!count_success(&isolate.words, 0), "an open circuit with an open gate");
    assert_eq!(isolate.words[CREDIT].load(Ordering::SeqCst), 0);
    assert_eq!(isolate.words[GENERATION].load(Ordering::SeqCst), u32::MAX);
}

#[test]
fn a_gate_is_never_left_open_for_a_state_that_is_over() {
    holds("port, gate against transition", gate_against_transition);
    breaks("port, gate against transition", Fault::GateWrittenOnce, gate_against_transition);
}

/// The same with a failure, after which a success could change a decision.
fn gate_against_failure() {
    let isolate = Isolate::attached();
    let other = Arc::clone(&isolate);
    let rewriting = thread::spawn(move || other.rewrite_gate());
    let (permit, _) = isolate.own.cell().admit(Ask::default(), 0);
    isolate.own.cell().record(permit.expect("closed"), vote(true), 0);
    isolate.rewrite_gate();
    rewriting.join().expect("no panic");
    assert!(!count_success(&isolate.words, 0), "credit though a success could change a decision");
}

#[test]
fn a_gate_gives_no_credit_after_a_failure() {
    holds("port, gate against failure", gate_against_failure);
    breaks("port, gate against failure", Fault::GateWrittenOnce, gate_against_failure);
}

/// A port is removed under load: another thread still drains and rewrites the gate, the isolate counts until it sees the gate shut.
fn removal() {
    let isolate = Isolate::attached();
    let counting = Arc::clone(&isolate);
    let counting = thread::spawn(move || counting.succeed(2));
    let other = Arc::clone(&isolate);
    let working = thread::spawn(move || {
        other.drain();
        other.rewrite_gate();
    });
    isolate.port().shut(&isolate.own.cell(), 0);
    // The isolate's end acknowledges the removal.
    let counted = counting.join().expect("no panic");
    isolate.port().detach(&isolate.own.cell(), 0);
    working.join().expect("no panic");
    assert_eq!(isolate.own.window(0), (counted, 0), "what was counted before the removal was acknowledged votes");
    assert_eq!(isolate.succeed(1), 0, "a removed port stays shut");
}

#[test]
fn a_port_removed_under_load_loses_nothing() {
    holds("port, removal", removal);
    breaks("port, removal", Fault::RemovedWithoutDrain, removal);
    breaks("port, removal", Fault::GateWrittenOnce, removal);
}
