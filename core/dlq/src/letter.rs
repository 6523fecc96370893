//! A letter as the bindings write it, on its way into a record.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::Value;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::failure::{Attempts, Failure};
use crate::limits::Limits;
use crate::record::{CLEAR_SCHEMA, Extra, Origin, Record, Redaction, Redrives, State, Times};
use crate::redact::{Rules, is_json};
use crate::seal::Seal;
use crate::store::{Durability, Refailed, Write};
use crate::{Attempt, DlqError, export, keys, seal, time, view};

/// The longest that headers may be in all, in bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// How long a write waits for other writers unless the letter says otherwise.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest payload that a log line keeps.
const LINE_BYTES: usize = 8 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    payload_base64: Option<String>,
    content_type: Option<String>,
    error: Option<Failure>,
    attempts: Option<Vec<Attempt>>,
    attempt_count: Option<u64>,
    idempotency_key: Option<String>,
    correlation_id: Option<String>,
    key: Option<String>,
    headers: Option<BTreeMap<String, Value>>,
    policy: Option<String>,
    operation: Option<String>,
    language: Option<String>,
    service: Option<String>,
    redrivable: Option<bool>,
    id: Option<String>,
    redact: Option<Vec<String>>,
    durability: Option<String>,
    write_timeout: Option<String>,
    within_retry: Option<bool>,
    await_durable: Option<bool>,
    limits: Option<Limits>,
    second_store: Option<String>,
    chain: Option<bool>,
    encrypt: Option<String>,
}

/// A letter ready to be written: redacted, bounded, grouped.
pub(crate) struct Parcel {
    pub(crate) record: Record,
    /// The failure to add to the letter being redriven, if it is one.
    pub(crate) refailed: Option<Refailed>,
    pub(crate) write: Write,
    /// The longest wait for other writers, at each step of its way.
    pub(crate) wait: Duration,
    pub(crate) limits: Limits,
    /// Where its keys are, if it is sealed.
    keys: Option<String>,
}

/// How a letter is to be written.
pub(crate) struct Way {
    /// Whether the caller waits until it is durable.
    pub(crate) waits: bool,
    /// The store to try next.
    pub(crate) second_store: Option<String>,
    /// Whether a failure of the store is the chain's concern rather than the caller's.
    pub(crate) chain: bool,
    /// Why it could not be sealed, so that it holds no more than how the call failed.
    pub(crate) unsealed: Option<String>,
}

impl Parcel {
    pub(crate) fn parse(queue: &str, json: &str, now: i64) -> Result<(Self, Way), DlqError> {
        let mut form: Form = serde_json::from_str(json).map_err(|why| DlqError::invalid(format!("letter: {why}")))?;
        let rules = Rules::new(form.redact.as_deref().unwrap_or_default())?;
        let redriven = form.id.as_deref().map(|id| {
            id.parse::<Uuid>().map_err(|_| DlqError::invalid(format!("letter.id: '{id}' is no letter's id; leave it out for a new letter")))
        });
        let redriven = redriven.transpose()?;
        let (write, wait) = form.write(now)?;
        let mut way = Way {
            waits: form.await_durable.unwrap_or(true),
            second_store: form.second_store.take(),
            chain: form.chain.unwrap_or(false),
            unsealed: None,
        };
        let mut source = form.encrypt.take();
        let limits = form.limits.take().unwrap_or_default();
        let (content_type, payload) = form.payload()?;
        let attempts = Attempts {
            count: form.attempt_count.unwrap_or_default().max(form.attempts.as_ref().map_or(0, |all| all.len() as u64)),
            kept: form.attempts.unwrap_or_default(),
        };
        let times = Times {
            first_failure: attempts.kept.first().and_then(|first| first.time).unwrap_or(now),
            last_failure: now,
            dead_lettered: now,
            ..Times::default()
        };
        let mut record = Record {
            v: CLEAR_SCHEMA,
            min: CLEAR_SCHEMA,
            id: Uuid::now_v7(),
            queue: queue.to_owned(),
            state: State::Ready,
            idempotency_key: form.idempotency_key,
            key: form.key,
            correlation_id: form.correlation_id,
            content_type,
            payload,
            redrivable: form.redrivable.unwrap_or(true),
            headers: headers(form.headers.unwrap_or_default())?,
            error: form.error.unwrap_or_default(),
            attempts: attempts.kept,
            attempt_count: 0,
            policy: form.policy,
            origin: origin(form.service, form.operation, form.language),
            times,
            redrives: Redrives::default(),
            redaction: Redaction::default(),
            seal: None,
            extra: Extra::new(),
        };
        // Seals are made here alone.
        record.error.seal = None;
        record.attempts.iter_mut().for_each(|attempt| attempt.seal = None);
        record.error.cut(2);
        record.attempts.iter_mut().for_each(|attempt| attempt.cut(2));
        rules.apply(&mut record);
        record.error.settle();
        record.attempts.iter_mut().for_each(|attempt| attempt.cut(1));
        if let Some(from) = &source {
            match keys::keys_of(from).and_then(|keys| seal::close(&mut record, &keys)) {
                Ok(()) => {}
                Err(why) if !way.chain => return Err(why),
                Err(why) => {
                    seal::strip(&mut record);
                    way.unsealed = Some(why.message);
                    source = None;
                }
            }
        }
        let attempts = Attempts { kept: std::mem::take(&mut record.attempts), count: attempts.count };
        let queue = record.queue.clone();
        let refailed = redriven.map(|id| Refailed { queue, id, error: record.error.clone(), attempts: attempts.clone() });
        record.add_attempts(attempts);
        Ok((Self { record, refailed, write, wait, limits, keys: source }, way))
    }

