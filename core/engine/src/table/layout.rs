//! Where each fact of shared state lies: offsets in 64-bit words from the start of a strategy's slice.
//!
//! One fact, one word, one compare-and-swap. Fields are written high to low.

/// A circuit breaker's words.
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
    /// `total:32 | failures:32`: the window at the moment of the last trip.
    pub const FROZEN: usize = 3;
    /// `generation:16 | count:48`: rejections since the last transition.
    pub const REJECTED: usize = 4;
    /// `generation:16 | ms:48`: the latest failure's millisecond plus one, so that a success need not sum a window without any.
    pub const FAILED_AT: usize = 5;
    /// Half-open slots, a word each: `generation:16 | code:2 | deadline_ms:46`.
    pub const LEASES: usize = 6;
    /// The most half-open slots one breaker may have.
    pub const MAX_LEASES: usize = 64;
    /// Buckets of a time window. Each has two words (total, failures) of `generation:8 | epoch:32 | count:24`.
    pub const BUCKETS: usize = 10;
    /// Outcomes in one word of a count window: `generation:16 | outcome:2 x 24`.
    pub const OUTCOMES_PER_WORD: usize = 24;
}

/// A retry budget's words: per one-second bucket `second:24 | milli-retries:40` deposited, then the same withdrawn.
pub mod budget {
    /// Buckets, a second each.
    pub const BUCKETS: usize = 10;
    /// Words in all.
    pub const WORDS: usize = 2 * BUCKETS;
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
    /// Successes in even generations, written by the isolate alone.
    pub const EVEN: usize = 0;
    /// Successes in odd generations, written by the isolate alone.
    pub const ODD: usize = 1;
    /// The generation the isolate may count in, written by Rust alone.
    pub const GENERATION: usize = 2;
    /// Successes the isolate may still count before it must ask, written by Rust alone.
    pub const CREDIT: usize = 3;
    /// Words in all.
    pub const WORDS: usize = 4;
}
