//! The store's verbs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{FromRedisValue, Value};
use seawall_dlq::{
    Appended, Caps, Claim, ClaimRequest, DeadLetterStore, DlqError, Evict, Finding, Group, Nack, Outcome, Page, Purged, Query, Record,
    RecordId, Refailed, State, Stats, StoredJob, Token, Usage, Write,
};
use serde_json::json;

use crate::address::Address;
use crate::append::{Change, append, update};
use crate::connection::{Link, Pool};
use crate::doctor;
use crate::fault::Fault;
use crate::jobs;
use crate::row::Stored;
use crate::script::{READ, TOKEN, WALK};
use crate::select;

/// How long verbs that carry no deadline of their own wait for the server.
const WAIT: Duration = Duration::from_secs(10);
/// Letters that one step looks at.
const ROOM: usize = 250;

/// Letters in a Redis.
pub struct RedisStore {
    pool: Pool,
}

/// What a step of a walk gives: the last id, how many matched, their bytes, and rows.
type Step<T> = (String, u64, u64, Vec<T>);

/// Goes through the letters of a query step by step. `each` takes what a step found, and says whether to go on.
fn walk<T: FromRedisValue>(
    link: &mut Link,
    what: &str,
    query: &serde_json::Value,
    place: &Place<'_>,
    mut each: impl FnMut(u64, u64, Vec<T>) -> bool,
) -> Result<(), Fault> {
    let mut last = place.after.map(|id| id.to_string()).unwrap_or_default();
    loop {
        let values = [what.to_owned(), query.to_string(), place.now.to_string(), last, ROOM.to_string()];
        let (next, count, bytes, rows): Step<T> = link.run(&WALK, place.queue, &values)?;
        if !each(count, bytes, rows) || next.is_empty() {
            return Ok(());
        }
        last = next;
    }
}

/// Where and when a walk goes.
struct Place<'a> {
    queue: &'a str,
    now: i64,
    after: Option<RecordId>,
}

/// Does something to all letters of a query, and counts them.
fn all(link: &mut Link, what: &str, query: &Query, more: serde_json::Value, now: i64) -> Result<u64, Fault> {
    let mut sum = 0;
    let place = Place { queue: &query.queue, now, after: None };
    walk(link, what, &select::json(query, more), &place, |count, _, _: Vec<Value>| {
        sum += count;
        true
    })?;
    Ok(sum)
}

/// The letters of these ids, merged ids followed.
fn load(link: &mut Link, queue: &str, ids: &[RecordId]) -> Result<Vec<Stored>, Fault> {
    let mut values = vec!["get".to_owned()];
    values.extend(ids.iter().map(RecordId::to_string));
    link.run(&READ, queue, &values)
}

fn one(link: &mut Link, queue: &str, id: RecordId) -> Result<Option<Stored>, Fault> {
    Ok(load(link, queue, &[id])?.pop())
}

fn claim(link: &mut Link, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, Fault> {
    let query = Query { actionable: Some(true), ..request.query.clone() };
    let (until, mut left, mut last) = (now.saturating_add(request.lease_ms), request.limit, String::new());
    let mut claims = Vec::new();
    while left > 0 {
        let more = json!({"lease_until": until.to_string(), "owner": request.owner, "most": request.max_redrives, "limit": left});
        let more = without_nulls(more);
        let values = ["claim".to_owned(), select::json(&query, more).to_string(), now.to_string(), last, ROOM.to_string()];
        let (next, _, _, rows): Step<Stored> = link.run(&WALK, &query.queue, &values)?;
        left -= rows.len();
        claims.extend(rows.into_iter().map(|row| Claim { token: Token { id: row.id, fence: row.fence }, record: row.record(now) }));
        if next.is_empty() {
            break;
        }
        last = next;
    }
    Ok(claims)
}

/// The scripts take what is left out as not asked for.
fn without_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    value
}

fn groups(link: &mut Link, query: &Query, now: i64) -> Result<Vec<Group>, Fault> {
    type Part = (String, u64, i64, i64, String);
    let mut found: HashMap<String, Group> = HashMap::new();
    let place = Place { queue: &query.queue, now, after: None };
    walk(link, "groups", &select::json(query, json!({})), &place, |_, _, parts: Vec<Part>| {
        for (group, count, first, last, sample) in parts {
            let sample = sample.parse().unwrap_or_default();
            let known =
                found.entry(group.clone()).or_insert_with(|| Group { group, count: 0, first, last, sample, error: Default::default() });
            known.count += count;
            known.first = known.first.min(first);
            known.last = known.last.max(last);
            // Steps go on in the order of ids.
            known.sample = sample;
        }
        true
    })?;
    let mut groups: Vec<Group> = found.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.group.cmp(&b.group)));
    for group in &mut groups {
        let newest = one(link, &query.queue, group.sample)?.and_then(|stored| stored.record(now).ok());
        group.error = newest.map(|record| record.error).unwrap_or_default();
    }
    Ok(groups)
}

