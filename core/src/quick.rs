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
type Later = Doubling<OnceLock<Grip>, 6>;

/// The coarse clock is never later than so much.
const TICK_MS: u64 = 20;
/// Buckets of at least so many nanoseconds are filled by the coarse clock.
const COARSE_BUCKET: u64 = 100 * MS;

/// What a policy object needs for the quick path.
pub(crate) struct Quick {
    /// Whether the caller's functions allow it at all.
    allowed: bool,
    /// The latest grip, from 1; 0 while there is none.
    latest: AtomicUsize,
    /// The first grip lies here: most policies are never changed.
    first: OnceLock<Grip>,
    later: Later,
    /// The number of changes that left the policy unfit, plus one.
    unfit: AtomicU64,
    /// The mark of the last type of error that is known to be one of ours.
    known: AtomicU64,
}

/// Why a call does not begin here. Nothing was taken.
pub(crate) enum Halt<'a> {
    /// The circuit is not closed.
    NotClosed(&'a Grip),
    /// There is no slot.
    Full(&'a Grip),
    /// There is no turn for so many milliseconds.
    Limited(&'a Grip, u64),
    /// It is the machine's.
    Slow,
}

/// What turns a call away.
pub(crate) struct Refused<'a> {
    grip: &'a Grip,
    code: &'static str,
    retry_after_ms: Option<u64>,
}

/// What the first attempt holds. Dropped before its end it is cancelled. It is small, and made at once, so that it never leaves the
/// registers of a call that passes.
pub(crate) struct Held<'a> {
    grip: &'a Grip,
    /// The generation of the breaker's permit, if there is a breaker.
    generation: u32,
    place: Place,
    /// 0 if nobody has to know.
    started: u64,
}

impl Quick {
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            latest: AtomicUsize::new(0),
            first: OnceLock::new(),
            later: Later::default(),
            unfit: AtomicU64::new(0),
            known: AtomicU64::new(0),
        }
    }

    fn place(&self, number: usize) -> Option<&OnceLock<Grip>> {
        if number == 0 { Some(&self.first) } else { self.later.make(number - 1) }
    }

    #[inline]
    fn grip(&self, policy: &Arc<Policy>) -> Option<&Grip> {
        self.first.get().filter(|grip| grip.is_current()).or_else(|| self.later_grip(policy))
    }

    #[inline(never)]
    fn later_grip(&self, policy: &Arc<Policy>) -> Option<&Grip> {
        // Acquire pairs with the Release in `take_hold`: the grip behind the number is there.
        let latest = self.latest.load(Ordering::Acquire);
        let grip = self.place(latest.saturating_sub(1)).and_then(OnceLock::get).filter(|grip| grip.is_current());
        grip.or_else(|| self.take_hold(policy, latest))
    }

    #[cold]
    fn take_hold(&self, policy: &Arc<Policy>, latest: usize) -> Option<&Grip> {
        let place = self.place(latest).filter(|_| self.allowed)?;
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

    /// Begins a call with its first attempt. Always inlined: what it gives is too much for registers where it is returned, and a word that
    /// goes through memory in two widths costs more than all else here: 12 ns.
    #[inline(always)]
    pub(crate) fn begin(&self, policy: &Arc<Policy>) -> Result<Held<'_>, Halt<'_>> {
        if context::is_inside() {
            return Err(Halt::Slow);
        }
        let Some(grip) = self.grip(policy) else { return Err(Halt::Slow) };
        let mut generation = 0;
        if let Some(cell) = grip.cell() {
            generation = match cell.admit_plain() {
                Some(generation) => generation,
                None => return Err(Halt::NotClosed(grip)),
            };
        }
        let place = if grip.is_breaker_alone() { Place::default() } else { take_others(grip)? };
        let started = if event::is_heard() { clock::now() } else { 0 };
        Ok(Held { grip, generation, place, started })
    }

    /// What turns a call away. None if the machine is to say: where somebody listens it asks again, and tells.
    #[inline(always)]
    pub(crate) fn refusal<'a>(&self, halt: &Halt<'a>) -> Option<Refused<'a>> {
        if event::is_heard() {
            return None;
        }
        let (grip, code, retry_after_ms) = match *halt {
            Halt::NotClosed(grip) => {
                let (code, retry_after_ms) = grip.cell()?.turn_away_plain(clock::coarse(), TICK_MS)?;
                (grip, code, retry_after_ms)
            }
            Halt::Full(grip) => (grip, "bulkhead.full", None),
            Halt::Limited(grip, ms) => (grip, "rate.limited", Some(ms)),
            Halt::Slow => return None,
        };
        Some(Refused { grip, code, retry_after_ms })
    }

    /// Counts a call that is turned away, and makes its error: where it is returned to, since an error is large.
    #[inline(always)]
    pub(crate) fn refuse<E: 'static>(&self, refused: &Refused<'_>, label: &'static str) -> Error<E> {
        let Refused { grip, code, retry_after_ms } = *refused;
        if grip.draws() {
            let _ = grip.begin();
        }
        grip.lane().rejected(code);
        let mark = nested::mark::<E>();
        if self.known.load(Ordering::Relaxed) != mark {
            nested::make_known::<E>();
            self.known.store(mark, Ordering::Relaxed);
        }
        Error::Rejected(Rejection { about: About::new(code, label, None, None), retry_after_ms })
    }
}

