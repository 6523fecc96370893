//! Bulk redrives on record, so that they can be watched, paused, and gone on with after a crash.
//!
//! | state | becomes | when |
//! |---|---|---|
//! | `running` | `done` | nothing is left, or its limit is reached |
//! | | `stopped` | after too many failures, or when the target's circuit opened |
//! | | `paused`, `cancelled` | somebody asked for it; its runner notices within 250 ms, and starts no more deliveries |
//! | `running` with a lapsed lease, `paused`, `stopped` | `running` | somebody goes on with it |
//! | `done`, `cancelled` | | it has ended |
//!
//! A running job is its runner's by lease. Going on raises its `run`, so that a runner that was only slow notices and stops. Letters that it has settled say
//! so themselves (their last claim is the job's), so a crash costs its counters nothing; one that was being delivered is delivered again.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::StoredJob;
use crate::time::rfc3339;
use crate::{DlqError, Query, Queue, RecordId, State};

/// How often somebody may save it meanwhile before we give up.
const TRIES: usize = 20;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    Running,
    Paused,
    Stopped,
    Cancelled,
    Done,
}

impl JobState {
    fn is_open(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Done)
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// A job's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) state: JobState,
    /// As the redrive was given them, its instants fixed.
    pub(crate) options: Value,
    /// Letters that changed later are none of its own.
    pub(crate) bound: u64,
    pub(crate) total: u64,
    #[serde(flatten)]
    pub(crate) progress: Progress,
    pub(crate) started: i64,
    pub(crate) updated: i64,
    pub(crate) stopped: Option<String>,
    /// Raised by whoever goes on with it.
    pub(crate) run: u64,
    pub(crate) pid: u32,
    pub(crate) lease_until: i64,
}

impl Job {
    /// The letters of this job that may still be delivered.
    pub(crate) fn query(&self, queue: &Queue) -> Result<Query, DlqError> {
        let filter = self.options.get("filter").map_or_else(String::new, Value::to_string);
        Ok(Query { bound: Some(self.bound), ..queue.redrivable(&filter)? })
    }

    fn is_held(&self, now: i64) -> bool {
        self.state == JobState::Running && self.lease_until > now
    }

    /// Letters that came since its start.
    pub(crate) fn arrived(&self, queue: &Queue, id: RecordId) -> Result<u64, DlqError> {
        let query = self.query(queue)?;
        let newer_than = query.newer_than.max(Some(self.started));
        let fresh = Query { bound: None, since: Some(self.bound), newer_than, ..query };
        // Of the same millisecond, and changed since because they failed again here.
        let ours = Query { owner: Some(id.to_string()), ..fresh.clone() };
        Ok(queue.store().count(&fresh, queue.now())?.saturating_sub(queue.store().count(&ours, queue.now())?))
    }

    /// What its letters say of it. What was skipped left no trace but the count.
    pub(crate) fn recount(&mut self, queue: &Queue, id: RecordId) -> Result<(), DlqError> {
        let ours = Query { owner: Some(id.to_string()), ..Query::all(queue.name()) };
        let good = Query { states: vec![State::Archived], ..ours.clone() };
        let bad = Query { states: vec![State::Ready, State::Parked], since: Some(self.bound), ..ours };
        self.progress.ok = queue.store().count(&good, queue.now())?;
        self.progress.failed = queue.store().count(&bad, queue.now())?;
        Ok(())
    }

    fn view(&self, queue: &Queue, id: RecordId) -> Result<Value, DlqError> {
        let interrupted = self.state == JobState::Running && !self.is_held(queue.now());
        let (remaining, arrived) =
            if self.state.is_open() { (queue.store().count(&self.query(queue)?, queue.now())?, self.arrived(queue, id)?) } else { (0, 0) };
        Ok(json!({
            "id": id.to_string(),
            "queue": queue.name(),
            "state": if interrupted { json!("interrupted") } else { json!(self.state) },
            "total": self.total,
            "ok": self.progress.ok,
            "failed": self.progress.failed,
            "skipped": self.progress.skipped,
            "remaining": remaining,
            "arrived": arrived,
            "started": rfc3339(self.started),
            "updated": rfc3339(self.updated),
            "stopped": self.stopped,
            "pid": self.pid,
            "options": self.options,
        }))
    }
}

fn read(stored: &StoredJob) -> Result<Job, DlqError> {
    serde_json::from_str(&stored.body).map_err(|why| DlqError::schema(format!("job {}: this build cannot read it: {why}", stored.id)))
}

