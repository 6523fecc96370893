//! Calls without the machine, made by threads that take turns: admitted and recorded on the words of the strategies, while nothing waits or
//! fails.
//!
//! | the call | here | else |
//! |---|---|---|
//! | passes at once and succeeds | admitted, and its success recorded | |
//! | passes at once and ends otherwise | admitted | goes on in the machine, with its first attempt running |
//! | passes at once and outlasts a limit of time | admitted | the same: its caller finds out, and says so to the machine |
//! | is surely turned away, and the event is a repeat that nobody hears | counted, and refused | |
//! | anything else | nothing was taken | the machine, from the start |
//!
//! The strategies' own functions decide, in the order of the engine's pipeline, on the words that the machine works on.

use seawall_engine::pipeline::Admitted;
use seawall_engine::policy::breaker::{Ask, Permit, State, Window};
use seawall_engine::policy::bulkhead::{Answer as Slot, Waiters};
use seawall_engine::policy::rate_limit::Answer as Turn;
use seawall_engine::time::MS;

use crate::call::Call;
use crate::clock;
use crate::grip::{Grip, Place};

/// The coarse clock is never later than so much.
const TICK_MS: u64 = 20;
/// Buckets of at least so many nanoseconds are filled by the coarse clock.
const COARSE_BUCKET: u64 = 100 * MS;

/// How a call begins.
pub enum Start {
    /// With its first attempt.
    Begun,
    /// Not at all.
    Refused(Refused),
    /// In the machine.
    Slow,
}

/// What the first attempt holds, until it is given to [`succeed`] or [`resume`]. Filled where it lies: moving it costs more than filling it.
#[derive(Clone, Copy)]
pub struct Begun {
    place: Place,
    started: u64,
    /// When the nearest limit of time passes; 0 if there is none.
    due: u64,
    /// The generation of the closed circuit that let it pass.
    generation: Option<u32>,
    slot: bool,
    /// Whether `started` is exact, and the success is to be measured.
    measured: bool,
}

impl Begun {
    /// Nothing yet.
    #[inline]
    #[must_use]
    pub fn nothing() -> Self {
        Self { place: Place::default(), started: 0, due: 0, generation: None, slot: false, measured: false }
    }

    /// When the nearest limit of time passes, in nanoseconds of the clock; 0 if there is none.
    #[inline]
    #[must_use]
    pub fn due(&self) -> u64 {
        self.due
    }

    /// When the attempt started, in nanoseconds of the clock: to a tick where there is no limit of time.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether a limit has passed. Mostly the coarse clock can tell that none has.
    #[inline]
    fn is_late(&self) -> bool {
        self.due != 0 && clock::coarse().saturating_add(TICK_MS * MS) >= self.due && clock::now() > self.due
    }
}

/// A refusal that has been counted.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The code of its error.
    pub code: &'static str,
    /// Milliseconds after which another call makes sense.
    pub retry_after_ms: Option<u64>,
    /// Failures and calls when the circuit opened, where they are known.
    pub trip: Option<(u32, u32)>,
}

/// How a success ends.
#[must_use]
pub enum Success {
    /// It is recorded, and the call is over.
    Recorded,
    /// The same, and there is an event to be told.
    Announced(String),
    /// Nothing is recorded: the policy was changed meanwhile, or the success comes late, and the machine must say what it counts for.
    Machine,
}

/// Whether the options can be served here.
#[must_use]
pub fn suits(grip: &Grip) -> bool {
    let engine = grip.engine();
    let breaker = engine.breaker.as_ref().is_none_or(|breaker| breaker.is_plain());
    // A turn that was taken cannot be given back if a slot is refused after it, so the two together are the machine's. So is a queue,
    // which has to know whose slots the caller holds.
    let limits = engine.rate_limit.is_none() || engine.bulkhead.is_none();
    let queue = engine.bulkhead.as_ref().is_none_or(|bulkhead| bulkhead.max_queue == 0);
    breaker && limits && queue
}

