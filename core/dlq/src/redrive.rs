//! Redrive: letters delivered again, at least once.
//!
//! The caller owns the loop, the waits and the deliveries; this side owns the order, the spacing, the leases and the report.
//!
//! The end of one delivery and the claim for the next are one transaction, so that a letter costs one. The letter that was claimed ahead is handed out by
//! the next question, which its runner asks at once; else it goes back uncounted.

use std::collections::HashMap;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::job::Progress;
use crate::metrics::{Delivered, Meter};
use crate::options::Options;
use crate::redact::Rules;
use crate::running::{LOOK_MS, Running};
use crate::seal::{self, Opened};
use crate::store::{Claim, ClaimRequest, End, Nack, Outcome, Page, Token};
use crate::{DlqError, Query, Queue, view};

/// How long to wait when all that is left is in somebody's hands.
const PENDING_WAIT_MS: u64 = 10;

#[derive(Clone, Default, Serialize)]
struct Report {
    ok: u64,
    failed: u64,
    skipped: u64,
    remaining: u64,
    /// What ended it while letters remained.
    stopped: Option<&'static str>,
    /// The job, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// Letters that came since the job's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Value>>,
}

struct Held {
    token: Token,
    redrives: u32,
    /// Its failures are sealed like itself.
    sealed: bool,
}

#[derive(Default)]
struct Run {
    report: Report,
    issued: u64,
    exhausted: bool,
    held: HashMap<u64, Held>,
    /// The last step, repeated to whoever still asks.
    done: Option<String>,
    /// When the job was looked at last.
    looked: Option<i64>,
    /// Claimed with the last answer, and when.
    ahead: Option<(Claim, i64)>,
}

impl Run {
    fn progress(&self) -> Progress {
        let Report { ok, failed, skipped, .. } = self.report;
        Progress { ok, failed, skipped }
    }
}

/// One redrive of a queue. Its upper bound is fixed when it is made: letters that are written, or fail again, afterwards are
/// not delivered by it. All methods may be called from several threads at once.
pub struct Redrive {
    queue: Queue,
    options: Options,
    query: Query,
    run: Mutex<Run>,
    pace: Mutex<Option<crate::pace::Pace>>,
    job: Option<Running>,
}

impl Redrive {
    /// Plans a redrive. Options, as a JSON object: `limit` (100; null: all), `rate` (such as `"10/s"`; null: none),
    /// `stop_after_failures` (10; null: never), `max_redrives` (3; null: never park), `dry_run`, `filter` (as everywhere; only
    /// ready letters, unless it asks for `state: "parked"` or an id), `lease` (`"60s"`), `job` (whether it is put on record as a job, see
    /// [`Queue::jobs`]; by default if there is no limit), and `resume` (a job to go on with, with the options that it was begun with). `now_ms` is on any clock that the
    /// caller likes, the same in all calls; only the rate looks at it. Leases run on the wall clock.
    ///
    /// # Errors
    /// `config.invalid` for bad options, or a job that is not there or has ended; `store.busy` for a job that somebody runs; `store.failed`.
    pub fn new(queue: &Queue, options_json: &str, now_ms: u64) -> Result<Self, DlqError> {
        let _ = now_ms;
        let mut options = Options::parse(options_json)?;
        if let Some(id) = options.resume.take() {
            return Self::resume(queue, &id, options.lease_ms);
        }
        let mut query = queue.redrivable(&options.filter)?;
        query.bound = Some(queue.store().mark(queue.name())?);
        let unfit = Query { actionable: Some(false), ..query.clone() };
        let skipped = queue.store().count(&unfit, queue.now())?;
        let is_job = options.job.unwrap_or(options.limit.is_none()) && !options.dry_run;
        let job = is_job.then(|| Running::begin(queue, options_json, &query, skipped, options.lease_ms)).transpose()?;
        Ok(Self::of(queue, options, query, skipped, job))
    }

    fn resume(queue: &Queue, id: &str, lease_ms: i64) -> Result<Self, DlqError> {
        let (running, job) = Running::resume(queue, id, lease_ms)?;
        let mut options = Options::parse(&job.options.to_string())?;
        options.lease_ms = lease_ms;
        options.limit = options.limit.map(|most| most.saturating_sub(job.progress.ok + job.progress.failed));
        Ok(Self::of(queue, options, job.query(queue)?, 0, Some(running)))
    }

