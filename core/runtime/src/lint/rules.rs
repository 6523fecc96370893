//! The rules, a function each.
//!
//! | code | warns of |
//! |---|---|
//! | `delays_exceed_total` | delays that alone are longer than the call may last |
//! | `attempts_exceed_total` | attempts of which the last ones have no time left |
//! | `retry_without_attempt_timeout` | an attempt that hangs keeps all others from being made |
//! | `retry_without_budget` | retries that multiply the load of a failing service |
//! | `retries_multiply` | a retry inside a retry |
//! | `queue_exceeds_total` | a queue in which a call may wait longer than it may last |
//! | `queue_without_limit` | a queue without any limit of time |
//! | `slow_call_too_short` | a slow call shorter than ordinary scatter |
//! | `throughput_out_of_reach` | a window that the rate limit never lets fill up to minimum throughput |
//! | `lease_shorter_than_attempt` | a trial that counts as failed while its attempt may still succeed |
//! | `letter_under_sure_fallback` | dead letters of calls that were answered |
//! | `chaos_expires_in` | an experiment that begins anew with each start of the process |
//! | `chaos_watches_nothing` | an experiment that a circuit breaker is to end, of a policy that has none |

use seawall_engine::policy::breaker::Window;
use seawall_engine::table::layout::breaker::BUCKETS;
use seawall_engine::time::{MS, ceil_ms};
use serde_json::Value;

use super::worst::delays_ms;
use super::{Finding, Subject, shown};

/// What network and scheduler scatter on a quiet day, in milliseconds.
const SCATTER_MS: u64 = 250;

