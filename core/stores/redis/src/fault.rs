//! What a failed command means.

use redis::RedisError;
use seawall_dlq::DlqError;

/// A failure of a command.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) why: DlqError,
    /// The connection is gone: what may be done twice is worth another try.
    pub(crate) gone: bool,
    /// The connection is of no more use.
    pub(crate) broken: bool,
}

impl From<DlqError> for Fault {
    fn from(why: DlqError) -> Self {
        Self { why, gone: false, broken: false }
    }
}

impl Fault {
    /// No answer in time. What the server still does with it is unknown.
    pub(crate) fn late() -> Self {
        let why = DlqError::busy("store: Redis did not answer within the write timeout; it may be overloaded, stopped or unreachable");
        Self { why, gone: false, broken: true }
    }
}

impl From<RedisError> for Fault {
    fn from(why: RedisError) -> Self {
        if why.is_timeout() {
            return Self::late();
        }
        let text = format!("store: Redis: {why}");
        if why.is_io_error() || why.is_unrecoverable_error() {
            return Self { why: DlqError::failed(text), gone: true, broken: true };
        }
        let error = match why.code() {
            Some("OOM") => DlqError::full("store: Redis has no memory left for the letter (maxmemory)"),
            Some("BUSY" | "TRYAGAIN") => DlqError::busy(text),
            _ if text.contains("OOM command not allowed") => DlqError::full("store: Redis has no memory left for the letter (maxmemory)"),
            _ => DlqError::failed(text),
        };
        Self { why: error, gone: false, broken: false }
    }
}
