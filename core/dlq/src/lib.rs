//! Dead letters: failed calls on record, waiting for their second chance.
//!
//! The bindings need two types. [`Queue`] puts, reads, groups, parks and purges letters; [`Redrive`] delivers them again, one
//! [`Step`](Redrive::next) at a time, by lease and fencing token. Both speak JSON texts, so that a binding stays glue:
//!
//! ```
//! use seawall_dlq::{Queue, Redrive};
//!
//! let queue = Queue::open("orders", "memory:")?;
//! let id = queue.put(r#"{"payload": {"order": 7}, "error": {"type": "Timeout", "message": "no answer"}}"#)?;
//! assert!(queue.get(&id)?.is_some());
//!
//! let redrive = Redrive::new(&queue, r#"{"rate": "10/s"}"#, 0)?;
//! let step = redrive.next(0)?; // {"deliver": {…the letter…}, "token": 1}
//! assert!(step.contains("deliver"));
//! redrive.delivered(1, true, None, 5)?;
//! assert_eq!(redrive.next(100)?, r#"{"done":{"ok":1,"failed":0,"skipped":0,"remaining":0,"stopped":null}}"#);
//! # Ok::<(), seawall_dlq::DlqError>(())
//! ```
//!
//! Where letters are kept is a [`DeadLetterStore`]. `memory:` is built in; others announce themselves with [`register_store`].
//! Records are MessagePack maps ([`Record`]), the same bytes in every store and from every language.
#![forbid(unsafe_code)]

mod chain;
mod error;
mod export;
mod failure;
mod fingerprint;
pub mod fork;
mod job;
mod keys;
mod lenient;
mod letter;
mod limits;
pub mod log;
mod memory;
mod metrics;
mod options;
mod pace;
mod per_process;
mod query;
mod queue;
mod record;
mod redact;
mod redact_json;
mod redact_text;
mod redrive;
mod registry;
mod ring;
mod running;
mod seal;
mod store;
mod time;
mod view;

pub use self::ring::{abandon, flush};
pub use chain::write_closed;
pub use error::DlqError;
pub use failure::{Attempt, Attempts, Cause, Failure, Frame};
pub use keys::hold_keys;
pub use memory::MemoryStore;
pub use metrics::{Metric, Reading, metrics};
pub use per_process::PerProcess;
pub use query::{Query, Standing};
pub use queue::Queue;
pub use record::{Origin, Record, RecordId, Redaction, SCHEMA, State, Times};
pub use redrive::Redrive;
pub use registry::{default_store_url, register_store, store_at};
pub use seal::Seal;
pub use store::{
    Appended, Caps, Claim, ClaimRequest, DeadLetterStore, Durability, ENDED_JOBS, End, Evict, Finding, Group, Nack, Outcome, Page, Purged,
    Refailed, Stats, StoredJob, Token, Usage, Write,
};
