//! The dead-letter store in a Redis, for all services that share it. Redis 6.2 or later, or Valkey; no cluster.
//!
//! ```no_run
//! seawall_store_redis::register();
//! let queue = seawall_dlq::Queue::open("orders", "rediss://:password@cache.example/0")?;
//! # Ok::<(), seawall_dlq::DlqError>(())
//! ```
//!
//! `rediss:` speaks TLS, and the server's certificate is always verified, against the authorities in `?cacert=FILE` (PEM) or the system's. Beyond this machine
//! `redis:` goes in the clear, as its name says.
//!
//! What is acknowledged is as durable as the server makes it: with `appendonly yes` and `appendfsync always` it survives the server's machine, with
//! `everysec` all but the last second does. [`doctor`](seawall_dlq::DeadLetterStore::doctor) tells of less. Each verb is one script or several that each look at
//! some hundred letters, so that nobody else waits long for the server.
#![forbid(unsafe_code)]

mod address;
mod append;
mod connection;
mod doctor;
mod fault;
mod jobs;
mod row;
mod script;
mod select;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use seawall_dlq::{DeadLetterStore, DlqError};

pub use store::RedisStore;

/// One store per URL and process, so that its queues share connections.
static OPEN: LazyLock<Mutex<HashMap<String, Arc<RedisStore>>>> = LazyLock::new(Mutex::default);

/// Serves `redis:` and `rediss:` URLs. Call once per process, before the first queue is opened; calling again is harmless.
pub fn register() {
    for scheme in ["redis", "rediss"] {
        seawall_dlq::register_store(scheme, |url| Ok(open(url)? as Arc<dyn DeadLetterStore>));
    }
}

/// The store at a URL. Connects to nothing yet.
///
/// # Errors
/// `config.invalid` for a URL that says nothing sensible. The error repeats nothing of it that may be secret.
pub fn open(url: &str) -> Result<Arc<RedisStore>, DlqError> {
    let mut open = OPEN.lock();
    if let Some(store) = open.get(url) {
        return Ok(store.clone());
    }
    let store = Arc::new(RedisStore::new(address::Address::parse(url)?));
    open.insert(url.to_owned(), store.clone());
    Ok(store)
}

/// Closes the connections of this process that nobody uses; the next use opens its own. Call it right before a `fork`, so that the child's copies do
/// not keep the server's side open.
pub fn close_all() {
    let stores: Vec<Arc<RedisStore>> = OPEN.lock().values().cloned().collect();
    stores.iter().for_each(|store| store.close());
}