impl RedisStore {
    pub(crate) fn new(address: Address) -> Self {
        Self { pool: Pool::new(address) }
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }

    fn read<T>(&self, work: impl Fn(&mut Link) -> Result<T, Fault>) -> Result<T, DlqError> {
        self.pool.run(Instant::now() + WAIT, true, work)
    }

    fn change<T>(&self, work: impl Fn(&mut Link) -> Result<T, Fault>) -> Result<T, DlqError> {
        self.pool.run(Instant::now() + WAIT, false, work)
    }

    /// The queues in which tokens' letters may lie. A token does not name its queue, so all are looked at.
    fn queue_of(link: &mut Link, id: RecordId) -> Result<Option<String>, Fault> {
        for queue in link.queues()? {
            if one(link, &queue, id)?.is_some_and(|stored| stored.id == id) {
                return Ok(Some(queue));
            }
        }
        Ok(None)
    }

    fn token(link: &mut Link, what: &str, token: &Token, number: i64) -> Result<bool, Fault> {
        let Some(queue) = Self::queue_of(link, token.id)? else { return Ok(false) };
        link.run(&TOKEN, &queue, &[what.to_owned(), token.id.to_string(), token.fence.to_string(), number.to_string()])
    }

    fn ack(link: &mut Link, token: &Token, outcome: Outcome, now: i64) -> Result<bool, Fault> {
        if outcome == Outcome::Delete {
            return Self::token(link, "delete", token, 0);
        }
        let Some(queue) = Self::queue_of(link, token.id)? else { return Ok(false) };
        let read = |link: &mut Link| one(link, &queue, token.id);
        let done = update(read, link, |stored| {
            let may_end = [State::Leased, State::Archived].iter().any(|state| state.word() == stored.state);
            if stored.fence != token.fence || !may_end {
                return Ok(None);
            }
            let mut record = stored.record(now)?;
            record.state = State::Archived;
            record.times.archived = Some(now);
            record.redrives.last = Some(now);
            record.redrives.result = Some("ok".into());
            Ok(Some((record, Change { state: Some(State::Archived), alias: None, refailed: false }, ())))
        })?;
        Ok(done.is_some())
    }

    fn nack(link: &mut Link, nack: &Nack, now: i64) -> Result<bool, Fault> {
        let state = if nack.park { State::Parked } else { State::Ready };
        if nack.uncounted {
            return Self::token(link, state.word(), &nack.token, 0);
        }
        let Some(queue) = Self::queue_of(link, nack.token.id)? else { return Ok(false) };
        let read = |link: &mut Link| one(link, &queue, nack.token.id);
        let done = update(read, link, |stored| {
            if stored.fence != nack.token.fence || stored.state != State::Leased.word() {
                return Ok(None);
            }
            let mut record = stored.record(now)?;
            record.state = state;
            record.failed_redrive(nack.error.as_ref(), stored.refailed, now);
            Ok(Some((record, Change { state: Some(state), alias: None, refailed: false }, ())))
        })?;
        Ok(done.is_some())
    }
}

impl DeadLetterStore for RedisStore {
    fn caps(&self) -> Caps {
        // Whether what it acknowledges is durable is the server's to say: `doctor` looks.
        Caps::PEEK | Caps::FILTER | Caps::GROUP | Caps::EXACT_COUNT | Caps::ACK_BY_ID | Caps::LEASE | Caps::DEDUP
    }

    fn append(&self, batch: &[Record], write: &Write) -> Result<Vec<Appended>, DlqError> {
        // All or none holds for one letter; of several some may be there after an error, and adding them again changes nothing.
        self.pool.run(write.by, true, |link| batch.iter().map(|record| append(link, record, write)).collect())
    }

