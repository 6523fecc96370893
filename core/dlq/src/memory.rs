//! Letters in memory: for tests, vectors and services that only want the current process's failures.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use parking_lot::Mutex;

use crate::query::Standing;
use crate::store::{
    Appended, Caps, Claim, ClaimRequest, DeadLetterStore, ENDED_JOBS, Evict, Finding, Group, Nack, Outcome, Page, Purged, Refailed, Stats,
    StoredJob, Token, Usage, Write,
};
use crate::{DlqError, Query, Record, RecordId, State};

struct Row {
    record: Record,
    mark: u64,
    fence: u64,
    /// The failed call has written its own failure since the claim.
    refailed: bool,
    lease_until: i64,
    owner: String,
}

impl Row {
    fn matches(&self, query: &Query, now: i64) -> bool {
        query.matches(&self.record, &Standing { state: self.state(now), mark: self.mark, owner: &self.owner })
    }

    fn size(&self) -> Result<u64, DlqError> {
        Ok(self.record.to_bytes()?.len() as u64)
    }

    fn state(&self, now: i64) -> State {
        if self.record.state == State::Leased && self.lease_until <= now { State::Ready } else { self.record.state }
    }

    fn seen(&self, now: i64) -> Record {
        Record { state: self.state(now), ..self.record.clone() }
    }

    fn holds(&self, token: &Token) -> bool {
        self.record.state == State::Leased && self.fence == token.fence
    }

    /// The call's own success may have archived the letter before its redrive could say so.
    fn may_end_well(&self, token: &Token) -> bool {
        self.fence == token.fence && matches!(self.record.state, State::Leased | State::Archived)
    }
}

#[derive(Default)]
struct Rows {
    by_id: BTreeMap<RecordId, Row>,
    aliases: HashMap<RecordId, RecordId>,
    mark: u64,
    jobs: BTreeMap<RecordId, StoredJob>,
}

impl Rows {
    fn forget_aliases(&mut self) {
        let Self { by_id, aliases, .. } = self;
        aliases.retain(|_, letter| by_id.contains_key(letter));
    }

    fn next_mark(&mut self) -> u64 {
        self.mark += 1;
        self.mark
    }

    fn find(&self, id: RecordId) -> RecordId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    fn matching(&self, query: &Query, now: i64) -> impl Iterator<Item = &Row> {
        self.by_id.values().filter(move |row| row.matches(query, now))
    }

    fn ids(&self, query: &Query, limit: usize, now: i64) -> Vec<RecordId> {
        self.matching(query, now).take(limit).map(|row| row.record.id).collect()
    }

    fn append(&mut self, record: &Record, write: &Write) -> Appended {
        if self.by_id.contains_key(&self.find(record.id)) {
            return Appended::Stored(record.id);
        }
        let mark = self.next_mark();
        let ready = Query::in_state(&record.queue, State::Ready);
        let twin = self.matching(&ready, write.now).find(|row| row.record.same_work(record, write.within_retry));
        if let Some(id) = twin.map(|row| row.record.id)
            && let Some(row) = self.by_id.get_mut(&id)
        {
            row.record.merge(record);
            row.mark = mark;
            self.aliases.insert(record.id, id);
            return Appended::Merged(id);
        }
        self.by_id.insert(record.id, Row { record: record.clone(), mark, fence: 0, refailed: false, lease_until: 0, owner: String::new() });
        Appended::Stored(record.id)
    }

    fn claim(&mut self, id: RecordId, request: &ClaimRequest, now: i64) -> Option<Claim> {
        let row = self.by_id.get_mut(&id)?;
        row.fence += 1;
        row.refailed = false;
        row.lease_until = now.saturating_add(request.lease_ms);
        row.owner.clone_from(&request.owner);
        row.record.state = State::Leased;
        row.record.redrives.count += 1;
        Some(Claim { token: Token { id, fence: row.fence }, record: Ok(row.record.clone()) })
    }

    fn park_killers(&mut self, request: &ClaimRequest, now: i64) {
        let Some(most) = request.max_redrives else { return };
        for row in self.by_id.values_mut() {
            let lapsed = row.record.state == State::Leased && row.lease_until <= now;
            if row.record.queue == request.query.queue && lapsed && row.record.redrives.count >= most {
                row.record.state = State::Parked;
            }
        }
    }

