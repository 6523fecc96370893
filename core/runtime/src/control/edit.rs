//! Changing the control file: under a lock, whole, and renamed into place.

use std::fs::{File, TryLockError};
use std::io;

use super::book::Book;
use super::place::{Place, put, system};
use crate::config::ConfigError;

/// Changes the file by `change`, which may refuse. Waits while somebody else changes it.
///
/// # Errors
/// If the place may not be trusted or written, if the file there is malformed, or as `change` says.
pub fn edit<T>(place: &Place, change: impl FnOnce(&mut Book) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
    let lock = lock_file(place)?;
    lock.lock().map_err(|why| error(place, &format!("cannot be locked: {why}")))?;
    locked(place, change)
}

/// The same, unless somebody else changes it just now.
pub(super) fn try_edit<T>(place: &Place, change: impl FnOnce(&mut Book) -> Result<T, ConfigError>) -> Result<Option<T>, ConfigError> {
    let lock = lock_file(place)?;
    match lock.try_lock() {
        Ok(()) => locked(place, change).map(Some),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(why)) => Err(error(place, &format!("cannot be locked: {why}"))),
    }
}

/// The lock is another file, for the one that is read is replaced each time. It goes with the file's end.
fn lock_file(place: &Place) -> Result<File, ConfigError> {
    place.make().map_err(|why| ConfigError::new("", why))?;
    let mut options = system::open_options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened: io::Result<File> = options.read(true).write(true).create(true).truncate(false).open(place.dir().join("lock"));
    opened.map_err(|why| error(place, &format!("cannot be locked: {why}")))
}

fn locked<T>(place: &Place, change: impl FnOnce(&mut Book) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
    let before = Book::read(place)?;
    let mut book = before.clone();
    book.prune();
    let done = change(&mut book)?;
    book.entries.iter().try_for_each(super::book::Entry::check)?;
    book.check()?;
    if book != before {
        super::receipt::sweep(place);
        put(&place.file(), &book.text(), true).map_err(|why| error(place, &format!("cannot be written: {why}")))?;
    }
    Ok(done)
}

fn error(place: &Place, why: &str) -> ConfigError {
    ConfigError::new(place.file().display().to_string(), why)
}
