//! Records as hashes: the fields that are searched or changed often, and the record's bytes.

use redis::{FromRedisValue, ParsingError, Value};
use seawall_dlq::{DlqError, Record, RecordId, State};

/// A letter as it lies.
pub(crate) struct Stored {
    pub(crate) id: RecordId,
    bytes: Vec<u8>,
    pub(crate) state: String,
    lease_until: i64,
    redrives: u32,
    pub(crate) fence: u64,
    pub(crate) refailed: bool,
    archived: Option<i64>,
    pub(crate) mark: u64,
}

impl FromRedisValue for Stored {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        type Row = (String, Vec<u8>, String, i64, u32, u64, u8, Option<i64>, u64);
        let (id, bytes, state, lease_until, redrives, fence, refailed, archived, mark) = Row::from_redis_value(value)?;
        let id = id.parse().map_err(|_| ParsingError::from("no letter's id"))?;
        Ok(Self { id, bytes, state, lease_until, redrives, fence, refailed: refailed != 0, archived, mark })
    }
}

impl Stored {
    /// The record as it stands now: the fields win over the bytes.
    pub(crate) fn record(&self, now: i64) -> Result<Record, DlqError> {
        let mut record = Record::from_bytes(&self.bytes)?;
        record.state = self.state(now)?;
        record.redrives.count = self.redrives;
        record.times.archived = self.archived;
        Ok(record)
    }

    fn state(&self, now: i64) -> Result<State, DlqError> {
        let state = State::from_word(&self.state)
            .ok_or_else(|| DlqError::schema(format!("store: '{}' is no state that this build knows: upgrade seawall", self.state)))?;
        Ok(if state == State::Leased && self.lease_until <= now { State::Ready } else { state })
    }
}

/// Names and values, in turn.
pub(crate) type Fields = Vec<Vec<u8>>;

fn add(fields: &mut Fields, name: &str, value: impl AsRef<[u8]>) {
    fields.push(name.into());
    fields.push(value.as_ref().to_vec());
}

/// What changes with a later failure.
pub(crate) fn changed(record: &Record) -> Result<Fields, DlqError> {
    let bytes = record.to_bytes()?;
    let mut fields = Fields::new();
    add(&mut fields, "redrives", record.redrives.count.to_string());
    add(&mut fields, "fingerprint", &record.error.fingerprint);
    add(&mut fields, "error_type", &record.error.kind);
    add(&mut fields, "size", bytes.len().to_string());
    // Empty: none. What was there before must not stay.
    add(&mut fields, "error_code", record.error.code.as_deref().unwrap_or_default());
    if let Some(archived) = record.times.archived {
        add(&mut fields, "archived", archived.to_string());
    }
    add(&mut fields, "record", bytes);
    Ok(fields)
}

/// All fields of a new letter.
pub(crate) fn new(record: &Record) -> Result<Fields, DlqError> {
    let mut fields = changed(record)?;
    for (name, number) in
        [("created", record.times.dead_lettered), ("min_reader", record.min.into()), ("redrivable", record.redrivable.into())]
    {
        add(&mut fields, name, number.to_string());
    }
    for (name, value) in [("fence", "0"), ("lease_until", "0"), ("refailed", "0"), ("state", record.state.word())] {
        add(&mut fields, name, value);
    }
    for (name, value) in [
        ("policy", &record.policy),
        ("key", &record.key),
        ("correlation_id", &record.correlation_id),
        ("operation", &record.origin.operation),
        ("idempotency_key", &record.idempotency_key),
    ] {
        if let Some(value) = value {
            add(&mut fields, name, value);
        }
    }
    Ok(fields)
}
