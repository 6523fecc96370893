//! A hold on a policy's words for callers in Rust, who may do without the machine while nothing has to be decided.
//!
//! A grip is good while nobody has changed the policy: [`Grip::is_current`] is one load. Whoever finds it stale lets go of it and makes a
//! [`Call`](crate::Call).

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use seawall_engine::chance::Source;
use seawall_engine::pipeline::Policy as EnginePolicy;
use seawall_engine::policy::breaker::{Breaker, Cell};
use seawall_engine::policy::bulkhead::{Bulkhead, Waiters};
use seawall_engine::policy::rate_limit::RateLimit;
use seawall_engine::policy::retry::Budget;
use seawall_engine::step::Transition;
use seawall_engine::time::MS;

use crate::events;
use crate::force::View;
use crate::lanes::{self, Lane, Table};
use crate::mode::Mode;
use crate::policy::Policy;
use crate::state::KeyState;

/// Why there is no hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A mode was set by hand, which may expire.
    ForNow,
    /// What the policy is; until it has been changed more often than so.
    Until(u64),
}

/// Where a call stands among those of its policy: its draws depend on it. What began on other threads is added when it is needed; what began
/// on this thread is exact.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    before: u64,
    lane: usize,
}

/// The limits of time of a policy, in nanoseconds from the start of the call and of its first attempt, which is one moment here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Of the attempt.
    pub attempt: Option<u64>,
    /// Of the whole call.
    pub total: Option<u64>,
    /// The nearest of them, or 0.
    nearest: u64,
}

impl Limits {
    /// When the nearest passes for a call that started then; 0 if there is none.
    #[inline]
    #[must_use]
    pub fn due(self, started: u64) -> u64 {
        if self.nearest == 0 { 0 } else { started.saturating_add(self.nearest) }
    }

    /// Whether there are any.
    #[inline]
    #[must_use]
    pub fn are_some(self) -> bool {
        self.nearest != 0
    }
}

/// A hold on a policy without a key. What a quick call reads of the options is copied out of them: one pointer less to follow for each.
pub struct Grip {
    changes: u64,
    pub(crate) policy: Arc<Policy>,
    /// For whoever counts by thread.
    lanes: OnceLock<Arc<Table>>,
    pub(crate) state: Arc<KeyState>,
    /// That there is a breaker, and nothing else that a call would have to look at.
    is_breaker_alone: bool,
    breaker: Option<Breaker>,
    breaker_words: Arc<[AtomicU64]>,
    rate_limit: Option<RateLimit>,
    bulkhead: Option<Bulkhead>,
    /// That there is a retry, and its budget.
    retry: Option<Option<Budget>>,
    limits: Limits,
    pub(crate) view: View,
    source: Source,
}

impl Grip {
    /// A hold on `policy` as it is now.
    ///
    /// # Errors
    /// If it has a key, is not enforced, or has a part that every call must be decided for.
    pub fn of(policy: &Arc<Policy>, now: u64) -> Result<Self, Unfit> {
        Self::if_fit(policy, now, |engine| {
            let timed = engine.attempt_ns.is_some() || engine.total_ns.is_some() || engine.idle_ns.is_some();
            !timed && engine.dead_letter.is_none()
        })
    }

    /// The same for a caller that holds calls to their limits of time, which then are in [`Grip::limits`].
    ///
    /// # Errors
    /// As for [`Grip::of`].
    pub fn with_limits(policy: &Arc<Policy>, now: u64) -> Result<Self, Unfit> {
        Self::if_fit(policy, now, |engine| engine.dead_letter.is_none())
    }

    /// The same for a driver that arms timers and writes letters: it may have limits of time, and a dead letter.
    ///
    /// # Errors
    /// As for [`Grip::of`].
    pub fn for_driver(policy: &Arc<Policy>, now: u64) -> Result<Self, Unfit> {
        Self::if_fit(policy, now, |_| true)
    }

    fn if_fit(policy: &Arc<Policy>, now: u64, is_fit: impl FnOnce(&EnginePolicy) -> bool) -> Result<Self, Unfit> {
        // Before anything else is read: what changes after makes the grip stale.
        let changes = policy.changes();
        if policy.has_mode_set(now) {
            return Err(Unfit::ForNow);
        }
        if policy.is_keyed() || policy.mode(now) != Mode::Enforce {
            return Err(Unfit::Until(changes));
        }
        let state = policy.serve(None);
        let view = View::of(policy, &state);
        let engine = view.engine();
        let adapts = engine.bulkhead.is_some_and(|bulkhead| bulkhead.adaptive.is_some());
        if adapts || engine.hedge.is_some() || engine.chaos.is_some() || !is_fit(engine) {
            return Err(Unfit::Until(changes));
        }
        let (breaker, rate_limit, bulkhead) = (engine.breaker.clone(), engine.rate_limit.clone(), engine.bulkhead);
        let retry = engine.retry.as_ref().map(|retry| retry.budget.clone());
        let is_breaker_alone = breaker.is_some() && rate_limit.is_none() && bulkhead.is_none() && retry.is_none();
        let (attempt, total) = (engine.attempt_ns, engine.total_ns);
        let limits = Limits { attempt, total, nearest: attempt.into_iter().chain(total).min().unwrap_or(0) };
        let source = policy.env(&view, &state, None).source;
        let breaker_words = Arc::clone(&state.breaker);
        Ok(Self {
            changes,
            policy: Arc::clone(policy),
            lanes: OnceLock::new(),
            state,
            is_breaker_alone,
            breaker,
            breaker_words,
            rate_limit,
            bulkhead,
            retry,
            limits,
            view,
            source,
        })
    }

