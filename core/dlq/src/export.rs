//! Letters as lines of JSON, for other tools and other stores, and back.
//!
//! The names outside are those of CloudEvents 1.0 (`id`, `source`, `type`, `time`, `datacontenttype`, `data` or `data_base64`), so that whoever
//! reads those reads these; `letter` is the rest of the record, under the names it has in the store. A payload that is JSON is written as
//! it is spelt, others as base64: every payload comes back byte for byte.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::redact::is_json;
use crate::store::{Durability, Page, Write};
use crate::time::rfc3339;
use crate::{DlqError, Queue, Record, RecordId, State};

const KIND: &str = "seawall.dead_letter";

impl Queue {
    /// A page of up to `limit` (at most 1000) letters, in any state unless the filter says which: the line of each, newest first, and the id to go on after.
    ///
    /// # Errors
    /// `config.invalid` for a bad filter, `store.schema` for a letter that cannot be read, `store.failed`.
    pub fn export(&self, filter_json: &str, limit: usize, after: Option<&str>) -> Result<(Vec<String>, Option<String>), DlqError> {
        let query = self.query("", filter_json)?;
        let after = after.map(|id| id.parse().map_err(|_| DlqError::invalid(format!("cursor: '{id}' is no letter's id")))).transpose()?;
        let page = Page { limit: limit.min(1000), after };
        let records = self.store().peek(&query, &page, self.now())?;
        let last = records.last().map(|record| record.id.to_string());
        Ok((records.iter().map(line).collect::<Result<_, _>>()?, last))
    }

    /// Takes a line of [`export`](Self::export) into this queue, whatever queue it came from; durable when this returns. A letter that is there
    /// already stays as it is, and one that was being delivered is ready again.
    ///
    /// # Errors
    /// `config.invalid` for what is no such line; `store.full`, `store.failed`.
    pub fn import(&self, line: &str) -> Result<String, DlqError> {
        let mut record = record(line)?;
        self.name().clone_into(&mut record.queue);
        if record.state == State::Leased {
            record.state = State::Ready;
        }
        let by = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let write = Write { durability: Durability::Fsync, by, now: self.now(), within_retry: false };
        let id = record.id.to_string();
        self.store().append(&[record], &write)?;
        Ok(id)
    }
}

#[derive(Serialize, Deserialize)]
struct Event<'a> {
    specversion: Cow<'a, str>,
    id: Cow<'a, str>,
    source: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    time: Cow<'a, str>,
    datacontenttype: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    letter: Map<String, Value>,
}

pub(crate) fn line(record: &Record) -> Result<String, DlqError> {
    let broken = |why: serde_json::Error| DlqError::failed(format!("letter {}: no JSON: {why}", record.id));
    let Value::Object(mut letter) = serde_json::to_value(record).map_err(broken)? else { return Err(DlqError::failed("letter: no map")) };
    for outside in ["id", "body", "ct"] {
        letter.remove(outside);
    }
    let text = std::str::from_utf8(&record.payload).ok().filter(|text| is_json(&record.content_type) && !text.contains(['\n', '\r']));
    // Trimmed by nobody: a raw value is the text itself, or there is none.
    let data: Option<&RawValue> = text.and_then(|text| serde_json::from_str(text).ok()).filter(|raw: &&RawValue| Some(raw.get()) == text);
    let event = Event {
        specversion: "1.0".into(),
        id: record.id.to_string().into(),
        source: format!("seawall/{}", record.queue).into(),
        kind: KIND.into(),
        time: rfc3339(record.times.dead_lettered).into(),
        datacontenttype: record.content_type.as_str().into(),
        data,
        data_base64: data.is_none().then(|| STANDARD.encode(&record.payload)),
        letter,
    };
    serde_json::to_string(&event).map_err(broken)
}

fn record(line: &str) -> Result<Record, DlqError> {
    let wrong = |what: String| DlqError::invalid(format!("{what}; a line that `export` wrote would be right"));
    let event: Event<'_> = serde_json::from_str(line).map_err(|why| wrong(format!("no exported letter: {why}")))?;
    if event.kind != KIND {
        return Err(wrong(format!("its `type` is not `{KIND}`")));
    }
    let id: RecordId = event.id.parse().map_err(|_| wrong("its `id` is no letter's id".into()))?;
    let payload = match (event.data, &event.data_base64) {
        (Some(data), None) => data.get().as_bytes().to_vec(),
        (None, Some(data)) => STANDARD.decode(data).map_err(|why| wrong(format!("its `data_base64` cannot be decoded: {why}")))?,
        _ => return Err(wrong("it needs either `data` or `data_base64`".into())),
    };
    let mut letter = event.letter;
    letter.insert("id".into(), json!(id.as_bytes()));
    letter.insert("ct".into(), json!(event.datacontenttype));
    letter.insert("body".into(), json!(payload));
    serde_json::from_value(Value::Object(letter)).map_err(|why| wrong(format!("its `letter` cannot be read: {why}")))
}
