//! The quick path: calls that neither wait nor fail, without the machine.
//!
//! | the call | here | else |
//! |---|---|---|
//! | passes at once and succeeds | admitted and recorded on the words of the strategies | |
//! | passes at once and fails | admitted here, and goes on in the machine with its first attempt running | |
//! | is dropped, or panics | the same, and is cancelled there | |
//! | is turned away, and nobody listens | counted and rejected here | the machine, from the start |
//! | anything else | | the machine, from the start, before anything was taken |
//!
//! The strategies' own functions decide here as in the machine (`admit.rs` of the engine's pipeline names the order), on the same words, so it makes
//! no difference which way a call takes; `tests/quick.rs` plays histories both ways. Clocks: none for a breaker that counts calls, a
//! bulkhead and a retry without a budget; the coarse one for buckets of a tenth of a second or more; the fine one for everything else.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use seawall_engine::pipeline::Admitted;
use seawall_engine::policy::breaker::{Ask, Cell, State, Window};
use seawall_engine::policy::bulkhead::Answer as Slot;
use seawall_engine::policy::rate_limit::Answer as Turn;
use seawall_engine::time::MS;
use seawall_runtime::{Call, Grip, Place, Policy, Unfit, clock, ids};

use crate::error::{About, Error, Rejection};
use crate::{context, event, nested, wake};

/// Grips of one policy object: one more each time that the policy was changed. A policy that changes more often goes without.
const GRIPS: usize = 64;
/// The coarse clock is never later than so much.
const TICK_MS: u64 = 20;
/// Buckets of at least so many nanoseconds are filled by the coarse clock.
const COARSE_BUCKET: u64 = 100 * MS;

/// What a policy object needs for the quick path.
pub(crate) struct Quick {
    /// Whether the caller's functions allow it at all.
    allowed: bool,
    grips: Box<[OnceLock<Grip>]>,
    /// The latest grip, from 1.
    latest: AtomicUsize,
    /// The number of changes that left the policy unfit, plus one.
    unfit: AtomicU64,
    /// The mark of the last type of error that is known to be one of ours.
    known: AtomicU64,
}

/// How a call begins.
pub(crate) enum Start<'a, E> {
    /// With its first attempt.
    Begun(Held<'a>),
    /// Not at all.
    Refused(Error<E>),
    /// In the machine.
    Slow,
}

/// What the first attempt holds. Dropped before its end it is cancelled.
pub(crate) struct Held<'a> {
    grip: &'a Grip,
    place: Place,
    admitted: Admitted,
    is_over: bool,
}

impl Quick {
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            grips: if allowed { (0..GRIPS).map(|_| OnceLock::new()).collect() } else { Box::default() },
            latest: AtomicUsize::new(0),
            unfit: AtomicU64::new(0),
            known: AtomicU64::new(0),
        }
    }

    #[inline]
    fn grip(&self, policy: &Arc<Policy>) -> Option<&Grip> {
        // Acquire pairs with the Release in `take_hold`: the grip behind the number is there.
        let latest = self.latest.load(Ordering::Acquire);
        let grip = self.grips.get(latest.wrapping_sub(1)).and_then(OnceLock::get).filter(|grip| grip.is_current());
        grip.or_else(|| self.take_hold(policy, latest))
    }

    #[cold]
    fn take_hold(&self, policy: &Arc<Policy>, latest: usize) -> Option<&Grip> {
        let place = self.grips.get(latest)?;
        let unfit = self.unfit.load(Ordering::Relaxed);
        if unfit > 0 && Grip::is_unfit(policy, unfit - 1) {
            return None;
        }
        let grip = match Grip::of(policy, clock::now()) {
            Ok(grip) if suits(&grip) => grip,
            Ok(grip) => return self.give_up_until(grip.changes()),
            Err(Unfit::Until(changes)) => return self.give_up_until(changes),
            Err(Unfit::ForNow) => return None,
        };
        let grip = place.get_or_init(|| grip);
        let _ = self.latest.compare_exchange(latest, latest + 1, Ordering::Release, Ordering::Relaxed);
        grip.is_current().then_some(grip)
    }

    fn give_up_until(&self, changes: u64) -> Option<&Grip> {
        self.unfit.store(changes + 1, Ordering::Relaxed);
        None
    }

    /// Begins a call.
    #[inline]
    pub(crate) fn begin<E: 'static>(&self, policy: &Arc<Policy>, label: &'static str) -> Start<'_, E> {
        if !self.allowed || context::is_inside() {
            return Start::Slow;
        }
        let Some(grip) = self.grip(policy) else { return Start::Slow };
        let engine = grip.engine();
        let mut held = Held { grip, place: Place::default(), admitted: Admitted { started: 0, permit: None, slot: false }, is_over: true };
        if let Some(cell) = grip.cell() {
            held.admitted.permit = cell.admit_plain();
            if held.admitted.permit.is_none() {
                return self.not_closed(grip, &cell, label);
            }
        }
        if let Some(limit) = &engine.rate_limit {
            match limit.take(grip.rate_limit(), clock::now(), Some(0)) {
                Turn::Pass => {}
                Turn::Refuse(ms) if limit.max_wait_ms == 0 => return self.turn_away(grip, "rate.limited", Some(ms), label),
                _ => return Start::Slow,
            }
        }
        if let Some(bulkhead) = &engine.bulkhead {
            let (word, waiters) = grip.bulkhead();
            if bulkhead.enter(word, waiters, false) != Slot::Entered {
                return self.turn_away(grip, "bulkhead.full", None, label);
            }
            held.admitted.slot = true;
        }
        if let Some(retry) = &engine.retry {
            held.place = grip.begin();
            if let Some(budget) = &retry.budget {
                budget.deposit(grip.budget(), clock::coarse());
            }
        }
        if event::is_heard() {
            held.admitted.started = clock::now();
        }
        held.is_over = false;
        Start::Begun(held)
    }

    /// The circuit is not closed. While it is surely open, the call is turned away here.
    #[cold]
    fn not_closed<E: 'static>(&self, grip: &Grip, cell: &Cell<'_>, label: &'static str) -> Start<'_, E> {
        let now = clock::coarse();
        match cell.would_refuse(Ask { ordinal: 0, attempt: 1, watched: true }, now) {
            Some(refusal)
                if matches!(refusal.state, State::Open | State::Isolated)
                    && refusal.retry_after_ms.is_none_or(|left| left > TICK_MS)
                    && !event::is_heard() =>
            {
                cell.count_refusal(&refusal, now);
                self.rejected(grip, refusal.code, refusal.retry_after_ms, label)
            }
            _ => Start::Slow,
        }
    }

    /// Nothing was taken. Where somebody listens the machine asks again, and tells.
    fn turn_away<E: 'static>(&self, grip: &Grip, code: &'static str, retry_after_ms: Option<u64>, label: &'static str) -> Start<'_, E> {
        if event::is_heard() { Start::Slow } else { self.rejected(grip, code, retry_after_ms, label) }
    }

    fn rejected<E: 'static>(&self, grip: &Grip, code: &'static str, retry_after_ms: Option<u64>, label: &'static str) -> Start<'_, E> {
        if grip.engine().retry.is_some() {
            let _ = grip.begin();
        }
        grip.lane().rejected();
        let mark = nested::mark::<E>();
        if self.known.load(Ordering::Relaxed) != mark {
            nested::make_known::<E>();
            self.known.store(mark, Ordering::Relaxed);
        }
        Start::Refused(Error::Rejected(Rejection { about: About::new(code, label, None, None), retry_after_ms }))
    }
}

