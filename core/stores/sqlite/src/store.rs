//! The store's verbs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use seawall_dlq::log::Log;
use seawall_dlq::{
    Appended, Caps, Claim, ClaimRequest, DeadLetterStore, DlqError, End, Evict, Finding, Group, Nack, Outcome, Page, PerProcess, Purged,
    Query, Record, RecordId, Refailed, State, Stats, StoredJob, Token, Usage, Write,
};
use uuid::Uuid;

use crate::background::{self, Background};
use crate::ballast;
use crate::doctor;
use crate::ingest::Ingest;
use crate::jobs;
use crate::limits;
use crate::process::{Caller, Processes};
use crate::row::{self, COLUMNS, Stored, failed};
use crate::schema;
use crate::select::Where;

/// How long verbs that carry no deadline of their own wait for other writers.
const WAIT: Duration = Duration::from_secs(10);

/// Letters in a directory: a log that takes them, and one SQLite file that knows them.
pub struct SqliteStore {
    parts: Arc<Parts>,
}

/// What the thread in the background shares.
pub(crate) struct Parts {
    pub(crate) processes: Processes,
    pub(crate) ingest: Ingest,
    pub(crate) background: PerProcess<Background>,
    log: Log,
}

impl SqliteStore {
    /// The store in a directory that exists.
    pub(crate) fn open(directory: &Path) -> Result<Self, DlqError> {
        let processes = Processes::new(directory);
        processes.read(|_| Ok(()))?;
        let (ingest, log) = (Ingest::new(directory), Log::new(directory));
        let store = Self { parts: Arc::new(Parts { processes, ingest, background: PerProcess::default(), log }) };
        // A server that opens its queues and then forks its workers passes no connection on.
        store.close();
        Ok(store)
    }

    /// Closes what this process has open; the next use opens it again.
    pub(crate) fn close(&self) {
        self.parts.log.close();
        self.parts.ingest.close();
        self.parts.processes.close();
    }

    pub(crate) fn still_there(&self) -> bool {
        // Making the file anew is what `prepare` has just done if it was gone; an empty one is not ours.
        let file = self.parts.processes.directory().join(schema::FILE);
        file.metadata().is_ok_and(|file| file.len() > 0)
    }

    /// What is acknowledged is in the tables before anything is answered from them, unless the disk is full.
    fn ingest(&self, by: Instant) -> Result<(), DlqError> {
        self.ingest_if_room(by).map(drop)
    }

    /// Gives why letters are left in the log, if the disk is full. What is in the tables must find its way out then, or there will never be room.
    fn ingest_if_room(&self, by: Instant) -> Result<Option<DlqError>, DlqError> {
        match self.parts.ingest.run(&self.parts.processes, Caller::Indexing, by) {
            Err(why) if why.code == "store.full" && ballast::is_tight(self.parts.processes.directory()) => Ok(Some(why)),
            done => done.map(|()| None),
        }
    }

