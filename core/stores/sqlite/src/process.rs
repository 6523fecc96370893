//! One connection per process, across `fork` too: a forked child must neither use nor close its parent's.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, ErrorCode};
use seawall_dlq::{DlqError, PerProcess};

use crate::ballast;
use crate::doctor;
use crate::gate::{self, Gate, busy};
use crate::row::failed;
use crate::schema;

/// On whose behalf a connection is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody waits for an answer.
    Asked,
    /// Somebody waits for an answer, and letters are moved into the tables before it.
    Indexing,
    /// Nobody does; this one opens no connection in the moment of a fork.
    Background,
}

/// Until when nothing is opened in the background, in milliseconds of this process.
static QUIET_UNTIL: AtomicU64 = AtomicU64::new(0);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// As long as it may take from being told of a fork to the fork.
const QUIET_MS: u64 = 1000;

fn clock_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Keeps the background from opening connections for a moment.
pub(crate) fn be_quiet() {
    // SeqCst: before the slots' locks are taken, which are what the background looks at this under.
    QUIET_UNTIL.store(clock_ms() + QUIET_MS, Ordering::SeqCst);
}

/// A process's way into the store.
pub(crate) struct Handle {
    connection: Connection,
    gate: Gate,
}

/// The connections of one store.
pub(crate) struct Processes {
    directory: PathBuf,
    handles: PerProcess<Mutex<Option<Handle>>>,
}

impl Processes {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), handles: PerProcess::default() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Closes this process's connection, once whoever uses it is done.
    pub(crate) fn close(&self) {
        if let Ok(handle) = self.handles.get() {
            handle.lock().take();
        }
    }

    /// Runs a read on this process's connection.
    pub(crate) fn read<T>(&self, work: impl Fn(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        self.read_for(Caller::Asked, work)
    }

    pub(crate) fn read_for<T>(&self, caller: Caller, work: impl Fn(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        let mut handle = self.handles.get()?.lock();
        self.with_room(&mut handle, caller, |handle| work(&self.handle(handle, caller)?.connection))
    }

    /// Runs a write in one transaction, which is durable when this returns.
    pub(crate) fn write<T>(&self, by: Instant, work: impl Fn(&Connection) -> Result<T, DlqError>) -> Result<T, DlqError> {
        self.write_for(Caller::Asked, by, work)
    }

    pub(crate) fn write_for<T>(
        &self,
        caller: Caller,
        by: Instant,
        work: impl Fn(&Connection) -> Result<T, DlqError>,
    ) -> Result<T, DlqError> {
        let mut handle = self.handles.get()?.try_lock_until(by).ok_or_else(busy)?;
        let done = self.with_room(&mut handle, caller, |handle| {
            let Handle { connection, gate } = self.handle(handle, caller)?;
            transact(connection, gate, by, &work)
        });
        // Otherwise the thread that has just written takes the lock again before those that wait wake up.
        MutexGuard::unlock_fair(handle);
        done
    }

    /// Does it once more with the ballast's room if the disk is full.
    fn with_room<T>(
        &self,
        slot: &mut Option<Handle>,
        caller: Caller,
        work: impl Fn(&mut Option<Handle>) -> Result<T, DlqError>,
    ) -> Result<T, DlqError> {
        match work(slot) {
            Err(why) if self.is_full(&why) => {
                // Not for moving letters into the tables: those are safe where they are, and whoever answers needs the room more.
                if caller != Caller::Asked || !ballast::release(&self.directory) {
                    return Err(DlqError::full(why.message));
                }
                // SQLite does not always recover what it could not map.
                slot.take();
                work(slot)
            }
            done => done,
        }
    }

    /// Of a full disk SQLite sometimes says no more than that reading or writing failed.
    fn is_full(&self, why: &DlqError) -> bool {
        why.code == "store.full" || (why.code == "store.failed" && doctor::free(&self.directory).is_some_and(|free| free < ballast::LITTLE))
    }

    fn handle<'a>(&self, slot: &'a mut Option<Handle>, caller: Caller) -> Result<&'a mut Handle, DlqError> {
        match slot {
            Some(handle) => Ok(handle),
            // SeqCst: set before a slot was emptied for a fork.
            None if caller == Caller::Background && clock_ms() < QUIET_UNTIL.load(Ordering::SeqCst) => Err(busy()),
            empty => Ok(empty.insert(self.connect()?)),
        }
    }

    fn connect(&self) -> Result<Handle, DlqError> {
        let file = self.directory.join(schema::FILE);
        let connection = Connection::open(&file).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        let (mut gate, by) = (Gate::open(&self.directory, gate::FILE)?, Instant::now() + Duration::from_secs(10));
        adopt(&connection, &mut gate, by, &file)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        transact(&connection, &mut gate, by, |connection| {
            // Another process may have made the tables since.
            if schema::check(connection, &file)? { schema::complete(connection) } else { schema::create(connection) }
        })?;
        ballast::load(&self.directory);
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
