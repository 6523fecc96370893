//! A configuration error names the place and says what would be right.

use std::fmt;

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Always `config.invalid`.
    pub code: &'static str,
    /// Where: `payments.retry.max_attempts`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl ConfigError {
    /// An error at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: "config.invalid", path: path.into(), message: message.into() }
    }

    /// The error as JSON: `code`, `path`, `message`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({"code": self.code, "path": self.path, "message": self.message}).to_string()
    }

    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.path = if self.path.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.path) };
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { out.write_str(&self.message) } else { write!(out, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for ConfigError {}

/// The nearest of `names`, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|other| (distance(name, other), other))
        .filter(|(distance, other)| *distance <= other.len().max(3) / 3)
        .min()
        .map(|(_, other)| other)
}

/// Edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