pub(super) fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let rules: [fn(&Subject<'_>) -> Option<Finding>; 12] =
        [delays, attempt_timeout, budget, nesting, queue, queue_limit, slow_call, throughput, lease, letters, chaos, watch];
    rules.iter().filter_map(|rule| rule(subject)).collect()
}

fn total_ms(subject: &Subject<'_>) -> Option<u64> {
    subject.engine.total_ns.map(|ns| ns / MS)
}

fn attempt_ms(subject: &Subject<'_>) -> Option<u64> {
    subject.engine.attempt_ns.map(|ns| ns / MS)
}

fn delays(subject: &Subject<'_>) -> Option<Finding> {
    let (retry, total) = (subject.engine.retry.as_ref()?, total_ms(subject)?);
    let delays = delays_ms(retry);
    let waits = retry.max_attempts.saturating_sub(1);
    let mut lines =
        vec![format!("{waits} delays, none longer than {}, together at most {}", shown(ceil_ms(retry.backoff.max_ns)), shown(delays))];
    if delays > total {
        lines.push(format!("{} > timeout.total = {}", shown(delays), shown(total)));
        let message =
            "the delays alone may be longer than the call may last; fewer attempts, a smaller max_delay or a longer total would be right";
        return Some(Finding::new("delays_exceed_total", "retry.max_delay", message, lines));
    }
    let attempts = u64::from(retry.max_attempts).saturating_mul(attempt_ms(subject)?);
    lines.push(format!("{} attempts x {} = {}", retry.max_attempts, shown(attempt_ms(subject)?), shown(attempts)));
    let sum = attempts.saturating_add(delays);
    lines.push(format!("{} + {} = {} > timeout.total = {}", shown(attempts), shown(delays), shown(sum), shown(total)));
    let message = "if attempts time out there is no time for the last ones; a longer total, fewer attempts or shorter ones would be right";
    (sum > total && retry.max_attempts > 1).then(|| Finding::new("attempts_exceed_total", "timeout.total", message, lines))
}

fn attempt_timeout(subject: &Subject<'_>) -> Option<Finding> {
    let retry = subject.engine.retry.as_ref().filter(|retry| retry.max_attempts > 1)?;
    let lines = vec![format!("1 attempt that hangs = all {} attempts", retry.max_attempts)];
    let message = "an attempt that hangs is never followed by another; give timeout(attempt=…)";
    subject.engine.attempt_ns.is_none().then(|| Finding::new("retry_without_attempt_timeout", "timeout.attempt", message, lines))
}

fn budget(subject: &Subject<'_>) -> Option<Finding> {
    let retry = subject.engine.retry.as_ref().filter(|retry| retry.max_attempts > 1 && retry.budget.is_none())?;
    let lines = vec![format!("while every call fails, the load is {} times the ordinary", retry.max_attempts)];
    let message = "without a budget retries multiply the load of a service that fails; the default budget would be right";
    Some(Finding::new("retry_without_budget", "retry.retry_budget", message, lines))
}

fn nesting(subject: &Subject<'_>) -> Option<Finding> {
    let inner: u64 = subject.inner.iter().map(|(_, worst)| worst.calls).sum();
    let attempts = subject.attempts();
    if attempts < 2 || inner < 2 {
        return None;
    }
    let names: Vec<String> = subject.inner.iter().map(|(label, worst)| format!("{label:?}: {}", worst.calls)).collect();
    let lines = vec![format!("{attempts} attempts x {inner} calls inside ({}) = {}", names.join(", "), attempts.saturating_mul(inner))];
    let message = "retries inside retries multiply; retry on one level, best on the innermost";
    Some(Finding::new("retries_multiply", "retry.max_attempts", message, lines))
}

fn queue(subject: &Subject<'_>) -> Option<Finding> {
    let (bulkhead, total) = (subject.engine.bulkhead.as_ref().filter(|bulkhead| bulkhead.max_queue > 0)?, total_ms(subject)?);
    let message = "a call may wait in the queue until nothing is left of its time; a shorter queue or max_wait would be right";
    if let Some(wait) = bulkhead.max_wait_ms {
        let lines = vec![format!("bulkhead.max_wait = {} >= timeout.total = {}", shown(wait), shown(total))];
        return (wait >= total).then(|| Finding::new("queue_exceeds_total", "bulkhead.max_wait", message, lines));
    }
    let (attempt, rounds) = (attempt_ms(subject)?, u64::from(bulkhead.max_queue.div_ceil(bulkhead.max_concurrent)));
    let wait = rounds.saturating_mul(attempt);
    let lines = vec![
        format!(
            "{} waiting / {} slots = {rounds} rounds x {} = {}",
            bulkhead.max_queue,
            bulkhead.max_concurrent,
            shown(attempt),
            shown(wait)
        ),
        format!("{} >= timeout.total = {}", shown(wait), shown(total)),
    ];
    (wait >= total).then(|| Finding::new("queue_exceeds_total", "bulkhead.max_queue", message, lines))
}

fn queue_limit(subject: &Subject<'_>) -> Option<Finding> {
    let bulkhead = subject.engine.bulkhead.as_ref().filter(|bulkhead| bulkhead.max_queue > 0 && bulkhead.max_wait_ms.is_none())?;
    let lines = vec![format!("{} calls may wait, each as long as it takes", bulkhead.max_queue)];
    let message = "nothing bounds the wait in the queue; give bulkhead(max_wait=…) or timeout(total=…)";
    subject.engine.total_ns.is_none().then(|| Finding::new("queue_without_limit", "bulkhead.max_wait", message, lines))
}

fn slow_call(subject: &Subject<'_>) -> Option<Finding> {
    let slow = subject.ms("circuit_breaker", "slow_call_duration").filter(|ms| *ms < SCATTER_MS)?;
    let lines = vec![format!("slow_call_duration = {} < {}", shown(slow), shown(SCATTER_MS))];
    let message =
        "so short a time is exceeded by ordinary scatter, a collection of garbage or a busy machine; 250ms or more would be right";
    Some(Finding::new("slow_call_too_short", "circuit_breaker.slow_call_duration", message, lines))
}

fn throughput(subject: &Subject<'_>) -> Option<Finding> {
    let (breaker, limit) = (subject.engine.breaker.as_ref()?, subject.engine.rate_limit.as_ref()?);
    let (Window::Time(width), Some(_)) = (breaker.window, breaker.failure_ratio) else { return None };
    let window = width.saturating_mul(BUCKETS as u64);
    let most = limit.burst.saturating_add(window / limit.interval_ns.max(1));
    let minimum = u64::from(breaker.minimum_throughput);
    let lines = vec![
        format!("the rate limit lets {most} calls into a window of {} (its burst of {} among them)", shown(window / MS), limit.burst),
        format!("{most} < minimum_throughput = {minimum}"),
    ];
    let message = "the ratio is never judged; a longer window or a smaller minimum_throughput would be right";
    (most < minimum).then(|| Finding::new("throughput_out_of_reach", "circuit_breaker.minimum_throughput", message, lines))
}

fn lease(subject: &Subject<'_>) -> Option<Finding> {
    let (lease, attempt) = (subject.ms("circuit_breaker", "half_open_lease")?, attempt_ms(subject)?);
    let lines = vec![format!("half_open_lease = {} < timeout.attempt = {}", shown(lease), shown(attempt))];
    let message = "a trial counts as failed while its attempt may still succeed; a lease of at least timeout.attempt would be right";
    (lease < attempt).then(|| Finding::new("lease_shorter_than_attempt", "circuit_breaker.half_open_lease", message, lines))
}

fn letters(subject: &Subject<'_>) -> Option<Finding> {
    let sure = subject.has("dead_letter") && subject.value("fallback", "value").is_some();
    let lines = vec!["every failure = 1 answer to the caller + 1 dead letter".to_owned()];
    let message = "the fallback always answers, so every letter is of a call that its caller takes for done; redriving repeats it";
    sure.then(|| Finding::new("letter_under_sure_fallback", "dead_letter", message, lines))
}

fn chaos(subject: &Subject<'_>) -> Option<Finding> {
    let lasts = subject.ms("chaos", "expires_in").filter(|_| subject.value("chaos", "until").is_none_or(Value::is_null))?;
    let lines = vec![format!("each start of the process + {}", shown(lasts))];
    let message = "expires_in is counted from the start of the process, so each restart begins the experiment anew; outside tests `until` would be right";
    (!crate::clock::is_virtual()).then(|| Finding::new("chaos_expires_in", "chaos.expires_in", message, lines))
}

fn watch(subject: &Subject<'_>) -> Option<Finding> {
    let watches = subject.engine.chaos.as_ref().is_some_and(|chaos| chaos.abort.opens);
    let lines = vec!["0 circuit breakers = 0 reasons to end the experiment".to_owned()];
    let message = "the policy has no circuit breaker that could open; add one, or name a `policy` that has";
    (watches && subject.engine.breaker.is_none()).then(|| Finding::new("chaos_watches_nothing", "chaos.abort_when.breaker", message, lines))
}
