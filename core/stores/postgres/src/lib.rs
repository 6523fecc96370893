//! The dead-letter store in a PostgreSQL database, for all services that share it. PostgreSQL 12 or later.
//!
//! ```no_run
//! seawall_store_postgres::register();
//! let queue = seawall_dlq::Queue::open("orders", "postgresql://shop@db.example/shop")?;
//! # Ok::<(), seawall_dlq::DlqError>(())
//! ```
//!
//! The URL is that of libpq, but for TLS: it is used and its certificate verified whatever the `sslmode`, except `disable`, except through a Unix
//! socket, and, unless the URL says otherwise, except on this machine. `sslrootcert` names a file of authorities (PEM) to trust instead of the system's.
//!
//! Tables `seawall_*` are made on first use, in the first schema of the search path. Nothing is opened before a verb needs it, so a queue can be opened
//! while its server is away.
#![forbid(unsafe_code)]

mod address;
mod append;
mod connection;
mod doctor;
mod fault;
mod jobs;
mod limits;
mod pool;
mod row;
mod schema;
mod select;
mod store;
mod tls;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use seawall_dlq::{DeadLetterStore, DlqError};

pub use store::PostgresStore;

/// One store per URL and process, so that its queues share connections.
static OPEN: LazyLock<Mutex<HashMap<String, Arc<PostgresStore>>>> = LazyLock::new(Mutex::default);

/// Serves `postgresql:` and `postgres:` URLs. Call once per process, before the first queue is opened; calling again is harmless.
pub fn register() {
    for scheme in ["postgresql", "postgres"] {
        seawall_dlq::register_store(scheme, |url| Ok(open(url)? as Arc<dyn DeadLetterStore>));
    }
}

/// The store at a URL. Connects to nothing yet.
///
/// # Errors
/// `config.invalid` for a URL that says nothing sensible. The error repeats nothing of it that may be secret.
pub fn open(url: &str) -> Result<Arc<PostgresStore>, DlqError> {
    let mut open = OPEN.lock();
    if let Some(store) = open.get(url) {
        return Ok(store.clone());
    }
    let store = Arc::new(PostgresStore::new(address::Address::parse(url)?));
    open.insert(url.to_owned(), store.clone());
    Ok(store)
}

/// Closes the connections of this process that nobody uses; the next use opens its own. Call it right before a `fork`, so that the child's copies do
/// not keep the server's side open.
pub fn close_all() {
    let stores: Vec<Arc<PostgresStore>> = OPEN.lock().values().cloned().collect();
    stores.iter().for_each(|store| store.close());
}