/// What a call takes but the breaker's permit, which takes nothing.
#[inline(always)]
fn take_others(grip: &Grip) -> Result<Place, Halt<'_>> {
    if let Some((limit, word)) = grip.rate_limit() {
        match limit.take(word, clock::now(), Some(0)) {
            Turn::Pass => {}
            Turn::Refuse(ms) if limit.max_wait_ms == 0 => return Err(Halt::Limited(grip, ms)),
            _ => return Err(Halt::Slow),
        }
    }
    if let Some((bulkhead, word, waiters)) = grip.bulkhead()
        && bulkhead.enter(word, waiters, false) != Slot::Entered
    {
        return Err(Halt::Full(grip));
    }
    if !grip.draws() {
        return Ok(Place::default());
    }
    let place = grip.begin();
    if let Some((budget, words)) = grip.budget() {
        budget.deposit(words, clock::coarse());
    }
    Ok(place)
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
    pub(crate) fn succeed(self) {
        let held = ManuallyDrop::new(self);
        if !held.grip.is_current() {
            return held.end_in_machine();
        }
        if let Some(cell) = held.grip.cell() {
            let window = cell.options.window;
            if cell.count_plain_success(held.generation, || bucket_time(window)) {
                held.judge();
            }
        }
        if !held.grip.is_breaker_alone()
            && let Some((bulkhead, word, waiters)) = held.grip.bulkhead()
            && let Some(ticket) = bulkhead.leave(word, waiters)
        {
            wake::wake(ticket);
        }
        held.grip.lane().passed();
    }

    /// There is trouble in the window, which this success may bring above its threshold.
    #[cold]
    fn judge(&self) {
        if let Some(transition) = self.grip.cell().and_then(|cell| cell.judge_plain_success(self.generation, clock::now())) {
            event::tell(&self.grip.announce(&transition));
        }
    }

    /// The call in the machine, with this attempt running.
    #[cold]
    pub(crate) fn resume(self, correlation_id: &str, flags: u32) -> Call {
        ManuallyDrop::new(self).to_call(correlation_id, flags)
    }

    fn to_call(&self, correlation_id: &str, flags: u32) -> Call {
        let started = if self.started == 0 { clock::now() } else { self.started };
        let admitted =
            Admitted { started, permit: self.grip.cell().map(|_| Permit::plain(self.generation)), slot: self.grip.bulkhead().is_some() };
        let mut call = Call::resume(self.grip, correlation_id, flags, self.place, admitted);
        if self.started == 0 {
            call.unmeasured();
        }
        call
    }

    /// The policy was changed meanwhile: what the success counts for is the machine's to say.
    #[cold]
    fn end_in_machine(&self) {
        let mut call = self.to_call(&ids::mint(), 0);
        crate::drive::tell_and_wake(call.ended(clock::now(), crate::drive::succeeded(1)));
    }
}

impl Drop for Held<'_> {
    #[cold]
    fn drop(&mut self) {
        let mut call = self.to_call(&ids::mint(), 0);
        let cancelled = call.cancelled(clock::now());
        let ended = call.ended(clock::now(), crate::drive::cancelled(1));
        crate::drive::tell_and_wake(cancelled.into_iter().chain(ended));
    }
}
