//! Bulk redrives on record.

use seawall_dlq::{DlqError, ENDED_JOBS, StoredJob};

use crate::connection::Connection;
use crate::fault::Fault;
use crate::row::text;
use crate::select::most;

pub(crate) fn save(db: &mut Connection, job: &StoredJob) -> Result<bool, Fault> {
    let known = i64::try_from(job.version).map_err(|_| DlqError::failed("store: a job's version is beyond all that there can be"))?;
    let saved = if known == 0 {
        db.execute(
            "INSERT INTO seawall_jobs (id, queue, version, open, body) VALUES ($1, $2, 1, $3, $4) ON CONFLICT (id) DO NOTHING",
            &[&job.id, &text(&job.queue), &job.open, &text(&job.body)],
        )?
    } else {
        db.execute(
            "UPDATE seawall_jobs SET version = $2 + 1, open = $3, body = $4 WHERE id = $1 AND version = $2",
            &[&job.id, &known, &job.open, &text(&job.body)],
        )?
    };
    if saved == 1 && !job.open {
        db.execute(
            "DELETE FROM seawall_jobs WHERE id IN (SELECT id FROM seawall_jobs WHERE queue = $1 AND NOT open ORDER BY id DESC OFFSET $2)",
            &[&text(&job.queue), &*most(ENDED_JOBS)],
        )?;
    }
    Ok(saved == 1)
}

pub(crate) fn all(db: &mut Connection, queue: &str) -> Result<Vec<StoredJob>, Fault> {
    let rows = db.query("SELECT id, queue, version, open, body FROM seawall_jobs WHERE queue = $1 ORDER BY id DESC", &[&text(queue)])?;
    let job = |row: &tokio_postgres::Row| -> Result<StoredJob, Fault> {
        let version = row.try_get::<_, i64>(2)?.unsigned_abs();
        Ok(StoredJob { id: row.try_get(0)?, queue: row.try_get(1)?, version, open: row.try_get(3)?, body: row.try_get(4)? })
    };
    rows.iter().map(job).collect()
}
