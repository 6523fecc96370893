//! A redrive's side of its job: keeps its record and its lease up to date, and hears what others want of it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::job::{self, Job, JobState, Progress};
use crate::time::rfc3339;
use crate::{DlqError, Query, Queue, RecordId};

/// How often a runner looks at its job.
pub(crate) const LOOK_MS: i64 = 250;
/// A job's lease outlasts those of the letters that were claimed since it was last saved.
const MARGIN_MS: i64 = 5_000;

/// A job that is this redrive's.
pub(crate) struct Running {
    pub(crate) id: RecordId,
    run: u64,
    /// What earlier runs did.
    pub(crate) before: Progress,
    lease_ms: i64,
}

impl Running {
    /// Puts a redrive of these letters on record.
    pub(crate) fn begin(queue: &Queue, options_json: &str, query: &Query, skipped: u64, lease_ms: i64) -> Result<Self, DlqError> {
        let now = queue.now();
        let lease_ms = lease_ms.saturating_add(MARGIN_MS);
        let job = Job {
            state: JobState::Running,
            options: fixed(options_json, query),
            bound: query.bound.unwrap_or_default(),
            total: queue.store().count(query, now)?,
            progress: Progress { skipped, ..Progress::default() },
            started: now,
            updated: now,
            stopped: None,
            run: 1,
            pid: std::process::id(),
            lease_until: now.saturating_add(lease_ms),
        };
        Ok(Self { id: job::begin(queue, &job)?, run: 1, before: Progress::default(), lease_ms })
    }

    /// Goes on with a job that nobody runs.
    pub(crate) fn resume(queue: &Queue, id: &str, lease_ms: i64) -> Result<(Self, Job), DlqError> {
        let id: Uuid = id.parse().map_err(|_| DlqError::invalid(format!("redrive.resume: '{id}' is no job's id")))?;
        let lease_ms = lease_ms.saturating_add(MARGIN_MS);
        let job = job::take_over(queue, id, lease_ms)?;
        Ok((Self { id, run: job.run, before: job.progress, lease_ms }, job))
    }

    fn sum(&self, done: Progress) -> Progress {
        let Progress { ok, failed, skipped } = self.before;
        Progress { ok: ok + done.ok, failed: failed + done.failed, skipped: skipped + done.skipped }
    }

    /// Saves how far it is; gives why it must stop, if it must.
    pub(crate) fn look(&self, queue: &Queue, done: Progress) -> Result<Option<&'static str>, DlqError> {
        let job = job::change(queue, self.id, |job| {
            if job.run != self.run {
                return Ok(false);
            }
            job.progress = self.sum(done);
            job.lease_until = queue.now().saturating_add(self.lease_ms);
            Ok(true)
        })?;
        Ok(match job.state {
            _ if job.run != self.run => Some("taken_over"),
            JobState::Paused => Some("paused"),
            JobState::Cancelled => Some("cancelled"),
            _ => None,
        })
    }

    /// Says how it ended; gives how many letters have come since its start.
    pub(crate) fn end(&self, queue: &Queue, done: Progress, stopped: Option<&str>) -> Result<u64, DlqError> {
        let job = job::change(queue, self.id, |job| {
            if job.run != self.run {
                return Ok(false);
            }
            job.progress = self.sum(done);
            job.stopped = stopped.map(str::to_owned);
            job.lease_until = 0;
            job.state = match (job.state, stopped) {
                (JobState::Cancelled, _) => JobState::Cancelled,
                (_, None | Some("limit")) => JobState::Done,
                (_, Some("paused")) => JobState::Paused,
                _ => JobState::Stopped,
            };
            Ok(true)
        })?;
        job.arrived(queue, self.id)
    }
}

/// The options, with ages as the instants that they mean now.
fn fixed(options_json: &str, query: &Query) -> Value {
    let mut options: Value = serde_json::from_str(options_json).unwrap_or_else(|_| json!({}));
    for (name, instant) in [("older_than", query.older_than), ("newer_than", query.newer_than)] {
        if let Some(instant) = instant {
            options["filter"][name] = rfc3339(instant).into();
        }
    }
    options
}
