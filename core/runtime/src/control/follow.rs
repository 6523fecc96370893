//! One process's look at the control file: what is new in it is begun, what is gone or over is ended.
//!
//! | what a look sees | what it does |
//! |---|---|
//! | no file, or the one seen last | nothing new |
//! | a file that may not be trusted, or is malformed | `control.refused`, once; what was taken before stays |
//! | an experiment, and the policy is in use | lays it over, if the process is armed |
//! | an experiment that is gone, over, or was ended by another process | takes it away: `chaos.ended` |
//! | an experiment that its own `abort_when` has ended | the same, and marks the entry, so that every process ends it |
//! | `isolate`, and the policy is in use | isolates the circuit until the entry's end |
//! | `isolate` gone before its end | resets the circuit, if it is isolated still |
//! | `reset`, for the first time | resets the circuit of a policy in use, unless it is closed |

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use seawall_engine::time::MS;
use serde_json::{Map, Value};

use super::book::{Book, Ended, Entry, Kind, now_ms};
use super::edit::try_edit;
use super::overlay::{Standing, between};
use super::place::Place;
use super::receipt::Receipt;
use crate::config::ConfigError;
use crate::events;
use crate::policy::Policy;
use crate::registry::{self, Loaded};
use crate::watch::Mark;

/// A running experiment's receipt is written again no sooner than so.
const RECEIPT_EVERY: u64 = 1_000 * MS;

/// What the file held when it was looked at: its text, nothing, or why it may not be taken.
type Content = Result<Option<String>, String>;

/// What one process knows of the control file.
pub struct Follower {
    place: Place,
    mark: Option<Mark>,
    content: Content,
    entries: Vec<Entry>,
    running: HashMap<String, Running>,
    /// Experiments that are over here, though their entry may still be there.
    finished: HashSet<String>,
    /// Experiments that ended themselves here, which the others are yet to be told.
    untold: HashMap<String, &'static str>,
    held: HashMap<String, Held>,
    reset: HashSet<String>,
    /// Entries whose refusal was told.
    told: HashSet<String>,
    pid: u32,
}

struct Running {
    entry: Entry,
    policy: Weak<Policy>,
    before: Map<String, Value>,
    receipt: Receipt,
    is_written: bool,
    /// When the receipt is due again.
    due: u64,
}

struct Held {
    entry: Entry,
    policy: Weak<Policy>,
}

/// The one of the process.
static FOLLOWER: LazyLock<Mutex<Follower>> = LazyLock::new(|| Mutex::new(Follower::new(Place::of_host())));

/// Whether this process follows the file: unless it was started with `SEAWALL_CONTROL=off`.
#[must_use]
pub fn is_on() -> bool {
    std::env::var("SEAWALL_CONTROL").map_or(true, |value| value != "off")
}

/// Looks at the host's control file, and does what it asks for. Waits for the disk; under virtual time it does nothing.
#[must_use]
pub fn look(now: u64) -> Loaded {
    if crate::clock::is_virtual() { Loaded::default() } else { FOLLOWER.lock().look(now) }
}

/// To be called in a process that was just forked: what it counts from now on is its own.
pub(crate) fn inherited() {
    // Where a look was under way at the fork its lock is held for ever, and this process hears nothing.
    if let Some(mut follower) = FOLLOWER.try_lock() {
        follower.note_fork();
    }
}

