//! What can go wrong, as a code that is the same in every language and a message that says what would be right.

/// An error of the dead-letter room. `code` is one of `config.invalid`, `store.unsupported`, `store.schema`, `store.busy`,
/// `store.full`, `store.failed` and `store.key`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DlqError {
    /// The machine-readable cause.
    pub code: &'static str,
    /// The sentence for people: the place, what is wrong with it, what would be right.
    pub message: String,
}

impl DlqError {
    /// Something that the caller wrote is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: "config.invalid", message: message.into() }
    }

    /// No store of this kind, or the store cannot do that.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { code: "store.unsupported", message: message.into() }
    }

    /// Bytes or tables of a version that this build does not understand.
    #[must_use]
    pub fn schema(message: impl Into<String>) -> Self {
        Self { code: "store.schema", message: message.into() }
    }

    /// Other writers held the store for longer than this one may wait.
    #[must_use]
    pub fn busy(message: impl Into<String>) -> Self {
        Self { code: "store.busy", message: message.into() }
    }

    /// No space left for the store.
    #[must_use]
    pub fn full(message: impl Into<String>) -> Self {
        Self { code: "store.full", message: message.into() }
    }

    /// A letter is encrypted under a key that was not given, or was given wrong.
    #[must_use]
    pub fn key(message: impl Into<String>) -> Self {
        Self { code: "store.key", message: message.into() }
    }

    /// The store failed for a reason of its own.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: "store.failed", message: message.into() }
    }
}
