//! A disk that is full while letters lie in the store: they still find their way out. On a small file system of the test's own.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Query, Queue, Redrive, State};

const DIRECTORY: &str = "SEAWALL_TEST_DIRECTORY";

/// Fills the disk to the last byte, as another application would.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

/// Not a test of its own: what runs where the small file system is mounted.
#[test]
#[ignore = "started by the test below"]
fn tenant() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let (letters, junk) = (Path::new(&directory).join("letters"), Path::new(&directory).join("junk"));
    let store = seawall_store_sqlite::open(&letters).unwrap();
    let queue = Queue::on(store.clone(), "orders", || 0);
    let ballast = letters.join("ballast");
    assert!(ballast.exists());
    let letter = format!(r#"{{"payload": "{}"}}"#, "x".repeat(2000));
    let mut taken = 0;
    for _ in 0..300 {
        queue.put(&letter).unwrap();
        taken += 1;
    }
    // These are in the tables; those that come later wait in the log.
    assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), taken);
    fill(&junk);
    // The segment in use has its room already.
    let refused = loop {
        match queue.put(&letter) {
            Ok(_) => taken += 1,
            Err(why) => break why,
        }
    };
    assert_eq!(refused.code, "store.full", "{refused}");
    assert!(ballast.exists(), "new letters do not eat it");
    let redrive = Redrive::new(&queue, r#"{"limit": null}"#, 0).unwrap();
    let mut delivered = 0;
    while redrive.next(0).unwrap().contains("deliver") {
        delivered += 1;
        // Some writer writes on, and the disk is as full as before.
        let _ = queue.put(&letter);
        assert!(redrive.delivered(delivered, true, None, 0).unwrap());
        if delivered == 200 {
            break;
        }
    }
    assert!(!ballast.exists(), "it was needed");
    assert_eq!(store.count(&Query::in_state("orders", State::Archived), 0).unwrap(), 200);
    fs::remove_file(junk).unwrap();
    queue.put(&letter).unwrap();
    assert!(store.count(&Query::all("orders"), 0).unwrap() > taken, "nothing that was taken is lost");
    println!("{taken} letters taken before the disk was full, {delivered} redriven while it was");
}

#[test]
fn a_full_disk_lets_letters_out() {
    let scratch = Scratch::new("full");
    let script = "mount -t tmpfs -o size=48m,mode=700 none \"$0\" || exit 77; exec \"$1\" --exact tenant --ignored --nocapture";
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(scratch.path())
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, scratch.path())
        .output();
    let (said, failed) = match &run {
        Ok(run) => (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)),
        Err(why) => (why.to_string().into(), "".into()),
    };
    if run.as_ref().map_or(true, |run| run.status.code() == Some(77)) || failed.contains("unshare") {
        println!("SKIPPED: no small file system can be mounted here: {said}{failed}");
        return;
    }
    println!("{said}");
    assert!(run.as_ref().is_ok_and(|run| run.status.success()), "{failed}");
}
