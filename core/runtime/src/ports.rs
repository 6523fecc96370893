//! Ports of isolates: JavaScript counts what needs no decision in words that it shares with us (`seawall_engine::ports` has the protocol).
//!
//! | who | does | when |
//! |---|---|---|
//! | an isolate | attaches a port of a policy without a key | at its first call |
//! | an isolate | admits, passes, uses slots that it was left with, all on the port's words | a call that neither waits nor fails |
//! | an isolate | rolls: its counts enter the buckets that they belong to | the bucket it was told of is over |
//! | the machine | drains every port before a step; takes back the slots that isolates do not use; rewrites the gates after | every other call |
//! | a change of the policy | shuts the ports for good; isolates attach new ones | reload, mode, reset |
//!
//! A slot of the bulkhead that an isolate has left stays with it for its next call, until somebody else asks for it. While anybody waits,
//! `wanted` makes isolates give back what gets free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use seawall_engine::pipeline::{Admitted, Env};
use seawall_engine::policy::breaker::{Permit, State, Window};
use seawall_engine::policy::bulkhead::{Answer, Bulkhead};
use seawall_engine::ports::{Behind, Port};
use seawall_engine::table::layout::port as at;
use seawall_engine::time::{SECOND, ceil_ms};

use crate::call::Call;
use crate::force::View;
use crate::grip::{Grip, Unfit};
use crate::metrics::CallEnd;
use crate::policy::Policy;
use crate::state::{KeyState, Queue};

/// Words of a port.
pub const PORT_WORDS: usize = at::WORDS;
/// Successes that may be counted at a time. Any number but 0 will do: a port counts while its gate is open.
const CREDIT: u32 = 1;
/// The bit of `SLOTS` that asks for what gets free.
const WANTED: u32 = 1 << 31;
/// What the gate shows of a generation that never is.
const SHUT: u32 = u32::MAX;

/// One attached port.
struct Attached {
    words: &'static [AtomicU32],
    behind: Behind,
    /// The state whose breaker and bulkhead it counts for.
    state: u64,
    has_breaker: bool,
    /// The moment that undrained counts belong to: their bucket's.
    moment: AtomicU64,
    /// Of `BEGUN` and `PASSED`, what has been counted. Written under the lock of the list.
    begun: AtomicU32,
    passed: AtomicU32,
    is_shut: AtomicBool,
    /// Once it is detached: how many calls had begun by then, of the policy in all and by the port's own words. What begins later is on neither side.
    begun_at_end: Mutex<Option<(u64, u32)>>,
}

/// The ports of one policy.
#[derive(Default)]
pub(crate) struct Ports {
    /// Looked at by every step, so that a policy without ports takes no lock.
    are_any: AtomicBool,
    list: Mutex<Vec<Arc<Attached>>>,
    /// Calls that began on ports and were counted.
    before: AtomicU64,
}

type StateEnv<'a> = Env<'a, Queue>;

