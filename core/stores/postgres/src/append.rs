//! Letters come in.

use seawall_dlq::{Appended, Durability, Record, RecordId, State, Write};

use crate::connection::Connection;
use crate::fault::Fault;
use crate::row::{self, COLUMNS, Stored, text};
use crate::store::find;

/// Adds letters, or their failures to letters of the same work. What is known already changes nothing, so this may be done again.
pub(crate) fn append(db: &mut Connection, batch: &[Record], write: &Write) -> Result<Vec<Appended>, Fault> {
    if let [record] = batch
        && write.durability == Durability::Fsync
        && works(record, write).is_empty()
    {
        // One statement is a transaction of its own.
        row::insert(db, record)?;
        return Ok(vec![Appended::Stored(record.id)]);
    }
    db.transact(write.durability, true, |db| {
        // Two failures of one work must not both find themselves to be the first. Sorted, so that nobody waits for whoever waits for him.
        let mut locks: Vec<String> =
            batch.iter().flat_map(|record| works(record, write).into_iter().map(|(column, value)| lock(record, column, value))).collect();
        locks.sort_unstable();
        locks.dedup();
        for lock in &locks {
            db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", &[lock])?;
        }
        batch.iter().map(|record| one(db, record, write)).collect()
    })
}

/// What says that another letter is the same work: columns and their values.
fn works<'a>(record: &'a Record, write: &Write) -> Vec<(&'static str, &'a str)> {
    let key = record.idempotency_key.as_deref().map(|key| ("idempotency_key", key));
    let id = record.correlation_id.as_deref().filter(|_| write.within_retry).map(|id| ("correlation_id", id));
    key.into_iter().chain(id).collect()
}

fn lock(record: &Record, column: &str, value: &str) -> String {
    text(&format!("seawall {column}\u{1f}{}\u{1f}{value}", record.queue))
}

fn one(db: &mut Connection, record: &Record, write: &Write) -> Result<Appended, Fault> {
    let letter = find(db, record.id)?;
    if letter != record.id || db.row("SELECT 1 FROM seawall_letters WHERE id = $1", &[&record.id])?.is_some() {
        return Ok(Appended::Stored(record.id));
    }
    let Some(mut letter) = twin(db, record, write)? else {
        row::insert(db, record)?;
        return Ok(Appended::Stored(record.id));
    };
    letter.merge(record);
    row::update(db, &letter, Some(State::Ready))?;
    alias(db, record.id, letter.id)?;
    Ok(Appended::Merged(letter.id))
}

/// The ready letter that a new one is the same work as.
fn twin(db: &mut Connection, record: &Record, write: &Write) -> Result<Option<Record>, Fault> {
    for (column, value) in works(record, write) {
        let sql = format!(
            "SELECT {COLUMNS} FROM seawall_letters AS letter WHERE queue = $1 AND hashtextextended({column}, 0) = hashtextextended($2::text, 0)
               AND {column} = $2 AND state IN ('ready', 'leased') ORDER BY id FOR UPDATE"
        );
        for row in db.query(&sql, &[&text(&record.queue), &text(value)])? {
            // One that cannot be read or is being redriven keeps out of this.
            if let Ok(found) = Stored::read(&row, 0)?.record(write.now)
                && found.state == State::Ready
                && found.same_work(record, write.within_retry)
            {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

fn alias(db: &mut Connection, id: RecordId, letter: RecordId) -> Result<(), Fault> {
    db.execute("INSERT INTO seawall_aliases (id, letter) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", &[&id, &letter]).map(drop)
}
