//! Dead letters. Everything that may touch a disk runs on libuv's pool and gives a promise; the event loop never waits for it.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{AsyncTask, Env, Result, Task};
use napi_derive::napi;
use parking_lot::Mutex;
use seawall_dlq::{DlqError, Queue, Redrive};

use crate::error::letters;
use crate::slab::Slab;

static QUEUES: Slab<Queue> = Slab::new("queue");
static REDRIVES: Slab<Redrive> = Slab::new("redrive");
pub(crate) static STORES: LazyLock<()> = LazyLock::new(|| {
    seawall_store_sqlite::register();
    seawall_store_postgres::register();
    seawall_store_redis::register();
});
/// Queues opened in memory, so that tests can forget them.
static IN_MEMORY: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

const MEMORY: &str = "memory:";

/// The handles of an isolate that has ended are given back; what its jobs are writing is written.
pub(crate) fn end_of(isolate: u32) {
    drop(QUEUES.take_of(isolate));
    drop(REDRIVES.take_of(isolate));
}

/// Empties every queue in memory, for tests.
pub(crate) fn forget_memory() {
    for name in std::mem::take(&mut *IN_MEMORY.lock()) {
        // A store in memory has nothing to fail with; a queue that stays full shows in the test that follows.
        let _ = Queue::open(&name, MEMORY).and_then(|queue| queue.purge("", true, false));
    }
}

/// Work for the pool. Gives a text, which is JSON for all but ids.
pub struct Job {
    work: Option<Box<dyn FnOnce() -> std::result::Result<String, DlqError> + Send>>,
}

impl Job {
    fn new(work: impl FnOnce() -> std::result::Result<String, DlqError> + Send + 'static) -> AsyncTask<Self> {
        AsyncTask::new(Self { work: Some(Box::new(work)) })
    }
}

impl Task for Job {
    type Output = String;
    type JsValue = String;

    fn compute(&mut self) -> Result<String> {
        let work = self.work.take();
        work.map_or_else(|| Ok(String::new()), |work| work().map_err(letters))
    }

    fn resolve(&mut self, _env: Env, output: String) -> Result<String> {
        Ok(output)
    }
}

fn on(queue: u32, work: impl FnOnce(&Queue) -> std::result::Result<String, DlqError> + Send + 'static) -> Result<AsyncTask<Job>> {
    let queue = QUEUES.get(queue)?;
    Ok(Job::new(move || work(&queue)))
}

/// Work that gives a handle.
pub struct Open<T: Send + Sync + 'static> {
    work: Option<Box<dyn FnOnce() -> std::result::Result<T, DlqError> + Send>>,
    slab: &'static Slab<T>,
}

impl<T: Send + Sync + 'static> Task for Open<T> {
    type Output = Option<T>;
    type JsValue = u32;

    fn compute(&mut self) -> Result<Option<T>> {
        self.work.take().map(|work| work().map_err(letters)).transpose()
    }

    /// On the isolate's own thread, which is how the slab knows whose the handle is.
    fn resolve(&mut self, _env: Env, output: Option<T>) -> Result<u32> {
        Ok(output.map_or(0, |made| self.slab.put(Arc::new(made))))
    }
}

/// Keeps keys that a function gave; gives the source that stands for them.
#[napi]
pub fn keys_hold(text: String) -> Result<String> {
    seawall_dlq::hold_keys(&text).map_err(letters)
}

/// Opens a queue; without a store, in the default one. Its letters are opened by the keys of the source.
#[napi(ts_return_type = "Promise<number>")]
pub fn queue_open(queue: String, store: Option<String>, keys: Option<String>) -> AsyncTask<Open<Queue>> {
    LazyLock::force(&STORES);
    let work = move || {
        let opened = Queue::open(&queue, store.as_deref().unwrap_or_default())?;
        if store.as_deref() == Some(MEMORY) {
            IN_MEMORY.lock().insert(queue);
        }
        keys.map_or(Ok(opened.clone()), |source| opened.with_keys(&source))
    };
    AsyncTask::new(Open { work: Some(Box::new(work)), slab: &QUEUES })
}

/// Gives the handle back.
#[napi]
pub fn queue_drop(queue: u32) {
    QUEUES.drop_handle(queue);
}

/// Writes a letter; gives its id.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_put(queue: u32, letter: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.put(&letter))
}

/// As `queuePut`; gives JSON that says what became of the letter.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_write(queue: u32, letter: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.write(&letter))
}

/// Writes a letter whose store could not be opened, along the chain.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_write_closed(queue: String, store: Option<String>, letter: String) -> AsyncTask<Job> {
    Job::new(move || seawall_dlq::write_closed(&queue, store.as_deref().unwrap_or_default(), &letter))
}

