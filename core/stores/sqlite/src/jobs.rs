//! Bulk redrives on record.

use rusqlite::{Connection, OptionalExtension, params};
use seawall_dlq::{DlqError, ENDED_JOBS, StoredJob};
use uuid::Uuid;

use crate::row::failed;

pub(crate) fn save(db: &Connection, job: &StoredJob) -> Result<bool, DlqError> {
    let mut known = db.prepare_cached("SELECT version FROM jobs WHERE id = ?").map_err(failed)?;
    let version: Option<u64> = known.query_row([job.id.as_bytes()], |row| row.get(0)).optional().map_err(failed)?;
    if version.unwrap_or(0) != job.version {
        return Ok(false);
    }
    let sql = "INSERT OR REPLACE INTO jobs (id, queue, version, open, body) VALUES (?, ?, ?, ?, ?)";
    let mut save = db.prepare_cached(sql).map_err(failed)?;
    save.execute(params![job.id.as_bytes(), job.queue, job.version + 1, job.open, job.body]).map_err(failed)?;
    let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE queue = ? AND NOT open ORDER BY id DESC LIMIT -1 OFFSET ?)";
    let mut forget = db.prepare_cached(sql).map_err(failed)?;
    forget.execute(params![job.queue, i64::try_from(ENDED_JOBS).unwrap_or(i64::MAX)]).map_err(failed)?;
    Ok(true)
}

pub(crate) fn all(db: &Connection, queue: &str) -> Result<Vec<StoredJob>, DlqError> {
    let mut statement =
        db.prepare_cached("SELECT id, queue, version, open, body FROM jobs WHERE queue = ? ORDER BY id DESC").map_err(failed)?;
    let rows = statement.query_map([queue], |row| {
        Ok(StoredJob { id: Uuid::from_bytes(row.get(0)?), queue: row.get(1)?, version: row.get(2)?, open: row.get(3)?, body: row.get(4)? })
    });
    rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}
