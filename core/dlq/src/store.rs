//! What a store must do. Blocking and batched; one contract suite runs over all of them.

use std::ops::BitOr;
use std::time::Instant;

use crate::failure::{Attempts, Failure};
use crate::{DlqError, Query, Record, RecordId, State};

/// What a store can do, as a set of bits. A store without a capability answers `store.unsupported`, never with an imitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps(u32);

impl Caps {
    /// Lists letters without taking them.
    pub const PEEK: Self = Self(1);
    /// Selects by every key of a filter.
    pub const FILTER: Self = Self(2);
    /// Groups by fingerprint.
    pub const GROUP: Self = Self(4);
    /// Claims, acknowledges and answers by id.
    pub const ACK_BY_ID: Self = Self(8);
    /// Leases with fencing tokens.
    pub const LEASE: Self = Self(16);
    /// Counts exactly.
    pub const EXACT_COUNT: Self = Self(32);
    /// Merges failures of one work.
    pub const DEDUP: Self = Self(64);
    /// What it acknowledged survives the process.
    pub const DURABLE_ACK: Self = Self(128);

    /// Whether all of `wanted` are there.
    #[must_use]
    pub fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

impl BitOr for Caps {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What an acknowledged write outlives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The machine, if its disk honours flushes.
    #[default]
    Fsync,
    /// The process only.
    Os,
}

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    /// What the acknowledgement promises.
    pub durability: Durability,
    /// Until when to wait for other writers; later is `store.busy`.
    pub by: Instant,
    /// The wall clock, in milliseconds since 1970.
    pub now: i64,
    /// The call ran inside a retry of an outer policy: failures of one correlation id, operation and payload are one letter.
    pub within_retry: bool,
}

/// What became of an appended record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// A letter of its own.
    Stored(RecordId),
    /// Its failure was added to this ready letter; `get` finds that one by either id.
    Merged(RecordId),
}

/// A letter that failed again while it was being redriven.
#[derive(Debug, Clone)]
pub struct Refailed {
    /// The queue it lies in.
    pub queue: String,
    /// The letter, or an id that was merged into it.
    pub id: RecordId,
    /// The new error.
    pub error: Failure,
    /// The attempts of this round.
    pub attempts: Attempts,
}

/// A part of a listing, newest first.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The most letters.
    pub limit: usize,
    /// The last id already seen.
    pub after: Option<RecordId>,
}

/// Failures that are the same failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The fingerprint.
    pub group: String,
    /// Letters in it.
    pub count: u64,
    /// The oldest letter's time, in milliseconds since 1970.
    pub first: i64,
    /// The newest letter's time.
    pub last: i64,
    /// The newest letter's id.
    pub sample: RecordId,
    /// The newest letter's error.
    pub error: Failure,
}

/// The right to answer for one delivery. It is void once the letter has been claimed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The letter.
    pub id: RecordId,
    /// Raised by every claim of that letter.
    pub fence: u64,
}

/// A letter taken for delivery.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What the answer must carry.
    pub token: Token,
    /// The letter; an error if its bytes cannot be read any more.
    pub record: Result<Record, DlqError>,
}

/// What to claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Which letters; only those that may be acted on are taken, oldest first.
    pub query: Query,
    /// Who claims; stays with the letter, for [`Query::owner`].
    pub owner: String,
    /// How long the claim holds, in milliseconds.
    pub lease_ms: i64,
    /// The most letters.
    pub limit: usize,
    /// A letter whose lease lapsed after this many redrives kills its redrivers: it is parked instead.
    pub max_redrives: Option<u32>,
}

/// How a delivery ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Keep the letter, archived as recovered.
    Archive,
    /// Forget it.
    Delete,
}

/// How a delivery ended badly.
#[derive(Debug, Clone)]
pub struct Nack {
    /// The claim.
    pub token: Token,
    /// The new error, if there is one.
    pub error: Option<Failure>,
    /// Set the letter aside rather than back.
    pub park: bool,
    /// The delivery did not take place: it counts neither as an attempt nor as a redrive.
    pub uncounted: bool,
}

/// How a delivery ended.
#[derive(Debug, Clone)]
pub enum End {
    /// Well.
    Ack(Token, Outcome),
    /// Badly.
    Nack(Box<Nack>),
}

