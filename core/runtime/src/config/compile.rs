//! From options to what the engine works with. Defaults are those of the table; where a given value needs it, a default gives way.

use seawall_engine::pipeline::{DeadLetter, Fallback, Policy as EnginePolicy};
use seawall_engine::policy::adaptive_limit::AdaptiveLimit;
use seawall_engine::policy::breaker::{Breaker, Window};
use seawall_engine::policy::bulkhead::Bulkhead;
use seawall_engine::policy::chaos::{self, Abort, Chaos};
use seawall_engine::policy::hedge::Hedge;
use seawall_engine::policy::rate_limit::RateLimit;
use seawall_engine::policy::retry::{Backoff, Budget, Growth, Jitter, Retry};
use seawall_engine::time::{MS, SECOND};
use serde_json::Value;

use super::experiment;
use super::spec::{Compiled, Parts, Spec};
use super::value::{self, Dialect};
use crate::stale::Bounds;

/// The options of one strategy. Validation came before, so a value that cannot be read is simply absent.
struct Options<'a> {
    table: &'a Value,
    dialect: Dialect,
}

impl Options<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.table.get(name)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
    }

    fn ms(&self, name: &str) -> Option<u64> {
        value::duration(self.get(name)?, self.dialect).ok()
    }

    fn int(&self, name: &str) -> Option<u32> {
        self.get(name)?.as_f64().map(|number| number as u32)
    }

    fn ratio(&self, name: &str) -> Option<u32> {
        value::ratio(self.get(name)?, true).ok()
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }
}

impl Spec {
    pub(crate) fn compile(&self, now: u64, generation: u64) -> Compiled {
        let part = |name: &str| part(&self.parts, name, self.dialect);
        let attempt_ms = part("timeout").and_then(|options| options.ms("attempt"));
        let engine = EnginePolicy {
            retry: part("retry").map(|options| retry(&options)),
            hedge: part("hedge").map(|options| hedge(&options)),
            rate_limit: part("rate_limit").and_then(|options| rate_limit(&options)),
            bulkhead: part("bulkhead").map(|options| bulkhead(&options)),
            breaker: part("circuit_breaker").map(|options| breaker(&options, attempt_ms)),
            attempt_ns: attempt_ms.map(|ms| ms * MS),
            total_ns: part("timeout").and_then(|options| options.ms("total")).map(|ms| ms * MS),
            idle_ns: part("timeout").and_then(|options| options.ms("idle")).map(|ms| ms * MS),
            fallback: part("fallback").map(|options| fallback(&options)),
            dead_letter: part("dead_letter").map(|options| DeadLetter { has_on: options.has("on") }),
            chaos: part("chaos")
                .map(|options| chaos(&options, now, self.watches().is_some()))
                .map(|chaos| Chaos { number: number(generation), ..chaos }),
        };
        let chaos_seed = part("chaos").and_then(|options| options.get("seed").and_then(Value::as_u64));
        let stale = part("fallback").filter(|options| options.has("stale_if_error")).map(|options| stale(&options));
        Compiled { engine, chaos_seed, chaos_watches: self.watches(), stale }
    }

    /// The other policy whose circuits chaos watches, if it does. A policy that names itself watches its own.
    fn watches(&self) -> Option<std::sync::Arc<str>> {
        let watched = experiment::abort(self.parts.get("chaos")?.get("abort_when")?).ok()?.policy;
        watched.filter(|watched| Some(watched) != self.name.as_ref()).map(Into::into)
    }
}

fn part<'a>(parts: &'a Parts, name: &str, dialect: Dialect) -> Option<Options<'a>> {
    parts.get(name).map(|table| Options { table, dialect })
}

fn retry(options: &Options<'_>) -> Retry {
    let base_ms = options.ms("base_delay").unwrap_or_else(|| options.ms("max_delay").map_or(100, |max| max.min(100)));
    let budget = options.get("retry_budget").map_or(Some((200, 1_000)), |given| value::budget(given).ok().flatten());
    Retry {
        max_attempts: options.int("max_attempts").unwrap_or(3),
        backoff: Backoff {
            growth: match options.word("backoff") {
                Some("linear") => Growth::Linear,
                Some("constant") => Growth::Constant,
                _ => Growth::Exponential,
            },
            jitter: match options.word("jitter") {
                Some("equal") => Jitter::Equal,
                Some("decorrelated") => Jitter::Decorrelated,
                Some("none") => Jitter::None,
                _ => Jitter::Full,
            },
            base_ns: base_ms * MS,
            factor_milli: options.get("factor").and_then(|given| value::factor(given).ok()).unwrap_or(2_000),
            max_ns: options.ms("max_delay").unwrap_or(base_ms.max(10_000)) * MS,
        },
        retry_after_max_ms: options.ms("retry_after_max").unwrap_or(60_000),
        wait_for_breaker: options.has("wait_for_breaker"),
        budget: budget.map(|(deposit, per_second)| Budget { deposit, floor: 10 * per_second }),
        has_on: options.has("on"),
    }
}

