//! The error and the attempts of a letter, bounded so that no record grows from redrive to redrive.

use rmpv::Value;
use serde::{Deserialize, Serialize};

use crate::fingerprint;
use crate::lenient;
use crate::record::Extra;
use crate::seal::Seal;

/// The longest message kept, in bytes.
const MESSAGE_BYTES: usize = 8 * 1024;
/// The longest message of an attempt kept, in bytes: ten of them should stay small beside the error.
const ATTEMPT_BYTES: usize = 1024;
/// The longest stack kept, in bytes.
const STACK_BYTES: usize = 32 * 1024;
/// The longest chain of causes kept.
const CAUSES: usize = 5;
/// The most frames kept.
const FRAMES: usize = 32;

/// One link of the chain behind an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// The class.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it said.
    pub message: String,
    /// Its code, if it has one.
    #[serde(deserialize_with = "lenient::code", skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One frame of a stack, without line numbers, so that an edit of the file does not make a new group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// The module or file.
    pub module: String,
    /// The function.
    pub function: String,
    /// Whether it is the application's own code. Unsaid counts as its own only if no frame says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_app: Option<bool>,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The error that ended a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The class, with its module where the language has one.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it said, redacted.
    pub message: String,
    /// Our code, an errno or a Node code; a number becomes a text.
    #[serde(deserialize_with = "lenient::code", skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The stack as the language prints it, redacted; a list of lines is joined.
    #[serde(deserialize_with = "lenient::lines", skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// What caused it, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// The frames, innermost (where it was raised) first; they decide the group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// Whether the classifier would have tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Failures with the same fingerprint are one group. Computed here, never taken from the caller.
    pub fingerprint: String,
    /// The rule that computed it.
    #[serde(rename = "fpv")]
    pub fingerprint_version: u32,
    /// What it said, encrypted.
    #[serde(rename = "_seal", skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// For the attempt that a redrive was: its message, encrypted.
    #[serde(skip)]
    pub(crate) brief: Option<Seal>,
    /// What a newer writer added.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Failure {
    /// Cuts everything to a multiple of its bound. Before redaction twice the bound bounds its work; a secret that this cut
    /// takes apart lies beyond the last cut.
    pub(crate) fn cut(&mut self, times: usize) {
        truncate(&mut self.message, times * MESSAGE_BYTES);
        if let Some(stack) = &mut self.stack {
            truncate(stack, times * STACK_BYTES);
        }
        self.causes.truncate(CAUSES);
        for cause in &mut self.causes {
            truncate(&mut cause.message, times * MESSAGE_BYTES);
        }
        self.frames.truncate(FRAMES);
    }

    /// Cuts everything to its bound, then computes the fingerprint. Call after redaction.
    pub(crate) fn settle(&mut self) {
        self.cut(1);
        self.fingerprint = fingerprint::of(self);
        self.fingerprint_version = fingerprint::VERSION;
    }
}

/// One try of the call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// Counted from 1 over the letter's whole life.
    #[serde(rename = "n", alias = "number", deserialize_with = "lenient::number")]
    pub number: u64,
    /// When it began, in milliseconds since 1970; JSON may also say RFC 3339.
    #[serde(rename = "at", alias = "time", deserialize_with = "lenient::instant", skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// How it ended: `exception`, `timeout`, `circuit_open`, `bulkhead_full`, `rate_limited`, `redrive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What its error said, redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its message and what else was said, encrypted.
    #[serde(rename = "_seal", skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// Whatever else the language knows: duration, error type, delay.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Attempt {
    /// Cuts the message to a multiple of its bound.
    pub(crate) fn cut(&mut self, times: usize) {
        if let Some(message) = &mut self.message {
            truncate(message, times * ATTEMPT_BYTES);
        }
    }

    /// The attempt that a failed redrive was.
    pub(crate) fn redrive(error: Option<&Failure>, at: i64) -> Self {
        let mut extra = Extra::new();
        if let Some(error) = error {
            extra.insert("error_type".into(), Value::from(error.kind.as_str()));
        }
        let seal = error.and_then(|error| error.brief.clone());
        let message = error.filter(|error| error.seal.is_none()).map(|error| error.message.clone());
        let mut attempt = Self { number: 0, time: Some(at), outcome: Some("redrive".into()), message, seal, extra };
        attempt.cut(1);
        attempt
    }
}

/// Attempts on their way into a record: those at hand, and how many there were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attempts {
    /// In order. Where the caller left some out, the first three and then the last ones.
    pub kept: Vec<Attempt>,
    /// All of them.
    pub count: u64,
}

/// Cuts at a character's edge and says so.
fn truncate(text: &mut String, most: usize) {
    const MARK: &str = "… [cut]";
    if text.len() <= most {
        return;
    }
    let mut end = most.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(MARK);
}
