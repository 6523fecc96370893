//! Options: name, kind, default and meaning of everything that can be written in a policy.

/// What a value of an option may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A duration of whole milliseconds between the two bounds.
    Duration(u64, u64),
    /// A share in (0, 1], or in [0, 1] where zero makes sense (`true`); chaos also takes "30%".
    Ratio(bool),
    /// A whole number between the two bounds.
    Int(u64, u64),
    /// A number of at least 1 with up to three decimals.
    Factor,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration of at least a millisecond, or "p95".
    HedgeDelay,
    /// A rate: "100/s", "5/m", "1000/h".
    Rate,
    /// A retry budget: `{ratio, per_second}`, or null or false for none.
    Budget,
    /// Text.
    Text,
    /// Where keys are: `env:NAME` or `file:PATH`; code also gives a function, which crosses the boundary as `true`.
    Keys,
    /// `true` or `false`.
    Flag,
    /// A duration, or a range of two: "200ms..800ms".
    Latency,
    /// A number of seed.
    Seed,
    /// An instant, RFC 3339.
    Instant,
    /// Any JSON value.
    Value,
    /// Something only code can give: a function, a class, a list of either. Crosses the boundary as `true`.
    Code,
    /// A chain of functions or values, given in code: crosses as the number of steps.
    Steps,
    /// A beat, "2m every 10m", or hours of the day: "Mon-Fri 09:00-17:00 Europe/Berlin".
    Window,
    /// A share of at least 0.01, or a percentage: "20%".
    Share,
    /// What ends an experiment early: `{breaker, policy, failure_ratio, minimum_throughput}`.
    Abort,
    /// One or more faults, given in code: crosses as their number or their weights.
    Faults,
}

