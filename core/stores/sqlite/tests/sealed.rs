//! Nothing of an encrypted letter stands in any file of its store, at any time of its life.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::fs;
use std::path::Path;

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Query, Queue, Redrive, hold_keys};
use serde_json::json;

const KEY: &str = "may:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The files below a directory that hold the text.
fn holding(directory: &Path, text: &str, found: &mut Vec<String>) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += holding(&path, text, found);
            continue;
        }
        files += 1;
        if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    files
}

fn assert_silent(directory: &Path, when: &str) {
    let mut found = Vec::new();
    assert!(holding(directory, "canary", &mut found) >= 2, "there is something to look at");
    assert!(found.is_empty(), "{when}: {found:?}");
}

#[test]
fn no_file_tells_what_was_sealed() {
    let scratch = Scratch::new("sealed");
    let store = seawall_store_sqlite::open(scratch.path()).unwrap();
    let source = hold_keys(KEY).unwrap();
    let queue = Queue::on(store.clone(), "orders", || 0).with_keys(&source).unwrap();
    for n in 0..20 {
        let letter = json!({
            "payload": {"n": n, "canary": "canary"}, "headers": {"canary": "canary"},
            "error": {"type": "E", "message": "canary", "stack": "canary"}, "encrypt": source,
        });
        queue.put(&letter.to_string()).unwrap();
    }
    let mut names = Vec::new();
    holding(scratch.path(), "orders", &mut names);
    assert!(names.iter().any(|name| name.ends_with(".seg")), "the look finds what is in the clear: {names:?}");
    assert_silent(scratch.path(), "in the log");
    assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), 20);
    assert_silent(scratch.path(), "in the index");
    let redrive = Redrive::new(&queue, r#"{"limit": null, "stop_after_failures": null}"#, 0).unwrap();
    let mut delivered = 0;
    while redrive.next(0).unwrap().contains(r#""canary":"canary""#) {
        delivered += 1;
        let error = (delivered % 2 == 0).then_some(r#"{"type": "Again", "message": "canary", "stack": "canary"}"#);
        assert!(redrive.delivered(delivered, error.is_none(), error, 0).unwrap());
    }
    assert_eq!(delivered, 20);
    assert_silent(scratch.path(), "after a redrive");
}
