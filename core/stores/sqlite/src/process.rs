//! One connection per process, across `fork` too.
//!
//! A forked child must neither use nor close its parent's connection, and a lock that another thread of the parent held at that
//! moment stays locked in the child for ever. So each process finds a slot of its own by its id and never touches another's.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, ErrorCode};
use seawall_dlq::{DlqError, Durability};

use crate::gate::{Gate, busy};
use crate::row::failed;
use crate::schema;

/// Generations of forks that one store can follow.
const SLOTS: usize = 8;

#[derive(Default)]
struct Slot {
    /// Zero: nobody's.
    pid: AtomicU32,
    handle: Mutex<Option<Handle>>,
}

/// A process's way into the store.
pub(crate) struct Handle {
    connection: Connection,
    gate: Gate,
}

/// The slots of one store.
pub(crate) struct Processes {
    directory: PathBuf,
    slots: [Slot; SLOTS],
}

impl Processes {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), slots: Default::default() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn slot(&self) -> Result<&Slot, DlqError> {
        let pid = std::process::id();
        for slot in &self.slots {
            // Slots fill up in order, so ours comes before the first that is free.
            let took = slot.pid.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Acquire);
            if took.is_ok() || took == Err(pid) {
                return Ok(slot);
            }
        }
        Err(DlqError::failed(format!("store: opened before {SLOTS} forks in a row; open the queue in the process that uses it")))
    }

    /// Closes this process's connection, once whoever uses it is done.
    pub(crate) fn close(&self) {
        if let Ok(slot) = self.slot() {
            slot.handle.lock().take();
        }
    }

    /// Runs a read on this process's connection.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        let mut handle = self.slot()?.handle.lock();
        work(&self.handle(&mut handle)?.connection)
    }

    /// Runs a write in one transaction, which is durable when this returns.
    pub(crate) fn write<T>(
        &self,
        durability: Durability,
        by: Instant,
        work: impl FnOnce(&Connection) -> Result<T, DlqError>,
    ) -> Result<T, DlqError> {
        let slot = self.slot()?;
        let mut handle = slot.handle.try_lock_until(by).ok_or_else(busy)?;
        let Handle { connection, gate } = self.handle(&mut handle)?;
        if durability == Durability::Os {
            connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        }
        let done = transact(connection, gate, by, work);
        if durability == Durability::Os {
            connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        }
        // Otherwise the thread that has just written takes the lock again before those that wait wake up.
        MutexGuard::unlock_fair(handle);
        done
    }

    fn handle<'a>(&self, slot: &'a mut Option<Handle>) -> Result<&'a mut Handle, DlqError> {
        match slot {
            Some(handle) => Ok(handle),
            empty => Ok(empty.insert(self.connect()?)),
        }
    }

    fn connect(&self) -> Result<Handle, DlqError> {
        let file = self.directory.join(schema::FILE);
        let connection = Connection::open(&file).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        let (mut gate, by) = (Gate::open(&self.directory)?, Instant::now() + Duration::from_secs(10));
        adopt(&connection, &mut gate, by, &file)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        transact(&connection, &mut gate, by, |connection| {
            // Another process may have made the tables since.
            if schema::check(connection, &file)? { Ok(()) } else { schema::create(connection) }
        })?;
        Ok(Handle { connection, gate })
    }
}

/// Makes sure that the file is ours or new, and switches it to WAL. One process at a time: SQLite does not wait for the lock that
/// the switch needs.
fn adopt(connection: &Connection, gate: &mut Gate, by: Instant, file: &Path) -> Result<(), DlqError> {
    let _turn = gate.enter(by)?;
    // Before anything is changed, and in one transaction: another process may be making the tables.
    let reading = connection.unchecked_transaction().map_err(failed)?;
    schema::check(connection, file)?;
    reading.finish().map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)
}

fn transact<T>(
    connection: &Connection,
    gate: &mut Gate,
    by: Instant,
    work: impl FnOnce(&Connection) -> Result<T, DlqError>,
) -> Result<T, DlqError> {
    begin(connection, gate, by)?;
    let done = work(connection).and_then(|value| connection.execute_batch("COMMIT").map_err(failed).map(|()| value));
    if done.is_err() && !connection.is_autocommit() {
        // The error that led here says more than one of the rollback could.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

fn begin(connection: &Connection, gate: &mut Gate, by: Instant) -> Result<(), DlqError> {
    let _turn = gate.enter(by)?;
    connection.busy_timeout(Duration::ZERO).map_err(failed)?;
    let begun = loop {
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Err(rusqlite::Error::SqliteFailure(why, _)) if why.code == ErrorCode::DatabaseBusy => {
                if Instant::now() >= by {
                    break Err(busy());
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            begun => break begun.map_err(failed),
        }
    };
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    begun
}