/// A queue's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Letters that wait, those whose lease has lapsed included.
    pub ready: u64,
    /// Letters being delivered.
    pub leased: u64,
    /// Letters set aside.
    pub parked: u64,
    /// Letters recovered.
    pub archived: u64,
    /// The size of all records.
    pub bytes: u64,
    /// The oldest ready letter's time, in milliseconds since 1970.
    pub oldest: Option<i64>,
}

/// Something about a store that somebody should see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a file, a setting.
    pub place: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What a purge removed, or in a dry run would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Letters.
    pub letters: u64,
}

/// What a queue holds, in every state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Letters.
    pub letters: u64,
    /// The size of their records.
    pub bytes: u64,
}

/// Which letters are to go, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evict {
    /// Of these. Leased ones stay whatever it says.
    pub query: Query,
    /// It is enough when so many letters,
    pub letters: u64,
    /// and so many bytes are gone.
    pub bytes: u64,
}

/// A bulk redrive on record. The store looks at nothing in it but these fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredJob {
    /// Its identity; sorts by the time of its start.
    pub id: RecordId,
    /// The queue.
    pub queue: String,
    /// How often it was saved; 0 for a new one.
    pub version: u64,
    /// Whether there is more to do.
    pub open: bool,
    /// All else, as JSON.
    pub body: String,
}

/// Jobs that have ended are forgotten beyond so many per queue.
pub const ENDED_JOBS: usize = 100;

/// Where letters are kept. `now` is the wall clock in milliseconds since 1970, given by the caller, so that leases can be
/// tested without waiting. A lease that has lapsed counts as `ready` in every answer.
pub trait DeadLetterStore: Send + Sync {
    /// What it can do.
    fn caps(&self) -> Caps;

    /// Adds records, all or none. One that is the same work as a ready letter is merged into it; one whose id is known changes nothing.
    ///
    /// # Errors
    /// `store.busy` after `write.by`, `store.full` without space, `store.failed` else.
    fn append(&self, batch: &[Record], write: &Write) -> Result<Vec<Appended>, DlqError>;

    /// Adds a failure to a letter that is not archived. Nothing if there is no such letter.
    ///
    /// # Errors
    /// Like [`append`](Self::append); `store.schema` for a letter that this build may not change.
    fn refail(&self, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, DlqError>;

    /// The letters that exist of these ids, merged ids followed.
    ///
    /// # Errors
    /// `store.schema` for a letter that cannot be read.
    fn get(&self, queue: &str, ids: &[RecordId], now: i64) -> Result<Vec<Record>, DlqError>;

    /// A page of letters, newest first.
    ///
    /// # Errors
    /// `store.schema` for a letter that cannot be read.
    fn peek(&self, query: &Query, page: &Page, now: i64) -> Result<Vec<Record>, DlqError>;

    /// The groups of the letters that match, largest first.
    ///
    /// # Errors
    /// `store.failed`.
    fn groups(&self, query: &Query, now: i64) -> Result<Vec<Group>, DlqError>;

    /// The place of the queue's latest change. Letters that change later have a higher one; [`Query::bound`] leaves them out.
    ///
    /// # Errors
    /// `store.failed`.
    fn mark(&self, queue: &str) -> Result<u64, DlqError>;

    /// How many letters match.
    ///
    /// # Errors
    /// `store.failed`.
    fn count(&self, query: &Query, now: i64) -> Result<u64, DlqError>;

    /// Takes letters for delivery, oldest first, and counts a redrive for each.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn claim(&self, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, DlqError>;

    /// Lengthens leases; false where the token is void.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn extend(&self, tokens: &[Token], lease_ms: i64, now: i64) -> Result<Vec<bool>, DlqError>;

    /// Ends deliveries that went well; false where the token is void. A letter that its call's own success has archived
    /// meanwhile ends well too.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn ack(&self, tokens: &[Token], outcome: Outcome, now: i64) -> Result<Vec<bool>, DlqError>;

    /// Ends deliveries that went badly; false where the token is void. One that is uncounted and not parked leaves its letter's mark as it was.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn nack(&self, failed: &[Nack], now: i64) -> Result<Vec<bool>, DlqError>;

    /// Ends one delivery and takes letters for the next: what [`ack`](Self::ack) or [`nack`](Self::nack) and then [`claim`](Self::claim) do, and if the
    /// store can, in one transaction. Whether the token was good, and the claims; none of it happened if this fails.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn settle(&self, end: &End, next: &ClaimRequest, now: i64) -> Result<(bool, Vec<Claim>), DlqError> {
        let kept = match end {
            End::Ack(token, outcome) => self.ack(std::slice::from_ref(token), *outcome, now)?,
            End::Nack(nack) => self.nack(std::slice::from_ref(&**nack), now)?,
        };
        // The end has happened: what cannot be claimed now can be claimed later.
        Ok((kept == [true], self.claim(next, now).unwrap_or_default()))
    }