impl Follower {
    /// Follows the file at `place` from its present state on.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            place,
            mark: None,
            content: Ok(None),
            entries: Vec::new(),
            running: HashMap::new(),
            finished: HashSet::new(),
            untold: HashMap::new(),
            held: HashMap::new(),
            reset: HashSet::new(),
            told: HashSet::new(),
            pid: std::process::id(),
        }
    }

    /// Looks, and does what is to be done; gives the records of its events and the tickets to be woken.
    #[must_use]
    pub fn look(&mut self, now: u64) -> Loaded {
        let mut out = Loaded::default();
        self.note_fork();
        self.read(&mut out);
        self.end_experiments(now, &mut out);
        for entry in self.entries.clone() {
            match entry.kind {
                Kind::Chaos(_) => self.begin_experiment(&entry, now, &mut out),
                Kind::Isolate => self.hold(&entry, now, &mut out),
                Kind::Reset => self.reset(&entry, now, &mut out),
            }
        }
        self.release(now, &mut out);
        self.tell_others();
        self.write_receipts(now);
        self.forget_the_gone();
        out
    }

    /// A forked child's counts begin with its own, and so do its receipts.
    fn note_fork(&mut self) {
        let pid = std::process::id();
        if std::mem::replace(&mut self.pid, pid) == pid {
            return;
        }
        for running in self.running.values_mut() {
            running.before = running.policy.upgrade().map(|policy| policy.tally()).unwrap_or_default();
            running.receipt = Receipt::new("running", "", now_ms());
            (running.is_written, running.due) = (false, 0);
        }
    }

    fn read(&mut self, out: &mut Loaded) {
        let path = self.place.file();
        let mark = Mark::of(&path);
        // What may not be trusted may be put right without a mark of it.
        let is_same = mark == self.mark && mark.as_ref().is_none_or(|mark| !mark.is_young()) && self.content.is_ok();
        if is_same {
            return;
        }
        self.mark = mark;
        let content = self.place.read();
        if content == self.content {
            return;
        }
        let parsed = match &content {
            Ok(None) => Ok(Book::default()),
            Ok(Some(text)) => Book::parse(text).map_err(|why| why.to_string()),
            Err(why) => Err(why.clone()),
        };
        self.content = content;
        match parsed {
            Ok(book) => self.entries = book.entries,
            Err(why) => out.events.push(events::complete(events::control_refused(&path.display().to_string(), &why), "", None, "")),
        }
    }

    fn end_experiments(&mut self, now: u64, out: &mut Loaded) {
        for id in self.running.keys().cloned().collect::<Vec<_>>() {
            let Some(running) = self.running.get(&id) else { continue };
            let Some(policy) = running.policy.upgrade().filter(registry::is_in_use) else {
                // Everything was forgotten, as tests do; so is this.
                self.running.remove(&id);
                continue;
            };
            let entry = self.entries.iter().find(|entry| entry.id == id);
            let is_same = entry.is_some_and(|entry| entry.kind == running.entry.kind && entry.until_ms == running.entry.until_ms);
            let why = match (policy.standing(now), entry.and_then(|entry| entry.ended.as_ref())) {
                (Standing::Aborted(why), _) => {
                    self.untold.insert(id.clone(), why);
                    why.to_owned()
                }
                (_, Some(ended)) => ended.why.clone(),
                (Standing::Over, _) => "expired".to_owned(),
                (Standing::Running, _) if running.entry.left_ms() == 0 => "expired".to_owned(),
                (Standing::Running, _) if !is_same => "off".to_owned(),
                (Standing::Running, _) => continue,
            };
            self.end(&id, &policy, &why, now, out);
            if is_same {
                self.finished.insert(id);
            }
        }
    }

    fn end(&mut self, id: &str, policy: &Arc<Policy>, why: &str, now: u64, out: &mut Loaded) {
        let Some(running) = self.running.remove(id) else { return };
        let mut tally = policy.tally();
        out.tickets.extend(registry::lay_over(policy, None, now));
        // Calls that come from here on have nothing to do with it; attempts that began before may have been struck up to here.
        tally.extend(policy.struck());
        let counts = between(&running.before, &tally);
        let record = events::chaos_ended(id, why, &counts);
        out.events.push(events::complete(record, &policy.label(), None, ""));
        Receipt { state: "ended".into(), why: why.into(), counts, ..running.receipt }.write(&self.place, id);
    }

    fn begin_experiment(&mut self, entry: &Entry, now: u64, out: &mut Loaded) {
        let is_known = self.running.contains_key(&entry.id) || self.finished.contains(&entry.id);
        if is_known || entry.ended.is_some() || entry.left_ms() == 0 {
            return;
        }
        let (Some(policy), Some(chaos)) = (registry::in_use(&entry.policy), entry.chaos()) else { return };
        if !crate::chaos::armed() {
            if self.told.insert(entry.id.clone()) {
                Receipt::new("disarmed", "", now_ms()).write(&self.place, &entry.id);
            }
            return;
        }
        if policy.has_own_chaos() {
            self.refuse(entry, "the policy has chaos of its own, by code or by a file", out);
            return;
        }
        if self.running.values().any(|running| running.entry.policy == entry.policy) {
            // The one before ends at the next look.
            return;
        }
        let before = policy.tally();
        out.tickets.extend(registry::lay_over(&policy, Some(chaos), now));
        // The attempts of the experiment are counted from 0.
        let before: Map<String, Value> = before.into_iter().filter(|(name, _)| name != "attempts").collect();
        out.events.push(events::complete(events::chaos_started(entry), &policy.label(), None, ""));
        let receipt = Receipt::new("running", "", now_ms());
        let policy = Arc::downgrade(&policy);
        self.running.insert(entry.id.clone(), Running { entry: entry.clone(), policy, before, receipt, is_written: false, due: 0 });
    }

    fn hold(&mut self, entry: &Entry, now: u64, out: &mut Loaded) {
        let Some(policy) = registry::in_use(&entry.policy).filter(|_| entry.left_ms() > 0) else { return };
        if self.held.get(&entry.id).is_some_and(|held| std::ptr::eq(held.policy.as_ptr(), Arc::as_ptr(&policy))) {
            return;
        }
        let (key, author) = (entry.key.as_deref(), Some(entry.author.as_str()));
        let done = policy.breaker_isolate(key, &entry.reason, author, Some(entry.left_ms()), now);
        self.answer(entry, done, out);
        self.held.insert(entry.id.clone(), Held { entry: entry.clone(), policy: Arc::downgrade(&policy) });
    }

    fn reset(&mut self, entry: &Entry, now: u64, out: &mut Loaded) {
        if entry.left_ms() == 0 || !self.reset.insert(entry.id.clone()) {
            return;
        }
        let Some(policy) = registry::in_use(&entry.policy) else { return };
        let key = entry.key.as_deref();
        let done = match policy.breaker_state(key, now) {
            Ok("closed") => Ok(Vec::new()),
            Ok(_) => policy.breaker_reset(key),
            Err(why) => Err(why),
        };
        self.answer(entry, done, out);
    }

    fn answer(&mut self, entry: &Entry, done: Result<Vec<String>, ConfigError>, out: &mut Loaded) {
        match done {
            Ok(events) => {
                out.events.extend(events);
                Receipt::new("applied", "", now_ms()).write(&self.place, &entry.id);
            }
            Err(why) => self.refuse(entry, &why.message, out),
        }
    }

    fn refuse(&mut self, entry: &Entry, why: &str, out: &mut Loaded) {
        if !self.told.insert(entry.id.clone()) {
            return;
        }
        let path = format!("{}: {}", self.place.file().display(), entry.id);
        out.events.push(events::complete(events::control_refused(&path, why), &entry.policy, entry.key.as_deref(), ""));
        Receipt::new("refused", why, now_ms()).write(&self.place, &entry.id);
    }

    /// Lets go of what is held no more. A circuit that another entry holds, or that has gone on by itself, is left alone.
    fn release(&mut self, now: u64, out: &mut Loaded) {
        let entries = &self.entries;
        let gone: Vec<String> = self.held.keys().filter(|id| !entries.iter().any(|entry| entry.id == **id)).cloned().collect();
        for id in gone {
            let Some(Held { entry, policy }) = self.held.remove(&id) else { continue };
            let goes_on = |other: &Entry| matches!(other.kind, Kind::Isolate) && other.policy == entry.policy && other.key == entry.key;
            if self.entries.iter().any(goes_on) {
                continue;
            }
            let Some(policy) = policy.upgrade().filter(registry::is_in_use) else { continue };
            let key = entry.key.as_deref();
            if policy.breaker_state(key, now) == Ok("isolated")
                && let Ok(events) = policy.breaker_reset(key)
            {
                out.events.extend(events);
            }
        }
    }

    /// Marks the experiments that ended themselves here, so that every process ends them. Where the file is being changed just now, the
    /// next look does.
    fn tell_others(&mut self) {
        let pid = self.pid;
        let place = self.place.clone();
        self.untold.retain(|id, why| {
            let mark = |book: &mut Book| {
                if let Some(entry) = book.entries.iter_mut().find(|entry| entry.id == *id && entry.ended.is_none()) {
                    entry.ended = Some(Ended { why: (*why).to_owned(), pid });
                }
                Ok(())
            };
            // A file that cannot be changed keeps the others' own guards alone.
            matches!(try_edit(&place, mark), Ok(None))
        });
    }

    fn write_receipts(&mut self, now: u64) {
        for (id, running) in &mut self.running {
            let Some(policy) = running.policy.upgrade().filter(|_| now >= running.due) else { continue };
            running.due = now.saturating_add(RECEIPT_EVERY);
            let counts = between(&running.before, &policy.tally());
            let receipt = Receipt { counts, ..running.receipt.clone() };
            if receipt.counts != running.receipt.counts || !running.is_written {
                receipt.write(&self.place, id);
                (running.receipt, running.is_written) = (receipt, true);
            }
        }
    }

    /// Forgets what the file says nothing of any more.
    fn forget_the_gone(&mut self) {
        let known: HashSet<&str> = self.entries.iter().map(|entry| entry.id.as_str()).collect();
        for seen in [&mut self.finished, &mut self.reset, &mut self.told] {
            seen.retain(|id| known.contains(id.as_str()));
        }
    }
}
