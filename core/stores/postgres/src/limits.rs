//! What a queue holds, and making room in it.

use seawall_dlq::{Evict, RecordId, State, Usage};

use crate::connection::Connection;
use crate::fault::Fault;
use crate::row::text;
use crate::select::{Where, most};

/// Letters that are looked at in one statement.
const BATCH: usize = 500;

pub(crate) fn usage(db: &mut Connection, queue: &str) -> Result<Usage, Fault> {
    let row = db.row("SELECT count(*), coalesce(sum(size), 0)::bigint FROM seawall_letters WHERE queue = $1", &[&text(queue)])?;
    let Some(row) = row else { return Ok(Usage::default()) };
    Ok(Usage { letters: row.try_get::<_, i64>(0)?.unsigned_abs(), bytes: row.try_get::<_, i64>(1)?.unsigned_abs() })
}

pub(crate) fn evict(db: &mut Connection, evict: &Evict, now: i64) -> Result<Usage, Fault> {
    let (mut gone, mut last) = (Usage::default(), None);
    let is_enough = |gone: &Usage| gone.letters >= evict.letters && gone.bytes >= evict.bytes;
    while !is_enough(&gone) {
        let mut condition = Where::new(&evict.query, now).not_in(State::Leased, now).after(last);
        // What another process is at is its own.
        let page = condition.then("ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED", [most(BATCH)]);
        let rows = db.query(&condition.sql("SELECT id, size FROM seawall_letters", &page), &condition.values())?;
        let mut ids: Vec<RecordId> = Vec::new();
        for row in &rows {
            if is_enough(&gone) {
                break;
            }
            ids.push(row.try_get(0)?);
            gone.letters += 1;
            gone.bytes += row.try_get::<_, i64>(1)?.unsigned_abs();
        }
        db.execute("DELETE FROM seawall_letters WHERE id = ANY($1)", &[&ids])?;
        last = ids.last().copied();
        if rows.len() < BATCH {
            break;
        }
    }
    Ok(gone)
}
