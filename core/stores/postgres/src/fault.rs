//! What a failed statement means: for the caller, for the connection, and for whoever would try again.

use std::error::Error as _;

use seawall_dlq::DlqError;
use tokio_postgres::Error;

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// The answer would be the same.
    Never,
    /// The server has undone it in favour of another transaction.
    Conflict,
    /// The connection is gone, and nothing was committed, or what was may be committed again.
    Fresh,
}

/// A failure inside a piece of work.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) why: DlqError,
    pub(crate) again: Again,
    /// Whether the connection is of no more use.
    pub(crate) broken: bool,
}

impl From<DlqError> for Fault {
    fn from(why: DlqError) -> Self {
        Self { why, again: Again::Never, broken: false }
    }
}

impl Fault {
    /// No answer in time. What the server still does with it is unknown.
    pub(crate) fn late() -> Self {
        let why = DlqError::busy("store: PostgreSQL did not answer within the write timeout; it may be overloaded, stopped or unreachable");
        Self { why, again: Again::Never, broken: true }
    }

    /// The connection failed when a commit was under way: only what may be done twice is tried again.
    pub(crate) fn at_commit(self, may_repeat: bool) -> Self {
        let again = if self.again == Again::Fresh && !may_repeat { Again::Never } else { self.again };
        Self { again, ..self }
    }
}

impl From<Error> for Fault {
    fn from(why: Error) -> Self {
        let Some(told) = why.as_db_error() else {
            return Self { why: DlqError::failed(format!("store: PostgreSQL: {}", chain(&why))), again: Again::Fresh, broken: true };
        };
        let state = told.code().code();
        // The message alone: details may repeat a letter's contents.
        let text = format!("store: PostgreSQL says: {} (SQLSTATE {state})", told.message());
        let (error, again) = match state {
            "40001" | "40P01" => (DlqError::busy(text), Again::Conflict),
            // Going down, coming up, asked to end this session; or somebody has removed the tables, which the next try makes anew.
            "57P01" | "57P02" | "57P03" | "42P01" => (DlqError::failed(text), Again::Fresh),
            "53100" | "53200" => (DlqError::full(text), Again::Never),
            "53300" | "55P03" | "57014" => (DlqError::busy(text), Again::Never),
            _ => (DlqError::failed(text), Again::Never),
        };
        Self { why: error, again, broken: again == Again::Fresh }
    }
}

/// An error and its causes, in a line.
fn chain(why: &Error) -> String {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