fn breaker(options: &Options<'_>, attempt_ms: Option<u64>) -> Breaker {
    let window_size = options.int("window_size");
    let minimum = options.int("minimum_throughput").unwrap_or_else(|| window_size.unwrap_or(20).min(20));
    let consecutive = options.int("consecutive_failures");
    let ratio_given = options.has("failure_ratio") || options.has("minimum_throughput");
    let by_default = !ratio_given && consecutive.is_none();
    let successes = options.int("half_open_successes");
    let slots = options.int("half_open_max_calls").unwrap_or_else(|| successes.unwrap_or(2).max(3));
    let break_ms = options.ms("break_duration").unwrap_or_else(|| options.ms("max_break_duration").map_or(5_000, |max| max.min(5_000)));
    let max_break_ms = options.ms("max_break_duration").unwrap_or(break_ms.max(60_000));
    let sampling_ns = options.ms("sampling_duration").unwrap_or(30_000) * MS;
    Breaker {
        slow: options.ms("slow_call_duration").map(|ms| (ms * MS, options.ratio("slow_call_ratio").unwrap_or(5_000))),
        throttle: options.has("throttle"),
        ramp_ms: options.ms("ramp"),
        failure_ratio: (ratio_given || by_default).then(|| options.ratio("failure_ratio").unwrap_or(5_000)),
        minimum_throughput: minimum,
        window: window_size.map_or(Window::Time(sampling_ns.div_ceil(10)), Window::Count),
        consecutive,
        quiet_streak: by_default.then_some(5),
        break_ms,
        max_break_ms,
        break_jitter: options.ratio("break_jitter").unwrap_or(2_000),
        reset_after_ms: options.ms("reset_after").unwrap_or(max_break_ms),
        slots,
        successes_to_close: successes.unwrap_or(slots.min(2)),
        lease: options.ms("half_open_lease").map_or((attempt_ms.unwrap_or(10_000), true), |ms| (ms, false)),
        has_on: options.has("on"),
    }
}

fn bulkhead(options: &Options<'_>) -> Bulkhead {
    let (min, max) = (options.int("min_limit"), options.int("max_limit"));
    let limit = || AdaptiveLimit { min: min.unwrap_or(1), max: max.unwrap_or_else(|| min.unwrap_or(1).max(512)) };
    let adaptive = options.has("adaptive").then(limit);
    Bulkhead {
        max_concurrent: adaptive.map_or_else(|| options.int("max_concurrent").unwrap_or(64), |limit| limit.max),
        max_queue: options.int("max_queue").unwrap_or(0),
        max_wait_ms: options.ms("max_wait"),
        adaptive,
    }
}

fn rate_limit(options: &Options<'_>) -> Option<RateLimit> {
    let (calls, seconds) = value::rate(options.get("rate")?).ok()?;
    Some(RateLimit {
        interval_ns: (seconds * SECOND / calls).max(1),
        burst: options.get("burst").and_then(Value::as_u64).unwrap_or((calls / seconds).max(1)),
        max_wait_ms: options.ms("max_wait").unwrap_or(0),
    })
}

/// A hedge without a retry draws from the same budget by default.
fn hedge(options: &Options<'_>) -> Hedge {
    Hedge {
        delay_ms: options.ms("delay"),
        max_hedges: options.int("max_hedges").unwrap_or(1),
        budget: Some(Budget { deposit: 200, floor: 10_000 }),
    }
}

fn stale(options: &Options<'_>) -> Bounds {
    let whole = |name: &str, default: u64| options.get(name).and_then(Value::as_f64).map_or(default, |number| number as u64);
    Bounds {
        max_age_ms: options.ms("max_age").unwrap_or(300_000),
        max_entries: whole("max_entries", 1_000) as usize,
        max_bytes: whole("max_bytes", 10_000_000),
    }
}

fn fallback(options: &Options<'_>) -> Fallback {
    let steps = options.int("steps").unwrap_or(0) + u32::from(options.get("value").is_some());
    Fallback { steps, stale: options.has("stale_if_error"), has_on: options.has("on") }
}

/// Experiments of a policy are numbered from 1, one for each whole of options that brought a new one.
fn number(generation: u64) -> u32 {
    u32::try_from(generation).unwrap_or(u32::MAX).saturating_add(1)
}

fn chaos(options: &Options<'_>, now: u64, watches: bool) -> Chaos {
    let until = options.get("until").and_then(|given| value::instant(given).ok()).map(|at| {
        let left_ms = at.saturating_sub(jiff::Timestamp::now().as_millisecond()).max(0);
        now.saturating_add(left_ms.unsigned_abs().saturating_mul(MS))
    });
    // From the start of the process, whenever the policy was first used: the clock's own zero.
    let expires = options.ms("expires_in").map(|ms| ms.saturating_mul(MS));
    let given = options.get("abort_when").and_then(|given| experiment::abort(given).ok()).unwrap_or_default();
    Chaos {
        rate: options.ratio("rate").unwrap_or(0),
        faults: options.get("fault").and_then(|given| value::faults(given).ok()).unwrap_or_default(),
        outcomes: options.get("outcome").and_then(|given| value::faults(given).ok()).unwrap_or_default(),
        behavior: options.has("behavior"),
        latency_ms: options.get("latency").and_then(|given| value::latency(given, options.dialect).ok()).unwrap_or((0, 0)),
        ends_at: until.into_iter().chain(expires).min().unwrap_or(u64::MAX),
        number: 1,
        window: options
            .get("window")
            .and_then(|given| experiment::window(given).ok())
            .map_or(chaos::Window::Always, |window| window.compile(now)),
        max_share: options.get("max_share").and_then(|given| experiment::share(given).ok()),
        abort: Abort { opens: given.opens && !watches, opens_elsewhere: given.opens && watches, ratio: given.ratio },
    }
}
