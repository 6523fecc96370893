//! The store's verbs.

use std::time::{Duration, Instant};

use seawall_dlq::{
    Appended, Caps, Claim, ClaimRequest, DeadLetterStore, DlqError, Durability, Evict, Finding, Group, Nack, Outcome, Page, Purged, Query,
    Record, RecordId, Refailed, State, Stats, StoredJob, Token, Usage, Write,
};

use crate::address::Address;
use crate::append::append;
use crate::connection::Connection;
use crate::doctor;
use crate::fault::Fault;
use crate::jobs;
use crate::limits;
use crate::pool::Pool;
use crate::row::{self, COLUMNS, Stored};
use crate::select::{Value, Where, most};

/// How long verbs that carry no deadline of their own wait for the server.
const WAIT: Duration = Duration::from_secs(10);

/// Letters in a PostgreSQL database.
pub struct PostgresStore {
    pool: Pool,
}

impl PostgresStore {
    pub(crate) fn new(address: Address) -> Self {
        Self { pool: Pool::new(address) }
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }

    fn read<T: Send>(&self, work: impl Fn(&mut Connection) -> Result<T, Fault> + Sync) -> Result<T, DlqError> {
        self.pool.run(Instant::now() + WAIT, work)
    }

    /// A change that must not be made twice if nobody knows whether it was made.
    fn change<T: Send>(&self, work: impl Fn(&mut Connection) -> Result<T, Fault> + Sync) -> Result<T, DlqError> {
        self.pool.run(Instant::now() + WAIT, |db| db.transact(Durability::Fsync, false, &work))
    }
}

/// The letter that an id means.
pub(crate) fn find(db: &mut Connection, id: RecordId) -> Result<RecordId, Fault> {
    let letter = db.row("SELECT letter FROM seawall_aliases WHERE id = $1", &[&id])?;
    Ok(letter.map(|row| row.try_get(0)).transpose()?.unwrap_or(id))
}

/// A letter, which nobody else changes until the transaction ends.
fn load(db: &mut Connection, id: RecordId) -> Result<Option<Stored>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM seawall_letters AS letter WHERE id = $1 FOR UPDATE");
    db.row(&sql, &[&id])?.map(|row| Stored::read(&row, 0)).transpose()
}

fn claim(db: &mut Connection, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, Fault> {
    if let Some(most) = request.max_redrives {
        // Whoever delivered these did not live to answer, time after time.
        db.execute(
            "UPDATE seawall_letters SET state = 'parked' WHERE id IN (SELECT id FROM seawall_letters
               WHERE queue = $1 AND state = 'leased' AND lease_until <= $2 AND redrives >= $3 FOR UPDATE SKIP LOCKED)",
            &[&row::text(&request.query.queue), &now, &i64::from(most)],
        )?;
    }
    let query = Query { actionable: Some(true), ..request.query.clone() };
    let mut condition = Where::new(&query, now);
    let page = condition.then("ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED", [most(request.limit)]);
    let until = now.saturating_add(request.lease_ms);
    let taken = condition.then(
        "UPDATE seawall_letters AS letter SET state = 'leased', fence = fence + 1, lease_until = ?, lease_owner = ?, refailed = FALSE,
           redrives = redrives + 1 FROM chosen WHERE letter.id = chosen.id",
        [Box::new(until) as Value, Box::new(row::text(&request.owner))],
    );
    // Chosen once and for all: otherwise the plan might choose anew for each row.
    let chosen = condition.sql("SELECT id FROM seawall_letters", &page);
    let sql = format!("WITH chosen AS MATERIALIZED ({chosen}) {taken} RETURNING {COLUMNS}");
    let rows = db.query(&sql, &condition.values())?;
    let mut found = stored(&rows)?;
    found.sort_unstable_by_key(|stored| stored.id);
    Ok(found
        .into_iter()
        .map(|stored| Claim { token: Token { id: stored.id, fence: stored.fence() }, record: stored.record(now) })
        .collect())
}

