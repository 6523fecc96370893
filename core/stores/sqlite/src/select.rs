//! A query as SQL.

use rusqlite::types::Value;
use seawall_dlq::{Query, SCHEMA, State};

/// A lease that has lapsed is ready.
const STATE: &str = "CASE WHEN state = 'leased' AND lease_until <= ? THEN 'ready' ELSE state END";

/// A condition and its parameters, in order.
pub(crate) struct Where {
    sql: String,
    pub(crate) values: Vec<Value>,
}

impl Where {
    pub(crate) fn new(query: &Query, now: i64) -> Self {
        let mut all = Self { sql: "queue = ?".into(), values: vec![Value::from(query.queue.clone())] };
        all.equal("id", query.id.map(|id| Value::Blob(id.as_bytes().to_vec())));
        all.states(&query.states, now);
        for (column, text) in [
            ("fingerprint", &query.group),
            ("policy", &query.policy),
            ("key", &query.key),
            ("correlation_id", &query.correlation_id),
            ("operation", &query.operation),
        ] {
            all.equal(column, text.clone().map(Value::from));
        }
        if let Some(error) = &query.error {
            // The last part of a dotted name is enough.
            let dotted = Value::from(format!(".{error}"));
            all.and(
                "(error_type = ? OR error_code = ? OR substr(error_type, -length(?)) = ?)",
                [Value::from(error.clone()), Value::from(error.clone()), dotted.clone(), dotted],
            );
        }
        if let Some(instant) = query.older_than {
            all.and("created < ?", [Value::from(instant)]);
        }
        if let Some(instant) = query.newer_than {
            all.and("created >= ?", [Value::from(instant)]);
        }
        if let Some(bound) = query.bound {
            all.and("mark <= ?", [Value::from(i64::try_from(bound).unwrap_or(i64::MAX))]);
        }
        if let Some(since) = query.since {
            all.and("mark > ?", [Value::from(i64::try_from(since).unwrap_or(i64::MAX))]);
        }
        all.equal("lease_owner", query.owner.clone().map(Value::from));
        if let Some(instant) = query.archived_before {
            all.and("coalesce(archived, created) < ?", [Value::from(instant)]);
        }
        if let Some(actionable) = query.actionable {
            all.and("(redrivable AND min_reader <= ?) = ?", [Value::from(SCHEMA), Value::from(actionable)]);
        }
        all
    }

    /// States as columns have them, so that the index by state serves; only lapsed leases need the longer look.
    fn states(&mut self, states: &[State], now: i64) {
        if states.is_empty() {
            return;
        }
        let mut columns: Vec<State> = states.to_vec();
        if states.contains(&State::Ready) && !states.contains(&State::Leased) {
            columns.push(State::Leased);
        }
        let words = |states: &[State]| states.iter().map(|state| Value::from(state.word().to_owned())).collect::<Vec<_>>();
        let marks = |count: usize| vec!["?"; count].join(", ");
        self.and(&format!("state IN ({})", marks(columns.len())), words(&columns));
        if states.contains(&State::Ready) == states.contains(&State::Leased) {
            // Lapsed or not, it is one of them, or none.
            return;
        }
        let mut values = vec![Value::from(now)];
        values.extend(words(states));
        self.and(&format!("{STATE} IN ({})", marks(states.len())), values);
    }

    /// Leaves out letters in this state.
    pub(crate) fn not_in(mut self, state: State, now: i64) -> Self {
        self.and(&format!("{STATE} <> ?"), [Value::from(now), Value::from(state.word().to_owned())]);
        self
    }

    fn equal(&mut self, column: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.and(&format!("{column} = ?"), [value]);
        }
    }

    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Adds what pages need: only ids before this one.
    pub(crate) fn before(mut self, id: Option<seawall_dlq::RecordId>) -> Self {
        if let Some(id) = id {
            self.and("id < ?", [Value::Blob(id.as_bytes().to_vec())]);
        }
        self
    }

    /// A statement: what comes before the condition, and after.
    pub(crate) fn sql(&self, before: &str, after: &str) -> String {
        format!("{before} WHERE {} {after}", self.sql)
    }
}