/// Waits for letters in memory to be written, so many milliseconds at most; gives `true`, or `false`.
#[napi(ts_return_type = "Promise<string>")]
pub fn letters_flush(timeout_ms: u32) -> AsyncTask<Job> {
    Job::new(move || Ok(flushed(timeout_ms).to_string()))
}

/// The last chance of letters in memory, at the end of the process: waits on this thread, and gives up what is left, each as JSON.
#[napi]
pub fn letters_end(timeout_ms: u32) -> Vec<String> {
    if flushed(timeout_ms) { Vec::new() } else { seawall_dlq::abandon() }
}

fn flushed(timeout_ms: u32) -> bool {
    seawall_dlq::flush(Instant::now() + Duration::from_millis(timeout_ms.into()))
}

/// A letter, or `null`.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_get(queue: u32, id: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.get(&id).map(|letter| letter.unwrap_or_else(|| "null".to_owned())))
}

/// Letters, newest first.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_peek(queue: u32, filter: String, limit: u32, cursor: Option<String>) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.peek(&filter, limit as usize, cursor.as_deref()))
}

/// Groups, largest first.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_groups(queue: u32, filter: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.groups(&filter))
}

/// Counts by state.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_stats(queue: u32) -> Result<AsyncTask<Job>> {
    on(queue, Queue::stats)
}

/// Sets letters aside.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_park(queue: u32, filter: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.park(&filter))
}

/// Removes letters.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_purge(queue: u32, filter: String, all: bool, dry_run: bool) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.purge(&filter, all, dry_run))
}

/// Redrives on record.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_jobs(queue: u32) -> Result<AsyncTask<Job>> {
    on(queue, Queue::jobs)
}

/// Pauses a job; gives `true`, or `false` if it has ended.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_pause(queue: u32, job: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.pause(&job).map(|done| done.to_string()))
}

/// Cancels a job; gives `true`, or `false` if it has ended.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_cancel(queue: u32, job: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.cancel(&job).map(|done| done.to_string()))
}

/// Archives the open letters of one call as recovered; gives how many.
#[napi(ts_return_type = "Promise<string>")]
pub fn queue_archive(queue: u32, correlation_id: String, operation: String) -> Result<AsyncTask<Job>> {
    on(queue, move |queue| queue.archive(&correlation_id, &operation).map(|count| count.to_string()))
}

/// Plans a redrive.
#[napi(ts_return_type = "Promise<number>")]
pub fn redrive_new(queue: u32, options: String, now_ms: f64) -> Result<AsyncTask<Open<Redrive>>> {
    let queue = QUEUES.get(queue)?;
    let work = move || Redrive::new(&queue, &options, now_ms as u64);
    Ok(AsyncTask::new(Open { work: Some(Box::new(work)), slab: &REDRIVES }))
}

/// Gives the handle back.
#[napi]
pub fn redrive_drop(redrive: u32) {
    REDRIVES.drop_handle(redrive);
}

fn during(redrive: u32, work: impl FnOnce(&Redrive) -> std::result::Result<String, DlqError> + Send + 'static) -> Result<AsyncTask<Job>> {
    let redrive = REDRIVES.get(redrive)?;
    Ok(Job::new(move || work(&redrive)))
}

/// What to do now.
#[napi(ts_return_type = "Promise<string>")]
pub fn redrive_next(redrive: u32, now_ms: f64) -> Result<AsyncTask<Job>> {
    during(redrive, move |redrive| redrive.next(now_ms as u64))
}

/// Stops early; a job is paused.
#[napi(ts_return_type = "Promise<string>")]
pub fn redrive_leave(redrive: u32) -> Result<AsyncTask<Job>> {
    during(redrive, |redrive| redrive.leave().map(|()| String::new()))
}

/// Answers for one delivery; gives `true`, or `false` if its lease was lost.
#[napi(ts_return_type = "Promise<string>")]
pub fn redrive_delivered(redrive: u32, token: f64, ok: bool, error: Option<String>, now_ms: f64) -> Result<AsyncTask<Job>> {
    during(redrive, move |redrive| redrive.delivered(token as u64, ok, error.as_deref(), now_ms as u64).map(|kept| kept.to_string()))
}

/// Lengthens the lease of a delivery that takes long; gives `true`, or `false` if it was lost.
#[napi(ts_return_type = "Promise<string>")]
pub fn redrive_renew(redrive: u32, token: f64) -> Result<AsyncTask<Job>> {
    during(redrive, move |redrive| redrive.renew(token as u64).map(|kept| kept.to_string()))
}
