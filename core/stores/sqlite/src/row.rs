//! Records as rows: the columns that are searched or changed often, and the record's bytes.

use rusqlite::{Connection, ErrorCode, Row, named_params};
use seawall_dlq::{DlqError, Record, State};

/// What every reading of a letter selects.
pub(crate) const COLUMNS: &str = "record, state, lease_until, redrives, fence, refailed, archived";

/// A row as it lies.
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) state: String,
    pub(crate) lease_until: i64,
    pub(crate) redrives: u32,
    pub(crate) fence: u64,
    pub(crate) refailed: bool,
    archived: Option<i64>,
}

impl Stored {
    pub(crate) fn read(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            bytes: row.get(0)?,
            state: row.get(1)?,
            lease_until: row.get(2)?,
            redrives: row.get(3)?,
            fence: row.get(4)?,
            refailed: row.get(5)?,
            archived: row.get(6)?,
        })
    }

    /// The record as it stands now: the columns win over the bytes.
    pub(crate) fn record(&self, now: i64) -> Result<Record, DlqError> {
        let mut record = Record::from_bytes(&self.bytes)?;
        record.state = self.state(now)?;
        record.redrives.count = self.redrives;
        record.times.archived = self.archived;
        Ok(record)
    }

    pub(crate) fn state(&self, now: i64) -> Result<State, DlqError> {
        let state = State::from_word(&self.state)
            .ok_or_else(|| DlqError::schema(format!("store: '{}' is no state that this build knows: upgrade seawall", self.state)))?;
        Ok(if state == State::Leased && self.lease_until <= now { State::Ready } else { state })
    }
}

/// Adds a letter.
pub(crate) fn insert(connection: &Connection, record: &Record, mark: u64) -> Result<(), DlqError> {
    let bytes = record.to_bytes()?;
    let mut statement = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO letters (id, queue, mark, state, created, redrives, redrivable, min_reader, fingerprint,
               error_type, error_code, policy, key, correlation_id, operation, idempotency_key, size, archived, record)
             VALUES (:id, :queue, :mark, :state, :created, :redrives, :redrivable, :min, :fingerprint,
               :type, :code, :policy, :key, :correlation, :operation, :idempotency, :size, :archived, :record)",
        )
        .map_err(failed)?;
    statement
        .execute(named_params! {
            ":id": record.id.as_bytes(),
            ":queue": record.queue,
            ":mark": mark,
            ":state": record.state.word(),
            ":created": record.times.dead_lettered,
            ":redrives": record.redrives.count,
            ":redrivable": record.redrivable,
            ":min": record.min,
            ":fingerprint": record.error.fingerprint,
            ":type": record.error.kind,
            ":code": record.error.code,
            ":policy": record.policy,
            ":key": record.key,
            ":correlation": record.correlation_id,
            ":operation": record.origin.operation,
            ":idempotency": record.idempotency_key,
            ":size": bytes.len(),
            ":archived": record.times.archived,
            ":record": bytes,
        })
        .map_err(failed)?;
    Ok(())
}

/// Writes a changed letter back: its bytes, its state and what of its columns a later failure changes. A state of `None`
/// leaves the state, and with it a lease, as it is.
pub(crate) fn update(connection: &Connection, record: &Record, state: Option<State>, mark: u64) -> Result<(), DlqError> {
    let bytes = record.to_bytes()?;
    let mut statement = connection
        .prepare_cached(
            "UPDATE letters SET mark = :mark, state = coalesce(:state, state), redrives = :redrives, fingerprint = :fingerprint,
               error_type = :type, error_code = :code, size = :size, archived = :archived, record = :record WHERE id = :id",
        )
        .map_err(failed)?;
    statement
        .execute(named_params! {
            ":id": record.id.as_bytes(),
            ":mark": mark,
            ":state": state.map(State::word),
            ":redrives": record.redrives.count,
            ":fingerprint": record.error.fingerprint,
            ":type": record.error.kind,
            ":code": record.error.code,
            ":size": bytes.len(),
            ":archived": record.times.archived,
            ":record": bytes,
        })
        .map_err(failed)?;
    Ok(())
}

/// SQLite's errors as ours.
pub(crate) fn failed(why: rusqlite::Error) -> DlqError {
    let code = match &why {
        rusqlite::Error::SqliteFailure(cause, _) => Some(cause.code),
        _ => None,
    };
    match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => crate::gate::busy(),
        Some(ErrorCode::DiskFull) => DlqError::full("store: no space left for the letter"),
        Some(ErrorCode::NotADatabase) => DlqError::schema("store: the file is no SQLite database; give seawall a directory of its own"),
        _ => DlqError::failed(format!("store: {why}")),
    }
}