/// The letter of a token, if that is still good for one of these states.
fn held(db: &mut Connection, token: &Token, states: &[State]) -> Result<Option<Stored>, Fault> {
    let stored = load(db, token.id)?;
    Ok(stored.filter(|row| row.fence() == token.fence && states.iter().any(|state| state.word() == row.state)))
}

fn ack(db: &mut Connection, token: &Token, outcome: Outcome, now: i64) -> Result<bool, Fault> {
    let Some(stored) = held(db, token, &[State::Leased, State::Archived])? else { return Ok(false) };
    if outcome == Outcome::Delete {
        db.execute("DELETE FROM seawall_letters WHERE id = $1", &[&token.id])?;
        return Ok(true);
    }
    let mut record = stored.record(now)?;
    record.state = State::Archived;
    record.times.archived = Some(now);
    record.redrives.last = Some(now);
    record.redrives.result = Some("ok".into());
    row::update(db, &record, Some(State::Archived))?;
    Ok(true)
}

fn nack(db: &mut Connection, nack: &Nack, now: i64) -> Result<bool, Fault> {
    let Some(stored) = held(db, &nack.token, &[State::Leased])? else { return Ok(false) };
    let state = if nack.park { State::Parked } else { State::Ready };
    if nack.uncounted {
        // The bytes stay as they are: this is also the way out for a letter that cannot be read.
        db.execute(
            "UPDATE seawall_letters SET state = $1, mark = CASE WHEN $2 THEN nextval('seawall_marks') ELSE mark END,
               redrives = greatest(redrives - 1, 0) WHERE id = $3",
            &[&state.word(), &nack.park, &nack.token.id],
        )?;
        return Ok(true);
    }
    let mut record = stored.record(now)?;
    record.state = state;
    record.failed_redrive(nack.error.as_ref(), stored.refailed, now);
    row::update(db, &record, Some(state))?;
    Ok(true)
}

