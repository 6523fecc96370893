//! A process's connections. A forked child finds a pool of its own, so a connection is never shared with it.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use seawall_dlq::{DlqError, PerProcess};

use crate::address::Address;
use crate::connection::Connection;
use crate::fault::{Again, Fault};
use crate::schema;

/// The most connections of a process to one store; more threads take turns.
const MOST: usize = 8;
/// How often a piece of work is tried.
const TRIES: usize = 4;

#[derive(Default)]
struct Slots {
    idle: Vec<Connection>,
    /// Idle and in use.
    open: usize,
    /// Whether the tables were found to be there.
    prepared: bool,
}

#[derive(Default)]
struct Own {
    slots: Mutex<Slots>,
    freed: Condvar,
}

/// The way to one store.
pub(crate) struct Pool {
    pub(crate) address: Address,
    own: PerProcess<Own>,
}

impl Pool {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, own: PerProcess::default() }
    }

    /// Closes what nobody uses.
    pub(crate) fn close(&self) {
        if let Ok(own) = self.own.get() {
            let mut slots = own.slots.lock();
            slots.open -= slots.idle.len();
            slots.idle.clear();
            slots.prepared = false;
        }
    }

    /// Runs work on a connection, again where that may help.
    pub(crate) fn run<T: Send>(&self, by: Instant, work: impl Fn(&mut Connection) -> Result<T, Fault> + Sync) -> Result<T, DlqError> {
        let clean = |why: DlqError| DlqError { message: self.address.without_secrets(why.message), ..why };
        if tokio::runtime::Handle::try_current().is_err() {
            return self.tries(by, &work).map_err(clean);
        }
        // A thread that drives a runtime must not wait in another one.
        let apart = std::thread::scope(|scope| scope.spawn(|| self.tries(by, &work)).join());
        apart.unwrap_or_else(|_| Err(DlqError::failed("store: the thread that asked PostgreSQL did not end well"))).map_err(clean)
    }

    fn tries<T>(&self, by: Instant, work: &impl Fn(&mut Connection) -> Result<T, Fault>) -> Result<T, DlqError> {
        let own = self.own.get()?;
        let mut tried = 1;
        loop {
            let fault = match self.once(own, by, work) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            if fault.again == Again::Never || tried == TRIES || Instant::now() >= by {
                return Err(fault.why);
            }
            if fault.again == Again::Fresh {
                // Whatever ended this one has most likely ended those that lie idle.
                self.close();
            } else {
                // Whoever won has to get ahead first.
                std::thread::sleep(Duration::from_millis(1 << tried));
            }
            tried += 1;
        }
    }

    fn once<T>(&self, own: &Own, by: Instant, work: &impl Fn(&mut Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut used = Used { own, connection: None };
        let connection = used.take(&self.address, by)?;
        if !own.slots.lock().prepared {
            let prepared = schema::prepare(connection);
            used.settle(prepared)?;
            own.slots.lock().prepared = true;
        }
        let Some(connection) = &mut used.connection else { return Err(DlqError::failed("store: no connection").into()) };
        let done = work(connection);
        used.settle(done)
    }
}

/// A place among a process's connections. Gives it back when dropped.
struct Used<'a> {
    own: &'a Own,
    connection: Option<Connection>,
}

impl Used<'_> {
    /// An idle connection, or a new one.
    fn take(&mut self, address: &Address, by: Instant) -> Result<&mut Connection, Fault> {
        let idle = {
            let mut slots = self.own.slots.lock();
            loop {
                if let Some(idle) = slots.idle.pop() {
                    break Some(idle);
                }
                if slots.open < MOST {
                    slots.open += 1;
                    break None;
                }
                if self.own.freed.wait_until(&mut slots, by).timed_out() {
                    // This place was never taken.
                    slots.open += 1;
                    return Err(Fault { broken: false, ..Fault::late() });
                }
            }
        };
        let awake = idle.and_then(|mut idle| idle.wake(by).then_some(idle));
        let connection = match awake {
            Some(awake) => awake,
            None => Connection::open(address, by)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Drops a connection that is of no more use.
    fn settle<T>(&mut self, done: Result<T, Fault>) -> Result<T, Fault> {
        if done.as_ref().is_err_and(|fault| fault.broken) {
            self.connection = None;
        }
        done
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        let mut slots = self.own.slots.lock();
        match self.connection.take() {
            Some(connection) => slots.idle.push(connection),
            None => slots.open -= 1,
        }
        self.own.freed.notify_one();
    }
}
