//! The transition tables: every row of every machine, as data. A vector covers a row if the engine passes the row's mark while the vector
//! is played; `vectors --check` fails for a row that none covers, and `vectors --rows` writes docs/spec/transitions.md from here.
//!
//! The marks are `row!(…)` at the decisions. Without the feature `rows`, which only the test kit asks for, they are nothing at all.

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// Its id: the machine, the state and what happens, dotted.
    pub id: &'static str,
    /// The state before.
    pub from: &'static str,
    /// What happens.
    pub input: &'static str,
    /// The state after.
    pub to: &'static str,
    /// Why no vector can cover it, so that core/testkit/tests/beyond_vectors.rs does; empty for all others.
    pub elsewhere: &'static str,
}

impl Transition {
    /// The machine it belongs to.
    #[must_use]
    pub fn machine(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }
}

/// Every machine: its name in ids, and its title.
pub const MACHINES: &[(&str, &str)] = &[
    ("call", "The call"),
    ("mode", "Modes"),
    ("failure", "Dead letter and fallback"),
    ("timeout", "Timeouts"),
    ("retry", "Retry"),
    ("hedge", "Hedge"),
    ("rate", "Rate limit"),
    ("bulkhead", "Bulkhead"),
    ("adaptive", "Adaptive limit"),
    ("breaker", "Circuit breaker"),
    ("stream", "Streams"),
    ("chaos", "Chaos"),
];

macro_rules! rows {
    ($($name:ident $id:literal, $from:literal, $input:literal => $to:literal $(, elsewhere $why:literal)?;)*) => {
        /// The mark of one row.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the row itself says it")]
        pub enum Row { $($name),* }

        /// Every row, in the order of [`Row`].
        pub const TRANSITIONS: &[Transition] =
            &[$(Transition { id: $id, from: $from, input: $input, to: $to, elsewhere: concat!($($why)?) }),*];
    };
}