/// One option.
#[derive(Debug)]
pub struct OptionRow {
    /// The strategy it belongs to, or `*` for every one.
    pub strategy: &'static str,
    /// Its name, snake_case.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its default as documentation shows it; empty where it must be given or is off.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

const fn row(strategy: &'static str, name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> OptionRow {
    OptionRow { strategy, name, kind, default, doc }
}

/// Every strategy, outermost first: the canonical order of a policy.
pub const STRATEGIES: &[&str] =
    &["fallback", "dead_letter", "timeout", "retry", "hedge", "rate_limit", "bulkhead", "circuit_breaker", "chaos"];

const DAY: u64 = 86_400_000;
/// What every language can count to.
const LARGEST: u64 = 9_007_199_254_740_991;
const ON: &str = "Replaces the default of what counts as a failure: a class, a code, a predicate, or several of these.";
const IGNORE: &str = "Subtracts from what counts as a failure: a class, a code, a predicate, or several of these.";
const ON_RESULT: &str = "A predicate on results: a rejected one counts as a failure.";

/// Every option.
pub const OPTIONS: &[OptionRow] = &[
    row("retry", "max_attempts", Kind::Int(1, 1_000), "3", "Attempts in all, the first included."),
    row(
        "retry",
        "backoff",
        Kind::Choice(&["exponential", "linear", "constant"]),
        "exponential",
        "How waits grow: base x factor^n, base x (n + 1), or base.",
    ),
    row("retry", "base_delay", Kind::Duration(0, DAY), "100ms", "The first wait, before jitter."),
    row("retry", "factor", Kind::Factor, "2", "How much longer each exponential wait is than the one before."),
    row("retry", "max_delay", Kind::Duration(0, DAY), "10s", "The cap of a wait, applied before jitter."),
    row(
        "retry",
        "jitter",
        Kind::Choice(&["full", "equal", "decorrelated", "none"]),
        "full",
        "How a wait is spread: all of it, its upper half, from the previous one, or not.",
    ),
    row(
        "retry",
        "retry_after",
        Kind::Code,
        "",
        "Reads the server's wait from an error or a rejected result; default: its `retry_after`, else its Retry-After header.",
    ),
    row("retry", "retry_after_max", Kind::Duration(0, DAY), "60s", "The longest wait a server may ask for; a longer one ends the call."),
    row("retry", "wait_for_breaker", Kind::Flag, "false", "Keep retrying when the circuit breaker inside has opened."),
    row(
        "retry",
        "retry_budget",
        Kind::Budget,
        "{ ratio = 0.2, per_second = 1 }",
        "How many retries the calls of the last ten seconds pay for; one budget per name.",
    ),
    row("retry", "on", Kind::Code, "", ON),
    row("retry", "ignore", Kind::Code, "", IGNORE),
    row("retry", "on_result", Kind::Code, "", ON_RESULT),
    row("circuit_breaker", "failure_ratio", Kind::Ratio(false), "0.5", "Share of failures in the window that opens the circuit."),
    row("circuit_breaker", "minimum_throughput", Kind::Int(1, 1_000_000), "20", "Calls in the window before the ratio is judged."),
    row("circuit_breaker", "sampling_duration", Kind::Duration(10, DAY), "30s", "Length of a time window, in ten buckets."),
    row(
        "circuit_breaker",
        "window_size",
        Kind::Int(1, 1_000_000),
        "",
        "Length of a count window: the last so many calls, instead of a time window.",
    ),
    row(
        "circuit_breaker",
        "consecutive_failures",
        Kind::Int(1, 1_000_000),
        "",
        "Failures in a row that open the circuit. Without it and without a ratio: five, below minimum throughput.",
    ),
    row(
        "circuit_breaker",
        "slow_call_duration",
        Kind::Duration(1, DAY),
        "",
        "A call that takes longer is slow. Gives the slow rule; without it no call is slow.",
    ),
    row(
        "circuit_breaker",
        "slow_call_ratio",
        Kind::Ratio(false),
        "0.5",
        "Share of slow calls in the window that opens the circuit. Only with `slow_call_duration`.",
    ),
    row(
        "circuit_breaker",
        "break_duration",
        Kind::Duration(1, DAY),
        "5s",
        "How long the circuit stays open the first time; doubles with each opening in a row.",
    ),
    row("circuit_breaker", "max_break_duration", Kind::Duration(1, DAY), "60s", "The cap of that doubling."),
    row("circuit_breaker", "break_jitter", Kind::Ratio(true), "0.2", "Spread of a break, up and down, as a share of it."),
    row(
        "circuit_breaker",
        "reset_after",
        Kind::Duration(1, DAY),
        "max_break_duration",
        "How long the circuit must stay closed before breaks start short again.",
    ),
    row("circuit_breaker", "half_open_max_calls", Kind::Int(1, 64), "3", "Trial calls let through when a break is over."),
    row("circuit_breaker", "half_open_successes", Kind::Int(1, 64), "2", "Successful trials that close the circuit."),
    row(
        "circuit_breaker",
        "half_open_lease",
        Kind::Duration(1, DAY),
        "timeout.attempt, else 10s",
        "How long a trial may hold its slot before it counts as failed.",
    ),
    row(
        "circuit_breaker",
        "throttle",
        Kind::Flag,
        "false",
        "Reject a share of calls that grows with the failures, instead of opening by the rules.",
    ),
    row(
        "circuit_breaker",
        "ramp",
        Kind::Duration(1, DAY),
        "",
        "After a close, how long the share of calls let through grows from a tenth to all.",
    ),
    row("circuit_breaker", "on", Kind::Code, "", ON),
    row("circuit_breaker", "ignore", Kind::Code, "", IGNORE),
    row("circuit_breaker", "on_result", Kind::Code, "", ON_RESULT),
    row("bulkhead", "max_concurrent", Kind::Int(1, 1_000_000), "64", "Attempts in flight at once."),
    row("bulkhead", "max_queue", Kind::Int(0, 1_000_000), "0", "Calls that may wait for a slot, first come, first served."),
    row("bulkhead", "max_wait", Kind::Duration(0, DAY), "", "The longest wait in the queue; without it the total limit holds."),
    row(
        "bulkhead",
        "adaptive",
        Kind::Flag,
        "false",
        "Find the number of slots by watching how long attempts take, instead of `max_concurrent`. It starts at 16.",
    ),
    row("bulkhead", "min_limit", Kind::Int(1, 1_000_000), "1", "The fewest slots that `adaptive` may come to."),
    row("bulkhead", "max_limit", Kind::Int(1, 1_000_000), "512", "The most slots that `adaptive` may come to."),
    row(
        "hedge",
        "delay",
        Kind::HedgeDelay,
        "p95",
        "How long an attempt may run before another is started beside it: a duration, or `p95` of the successful attempts of the last 30 s.",
    ),
    row("hedge", "max_hedges", Kind::Int(1, 10), "1", "Attempts that may be started beside others, per call."),
    row("rate_limit", "rate", Kind::Rate, "", "How many calls per second, minute or hour. Must be given."),
    row(
        "rate_limit",
        "burst",
        Kind::Int(1, 1_000_000_000),
        "one second's worth, at least 1",
        "How many calls may come at once after a pause.",
    ),
    row("rate_limit", "max_wait", Kind::Duration(0, DAY), "0ms", "The longest wait for a turn; a longer one is refused at once."),
    row("timeout", "attempt", Kind::Duration(1, DAY), "", "The limit of each attempt."),
    row("timeout", "total", Kind::Duration(1, DAY), "", "The limit of the whole call: attempts, waits and queues."),
    row("timeout", "idle", Kind::Duration(1, DAY), "", "The longest wait between two items of a stream."),
    row("timeout", "thread", Kind::Flag, "false", "Python, sync: run each attempt in a thread that can be walked away from."),
    row("fallback", "value", Kind::Value, "", "What to return in place of an error."),
    row("fallback", "steps", Kind::Steps, "", "Values or functions, tried in order; written as positional arguments."),
    row("fallback", "stale_if_error", Kind::Flag, "false", "Try the last good value of the same arguments before anything else."),
    row("fallback", "max_age", Kind::Duration(1, 30 * DAY), "5m", "How old a stale value may be."),
    row(
        "fallback",
        "stale_key",
        Kind::Code,
        "",
        "Gives the key of a stale value from the call's arguments; default: all of them, by value.",
    ),
    row("fallback", "max_entries", Kind::Int(1, 1_000_000), "1000", "Stale values kept; the longest unused go first."),
    row("fallback", "max_bytes", Kind::Int(1, 1_000_000_000), "10000000", "Bytes of stale values kept, as encoded."),
    row("fallback", "on", Kind::Code, "", "Which final errors are answered; default: all but cancellation and programming errors."),
    row("fallback", "ignore", Kind::Code, "", "Which final errors are not answered."),
    row("dead_letter", "queue", Kind::Text, "the policy's name", "The queue that failed calls are recorded in."),
    row(
        "dead_letter",
        "store",
        Kind::Text,
        "$SEAWALL_STORE",
        "Where the queue lives: `sqlite:///directory`, `postgresql://…`, `redis://…` or `memory:`.",
    ),
    row("dead_letter", "second_store", Kind::Text, "", "Where a letter goes that the store does not take."),
    row("dead_letter", "capture", Kind::Code, "", "Gives the payload to record from the call's arguments; default: the arguments."),
    row("dead_letter", "idempotency_key", Kind::Code, "", "Gives the idempotency key from the call's arguments."),
    row("dead_letter", "redact", Kind::Code, "", "Takes the record and returns it without what must not be kept."),
    row(
        "dead_letter",
        "encrypt",
        Kind::Keys,
        "",
        "The keys under which payload, headers, messages and stacks are encrypted: `env:NAME`, `file:PATH`, or a function that gives their text. The first one writes.",
    ),
    row(
        "dead_letter",
        "durability",
        Kind::Choice(&["fsync", "os"]),
        "fsync",
        "What a written record outlives: the machine, if its disk honours flushes, or only the process.",
    ),
    row(
        "dead_letter",
        "await_durable",
        Kind::Flag,
        "true",
        "Whether the caller waits until the record is written. If not, a thread writes it, from memory that is bounded.",
    ),
    row("dead_letter", "write_timeout", Kind::Duration(1, DAY), "250ms", "How long the caller waits for the record to be written."),
    row("dead_letter", "max_letters", Kind::Int(1, LARGEST), "", "The most letters that the queue holds."),
    row("dead_letter", "max_bytes", Kind::Int(1, LARGEST), "", "The most bytes that the queue's records take."),
    row("dead_letter", "max_age", Kind::Duration(1, 3_650 * DAY), "", "Letters older than this are removed, and counted."),
    row("dead_letter", "retention", Kind::Duration(1, 3_650 * DAY), "", "Recovered letters are removed after so long."),
    row("dead_letter", "min_free", Kind::Int(0, LARGEST), "", "The bytes that stay free on the store's disk."),
    row(
        "dead_letter",
        "when_full",
        Kind::Choice(&["reject", "drop_oldest"]),
        "reject",
        "What a full queue does: it refuses the letter, which goes on along the chain, or removes the oldest ones.",
    ),
    row("dead_letter", "on_lost", Kind::Code, "", "Called with a letter that could not be kept anywhere."),
    row("dead_letter", "on", Kind::Code, "", "Which final errors are recorded; default: all but cancellation."),
    row("dead_letter", "ignore", Kind::Code, "", "Which final errors are not recorded."),
    row("chaos", "fault", Kind::Faults, "", "The error to raise: a class, a factory, or a weighted list of these."),
    row(
        "chaos",
        "outcome",
        Kind::Faults,
        "",
        "The value to return in the callee's place: a value, a function, or a weighted list of these.",
    ),
    row("chaos", "behavior", Kind::Code, "", "A function that runs inside each attempt that is struck, before everything else."),
    row("chaos", "latency", Kind::Latency, "", "The delay to add: a duration or a range."),
    row("chaos", "rate", Kind::Ratio(true), "", "The share of attempts struck. Must be given."),
    row("chaos", "seed", Kind::Seed, "the policy object's", "Decides which attempts are struck."),
    row("chaos", "only", Kind::Code, "", "A predicate on the call's arguments: only these attempts may be struck."),
    row("chaos", "until", Kind::Instant, "", "When it ends. This or `expires_in` must be given."),
    row("chaos", "expires_in", Kind::Duration(1, 30 * DAY), "", "How long it lasts from the start of the process."),
    row(
        "chaos",
        "window",
        Kind::Window,
        "always",
        "When it strikes: `2m every 10m`, counted from the start of the process, or hours of the day in a time zone: `Mon-Fri 09:00-17:00 Europe/Berlin`.",
    ),
    row(
        "chaos",
        "max_share",
        Kind::Share,
        "",
        "The most that is ever struck of any 100 attempts in a row, and of all while there are fewer, whatever `rate` and the draws say.",
    ),
    row(
        "chaos",
        "abort_when",
        Kind::Abort,
        "",
        "What ends it early: `breaker = \"open\"`, the policy's own circuit opens, or that of the `policy` named; `failure_ratio`, so large a share of the last 50 calls failed, once there are `minimum_throughput` (20).",
    ),
    row("*", "name", Kind::Text, "", "Shares the state with every object of this name."),
    row("*", "key", Kind::Code, "", "A function of the call's arguments that partitions the state."),
    row("*", "scope", Kind::Choice(&["process"]), "process", "Who shares the state."),
];

/// The row of one option of one strategy.
#[must_use]
pub fn find(strategy: &str, name: &str) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| (row.strategy == strategy || row.strategy == "*") && row.name == name)
}
