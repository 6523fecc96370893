//! Letters on their way from the log into the tables, whatever happens to the files.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Page, Query, Queue};
use seawall_store_sqlite::SqliteStore;

/// The segments in a store's directory.
fn segments(directory: &Path) -> Vec<PathBuf> {
    seawall_dlq::log::segments(directory).unwrap()
}

fn open(directory: &Path) -> Arc<SqliteStore> {
    seawall_store_sqlite::open(directory).unwrap()
}

fn put(store: &Arc<SqliteStore>, payloads: std::ops::Range<i64>) -> Vec<String> {
    let queue = Queue::on(store.clone(), "orders", || 0);
    payloads.map(|payload| queue.put(&format!(r#"{{"payload": {payload}}}"#)).unwrap()).collect()
}

/// The payloads that the store knows, oldest first.
fn payloads(store: &Arc<SqliteStore>) -> Vec<i64> {
    let all = store.peek(&Query::all("orders"), &Page { limit: usize::MAX, after: None }, 0).unwrap();
    all.iter().rev().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect()
}

/// Letters in a segment that no process writes to any more, and that nobody has indexed.
fn left_behind(name: &str, count: i64) -> (Scratch, PathBuf) {
    let scratch = Scratch::new(name);
    let elsewhere = scratch.path().join("elsewhere");
    let store = open(&elsewhere);
    // Out of reach of the thread in the background, which knows the directory it was opened in.
    put(&store, 0..count);
    let there = scratch.path().join("here");
    drop(open(&there));
    fs::create_dir(there.join("log")).unwrap();
    let segment = segments(&elsewhere).pop().unwrap();
    let copy = there.join("log").join(segment.file_name().unwrap());
    fs::copy(&segment, &copy).unwrap();
    (scratch, copy)
}

fn damaged(segment: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(segment.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "damaged"));
    found
}

#[test]
fn a_segment_goes_once_its_writer_is_gone_and_all_of_it_is_indexed() {
    let scratch = Scratch::new("goes");
    let store = open(scratch.path());
    put(&store, 0..3);
    assert_eq!(payloads(&store), [0, 1, 2]);
    assert_eq!(segments(scratch.path()).len(), 1, "its writer lives");
    seawall_store_sqlite::close_all();
    assert_eq!(payloads(&store), [0, 1, 2]);
    assert_eq!(segments(scratch.path()).len(), 0);
    put(&store, 3..4);
    assert_eq!(payloads(&store), [0, 1, 2, 3]);
}

#[test]
fn a_segment_that_comes_back_doubles_nothing() {
    let (scratch, segment) = left_behind("back", 3);
    let kept = fs::read(&segment).unwrap();
    let store = open(&scratch.path().join("here"));
    assert_eq!(payloads(&store), [0, 1, 2]);
    assert!(!segment.exists());
    // As if the machine had died before the removal reached the disk, and with its offset forgotten.
    put(&store, 3..4);
    assert_eq!(payloads(&store), [0, 1, 2, 3]);
    fs::write(&segment, kept).unwrap();
    assert_eq!(payloads(&store), [0, 1, 2, 3]);
    assert!(!segment.exists());
}

#[test]
fn a_frame_without_its_end_is_set_aside() {
    let (scratch, segment) = left_behind("torn", 3);
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&segment, &bytes[..end - 20]).unwrap();
    assert_eq!(payloads(&open(&scratch.path().join("here"))), [0, 1]);
    assert!(!segment.exists());
    assert_eq!(damaged(&segment).len(), 1);
}

#[test]
fn a_flipped_bit_costs_its_own_letter_alone() {
    let (scratch, segment) = left_behind("flipped", 5);
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(6).position(|window| window == b"orders").unwrap();
    bytes[place] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(payloads(&open(&scratch.path().join("here"))), [1, 2, 3, 4]);
    let aside = damaged(&segment);
    assert_eq!(aside.len(), 1, "the letter's bytes are kept for whoever can read them");
    assert!(fs::read(&aside[0]).unwrap().windows(6).any(|window| window == b"nrders"));
}

#[test]
fn every_flipped_bit_of_a_segment_is_noticed() {
    let (scratch, segment) = left_behind("bits", 2);
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for place in 0..=end {
        let mut flipped = bytes[..end + 64].to_vec();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&segment, &flipped).unwrap();
        let read = seawall_dlq::log::Segment::open(&segment).unwrap().unwrap().read(0, usize::MAX);
        // The version in the head is the one byte that may speak of a newer build, and then nothing is touched.
        match read {
            Ok(stretch) => {
                let lost: usize = stretch.damaged.iter().map(|(_, bytes)| bytes.len()).sum();
                assert!(stretch.frames.len() == 1 || lost == 32, "byte {place}: {} letters, {lost} bytes aside", stretch.frames.len());
                assert!(lost > 0, "byte {place}");
            }
            Err(why) => assert!(why.code == "store.schema" && place == 7, "byte {place}: {why}"),
        }
    }
    drop(scratch);
}

#[test]
fn a_segment_of_another_version_waits_for_its_reader() {
    let (scratch, segment) = left_behind("newer", 2);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[7] = 9;
    fs::write(&segment, &bytes).unwrap();
    let store = open(&scratch.path().join("here"));
    put(&store, 7..8);
    assert_eq!(payloads(&store), [7]);
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn more_letters_than_one_transaction_takes_are_all_there() {
    let scratch = Scratch::new("many");
    let store = open(scratch.path());
    let queue = Queue::on(store.clone(), "orders", || 0);
    for n in 0..4500 {
        queue.put(&format!(r#"{{"payload": {n}, "durability": "os"}}"#)).unwrap();
    }
    assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), 4500);
}

#[test]
fn a_letter_longer_than_a_segment_gets_one_of_its_size() {
    let scratch = Scratch::new("long");
    let store = open(scratch.path());
    let queue = Queue::on(store.clone(), "orders", || 0);
    let payload = "x".repeat(5 << 20);
    let id = queue.put(&format!(r#"{{"payload": "{payload}"}}"#)).unwrap();
    put(&store, 0..1);
    assert!(queue.get(&id).unwrap().unwrap().contains(&payload));
    assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), 2);
}

#[test]
fn a_directory_removed_under_the_writer_is_made_again() {
    let scratch = Scratch::new("gone");
    let directory = scratch.path().join("letters");
    put(&open(&directory), 0..1);
    fs::remove_dir_all(&directory).unwrap();
    let store = open(&directory);
    put(&store, 1..2);
    assert_eq!(payloads(&store), [1]);
}

#[cfg(unix)]
#[test]
fn a_directory_that_nobody_may_write_to_says_so_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("readonly");
    let store = open(scratch.path());
    let log = scratch.path().join("log");
    fs::write(&log, "not a folder").unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = Queue::on(store, "orders", || 0).put("{}").unwrap_err();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(error.code == "store.failed" && error.message.contains(&log.display().to_string()), "{error}");
}