/// Begins a call of a policy that suits; `begun` holds nothing yet. `quiet`: whether an event that repeats one told within the last second would be heard by nobody.
#[inline]
pub fn begin(grip: &Grip, begun: &mut Begun, quiet: impl FnOnce() -> bool) -> Start {
    if let Some(cell) = grip.cell() {
        begun.generation = cell.admit_plain();
        if begun.generation.is_none() {
            return not_closed(grip, quiet);
        }
    }
    if let Some((limit, word)) = grip.rate_limit() {
        match limit.take(word, clock::now(), Some(0)) {
            Turn::Pass => {}
            Turn::Refuse(ms) if limit.max_wait_ms == 0 => return refused(grip, "rate.limited", Some(ms), quiet),
            _ => return Start::Slow,
        }
    }
    if let Some((bulkhead, word, waiters)) = grip.bulkhead() {
        if bulkhead.enter(word, waiters, false) != Slot::Entered {
            // Maybe a slot has lapsed.
            if waiters.next_lapse() <= clock::now() {
                return Start::Slow;
            }
            return refused(grip, "bulkhead.full", None, quiet);
        }
        begun.slot = true;
    }
    if grip.draws() {
        begun.place = grip.begin_in_turn();
    }
    let limits = grip.limits();
    // How long an attempt took that failed is told to within a tick. A limit is kept to the instant, and of those that succeed some are measured.
    begun.measured = grip.is_measured();
    begun.started = if begun.measured || limits.are_some() { clock::now() } else { clock::coarse() };
    begun.due = limits.due(begun.started);
    if let Some((budget, words)) = grip.budget() {
        budget.deposit(words, begun.started);
    }
    Start::Begun
}

/// The circuit is not closed. While it is surely open, the call is turned away here.
#[cold]
fn not_closed(grip: &Grip, quiet: impl FnOnce() -> bool) -> Start {
    let Some(cell) = grip.cell() else { return Start::Slow };
    let now = clock::coarse();
    let Some(refusal) = cell.would_refuse(Ask { ordinal: 0, attempt: 1, watched: true }, now) else { return Start::Slow };
    let surely = matches!(refusal.state, State::Open | State::Isolated) && refusal.retry_after_ms.is_none_or(|left| left > TICK_MS);
    if !surely || !answers_alone(grip) || !quiet() || !grip.repeats(refusal.code, now) {
        return Start::Slow;
    }
    cell.count_refusal(&refusal, now);
    let frozen = cell.frozen();
    let trip = (frozen.total > 0).then_some((frozen.failures, frozen.total));
    turned_away(grip, Refused { code: refusal.code, retry_after_ms: refusal.retry_after_ms, trip })
}

/// Nothing was taken.
#[cold]
fn refused(grip: &Grip, code: &'static str, retry_after_ms: Option<u64>, quiet: impl FnOnce() -> bool) -> Start {
    if !answers_alone(grip) || !quiet() || !grip.repeats(code, clock::coarse()) {
        return Start::Slow;
    }
    turned_away(grip, Refused { code, retry_after_ms, trip: None })
}

/// Whether a refusal is the end of the call: no retry or fallback has a say.
fn answers_alone(grip: &Grip) -> bool {
    grip.engine().fallback.is_none() && grip.engine().retry.is_none()
}

fn turned_away(grip: &Grip, refused: Refused) -> Start {
    grip.reject_in_turn(refused.code);
    Start::Refused(refused)
}

/// The first attempt has succeeded, under the grip that it began with. Gives the ticket to be woken, too.
#[inline]
pub fn succeed(grip: &Grip, begun: &Begun) -> (Success, Option<u64>) {
    if !grip.is_current() || begun.is_late() {
        return (Success::Machine, None);
    }
    let mut success = Success::Recorded;
    if let (Some(generation), Some(cell)) = (begun.generation, grip.cell()) {
        let window = cell.options.window;
        if let Some(transition) = cell.record_plain_success(generation, || bucket_time(window), clock::now) {
            success = Success::Announced(grip.announce(&transition));
        }
    }
    let mut ticket = None;
    if begun.slot {
        ticket = grip.bulkhead().and_then(|(bulkhead, word, waiters)| bulkhead.leave(word, waiters));
    }
    grip.pass_in_turn();
    if begun.measured {
        grip.measured(clock::now().saturating_sub(begun.started));
    }
    (success, ticket)
}

/// The call in the machine, with its first attempt running. It has no correlation id yet. `flags` as for [`Call::new`].
#[must_use]
pub fn resume(grip: &Grip, begun: &Begun, flags: u32) -> Call {
    let admitted = Admitted { started: begun.started, permit: begun.generation.map(Permit::plain), slot: begun.slot };
    Call::resume(grip, "", flags, begun.place, admitted)
}

fn bucket_time(window: Window) -> u64 {
    match window {
        Window::Time(width) if width >= COARSE_BUCKET => clock::coarse(),
        _ => clock::now(),
    }
}
