//! A process's connections. A forked child finds a pool of its own, so a connection is never shared with it.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use redis::{Cmd, Connection, FromRedisValue, Script, ToRedisArgs};
use seawall_dlq::{DlqError, PerProcess};

use crate::address::Address;
use crate::fault::Fault;

/// The most connections of a process to one store; more threads take turns.
const MOST: usize = 8;
/// The keys' version. It changes when an older build could no longer use them.
const VERSION: &str = "1";
const SCHEMA: &str = "seawall:schema";
const QUEUES: &str = "seawall:queues";

/// A connection in use.
pub(crate) struct Link {
    connection: Connection,
    /// Until when whoever uses it waits.
    by: Instant,
}

impl Link {
    fn open(address: &Address, by: Instant) -> Result<Self, Fault> {
        let connected = address.client.get_connection_with_timeout(left(by)?).map_err(|why| {
            let Fault { why, .. } = Fault::from(why);
            // A server that takes no connection now will take none in a moment.
            Fault {
                why: DlqError { message: format!("{} (connecting to {})", why.message, address.place()), ..why },
                gone: false,
                broken: true,
            }
        });
        let mut link = Self { connection: connected?, by };
        let mut set = redis::cmd("SET");
        set.arg(SCHEMA).arg(VERSION).arg("NX");
        let _: Option<String> = link.ask(&set)?;
        let version: Option<String> = link.ask(redis::cmd("GET").arg(SCHEMA))?;
        match version.as_deref() {
            Some(VERSION) => Ok(link),
            other => Err(DlqError::schema(format!(
                "store: the keys in this Redis have version {}, this build reads and writes version {VERSION}: use a seawall of that version, or another database",
                other.unwrap_or("none")
            ))
            .into()),
        }
    }

    fn hurry(&mut self) -> Result<(), Fault> {
        let left = Some(left(self.by)?);
        self.connection.set_read_timeout(left)?;
        self.connection.set_write_timeout(left)?;
        Ok(())
    }

    /// Asks one command.
    pub(crate) fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Fault> {
        self.hurry()?;
        Ok(command.query(&mut self.connection)?)
    }

    /// Runs a script over a queue.
    pub(crate) fn run<T: FromRedisValue>(&mut self, script: &Script, queue: &str, values: &[impl ToRedisArgs]) -> Result<T, Fault> {
        self.hurry()?;
        let mut call = script.key(format!("seawall:{{{queue}}}:"));
        call.key(QUEUES);
        values.iter().for_each(|value| {
            call.arg(value);
        });
        Ok(call.invoke(&mut self.connection)?)
    }

    /// The names of all queues.
    pub(crate) fn queues(&mut self) -> Result<Vec<String>, Fault> {
        self.ask(redis::cmd("SMEMBERS").arg(QUEUES))
    }
}

fn left(by: Instant) -> Result<Duration, Fault> {
    let left = by.saturating_duration_since(Instant::now());
    // Zero would mean for ever.
    if left < Duration::from_millis(1) { Err(Fault { broken: false, ..Fault::late() }) } else { Ok(left) }
}

#[derive(Default)]
struct Slots {
    idle: Vec<Link>,
    /// Idle and in use.
    open: usize,
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
        }
    }

    /// Runs work on a connection. `may_repeat` says that doing it once more, if nobody knows whether it was done, does no harm.
    pub(crate) fn run<T>(&self, by: Instant, may_repeat: bool, work: impl Fn(&mut Link) -> Result<T, Fault>) -> Result<T, DlqError> {
        let own = self.own.get()?;
        let done = match self.once(own, by, &work) {
            Err(fault) if fault.gone && may_repeat => {
                self.close();
                self.once(own, by, &work)
            }
            done => done,
        };
        done.map_err(|fault| DlqError { message: self.address.without_secrets(fault.why.message), ..fault.why })
    }

    fn once<T>(&self, own: &Own, by: Instant, work: &impl Fn(&mut Link) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut used = Used { own, link: None };
        let done = work(used.take(&self.address, by)?);
        if done.as_ref().is_err_and(|fault| fault.broken) {
            used.link = None;
        }
        done
    }
}

/// A place among a process's connections. Gives it back when dropped.
struct Used<'a> {
    own: &'a Own,
    link: Option<Link>,
}

impl Used<'_> {
    /// An idle connection, or a new one.
    fn take(&mut self, address: &Address, by: Instant) -> Result<&mut Link, Fault> {
        let mut idle = {
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
        if let Some(link) = &mut idle {
            link.by = by;
            // One that the server has closed meanwhile must not be what a change is sent to.
            match link.ask::<String>(&redis::cmd("PING")) {
                Ok(_) => {}
                Err(fault) if fault.gone => idle = None,
                Err(fault) => return Err(fault),
            }
        }
        let link = match idle {
            Some(link) => link,
            None => Link::open(address, by)?,
        };
        Ok(self.link.insert(link))
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        let mut slots = self.own.slots.lock();
        match self.link.take() {
            Some(link) => slots.idle.push(link),
            None => slots.open -= 1,
        }
        self.own.freed.notify_one();
    }
}