impl Attached {
    fn port(&self) -> Port<'_> {
        Port { words: self.words, behind: &self.behind }
    }

    /// Counts what the isolate did since the last time. Under the lock of the list.
    fn drain(&self, policy: &Policy, env: &StateEnv<'_>, state: &KeyState) {
        let moment = self.moment.load(Ordering::Relaxed);
        if let Some(cell) = env.cell().filter(|_| self.state == state.id) {
            self.port().drain(&cell, moment);
        }
        // Acquire: pairs with the isolate's store, as in `Port::drain`.
        let since = |word: usize, counted: &AtomicU32| {
            let written = self.words[word].load(Ordering::Acquire);
            written.wrapping_sub(counted.swap(written, Ordering::Relaxed))
        };
        let begun = since(at::BEGUN, &self.begun);
        policy.ports.before.fetch_add(begun.into(), Ordering::Relaxed);
        if let Some(budget) = env.policy.retry.as_ref().and_then(|retry| retry.budget.as_ref()) {
            budget.deposit_for(env.budget, begun, moment);
        }
        policy.counters.passed_on_port(since(at::PASSED, &self.passed));
    }

    /// Gives the slots back that the isolate does not use, and leaves `mark` in their place; the tickets are to be woken.
    fn take_slots(&self, bulkhead: &Bulkhead, env: &StateEnv<'_>, mark: u32) -> Vec<u64> {
        // AcqRel: what the isolate's last call did comes before what the slot's next holder does.
        let unused = self.words[at::SLOTS].swap(mark, Ordering::AcqRel) & !WANTED;
        (0..unused).filter_map(|_| bulkhead.leave(env.bulkhead, env.waiters)).collect()
    }

    /// Calls that had begun before the next one of the isolate, by the port's own words.
    fn begun_here(&self) -> u32 {
        self.words[at::BEGUN].load(Ordering::Acquire).wrapping_add(self.words[at::ELSEWHERE].load(Ordering::Acquire))
    }

    /// Calls that began since the last drain.
    fn undrained(&self) -> u32 {
        self.words[at::BEGUN].load(Ordering::Acquire).wrapping_sub(self.begun.load(Ordering::Relaxed))
    }

    fn unused_slots(&self) -> u32 {
        self.words[at::SLOTS].load(Ordering::Acquire) & !WANTED
    }

    /// Shuts the gate for good.
    fn shut(&self) {
        // SeqCst: as in `Port::rewrite_gate`.
        self.is_shut.store(true, Ordering::SeqCst);
        self.words[at::CREDIT].swap(0, Ordering::SeqCst);
        self.words[at::GENERATION].swap(SHUT, Ordering::SeqCst);
    }

    fn reopen(&self, env: &StateEnv<'_>, now: u64) {
        if let (Some(cell), false) = (env.cell().filter(|_| self.has_breaker), self.is_shut.load(Ordering::SeqCst)) {
            self.port().rewrite_gate(&cell, now, CREDIT);
        }
    }
}

impl Ports {
    fn are_any(&self) -> bool {
        // Acquire: whoever attached a port has made it known before.
        self.are_any.load(Ordering::Acquire)
    }

    /// Counts everything that isolates did on their own.
    pub(crate) fn drain(&self, policy: &Policy, env: &StateEnv<'_>, state: &KeyState) {
        if self.are_any() {
            self.list.lock().iter().for_each(|port| port.drain(policy, env, state));
        }
    }

    /// Before a step of the machine; gives tickets to be woken.
    pub(crate) fn before_step(&self, policy: &Policy, env: &StateEnv<'_>, state: &KeyState) -> Vec<u64> {
        if !self.are_any() {
            return Vec::new();
        }
        let list = self.list.lock();
        list.iter().for_each(|port| port.drain(policy, env, state));
        let Some(bulkhead) = env.slots() else { return Vec::new() };
        list.iter().flat_map(|port| port.take_slots(&bulkhead, env, WANTED)).collect()
    }

    /// After a step of the machine: the gates are what the state asks for; gives tickets to be woken.
    pub(crate) fn after_step(&self, env: &StateEnv<'_>, now: u64) -> Vec<u64> {
        if !self.are_any() {
            return Vec::new();
        }
        let list = self.list.lock();
        list.iter().for_each(|port| port.reopen(env, now));
        let Some(bulkhead) = env.slots() else { return Vec::new() };
        let is_queued = || Bulkhead::load(env.bulkhead).1 > 0;
        if !is_queued() {
            // Isolates may keep what gets free.
            list.iter().for_each(|port| {
                port.words[at::SLOTS].fetch_and(!WANTED, Ordering::SeqCst);
            });
        }
        // Looked at after the mark was taken away: whoever came to wait meanwhile found it, or is found here.
        if !is_queued() {
            return Vec::new();
        }
        list.iter().flat_map(|port| port.take_slots(&bulkhead, env, WANTED)).collect()
    }

    /// The gates are made what the state asks for.
    pub(crate) fn rewrite(&self, env: &StateEnv<'_>, now: u64) {
        if self.are_any() {
            self.list.lock().iter().for_each(|port| port.reopen(env, now));
        }
    }