    fn nack(&mut self, nack: &Nack, now: i64) -> bool {
        let mark = self.next_mark();
        let Some(row) = self.by_id.get_mut(&nack.token.id).filter(|row| row.holds(&nack.token)) else { return false };
        if nack.park || !nack.uncounted {
            row.mark = mark;
        }
        row.record.state = if nack.park { State::Parked } else { State::Ready };
        if nack.uncounted {
            row.record.redrives.count = row.record.redrives.count.saturating_sub(1);
        } else {
            row.record.failed_redrive(nack.error.as_ref(), row.refailed, now);
        }
        true
    }
}

/// The store behind `memory:`.
#[derive(Default)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
}

impl DeadLetterStore for MemoryStore {
    fn caps(&self) -> Caps {
        Caps::PEEK | Caps::FILTER | Caps::GROUP | Caps::ACK_BY_ID | Caps::LEASE | Caps::EXACT_COUNT | Caps::DEDUP
    }

    fn append(&self, batch: &[Record], write: &Write) -> Result<Vec<Appended>, DlqError> {
        let mut rows = self.rows.lock();
        Ok(batch.iter().map(|record| rows.append(record, write)).collect())
    }

    fn refail(&self, refailed: &Refailed, write: &Write) -> Result<Option<RecordId>, DlqError> {
        let mut rows = self.rows.lock();
        let mark = rows.next_mark();
        let id = rows.find(refailed.id);
        let Some(row) = rows.by_id.get_mut(&id) else { return Ok(None) };
        if row.record.state == State::Archived || row.record.queue != refailed.queue {
            return Ok(None);
        }
        row.record.may_act()?;
        row.record.absorb(refailed.error.clone(), refailed.attempts.clone(), write.now);
        row.refailed = true;
        row.mark = mark;
        Ok(Some(id))
    }

    fn get(&self, queue: &str, ids: &[RecordId], now: i64) -> Result<Vec<Record>, DlqError> {
        let rows = self.rows.lock();
        let found = ids.iter().filter_map(|id| rows.by_id.get(&rows.find(*id)));
        Ok(found.filter(|row| row.record.queue == queue).map(|row| row.seen(now)).collect())
    }

    fn peek(&self, query: &Query, page: &Page, now: i64) -> Result<Vec<Record>, DlqError> {
        let rows = self.rows.lock();
        let newest_first = rows.by_id.values().rev().filter(|row| page.after.is_none_or(|after| row.record.id < after));
        let matching = newest_first.filter(|row| row.matches(query, now));
        Ok(matching.take(page.limit).map(|row| row.seen(now)).collect())
    }

