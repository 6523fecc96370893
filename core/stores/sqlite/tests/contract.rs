//! The contract over SQLite, and what only files have: modes, versions, several openers.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../../../dlq/tests/contract/mod.rs"]
mod contract;
mod scratch;

use std::fs;

use rusqlite::Connection;
use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Queue};

#[test]
fn sqlite_keeps_the_contract() {
    let scratch = Scratch::new("contract");
    contract::run(&(seawall_store_sqlite::open(scratch.path()).unwrap() as _));
}

#[test]
fn a_queue_opens_by_url_and_finds_its_letters_again() {
    let scratch = Scratch::new("url");
    seawall_store_sqlite::register();
    let url = format!("sqlite:///{}/below", scratch.path().display());
    let id = Queue::open("orders", &url).unwrap().put(r#"{"payload": 1}"#).unwrap();
    // As before a fork, and as in another process: nothing is left in memory.
    seawall_store_sqlite::close_all();
    assert!(Queue::open("orders", &url).unwrap().get(&id).unwrap().unwrap().contains(r#""payload":1"#));
    for wrong in ["sqlite:letters", "sqlite:///", "sqlite://host/dir"] {
        let error = Queue::open("orders", wrong).err().unwrap();
        assert!(error.code == "config.invalid" && error.message.contains("sqlite:///dir"), "{wrong}: {error}");
    }
}

#[test]
fn a_removed_directory_is_made_again() {
    let scratch = Scratch::new("removed");
    let directory = scratch.path().join("letters");
    drop(seawall_store_sqlite::open(&directory).unwrap());
    fs::remove_dir_all(&directory).unwrap();
    let queue = Queue::on(seawall_store_sqlite::open(&directory).unwrap(), "orders", || 0);
    let id = queue.put("{}").unwrap();
    assert!(queue.get(&id).unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_letters() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("modes");
    let directory = scratch.path().join("letters");
    let store = seawall_store_sqlite::open(&directory).unwrap();
    Queue::on(store.clone(), "orders", || 0).put("{}").unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    // The peek indexes what the put has only logged.
    assert!(Queue::on(store, "orders", || 0).peek("", 1, None).unwrap().contains("payload"));
    assert_eq!(mode(&directory.join("log")), 0o700);
    let inside = |folder: &std::path::Path| -> Vec<_> { fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let mut files = [inside(&directory), inside(&directory.join("log"))].concat();
    files.retain(|file| file.is_file());
    assert!(files.len() >= 6, "the database, its log and index, two lock files, and a segment: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn files_of_another_version_are_left_alone() {
    let scratch = Scratch::new("version");
    let file = scratch.path().join("index.sqlite");
    drop(seawall_store_sqlite::open(scratch.path()).unwrap());
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 7).unwrap();
    // The store keeps no connection from having been opened, so its first use looks at the file again.
    let error = seawall_store_sqlite::open(scratch.path()).unwrap().stats("orders", 0).unwrap_err();
    assert_eq!(error.code, "store.schema");
    assert!(error.message.contains("version 7") && error.message.contains("version 1"), "{error}");
}

#[test]
fn somebody_elses_database_is_left_alone() {
    let scratch = Scratch::new("foreign");
    let file = scratch.path().join("index.sqlite");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&file).unwrap();
    let error = seawall_store_sqlite::open(scratch.path()).err().unwrap();
    assert!(error.code == "store.schema" && error.message.contains("another application"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::write(&file, "no database at all, only some text that is long enough to have a header of its own, and then some more of it")
        .unwrap();
    assert_eq!(seawall_store_sqlite::open(scratch.path()).err().unwrap().code, "store.schema");
}
