//! What a call notes for the metrics while it goes on. Every instant here is one that a driver has told anyway: no clock is read.

use seawall_engine::step::TimerReason;
use seawall_engine::time::MS;

use crate::metrics::Counters;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measure {
    /// When the call began, if anybody knows.
    began: Option<u64>,
    /// Whether the first attempt began in the dark.
    is_blind: bool,
    parked: Option<u64>,
    /// Why the next attempt repeats another one.
    retries: Option<usize>,
    hedges: u32,
    /// Of the hedges, those whose attempt has started.
    hedges_started: u32,
}

impl Measure {
    /// Of a call that began at this instant.
    pub(crate) fn since(began: u64) -> Self {
        Self { began: Some(began), ..Self::default() }
    }

    /// Of a call of which nobody knows when it began.
    pub(crate) fn never() -> Self {
        Self { is_blind: true, ..Self::default() }
    }

    pub(crate) fn begin(&mut self, now: u64) {
        self.began = Some(now);
    }

    /// Whether it is known how long this attempt took.
    pub(crate) fn knows(&self, attempt: u32) -> bool {
        attempt > 1 || !self.is_blind
    }

    pub(crate) fn call_ns(&self, now: u64) -> Option<u64> {
        self.began.map(|began| now.saturating_sub(began))
    }

    pub(crate) fn parked(&mut self, now: u64) {
        self.parked.get_or_insert(now);
    }

    pub(crate) fn retries(&mut self, reason: usize) {
        self.retries = Some(reason);
    }

    pub(crate) fn hedges(&mut self) {
        self.hedges += 1;
    }

    pub(crate) fn is_hedged(&self) -> bool {
        self.hedges > 0
    }

    /// The call waits for so many milliseconds.
    pub(crate) fn sleeps(&self, counters: &Counters, reason: TimerReason, ms: u64) {
        if let (TimerReason::Backoff, Some(why)) = (reason, self.retries) {
            counters.retry_wait(why, ms.saturating_mul(MS));
        }
    }

    /// An attempt starts.
    pub(crate) fn started(&mut self, counters: &Counters, now: u64) {
        if let Some(parked) = self.parked.take() {
            counters.bulkhead_wait(now.saturating_sub(parked));
        }
        if self.hedges_started < self.hedges {
            self.hedges_started += 1;
        } else if let Some(reason) = self.retries.take() {
            counters.retry(reason);
        }
    }
}