    fn of(queue: &Queue, options: Options, query: Query, skipped: u64, job: Option<Running>) -> Self {
        let run = Run { report: Report { skipped, ..Report::default() }, ..Run::default() };
        let pace = Mutex::new(options.pace);
        Self { queue: queue.clone(), options, query, run: Mutex::new(run), pace, job }
    }

    /// What to do now, as JSON: `{"deliver": letter, "token": n}` (deliver it, then answer with [`delivered`](Self::delivered)),
    /// `{"wait_ms": n}` (ask again after that; with `"pending": m` everything left is being delivered, so that the end of one
    /// of those is the better time), or `{"done": {ok, failed, skipped, remaining, stopped}}`, to which a dry run adds `groups`, and a job `job` (its id) and `arrived`
    /// (letters that came since its start). `stopped` is null, `failures`, `limit`, `breaker`, `paused`, `cancelled` or `taken_over` (somebody else went on
    /// with the job).
    /// Skipped are letters that cannot be redriven and deliveries whose lease was lost; remaining are those not tried.
    ///
    /// # Errors
    /// `store.key` for a letter that the queue's keys do not open: it is given back uncounted. `store.busy`, `store.failed`. The redrive may be asked again.
    pub fn next(&self, now_ms: u64) -> Result<String, DlqError> {
        let mut run = self.run.lock();
        if let Some(done) = &run.done {
            return Ok(done.clone());
        }
        self.attend(&mut run)?;
        while !self.over(&mut run) {
            let wait = self.pace.lock().as_ref().map_or(0, |pace| pace.wait_ms(now_ms));
            if wait > 0 {
                // Nobody should wait for a letter that is not there.
                if run.ahead.is_none()
                    && self.queue.store().peek(&self.query, &Page { limit: 1, after: None }, self.queue.now())?.is_empty()
                {
                    run.exhausted = true;
                    continue;
                }
                return Ok(json!({ "wait_ms": wait }).to_string());
            }
            let Some(claim) = self.claim(&mut run)? else {
                run.exhausted = true;
                continue;
            };
            if let Some(step) = self.deliver(&mut run, claim, now_ms)? {
                return Ok(step);
            }
        }
        self.give_back(&mut run);
        if !run.held.is_empty() {
            return Ok(json!({ "wait_ms": PENDING_WAIT_MS, "pending": run.held.len() }).to_string());
        }
        self.finish(&mut run)
    }

    /// Looks at the job now and then: somebody may want it to stop.
    fn attend(&self, run: &mut Run) -> Result<(), DlqError> {
        let (Some(job), now) = (&self.job, self.queue.now()) else { return Ok(()) };
        if run.looked.is_some_and(|at| (0..LOOK_MS).contains(&(now - at))) {
            return Ok(());
        }
        let stop = job.look(&self.queue, run.progress())?;
        run.looked = Some(now);
        run.report.stopped = run.report.stopped.or(stop);
        Ok(())
    }

    /// Stops this redrive. A job is paused: it can be gone on with at once, once what is being delivered has been answered.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`: then its lease has to lapse.
    pub fn leave(&self) -> Result<(), DlqError> {
        let mut run = self.run.lock();
        if run.done.is_some() {
            return Ok(());
        }
        run.report.stopped = Some("paused");
        self.give_back(&mut run);
        let Some(job) = &self.job else { return Ok(()) };
        job.end(&self.queue, run.progress(), Some("paused")).map(drop)
    }

    /// Whether nothing more will be delivered, and why.
    fn over(&self, run: &mut Run) -> bool {
        if self.options.stop_after_failures.is_some_and(|most| run.report.failed >= most) {
            run.report.stopped = run.report.stopped.or(Some("failures"));
        } else if self.options.limit.is_some_and(|most| run.issued >= most) {
            run.report.stopped = run.report.stopped.or(Some("limit"));
        }
        run.exhausted || run.report.stopped.is_some() || self.options.dry_run
    }

    fn meter(&self) -> &Meter {
        &self.queue.books().meter
    }

    fn request(&self) -> ClaimRequest {
        ClaimRequest {
            query: self.query.clone(),
            owner: self.job.as_ref().map_or_else(|| std::process::id().to_string(), |job| job.id.to_string()),
            lease_ms: self.options.lease_ms,
            limit: 1,
            max_redrives: self.options.max_redrives,
        }
    }

