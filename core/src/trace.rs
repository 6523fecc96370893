//! Events for `tracing`. With the feature `tracing`.

use crate::event::Event;

macro_rules! at {
    ($level:ident, $event:expr) => {
        tracing::event!(
            target: "seawall",
            tracing::Level::$level,
            event = $event.name(),
            policy = $event.policy(),
            key = $event.text("key"),
            correlation_id = $event.text("correlation_id"),
            record = $event.json(),
        )
    };
}

/// Gives one event to the subscriber in force: its name, policy, key and correlation id as fields, and all of it as JSON.
pub(crate) fn emit(event: &Event<'_>) {
    match event.severity() {
        "error" => at!(ERROR, event),
        "warning" => at!(WARN, event),
        "debug" => at!(DEBUG, event),
        _ => at!(INFO, event),
    }
}
