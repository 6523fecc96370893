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

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use seawall_engine::pipeline::Admitted;
use seawall_engine::policy::breaker::{Permit, Window};
use seawall_engine::policy::bulkhead::Answer as Slot;
use seawall_engine::policy::rate_limit::Answer as Turn;
use seawall_engine::time::MS;
use seawall_runtime::{Call, Doubling, Grip, Place, Policy, Unfit, clock, ids};

use crate::error::{About, Error, Rejection};
use crate::{context, event, nested, wake};

/// Grips of one policy object: one more each time that the policy was changed. A policy that changes more often goes without.
type Grips = Doubling<OnceLock<Grip>, 6>;

/// The coarse clock is never later than so much.
const TICK_MS: u64 = 20;
/// Buckets of at least so many nanoseconds are filled by the coarse clock.
const COARSE_BUCKET: u64 = 100 * MS;

/// What a policy object needs for the quick path.
pub(crate) struct Quick {
    /// Whether the caller's functions allow it at all.
    allowed: bool,
    grips: Grips,
    /// The latest grip, from 1.
    latest: AtomicUsize,
    /// The number of changes that left the policy unfit, plus one.
    unfit: AtomicU64,
    /// The mark of the last type of error that is known to be one of ours.
    known: AtomicU64,
}

/// Why no attempt has begun here. Nothing is held.
#[derive(Clone, Copy)]
pub(crate) enum Turned<'a> {
    /// The machine is to begin it.
    Slow,
    /// The circuit is not closed.
    NotClosed(&'a Grip),
    /// A limit has refused, with this code and perhaps a time to wait.
    Refused(&'a Grip, &'static str, Option<u64>),
}

/// What the first attempt holds. Dropped before its end it is cancelled.
pub(crate) struct Held<'a>(Hold<'a>);

/// Its parts. They are copied where the call leaves the quick path, and nobody takes their address before: so they stay in registers.
#[derive(Clone, Copy)]
struct Hold<'a> {
    grip: &'a Grip,
    place: Place,
    /// When it began, if anybody listens; 0 otherwise.
    started: u64,
    /// The generation of the breaker's permit.
    generation: Option<u32>,
    slot: bool,
}

impl Quick {
    pub(crate) fn new(allowed: bool) -> Self {
        Self { allowed, grips: Grips::default(), latest: AtomicUsize::new(0), unfit: AtomicU64::new(0), known: AtomicU64::new(0) }
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
        let place = self.grips.make(latest)?;
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

    /// Begins the first attempt of a call. Always inlined: what it gives would be copied twice if it were not, which costs more than the rest.
    #[inline(always)]
    pub(crate) fn begin(&self, policy: &Arc<Policy>) -> Result<Held<'_>, Turned<'_>> {
        if !self.allowed || context::is_inside() {
            return Err(Turned::Slow);
        }
        let Some(grip) = self.grip(policy) else { return Err(Turned::Slow) };
        let engine = grip.engine();
        let mut generation = None;
        if let Some(cell) = grip.cell() {
            generation = cell.admit_plain();
            if generation.is_none() {
                return Err(Turned::NotClosed(grip));
            }
        }
        if let Some(limit) = &engine.rate_limit {
            match limit.take(grip.rate_limit(), clock::now(), Some(0)) {
                Turn::Pass => {}
                Turn::Refuse(ms) if limit.max_wait_ms == 0 => return Err(Turned::Refused(grip, "rate.limited", Some(ms))),
                _ => return Err(Turned::Slow),
            }
        }
        let slot = engine.bulkhead.is_some();
        if let Some(bulkhead) = &engine.bulkhead {
            let (word, waiters) = grip.bulkhead();
            if bulkhead.enter(word, waiters, false) != Slot::Entered {
                return Err(Turned::Refused(grip, "bulkhead.full", None));
            }
        }
        let mut place = Place::default();
        if let Some(retry) = &engine.retry {
            place = grip.begin();
            if let Some(budget) = &retry.budget {
                budget.deposit(grip.budget(), clock::coarse());
            }
        }
        let started = if event::is_heard() { clock::now() } else { 0 };
        Ok(Held(Hold { grip, place, started, generation, slot }))
    }

    /// The error of a call that was turned away, or none if the machine has to begin it. Where somebody listens the machine asks again,
    /// and tells.
    #[cold]
    pub(crate) fn answer<E: 'static>(&self, turned: Turned<'_>, label: &'static str) -> Option<Error<E>> {
        match turned {
            Turned::Refused(grip, code, retry_after_ms) if !event::is_heard() => Some(self.rejected(grip, code, retry_after_ms, label)),
            Turned::NotClosed(grip) if !event::is_heard() => self.not_closed(grip, label),
            _ => None,
        }
    }

