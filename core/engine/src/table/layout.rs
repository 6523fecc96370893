//! Where each fact of shared state lies: offsets in 64-bit words from the start of a strategy's slice.
//!
//! One fact, one word, one compare-and-swap. Fields are written high to low.

/// A circuit breaker's words, in two slices. The fixed words have one size whatever the options are, and outlive a change of them; the window's
/// words depend on the options, so that new options may come with a new, empty window. Each window word carries the generation it counts in.
pub mod breaker {
    /// `state:3 | generation:21 | until_ms:40`: what every admission reads.
    pub const STATE: usize = 0;
    /// Where the state begins in that word.
    pub const STATE_SHIFT: u32 = 61;
    /// The milliseconds in that word.
    pub const UNTIL: u64 = (1 << 40) - 1;
    /// `opens:8 | lapses:8 | closed_at_ms:40`: how often it opened in a row, how many half-open generations a lapse ended, and since when it is closed.
    pub const HISTORY: usize = 1;
    /// `generation:16 | every attempt:24 | first attempts:24`: failures in a row.
    pub const STREAK: usize = 2;
    /// `total:32 | failures:32`: the window at the moment of the last trip; see also [`FROZEN_SLOW`].
    pub const FROZEN: usize = 3;
    /// `generation:16 | count:48`: rejections since the last transition.
    pub const REJECTED: usize = 4;
    /// `generation:16 | ms:48`: the millisecond plus one of the latest failure or slow call, so that a success need not sum a window without any.
    pub const FAILED_AT: usize = 5;
    /// Slow calls in the window at the moment of the last trip.
    pub const FROZEN_SLOW: usize = 6;
    /// Half-open slots, a word each: `generation:16 | code:2 | deadline_ms:46`.
    pub const LEASES: usize = 7;
    /// The most half-open slots one breaker may have.
    pub const MAX_LEASES: usize = 64;
    /// Fixed words in all.
    pub const WORDS: usize = LEASES + MAX_LEASES;
    /// Buckets of a time window. Each has three words (total, failures, slow) of `generation:8 | epoch:32 | count:24`.
    pub const BUCKETS: usize = 10;
    /// Words of one bucket.
    pub const BUCKET_WORDS: usize = 3;
    /// Calls in flight that are watched, a word each at the end of the window's words if the slow rule is on, behind one word of the earliest
    /// moment at which one may be slow (`generation:16 | due:48`): `generation:16 | code:3 | value:45`.
    pub const WATCHED: usize = 64;
    /// Buckets of `throttle`, over two minutes. Each has two words (requests, accepts) like those of a time window.
    pub const THROTTLE_BUCKETS: usize = 24;
    /// Words of `throttle`, behind the outcomes, if it is on.
    pub const THROTTLE_WORDS: usize = 2 * THROTTLE_BUCKETS;
    /// Outcomes in one word of a count window: `generation:16 | outcome:2 x 24`, an outcome being `slow:1 | failed:1`.
    pub const OUTCOMES_PER_WORD: usize = 24;
}

/// A retry budget's words: per one-second bucket `second:24 | milli-retries:40` deposited, then the same withdrawn.
pub mod budget {
    /// Buckets, a second each.
    pub const BUCKETS: usize = 10;
    /// Words in all.
    pub const WORDS: usize = 2 * BUCKETS;
}

/// The words of chaos, over all keys of a policy.
pub mod chaos {
    /// Attempts that `only` and the window let through.
    pub const SEEN: usize = 0;
    /// The last hundred attempts and more, for the cap: `strikes:4 x 11 | full cells:4 | attempts of the newest cell:4`.
    pub const SHARE: usize = 1;
    /// The latest experiment that was ended early: `number:62 | reason:2`.
    pub const ENDED: usize = 2;
    /// The outcomes of the last calls, for the ratio: `number:8 | count:6 | failed:1 x 50`.
    pub const CALLS: usize = 3;
    /// How often another policy's circuits had opened when an experiment first looked, plus one: `number:16 | openings:48`.
    pub const WATCHED: usize = 4;
    /// Words in all.
    pub const WORDS: usize = 5;
}

/// A bulkhead's word: `in_use:32 | queued:32`.
pub mod bulkhead {
    /// Words in all.
    pub const WORDS: usize = 1;
}

/// A rate limit's word: the theoretical arrival time in nanoseconds.
pub mod rate_limit {
    /// Words in all.
    pub const WORDS: usize = 1;
}

/// A port's words, 32 bits each, as JavaScript sees them.
pub mod port {
    /// `generation:8 | count:24`: successes in the latest even generation, written by the isolate alone.
    pub const EVEN: usize = 0;
    /// `generation:8 | count:24`: successes in the latest odd generation, written by the isolate alone.
    pub const ODD: usize = 1;
    /// The generation the isolate may count in, written by Rust alone.
    pub const GENERATION: usize = 2;
    /// Successes the isolate may still count before it must ask, written by Rust alone.
    pub const CREDIT: usize = 3;
    /// Calls that began on the port, wrapping, written by the isolate alone.
    pub const BEGUN: usize = 4;
    /// Calls that passed on the port, wrapping, written by the isolate alone.
    pub const PASSED: usize = 5;
    /// `wanted:1 | slots:31`: slots of the bulkhead that the isolate holds and does not use. Exchanged by both sides; `wanted` is Rust's, and
    /// says that a slot which gets free is to be given back.
    pub const SLOTS: usize = 6;
    /// Calls that began anywhere else, wrapping, written by Rust alone.
    pub const ELSEWHERE: usize = 7;
    /// Slots of the bulkhead that the isolate uses, written by the isolate alone: given back when it ends with calls under way.
    pub const IN_USE: usize = 8;
    /// Words in all.
    pub const WORDS: usize = 9;
}

/// A hedge's words: the ring's head, then samples of `ended_ms:40 | duration_ms:24`, the millisecond plus one so that zero is none.
pub mod hedge {
    /// How many samples were ever taken.
    pub const HEAD: usize = 0;
    /// Samples kept.
    pub const SAMPLES: usize = 128;
    /// Words in all.
    pub const WORDS: usize = 1 + SAMPLES;
}

/// An adaptive limit's words: the limit, the running window's sums, what was learned, and a ring of the latest windows.
pub mod adaptive_limit {
    /// The limit; zero before it first moved.
    pub const LIMIT: usize = 0;
    /// `judging:1 | ms:63`: the millisecond plus one in which the window began.
    pub const START: usize = 1;
    /// `drops:32 | samples:32`.
    pub const OUTCOMES: usize = 2;
    /// How long the samples took together, in microseconds.
    pub const SUM: usize = 3;
    /// The attempts in flight at each sample's end, added up.
    pub const LOAD: usize = 4;
    /// The most attempts in flight.
    pub const PEAK: usize = 5;
    /// How long an attempt takes that waits for no other, in microseconds.
    pub const BASELINE: usize = 6;
    /// How many windows were ever kept.
    pub const HEAD: usize = 7;
    /// Windows kept, two words each: `load in thousandths:32 | microseconds:32`, and samples per thousand seconds.
    pub const POINTS: usize = 8;
    /// Windows kept.
    pub const WINDOWS: usize = 16;
    /// Words in all.
    pub const WORDS: usize = POINTS + 2 * WINDOWS;
}