rows! {
    CallStarts "call.new.starts", "new", "`Start`, and nothing has to be waited for" => "running";
    CallTurn "call.new.waits_for_turn", "new", "the next turn is within the longest wait" => "turn";
    CallTurnComes "call.turn.comes", "turn", "`Timer`" => "running";
    CallParks "call.new.parks", "new", "no slot is free, the queue has room" => "queued";
    CallGranted "call.queued.granted", "queued", "`Granted`: a slot was passed on" => "running";
    CallTurnedAway "call.queued.turned_away", "queued", "the circuit below opens" => "failing";
    CallQueueOver "call.queued.wait_over", "queued", "`Timer`: the longest wait is over" => "failing";
    CallQueueCancelled "call.queued.cancelled", "queued", "`Cancelled`: leaves the queue, holding nothing" => "finished";
    CallSucceeds "call.running.succeeds", "running", "`Ended` with a success" => "finished";
    CallFails "call.running.fails", "running", "`Ended` with a failure, nothing else runs" => "failing";
    CallOthersRun "call.running.others_run", "running", "an attempt fails while another runs, or starts at once" => "running";
    CallCalleeCancelled "call.running.callee_cancelled", "running", "`Ended`: the callee was cancelled from outside" => "finished",
        elsewhere "vectors cancel calls, never callees";
    CallCancelled "call.running.cancelled", "running", "`Cancelled`: the attempts are cut, neutral" => "finished";
    CallBacksOff "call.running.backs_off", "running", "a failure that may be tried again" => "backoff";
    CallTriesAgain "call.backoff.tries_again", "backoff", "`Timer`" => "running";
    CallRejected "call.new.rejected", "new", "a rejection, no attempt reached the callee" => "failing";
    CallRejectedLater "call.backoff.rejected", "backoff", "a rejection after an attempt: the callee's last error surfaces" => "failing";
    CallRejectionAsked "call.new.rejection_asked", "new", "a rejection, and the retry has `on`" => "rejected";
    CallRejectionRetried "call.rejected.backs_off", "rejected", "`Classified`: `on` names it" => "backoff";
    CallRejectionKept "call.rejected.surfaces", "rejected", "`Classified`: `on` does not, or the retry stops" => "failing";
    CallSurfaces "call.failing.surfaces", "failing", "neither letter nor fallback" => "finished";
    CallLateEnd "call.finished.late_end", "finished", "`Ended` of an attempt that was cut: its slot is free" => "finished";

    ModeShadowRefused "mode.shadow.refused", "shadow", "the circuit would refuse" => "shadow";
    ModeShadowLimited "mode.shadow.limited", "shadow", "there is no turn" => "shadow";
    ModeShadowFull "mode.shadow.full", "shadow", "neither a slot nor a place in the queue" => "shadow";
    ModeShadowQueued "mode.shadow.queued", "shadow", "no slot, a place in the queue" => "shadow";
    ModeShadowRetry "mode.shadow.would_retry", "shadow", "a failure that would be tried again" => "finished";
    ModeDisabledValue "mode.disabled.value", "disabled", "the callee returns" => "finished";
    ModeDisabledError "mode.disabled.error", "disabled", "the callee fails" => "finished";

    LetterWritten "failure.failing.letter", "failing", "the dead letter counts the failure" => "letter";
    LetterSkipped "failure.failing.no_letter", "failing", "the dead letter does not count it" => "fallback";
    LetterEnded "failure.letter.ends", "letter", "`LetterEnded`" => "fallback";
    LetterCancelled "failure.letter.cancelled", "letter", "`Cancelled`: the write ends first" => "finished",
        elsewhere "the raw runner writes at once";
    FallbackStep "failure.fallback.step", "fallback", "the next step of the chain" => "fallback";
    FallbackStale "failure.fallback.stale", "fallback", "`stale_if_error`: the last good value is asked for first" => "fallback";
    FallbackReturned "failure.fallback.returned", "fallback", "`FallbackEnded`: a value" => "finished";
    FallbackFailed "failure.fallback.failed", "fallback", "`FallbackEnded`: the step failed" => "fallback";
    FallbackNone "failure.fallback.surfaces", "fallback", "no step is left, or the fallback does not count it" => "finished";

    TimeoutAttempt "timeout.running.attempt", "running", "`attempt` passes: a failure" => "cut";
    TimeoutTotal "timeout.running.total", "running", "`total` passes: a failure, nothing is tried again" => "failing";
    TimeoutWaiting "timeout.waiting.total", "waiting", "`total` passes in a queue or before an attempt" => "failing";
    TimeoutDeadline "timeout.running.deadline", "running", "somebody else's deadline passes: neutral" => "failing",
        elsewhere "vectors hand no deadline over";
    TimeoutLate "timeout.running.late", "running", "ends after its limit where nothing could be cut: delivered, votes failure" => "finished";
    TimeoutIdle "timeout.running.idle", "running", "`idle` passes between two items" => "failing";

    RetryWaits "retry.asked.waits", "asked", "every question is answered with yes" => "waiting";
    RetryServer "retry.asked.server_wait", "asked", "the server's wait is added to ours" => "waiting";
    RetryNot "retry.asked.not_retryable", "asked", "the outcome does not count" => "stopped";
    RetryExhausted "retry.asked.attempts_exhausted", "asked", "no attempt is left" => "stopped";
    RetryNever "retry.asked.retry_after_never", "asked", "the server says never" => "stopped";
    RetryTooLong "retry.asked.retry_after_too_long", "asked", "the server asks for more than `retry_after_max`" => "stopped";
    RetryOpen "retry.asked.breaker_open", "asked", "the circuit inside is open" => "stopped";
    RetryNoTime "retry.asked.no_time_left", "asked", "wait and half an attempt do not fit" => "stopped";
    RetryPoor "retry.asked.budget_exhausted", "asked", "the budget does not pay" => "stopped";
    RetryThrottled "retry.asked.throttled", "asked", "the callee throttles: the retry costs twice as much" => "waiting";

    HedgeArmed "hedge.running.armed", "running", "an attempt starts, and the delay is known" => "armed";
    HedgeUnknown "hedge.running.unknown", "running", "fewer than 20 samples: no delay" => "running";
    HedgeStarts "hedge.armed.starts", "armed", "`Timer`, and nothing has to be waited for" => "beside";
    HedgeAtOnce "hedge.armed.at_once", "armed", "the attempt fails before" => "beside";
    HedgeFull "hedge.armed.full", "armed", "no slot is free" => "running";
    HedgePoor "hedge.armed.poor", "armed", "the budget does not pay" => "running";
    HedgeLimited "hedge.armed.limited", "armed", "there is no turn" => "running";
    HedgeMayNot "hedge.armed.may_not", "armed", "hedges or attempts are used up, or the circuit is not closed" => "running";
    HedgeLoses "hedge.beside.loses", "beside", "another attempt decides: cancelled, neutral" => "finished";

    RatePass "rate.ready.pass", "ready", "TAT - tolerance <= now: TAT becomes max(TAT, now) + interval" => "ready";
    RateWait "rate.busy.wait", "busy", "later, within the longest wait: the turn is reserved" => "waiting";
    RateRefuse "rate.busy.refuse", "busy", "later than that: the word stays" => "busy";
    RateClamp "rate.busy.clamp", "busy", "a reload: no further ahead than a whole burst" => "busy";
    RateGiveBack "rate.waiting.give_back", "waiting", "the wait is given up, and is the last" => "busy";

    BulkheadEnters "bulkhead.free.enter", "free", "enter: slot taken" => "taken";
    BulkheadParks "bulkhead.taken.park", "taken", "enter, the queue has room: a ticket" => "queued";
    BulkheadFull "bulkhead.taken.full", "taken", "enter, the queue has none: full" => "taken";
    BulkheadLeaves "bulkhead.taken.leave", "taken", "leave, nobody waits: slot freed" => "free";
    BulkheadPasses "bulkhead.queued.pass_on", "queued", "leave: the first ticket holds the slot" => "taken";
    BulkheadGone "bulkhead.queued.gone", "queued", "leave above a lowered maximum: passes to nobody" => "queued";
    BulkheadRaised "bulkhead.queued.raised", "queued", "a raised maximum: the new slots go to the first tickets" => "taken";
    BulkheadGivesUp "bulkhead.queued.gives_up", "queued", "a waiter leaves: its place is gone" => "taken";
    BulkheadLapses "bulkhead.taken.lapses", "taken", "cut work has held it for max(60 s, 2 x attempt timeout): slot freed" => "free";
    BulkheadLapsed "bulkhead.free.lapsed", "free", "cut work ends after its slot lapsed: nothing is freed" => "free";
    BulkheadTurnsAway "bulkhead.queued.turned_away", "queued", "the circuit opens: everybody is turned away" => "taken";

    AdaptiveDrops "adaptive.window.drops", "window", "over: a tenth of the attempts were cut, or found the server overloaded: nine tenths" => "window";
    AdaptiveIdle "adaptive.window.idle", "window", "over: at most half of the slots were in use: the limit stays" => "window";
    AdaptiveFewSlow "adaptive.window.few_slow", "window", "over: few samples, twice as long as the baseline: nine tenths" => "window";
    AdaptiveFewGrow "adaptive.window.few_grow", "window", "over: few samples otherwise: one more" => "window";
    AdaptiveVain "adaptive.window.vain", "window", "over: more in flight brought latency and no throughput: a step down" => "window",
        elsewhere "fifty samples a second, over several windows, are too long for a vector";
    AdaptiveNotOurs "adaptive.window.not_ours", "window", "over: many wait, but latency runs against the number in flight: the baseline is learned anew" => "window",
        elsewhere "fifty samples a second, over several windows, are too long for a vector";
    AdaptiveWaits "adaptive.window.waits", "window", "over: many wait: down towards the baseline's share" => "window",
        elsewhere "fifty samples a second, over several windows, are too long for a vector";
    AdaptiveHolds "adaptive.window.holds", "window", "over: some wait: the limit stays" => "window",
        elsewhere "fifty samples a second, over several windows, are too long for a vector";
    AdaptiveGrows "adaptive.window.grows", "window", "over: few wait: up" => "window",
        elsewhere "fifty samples a second, over several windows, are too long for a vector";

    BreakerRatio "breaker.closed.failure_ratio", "closed", "the failure ratio holds" => "open";
    BreakerSlow "breaker.closed.slow_ratio", "closed", "the slow ratio holds" => "open";
    BreakerConsecutive "breaker.closed.consecutive", "closed", "`consecutive_failures` in a row" => "open";
    BreakerQuiet "breaker.closed.quiet", "closed", "five first attempts in a row failed below minimum throughput" => "open";
    BreakerInFlight "breaker.closed.in_flight", "closed", "a call is seen to be slow in flight: it enters the window" => "closed";
    BreakerSeenFails "breaker.closed.seen_fails", "closed", "such a call fails: its entry is marked" => "closed";
    BreakerSeenEnds "breaker.closed.seen_succeeds", "closed", "such a call succeeds: the streak ends, nothing is counted again" => "closed";
    BreakerCounts "breaker.closed.counts", "closed", "an outcome after which no rule holds" => "closed";
    BreakerIgnores "breaker.closed.ignores", "closed", "an outcome that does not count" => "closed";
    BreakerStale "breaker.any.stale", "any", "a result of another generation: dropped" => "any";
    BreakerThrottles "breaker.closed.throttles", "closed", "`throttle` turns an attempt away" => "closed";
    BreakerRamps "breaker.closed.ramps", "closed", "`ramp` turns an attempt away after a close" => "closed";
    BreakerRejects "breaker.open.rejects", "open", "an admission before the deadline" => "open";
    BreakerTries "breaker.open.half_open", "open", "an admission at or after the deadline: the first trial" => "half_open";
    BreakerTrial "breaker.half_open.trial", "half_open", "an admission, a slot is free: a lease" => "half_open";
    BreakerTrialFull "breaker.half_open.rejects", "half_open", "an admission, every slot is spent or held" => "half_open";
    BreakerGivesBack "breaker.half_open.gives_back", "half_open", "an ignored or cancelled trial: its slot is free" => "half_open";
    BreakerCloses "breaker.half_open.closes", "half_open", "`half_open_successes` trials succeeded" => "closed";
    BreakerReopens "breaker.half_open.opens", "half_open", "too many trials failed for that" => "open";
    BreakerLapses "breaker.half_open.lapses", "half_open", "a lease lapsed, and too many are lost: open from its deadline" => "open";
    BreakerRenews "breaker.half_open.renews", "half_open", "an item of a stream: the lease starts again" => "half_open";
    BreakerGrows "breaker.open.grows", "open", "another opening in a row: the break doubles" => "open";
    BreakerForgets "breaker.closed.forgets", "closed", "closed for `reset_after`: the next break is a first one" => "open";
    BreakerServer "breaker.closed.server_wait", "closed", "the server's Retry-After is longer than the break" => "open";
    BreakerIsolate "breaker.any.isolate", "any", "`isolate`" => "isolated";
    BreakerDisable "breaker.any.disable", "any", "`disable`" => "disabled";
    BreakerReset "breaker.any.reset", "any", "`reset`" => "closed";
    BreakerIsolated "breaker.isolated.rejects", "isolated", "an admission" => "isolated";
    BreakerIsolateOver "breaker.isolated.expires", "isolated", "an admission at or after its expiry: the first trial" => "half_open";
    BreakerDisabled "breaker.disabled.passes", "disabled", "an admission: passes, and does not vote" => "disabled";
    BreakerDisableOver "breaker.disabled.expires", "disabled", "an admission at or after its expiry" => "closed";

    StreamFirst "stream.waiting.first_item", "waiting", "`Item`: the attempt has won, its own limit is over" => "held";
    StreamAsked "stream.held.asked", "held", "`Asked`: time runs, `idle` is armed" => "awaited";
    StreamItem "stream.awaited.item", "awaited", "`Item`: time stands still" => "held";
    StreamIdle "stream.awaited.idle", "awaited", "`Timer(Idle)`: cut" => "broken";
    StreamFails "stream.awaited.fails", "awaited", "`Ended` with a failure: votes and surfaces" => "broken";
    StreamEnds "stream.awaited.ends", "awaited", "`Ended`: the stream is over" => "finished";
    StreamStopped "stream.held.stopped", "held", "`Stopped` after an item: a success" => "finished";
    StreamGivenUp "stream.waiting.stopped", "waiting", "`Stopped` before an item: cancelled" => "finished",
        elsewhere "a vector's consumer stops only while it holds an item";

    ChaosFault "chaos.armed.fault", "armed", "struck: a fault stands in the callee's place" => "struck";
    ChaosOutcome "chaos.armed.outcome", "armed", "struck: a result stands in the callee's place" => "struck";
    ChaosLatency "chaos.armed.latency", "armed", "struck: the attempt is late" => "struck";
    ChaosMiss "chaos.armed.misses", "armed", "the draw lies beyond `rate`" => "armed";
    ChaosOver "chaos.armed.over", "armed", "its end has come" => "over";
    ChaosBehavior "chaos.armed.behavior", "armed", "struck: a function runs inside the attempt" => "struck";
    ChaosCapped "chaos.armed.capped", "armed", "the draw lies within `rate`, and one more would pass `max_share`" => "armed";
    ChaosClosed "chaos.armed.closed", "armed", "outside the window: no ordinal is taken" => "armed";
    ChaosAbortsOpen "chaos.armed.opens", "armed", "the policy's own circuit opens" => "aborted";
    ChaosAbortsRatio "chaos.armed.fails", "armed", "a call ends, and too many of the last ones failed" => "aborted";
    ChaosAbortsWatched "chaos.armed.watched", "armed", "an attempt, and a circuit of the policy watched has opened" => "aborted",
        elsewhere "a vector has one policy";
    ChaosSpent "chaos.aborted.spares", "aborted", "an attempt" => "aborted";
}

