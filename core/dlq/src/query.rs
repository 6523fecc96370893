//! Which letters: the filter of every verb.

use serde_json::{Map, Value};

use crate::time::instant_or_age;
use crate::{DlqError, Record, RecordId, State};

const KEYS: &str = "id, group, error, policy, key, correlation_id, state, older_than, newer_than";

/// A selection of one queue's letters. Every part that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The queue; always given.
    pub queue: String,
    /// One letter.
    pub id: Option<RecordId>,
    /// The fingerprint.
    pub group: Option<String>,
    /// The error's type, its last part, or its code.
    pub error: Option<String>,
    /// The policy that gave up.
    pub policy: Option<String>,
    /// The policy key of the failed call.
    pub key: Option<String>,
    /// The correlation id.
    pub correlation_id: Option<String>,
    /// The function that failed.
    pub operation: Option<String>,
    /// Any of these; empty: any state at all.
    pub states: Vec<State>,
    /// Written before this instant, in milliseconds since 1970.
    pub older_than: Option<i64>,
    /// Written at this instant or later.
    pub newer_than: Option<i64>,
    /// Not changed since [`mark`](crate::DeadLetterStore::mark) gave this.
    pub bound: Option<u64>,
    /// Changed since [`mark`](crate::DeadLetterStore::mark) gave this.
    pub since: Option<u64>,
    /// Last claimed by this owner.
    pub owner: Option<String>,
    /// Archived before this instant, in milliseconds since 1970.
    pub archived_before: Option<i64>,
    /// Only letters that this build may redrive (true) or may not (false).
    pub actionable: Option<bool>,
}

/// What a store knows of a letter beside its record.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Its state now.
    pub state: State,
    /// The place of its latest change.
    pub mark: u64,
    /// Who claimed it last.
    pub owner: &'a str,
}

impl Query {
    /// All letters of a queue.
    #[must_use]
    pub fn all(queue: &str) -> Self {
        Self { queue: queue.to_owned(), ..Self::default() }
    }

    /// The letters of a queue in one state.
    #[must_use]
    pub fn in_state(queue: &str, state: State) -> Self {
        Self { states: vec![state], ..Self::all(queue) }
    }

    /// A filter as the bindings write it; an empty text, `null` and `{}` select all. `place` names it in errors.
    pub(crate) fn parse(queue: &str, place: &str, json: &str, now: i64) -> Result<Self, DlqError> {
        let mut query = Self::all(queue);
        let json = json.trim();
        if json.is_empty() || json == "null" {
            return Ok(query);
        }
        let filter: Map<String, Value> =
            serde_json::from_str(json).map_err(|why| DlqError::invalid(format!("{place}: not a filter object: {why}")))?;
        for (name, value) in &filter {
            let at = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            match value {
                Value::Null => {}
                Value::String(text) => query.set(&at, name, text, now)?,
                _ => return Err(DlqError::invalid(format!("{at}: must be a text"))),
            }
        }
        Ok(query)
    }

    fn set(&mut self, at: &str, name: &str, text: &str, now: i64) -> Result<(), DlqError> {
        let owned = Some(text.to_owned());
        match name {
            "id" => {
                let id = text.parse().map_err(|_| DlqError::invalid(format!("{at}: '{text}' is no letter's id")))?;
                self.id = Some(id);
            }
            "group" => self.group = owned,
            "error" => self.error = owned,
            "policy" => self.policy = owned,
            "key" => self.key = owned,
            "correlation_id" => self.correlation_id = owned,
            "state" => {
                let state = State::from_word(text)
                    .ok_or_else(|| DlqError::invalid(format!("{at}: '{text}' is no state; there are ready, leased, parked, archived")))?;
                self.states = vec![state];
            }
            "older_than" => self.older_than = Some(instant_or_age(at, text, now)?),
            "newer_than" => self.newer_than = Some(instant_or_age(at, text, now)?),
            _ => return Err(DlqError::invalid(format!("{at}: no such filter; there are {KEYS}"))),
        }
        Ok(())
    }

    /// Whether nothing narrows the selection.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::all(&self.queue)
    }

    /// Fills in the states of a verb that has its own default. A letter that is asked for by id may be in any of `named`.
    pub(crate) fn default_states(&mut self, states: &[State], named: &[State]) {
        if self.states.is_empty() {
            self.states = if self.id.is_some() { named.to_vec() } else { states.to_vec() };
        }
    }

    /// Whether a record that stands like this is selected.
    #[must_use]
    pub fn matches(&self, record: &Record, standing: &Standing<'_>) -> bool {
        let Standing { state, mark, owner } = *standing;
        let is = |wanted: &Option<String>, got: Option<&String>| wanted.is_none() || wanted.as_ref() == got;
        self.queue == record.queue
            && self.id.is_none_or(|id| id == record.id)
            && is(&self.group, Some(&record.error.fingerprint))
            && self.error.as_ref().is_none_or(|error| error_is(record, error))
            && is(&self.policy, record.policy.as_ref())
            && is(&self.key, record.key.as_ref())
            && is(&self.correlation_id, record.correlation_id.as_ref())
            && is(&self.operation, record.origin.operation.as_ref())
            && (self.states.is_empty() || self.states.contains(&state))
            && self.older_than.is_none_or(|instant| record.times.dead_lettered < instant)
            && self.newer_than.is_none_or(|instant| record.times.dead_lettered >= instant)
            && self.bound.is_none_or(|bound| mark <= bound)
            && self.since.is_none_or(|since| mark > since)
            && self.owner.as_deref().is_none_or(|wanted| wanted == owner)
            && self.archived_before.is_none_or(|instant| record.times.archived.unwrap_or(record.times.dead_lettered) < instant)
            && self.actionable.is_none_or(|wanted| wanted == (record.redrivable && record.may_act().is_ok()))
    }
}

fn error_is(record: &Record, wanted: &str) -> bool {
    let kind = record.error.kind.as_str();
    kind == wanted || record.error.code.as_deref() == Some(wanted) || kind.strip_suffix(wanted).is_some_and(|before| before.ends_with('.'))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_where_it_is_wrong() {
        for (json, part) in [
            (r#"{"colour": "red"}"#, "filter.colour"),
            (r#"{"state": "dead"}"#, "ready, leased"),
            (r#"{"id": "7"}"#, "filter.id"),
            (r#"{"older_than": "soon"}"#, "'1h'"),
            (r#"{"key": 7}"#, "filter.key"),
            ("[]", "filter"),
        ] {
            let error = Query::parse("q", "filter", json, 0).unwrap_err();
            assert_eq!(error.code, "config.invalid");
            assert!(error.message.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn nothing_given_selects_all() {
        for json in ["", "{}", "null", r#"{"id": null}"#] {
            assert!(Query::parse("q", "filter", json, 0).unwrap().is_all(), "{json}");
        }
        assert!(!Query::parse("q", "filter", r#"{"group": "x"}"#, 0).unwrap().is_all());
    }
}
