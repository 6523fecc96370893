//! Which letters.

use clap::Args;
use serde_json::{Map, Value};

#[derive(Args)]
pub(crate) struct Filter {
    /// One letter.
    #[arg(long)]
    id: Option<String>,
    /// The group, as `groups` shows it.
    #[arg(long)]
    group: Option<String>,
    /// The error's type, its last part, or its code.
    #[arg(long)]
    error: Option<String>,
    /// The policy that gave up.
    #[arg(long)]
    policy: Option<String>,
    /// The policy key of the failed call.
    #[arg(long)]
    key: Option<String>,
    /// The correlation id.
    #[arg(long)]
    correlation_id: Option<String>,
    /// ready, leased, parked or archived.
    #[arg(long)]
    state: Option<String>,
    /// Written before: 1h, or an instant such as 2026-01-31T00:00:00Z.
    #[arg(long)]
    older_than: Option<String>,
    /// Written since.
    #[arg(long)]
    newer_than: Option<String>,
}

impl Filter {
    /// As queues take it.
    pub(crate) fn json(self) -> Value {
        let parts = [
            ("id", self.id),
            ("group", self.group),
            ("error", self.error),
            ("policy", self.policy),
            ("key", self.key),
            ("correlation_id", self.correlation_id),
            ("state", self.state),
            ("older_than", self.older_than),
            ("newer_than", self.newer_than),
        ];
        let given = parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
        Value::Object(given.collect::<Map<_, _>>())
    }

    pub(crate) fn text(self) -> String {
        self.json().to_string()
    }
}
