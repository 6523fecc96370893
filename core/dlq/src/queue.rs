//! The queue as the bindings call it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde_json::json;

use crate::chain::{self, Sent, Target};
use crate::keys::{Keys, default_source, keys_of};
use crate::letter::Parcel;
use crate::limits::{Books, Door, Dropped, Limits};
use crate::registry::{default_store_url, store_at};
use crate::store::{Appended, DeadLetterStore, Page, Write};
use crate::{DlqError, Query, RecordId, State, time, view};

/// The longest queue name, in bytes.
const NAME_BYTES: usize = 200;
/// The longest page.
const PAGE: usize = 1000;

/// A store's URL and a queue's name.
type Place = (String, String);
type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What this process knows of its queues.
static BOOKS: LazyLock<Mutex<HashMap<Place, Arc<Books>>>> = LazyLock::new(Mutex::default);

pub(crate) fn books_of(queue: &str, url: &str) -> Arc<Books> {
    BOOKS.lock().entry((url.to_owned(), queue.to_owned())).or_default().clone()
}

/// The queues that this process has opened, with the URLs of their stores.
pub(crate) fn opened() -> Vec<(Place, Arc<Books>)> {
    let mut opened: Vec<_> = BOOKS.lock().iter().map(|(place, books)| (place.clone(), Arc::clone(books))).collect();
    opened.sort_by(|(one, _), (other, _)| one.cmp(other));
    opened
}

/// One queue of dead letters. Cheap to clone; every method blocks for the time of a disk write at most, or until the letter's
/// `write_timeout` while other processes write.
///
/// A letter is read as a JSON object: `id`, `queue`, `payload` (or `payload_base64` if it is not JSON), `content_type`, `args`
/// and `kwargs` (for `application/vnd.seawall.call+json`, else null), `error` (null, or `type`, `message`, `code`, `stack`,
/// `causes`, `retryable` and what else the writer gave), `attempts` (each `number`, `time`, `outcome`, `message`, …: the first
/// three and the last seven), `attempt_count`, `correlation_id`, `idempotency_key`, `key`, `headers`, `policy`, `state`
/// (`ready`, `leased`, `parked`, `archived`), `times` (`first_failure`, `last_failure`, `dead_lettered`, `expires`), `origin`
/// (`service`, `operation`, `language`, `version`, `host`, `pid`), `redrives` (deliveries begun, this one included),
/// `redrivable`, `group` (the fingerprint), `redacted` (JSON pointers to what was blanked), `encrypted` (the id of the key that it is encrypted under, or
/// null) and `locked` (null, or why it cannot be opened: then `payload` and `args` are null, and `headers`, messages and stacks empty). Times are RFC 3339.
///
/// A filter is a JSON object of texts: `id`, `group`, `error` (type, its last part, or code), `policy`, `key`,
/// `correlation_id`, `state`, `older_than`, `newer_than` (a duration such as `"1h"` or an RFC 3339 instant).
#[derive(Clone)]
pub struct Queue {
    name: String,
    store: Arc<dyn DeadLetterStore>,
    clock: Clock,
    books: Arc<Books>,
    /// Where the keys of letters are.
    keys: Option<String>,
}

impl Queue {
    /// Opens a queue in the store at a URL: `memory:` (one per process and queue name), `sqlite:///dir` (a directory; three
    /// slashes: below the current one, four: absolute) once its crate has registered, or an empty text for
    /// [`default_store_url`].
    ///
    /// # Errors
    /// `config.invalid` for a bad name, `store.unsupported` for a scheme nobody serves, `store.schema` for files of another
    /// version, `store.failed` else.
    pub fn open(queue: &str, store_url: &str) -> Result<Self, DlqError> {
        if queue.is_empty() || queue.len() > NAME_BYTES || queue.chars().any(char::is_control) {
            return Err(DlqError::invalid(format!(
                "queue: '{}' is no queue's name; it takes 1 to {NAME_BYTES} bytes without control characters",
                queue.escape_debug()
            )));
        }
        let url = if store_url.is_empty() { default_store_url()? } else { store_url.to_owned() };
        let store = store_at(&url)?;
        let books = books_of(queue, &url);
        books.meter.serve(&url, Arc::downgrade(&store));
        Ok(Self { name: queue.to_owned(), store, clock: Arc::new(time::wall_ms), books, keys: default_source() })
    }

