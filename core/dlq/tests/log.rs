//! The log as its readers see it, where another version has written.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_dlq::log::{Log, Segment, segments};
use seawall_dlq::{DeadLetterStore, Durability, MemoryStore, Page, Query, Queue, Write};

/// Where the frames begin in a segment, and how long a frame's head is.
const FRAMES: usize = 32;
const HEAD: usize = 12;

/// Says that the `number`th frame is of version 9, with the checksum that fits.
fn make_newer(bytes: &mut [u8], number: usize) {
    let length = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    let mut at = FRAMES;
    for _ in 0..number {
        at += HEAD + length(bytes, at);
    }
    let end = at + HEAD + length(bytes, at);
    bytes[at + HEAD] = 9;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[at + 4..at + 8]), &bytes[at + HEAD..end]);
    bytes[at + 8..at + HEAD].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn letters_before_one_of_a_newer_build_are_not_held_up_and_that_one_is_not_skipped() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("newer-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    let store = Arc::new(MemoryStore::default());
    let queue = Queue::on(store.clone(), "orders", || 0);
    (0..3).for_each(|payload| drop(queue.put(&format!(r#"{{"payload": {payload}}}"#)).unwrap()));
    let letters = store.peek(&Query::all("orders"), &Page { limit: 3, after: None }, 0).unwrap();

    let write = Write { durability: Durability::Os, by: Instant::now() + Duration::from_secs(60), now: 0, within_retry: false };
    let log = Log::new(&directory);
    log.append(&letters, &write).unwrap();
    log.close();
    let path = segments(&directory).unwrap().pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    make_newer(&mut bytes, 1);
    fs::write(&path, bytes).unwrap();

    let segment = Segment::open(&path).unwrap().unwrap();
    let first = segment.read(0, usize::MAX).unwrap();
    assert_eq!(first.frames.iter().map(|frame| frame.record.id).collect::<Vec<_>>(), [letters[0].id]);
    assert!(!first.is_last && first.damaged.is_empty(), "there is more, and it is no damage");
    let error = segment.read(first.next, usize::MAX).unwrap_err();
    assert!(error.code == "store.schema" && error.message.contains("version 9"), "{error}");
    let _ = fs::remove_dir_all(&directory);
}
