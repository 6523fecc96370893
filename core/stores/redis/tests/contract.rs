//! The contract over Redis, and what only a shared server has: writers that merge at once, passwords, certificates, versions.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../../../dlq/tests/contract/mod.rs"]
mod contract;
#[path = "../../../dlq/tests/serve/mod.rs"]
mod serve;

use std::sync::{Arc, Barrier, LazyLock};
use std::thread;

use seawall_dlq::{DlqError, Queue, Redrive};
use serde_json::{Value, json};
use serve::Server;

/// One for all of these tests; it ends with the process.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| Server::start(&["redis"]));

fn queue(name: &str) -> Option<Queue> {
    let server = SERVER.as_ref()?;
    Some(Queue::on(seawall_store_redis::open(&server.url).unwrap(), name, || 0))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn put(url: &str) -> Result<String, DlqError> {
    Queue::on(seawall_store_redis::open(url)?, "q", || 0).put("{}")
}

#[test]
fn redis_keeps_the_contract() {
    let Some(server) = SERVER.as_ref() else { return };
    contract::run(&(seawall_store_redis::open(&server.url).unwrap() as _));
}

#[test]
fn failures_of_one_work_that_come_at_once_are_one_letter() {
    let Some(queue) = queue("at once") else { return };
    let start = Arc::new(Barrier::new(8));
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, start) = (queue.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                (0..10).map(|_| queue.put(r#"{"idempotency_key": "k", "attempts": [{}]}"#).unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let ids: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    assert_eq!(parse(&queue.stats().unwrap())["ready"], 1);
    let letter = parse(&queue.get(&ids[0]).unwrap().unwrap());
    assert_eq!(letter["attempt_count"], 80);
    assert!(ids.iter().all(|id| parse(&queue.get(id).unwrap().unwrap())["id"] == letter["id"]));
}

#[test]
fn walks_of_many_steps_see_all_and_share_it() {
    let Some(queue) = queue("many steps") else { return };
    for n in 0..700 {
        queue.put(&json!({"payload": n, "key": if n % 100 == 99 { "rare" } else { "common" }}).to_string()).unwrap();
    }
    let rare = parse(&queue.peek(r#"{"key": "rare"}"#, 100, None).unwrap());
    assert_eq!(
        rare.as_array().unwrap().iter().map(|letter| letter["payload"].as_i64().unwrap()).collect::<Vec<_>>(),
        [699, 599, 499, 399, 299, 199, 99]
    );
    assert_eq!(parse(&queue.groups("").unwrap())[0]["count"], 700);
    assert_eq!(queue.park(r#"{"key": "rare"}"#).unwrap(), r#"{"parked":7}"#);
    let redrivers: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let (redrive, mut delivered) = (Redrive::new(&queue, r#"{"limit": null, "job": false}"#, 0).unwrap(), Vec::new());
                loop {
                    let step = parse(&redrive.next(0).unwrap());
                    let Some(token) = step["token"].as_u64() else { return delivered };
                    assert!(redrive.delivered(token, true, None, 0).unwrap());
                    delivered.push(step["deliver"]["payload"].as_i64().unwrap());
                }
            })
        })
        .collect();
    let mut delivered: Vec<i64> = redrivers.into_iter().flat_map(|one| one.join().unwrap()).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..700).filter(|n| n % 100 != 99).collect::<Vec<_>>());
    assert_eq!(queue.purge("", true, false).unwrap(), r#"{"purged":700}"#);
}

#[test]
fn odd_texts_are_kept() {
    let Some(queue) = queue("odd } names { too") else { return };
    let long = "界".repeat(3_000);
    for key in ["a\0b", "\"{}", long.as_str()] {
        let letter = json!({"idempotency_key": key, "key": key, "correlation_id": key, "operation": key, "attempts": [{}]}).to_string();
        let (first, second) = (queue.put(&letter).unwrap(), queue.put(&letter).unwrap());
        let found = parse(&queue.get(&second).unwrap().unwrap());
        assert_eq!(
            (found["id"].as_str(), found["attempt_count"].as_u64(), found["key"].as_str()),
            (Some(first.as_str()), Some(2), Some(key))
        );
        for name in ["key", "correlation_id"] {
            assert_eq!(parse(&queue.peek(&json!({name: key}).to_string(), 9, None).unwrap())[0]["id"], first.as_str(), "{name}");
        }
    }
}

#[test]
fn a_wrong_password_is_not_repeated() {
    let Some(server) = SERVER.as_ref().filter(|server| server.own) else { return };
    let error = put(&server.url.replace("hunter2-Xq7", "hunter3-secret")).unwrap_err();
    assert_eq!(error.code, "store.failed", "{error}");
    assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
}

#[test]
fn a_certificate_is_verified() {
    let Some(server) = Server::start(&["redis", "tls"]) else { return };
    let (url, authorities) = (&server.url, &server.authorities);
    put(&format!("{url}?cacert={authorities}")).unwrap();
    let elsewhere = url.replace("localhost", "127.0.0.1");
    for (case, url) in [("an unknown authority", url.clone()), ("another host's name", format!("{elsewhere}?cacert={authorities}"))] {
        let error = put(&url).unwrap_err();
        assert!(error.message.to_lowercase().contains("certificate") && !error.message.contains("hunter2"), "{case}: {error}");
    }
}