    /// A queue in a store of one's own, on a wall clock of one's own (milliseconds since 1970).
    pub fn on(store: Arc<dyn DeadLetterStore>, queue: &str, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { name: queue.to_owned(), store, clock: Arc::new(clock), books: Arc::default(), keys: default_source() }
    }

    /// The same queue, whose letters are opened by the keys of a source: `env:NAME`, `file:PATH`, or what [`hold_keys`](crate::hold_keys) gave. Without,
    /// by those of the variable `SEAWALL_KEYS`.
    ///
    /// # Errors
    /// `config.invalid` if there are no keys.
    pub fn with_keys(&self, source: &str) -> Result<Self, DlqError> {
        keys_of(source)?;
        Ok(Self { keys: Some(source.to_owned()), ..self.clone() })
    }

    /// The keys that open letters. Without them letters stay locked, and say so.
    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.as_deref().and_then(|source| keys_of(source).ok())
    }

    /// The queue's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn store(&self) -> &dyn DeadLetterStore {
        &*self.store
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    pub(crate) fn query(&self, place: &str, filter_json: &str) -> Result<Query, DlqError> {
        let now = self.now();
        let mut query = Query::parse(&self.name, place, filter_json, now)?;
        if let Some(id) = query.id
            && let Some(letter) = self.store.get(&self.name, &[id], now)?.first()
        {
            // An id that was merged into another letter means that letter.
            query.id = Some(letter.id);
        }
        Ok(query)
    }

    /// The letters of a filter that may be redriven.
    pub(crate) fn redrivable(&self, filter_json: &str) -> Result<Query, DlqError> {
        let mut query = self.query("filter", filter_json)?;
        query.default_states(&[State::Ready], &[State::Ready, State::Parked]);
        query.states.retain(|state| matches!(state, State::Ready | State::Parked));
        if query.states.is_empty() {
            return Err(DlqError::invalid("filter.state: only ready and parked letters can be redriven"));
        }
        query.actionable = Some(true);
        Ok(query)
    }

    /// Writes a letter and gives its id; the acknowledgement is durable. All keys are optional: `payload` (any JSON, kept as
    /// written) or `payload_base64`, `content_type`, `error` (`type`, `message`, `code`, `stack` as text or lines, `causes`,
    /// `frames` as `{module, function, in_app}` innermost first, `retryable`, anything else), `attempts` (`time` as RFC 3339 or
    /// milliseconds since 1970, `outcome`, `message`, anything else), `attempt_count` (if not all are given), `idempotency_key`,
    /// `correlation_id`, `key`, `headers` (texts or lists of texts), `policy`, `operation`, `language`, `service`, `redrivable`,
    /// `id` (the letter being redriven: its record is updated, unless it is archived or gone), `redact` (further names, or JSON
    /// pointers into the payload), `durability` (`fsync`, `os`), `write_timeout` (the longest wait for other writers, 5 s),
    /// `encrypt` (the source of keys under which it is sealed, as in [`with_keys`](Self::with_keys)),
    /// `within_retry` (an outer policy's retry is running: equal correlation id, operation and payload are one letter), and the
    /// keys of [`write`](Self::write).
    ///
    /// A letter with the idempotency key of a ready one is merged into that one: its error and attempts are added, and
    /// [`get`](Self::get) finds it by the id given back here. Secrets are blanked before anything is written.
    ///
    /// # Errors
    /// `config.invalid` for a malformed letter; `store.busy`, `store.full`, `store.failed` if it was not written. Each failed
    /// write counts as lost in [`stats`](Self::stats).
    pub fn put(&self, letter_json: &str) -> Result<String, DlqError> {
        self.send(letter_json).map(|sent| sent.id.to_string())
    }

    /// As [`put`](Self::put), and tells what became of the letter: a JSON object of `id`, `step`, `dropped` (letters removed to make
    /// room), `expired` (letters removed because of their age), `cause` (the code of what kept the letter from its store, or null),
    /// `unsealed` (null, or why the letter could not be encrypted: then it was written without payload, headers and messages) and `lost` (null, or the `letter` and that as a short `line` for a log). Its further keys:
    ///
    /// - `limits`: what the queue may hold, see `max_letters`, `max_bytes`, `max_age`, `retention`, `min_free` (bytes) and `when_full`
    ///   (`reject`, `drop_oldest`).
    /// - `await_durable`: false gives the letter to a thread, step `queued`. [`flush`](crate::flush) waits for it.
    /// - `chain`: true sends a letter that the store does not take on: to the `second_store` (a URL), step `second`; into memory, from
    ///   where it is tried again, step `memory`; or, redacted like all else, back to the caller in `lost`, for its log, step `log`. Only this last counts
    ///   as lost.
    ///
    /// # Errors
    /// `config.invalid` for a malformed letter; without `chain` as in [`put`](Self::put).
    pub fn write(&self, letter_json: &str) -> Result<String, DlqError> {
        self.send(letter_json).map(|sent| sent.json())
    }

    fn send(&self, letter_json: &str) -> Result<Sent, DlqError> {
        chain::send(&Target::Open(self.clone()), &self.name, letter_json, self.now())
    }

    /// Writes a letter to this queue's store.
    pub(crate) fn deliver(&self, parcel: &Parcel, write: &Write) -> Result<(RecordId, Dropped), DlqError> {
        if let Some(refailed) = &parcel.refailed
            && let Some(id) = self.store.refail(refailed, write)?
        {
            return Ok((id, Dropped::default()));
        }
        let record = &parcel.record;
        let door = Door { store: &*self.store, queue: &self.name, books: &self.books, by: write.by, now: write.now };
        let full = if parcel.limits == Limits::default() { 0 } else { door.admit(&parcel.limits, record.to_bytes()?.len() as u64)? };
        let stored = self.append(parcel, write)?;
        // The letter is written; what is too old can go another time.
        let expired = door.sweep(&parcel.limits).unwrap_or(0);
        let dropped = Dropped { full, expired };
        self.books.dropped.fetch_add(dropped.letters(), Ordering::Relaxed);
        Ok((stored, dropped))
    }

    /// Adds a letter to this queue's store, whatever it holds.
    pub(crate) fn append(&self, parcel: &Parcel, write: &Write) -> Result<RecordId, DlqError> {
        // A merged letter keeps the id that its writer got; `get` knows both.
        let stored = self.books.meter.timed("append", || self.store.append(std::slice::from_ref(&parcel.record), write))?;
        match stored.first() {
            Some(Appended::Stored(_) | Appended::Merged(_)) => Ok(parcel.record.id),
            None => Err(DlqError::failed("letter: the store acknowledged nothing")),
        }
    }

    /// The letter of an id, or of one that it was merged into.
    ///
    /// # Errors
    /// `store.schema` for a letter of a newer version, `store.failed`.
    pub fn get(&self, id: &str) -> Result<Option<String>, DlqError> {
        let Ok(id) = id.parse::<RecordId>() else { return Ok(None) };
        let found = self.store.get(&self.name, &[id], self.now())?;
        found.first().map(|record| view::letter(record, self.keys().as_deref())).transpose()
    }

    /// Up to `limit` (at most 1000) letters as a JSON array, newest first, from the one after `cursor`, the last id seen.
    /// Archived letters are left out unless the filter asks for the state or an id.
    ///
    /// # Errors
    /// `config.invalid` for a bad filter or cursor, `store.failed`.
    pub fn peek(&self, filter_json: &str, limit: usize, cursor: Option<&str>) -> Result<String, DlqError> {
        let mut query = self.query("", filter_json)?;
        query.default_states(&OPEN, &[]);
        let after = cursor.map(|id| id.parse().map_err(|_| DlqError::invalid(format!("cursor: '{id}' is no letter's id")))).transpose()?;
        let page = Page { limit: limit.min(PAGE), after };
        let (keys, found) = (self.keys(), self.store.peek(&query, &page, self.now())?);
        let letters: Vec<String> = found.iter().map(|record| view::letter(record, keys.as_deref())).collect::<Result<_, _>>()?;
        Ok(format!("[{}]", letters.join(",")))
    }

    /// The groups of what matches, largest first, as a JSON array of `group`, `count`, `first`, `last`, `sample` (the newest
    /// letter's id) and `error`. Archived letters are left out as in [`peek`](Self::peek).
    ///
    /// # Errors
    /// `config.invalid` for a bad filter, `store.failed`.
    pub fn groups(&self, filter_json: &str) -> Result<String, DlqError> {
        let mut query = self.query("", filter_json)?;
        query.default_states(&OPEN, &[]);
        let groups = self.store.groups(&query, self.now())?;
        let keys = self.keys();
        Ok(serde_json::Value::Array(groups.iter().map(|group| view::group(group, keys.as_deref())).collect()).to_string())
    }

    /// `ready`, `leased`, `parked`, `archived` (counts), `bytes` (of all records), `oldest` (the oldest ready letter's time, or
    /// null), `lost` (failed writes of this process) and `dropped` (letters that this process removed because of a limit).
    ///
    /// # Errors
    /// `store.failed`.
    pub fn stats(&self) -> Result<String, DlqError> {
        let stats = self.store.stats(&self.name, self.now())?;
        Ok(json!({
            "ready": stats.ready,
            "leased": stats.leased,
            "parked": stats.parked,
            "archived": stats.archived,
            "bytes": stats.bytes,
            "oldest": stats.oldest.map(time::rfc3339),
            "lost": self.books.lost.load(Ordering::Relaxed),
            "dropped": self.books.dropped.load(Ordering::Relaxed),
        })
        .to_string())
    }

    /// Removes what matches for good, in any state: `{"purged": n}`. In a dry run it only counts.
    ///
    /// # Errors
    /// `config.invalid` with neither a filter nor `all`, or with both; `store.busy`, `store.failed`.
    pub fn purge(&self, filter_json: &str, all: bool, dry_run: bool) -> Result<String, DlqError> {
        let query = self.query("", filter_json)?;
        if query.is_all() != all {
            let what = if all { "all=true and a filter contradict each other" } else { "removes for good" };
            return Err(DlqError::invalid(format!("purge: {what}; give either a filter or all=true")));
        }
        let purged = self.store.purge(&query, dry_run, self.now())?;
        Ok(json!({ "purged": purged.letters }).to_string())
    }

    /// Sets ready letters aside, so that bulk redrives pass them by: `{"parked": n}`.
    ///
    /// # Errors
    /// `config.invalid` for a bad filter, `store.busy`, `store.failed`.
    pub fn park(&self, filter_json: &str) -> Result<String, DlqError> {
        let mut query = self.query("", filter_json)?;
        query.default_states(&[State::Ready], &[State::Ready]);
        query.states.retain(|state| *state == State::Ready);
        let parked = if query.states.is_empty() { 0 } else { self.store.shift(&query, State::Parked, self.now())? };
        Ok(json!({ "parked": parked }).to_string())
    }

    /// Archives the open letters of one call as recovered, because an outer retry succeeded after all: how many there were.
    /// Parked ones stay where somebody put them.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    pub fn archive(&self, correlation_id: &str, operation: &str) -> Result<u64, DlqError> {
        let query = Query {
            correlation_id: Some(correlation_id.to_owned()),
            operation: Some(operation.to_owned()),
            states: vec![State::Ready, State::Leased],
            ..Query::all(&self.name)
        };
        self.store.shift(&query, State::Archived, self.now())
    }
}

const OPEN: [State; 3] = [State::Ready, State::Leased, State::Parked];
