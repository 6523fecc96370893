//! Fair turns among processes.
//!
//! SQLite lets waiting writers poll, and whoever has just committed finds the lock free first: of eight processes that write all
//! the time, some then wait for seconds. So a writer takes the turnstile (a lock on a file of its own), holds it while it waits
//! for SQLite's lock, and lets go once it has that. Whoever commits must queue behind the turnstile again, while the one that
//! holds it is the only process that wants SQLite's lock and gets it next.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use seawall_dlq::DlqError;

use crate::schema::make_file;

/// The file in a store's directory for whoever writes.
pub(crate) const FILE: &str = "turn.lock";

/// One process's side of the turnstile.
pub(crate) struct Gate {
    file: File,
    /// Spreads the polls of processes that began to wait at the same moment.
    jitter: u64,
}

impl Gate {
    pub(crate) fn open(directory: &Path, file: &str) -> Result<Self, DlqError> {
        let path = directory.join(file);
        let file = make_file(&path).map_err(|why| DlqError::failed(format!("store: cannot make '{}': {why}", path.display())))?;
        Ok(Self { file, jitter: u64::from(std::process::id()) | 1 })
    }

    /// Waits for the turn, until `by` at the latest.
    pub(crate) fn enter(&mut self, by: Instant) -> Result<Turn<'_>, DlqError> {
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(Turn { file: Some(&self.file) }),
                // Without such locks SQLite's own polling decides: not fair, but right.
                Err(TryLockError::Error(_)) => return Ok(Turn { file: None }),
                Err(TryLockError::WouldBlock) if Instant::now() >= by => return Err(busy()),
                Err(TryLockError::WouldBlock) => {
                    let pause = self.pause();
                    std::thread::sleep(pause);
                }
            }
        }
    }

    /// 50 to 306 microseconds, about a commit's length. The same for old and new waiters, so that waiting long is no handicap.
    fn pause(&mut self) -> Duration {
        // Xorshift: it need not be good, only different in each process.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        Duration::from_micros(50 + (self.jitter & 0xff))
    }
}

/// The turn. Ends when dropped, or with its process.
pub(crate) struct Turn<'a> {
    file: Option<&'a File>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file {
            // Only a closed file cannot be unlocked, and then the lock is gone too.
            let _ = file.unlock();
        }
    }
}

pub(crate) fn busy() -> DlqError {
    DlqError::busy("store: other writers held it for the whole write timeout; give a longer one, or look for a process that is stopped")
}