/// Marks a row as taken.
macro_rules! row {
    ($name:ident) => {
        $crate::table::transitions::hit($crate::table::transitions::Row::$name)
    };
}

#[cfg(not(feature = "rows"))]
#[inline(always)]
pub(crate) const fn hit(_: Row) {}

#[cfg(feature = "rows")]
mod taken {
    // The counters are the test kit's, no state of the engine: the machine's own atomics, in loom's models too.
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::{Row, TRANSITIONS, Transition};

    static TAKEN: [AtomicU32; TRANSITIONS.len()] = [const { AtomicU32::new(0) }; TRANSITIONS.len()];

    /// Relaxed: a count that nothing else depends on.
    pub(crate) fn hit(row: Row) {
        TAKEN[row as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The rows taken since this was last asked.
    pub fn take() -> impl Iterator<Item = &'static Transition> {
        TRANSITIONS.iter().zip(&TAKEN).filter(|(_, count)| count.swap(0, Ordering::Relaxed) > 0).map(|(row, _)| row)
    }
}
#[cfg(feature = "rows")]
pub(crate) use taken::hit;
#[cfg(feature = "rows")]
pub use taken::take;

#[cfg(test)]
mod tests {
    use super::{MACHINES, TRANSITIONS};

    #[test]
    fn ids_are_unique_and_name_a_machine_and_every_machine_has_rows() {
        for (at, row) in TRANSITIONS.iter().enumerate() {
            assert!(MACHINES.iter().any(|(machine, _)| *machine == row.machine()), "{}", row.id);
            assert!(TRANSITIONS[..at].iter().all(|other| other.id != row.id), "{} stands twice", row.id);
        }
        assert!(MACHINES.iter().all(|(machine, _)| TRANSITIONS.iter().any(|row| row.machine() == *machine)));
    }
}