/// Whether what is here can serve the options.
fn suits(grip: &Grip) -> bool {
    let engine = grip.engine();
    let breaker = engine.breaker.as_ref().is_none_or(|breaker| breaker.is_plain());
    // A turn that was taken cannot be given back if a slot is refused after it, so the two together are the machine's. So is a queue,
    // which has to know whose slots the caller holds.
    let limits = engine.rate_limit.is_none() || engine.bulkhead.is_none();
    let queue = engine.bulkhead.as_ref().is_none_or(|bulkhead| bulkhead.max_queue == 0);
    breaker && limits && queue && engine.fallback.is_none()
}

fn bucket_time(window: Window) -> u64 {
    match window {
        Window::Time(width) if width >= COARSE_BUCKET => clock::coarse(),
        _ => clock::now(),
    }
}

impl Held<'_> {
    /// The attempt has succeeded.
    #[inline]
    pub(crate) fn succeed(mut self) {
        if !self.grip.is_current() {
            return self.end_in_machine();
        }
        self.is_over = true;
        if let (Some(permit), Some(cell)) = (self.admitted.permit, self.grip.cell()) {
            let window = cell.options.window;
            if let Some(transition) = cell.record_plain_success(permit, || bucket_time(window), clock::now) {
                event::tell(&self.grip.announce(&transition));
            }
        }
        if self.admitted.slot {
            self.leave();
        }
        self.grip.lane().passed();
    }

    #[inline]
    fn leave(&self) {
        let (word, waiters) = self.grip.bulkhead();
        if let Some(bulkhead) = &self.grip.engine().bulkhead
            && let Some(ticket) = bulkhead.leave(word, waiters)
        {
            wake::wake(ticket);
        }
    }

    /// The call in the machine, with this attempt running.
    #[cold]
    pub(crate) fn resume(mut self, correlation_id: &str, flags: u32) -> Call {
        self.is_over = true;
        self.to_call(correlation_id, flags)
    }

    fn to_call(&self, correlation_id: &str, flags: u32) -> Call {
        let started = if self.admitted.started == 0 { clock::now() } else { self.admitted.started };
        Call::resume(self.grip, correlation_id, flags, self.place, Admitted { started, ..self.admitted })
    }

    /// The policy was changed meanwhile: what the success counts for is the machine's to say.
    #[cold]
    fn end_in_machine(mut self) {
        self.is_over = true;
        let mut call = self.to_call(&ids::mint(), 0);
        crate::drive::tell_and_wake(call.ended(clock::now(), crate::drive::succeeded(1)));
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_over {
            self.is_over = true;
            give_up(self);
        }
    }
}

#[cold]
fn give_up(held: &Held<'_>) {
    let mut call = held.to_call(&ids::mint(), 0);
    let cancelled = call.cancelled(clock::now());
    let ended = call.ended(clock::now(), crate::drive::cancelled(1));
    crate::drive::tell_and_wake(cancelled.into_iter().chain(ended));
}
