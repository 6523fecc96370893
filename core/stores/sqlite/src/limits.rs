//! What a queue holds, and making room in it.

use rusqlite::{Connection, params_from_iter};
use seawall_dlq::{DlqError, Evict, State, Usage};
use uuid::Uuid;

use crate::row::failed;
use crate::select::Where;
use crate::store::forget;

/// Reads the index by state alone, no record.
pub(crate) fn usage(db: &Connection, queue: &str) -> Result<Usage, DlqError> {
    let mut statement = db.prepare_cached("SELECT count(*), coalesce(sum(size), 0) FROM letters WHERE queue = ?").map_err(failed)?;
    statement.query_row([queue], |row| Ok(Usage { letters: row.get(0)?, bytes: row.get(1)? })).map_err(failed)
}

pub(crate) fn evict(db: &Connection, evict: &Evict, now: i64) -> Result<Usage, DlqError> {
    let condition = Where::new(&evict.query, now).not_in(State::Leased, now);
    let mut gone = Usage::default();
    let mut ids: Vec<[u8; 16]> = Vec::new();
    {
        let mut statement = db.prepare_cached(&condition.sql("SELECT id, size FROM letters", "ORDER BY id")).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(&condition.values)).map_err(failed)?;
        while gone.letters < evict.letters || gone.bytes < evict.bytes {
            let Some(row) = rows.next().map_err(failed)? else { break };
            ids.push(row.get(0).map_err(failed)?);
            gone.letters += 1;
            gone.bytes += row.get::<_, u64>(1).map_err(failed)?;
        }
    }
    ids.into_iter().try_for_each(|id| forget(db, Uuid::from_bytes(id)))?;
    Ok(gone)
}