    /// Ends all of them: the policy has changed.
    pub(crate) fn shut(&self) {
        if self.are_any() {
            self.list.lock().iter().for_each(|port| port.shut());
        }
    }

    /// Calls that began on ports.
    pub(crate) fn begun(&self) -> u64 {
        let undrained = || self.list.lock().iter().map(|port| u64::from(port.undrained())).sum::<u64>();
        let undrained = if self.are_any() { undrained() } else { 0 };
        self.before.load(Ordering::Relaxed).wrapping_add(undrained)
    }

    /// How many calls began elsewhere.
    pub(crate) fn tell_elsewhere(&self, calls: u64) {
        if self.are_any() {
            // Truncated: the isolate counts in 32 bits too.
            self.list.lock().iter().for_each(|port| port.words[at::ELSEWHERE].store(calls as u32, Ordering::Release));
        }
    }

    /// Slots in use and waiters queued: what isolates hold without use is free.
    pub(crate) fn load(&self, state: &KeyState) -> (u32, u32) {
        let unused: u32 = if self.are_any() {
            self.list.lock().iter().filter(|port| port.state == state.id).map(|port| port.unused_slots()).sum()
        } else {
            0
        };
        let (in_use, queued) = Bulkhead::load(&state.bulkhead);
        (in_use.saturating_sub(unused), queued)
    }

    pub(crate) fn forget(&self) {
        self.before.store(0, Ordering::Relaxed);
    }
}

impl Policy {
    /// Counts what isolates did on their own, for somebody who looks.
    pub(crate) fn settle_ports(&self) {
        if self.ports.are_any() {
            let state = self.look(None);
            let view = View::of(self, &state);
            self.ports.drain(self, &self.env(&view, &state, None), &state);
        }
    }
}

/// What an isolate has to know of its port.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Whether successes are counted for a circuit breaker.
    pub breaker: bool,
    /// Whether calls take slots.
    pub bulkhead: bool,
    /// The limit of an attempt, in milliseconds.
    pub attempt_ms: Option<u64>,
    /// The limit of the call, in milliseconds.
    pub total_ms: Option<u64>,
    /// Stands for a slot in the chains of nested calls.
    pub chain: u64,
}

/// What became of a success that the isolate could not count itself.
#[derive(Debug)]
pub enum Counted {
    /// It is counted, or came too late to count.
    Done,
    /// It is counted and caused a transition: the event's record.
    Told(String),
    /// The machine has to say: resume the call.
    Machine,
}

/// A call that an isolate began, to go on in the machine.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// The generation that the gate showed.
    pub generation: u32,
    /// Whether it holds a slot.
    pub slot: bool,
    /// `BEGUN` plus `ELSEWHERE` before it began.
    pub before: u32,
    /// When it began, in nanoseconds.
    pub started: u64,
}

/// An attached port with the hold on its policy.
pub struct HeldPort {
    grip: Grip,
    attached: Arc<Attached>,
}

impl HeldPort {
    /// Attaches an isolate to `policy`, in words of zero. They must not be given up before [`HeldPort::detach`].
    ///
    /// # Errors
    /// If calls of the policy have to be decided one by one.
    pub fn attach(policy: &Arc<Policy>, words: &'static [AtomicU32], now: u64) -> Result<Self, Unfit> {
        let grip = Grip::for_driver(policy, now)?;
        let engine = grip.engine();
        if engine.rate_limit.is_some() || engine.breaker.as_ref().is_some_and(|breaker| !breaker.is_plain()) {
            return Err(Unfit::Until(grip.changes()));
        }
        let attached = Arc::new(Attached {
            words,
            behind: Behind::default(),
            state: grip.state.id,
            has_breaker: engine.breaker.is_some(),
            moment: AtomicU64::new(now),
            begun: AtomicU32::new(0),
            passed: AtomicU32::new(0),
            is_shut: AtomicBool::new(false),
            begun_at_end: Mutex::default(),
        });
        let mut list = policy.ports.list.lock();
        list.push(Arc::clone(&attached));
        // Release: see `Ports::are_any`.
        policy.ports.are_any.store(true, Ordering::Release);
        words[at::ELSEWHERE].store(policy.begun_outside_ports() as u32, Ordering::Release);
        words[at::CREDIT].store(CREDIT, Ordering::Release);
        let held = Self { grip, attached };
        held.attached.reopen(&held.env(), now);
        // A change that came before the port was in the list did not shut it.
        if !held.grip.is_current() {
            held.attached.shut();
        }
        drop(list);
        Ok(held)
    }

