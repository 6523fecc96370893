//! Bulk redrives on record.

use seawall_dlq::{DlqError, ENDED_JOBS, StoredJob};

use crate::connection::Link;
use crate::fault::Fault;
use crate::script::{JOB, READ};

pub(crate) fn save(link: &mut Link, job: &StoredJob) -> Result<bool, Fault> {
    let open = if job.open { "1" } else { "0" };
    let values = [job.id.to_string(), job.version.to_string(), open.to_owned(), job.body.clone(), ENDED_JOBS.to_string()];
    link.run(&JOB, &job.queue, &values)
}

pub(crate) fn all(link: &mut Link, queue: &str) -> Result<Vec<StoredJob>, Fault> {
    let found: Vec<(String, u64, u8, String)> = link.run(&READ, queue, &["jobs"])?;
    let job = |(id, version, open, body): (String, u64, u8, String)| {
        let id = id.parse().map_err(|_| DlqError::schema("store: a key that is no job's id"))?;
        Ok(StoredJob { id, queue: queue.to_owned(), version, open: open != 0, body })
    };
    found.into_iter().map(job).collect()
}