    fn read<T>(&self, work: impl Fn(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        self.ingest(Instant::now() + WAIT)?;
        self.parts.processes.read(work)
    }

    fn change<T>(&self, work: impl Fn(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        self.ingest(Instant::now() + WAIT)?;
        self.answer(work)
    }

    /// A change to letters that were claimed before, so that they are in the tables.
    fn answer<T>(&self, work: impl Fn(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        self.parts.processes.write(Instant::now() + WAIT, work)
    }
}

/// The place of this transaction's change.
fn next_mark(db: &Connection) -> Result<u64, DlqError> {
    let mut statement = db.prepare_cached("UPDATE marks SET latest = latest + 1 RETURNING latest").map_err(failed)?;
    statement.query_row([], |row| row.get(0)).map_err(failed)
}

/// The letter that an id means.
fn find(db: &Connection, id: RecordId) -> Result<RecordId, DlqError> {
    let mut statement = db.prepare_cached("SELECT letter FROM aliases WHERE id = ?").map_err(failed)?;
    let letter: Option<[u8; 16]> = statement.query_row([id.as_bytes()], |row| row.get(0)).optional().map_err(failed)?;
    Ok(letter.map_or(id, Uuid::from_bytes))
}

fn load(db: &Connection, id: RecordId) -> Result<Option<Stored>, DlqError> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM letters WHERE id = ?")).map_err(failed)?;
    statement.query_row([id.as_bytes()], Stored::read).optional().map_err(failed)
}

fn select(db: &Connection, condition: &Where, after: &str) -> Result<Vec<Stored>, DlqError> {
    let mut statement = db.prepare_cached(&condition.sql(&format!("SELECT {COLUMNS} FROM letters"), after)).map_err(failed)?;
    let rows = statement.query_map(params_from_iter(&condition.values), Stored::read).map_err(failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

/// The ready letter that a new one is the same work as.
fn twin(db: &Connection, record: &Record, write: &Write) -> Result<Option<Record>, DlqError> {
    let mut statements = Vec::new();
    if let Some(key) = &record.idempotency_key {
        statements.push(("idempotency_key", key));
    }
    if let Some(id) = record.correlation_id.as_ref().filter(|_| write.within_retry) {
        statements.push(("correlation_id", id));
    }
    for (column, value) in statements {
        let sql = format!("SELECT {COLUMNS} FROM letters WHERE queue = ? AND {column} = ? AND state IN ('ready', 'leased')");
        let mut statement = db.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query(params![record.queue, value]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            // One that cannot be read or is being redriven keeps out of this.
            let found = Stored::read(row).map_err(failed)?.record(write.now);
            if let Ok(found) = found
                && found.state == State::Ready
                && found.same_work(record, write.within_retry)
            {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// Adds a letter to the tables, or its failure to a letter of the same work. One that is known already changes nothing.
pub(crate) fn append(db: &Connection, record: &Record, write: &Write) -> Result<(), DlqError> {
    if find(db, record.id)? != record.id || is_known(db, record.id)? {
        return Ok(());
    }
    let mark = next_mark(db)?;
    let Some(mut letter) = twin(db, record, write)? else {
        return row::insert(db, record, mark);
    };
    letter.merge(record);
    row::update(db, &letter, Some(State::Ready), mark)?;
    let mut alias = db.prepare_cached("INSERT OR IGNORE INTO aliases (id, letter) VALUES (?, ?)").map_err(failed)?;
    alias.execute([record.id.as_bytes(), letter.id.as_bytes()]).map_err(failed)?;
    Ok(())
}

fn is_known(db: &Connection, id: RecordId) -> Result<bool, DlqError> {
    let mut statement = db.prepare_cached("SELECT 1 FROM letters WHERE id = ?").map_err(failed)?;
    statement.exists([id.as_bytes()]).map_err(failed)
}

fn claim(db: &Connection, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, DlqError> {
    if let Some(most) = request.max_redrives {
        // Whoever delivered these did not live to answer, time after time.
        let sql = "UPDATE letters SET state = 'parked' WHERE queue = ? AND state = 'leased' AND lease_until <= ? AND redrives >= ?";
        db.prepare_cached(sql).and_then(|mut park| park.execute(params![request.query.queue, now, most])).map_err(failed)?;
    }
    let query = Query { actionable: Some(true), ..request.query.clone() };
    let mut condition = Where::new(&query, now);
    condition.values.push(Value::from(i64::try_from(request.limit).unwrap_or(i64::MAX)));
    let sql = condition.sql("SELECT id FROM letters", "ORDER BY id LIMIT ?");
    let mut statement = db.prepare_cached(&sql).map_err(failed)?;
    let ids = statement.query_map(params_from_iter(&condition.values), |row| row.get(0)).map_err(failed)?;
    let ids: Vec<[u8; 16]> = ids.collect::<Result<_, _>>().map_err(failed)?;
    ids.into_iter().map(|id| take(db, Uuid::from_bytes(id), request, now)).collect()
}

fn take(db: &Connection, id: RecordId, request: &ClaimRequest, now: i64) -> Result<Claim, DlqError> {
    let sql = format!(
        "UPDATE letters SET state = 'leased', fence = fence + 1, lease_until = ?, lease_owner = ?, refailed = 0, redrives = redrives + 1
         WHERE id = ? RETURNING {COLUMNS}"
    );
    let until = now.saturating_add(request.lease_ms);
    let mut statement = db.prepare_cached(&sql).map_err(failed)?;
    let stored = statement.query_row(params![until, request.owner, id.as_bytes()], Stored::read).map_err(failed)?;
    Ok(Claim { token: Token { id, fence: stored.fence }, record: stored.record(now) })
}

/// The letter of a token, if that is still good for one of these states.
fn held(db: &Connection, token: &Token, states: &[State]) -> Result<Option<Stored>, DlqError> {
    let stored = load(db, token.id)?;
    Ok(stored.filter(|row| row.fence == token.fence && states.iter().any(|state| state.word() == row.state)))
}

fn ack(db: &Connection, token: &Token, outcome: Outcome, now: i64) -> Result<bool, DlqError> {
    let Some(stored) = held(db, token, &[State::Leased, State::Archived])? else { return Ok(false) };
    if outcome == Outcome::Delete {
        forget(db, token.id)?;
        return Ok(true);
    }
    let mut record = stored.record(now)?;
    record.state = State::Archived;
    record.times.archived = Some(now);
    record.redrives.last = Some(now);
    record.redrives.result = Some("ok".into());
    row::update(db, &record, Some(State::Archived), next_mark(db)?)?;
    Ok(true)
}

pub(crate) fn forget(db: &Connection, id: RecordId) -> Result<(), DlqError> {
    for sql in ["DELETE FROM aliases WHERE letter = ?", "DELETE FROM letters WHERE id = ?"] {
        db.prepare_cached(sql).and_then(|mut delete| delete.execute([id.as_bytes()])).map_err(failed)?;
    }
    Ok(())
}

fn nack(db: &Connection, nack: &Nack, now: i64) -> Result<bool, DlqError> {
    let Some(stored) = held(db, &nack.token, &[State::Leased])? else { return Ok(false) };
    let state = if nack.park { State::Parked } else { State::Ready };
    let mark = if nack.uncounted && !nack.park { None } else { Some(next_mark(db)?) };
    let Some(mark) = mark.filter(|_| !nack.uncounted) else {
        // The bytes stay as they are: this is also the way out for a letter that cannot be read.
        let sql = "UPDATE letters SET state = ?, mark = coalesce(?, mark), redrives = max(redrives - 1, 0) WHERE id = ?";
        let mut statement = db.prepare_cached(sql).map_err(failed)?;
        statement.execute(params![state.word(), mark, nack.token.id.as_bytes()]).map_err(failed)?;
        return Ok(true);
    };
    let mut record = stored.record(now)?;
    record.state = state;
    record.failed_redrive(nack.error.as_ref(), stored.refailed, now);
    row::update(db, &record, Some(state), mark)?;
    Ok(true)
}

fn refail(db: &Connection, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, DlqError> {
    let id = find(db, refailed.id)?;
    let Some(stored) = load(db, id)? else { return Ok(None) };
    let mut record = stored.record(write.now)?;
    if record.state == State::Archived || record.queue != refailed.queue {
        return Ok(None);
    }
    record.may_act()?;
    record.absorb(refailed.error.clone(), refailed.attempts.clone(), write.now);
    row::update(db, &record, None, next_mark(db)?)?;
    let mut statement = db.prepare_cached("UPDATE letters SET refailed = 1 WHERE id = ?").map_err(failed)?;
    statement.execute([id.as_bytes()]).map_err(failed)?;
    Ok(Some(id))
}

fn groups(db: &Connection, query: &Query, now: i64) -> Result<Vec<Group>, DlqError> {
    let condition = Where::new(query, now);
    let sql = condition.sql(
        "SELECT fingerprint, count(*) AS letters, min(created), max(created), max(id) FROM letters",
        "GROUP BY fingerprint ORDER BY letters DESC, fingerprint",
    );
    let mut statement = db.prepare_cached(&sql).map_err(failed)?;
    let mut rows = statement.query(params_from_iter(&condition.values)).map_err(failed)?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let sample = Uuid::from_bytes(row.get(4).map_err(failed)?);
        let newest = load(db, sample)?.and_then(|stored| stored.record(now).ok());
        groups.push(Group {
            group: row.get(0).map_err(failed)?,
            count: row.get(1).map_err(failed)?,
            first: row.get(2).map_err(failed)?,
            last: row.get(3).map_err(failed)?,
            sample,
            error: newest.map(|record| record.error).unwrap_or_default(),
        });
    }
    Ok(groups)
}

fn stats(db: &Connection, queue: &str, now: i64) -> Result<Stats, DlqError> {
    let sql = "SELECT CASE WHEN state = 'leased' AND lease_until <= ? THEN 'ready' ELSE state END AS seen,
                 count(*), sum(size), min(created) FROM letters WHERE queue = ? GROUP BY seen";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(params![now, queue]).map_err(failed)?;
    let mut stats = Stats::default();
    while let Some(row) = rows.next().map_err(failed)? {
        let (word, count): (String, u64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        stats.bytes += row.get::<_, u64>(2).map_err(failed)?;
        match State::from_word(&word) {
            Some(State::Ready) => {
                stats.ready = count;
                stats.oldest = row.get(3).map_err(failed)?;
            }
            Some(State::Leased) => stats.leased = count,
            Some(State::Parked) => stats.parked = count,
            Some(State::Archived) => stats.archived = count,
            None => {}
        }
    }
    Ok(stats)
}

fn count(db: &Connection, query: &Query, now: i64) -> Result<u64, DlqError> {
    let condition = Where::new(query, now);
    let mut statement = db.prepare_cached(&condition.sql("SELECT count(*) FROM letters", "")).map_err(failed)?;
    statement.query_row(params_from_iter(&condition.values), |row| row.get(0)).map_err(failed)
}

fn purge(db: &Connection, query: &Query, now: i64) -> Result<u64, DlqError> {
    let condition = Where::new(query, now);
    let inner = condition.sql("SELECT id FROM letters", "");
    let aliases = format!("DELETE FROM aliases WHERE letter IN ({inner})");
    db.execute(&aliases, params_from_iter(&condition.values)).map_err(failed)?;
    let removed = db.execute(&condition.sql("DELETE FROM letters", ""), params_from_iter(&condition.values)).map_err(failed)?;
    Ok(removed as u64)
}

fn shift(db: &Connection, query: &Query, to: State, now: i64) -> Result<u64, DlqError> {
    let condition = Where::new(query, now);
    let mut values = vec![Value::from(to.word().to_owned()), Value::from(i64::try_from(next_mark(db)?).unwrap_or(i64::MAX))];
    values.push((to == State::Archived).then_some(now).into());
    values.extend(condition.values.iter().cloned());
    let sql = condition.sql("UPDATE letters SET state = ?, mark = ?, archived = ?", "");
    let mut statement = db.prepare_cached(&sql).map_err(failed)?;
    Ok(statement.execute(params_from_iter(&values)).map_err(failed)? as u64)
}

impl DeadLetterStore for SqliteStore {
    fn caps(&self) -> Caps {
        let reads = Caps::PEEK | Caps::FILTER | Caps::GROUP | Caps::EXACT_COUNT;
        reads | Caps::ACK_BY_ID | Caps::LEASE | Caps::DEDUP | Caps::DURABLE_ACK
    }

    fn append(&self, batch: &[Record], write: &Write) -> Result<Vec<Appended>, DlqError> {
        if ballast::is_in_use(self.parts.processes.directory()) {
            return Err(DlqError::full("store: the disk is full; what room is left is kept for letters on their way out"));
        }
        self.parts.log.append(batch, write)?;
        background::notice(&self.parts);
        Ok(batch.iter().map(|record| Appended::Stored(record.id)).collect())
    }

    fn refail(&self, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, DlqError> {
        self.ingest(write.by)?;
        self.parts.processes.write(write.by, |db| refail(db, refailed, write))
    }

    fn get(&self, queue: &str, ids: &[RecordId], now: i64) -> Result<Vec<Record>, DlqError> {
        self.read(|db| {
            let mut found = Vec::new();
            for id in ids {
                if let Some(stored) = load(db, find(db, *id)?)? {
                    found.push(stored.record(now)?);
                }
            }
            found.retain(|record| record.queue == queue);
            Ok(found)
        })
    }

    fn peek(&self, query: &Query, page: &Page, now: i64) -> Result<Vec<Record>, DlqError> {
        let mut condition = Where::new(query, now).before(page.after);
        condition.values.push(Value::from(i64::try_from(page.limit).unwrap_or(i64::MAX)));
        let found = self.read(|db| select(db, &condition, "ORDER BY id DESC LIMIT ?"))?;
        found.iter().map(|stored| stored.record(now)).collect()
    }

    fn groups(&self, query: &Query, now: i64) -> Result<Vec<Group>, DlqError> {
        self.read(|db| groups(db, query, now))
    }

    fn mark(&self, _queue: &str) -> Result<u64, DlqError> {
        self.read(|db| db.query_row("SELECT latest FROM marks", [], |row| row.get(0)).map_err(failed))
    }

    fn count(&self, query: &Query, now: i64) -> Result<u64, DlqError> {
        self.read(|db| count(db, query, now))
    }

    fn claim(&self, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, DlqError> {
        let left = self.ingest_if_room(Instant::now() + WAIT)?;
        let claims = self.answer(|db| claim(db, request, now))?;
        match left {
            // Nothing more would be a lie.
            Some(why) if claims.is_empty() => Err(why),
            _ => Ok(claims),
        }
    }

    fn extend(&self, tokens: &[Token], lease_ms: i64, now: i64) -> Result<Vec<bool>, DlqError> {
        let until = now.saturating_add(lease_ms);
        self.answer(|db| {
            let sql = "UPDATE letters SET lease_until = ? WHERE id = ? AND fence = ? AND state = 'leased'";
            let mut statement = db.prepare_cached(sql).map_err(failed)?;
            let mut extend = |token: &Token| statement.execute(params![until, token.id.as_bytes(), token.fence]).map_err(failed);
            tokens.iter().map(|token| extend(token).map(|rows| rows == 1)).collect()
        })
    }

    fn ack(&self, tokens: &[Token], outcome: Outcome, now: i64) -> Result<Vec<bool>, DlqError> {
        self.answer(|db| tokens.iter().map(|token| ack(db, token, outcome, now)).collect())
    }

    fn nack(&self, failed: &[Nack], now: i64) -> Result<Vec<bool>, DlqError> {
        self.answer(|db| failed.iter().map(|one| nack(db, one, now)).collect())
    }

    fn settle(&self, end: &End, next: &ClaimRequest, now: i64) -> Result<(bool, Vec<Claim>), DlqError> {
        self.change(|db| {
            let kept = match end {
                End::Ack(token, outcome) => ack(db, token, *outcome, now)?,
                End::Nack(failed) => nack(db, failed, now)?,
            };
            Ok((kept, claim(db, next, now)?))
        })
    }

    fn shift(&self, query: &Query, to: State, now: i64) -> Result<u64, DlqError> {
        self.change(|db| shift(db, query, to, now))
    }

    fn stats(&self, queue: &str, now: i64) -> Result<Stats, DlqError> {
        self.read(|db| stats(db, queue, now))
    }

    fn queues(&self) -> Result<Vec<String>, DlqError> {
        self.read(|db| {
            let mut statement = db.prepare_cached("SELECT DISTINCT queue FROM letters ORDER BY queue").map_err(failed)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
            rows.collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn doctor(&self) -> Result<Vec<Finding>, DlqError> {
        let mut found = doctor::files(self.parts.processes.directory());
        found.extend(self.read(doctor::tables)?);
        Ok(found)
    }

    fn purge(&self, query: &Query, dry_run: bool, now: i64) -> Result<Purged, DlqError> {
        let letters = if dry_run { self.read(|db| count(db, query, now)) } else { self.change(|db| purge(db, query, now)) }?;
        Ok(Purged { letters })
    }

    fn usage(&self, queue: &str, by: Instant, _now: i64) -> Result<Usage, DlqError> {
        self.ingest(by)?;
        self.parts.processes.read(|db| limits::usage(db, queue))
    }

    fn evict(&self, evict: &Evict, by: Instant, now: i64) -> Result<Usage, DlqError> {
        self.ingest(by)?;
        self.parts.processes.write(by, |db| limits::evict(db, evict, now))
    }

    fn free(&self) -> Result<Option<u64>, DlqError> {
        Ok(doctor::free(self.parts.processes.directory()))
    }

    fn save_job(&self, job: &StoredJob) -> Result<bool, DlqError> {
        self.answer(|db| jobs::save(db, job))
    }

    fn jobs(&self, queue: &str) -> Result<Vec<StoredJob>, DlqError> {
        self.parts.processes.read(|db| jobs::all(db, queue))
    }
}
