//! The embedded dead-letter store: a directory with a log that is durable at acknowledgement, and one SQLite file that knows its letters;
//! for several processes at once.
//!
//! ```no_run
//! seawall_store_sqlite::register();
//! let queue = seawall_dlq::Queue::open("orders", "sqlite:///var/letters")?; // below the current directory
//! # Ok::<(), seawall_dlq::DlqError>(())
//! ```
//!
//! The directory is made with mode 0700 and its files with 0600. Nothing else should open them: another copy of SQLite in the
//! same process would drop this one's locks.
#![forbid(unsafe_code)]

mod background;
mod ballast;
mod doctor;
mod gate;
mod ingest;
mod jobs;
mod limits;
mod process;
mod row;
mod schema;
mod select;
mod store;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use seawall_dlq::{DeadLetterStore, DlqError};

pub use store::SqliteStore;

/// One store per directory and process, so that its threads share a connection.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Arc<SqliteStore>>>> = LazyLock::new(Mutex::default);

/// Serves `sqlite:` URLs. Call once per process, before the first queue is opened; calling again is harmless.
pub fn register() {
    seawall_dlq::register_store("sqlite", open_url);
}

/// The store in a directory, which is made if need be. Opened once per process.
///
/// # Errors
/// `store.schema` if the directory holds another version's files, `store.failed` if it cannot be used.
pub fn open(directory: &Path) -> Result<Arc<SqliteStore>, DlqError> {
    let directory = schema::prepare(directory)?;
    let mut open = OPEN.lock();
    if let Some(store) = open.get(&directory) {
        // Somebody may have removed the files meanwhile; then the open store writes into nothing.
        if store.still_there() {
            return Ok(store.clone());
        }
    }
    let store = Arc::new(SqliteStore::open(&directory)?);
    open.insert(directory, store.clone());
    Ok(store)
}

/// Closes what this process has open; the next use of a store opens its own again. Call it right before a `fork`: SQLite keeps notes
/// about its open files per process, and a child that inherits them believes that it holds its parent's locks.
pub fn close_all() {
    process::be_quiet();
    // Not under the lock: a store's own lock may be held for as long as a write waits.
    let stores: Vec<Arc<SqliteStore>> = OPEN.lock().values().cloned().collect();
    stores.iter().for_each(|store| store.close());
}

fn open_url(url: &str) -> Result<Arc<dyn DeadLetterStore>, DlqError> {
    let directory = url.strip_prefix("sqlite:///").filter(|directory| !directory.is_empty()).ok_or_else(|| {
        DlqError::invalid(format!(
            "store: '{url}' names no directory; write 'sqlite:///dir' for one below the current directory, 'sqlite:////dir' for an absolute one"
        ))
    })?;
    Ok(open(Path::new(directory))?)
}