    fn claim(&self, run: &mut Run) -> Result<Option<Claim>, DlqError> {
        let now = self.queue.now();
        // A lease that is half gone would lapse in the hands of a slow handler.
        if run.ahead.as_ref().is_some_and(|(_, at)| !(0..self.options.lease_ms / 2).contains(&(now - at))) {
            self.give_back(run);
        }
        match run.ahead.take() {
            Some((claim, _)) => Ok(Some(claim)),
            None => Ok(self.meter().timed("claim", || self.queue.store().claim(&self.request(), now))?.pop()),
        }
    }

    /// Gives a letter back that was claimed ahead. If that fails, its lease does.
    fn give_back(&self, run: &mut Run) {
        if let Some((Claim { token, .. }, _)) = run.ahead.take() {
            let _ = self.queue.store().nack(&[Nack { token, error: None, park: false, uncounted: true }], self.queue.now());
        }
    }

    /// Ends a delivery, and claims a letter for the next one if that may begin at once.
    fn settle(&self, run: &mut Run, end: End, now_ms: u64) -> Result<bool, DlqError> {
        let (store, now) = (self.queue.store(), self.queue.now());
        let failed = run.report.failed + u64::from(matches!(end, End::Nack(_)));
        let is_last = run.exhausted
            || run.ahead.is_some()
            || run.report.stopped.is_some()
            || self.options.stop_after_failures.is_some_and(|most| failed >= most)
            || self.options.limit.is_some_and(|most| run.issued >= most)
            || self.pace.lock().as_ref().is_some_and(|pace| pace.wait_ms(now_ms) > 0);
        let operation = if matches!(end, End::Ack(..)) { "ack" } else { "nack" };
        if !is_last && let Ok((kept, mut claims)) = self.meter().timed(operation, || store.settle(&end, &self.request(), now)) {
            run.ahead = claims.pop().map(|claim| (claim, now));
            return Ok(kept);
        }
        let kept = match end {
            End::Ack(token, outcome) => self.meter().timed(operation, || store.ack(&[token], outcome, now))?,
            End::Nack(nack) => self.meter().timed(operation, || store.nack(&[*nack], now))?,
        };
        Ok(kept == [true])
    }

