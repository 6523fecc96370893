//! Records as rows: the columns that are searched or changed often, and the record's bytes.

use seawall_dlq::{DlqError, Record, State};
use tokio_postgres::Row;

use crate::connection::Connection;
use crate::fault::Fault;

/// What every reading of a letter selects.
pub(crate) const COLUMNS: &str =
    "letter.record, letter.state, letter.lease_until, letter.redrives, letter.fence, letter.refailed, letter.archived, letter.id";

/// A row as it lies.
pub(crate) struct Stored {
    bytes: Vec<u8>,
    pub(crate) state: String,
    lease_until: i64,
    redrives: i64,
    fence: i64,
    pub(crate) refailed: bool,
    archived: Option<i64>,
    pub(crate) id: uuid::Uuid,
}

impl Stored {
    /// Reads the columns, which begin at this place.
    pub(crate) fn read(row: &Row, at: usize) -> Result<Self, Fault> {
        Ok(Self {
            bytes: row.try_get(at)?,
            state: row.try_get(at + 1)?,
            lease_until: row.try_get(at + 2)?,
            redrives: row.try_get(at + 3)?,
            fence: row.try_get(at + 4)?,
            refailed: row.try_get(at + 5)?,
            archived: row.try_get(at + 6)?,
            id: row.try_get(at + 7)?,
        })
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence.unsigned_abs()
    }

    /// The record as it stands now: the columns win over the bytes.
    pub(crate) fn record(&self, now: i64) -> Result<Record, DlqError> {
        let mut record = Record::from_bytes(&self.bytes)?;
        record.state = self.state(now)?;
        record.redrives.count = u32::try_from(self.redrives).unwrap_or(u32::MAX);
        record.times.archived = self.archived;
        Ok(record)
    }

    fn state(&self, now: i64) -> Result<State, DlqError> {
        let state = State::from_word(&self.state)
            .ok_or_else(|| DlqError::schema(format!("store: '{}' is no state that this build knows: upgrade seawall", self.state)))?;
        Ok(if state == State::Leased && self.lease_until <= now { State::Ready } else { state })
    }
}

/// A text as PostgreSQL takes it: it knows no NUL. Searches change theirs alike, and the record's bytes keep it.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn maybe(given: Option<&String>) -> Option<String> {
    given.map(|given| text(given))
}

fn size(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

/// Adds a letter that is not known yet, in one statement.
pub(crate) fn insert(db: &mut Connection, record: &Record) -> Result<(), Fault> {
    let bytes = record.to_bytes()?;
    db.execute(
        "INSERT INTO seawall_letters (id, queue, mark, state, created, redrives, redrivable, min_reader, fingerprint,
           error_type, error_code, policy, key, correlation_id, operation, idempotency_key, size, archived, record)
         SELECT $1::uuid, $2::text, nextval('seawall_marks'), $3::text, $4::bigint, $5::bigint, $6::boolean, $7::bigint, $8::text,
           $9::text, $10::text, $11::text, $12::text, $13::text, $14::text, $15::text, $16::bigint, $17::bigint, $18::bytea
         WHERE NOT EXISTS (SELECT 1 FROM seawall_aliases WHERE id = $1) ON CONFLICT (id) DO NOTHING",
        &[
            &record.id,
            &text(&record.queue),
            &record.state.word(),
            &record.times.dead_lettered,
            &i64::from(record.redrives.count),
            &record.redrivable,
            &i64::from(record.min),
            &text(&record.error.fingerprint),
            &text(&record.error.kind),
            &maybe(record.error.code.as_ref()),
            &maybe(record.policy.as_ref()),
            &maybe(record.key.as_ref()),
            &maybe(record.correlation_id.as_ref()),
            &maybe(record.origin.operation.as_ref()),
            &maybe(record.idempotency_key.as_ref()),
            &size(&bytes),
            &record.times.archived,
            &bytes,
        ],
    )?;
    Ok(())
}

/// Writes a changed letter back: its bytes, its state and what of its columns a later failure changes. A state of `None`
/// leaves the state, and with it a lease, as it is.
pub(crate) fn update(db: &mut Connection, record: &Record, state: Option<State>) -> Result<(), Fault> {
    let bytes = record.to_bytes()?;
    db.execute(
        "UPDATE seawall_letters SET mark = nextval('seawall_marks'), state = coalesce($2::text, state), redrives = $3, fingerprint = $4,
           error_type = $5, error_code = $6, size = $7, archived = $8, record = $9 WHERE id = $1",
        &[
            &record.id,
            &state.map(State::word),
            &i64::from(record.redrives.count),
            &text(&record.error.fingerprint),
            &text(&record.error.kind),
            &maybe(record.error.code.as_ref()),
            &size(&bytes),
            &record.times.archived,
            &bytes,
        ],
    )?;
    Ok(())
}