    /// How to write it at one step of its way, from now.
    pub(crate) fn step(&self) -> Write {
        Write { by: Instant::now() + self.wait, ..self.write }
    }

    /// About how much memory it takes.
    pub(crate) fn size(&self) -> usize {
        self.record.payload.len() + self.record.seal.as_ref().map_or(0, Seal::size) + 1024
    }

    /// The letter for a hook of the application, which had the call's arguments in its hands.
    pub(crate) fn letter(&self) -> Option<String> {
        let keys = self.keys.as_deref().and_then(|source| keys::keys_of(source).ok());
        view::letter(&self.record, keys.as_deref()).ok()
    }

    /// The letter as one line for a log: its record, redacted like all of it, without the payload if that is long. One that is sealed stays so: its line is
    /// as `export` writes it, for `import`.
    pub(crate) fn line(&self) -> String {
        let mut record = self.record.clone();
        if record.seal.as_ref().is_some_and(|seal| seal.size() <= LINE_BYTES)
            && let Ok(line) = export::line(&record)
        {
            return line;
        }
        if record.payload.len() > LINE_BYTES {
            record.payload = b"null".to_vec();
            record.content_type = "application/json".into();
            record.redrivable = false;
        }
        record.error.stack = None;
        view::letter(&record, None).unwrap_or_else(|_| serde_json::json!({"id": record.id.to_string(), "queue": record.queue}).to_string())
    }
}

impl Form<'_> {
    fn payload(&self) -> Result<(String, Vec<u8>), DlqError> {
        let given = |fallback: &str| self.content_type.clone().unwrap_or_else(|| fallback.to_owned());
        match (self.payload, &self.payload_base64) {
            (Some(_), Some(_)) => Err(DlqError::invalid("letter: payload and payload_base64 are given, only one may be")),
            (None, Some(encoded)) => {
                let bytes = STANDARD
                    .decode(encoded)
                    .map_err(|why| DlqError::invalid(format!("letter.payload_base64: not base64 with padding: {why}")))?;
                Ok((given("application/octet-stream"), bytes))
            }
            (json, None) => {
                let content_type = given("application/json");
                if !is_json(&content_type) {
                    return Err(DlqError::invalid(format!(
                        "letter.content_type: '{content_type}' is not JSON, so its bytes belong into payload_base64"
                    )));
                }
                Ok((content_type, json.map_or("null", RawValue::get).as_bytes().to_vec()))
            }
        }
    }

    fn write(&self, now: i64) -> Result<(Write, Duration), DlqError> {
        let durability = match self.durability.as_deref() {
            None | Some("fsync") => Durability::Fsync,
            Some("os") => Durability::Os,
            Some(other) => {
                return Err(DlqError::invalid(format!("letter.durability: '{other}' is not known; there are 'fsync' and 'os'")));
            }
        };
        let wait = match self.write_timeout.as_deref() {
            None => WRITE_TIMEOUT,
            Some(text) => time::parse_duration(text)
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis)
                .ok_or_else(|| DlqError::invalid(format!("letter.write_timeout: '{text}' is no duration such as '250ms'")))?,
        };
        let wait = wait.min(Duration::from_secs(3600));
        let by = Instant::now() + wait;
        Ok((Write { durability, by, now, within_retry: self.within_retry.unwrap_or(false) }, wait))
    }
}

/// Values must be texts or lists of texts. What exceeds the bound is left out, last names first.
fn headers(mut headers: BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, DlqError> {
    let mut total = 0;
    for (name, value) in &headers {
        let texts = match value {
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            other => vec![other.as_str()],
        };
        for text in texts {
            let text = text.ok_or_else(|| DlqError::invalid(format!("letter.headers.{name}: must be a text or a list of texts")))?;
            total += name.len() + text.len();
        }
    }
    while total > HEADER_BYTES {
        let Some((name, value)) = headers.pop_last() else { break };
        let texts = value.as_array().map_or_else(|| vec![&value], |items| items.iter().collect());
        total -= texts.iter().filter_map(|text| text.as_str()).map(|text| name.len() + text.len()).sum::<usize>();
    }
    Ok(headers)
}

fn origin(service: Option<String>, operation: Option<String>, language: Option<String>) -> Origin {
    Origin {
        service,
        operation,
        language,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host(),
        pid: std::process::id(),
        extra: Extra::new(),
    }
}

/// The machine's name where the system tells it without a library call.
fn host() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = read.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.unwrap_or_default().trim().to_owned()
}
