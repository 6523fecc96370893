//! How a guarded call fails.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use seawall_engine::table::errors::ERRORS;
use seawall_runtime::ids;

pub use seawall_runtime::ConfigError;

/// How a guarded call failed: the callee's own error, or one of ours.
///
/// When retries are used up, the callee's last error is given as it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The callee's own error.
    Callee(E),
    /// The call was turned away; the callee was not called.
    Rejected(Rejection),
    /// A limit passed.
    Timeout(TimeoutExceeded<E>),
    /// Chaos put a fault in the callee's place, and the policy names none of its own.
    Injected(Injected),
    /// The policy cannot guard this call.
    Config(ConfigError),
    /// What a fallback is told when `on_result` has rejected the result. Without an answer the result is returned.
    ResultRejected,
}

impl<E> Error<E> {
    /// The stable, dotted code, such as `circuit.open`; none for the callee's own error.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Callee(_) => None,
            Self::Rejected(rejection) => Some(rejection.code()),
            Self::Timeout(timeout) => Some(timeout.code()),
            Self::Injected(_) => Some("chaos.injected"),
            Self::Config(error) => Some(error.code),
            Self::ResultRejected => Some("result.rejected"),
        }
    }

    /// The callee's error: this one, or the last before a limit passed.
    #[must_use]
    pub fn callee(&self) -> Option<&E> {
        match self {
            Self::Callee(error) => Some(error),
            Self::Timeout(timeout) => timeout.cause(),
            _ => None,
        }
    }

    /// The same, by value.
    #[must_use]
    pub fn into_callee(self) -> Option<E> {
        match self {
            Self::Callee(error) => Some(error),
            Self::Timeout(timeout) => timeout.cause,
            _ => None,
        }
    }

    /// The rejection, if it is one.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        if let Self::Rejected(rejection) = self { Some(rejection) } else { None }
    }
}

/// What every error of ours carries.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) code: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) key: Option<Box<str>>,
    /// Minted when it is asked for, if nothing has told it before.
    pub(crate) correlation_id: OnceLock<Box<str>>,
}

impl About {
    #[inline]
    pub(crate) fn new(code: &'static str, policy: &'static str, key: Option<&str>, correlation_id: Option<&str>) -> Self {
        let known = OnceLock::new();
        if let Some(id) = correlation_id {
            let _ = known.set(id.into());
        }
        Self { code, policy, key: key.map(Into::into), correlation_id: known }
    }

    fn correlation_id(&self) -> &str {
        self.correlation_id.get_or_init(|| ids::mint().into())
    }
}

/// A call that was turned away.
#[derive(Debug)]
pub struct Rejection {
    pub(crate) about: About,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Rejection {
    /// The stable code: `circuit.open`, `circuit.isolated`, `circuit.throttled`, `bulkhead.full` or `rate.limited`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.about.code
    }

    /// The policy's name; empty if it has none.
    #[must_use]
    pub fn policy(&self) -> &'static str {
        self.about.policy
    }

    /// The key of the call.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.about.key.as_deref()
    }

    /// When another call makes sense, if that is known. In whole milliseconds, rounded up.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// The id that ties this error to events, log lines and other services.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.about.correlation_id()
    }

    /// The HTTP status with which a service would answer: 503, or 429 for the rate limit.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        ERRORS.iter().find(|row| row.code == self.about.code).map_or(503, |row| row.http_status)
    }
}

/// A limit that passed.
#[derive(Debug)]
pub struct TimeoutExceeded<E> {
    pub(crate) about: About,
    pub(crate) cause: Option<E>,
}

impl<E> TimeoutExceeded<E> {
    /// The stable code: `timeout.attempt`, `timeout.total` or `timeout.deadline`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.about.code
    }

    /// The policy's name; empty if it has none.
    #[must_use]
    pub fn policy(&self) -> &'static str {
        self.about.policy
    }

    /// The key of the call.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.about.key.as_deref()
    }

    /// The id that ties this error to events, log lines and other services.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.about.correlation_id()
    }

    /// The callee's last error before the limit passed.
    #[must_use]
    pub fn cause(&self) -> Option<&E> {
        self.cause.as_ref()
    }
}

/// A fault that chaos injected.
#[derive(Debug)]
pub struct Injected {
    pub(crate) about: About,
}

impl Injected {
    /// The policy's name; empty if it has none.
    #[must_use]
    pub fn policy(&self) -> &'static str {
        self.about.policy
    }

    /// The id that ties this error to events, log lines and other services.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.about.correlation_id()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: the call was turned away by policy {:?}", self.about.code, self.about.policy)?;
        match self.retry_after_ms {
            Some(ms) => write!(out, "; another makes sense in {ms} ms"),
            None => Ok(()),
        }
    }
}

impl<E> fmt::Display for TimeoutExceeded<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: a limit of policy {:?} has passed", self.about.code, self.about.policy)
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "chaos.injected: a fault of policy {:?}", self.about.policy)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callee(error) => error.fmt(out),
            Self::Rejected(rejection) => rejection.fmt(out),
            Self::Timeout(timeout) => timeout.fmt(out),
            Self::Injected(injected) => injected.fmt(out),
            Self::Config(error) => error.fmt(out),
            Self::ResultRejected => out.write_str("result.rejected: `on_result` rejected the result"),
        }
    }
}

impl std::error::Error for Rejection {}
impl std::error::Error for Injected {}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The callee's error stands for itself, so its source is the source.
            Self::Callee(error) => error.source(),
            Self::Rejected(rejection) => Some(rejection),
            Self::Timeout(timeout) => timeout.cause.as_ref().map(|cause| cause as _),
            Self::Injected(injected) => Some(injected),
            Self::Config(error) => Some(error),
            Self::ResultRejected => None,
        }
    }
}
