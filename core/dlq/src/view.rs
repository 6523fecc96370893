//! A record as the bindings read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::Value;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use crate::failure::Failure;
use crate::keys::Keys;
use crate::redact::is_json;
use crate::seal::{self, Opened};
use crate::store::Group;
use crate::time::rfc3339;
use crate::{Attempt, DlqError, Record, State};

/// A captured call.
pub(crate) const CALL: &str = "application/vnd.seawall.call+json";

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    kwargs: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct View<'a> {
    id: String,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    content_type: &'a str,
    args: Option<&'a RawValue>,
    kwargs: Option<&'a RawValue>,
    error: Json,
    attempts: Vec<Json>,
    attempt_count: u64,
    correlation_id: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    key: Option<&'a str>,
    headers: Json,
    policy: Option<&'a str>,
    state: State,
    times: Json,
    origin: Json,
    redrives: u32,
    redrivable: bool,
    group: &'a str,
    redacted: &'a [String],
    encrypted: Option<&'a str>,
    locked: Option<&'a str>,
}

/// The letter's JSON, as the crate's `Queue` describes it.
pub(crate) fn letter(record: &Record, keys: Option<&Keys>) -> Result<String, DlqError> {
    opened(&seal::open(record.clone(), keys))
}

/// The JSON of a letter that was opened as far as it goes.
pub(crate) fn opened(letter: &Opened) -> Result<String, DlqError> {
    let record = &letter.record;
    let raw = std::str::from_utf8(&record.payload).ok().filter(|_| is_json(&record.content_type));
    let payload: Option<&RawValue> = raw.and_then(|text| serde_json::from_str(text).ok());
    let call: Option<Call> = payload.filter(|_| record.content_type == CALL).and_then(|text| serde_json::from_str(text.get()).ok());
    let view = View {
        id: record.id.to_string(),
        queue: &record.queue,
        payload,
        payload_base64: (payload.is_none() && record.seal.is_none()).then(|| STANDARD.encode(&record.payload)),
        content_type: &record.content_type,
        args: call.as_ref().and_then(|call| call.args),
        kwargs: call.as_ref().and_then(|call| call.kwargs),
        error: error(&record.error),
        attempts: record.attempts.iter().map(attempt).collect(),
        attempt_count: record.attempt_count,
        correlation_id: record.correlation_id.as_deref(),
        idempotency_key: record.idempotency_key.as_deref(),
        key: record.key.as_deref(),
        headers: Json::Object(record.headers.iter().map(|(name, value)| (name.clone(), plain(value))).collect()),
        policy: record.policy.as_deref(),
        state: record.state,
        times: json!({
            "first_failure": rfc3339(record.times.first_failure),
            "last_failure": rfc3339(record.times.last_failure),
            "dead_lettered": rfc3339(record.times.dead_lettered),
            "expires": record.times.expires.map(rfc3339),
        }),
        origin: json!({
            "service": record.origin.service,
            "operation": record.origin.operation,
            "language": record.origin.language,
            "version": record.origin.version,
            "host": record.origin.host,
            "pid": record.origin.pid,
        }),
        redrives: record.redrives.count,
        redrivable: record.redrivable,
        group: &record.error.fingerprint,
        redacted: &record.redaction.places,
        encrypted: letter.key.as_deref(),
        locked: letter.locked.as_deref(),
    };
    serde_json::to_string(&view).map_err(|why| DlqError::failed(format!("letter {}: no JSON: {why}", record.id)))
}

/// A group's JSON.
pub(crate) fn group(group: &Group, keys: Option<&Keys>) -> Json {
    let mut sample = group.error.clone();
    seal::open_error(&mut sample, keys, &mut None);
    json!({
        "group": group.group,
        "count": group.count,
        "first": rfc3339(group.first),
        "last": rfc3339(group.last),
        "sample": group.sample.to_string(),
        "error": error(&sample),
    })
}

/// Null for a letter that was put without an error.
fn error(failure: &Failure) -> Json {
    if failure.kind.is_empty() && failure.message.is_empty() && failure.code.is_none() {
        return Json::Null;
    }
    let mut map = spread(&failure.extra);
    let causes: Vec<Json> = failure
        .causes
        .iter()
        .map(|cause| {
            let mut map = spread(&cause.extra);
            map.insert("type".into(), json!(cause.kind));
            map.insert("message".into(), json!(cause.message));
            map.insert("code".into(), json!(cause.code));
            Json::Object(map)
        })
        .collect();
    map.insert("type".into(), json!(failure.kind));
    map.insert("message".into(), json!(failure.message));
    map.insert("code".into(), json!(failure.code));
    map.insert("stack".into(), json!(failure.stack));
    map.insert("causes".into(), Json::Array(causes));
    map.insert("retryable".into(), json!(failure.retryable));
    Json::Object(map)
}

fn attempt(attempt: &Attempt) -> Json {
    let mut map = spread(&attempt.extra);
    map.insert("number".into(), json!(attempt.number));
    map.insert("time".into(), json!(attempt.time.map(rfc3339)));
    map.insert("outcome".into(), json!(attempt.outcome));
    map.insert("message".into(), json!(attempt.message));
    Json::Object(map)
}

fn spread(extra: &crate::record::Extra) -> Map<String, Json> {
    extra.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// MessagePack as JSON: bytes become base64, names that are no texts are written as such.
fn plain(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(flag) => json!(flag),
        Value::Integer(number) => number.as_i64().map(Json::from).or_else(|| number.as_u64().map(Json::from)).unwrap_or(Json::Null),
        Value::F32(number) => json!(number),
        Value::F64(number) => json!(number),
        Value::String(text) => json!(text.as_str().unwrap_or_default()),
        Value::Binary(bytes) | Value::Ext(_, bytes) => json!(STANDARD.encode(bytes)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Map(pairs) => {
            let name = |name: &Value| name.as_str().map_or_else(|| name.to_string(), str::to_owned);
            Json::Object(pairs.iter().map(|(key, value)| (name(key), plain(value))).collect())
        }
    }
}
