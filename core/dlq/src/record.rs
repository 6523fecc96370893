//! The record: what a failed call leaves behind, and its bytes.
//!
//! The bytes are a MessagePack map with short string keys. `v` is the schema that wrote it, `min` the oldest reader that may
//! act on it. Whatever a newer writer added is kept in `extra` and written back, at each level.

use std::collections::BTreeMap;

use rmpv::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Attempts, Failure};
use crate::seal::Seal;
use crate::{Attempt, DlqError};

/// The latest record schema that this build reads and writes.
pub const SCHEMA: u32 = 2;
/// What a letter in the clear is written as.
pub(crate) const CLEAR_SCHEMA: u32 = 1;
/// What a letter is written as whose payload is encrypted.
pub(crate) const SEALED_SCHEMA: u32 = 2;

/// A letter's identity: a UUIDv7, so ids sort by the time of writing.
pub type RecordId = Uuid;

pub(crate) type Extra = BTreeMap<String, Value>;

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting to be redriven.
    Ready,
    /// Claimed by a redrive that has not answered yet.
    Leased,
    /// Set aside: bulk redrives pass it by, unless it is asked for by state or id.
    Parked,
    /// Recovered, kept for the books.
    Archived,
}

impl State {
    /// The word in filters, columns and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Parked => "parked",
            Self::Archived => "archived",
        }
    }

    /// The state that a word means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ready, Self::Leased, Self::Parked, Self::Archived].into_iter().find(|state| state.word() == word)
    }
}

/// Who wrote the letter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The application, when it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The function that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// `python`, `node` or `rust`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The version of this library.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// When things happened, in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// The first failed attempt.
    #[serde(rename = "first")]
    pub first_failure: i64,
    /// The latest failed attempt, redrives included.
    #[serde(rename = "last")]
    pub last_failure: i64,
    /// When the letter was written.
    #[serde(rename = "dead")]
    pub dead_lettered: i64,
    /// When it may be forgotten, if ever.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// When it was archived as recovered. A store's own column wins over the bytes.
    #[serde(rename = "arch", skip_serializing_if = "Option::is_none")]
    pub archived: Option<i64>,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What redaction did to the letter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redaction {
    /// The places that were blanked, as JSON pointers.
    #[serde(rename = "at", skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// A rule failed, so the payload was dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How often the letter was redriven, and how that went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redrives {
    /// Deliveries begun, the one in flight included.
    #[serde(rename = "n")]
    pub count: u32,
    /// When the latest one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// How it ended: `ok` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A dead letter. See the module's text for its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The schema of the writer.
    pub v: u32,
    /// The oldest reader that may act on it; an older one may list, export and purge.
    pub min: u32,
    /// Its identity.
    #[serde(with = "id_bytes")]
    pub id: RecordId,
    /// The queue it lies in.
    pub queue: String,
    /// Where it stands. A store's own column wins over the bytes.
    pub state: State,
    /// One work, one key: what receivers deduplicate by.
    #[serde(rename = "idem", default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The policy key (tenant, host) of the failed call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The id that ties the letter to log lines and events.
    #[serde(rename = "cid", default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// What the payload's bytes are.
    #[serde(rename = "ct")]
    pub content_type: String,
    /// The payload, redacted.
    #[serde(rename = "body", with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// False when the call could not be captured whole.
    #[serde(rename = "redrivable")]
    pub redrivable: bool,
    /// Name to value or list of values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Value>,
    /// The final error.
    #[serde(rename = "err")]
    pub error: Failure,
    /// The first three and the last seven attempts.
    #[serde(rename = "tries", default)]
    pub attempts: Vec<Attempt>,
    /// All attempts, kept or not.
    #[serde(rename = "tried", default)]
    pub attempt_count: u64,
    /// The policy that gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Who wrote it.
    pub origin: Origin,
    /// When.
    #[serde(rename = "t")]
    pub times: Times,
    /// Second chances so far.
    #[serde(rename = "redrive", default)]
    pub redrives: Redrives,
    /// What was blanked.
    #[serde(rename = "redact", default)]
    pub redaction: Redaction,
    /// Payload and headers, encrypted.
    #[serde(rename = "_seal", default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Only what must be readable before the rest may be trusted.
#[derive(Deserialize)]
struct Versions {
    v: u32,
    min: u32,
}

impl Record {
    /// The record's bytes.
    ///
    /// # Errors
    /// `store.failed` if a value cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DlqError> {
        rmp_serde::to_vec_named(self).map_err(|why| DlqError::failed(format!("letter {}: cannot be encoded: {why}", self.id)))
    }

    /// The record in some bytes, its unknown fields kept.
    ///
    /// # Errors
    /// `store.schema` if they are not a record that this build can read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DlqError> {
        rmp_serde::from_slice(bytes).map_err(|why| match rmp_serde::from_slice::<Versions>(bytes) {
            Ok(Versions { v, min }) if v > SCHEMA => DlqError::schema(format!(
                "this letter has schema version {v} (readers from {min} on), this build reads version {SCHEMA}: upgrade seawall to use it"
            )),
            _ => DlqError::schema(format!("these bytes are no letter of schema version {SCHEMA}: {why}")),
        })
    }

    /// Whether this build may redrive or change the record; it may always list, export and purge it.
    ///
    /// # Errors
    /// `store.schema`, with both versions.
    pub fn may_act(&self) -> Result<(), DlqError> {
        if self.min <= SCHEMA {
            return Ok(());
        }
        Err(DlqError::schema(format!(
            "letter {} may only be acted on by readers of schema version {} or later, this build has {SCHEMA}: upgrade seawall",
            self.id, self.min
        )))
    }

    /// Takes a later failure of the same work: its error, its attempts after ours, its time.
    pub fn absorb(&mut self, later: Failure, attempts: Attempts, at: i64) {
        self.error = later;
        self.add_attempts(attempts);
        self.times.last_failure = self.times.last_failure.max(at);
    }

    /// Appends attempts, numbered on from the count so far, and keeps the first three and the last seven.
    pub(crate) fn add_attempts(&mut self, attempts: Attempts) {
        let skipped = attempts.count.saturating_sub(attempts.kept.len() as u64);
        for (place, mut attempt) in attempts.kept.into_iter().enumerate() {
            // What the caller already left out lies between its first three and the rest.
            let gap = if place >= KEEP_FIRST { skipped } else { 0 };
            attempt.number = self.attempt_count + gap + place as u64 + 1;
            self.attempts.push(attempt);
        }
        self.attempt_count += attempts.count;
        if self.attempts.len() > KEEP_FIRST + KEEP_LAST {
            self.attempts.drain(KEEP_FIRST..self.attempts.len() - KEEP_LAST);
        }
    }
}

const KEEP_FIRST: usize = 3;
const KEEP_LAST: usize = 7;

/// Sixteen bytes, not thirty-six characters.
mod id_bytes {
    use serde::{Deserializer, Serializer, de::Error};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(id: &Uuid, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(id.as_bytes())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
        let bytes: serde_bytes::ByteBuf = serde::Deserialize::deserialize(from)?;
        Uuid::from_slice(&bytes).map_err(D::Error::custom)
    }
}
