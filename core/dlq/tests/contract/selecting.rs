//! Putting, reading, filtering, grouping, counting, purging.

use seawall_dlq::{Caps, Query};
use serde_json::json;

use super::{Bench, Case, parse};

pub const CASES: &[Case] = &[
    ("a letter comes back whole", whole),
    ("a call comes back as args and kwargs", call),
    ("bytes come back as base64", bytes),
    ("pages go from new to old", pages),
    ("each filter selects", filters),
    ("failures group by cause", groups),
    ("stats count by state", stats),
    ("purge wants a filter or all", purge),
    ("queues do not see each other", apart),
    ("letters leave as lines and come back", export),
    ("secrets never reach the store", secrets),
];

fn whole(bench: &Bench) {
    let id = bench.queue.put(
        r#"{"payload": {"z": 1, "a": [1.50, 12345678901234567890123]}, "error": {"type": "Refused", "message": "no", "code": 503,
            "stack": ["a", "b"], "causes": [{"type": "Reset", "message": "gone"}], "injected": true},
            "attempts": [{"time": 1795562990000, "outcome": "exception", "message": "no", "duration_ms": 12}],
            "idempotency_key": "k1", "correlation_id": "c1", "key": "tenant", "headers": {"a": "1", "b": ["2", "3"]},
            "policy": "payments", "operation": "charge", "language": "python"}"#,
    );
    let id = id.unwrap();
    let text = bench.queue.get(&id).unwrap().unwrap();
    // As written: order and digits too.
    assert!(text.contains(r#""payload":{"z": 1, "a": [1.50, 12345678901234567890123]}"#), "{text}");
    let letter = parse(&text);
    assert_eq!(letter["id"], id.as_str());
    assert_eq!(letter["queue"], bench.queue.name());
    assert_eq!(letter["content_type"], "application/json");
    let error = json!({"type": "Refused", "message": "no", "code": "503", "stack": "a\nb", "retryable": null, "injected": true,
        "causes": [{"type": "Reset", "message": "gone", "code": null}]});
    assert_eq!(letter["error"], error);
    let attempt = json!({"number": 1, "time": "2026-11-24T23:29:50.000Z", "outcome": "exception", "message": "no", "duration_ms": 12});
    assert_eq!(letter["attempts"], json!([attempt]));
    for (name, value) in
        [("idempotency_key", "k1"), ("correlation_id", "c1"), ("key", "tenant"), ("policy", "payments"), ("state", "ready")]
    {
        assert_eq!(letter[name], value, "{name}");
    }
    assert_eq!(letter["headers"], json!({"a": "1", "b": ["2", "3"]}));
    assert_eq!(letter["origin"]["operation"], "charge");
    assert_eq!(letter["origin"]["language"], "python");
    assert_eq!(letter["origin"]["pid"], std::process::id());
    assert_eq!(letter["times"]["first_failure"], "2026-11-24T23:29:50.000Z");
    assert_eq!(letter["times"]["dead_lettered"], "2026-11-24T23:30:00.000Z");
    assert_eq!((letter["redrives"].as_u64(), letter["redrivable"].as_bool()), (Some(0), Some(true)));
    assert_eq!(letter["group"].as_str().map(str::len), Some(16));
    assert_eq!(bench.queue.get("018f3a3a-0000-7000-8000-000000000000").unwrap(), None);
    assert_eq!(bench.queue.get("no id").unwrap(), None);
}

fn call(bench: &Bench) {
    let id = bench.put(&json!({"payload": {"args": [1, "x"], "kwargs": {"n": 2}}, "content_type": "application/vnd.seawall.call+json"}));
    let letter = bench.get(&id);
    assert_eq!(letter["args"], json!([1, "x"]));
    assert_eq!(letter["kwargs"], json!({"n": 2}));
    assert_eq!(letter["error"], json!(null));
}

fn bytes(bench: &Bench) {
    let id = bench.put(&json!({"payload_base64": "AP8=", "redrivable": false}));
    let letter = bench.get(&id);
    assert_eq!(letter["payload_base64"], "AP8=");
    assert_eq!(letter["content_type"], "application/octet-stream");
    assert_eq!(letter["redrivable"], false);
    assert!(letter.get("payload").is_none());
}

fn pages(bench: &Bench) {
    let ids: Vec<String> = (0..5).map(|n| bench.put_number(n)).collect();
    assert_eq!(bench.peek(&json!({})), [4, 3, 2, 1, 0]);
    let page = |cursor| parse(&bench.queue.peek("{}", 2, cursor).unwrap());
    assert_eq!(page(None)[1]["id"], ids[3].as_str());
    let second = page(Some(&ids[3]));
    assert_eq!((second[0]["payload"].as_i64(), second[1]["payload"].as_i64()), (Some(2), Some(1)));
    assert_eq!(page(Some(&ids[0])), json!([]));
    assert_eq!(bench.queue.peek("{}", 2, Some("x")).unwrap_err().code, "config.invalid");
}

fn filters(bench: &Bench) {
    let one = bench
        .put(&json!({"payload": 1, "error": {"type": "bank.Refused", "code": "E1"}, "policy": "pay", "key": "t1", "correlation_id": "c1"}));
    bench.advance(3_600_000);
    bench.put(&json!({"payload": 2, "error": {"type": "Timeout", "code": "E2"}, "policy": "ship", "key": "t2", "correlation_id": "c2"}));
    let group = bench.get(&one)["group"].clone();
    for (filter, wanted) in [
        (json!({"id": one}), vec![1]),
        (json!({"group": group}), vec![1]),
        (json!({"error": "bank.Refused"}), vec![1]),
        (json!({"error": "Refused"}), vec![1]),
        (json!({"error": "used"}), vec![]),
        (json!({"error": "E2"}), vec![2]),
        (json!({"policy": "pay"}), vec![1]),
        (json!({"key": "t2"}), vec![2]),
        (json!({"correlation_id": "c1"}), vec![1]),
        (json!({"state": "ready"}), vec![2, 1]),
        (json!({"state": "parked"}), vec![]),
        (json!({"older_than": "30m"}), vec![1]),
        (json!({"newer_than": "30m"}), vec![2]),
        (json!({"newer_than": "2026-11-24T23:30:00Z", "older_than": "2026-11-24T23:30:01Z"}), vec![1]),
        (json!({"policy": "pay", "key": "t2"}), vec![]),
    ] {
        assert_eq!(bench.peek(&filter), wanted, "{filter}");
    }
}

fn groups(bench: &Bench) {
    for n in 0..3 {
        bench.put_number(n);
        bench.advance(1000);
    }
    bench.put(&json!({"payload": 9, "error": {"type": "Timeout", "message": "late"}}));
    let groups = parse(&bench.queue.groups("{}").unwrap());
    assert_eq!(groups.as_array().unwrap().len(), 2);
    assert_eq!(groups[0]["count"], 3);
    assert_eq!(groups[0]["error"]["message"], "order 2");
    assert_eq!(groups[0]["first"], "2026-11-24T23:30:00.000Z");
    assert_eq!(groups[0]["last"], "2026-11-24T23:30:02.000Z");
    assert_eq!(bench.get(groups[0]["sample"].as_str().unwrap())["payload"], 2);
    assert_eq!(parse(&bench.queue.groups(r#"{"error": "Timeout"}"#).unwrap())[0]["count"], 1);
}

fn stats(bench: &Bench) {
    assert_eq!(
        bench.stats(),
        json!({"ready": 0, "leased": 0, "parked": 0, "archived": 0, "bytes": 0, "oldest": null, "lost": 0, "dropped": 0})
    );
    let first = bench.put_number(1);
    bench.advance(1000);
    bench.put_number(2);
    bench.queue.park(&json!({"id": first}).to_string()).unwrap();
    let stats = bench.stats();
    assert_eq!((stats["ready"].as_i64(), stats["parked"].as_i64()), (Some(1), Some(1)));
    assert_eq!(stats["oldest"], "2026-11-24T23:30:01.000Z");
    assert!(stats["bytes"].as_u64().unwrap() > 200);
    assert_eq!(bench.queue.put("{").unwrap_err().code, "config.invalid");
    assert_eq!(bench.stats()["lost"], 1);
    assert!(bench.store.caps().has(Caps::PEEK | Caps::LEASE | Caps::DEDUP));
}

fn purge(bench: &Bench) {
    for n in 0..3 {
        bench.put(&json!({"payload": n, "key": format!("k{n}")}));
    }
    assert_eq!(bench.queue.purge("{}", false, false).unwrap_err().code, "config.invalid");
    assert_eq!(bench.queue.purge(r#"{"key": "k1"}"#, true, false).unwrap_err().code, "config.invalid");
    assert_eq!(bench.queue.purge(r#"{"key": "k1"}"#, false, true).unwrap(), r#"{"purged":1}"#);
    assert_eq!(bench.peek(&json!({})), [2, 1, 0]);
    assert_eq!(bench.queue.purge(r#"{"key": "k1"}"#, false, false).unwrap(), r#"{"purged":1}"#);
    assert_eq!(bench.peek(&json!({})), [2, 0]);
    assert_eq!(bench.queue.purge("", true, false).unwrap(), r#"{"purged":2}"#);
    assert_eq!(bench.stats()["bytes"], 0);
}

fn apart(bench: &Bench) {
    let other = Bench::new(&bench.store, "another queue");
    let id = bench.put_number(1);
    assert_eq!(other.queue.get(&id).unwrap(), None);
    assert_eq!(other.peek(&json!({"id": id})), [0; 0]);
    assert_eq!(other.queue.purge("", true, false).unwrap(), r#"{"purged":0}"#);
    assert_eq!(bench.peek(&json!({})), [1]);
}

fn secrets(bench: &Bench) {
    let id = bench.put(&json!({
        "payload": {"user": "ada", "password": "hunter2", "card": {"card_number": "4111"}},
        "headers": {"Authorization": "Bearer hunter2", "x": "y"},
        "error": {"type": "E", "message": "login password=hunter2 failed", "stack": "at token: hunter2", "response": {"secret": "hunter2"}},
        "attempts": [{"message": "password=hunter2", "body": {"api_key": "hunter2"}}],
    }));
    let letter = bench.get(&id);
    assert_eq!(letter["payload"], json!({"user": "ada", "password": "[redacted]", "card": {"card_number": "[redacted]"}}));
    assert_eq!(letter["headers"], json!({"Authorization": "[redacted]", "x": "y"}));
    assert_eq!(letter["error"]["message"], "login password=[redacted] failed");
    let wanted = [
        "/payload/card/card_number",
        "/payload/password",
        "/headers/Authorization",
        "/error/message",
        "/error/stack",
        "/error/response/secret",
        "/attempts/0/message",
        "/attempts/0/body/api_key",
    ];
    assert_eq!(letter["redacted"], json!(wanted));
    // What the store holds, not only what it shows.
    let page = seawall_dlq::Page { limit: 9, after: None };
    let stored = bench.store.peek(&Query::all(bench.queue.name()), &page, bench.now()).unwrap()[0].to_bytes().unwrap();
    assert!(!stored.windows(7).any(|part| part == b"hunter2"));
}

fn export(bench: &Bench) {
    let other = seawall_dlq::Queue::on(bench.store.clone(), &format!("{}, moved", bench.queue.name()), || 0);
    let spelt = r#"{"z": 1, "a": [1.50, 12345678901234567890123], "é": null}"#;
    let whole = json!({"error": {"type": "E", "message": "m", "causes": [{"type": "C"}], "own": [1]}, "idempotency_key": "k", "correlation_id": "c",
        "key": "t", "headers": {"a": ["1"]}, "policy": "p", "operation": "o", "language": "node", "attempts": [{}, {}]});
    let mut letter = whole.to_string();
    letter.insert_str(1, &format!(r#""payload": {spelt}, "#));
    let first = bench.queue.put(&letter).unwrap();
    let second = bench.put(&json!({"payload_base64": "AP8=", "content_type": "application/octet-stream"}));
    bench.queue.park(&json!({"id": second}).to_string()).unwrap();
    let (lines, last) = bench.queue.export("", 1000, None).unwrap();
    assert_eq!((lines.len(), last.as_deref()), (2, Some(first.as_str())), "newest first");
    assert_eq!(bench.queue.export("", 1, Some(&second)).unwrap().0, lines[1..]);
    assert!(lines[1].contains(&format!(r#""data":{spelt}"#)), "as it is spelt: {}", lines[1]);
    let before = [&first, &second].map(|id| bench.get(id));
    assert_eq!(bench.queue.purge("", true, false).unwrap(), r#"{"purged":2}"#);
    for line in &lines {
        other.import(line).unwrap();
        other.import(line).unwrap();
    }
    for (id, before) in [&first, &second].into_iter().zip(before) {
        let mut after = parse(&other.get(id).unwrap().unwrap());
        assert_eq!(after["queue"], other.name());
        after["queue"] = before["queue"].clone();
        assert_eq!(after, before);
    }
    assert_eq!(parse(&other.stats().unwrap())["parked"], 1);
    for wrong in [
        "",
        "{}",
        r#"{"type": "seawall.dead_letter"}"#,
        &lines[0].replace("seawall.dead_letter", "other"),
        &lines[0].replace("data_base64", "data_64"),
    ] {
        let error = other.import(wrong).unwrap_err();
        assert!(error.code == "config.invalid" && error.message.contains("`export` wrote"), "{wrong}: {error}");
    }
    assert!(bench.store.queues().unwrap().contains(&other.name().to_owned()));
    assert_eq!(bench.store.doctor().unwrap(), []);
}