    fn deliver(&self, run: &mut Run, claim: Claim, now_ms: u64) -> Result<Option<String>, DlqError> {
        let token = claim.token;
        let opened = claim.record.map(|record| seal::open(record, self.queue.keys().as_deref()));
        if let Ok(Opened { record, locked: Some(why), .. }) = &opened
            && record.seal.is_some()
        {
            // It stays where it is. To pass it by in silence would be no help to whoever forgot a key.
            self.queue.store().nack(&[Nack { token, error: None, park: false, uncounted: true }], self.queue.now())?;
            return Err(DlqError::key(format!("letter {}: {why}. It stays in the queue; park it to redrive the others", record.id)));
        }
        let text = opened.and_then(|letter| Ok((view::opened(&letter)?, letter.record.redrives.count, letter.key.is_some())));
        let Ok((letter, redrives, sealed)) = text else {
            // Unreadable: out of the way of the others, but not gone.
            self.queue.store().nack(&[Nack { token, error: None, park: true, uncounted: true }], self.queue.now())?;
            run.report.skipped += 1;
            return Ok(None);
        };
        run.issued += 1;
        if let Some(pace) = self.pace.lock().as_mut() {
            pace.begin(now_ms);
        }
        let number = run.issued;
        run.held.insert(number, Held { token, redrives, sealed });
        Ok(Some(format!(r#"{{"deliver":{letter},"token":{number}}}"#)))
    }

    fn finish(&self, run: &mut Run) -> Result<String, DlqError> {
        let now = self.queue.now();
        run.report.remaining = self.queue.store().count(&self.query, now)?;
        if run.report.remaining == 0 {
            run.report.stopped = None;
        }
        if self.options.dry_run {
            let keys = self.queue.keys();
            run.report.groups =
                Some(self.queue.store().groups(&self.query, now)?.iter().map(|group| view::group(group, keys.as_deref())).collect());
        }
        if let Some(job) = &self.job {
            run.report.job = Some(job.id.to_string());
            run.report.arrived = Some(job.end(&self.queue, run.progress(), run.report.stopped)?);
        }
        #[derive(Serialize)]
        struct Done<'a> {
            done: &'a Report,
        }
        let done = serde_json::to_string(&Done { done: &run.report }).map_err(|why| DlqError::failed(format!("report: {why}")))?;
        run.done = Some(done.clone());
        Ok(done)
    }

    /// Answers for one delivery. A good one is archived as recovered; a bad one goes back with its error and attempt added, or is
    /// parked once it has been redriven `max_redrives` times. `error_json` is an error as in [`Queue::put`]; without one, the
    /// letter keeps the error it has. Gives false, and counts the letter as skipped, if its lease was lost meanwhile; an unknown
    /// token, or one already answered, gives false and counts nothing.
    ///
    /// An error with the code `circuit.open` or `circuit.isolated` means that the target takes nothing now: the letter is given back uncounted, and the
    /// redrive stops by `breaker`.
    ///
    /// # Errors
    /// `config.invalid` for a malformed error, `store.busy`, `store.failed`; the token may be answered again.
    pub fn delivered(&self, token: u64, ok: bool, error_json: Option<&str>, now_ms: u64) -> Result<bool, DlqError> {
        let mut run = self.run.lock();
        let Some(held) = run.held.get(&token) else { return Ok(false) };
        let now = self.queue.now();
        let mut error = error_json.filter(|_| !ok).map(failure).transpose()?;
        if let Some(error) = error.as_mut().filter(|_| held.sealed) {
            // Without a key now, what it said stays untold.
            let sealed = self.queue.keys().is_some_and(|keys| seal::error(error, &keys).is_ok());
            if !sealed {
                seal::strip_error(error);
            }
        }
        if error.as_ref().is_some_and(|error| matches!(error.code.as_deref(), Some("circuit.open" | "circuit.isolated"))) {
            let nack = Nack { token: held.token.clone(), error: None, park: false, uncounted: true };
            let kept = self.queue.store().nack(&[nack], now)? == [true];
            run.held.remove(&token);
            run.report.stopped = run.report.stopped.or(Some("breaker"));
            run.report.skipped += u64::from(!kept);
            return Ok(kept);
        }
        let end = if ok {
            End::Ack(held.token.clone(), Outcome::Archive)
        } else {
            let park = self.options.max_redrives.is_some_and(|most| held.redrives >= most);
            End::Nack(Box::new(Nack { token: held.token.clone(), error, park, uncounted: false }))
        };
        let kept = self.settle(&mut run, end, now_ms)?;
        run.held.remove(&token);
        let how = match (kept, ok) {
            (true, true) => Delivered::Ok,
            (true, false) => Delivered::Failed,
            (false, _) => Delivered::Skipped,
        };
        self.meter().delivered(how);
        match how {
            Delivered::Ok => run.report.ok += 1,
            Delivered::Failed => run.report.failed += 1,
            Delivered::Skipped => run.report.skipped += 1,
        }
        Ok(kept)
    }

    /// Gives a letter back that was not delivered after all, because its deliverer was cancelled: it is ready again at once, and
    /// neither an attempt nor a redrive is counted.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    pub fn released(&self, token: u64) -> Result<bool, DlqError> {
        let mut run = self.run.lock();
        let Some(held) = run.held.get(&token) else { return Ok(false) };
        let nack = Nack { token: held.token.clone(), error: None, park: false, uncounted: true };
        let kept = self.queue.store().nack(&[nack], self.queue.now())? == [true];
        run.held.remove(&token);
        Ok(kept)
    }

    /// Lengthens a lease by its full length from now, for a delivery that takes long. False if it was lost.
    ///
    /// # Errors
    /// `store.busy`, `store.failed`.
    pub fn renew(&self, token: u64) -> Result<bool, DlqError> {
        let mut run = self.run.lock();
        self.attend(&mut run)?;
        let Some(held) = run.held.get(&token) else { return Ok(false) };
        let tokens = std::slice::from_ref(&held.token);
        Ok(self.queue.store().extend(tokens, self.options.lease_ms, self.queue.now())? == [true])
    }
}

impl Drop for Redrive {
    fn drop(&mut self) {
        let mut run = std::mem::take(self.run.get_mut());
        self.give_back(&mut run);
    }
}

fn failure(json: &str) -> Result<Failure, DlqError> {
    let mut error: Failure = serde_json::from_str(json).map_err(|why| DlqError::invalid(format!("error: {why}")))?;
    error.seal = None;
    error.cut(2);
    Rules::default().failure(&mut error, &mut Vec::new());
    error.settle();
    Ok(error)
}