    /// Moves matching letters to another state. A letter that is moved out of its lease no longer takes a bad end.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn shift(&self, query: &Query, to: State, now: i64) -> Result<u64, DlqError>;

    /// The queue's numbers.
    ///
    /// # Errors
    /// `store.failed`.
    fn stats(&self, queue: &str, now: i64) -> Result<Stats, DlqError>;

    /// The queues that hold letters, by name.
    ///
    /// # Errors
    /// `store.failed`.
    fn queues(&self) -> Result<Vec<String>, DlqError>;

    /// What is wrong with the store, or soon will be. Empty: nothing.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn doctor(&self) -> Result<Vec<Finding>, DlqError>;

    /// Removes matching letters for good.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn purge(&self, query: &Query, dry_run: bool, now: i64) -> Result<Purged, DlqError>;

    /// What a queue holds, waiting for others until `by` at the latest.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn usage(&self, queue: &str, by: Instant, now: i64) -> Result<Usage, DlqError>;

    /// Removes the oldest matching letters until enough are gone or none is left; what went.
    ///
    /// # Errors
    /// `store.busy` after `by`, `store.failed`.
    fn evict(&self, evict: &Evict, by: Instant, now: i64) -> Result<Usage, DlqError>;

    /// The bytes that are free where letters are kept; nothing if the store cannot know.
    ///
    /// # Errors
    /// `store.failed`.
    fn free(&self) -> Result<Option<u64>, DlqError>;

    /// Saves a job whose stored version is still `job.version` (none for 0), as the next version; false if it is not. Forgets the
    /// oldest ended ones of the queue beyond [`ENDED_JOBS`].
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    fn save_job(&self, job: &StoredJob) -> Result<bool, DlqError>;

    /// A queue's jobs, newest first.
    ///
    /// # Errors
    /// `store.failed`.
    fn jobs(&self, queue: &str) -> Result<Vec<StoredJob>, DlqError>;
}

impl Record {
    /// Whether `later` is the same work as this letter, so that it is merged instead of stored: by idempotency key, or
    /// within an outer retry by correlation id, operation and payload. Different keys are always different work.
    #[must_use]
    pub fn same_work(&self, later: &Self, within_retry: bool) -> bool {
        if self.queue != later.queue || self.may_act().is_err() {
            return false;
        }
        match (&self.idempotency_key, &later.idempotency_key) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => {
                within_retry
                    && later.correlation_id.is_some()
                    && self.correlation_id == later.correlation_id
                    && self.origin.operation == later.origin.operation
                    && self.same_payload(later)
            }
        }
    }

    fn same_payload(&self, later: &Self) -> bool {
        match (&self.seal, &later.seal) {
            (None, None) => self.payload == later.payload,
            (Some(ours), Some(theirs)) => ours.same_payload(theirs),
            _ => false,
        }
    }

    /// Adds a later letter of the same work.
    pub fn merge(&mut self, later: &Self) {
        let attempts = Attempts { kept: later.attempts.clone(), count: later.attempt_count };
        self.absorb(later.error.clone(), attempts, later.times.last_failure);
        self.redaction.places.extend(later.redaction.places.iter().filter(|place| !place.starts_with("/payload")).cloned());
        self.redaction.places.sort_unstable();
        self.redaction.places.dedup();
    }

    /// Adds the failure of a redrive, unless the failed call has written it itself since it was claimed.
    pub fn failed_redrive(&mut self, error: Option<&Failure>, already_written: bool, now: i64) {
        if !already_written {
            let attempt = crate::Attempt::redrive(error, now);
            let error = error.cloned().unwrap_or_else(|| self.error.clone());
            self.absorb(error, Attempts { kept: vec![attempt], count: 1 }, now);
        }
        self.redrives.last = Some(now);
        self.redrives.result = Some("failed".into());
    }
}