    fn policy(&self) -> &Policy {
        &self.grip.policy
    }

    fn env(&self) -> StateEnv<'_> {
        self.policy().env(&self.grip.view, &self.grip.state, None)
    }

    /// Works with the options in force, which may be others than when the port was attached: how many slots there are is judged by them.
    fn newest<T>(&self, work: impl FnOnce(&StateEnv<'_>) -> T) -> T {
        if self.grip.is_current() {
            return work(&self.env());
        }
        let view = View::of(self.policy(), &self.grip.state);
        work(&self.policy().env(&view, &self.grip.state, None))
    }

    /// What the isolate has to know.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let engine = self.grip.engine();
        Shares {
            breaker: engine.breaker.is_some(),
            bulkhead: engine.bulkhead.is_some(),
            attempt_ms: engine.attempt_ns.map(ceil_ms),
            total_ms: engine.total_ns.map(ceil_ms),
            chain: self.grip.state.id,
        }
    }

    /// Whether the policy is what it was when the port was attached.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.grip.is_current()
    }

    /// What was counted so far belongs to the bucket before `now`. Gives the end of the one that `now` is in, in nanoseconds; `None` where
    /// nothing depends on time.
    pub fn roll(&self, now: u64) -> Option<u64> {
        let env = self.env();
        let _list = self.policy().ports.list.lock();
        self.attached.drain(self.policy(), &env, &self.grip.state);
        self.attached.moment.store(now, Ordering::Relaxed);
        self.attached.reopen(&env, now);
        let end = |width: u64| (now / width + 1).saturating_mul(width);
        let of_breaker = env.policy.breaker.as_ref().and_then(|breaker| match breaker.window {
            Window::Time(width) => Some(end(width)),
            Window::Count(_) => None,
        });
        let has_budget = env.policy.retry.as_ref().is_some_and(|retry| retry.budget.is_some());
        of_breaker.into_iter().chain(has_budget.then(|| end(SECOND))).min()
    }

    /// Counts a success of `generation` for which there was no credit.
    #[must_use]
    pub fn succeeded(&self, generation: u32, now: u64) -> Counted {
        let env = self.env();
        let is_queue = env.slots().is_some_and(|bulkhead| bulkhead.max_queue > 0);
        let list = self.policy().ports.list.lock();
        let Some(cell) = env.cell().filter(|_| self.grip.is_current()) else { return Counted::Machine };
        list.iter().for_each(|port| port.drain(self.policy(), &env, &self.grip.state));
        // A transition turns those away who wait for a slot.
        if is_queue && cell.counts(now).failures > 0 {
            return Counted::Machine;
        }
        let transition = cell.record_plain_success(generation, || now, || now);
        list.iter().for_each(|port| port.reopen(&env, now));
        transition.map_or(Counted::Done, |transition| Counted::Told(self.grip.announce(&transition)))
    }

    /// After how many calls that pass at once the next one is to be measured. Drawn anew each time.
    #[must_use]
    pub fn next_measured(&self) -> u32 {
        u32::try_from(self.policy().counters.sampler.gap()).unwrap_or(u32::MAX)
    }

    /// Such a call passed after so many nanoseconds.
    pub fn measured(&self, ns: u64) {
        self.grip.measured(ns);
    }

    /// Turns a call away, if the circuit is open or isolated: the generation, and in how many milliseconds another call makes sense. Only of
    /// policies in which nobody has to be asked what comes after a rejection.
    #[must_use]
    pub fn refuse(&self, now: u64) -> Option<(u32, Option<u64>)> {
        let engine = self.grip.engine();
        if !self.grip.is_current() || engine.retry.is_some() || engine.fallback.is_some() || engine.dead_letter.is_some() {
            return None;
        }
        let cell = self.grip.cell()?;
        let refusal = cell.refuse_plain(now)?;
        cell.count_refusal(&refusal, now);
        self.policy().counters.call(CallEnd::Rejected(0), None);
        Some((refusal.generation, refusal.retry_after_ms))
    }

    /// Why the circuit is not closed: whether somebody holds it open, and the outcomes and failures at the trip.
    #[must_use]
    pub fn opening(&self, now: u64) -> (bool, u32, u32) {
        let Some(cell) = self.grip.cell() else { return (false, 0, 0) };
        let frozen = cell.frozen();
        (cell.state(now) == State::Isolated, frozen.total, frozen.failures)
    }

    /// Takes a slot, if one is free at once.
    #[must_use]
    pub fn enter(&self) -> bool {
        let env = self.env();
        let enters = |bulkhead: Bulkhead| bulkhead.enter(env.bulkhead, env.waiters, false) == Answer::Entered;
        self.grip.is_current() && env.slots().is_some_and(enters)
    }

    /// Gives a slot back; the ticket is to be woken.
    #[must_use]
    pub fn leave(&self) -> Option<u64> {
        self.newest(|env| env.slots().and_then(|bulkhead| bulkhead.leave(env.bulkhead, env.waiters)))
    }

    /// The call in the machine, with its first attempt running.
    #[must_use]
    pub fn resume(&self, correlation_id: &str, begun: Begun) -> Call {
        let permit = self.attached.has_breaker.then(|| Permit::plain(begun.generation));
        let at_end = *self.attached.begun_at_end.lock();
        let now = || (self.policy().begun_outside_ports().wrapping_add(self.policy().ports.begun()), self.attached.begun_here());
        let (in_all, here) = at_end.unwrap_or_else(now);
        let since = here.wrapping_sub(begun.before);
        let admitted = Admitted { started: begun.started, permit, slot: begun.slot };
        Call::resume_at(&self.grip, correlation_id, 0, in_all.wrapping_sub(since.into()), admitted)
    }

    /// Counts what is left and lets go of the words: the isolate writes no more. Gives the tickets to be woken: somebody may have come to wait
    /// since the slots that it left here were last taken back.
    #[must_use]
    pub fn detach(&self) -> Vec<u64> {
        self.newest(|env| self.detach_from(env, 0))
    }

    /// The isolate has ended, maybe with calls under way: the same, and their slots are free.
    #[must_use]
    pub fn isolate_ended(&self) -> Vec<u64> {
        let in_use = self.attached.words[at::IN_USE].load(Ordering::Acquire);
        self.newest(|env| self.detach_from(env, in_use))
    }

    fn detach_from(&self, env: &StateEnv<'_>, abandoned: u32) -> Vec<u64> {
        let mut list = self.policy().ports.list.lock();
        let Some(place) = list.iter().position(|port| Arc::ptr_eq(port, &self.attached)) else { return Vec::new() };
        let port = list.swap_remove(place);
        port.shut();
        port.drain(self.policy(), env, &self.grip.state);
        let undrained: u64 = list.iter().map(|other| u64::from(other.undrained())).sum();
        let on_ports = self.policy().ports.before.load(Ordering::Relaxed).wrapping_add(undrained);
        *port.begun_at_end.lock() = Some((self.policy().begun_outside_ports().wrapping_add(on_ports), port.begun_here()));
        let Some(bulkhead) = env.slots() else { return Vec::new() };
        let mut wakes = port.take_slots(&bulkhead, env, WANTED);
        wakes.extend((0..abandoned).filter_map(|_| bulkhead.leave(env.bulkhead, env.waiters)));
        wakes
    }
}
