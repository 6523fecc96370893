//! The longest that a call may last, and the most calls that it may make below.
//!
//! attempts x (turn of the rate limit + queue of the bulkhead + attempt) + delays + what the server may add, cut by the total limit; then
//! the dead letter. A hedge multiplies calls, not time. Fallback functions are somebody else's code and are not counted.

use seawall_engine::policy::retry::Retry;
use seawall_engine::time::{MS, ceil_ms};
use serde_json::json;

use super::{Subject, shown};

/// Waits beyond this number are taken to be as long as it: by then a wait has reached its cap or grows by little.
const MOST_WAITS: u64 = 1_000;
/// The default of `dead_letter.write_timeout`.
const WRITE_MS: u64 = 250;

/// The longest time and the most calls of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorstCase {
    /// Milliseconds, `None` if nothing bounds them.
    pub ms: Option<u64>,
    /// Why nothing bounds them.
    pub unbounded: Option<&'static str>,
    /// Calls that reach what lies below.
    pub calls: u64,
    /// The arithmetic, a line each.
    pub lines: Vec<String>,
}

impl WorstCase {
    /// The same as JSON: `ms`, `unbounded`, `calls`, `lines`.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({"ms": self.ms, "unbounded": self.unbounded, "calls": self.calls, "lines": self.lines}).to_string()
    }
}

/// The sum under way.
#[derive(Default)]
struct Sum {
    ms: u64,
    unbounded: Option<&'static str>,
    lines: Vec<String>,
}

impl Sum {
    fn add(&mut self, ms: u64, line: String) {
        self.ms = self.ms.saturating_add(ms);
        self.lines.push(format!("{line} = {}", shown(ms)));
    }

    fn unbound(&mut self, why: &'static str) {
        self.unbounded.get_or_insert(why);
        self.lines.push(why.to_owned());
    }

    fn times(&mut self, attempts: u64, ms: u64, of: &str) {
        self.add(attempts.saturating_mul(ms), format!("{of}: {attempts} x {}", shown(ms)));
    }
}

/// The delays of ours at their longest, in milliseconds.
pub(super) fn delays_ms(retry: &Retry) -> u64 {
    let waits = u64::from(retry.max_attempts.saturating_sub(1));
    let (mut previous, mut sum) = (0, 0u64);
    for n in 0..waits.min(MOST_WAITS) {
        // The largest draw gives the longest wait.
        previous = retry.backoff.wait_ns(u32::try_from(n).unwrap_or(u32::MAX), previous, u64::MAX);
        sum = sum.saturating_add(ceil_ms(previous));
    }
    sum.saturating_add(waits.saturating_sub(MOST_WAITS).saturating_mul(ceil_ms(previous)))
}

pub(super) fn of(subject: &Subject<'_>) -> WorstCase {
    let mut sum = Sum::default();
    add_admission(subject, &mut sum);
    add_attempts(subject, &mut sum);
    add_delays(subject, &mut sum);
    cut_by_total(subject, &mut sum);
    if subject.has("dead_letter") {
        let ms = subject.ms("dead_letter", "write_timeout").unwrap_or(WRITE_MS);
        sum.add(ms, "the dead letter may take dead_letter.write_timeout".to_owned());
    }
    let calls = calls(subject, &mut sum.lines);
    let ms = if sum.unbounded.is_none() { Some(sum.ms) } else { None };
    sum.lines.push(format!("together at most {}", ms.map_or_else(|| "no bound".to_owned(), shown)));
    WorstCase { ms, unbounded: sum.unbounded, calls, lines: sum.lines }
}

fn add_admission(subject: &Subject<'_>, sum: &mut Sum) {
    let attempts = subject.attempts();
    if let Some(limit) = subject.engine.rate_limit.as_ref().filter(|limit| limit.max_wait_ms > 0) {
        sum.times(attempts, limit.max_wait_ms, "turns of the rate limit (rate_limit.max_wait)");
    }
    match subject.engine.bulkhead.as_ref().filter(|bulkhead| bulkhead.max_queue > 0).map(|bulkhead| bulkhead.max_wait_ms) {
        Some(Some(ms)) => sum.times(attempts, ms, "the queue of the bulkhead (bulkhead.max_wait)"),
        Some(None) => sum.unbound("nothing bounds the wait in the queue of the bulkhead: there is no bulkhead.max_wait"),
        None => {}
    }
}

fn add_attempts(subject: &Subject<'_>, sum: &mut Sum) {
    let attempts = subject.attempts();
    let own = subject.engine.attempt_ns.map(|ns| ns / MS);
    let nested = inner_ms(subject);
    for (label, worst) in subject.inner {
        sum.lines.push(format!("inside each attempt works {label:?}: at most {}", worst.ms.map_or_else(|| "no bound".to_owned(), shown)));
    }
    match (own, nested) {
        (Some(own), Some(nested)) if nested < own => sum.times(attempts, nested, "attempts (the policies inside)"),
        (Some(own), _) => sum.times(attempts, own, "attempts (timeout.attempt)"),
        (None, Some(nested)) => sum.times(attempts, nested, "attempts (the policies inside)"),
        (None, None) => sum.unbound("nothing bounds an attempt: there is no timeout.attempt"),
    }
}

/// What the policies inside bound, if there are any and each of them is bounded.
fn inner_ms(subject: &Subject<'_>) -> Option<u64> {
    if subject.inner.is_empty() {
        return None;
    }
    subject.inner.iter().try_fold(0u64, |sum, (_, worst)| worst.ms.map(|ms| sum.saturating_add(ms)))
}

fn add_delays(subject: &Subject<'_>, sum: &mut Sum) {
    let Some(retry) = subject.engine.retry.as_ref().filter(|retry| retry.max_attempts > 1) else { return };
    let waits = subject.attempts() - 1;
    let text = format!("delays between attempts: {waits}, none longer than {}, together", shown(ceil_ms(retry.backoff.max_ns)));
    sum.add(delays_ms(retry), text);
    if retry.retry_after_max_ms > 0 {
        sum.times(waits, retry.retry_after_max_ms, "what the server may ask for (retry.retry_after_max)");
    }
}

fn cut_by_total(subject: &Subject<'_>, sum: &mut Sum) {
    let Some(total) = subject.engine.total_ns.map(|ns| ns / MS) else { return };
    if sum.unbounded.is_some() || sum.ms > total {
        let before = if sum.unbounded.is_some() { "without bound".to_owned() } else { shown(sum.ms) };
        sum.lines.push(format!("{before}, cut by timeout.total = {}", shown(total)));
        (sum.ms, sum.unbounded) = (total, None);
    }
}

fn calls(subject: &Subject<'_>, lines: &mut Vec<String>) -> u64 {
    let (attempts, hedges) = (subject.attempts(), subject.hedges());
    let inner = subject.inner.iter().map(|(_, worst)| worst.calls).sum::<u64>().max(1);
    let calls = attempts.saturating_mul(1 + hedges).saturating_mul(inner);
    let mut line = format!("calls below: {attempts} attempts");
    if hedges > 0 {
        line = format!("{line} x (1 + {hedges} hedges)");
    }
    if !subject.inner.is_empty() {
        line = format!("{line} x {inner} of the policies inside");
    }
    lines.push(format!("{line} = {calls}"));
    calls
}
