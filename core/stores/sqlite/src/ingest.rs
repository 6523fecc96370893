//! From the log into the tables.
//!
//! One process at a time, the one that has `index.lock`, reads what lies behind each segment's offset, and writes letters and offsets in one
//! transaction. Dying anywhere repeats a step whose letters are known already, or removes a segment a step later: nothing is lost or doubled.
//! A segment goes when its writer is gone and all of it is in the tables.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use parking_lot::Mutex;
use rusqlite::{Connection, params};
use seawall_dlq::log::{self, Frame, Segment, Stretch};
use seawall_dlq::{DlqError, Durability, PerProcess, Write};

use crate::ballast;
use crate::gate::Gate;
use crate::process::{Caller, Processes};
use crate::row::failed;
use crate::store::append;

/// Letters in one transaction.
const BATCH: usize = 2000;
const FILE: &str = "index.lock";

/// A store's way from its log to its tables.
pub(crate) struct Ingest {
    directory: PathBuf,
    gates: PerProcess<Mutex<Option<Gate>>>,
}

/// A segment, and what was read of it.
struct Part {
    name: String,
    path: PathBuf,
    segment: Segment,
    from: u64,
    stretch: Stretch,
}

impl Ingest {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), gates: PerProcess::default() }
    }

    /// Lets go of the lock file.
    pub(crate) fn close(&self) {
        if let Ok(gate) = self.gates.get() {
            gate.lock().take();
        }
    }

    /// Moves all letters into the tables that were acknowledged before this.
    pub(crate) fn run(&self, processes: &Processes, caller: Caller, by: Instant) -> Result<(), DlqError> {
        if log::segments(&self.directory)?.is_empty() {
            return Ok(());
        }
        if ballast::is_in_use(&self.directory) {
            return Err(DlqError::full("store: the disk is full; letters wait in the log until there is room"));
        }
        let mut gate = self.gates.get()?.try_lock_until(by).ok_or_else(crate::gate::busy)?;
        let gate = match &mut *gate {
            Some(gate) => gate,
            none => none.insert(Gate::open(&self.directory, FILE)?),
        };
        let _turn = gate.enter(by)?;
        while self.step(processes, caller, by)? {}
        Ok(())
    }

    /// Moves some; whether there may be more.
    fn step(&self, processes: &Processes, caller: Caller, by: Instant) -> Result<bool, DlqError> {
        let paths = log::segments(&self.directory)?;
        let offsets = processes.read_for(caller, offsets)?;
        let parts = read(&paths, &offsets)?;
        let found: usize = parts.iter().map(|part| part.stretch.frames.len()).sum();
        if parts.iter().any(|part| part.stretch.next != part.from) {
            parts.iter().try_for_each(|part| self.set_aside(part))?;
            processes.write_for(caller, by, |db| {
                forget_removed(db, &offsets, &paths)?;
                store(db, &parts)
            })?;
        }
        parts.iter().filter(|part| part.stretch.is_last).try_for_each(remove_if_done)?;
        Ok(found >= BATCH)
    }

    /// Keeps what is no letter in a file beside its segment.
    fn set_aside(&self, part: &Part) -> Result<(), DlqError> {
        for (at, bytes) in &part.stretch.damaged {
            let path = part.path.with_extension(format!("{at}.damaged"));
            // Durable before the segment may go.
            let written = crate::schema::make_file(&path).and_then(|mut file| {
                file.set_len(0)?;
                file.write_all(bytes)?;
                file.sync_all()?;
                log::sync_folder(&self.directory)
            });
            written.map_err(|why| DlqError::failed(format!("store: cannot write '{}': {why}", path.display())))?;
        }
        Ok(())
    }
}

/// How far each segment has been read.
fn offsets(db: &Connection) -> Result<HashMap<String, u64>, DlqError> {
    let mut statement = db.prepare_cached("SELECT name, next FROM segments").map_err(failed)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

fn read(paths: &[PathBuf], offsets: &HashMap<String, u64>) -> Result<Vec<Part>, DlqError> {
    let mut parts = Vec::new();
    let mut room = BATCH;
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(segment) = Segment::open(path)? else { continue };
        let from = offsets.get(&name).copied().unwrap_or(0);
        let stretch = match segment.read(from, room) {
            Ok(stretch) => stretch,
            // A newer build's: it waits for one, and holds up nobody else.
            Err(why) if why.code == "store.schema" => continue,
            Err(why) => return Err(why),
        };
        room -= stretch.frames.len();
        parts.push(Part { name, path: path.clone(), segment, from, stretch });
    }
    Ok(parts)
}

/// A segment that was removed needs no offset.
fn forget_removed(db: &Connection, offsets: &HashMap<String, u64>, paths: &[PathBuf]) -> Result<(), DlqError> {
    let is_there = |name: &str| paths.iter().any(|path| path.ends_with(name));
    for name in offsets.keys().filter(|name| !is_there(name)) {
        db.prepare_cached("DELETE FROM segments WHERE name = ?").and_then(|mut forget| forget.execute([name])).map_err(failed)?;
    }
    Ok(())
}

fn store(db: &Connection, parts: &[Part]) -> Result<(), DlqError> {
    for part in parts {
        let sql = "INSERT INTO segments (name, next) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET next = excluded.next";
        let mut statement = db.prepare_cached(sql).map_err(failed)?;
        statement.execute(params![part.name, part.stretch.next]).map_err(failed)?;
    }
    let mut frames: Vec<&Frame> = parts.iter().flat_map(|part| &part.stretch.frames).collect();
    // By the time of writing, over all writers: of failures that are merged the latest comes last.
    frames.sort_by_key(|frame| frame.record.id);
    for frame in frames {
        // Nobody waits here: the writer was answered long ago.
        let write = Write { durability: Durability::Fsync, by: Instant::now(), now: frame.now, within_retry: frame.within_retry };
        append(db, &frame.record, &write)?;
    }
    Ok(())
}

fn remove_if_done(part: &Part) -> Result<(), DlqError> {
    if !part.segment.is_closed() {
        return Ok(());
    }
    // The writer may have added something before it went.
    let is_done = part.segment.read(part.stretch.next, 1).is_ok_and(|rest| rest.next == part.stretch.next && rest.is_last);
    if !is_done {
        return Ok(());
    }
    match fs::remove_file(&part.path) {
        Ok(()) => Ok(()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(DlqError::failed(format!("store: cannot remove '{}': {why}", part.path.display()))),
    }
}