fn refail(db: &mut Connection, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, Fault> {
    let id = find(db, refailed.id)?;
    let Some(stored) = load(db, id)? else { return Ok(None) };
    let mut record = stored.record(write.now)?;
    if record.state == State::Archived || record.queue != refailed.queue {
        return Ok(None);
    }
    record.may_act()?;
    record.absorb(refailed.error.clone(), refailed.attempts.clone(), write.now);
    row::update(db, &record, None)?;
    db.execute("UPDATE seawall_letters SET refailed = TRUE WHERE id = $1", &[&id])?;
    Ok(Some(id))
}

fn groups(db: &mut Connection, query: &Query, now: i64) -> Result<Vec<Group>, Fault> {
    let condition = Where::new(query, now);
    // No maximum of ids before PostgreSQL 18; as texts they sort alike.
    let counted = condition.sql(
        "SELECT fingerprint, count(*) AS letters, min(created) AS first, max(created) AS last, max(id::text COLLATE \"C\")::uuid AS sample FROM seawall_letters",
        "GROUP BY fingerprint",
    );
    let sql = format!(
        "SELECT counted.fingerprint, letters, first, last, {COLUMNS} FROM ({counted}) AS counted JOIN seawall_letters AS letter ON letter.id = sample
         ORDER BY letters DESC, counted.fingerprint COLLATE \"C\""
    );
    let rows = db.query(&sql, &condition.values())?;
    let group = |row: &tokio_postgres::Row| -> Result<Group, Fault> {
        let newest = Stored::read(row, 4)?;
        Ok(Group {
            group: row.try_get(0)?,
            count: row.try_get::<_, i64>(1)?.unsigned_abs(),
            first: row.try_get(2)?,
            last: row.try_get(3)?,
            sample: newest.id,
            error: newest.record(now).map(|record| record.error).unwrap_or_default(),
        })
    };
    rows.iter().map(group).collect()
}

fn stats(db: &mut Connection, queue: &str, now: i64) -> Result<Stats, Fault> {
    let sql = "SELECT CASE WHEN state = 'leased' AND lease_until <= $1 THEN 'ready' ELSE state END AS seen,
                 count(*), sum(size)::bigint, min(created) FROM seawall_letters WHERE queue = $2 GROUP BY seen";
    let mut stats = Stats::default();
    for row in db.query(sql, &[&now, &row::text(queue)])? {
        let (word, count): (String, u64) = (row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs());
        stats.bytes += row.try_get::<_, i64>(2)?.unsigned_abs();
        match State::from_word(&word) {
            Some(State::Ready) => {
                stats.ready = count;
                stats.oldest = row.try_get(3)?;
            }
            Some(State::Leased) => stats.leased = count,
            Some(State::Parked) => stats.parked = count,
            Some(State::Archived) => stats.archived = count,
            None => {}
        }
    }
    Ok(stats)
}

fn count(db: &mut Connection, query: &Query, now: i64) -> Result<u64, Fault> {
    let condition = Where::new(query, now);
    number(db.row(&condition.sql("SELECT count(*) FROM seawall_letters", ""), &condition.values())?)
}

/// The only column of the only row.
fn number(row: Option<tokio_postgres::Row>) -> Result<u64, Fault> {
    Ok(row.map(|row| row.try_get::<_, i64>(0)).transpose()?.unwrap_or_default().unsigned_abs())
}

/// Letters that match, locked in the same order by everybody, so that nobody waits for whoever waits for him.
fn chosen(condition: &Where) -> String {
    condition.sql("SELECT id FROM seawall_letters", "ORDER BY id FOR UPDATE")
}

fn shift(db: &mut Connection, query: &Query, to: State, now: i64) -> Result<u64, Fault> {
    let mut condition = Where::new(query, now);
    let archived = (to == State::Archived).then_some(now);
    let change = condition.then(
        "UPDATE seawall_letters SET state = ?, archived = ?, mark = nextval('seawall_marks')",
        [Box::new(to.word()) as Value, Box::new(archived)],
    );
    db.execute(&format!("{change} WHERE id IN ({})", chosen(&condition)), &condition.values())
}

impl DeadLetterStore for PostgresStore {
    fn caps(&self) -> Caps {
        let reads = Caps::PEEK | Caps::FILTER | Caps::GROUP | Caps::EXACT_COUNT;
        reads | Caps::ACK_BY_ID | Caps::LEASE | Caps::DEDUP | Caps::DURABLE_ACK
    }

    fn append(&self, batch: &[Record], write: &Write) -> Result<Vec<Appended>, DlqError> {
        self.pool.run(write.by, |db| append(db, batch, write))
    }

    fn refail(&self, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, DlqError> {
        self.pool.run(write.by, |db| db.transact(write.durability, false, |db| refail(db, refailed, write)))
    }

    fn get(&self, queue: &str, ids: &[RecordId], now: i64) -> Result<Vec<Record>, DlqError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, place)
             LEFT JOIN seawall_aliases AS alias ON alias.id = asked.id
             JOIN seawall_letters AS letter ON letter.id = coalesce(alias.letter, asked.id)
             WHERE queue = $2 ORDER BY asked.place"
        );
        let found = self.read(|db| stored(&db.query(&sql, &[&ids, &row::text(queue)])?))?;
        found.iter().map(|stored| stored.record(now)).collect()
    }

    fn peek(&self, query: &Query, page: &Page, now: i64) -> Result<Vec<Record>, DlqError> {
        let found = self.read(|db| {
            let mut condition = Where::new(query, now).before(page.after);
            let rest = condition.then("ORDER BY id DESC LIMIT ?", [most(page.limit)]);
            let sql = condition.sql(&format!("SELECT {COLUMNS} FROM seawall_letters AS letter"), &rest);
            stored(&db.query(&sql, &condition.values())?)
        })?;
        found.iter().map(|stored| stored.record(now)).collect()
    }

    fn groups(&self, query: &Query, now: i64) -> Result<Vec<Group>, DlqError> {
        self.read(|db| groups(db, query, now))
    }

    fn mark(&self, _queue: &str) -> Result<u64, DlqError> {
        self.read(|db| number(db.row("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM seawall_marks", &[])?))
    }

    fn count(&self, query: &Query, now: i64) -> Result<u64, DlqError> {
        self.read(|db| count(db, query, now))
    }

    fn claim(&self, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, DlqError> {
        self.change(|db| claim(db, request, now))
    }

    fn extend(&self, tokens: &[Token], lease_ms: i64, now: i64) -> Result<Vec<bool>, DlqError> {
        let until = now.saturating_add(lease_ms);
        let sql = "UPDATE seawall_letters SET lease_until = $1 WHERE id = $2 AND fence = $3 AND state = 'leased'";
        self.repeatable(|db| tokens.iter().map(|token| Ok(db.execute(sql, &[&until, &token.id, &fence(token)])? == 1)).collect())
    }

    fn ack(&self, tokens: &[Token], outcome: Outcome, now: i64) -> Result<Vec<bool>, DlqError> {
        let work = |db: &mut Connection| tokens.iter().map(|token| ack(db, token, outcome, now)).collect();
        // What is archived by this token may be archived by it again.
        if outcome == Outcome::Archive { self.repeatable(work) } else { self.change(work) }
    }

    fn nack(&self, failed: &[Nack], now: i64) -> Result<Vec<bool>, DlqError> {
        self.change(|db| failed.iter().map(|one| nack(db, one, now)).collect())
    }

    fn shift(&self, query: &Query, to: State, now: i64) -> Result<u64, DlqError> {
        self.change(|db| shift(db, query, to, now))
    }

    fn stats(&self, queue: &str, now: i64) -> Result<Stats, DlqError> {
        self.read(|db| stats(db, queue, now))
    }

    fn queues(&self) -> Result<Vec<String>, DlqError> {
        let rows = self.read(|db| db.query("SELECT DISTINCT queue COLLATE \"C\" AS name FROM seawall_letters ORDER BY name", &[]))?;
        rows.iter().map(|row| row.try_get(0).map_err(|why| Fault::from(why).why)).collect()
    }

    fn doctor(&self) -> Result<Vec<Finding>, DlqError> {
        self.read(|db| doctor::look(db, &self.pool.address))
    }

    fn purge(&self, query: &Query, dry_run: bool, now: i64) -> Result<Purged, DlqError> {
        if dry_run {
            return Ok(Purged { letters: self.count(query, now)? });
        }
        let letters = self.change(|db| {
            let condition = Where::new(query, now);
            db.execute(&format!("DELETE FROM seawall_letters WHERE id IN ({})", chosen(&condition)), &condition.values())
        })?;
        Ok(Purged { letters })
    }

    fn usage(&self, queue: &str, by: Instant, _now: i64) -> Result<Usage, DlqError> {
        self.pool.run(by, |db| limits::usage(db, queue))
    }

    fn evict(&self, evict: &Evict, by: Instant, now: i64) -> Result<Usage, DlqError> {
        self.pool.run(by, |db| db.transact(Durability::Fsync, false, |db| limits::evict(db, evict, now)))
    }

    fn free(&self) -> Result<Option<u64>, DlqError> {
        // The server's own disk is not ours to look at.
        Ok(None)
    }

    fn save_job(&self, job: &StoredJob) -> Result<bool, DlqError> {
        self.change(|db| jobs::save(db, job))
    }

    fn jobs(&self, queue: &str) -> Result<Vec<StoredJob>, DlqError> {
        self.read(|db| jobs::all(db, queue))
    }
}

impl PostgresStore {
    /// A change that does no harm when made twice.
    fn repeatable<T: Send>(&self, work: impl Fn(&mut Connection) -> Result<T, Fault> + Sync) -> Result<T, DlqError> {
        self.pool.run(Instant::now() + WAIT, |db| db.transact(Durability::Fsync, true, &work))
    }
}

fn stored(rows: &[tokio_postgres::Row]) -> Result<Vec<Stored>, Fault> {
    rows.iter().map(|row| Stored::read(row, 0)).collect()
}

fn fence(token: &Token) -> i64 {
    i64::try_from(token.fence).unwrap_or(i64::MAX)
}
