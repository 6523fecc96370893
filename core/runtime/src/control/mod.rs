//! The control file: what somebody asked of every process of a user on this host, from a shell, while they run.
//!
//! | entry | what each process does with it |
//! |---|---|
//! | `chaos` | lays the experiment over the policy, if the process was started with `SEAWALL_CHAOS=allow`; takes it away at its end |
//! | `isolate` | holds the policy's circuit open until the entry expires or is gone |
//! | `reset` | closes the policy's circuit, once |
//!
//! One file for each host and user, written whole by whoever holds its lock and renamed into place, so that a reader finds the old one
//! or the new one. Each process looks at it some times a second, off the path of calls ([`Follower`]); what it did is left beside the file as a
//! receipt, which the next reader adds up. Every entry has an end, an author and a reason. Decisions: docs/adr/0020-control-file.md.

mod book;
mod edit;
mod follow;
mod overlay;
mod place;
mod receipt;
mod report;

pub use book::{Book, Ended, Entry, Kind, LONGEST_CHAOS_MS, LONGEST_HOLD_MS, draw_seed};
pub use edit::edit;
pub(crate) use follow::inherited;
pub use follow::{Follower, is_on, look};
pub(crate) use overlay::Strikes;
pub use place::Place;
pub use receipt::{Receipt, entry_of, keep_entry, latest, receipts};
pub use report::{Report, report};
