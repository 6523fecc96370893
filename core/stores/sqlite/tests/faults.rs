//! What the kernel is asked for, in which order, and what happens when it says no. By `strace`, which is looked for on the path.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Query, Queue};

const DIRECTORY: &str = "SEAWALL_TEST_DIRECTORY";
const LETTERS: usize = 6;

/// Not a test of its own: the process that is traced. It says how each letter went.
#[test]
#[ignore = "started by the other tests"]
fn writer() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let store = seawall_store_sqlite::open(Path::new(&directory)).unwrap();
    let queue = Queue::on(store, "orders", || 0);
    for n in 0..LETTERS {
        match queue.put(&format!(r#"{{"payload": {n}}}"#)) {
            Ok(id) => println!("acknowledged {id}"),
            Err(why) => println!("refused {} {}", why.code, why.message),
        }
    }
}

/// What the writer said, and what it asked the kernel for; nothing without strace.
fn traced(directory: &Path, options: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let log = directory.join("trace");
    let run = Command::new("strace")
        .args(["-f", "-y", "-o"])
        .arg(&log)
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .output();
    let Ok(run) = run else {
        println!("SKIPPED: strace is not on the path; install it to see what the kernel is asked for");
        return None;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let said = String::from_utf8(run.stdout).unwrap();
    let said: Vec<String> = said
        .lines()
        .filter_map(|line| line.find("acknowledged ").or_else(|| line.find("refused ")).map(|at| line[at..].to_owned()))
        .collect();
    assert_eq!(said.len(), LETTERS, "{said:?}");
    Some((said, fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()))
}

/// Every letter that was acknowledged is there.
fn assert_kept(directory: &Path, said: &[String], refused: usize) {
    let acknowledged: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("acknowledged ")).collect();
    assert_eq!(acknowledged.len(), LETTERS - refused, "{said:?}");
    let queue = Queue::on(seawall_store_sqlite::open(directory).unwrap(), "orders", || 0);
    for id in acknowledged {
        assert!(queue.get(id).unwrap().is_some(), "{id}");
    }
}

#[test]
fn a_letter_is_on_the_disk_before_it_is_acknowledged() {
    let scratch = Scratch::new("order");
    let Some((said, calls)) = traced(scratch.path(), &["-e", "trace=rename,renameat,renameat2,fsync,fdatasync,pwrite64,write,fallocate"])
    else {
        return;
    };
    assert_kept(scratch.path(), &said, 0);
    let place = |from: usize, wanted: &dyn Fn(&str) -> bool| from + calls[from..].iter().position(|call| wanted(call)).unwrap();
    let reserved = place(0, &|call| call.contains("fallocate(") && call.contains(".new>"));
    let named = place(reserved, &|call| call.contains("rename") && call.contains(".new\"") && call.contains(".seg\""));
    assert!(calls[reserved..named].iter().any(|call| call.contains(" fsync(") && call.contains(".new>")), "whole before it has its name");
    let mut at = place(named, &|call| call.contains(" fsync(") && call.contains("/log>"));
    for _ in 0..LETTERS {
        at = place(at, &|call| call.contains("pwrite64(") && call.contains(".seg>"));
        at = place(at, &|call| call.contains("fdatasync(") && call.contains(".seg>") && call.ends_with("= 0"));
        // The lines in between are one process's, in its order.
        let told = place(at, &|call| call.contains("write(1") && call.contains("acknowledged"));
        assert!(
            !calls[at..told].iter().any(|call| call.contains("pwrite64(") && call.contains(".seg>")),
            "each letter has a sync of its own"
        );
        at = told;
    }
}

#[test]
fn a_sync_that_fails_is_told_and_the_next_letter_gets_another_segment() {
    let scratch = Scratch::new("eio");
    let Some((said, _)) = traced(scratch.path(), &["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=2"]) else { return };
    assert!(said[1].starts_with("refused store.failed log: cannot write to") && said[1].contains(".seg"), "{said:?}");
    assert_kept(scratch.path(), &said, 1);
}

#[test]
fn a_full_disk_is_told_and_letters_are_taken_again_once_there_is_room() {
    let scratch = Scratch::new("enospc");
    // Behind the ballast: the whole segment and the smallest one, twice; then there is room.
    let Some((said, _)) = traced(scratch.path(), &["-e", "trace=fallocate", "-e", "inject=fallocate:error=ENOSPC:when=2..5"]) else {
        return;
    };
    assert!(said[..2].iter().all(|line| line.starts_with("refused store.full log: cannot make")), "{said:?}");
    assert_kept(scratch.path(), &said, 2);
    assert!(fs::read_dir(scratch.path().join("log")).unwrap().all(|entry| !entry.unwrap().path().to_string_lossy().ends_with(".new")));
}

#[test]
fn little_room_is_room_enough_for_a_letter() {
    let scratch = Scratch::new("sliver");
    let Some((said, _)) = traced(scratch.path(), &["-e", "trace=fallocate", "-e", "inject=fallocate:error=ENOSPC:when=2"]) else { return };
    assert_kept(scratch.path(), &said, 0);
    let store = seawall_store_sqlite::open(scratch.path()).unwrap();
    assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), LETTERS as u64);
}