    fn groups(&self, query: &Query, now: i64) -> Result<Vec<Group>, DlqError> {
        let rows = self.rows.lock();
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for row in rows.matching(query, now) {
            let record = &row.record;
            let time = record.times.dead_lettered;
            let group = groups.entry(&record.error.fingerprint).or_insert_with(|| Group {
                group: record.error.fingerprint.clone(),
                count: 0,
                first: time,
                last: time,
                sample: record.id,
                error: record.error.clone(),
            });
            group.count += 1;
            group.first = group.first.min(time);
            group.last = group.last.max(time);
            group.sample = record.id;
            group.error = record.error.clone();
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.group.cmp(&b.group)));
        Ok(groups)
    }

    fn mark(&self, _queue: &str) -> Result<u64, DlqError> {
        Ok(self.rows.lock().mark)
    }

    fn count(&self, query: &Query, now: i64) -> Result<u64, DlqError> {
        Ok(self.rows.lock().matching(query, now).count() as u64)
    }

    fn claim(&self, request: &ClaimRequest, now: i64) -> Result<Vec<Claim>, DlqError> {
        let mut rows = self.rows.lock();
        rows.park_killers(request, now);
        let query = Query { actionable: Some(true), ..request.query.clone() };
        let ids = rows.ids(&query, request.limit, now);
        Ok(ids.into_iter().filter_map(|id| rows.claim(id, request, now)).collect())
    }

    fn extend(&self, tokens: &[Token], lease_ms: i64, now: i64) -> Result<Vec<bool>, DlqError> {
        let mut rows = self.rows.lock();
        let mut extend = |token: &Token| {
            let Some(row) = rows.by_id.get_mut(&token.id).filter(|row| row.holds(token)) else { return false };
            row.lease_until = now.saturating_add(lease_ms);
            true
        };
        Ok(tokens.iter().map(&mut extend).collect())
    }

    fn ack(&self, tokens: &[Token], outcome: Outcome, now: i64) -> Result<Vec<bool>, DlqError> {
        let mut rows = self.rows.lock();
        let mut ack = |token: &Token| {
            let mark = rows.next_mark();
            let Some(row) = rows.by_id.get_mut(&token.id).filter(|row| row.may_end_well(token)) else { return false };
            row.mark = mark;
            row.record.state = State::Archived;
            row.record.times.archived = Some(now);
            row.record.redrives.last = Some(now);
            row.record.redrives.result = Some("ok".into());
            if outcome == Outcome::Delete {
                rows.by_id.remove(&token.id);
                rows.aliases.retain(|_, letter| *letter != token.id);
            }
            true
        };
        Ok(tokens.iter().map(&mut ack).collect())
    }

    fn nack(&self, failed: &[Nack], now: i64) -> Result<Vec<bool>, DlqError> {
        let mut rows = self.rows.lock();
        Ok(failed.iter().map(|nack| rows.nack(nack, now)).collect())
    }

    fn shift(&self, query: &Query, to: State, now: i64) -> Result<u64, DlqError> {
        let mut rows = self.rows.lock();
        let ids = rows.ids(query, usize::MAX, now);
        for id in &ids {
            let mark = rows.next_mark();
            if let Some(row) = rows.by_id.get_mut(id) {
                row.record.state = to;
                row.record.times.archived = (to == State::Archived).then_some(now);
                row.mark = mark;
            }
        }
        Ok(ids.len() as u64)
    }

    fn stats(&self, queue: &str, now: i64) -> Result<Stats, DlqError> {
        let rows = self.rows.lock();
        let mut stats = Stats::default();
        for row in rows.matching(&Query::all(queue), now) {
            let state = row.state(now);
            match state {
                State::Ready => stats.ready += 1,
                State::Leased => stats.leased += 1,
                State::Parked => stats.parked += 1,
                State::Archived => stats.archived += 1,
            }
            if state == State::Ready {
                let time = row.record.times.dead_lettered;
                stats.oldest = Some(stats.oldest.map_or(time, |oldest| oldest.min(time)));
            }
            stats.bytes += row.size()?;
        }
        Ok(stats)
    }

    fn queues(&self) -> Result<Vec<String>, DlqError> {
        let rows = self.rows.lock();
        let names: std::collections::BTreeSet<&str> = rows.by_id.values().map(|row| row.record.queue.as_str()).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn doctor(&self) -> Result<Vec<Finding>, DlqError> {
        Ok(Vec::new())
    }

    fn purge(&self, query: &Query, dry_run: bool, now: i64) -> Result<Purged, DlqError> {
        let mut rows = self.rows.lock();
        let ids = rows.ids(query, usize::MAX, now);
        if !dry_run {
            for id in &ids {
                rows.by_id.remove(id);
            }
            rows.forget_aliases();
        }
        Ok(Purged { letters: ids.len() as u64 })
    }

    fn usage(&self, queue: &str, _by: Instant, now: i64) -> Result<Usage, DlqError> {
        let rows = self.rows.lock();
        let mut usage = Usage::default();
        for row in rows.matching(&Query::all(queue), now) {
            usage.letters += 1;
            usage.bytes += row.size()?;
        }
        Ok(usage)
    }

    fn evict(&self, evict: &Evict, _by: Instant, now: i64) -> Result<Usage, DlqError> {
        let mut rows = self.rows.lock();
        let mut gone = Usage::default();
        for id in rows.ids(&evict.query, usize::MAX, now) {
            if gone.letters >= evict.letters && gone.bytes >= evict.bytes {
                break;
            }
            let Some(row) = rows.by_id.get(&id).filter(|row| row.state(now) != State::Leased) else { continue };
            gone.bytes += row.size()?;
            gone.letters += 1;
            rows.by_id.remove(&id);
        }
        rows.forget_aliases();
        Ok(gone)
    }

    fn free(&self) -> Result<Option<u64>, DlqError> {
        Ok(None)
    }

    fn save_job(&self, job: &StoredJob) -> Result<bool, DlqError> {
        let mut rows = self.rows.lock();
        if rows.jobs.get(&job.id).map_or(0, |known| known.version) != job.version {
            return Ok(false);
        }
        rows.jobs.insert(job.id, StoredJob { version: job.version + 1, ..job.clone() });
        let ended = rows.jobs.values().rev().filter(|known| known.queue == job.queue && !known.open);
        let forgotten: Vec<RecordId> = ended.skip(ENDED_JOBS).map(|known| known.id).collect();
        rows.jobs.retain(|id, _| !forgotten.contains(id));
        Ok(true)
    }

    fn jobs(&self, queue: &str) -> Result<Vec<StoredJob>, DlqError> {
        Ok(self.rows.lock().jobs.values().rev().filter(|job| job.queue == queue).cloned().collect())
    }
}