    /// Whether `unfit` still holds.
    #[must_use]
    pub fn is_unfit(policy: &Policy, unfit: u64) -> bool {
        policy.changes() == unfit
    }

    /// Whether nobody has changed the policy since.
    #[inline]
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.policy.changes() == self.changes
    }

    /// How often the policy had been changed when this was taken.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The options.
    #[must_use]
    pub fn engine(&self) -> &EnginePolicy {
        self.view.engine()
    }

    /// The limits of time.
    #[inline]
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The circuit breaker.
    #[inline]
    #[must_use]
    pub fn cell(&self) -> Option<Cell<'_>> {
        let options = self.breaker.as_ref()?;
        Some(Cell { options, words: &self.breaker_words, window: self.view.window(), source: self.source })
    }

    /// Whether the breaker is all that there is.
    #[inline]
    #[must_use]
    pub fn is_breaker_alone(&self) -> bool {
        self.is_breaker_alone
    }

    /// The bulkhead, its word, and who waits.
    #[inline]
    #[must_use]
    pub fn bulkhead(&self) -> Option<(&Bulkhead, &AtomicU64, &impl Waiters)> {
        self.bulkhead.as_ref().map(|bulkhead| (bulkhead, &*self.state.bulkhead, &self.state.waiters))
    }

    /// The rate limit, and its word.
    #[inline]
    #[must_use]
    pub fn rate_limit(&self) -> Option<(&RateLimit, &AtomicU64)> {
        self.rate_limit.as_ref().map(|limit| (limit, &*self.state.rate_limit))
    }

    /// Whether a call may have to draw.
    #[inline]
    #[must_use]
    pub fn draws(&self) -> bool {
        self.retry.is_some()
    }

    /// The retry budget, and its words.
    #[inline]
    #[must_use]
    pub fn budget(&self) -> Option<(&Budget, &[AtomicU64])> {
        self.retry.as_ref()?.as_ref().map(|budget| (budget, self.policy.budget_words()))
    }

    /// Counts a call that begins, of a policy that may have to draw for it.
    #[inline]
    #[must_use]
    pub fn begin(&self) -> Place {
        let (before, lane) = self.lane().begin();
        Place { before: before.wrapping_add(self.policy.begun_in_machine()), lane }
    }

    /// The same for threads that take turns, as under an interpreter's lock: places are exact across them, for one locked instruction.
    #[inline]
    #[must_use]
    pub fn begin_in_turn(&self) -> Place {
        Place { before: self.policy.begin_in_turn(), lane: usize::MAX }
    }

    pub(crate) fn ordinal(&self, place: Place) -> u64 {
        place.before.wrapping_add(self.policy.counters.lanes.begun_elsewhere(place.lane))
    }

    /// Counts a call that passed, of threads that take turns.
    #[inline]
    pub fn pass_in_turn(&self) {
        self.policy.counters.turns.pass();
    }

    /// Counts a call that was turned away, likewise.
    pub fn reject_in_turn(&self, code: &str) {
        self.policy.counters.turns.reject(crate::metrics::refusal(code));
    }

    /// Whether the call that begins now is one of those whose duration is measured, of threads that take turns.
    #[inline]
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.policy.counters.sampler.is_due()
    }

    /// Such a call passed after so many nanoseconds.
    pub fn measured(&self, ns: u64) {
        self.policy.counters.sample(ns);
    }

    /// Where this thread counts.
    #[inline]
    #[must_use]
    pub fn lane(&self) -> Lane<'_> {
        lanes::lane(self.lanes.get_or_init(|| Arc::clone(self.policy.counters.lanes.table())))
    }

    /// Counts a rejection whose event repeats one that was told loudly a moment ago; false, and nothing is counted, if it is to be loud.
    #[must_use]
    pub fn repeats(&self, code: &str, now: u64) -> bool {
        self.state.repeats.quiet(code, now / MS)
    }

    /// What stands for the bulkhead's slot in the chains of the calls inside one.
    #[must_use]
    pub fn slot(&self) -> u64 {
        self.state.id
    }

    /// The label of the policy.
    #[must_use]
    pub fn label(&self) -> String {
        self.policy.label()
    }

    /// Counts a transition that a result without the machine has caused; gives its record.
    #[must_use]
    pub fn announce(&self, transition: &Transition) -> String {
        self.policy.counters.transition(transition);
        events::complete(events::transition(transition), &self.policy.label(), None, "")
    }
}
