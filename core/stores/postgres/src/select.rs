//! A query as SQL: the conditions of the embedded store, with PostgreSQL's parameters.

use seawall_dlq::{Query, RecordId, SCHEMA, State};
use tokio_postgres::types::ToSql;

use crate::row::text;

/// A lease that has lapsed is ready.
const STATE: &str = "CASE WHEN state = 'leased' AND lease_until <= ? THEN 'ready' ELSE state END";

/// A parameter.
pub(crate) type Value = Box<dyn ToSql + Sync + Send>;

/// A condition and its parameters, in order.
pub(crate) struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    pub(crate) fn new(query: &Query, now: i64) -> Self {
        let mut all = Self { sql: String::new(), values: Vec::new() };
        all.and("queue = ?", [Box::new(text(&query.queue)) as Value]);
        if let Some(id) = query.id {
            all.and("id = ?", [Box::new(id) as Value]);
        }
        all.states(&query.states, now);
        for (column, wanted) in [
            ("fingerprint", &query.group),
            ("policy", &query.policy),
            ("key", &query.key),
            ("operation", &query.operation),
            ("lease_owner", &query.owner),
        ] {
            if let Some(wanted) = wanted {
                all.and(&format!("{column} = ?"), [Box::new(text(wanted)) as Value]);
            }
        }
        if let Some(id) = &query.correlation_id {
            // The index holds hashes: a value of any length fits.
            let id = text(id);
            all.and(
                "hashtextextended(correlation_id, 0) = hashtextextended(?::text, 0) AND correlation_id = ?",
                [Box::new(id.clone()) as Value, Box::new(id)],
            );
        }
        if let Some(error) = &query.error {
            // The last part of a dotted name is enough.
            let (error, dotted) = (text(error), text(&format!(".{error}")));
            let values = [Box::new(error.clone()) as Value, Box::new(error), Box::new(dotted.clone()), Box::new(dotted)];
            all.and("(error_type = ? OR error_code = ? OR right(error_type, length(?::text)) = ?)", values);
        }
        let place = |mark: u64| i64::try_from(mark).unwrap_or(i64::MAX);
        for (condition, number) in [
            ("created < ?", query.older_than),
            ("created >= ?", query.newer_than),
            ("mark <= ?", query.bound.map(place)),
            ("mark > ?", query.since.map(place)),
            ("coalesce(archived, created) < ?", query.archived_before),
        ] {
            if let Some(number) = number {
                all.and(condition, [Box::new(number) as Value]);
            }
        }
        if let Some(actionable) = query.actionable {
            all.and("(redrivable AND min_reader <= ?) = ?", [Box::new(i64::from(SCHEMA)) as Value, Box::new(actionable)]);
        }
        all
    }

    /// States as columns have them, so that the index by state serves; only lapsed leases need the longer look.
    fn states(&mut self, states: &[State], now: i64) {
        if states.is_empty() {
            return;
        }
        let words = |states: &[State]| states.iter().map(|state| state.word().to_owned()).collect::<Vec<String>>();
        let mut columns = states.to_vec();
        if states.contains(&State::Ready) && !states.contains(&State::Leased) {
            columns.push(State::Leased);
        }
        self.and("state = ANY(?)", [Box::new(words(&columns)) as Value]);
        if states.contains(&State::Ready) == states.contains(&State::Leased) {
            // Lapsed or not, it is one of them, or none.
            return;
        }
        self.and(&format!("{STATE} = ANY(?)"), [Box::new(now) as Value, Box::new(words(states))]);
    }

    /// Leaves out letters in this state.
    pub(crate) fn not_in(mut self, state: State, now: i64) -> Self {
        self.and(&format!("{STATE} <> ?"), [Box::new(now) as Value, Box::new(state.word().to_owned())]);
        self
    }

    /// Only ids before this one.
    pub(crate) fn before(mut self, id: Option<RecordId>) -> Self {
        if let Some(id) = id {
            self.and("id < ?", [Box::new(id) as Value]);
        }
        self
    }

    /// Only ids after this one.
    pub(crate) fn after(mut self, id: Option<RecordId>) -> Self {
        if let Some(id) = id {
            self.and("id > ?", [Box::new(id) as Value]);
        }
        self
    }

    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        let written = self.numbered(condition, values);
        self.sql.push_str(&written);
    }

    /// Text with its question marks numbered on from the parameters so far.
    fn numbered(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> String {
        let mut next = self.values.len();
        self.values.extend(values);
        let mut written = String::with_capacity(text.len() + 8);
        for sign in text.chars() {
            if sign == '?' {
                next += 1;
                written.push_str(&format!("${next}"));
            } else {
                written.push(sign);
            }
        }
        written
    }

    /// What follows the condition, with parameters of its own.
    pub(crate) fn then(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> String {
        self.numbered(text, values)
    }

    /// A statement: what comes before the condition, and after.
    pub(crate) fn sql(&self, before: &str, after: &str) -> String {
        format!("{before} WHERE {} {after}", self.sql)
    }

    pub(crate) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

/// A number of rows as a parameter.
pub(crate) fn most(limit: usize) -> Value {
    Box::new(i64::try_from(limit).unwrap_or(i64::MAX))
}