fn write(queue: &Queue, id: RecordId, version: u64, job: &Job) -> Result<bool, DlqError> {
    let body = serde_json::to_string(job).map_err(|why| DlqError::failed(format!("job {id}: no JSON: {why}")))?;
    let stored = StoredJob { id, queue: queue.name().to_owned(), version, open: job.state.is_open(), body };
    queue.store().save_job(&stored)
}

fn find(queue: &Queue, id: RecordId) -> Result<(u64, Job), DlqError> {
    let found = queue.store().jobs(queue.name())?.into_iter().find(|job| job.id == id);
    let stored = found.ok_or_else(|| DlqError::invalid(format!("job: queue '{}' has no job {id}", queue.name())))?;
    Ok((stored.version, read(&stored)?))
}

/// Changes a job as it stands, and gives it back; `change` says whether there is something to save.
pub(crate) fn change(queue: &Queue, id: RecordId, change: impl Fn(&mut Job) -> Result<bool, DlqError>) -> Result<Job, DlqError> {
    for _ in 0..TRIES {
        let (version, mut job) = find(queue, id)?;
        if !change(&mut job)? {
            return Ok(job);
        }
        job.updated = queue.now();
        if write(queue, id, version, &job)? {
            return Ok(job);
        }
    }
    Err(DlqError::busy(format!("job {id}: others change it all the time")))
}

/// Puts a new job on record.
pub(crate) fn begin(queue: &Queue, job: &Job) -> Result<RecordId, DlqError> {
    let id = Uuid::now_v7();
    write(queue, id, 0, job)?;
    Ok(id)
}

/// Makes this process the runner of a job that nobody runs.
pub(crate) fn take_over(queue: &Queue, id: RecordId, lease_ms: i64) -> Result<Job, DlqError> {
    let now = queue.now();
    change(queue, id, |job| {
        if !job.state.is_open() {
            return Err(DlqError::invalid(format!("job {id}: has ended; begin another")));
        }
        if job.is_held(now) {
            let (pid, until) = (job.pid, rfc3339(job.lease_until));
            return Err(DlqError::busy(format!("job {id}: process {pid} runs it; if that is gone, go on after {until}")));
        }
        job.recount(queue, id)?;
        job.state = JobState::Running;
        job.stopped = None;
        job.run += 1;
        job.pid = std::process::id();
        job.lease_until = now.saturating_add(lease_ms);
        Ok(true)
    })
}

impl Queue {
    /// The bulk redrives of this queue, newest first, as a JSON array of `id`, `state` (`running`, `paused`, `stopped`, `cancelled`, `done`, and
    /// `interrupted` for one whose runner is gone), `total` (letters at its start), `ok`, `failed`, `skipped`, `remaining`, `arrived` (letters that came
    /// since), `started`, `updated`, `stopped` (why), `pid` and `options`.
    ///
    /// # Errors
    /// `store.schema` for a job of a newer version, `store.failed`.
    pub fn jobs(&self) -> Result<String, DlqError> {
        let jobs = self.store().jobs(self.name())?;
        let all: Vec<Value> = jobs.iter().map(|stored| read(stored)?.view(self, stored.id)).collect::<Result<_, _>>()?;
        Ok(Value::Array(all).to_string())
    }

    /// Pauses a job; it can be gone on with. False if it has ended.
    ///
    /// # Errors
    /// `config.invalid` if there is no such job, `store.busy`, `store.failed`.
    pub fn pause(&self, job: &str) -> Result<bool, DlqError> {
        self.halt(job, JobState::Paused)
    }

    /// Cancels a job for good. What it has delivered stays delivered. False if it has ended.
    ///
    /// # Errors
    /// `config.invalid` if there is no such job, `store.busy`, `store.failed`.
    pub fn cancel(&self, job: &str) -> Result<bool, DlqError> {
        self.halt(job, JobState::Cancelled)
    }

    fn halt(&self, job: &str, state: JobState) -> Result<bool, DlqError> {
        let id = job.parse().map_err(|_| DlqError::invalid(format!("job: '{job}' is no job's id")))?;
        let halted = change(self, id, |job| {
            let changes = job.state.is_open() && job.state != state;
            if changes {
                job.state = state;
            }
            Ok(changes)
        })?;
        Ok(halted.state == state)
    }
}