    /// While the circuit is surely open, the call is turned away here.
    fn not_closed<E: 'static>(&self, grip: &Grip, label: &'static str) -> Option<Error<E>> {
        let (cell, now) = (grip.cell()?, clock::coarse());
        let refusal = cell.refuse_plain(now)?;
        refusal.retry_after_ms.is_none_or(|left| left > TICK_MS).then(|| {
            cell.count_refusal(&refusal, now);
            self.rejected(grip, refusal.code, refusal.retry_after_ms, label)
        })
    }

    fn rejected<E: 'static>(&self, grip: &Grip, code: &'static str, retry_after_ms: Option<u64>, label: &'static str) -> Error<E> {
        if grip.engine().retry.is_some() {
            let _ = grip.begin();
        }
        grip.lane().rejected();
        let mark = nested::mark::<E>();
        if self.known.load(Ordering::Relaxed) != mark {
            nested::make_known::<E>();
            self.known.store(mark, Ordering::Relaxed);
        }
        Error::Rejected(Rejection { about: About::new(code, label, None, None), retry_after_ms })
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
    #[inline(always)]
    pub(crate) fn succeed(self) {
        let hold = ManuallyDrop::new(self).0;
        let grip = hold.grip;
        if !grip.is_current() {
            return end_in_machine(hold);
        }
        if let (Some(generation), Some(cell)) = (hold.generation, grip.cell()) {
            let window = cell.options.window;
            if let Some(transition) = cell.record_plain_success(generation, || bucket_time(window), clock::now) {
                event::tell(&grip.announce(&transition));
            }
        }
        if hold.slot {
            leave(grip);
        }
        grip.lane().passed();
    }

    /// The call in the machine, with this attempt running.
    #[cold]
    pub(crate) fn resume(self, correlation_id: &str, flags: u32) -> Call {
        ManuallyDrop::new(self).0.to_call(correlation_id, flags)
    }
}

#[inline]
fn leave(grip: &Grip) {
    let (word, waiters) = grip.bulkhead();
    if let Some(bulkhead) = &grip.engine().bulkhead
        && let Some(ticket) = bulkhead.leave(word, waiters)
    {
        wake::wake(ticket);
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        give_up(self.0);
    }
}

impl Hold<'_> {
    fn to_call(self, correlation_id: &str, flags: u32) -> Call {
        let started = if self.started == 0 { clock::now() } else { self.started };
        let admitted = Admitted { started, permit: self.generation.map(Permit::plain), slot: self.slot };
        Call::resume(self.grip, correlation_id, flags, self.place, admitted)
    }
}

/// The policy was changed meanwhile: what the success counts for is the machine's to say.
#[cold]
#[inline(never)]
fn end_in_machine(hold: Hold<'_>) {
    let mut call = hold.to_call(&ids::mint(), 0);
    crate::drive::tell_and_wake(call.ended(clock::now(), crate::drive::succeeded(1)));
}

#[cold]
#[inline(never)]
fn give_up(hold: Hold<'_>) {
    let mut call = hold.to_call(&ids::mint(), 0);
    let cancelled = call.cancelled(clock::now());
    let ended = call.ended(clock::now(), crate::drive::cancelled(1));
    crate::drive::tell_and_wake(cancelled.into_iter().chain(ended));
}
