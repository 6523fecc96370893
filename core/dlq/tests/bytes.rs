//! The record's bytes: what other versions may rely on.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::sync::Arc;
use std::time::Instant;

use rmpv::Value;
use seawall_dlq::{DeadLetterStore, MemoryStore, Page, Query, Queue, Record, Write};

fn record() -> Record {
    let store = Arc::new(MemoryStore::default());
    let queue = Queue::on(store.clone(), "orders", || 1_795_563_000_000);
    queue.put(r#"{"payload": [1], "error": {"type": "E", "message": "m"}, "attempts": [{}], "headers": {"a": "b"}}"#).unwrap();
    store.peek(&Query::all("orders"), &Page { limit: 1, after: None }, 0).unwrap().remove(0)
}

/// The record as a map, changed and encoded again, as a writer of another version would have it.
fn rewritten(record: &Record, change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Vec<u8> {
    let Value::Map(mut map) = rmpv::decode::read_value(&mut record.to_bytes().unwrap().as_slice()).unwrap() else { panic!("no map") };
    change(&mut map);
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &Value::Map(map)).unwrap();
    bytes
}

fn field<'a>(map: &'a mut [(Value, Value)], name: &str) -> &'a mut Value {
    &mut map.iter_mut().find(|(key, _)| key.as_str() == Some(name)).unwrap().1
}

#[test]
fn bytes_are_a_map_with_versions_and_a_short_id() {
    let record = record();
    let bytes = record.to_bytes().unwrap();
    let Value::Map(mut map) = rmpv::decode::read_value(&mut bytes.as_slice()).unwrap() else { panic!("no map") };
    assert_eq!((field(&mut map, "v").as_u64(), field(&mut map, "min").as_u64()), (Some(1), Some(1)));
    assert_eq!(field(&mut map, "id").as_slice(), Some(record.id.as_bytes().as_slice()));
    assert_eq!(field(&mut map, "body").as_slice(), Some(b"[1]".as_slice()));
    assert_eq!(field(&mut map, "state").as_str(), Some("ready"));
    assert_eq!(Record::from_bytes(&bytes).unwrap(), record);
}

#[test]
fn unknown_fields_are_kept_and_written_back_through_a_change() {
    let original = record();
    let bytes = rewritten(&original, |map| {
        map.push(("shard".into(), Value::Binary(vec![0, 255])));
        *field(map, "v") = 2.into();
        for inner in ["err", "origin", "t"] {
            let Value::Map(inner) = field(map, inner) else { panic!("no map") };
            inner.push(("novel".into(), Value::Array(vec![1.into(), Value::Nil])));
        }
    });
    let read = Record::from_bytes(&bytes).unwrap();
    assert_eq!(read.extra["shard"], Value::Binary(vec![0, 255]));
    // Through a store that changes the letter.
    let store = MemoryStore::default();
    let write = Write { durability: Default::default(), by: Instant::now(), now: 0, within_retry: false };
    store.append(&[read], &write).unwrap();
    store.shift(&Query::all("orders"), seawall_dlq::State::Parked, 0).unwrap();
    let back = store.get("orders", &[original.id], 0).unwrap().remove(0).to_bytes().unwrap();
    let Value::Map(mut map) = rmpv::decode::read_value(&mut back.as_slice()).unwrap() else { panic!("no map") };
    assert_eq!(field(&mut map, "shard").as_slice(), Some([0, 255].as_slice()));
    assert_eq!(field(&mut map, "v").as_u64(), Some(2));
    for inner in ["err", "origin", "t"] {
        let Value::Map(inner) = field(&mut map, inner) else { panic!("no map") };
        assert_eq!(field(inner, "novel"), &Value::Array(vec![1.into(), Value::Nil]));
    }
}

#[test]
fn a_record_of_a_later_schema_says_so() {
    let foreign = rewritten(&record(), |map| {
        *field(map, "v") = 7.into();
        *field(map, "min") = 7.into();
        *field(map, "body") = "not bytes any more, but a text with a version of its own".into();
        map.retain(|(key, _)| key.as_str() != Some("err"));
    });
    let error = Record::from_bytes(&foreign).unwrap_err();
    assert_eq!(error.code, "store.schema");
    assert!(error.message.contains("version 7") && error.message.contains("upgrade"), "{error}");
    let rubbish = Record::from_bytes(b"rubbish").unwrap_err();
    assert!(rubbish.code == "store.schema" && rubbish.message.contains("no letter"), "{rubbish}");
}

#[test]
fn no_record_grows_without_bound() {
    let store = Arc::new(MemoryStore::default());
    let queue = Queue::on(store.clone(), "orders", || 0);
    let long = "é".repeat(100_000);
    let headers: serde_json::Map<_, _> = (0..100).map(|n| (format!("h{n:03}"), "x".repeat(1000).into())).collect();
    for _ in 0..20 {
        let letter = serde_json::json!({"idempotency_key": "k", "error": {"type": "E", "message": long, "stack": long,
            "causes": vec![serde_json::json!({"type": "C", "message": long}); 9]}, "attempts": [{"message": long}], "headers": headers});
        queue.put(&letter.to_string()).unwrap();
    }
    let record = store.peek(&Query::all("orders"), &Page { limit: 1, after: None }, 0).unwrap().remove(0);
    assert_eq!((record.attempts.len(), record.attempt_count, record.error.causes.len()), (10, 20, 5));
    assert!(record.to_bytes().unwrap().len() < 200 * 1024);
}

#[test]
fn malformed_letters_say_where() {
    let queue = Queue::open("orders", "memory:").unwrap();
    for (letter, part) in [
        ("", "letter"),
        (r#"{"paylaod": 1}"#, "paylaod"),
        (r#"{"payload": 1, "payload_base64": ""}"#, "only one"),
        (r#"{"payload_base64": "?"}"#, "letter.payload_base64"),
        (r#"{"payload": 1, "content_type": "image/png"}"#, "letter.content_type"),
        (r#"{"id": "7"}"#, "letter.id"),
        (r#"{"headers": {"a": 1}}"#, "letter.headers.a"),
        (r#"{"durability": "maybe"}"#, "'fsync'"),
        (r#"{"write_timeout": "soon"}"#, "letter.write_timeout"),
        (r#"{"attempts": [{"time": "noon"}]}"#, "'noon'"),
        (r#"{"redact": ["-"]}"#, "redact[0]"),
    ] {
        let error = queue.put(letter).unwrap_err();
        assert!(error.code == "config.invalid" && error.message.contains(part), "{letter}: {error}");
    }
    for name in ["", "a\nb"] {
        assert_eq!(Queue::open(name, "memory:").err().map(|error| error.code), Some("config.invalid"));
    }
}
