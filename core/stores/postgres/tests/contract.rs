//! The contract over PostgreSQL, and what only a shared server has: writers that merge at once, versions, passwords, callers with runtimes of their own.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../../../dlq/tests/contract/mod.rs"]
mod contract;
#[path = "../../../dlq/tests/serve/mod.rs"]
mod serve;

use std::sync::{Arc, Barrier, LazyLock};
use std::thread;

use seawall_dlq::{DeadLetterStore, Queue, Redrive};
use serde_json::{Value, json};
use serve::Server;

/// One for all of these tests; it ends with the process.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(|| Server::start(&["postgres"]));

fn url() -> Option<&'static str> {
    SERVER.as_ref().map(|server| server.url.as_str())
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn postgres_keeps_the_contract() {
    let Some(url) = url() else { return };
    contract::run(&(seawall_store_postgres::open(url).unwrap() as _));
}

#[test]
fn failures_of_one_work_that_come_at_once_are_one_letter() {
    let Some(url) = url() else { return };
    let start = Arc::new(Barrier::new(16));
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (queue, start) = (Queue::on(seawall_store_postgres::open(url).unwrap(), "at once", || 0), start.clone());
            thread::spawn(move || {
                start.wait();
                (0..10).map(|_| queue.put(r#"{"idempotency_key": "k", "attempts": [{}]}"#).unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let ids: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let queue = Queue::on(seawall_store_postgres::open(url).unwrap(), "at once", || 0);
    assert_eq!(parse(&queue.stats().unwrap())["ready"], 1);
    let letter = parse(&queue.get(&ids[0]).unwrap().unwrap());
    assert_eq!(letter["attempt_count"], 160);
    assert!(ids.iter().all(|id| parse(&queue.get(id).unwrap().unwrap())["id"] == letter["id"]));
}

#[test]
fn two_redrives_at_once_share_the_letters() {
    let Some(url) = url() else { return };
    let queue = move || Queue::on(seawall_store_postgres::open(url).unwrap(), "shared by many", || 0);
    for n in 0..60 {
        queue().put(&json!({"payload": n}).to_string()).unwrap();
    }
    let redrivers: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let (redrive, mut delivered) = (Redrive::new(&queue(), r#"{"limit": null, "job": false}"#, 0).unwrap(), Vec::new());
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
    assert_eq!(delivered, (0..60).collect::<Vec<_>>());
}

#[test]
fn texts_that_a_database_does_not_like_are_kept() {
    let Some(url) = url() else { return };
    let queue = Queue::on(seawall_store_postgres::open(url).unwrap(), "odd", || 0);
    // Longer than what an index takes, of letters that do not repeat.
    let long: String = (0..4_000u32).map(|n| char::from_u32(0x4e00 + (n * 7_919) % 20_000).unwrap()).collect();
    for key in ["a\0b", long.as_str()] {
        let letter = json!({"idempotency_key": key, "key": key, "correlation_id": key, "operation": key, "policy": key, "attempts": [{}],
            "error": {"type": key, "message": key, "code": key}})
        .to_string();
        let (first, second) = (queue.put(&letter).unwrap(), queue.put(&letter).unwrap());
        let found = parse(&queue.get(&second).unwrap().unwrap());
        assert_eq!(
            (found["id"].as_str(), found["attempt_count"].as_u64(), found["key"].as_str()),
            (Some(first.as_str()), Some(2), Some(key))
        );
        for name in ["key", "correlation_id", "policy"] {
            let found = parse(&queue.peek(&json!({name: key}).to_string(), 9, None).unwrap());
            assert_eq!(found[0]["id"], first.as_str(), "{name}");
        }
    }
}

#[test]
fn a_wrong_password_is_not_repeated() {
    let Some(server) = SERVER.as_ref().filter(|server| server.own) else { return };
    let url = server.url.replace("hunter2-Xq7", "hunter3-secret");
    let error = Queue::on(seawall_store_postgres::open(&url).unwrap(), "q", || 0).put("{}").unwrap_err();
    assert!(error.code == "store.failed" && error.message.contains("authentication"), "{error}");
    assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
}

#[test]
fn a_caller_may_have_a_runtime_of_its_own() {
    let Some(url) = url() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let queue = Queue::on(seawall_store_postgres::open(url).unwrap(), "async", || 0);
    runtime.block_on(async { assert!(queue.get(&queue.put("{}").unwrap()).unwrap().is_some()) });
}

#[test]
fn tables_of_another_version_are_left_alone() {
    let Some(url) = url().filter(|_| SERVER.as_ref().is_some_and(|server| server.own)) else { return };
    let schema = |name: &str| format!("{url}?options=-csearch_path%3D{name}");
    execute(
        url,
        "CREATE SCHEMA later; CREATE TABLE later.seawall_schema (version BIGINT); INSERT INTO later.seawall_schema VALUES (7); CREATE SCHEMA fresh",
    );
    let error = seawall_store_postgres::open(&schema("later")).unwrap().stats("q", 0).unwrap_err();
    assert_eq!(error.code, "store.schema");
    assert!(error.message.contains("version 7") && error.message.contains("version 1"), "{error}");
    // Many processes may come first at once, and tables that somebody removed are made again.
    let fresh = seawall_store_postgres::open(&schema("fresh")).unwrap();
    let comers: Vec<_> = (0..6).map(|_| fresh.clone()).map(|store| thread::spawn(move || store.stats("q", 0).unwrap())).collect();
    comers.into_iter().for_each(|comer| assert_eq!(comer.join().unwrap().ready, 0));
    execute(url, "DROP SCHEMA fresh CASCADE; CREATE SCHEMA fresh");
    assert_eq!(fresh.stats("q", 0).unwrap().ready, 0);
}

/// Statements of somebody else.
fn execute(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    });
}