    fn refail(&self, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, DlqError> {
        self.pool.run(write.by, false, |link| {
            update(
                |link| one(link, &refailed.queue, refailed.id),
                link,
                |stored| {
                    let mut record = stored.record(write.now)?;
                    if record.state == State::Archived {
                        return Ok(None);
                    }
                    record.may_act()?;
                    record.absorb(refailed.error.clone(), refailed.attempts.clone(), write.now);
                    Ok(Some((record, Change { state: None, alias: None, refailed: true }, stored.id)))
                },
            )
        })
    }

    fn get(&self, queue: &str, ids: &[RecordId], now: i64) -> Result<Vec<Record>, DlqError> {
        self.read(|link| load(link, queue, ids))?.iter().map(|stored| stored.record(now)).collect()
    }

    fn peek(&self, query: &Query, page: &Page, now: i64) -> Result<Vec<Record>, DlqError> {
        let found = self.read(|link| {
            let mut found: Vec<Stored> = Vec::new();
            let place = Place { queue: &query.queue, now, after: page.after };
            // Each step stops at a page's length at most; what is more is cut.
            walk(link, "peek", &select::json(query, json!({"limit": page.limit})), &place, |_, _, rows| {
                found.extend(rows);
                found.len() < page.limit
            })?;
            found.truncate(page.limit);
            Ok(found)
        })?;
        found.iter().map(|stored| stored.record(now)).collect()
    }

    fn groups(&self, query: &Query, now: i64) -> Result<Vec<Group>, DlqError> {
        self.read(|link| groups(link, query, now))
    }

    fn mark(&self, queue: &str) -> Result<u64, DlqError> {
        self.read(|link| link.run(&READ, queue, &["mark"]))
    }

    fn count(&self, query: &Query, now: i64) -> Result<u64, DlqError> {
        self.read(|link| all(link, "count", query, json!({}), now))
    }

    fn claim(&self, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, DlqError> {
        self.change(|link| claim(link, request, now))
    }

    fn extend(&self, tokens: &[Token], lease_ms: i64, now: i64) -> Result<Vec<bool>, DlqError> {
        let until = now.saturating_add(lease_ms);
        self.read(|link| tokens.iter().map(|token| Self::token(link, "extend", token, until)).collect())
    }

    fn ack(&self, tokens: &[Token], outcome: Outcome, now: i64) -> Result<Vec<bool>, DlqError> {
        // What is archived by this token may be archived by it again.
        let work = |link: &mut Link| tokens.iter().map(|token| Self::ack(link, token, outcome, now)).collect();
        self.pool.run(Instant::now() + WAIT, outcome == Outcome::Archive, work)
    }

    fn nack(&self, failed: &[Nack], now: i64) -> Result<Vec<bool>, DlqError> {
        self.change(|link| failed.iter().map(|one| Self::nack(link, one, now)).collect())
    }

    fn shift(&self, query: &Query, to: State, now: i64) -> Result<u64, DlqError> {
        self.change(|link| all(link, "shift", query, json!({"to": to.word()}), now))
    }

    fn stats(&self, queue: &str, now: i64) -> Result<Stats, DlqError> {
        type Counts = (u64, u64, u64, u64, u64, Option<i64>);
        let counts: Counts = self.read(|link| link.run(&READ, queue, &["stats".to_owned(), now.to_string()]))?;
        let (ready, leased, parked, archived, bytes, oldest) = counts;
        Ok(Stats { ready, leased, parked, archived, bytes, oldest })
    }

    fn queues(&self) -> Result<Vec<String>, DlqError> {
        let mut names = self.read(Link::queues)?;
        names.sort_unstable();
        Ok(names)
    }

    fn doctor(&self) -> Result<Vec<Finding>, DlqError> {
        self.read(|link| doctor::look(link, &self.pool.address))
    }

    fn purge(&self, query: &Query, dry_run: bool, now: i64) -> Result<Purged, DlqError> {
        let letters = if dry_run { self.count(query, now) } else { self.change(|link| all(link, "purge", query, json!({}), now)) }?;
        Ok(Purged { letters })
    }

    fn usage(&self, queue: &str, by: Instant, _now: i64) -> Result<Usage, DlqError> {
        let (letters, bytes) = self.pool.run(by, true, |link| link.run(&READ, queue, &["usage"]))?;
        Ok(Usage { letters, bytes })
    }

    fn evict(&self, evict: &Evict, by: Instant, now: i64) -> Result<Usage, DlqError> {
        self.pool.run(by, false, |link| {
            let (mut gone, mut last) = (Usage::default(), String::new());
            loop {
                let more = json!({"limit": evict.letters.saturating_sub(gone.letters), "bytes": evict.bytes.saturating_sub(gone.bytes)});
                let values = ["evict".to_owned(), select::json(&evict.query, more).to_string(), now.to_string(), last, ROOM.to_string()];
                let (next, letters, bytes, _): Step<Value> = link.run(&WALK, &evict.query.queue, &values)?;
                gone.letters += letters;
                gone.bytes += bytes;
                if next.is_empty() {
                    return Ok(gone);
                }
                last = next;
            }
        })
    }

    fn free(&self) -> Result<Option<u64>, DlqError> {
        Ok(None)
    }

    fn save_job(&self, job: &StoredJob) -> Result<bool, DlqError> {
        self.change(|link| jobs::save(link, job))
    }

    fn jobs(&self, queue: &str) -> Result<Vec<StoredJob>, DlqError> {
        self.read(|link| jobs::all(link, queue))
    }
}
