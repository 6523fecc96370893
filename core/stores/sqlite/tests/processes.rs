//! Several processes on one directory: this test binary starts itself again as writers.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Page, Query, Queue, Redrive, State};

const DIRECTORY: &str = "SEAWALL_TEST_DIRECTORY";
const LETTERS: &str = "SEAWALL_TEST_LETTERS";

/// Not a test of its own: the writer that the other tests start. It tells each letter once that is acknowledged.
#[test]
#[ignore = "started by the other tests"]
fn writer() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let letters: u64 = std::env::var(LETTERS).unwrap().parse().unwrap();
    let queue = Queue::on(seawall_store_sqlite::open(Path::new(&directory)).unwrap(), "orders", || 0);
    for n in 0..letters {
        let name = format!("{}-{n}", std::process::id());
        let id = queue.put(&format!(r#"{{"payload": "{name}", "idempotency_key": "{name}"}}"#)).unwrap();
        println!("acknowledged {id} {name}");
    }
}

fn start(directory: &Path, letters: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(LETTERS, letters.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The letters that a line of a writer acknowledges. The test harness may write its own words before it.
fn acknowledged(line: &str) -> Option<(String, String)> {
    let mut words = line.split("acknowledged ").nth(1)?.split(' ');
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

/// All letters of the store, by id.
fn stored(directory: &Path) -> HashMap<String, String> {
    let store = seawall_store_sqlite::open(directory).unwrap();
    let all = store.peek(&Query::all("orders"), &Page { limit: usize::MAX, after: None }, 0).unwrap();
    let found: HashMap<String, String> =
        all.iter().map(|record| (record.id.to_string(), serde_json::from_slice(&record.payload).unwrap())).collect();
    assert_eq!(found.len(), all.len(), "each letter is there once");
    found
}

#[test]
fn every_acknowledged_letter_is_there_once_and_all_writers_progress() {
    let scratch = Scratch::new("processes");
    let mut children: Vec<Child> = (0..4).map(|_| start(scratch.path(), 100)).collect();
    let mut told = HashMap::new();
    for child in &mut children {
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            told.extend(acknowledged(&line.unwrap()));
        }
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(told.len(), 400);
    assert_eq!(stored(scratch.path()), told);
}

#[test]
fn a_writer_that_is_killed_loses_nothing_that_it_was_promised() {
    let scratch = Scratch::new("killed");
    let mut victim = start(scratch.path(), 1_000_000);
    let mut other = start(scratch.path(), 50);
    let mut told = HashMap::new();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        told.extend(acknowledged(&line.unwrap()));
        if told.len() == 60 {
            // SIGKILL, most likely in the middle of a transaction, for it does nothing else.
            victim.kill().unwrap();
            break;
        }
    }
    // What it still said before it died was promised too.
    told.extend(lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)).filter(|(id, _)| id.len() == 36));
    victim.wait().unwrap();
    for line in BufReader::new(other.stdout.take().unwrap()).lines() {
        told.extend(acknowledged(&line.unwrap()));
    }
    assert!(other.wait().unwrap().success());
    let found = stored(scratch.path());
    for (id, name) in &told {
        assert!(found.contains_key(id), "{name} was acknowledged and is gone");
    }
    // At most the one letter that was committed but not yet told.
    assert!(found.len() <= told.len() + 1, "{} stored, {} told", found.len(), told.len());
}

#[test]
fn letters_of_a_dead_redriver_are_redriven_after_the_lease() {
    let scratch = Scratch::new("lease");
    let store: Arc<dyn DeadLetterStore> = seawall_store_sqlite::open(scratch.path()).unwrap();
    let early = Queue::on(store.clone(), "orders", || 0);
    early.put("{}").unwrap();
    // The claim of a process that never answers, seen later by another connection.
    let dead = Redrive::new(&early, "{}", 0).unwrap();
    assert!(dead.next(0).unwrap().contains("deliver"));
    seawall_store_sqlite::close_all();
    let late = Queue::on(store.clone(), "orders", || 60_000);
    let redrive = Redrive::new(&late, "{}", 0).unwrap();
    assert!(redrive.next(0).unwrap().contains("deliver"));
    assert!(!dead.delivered(1, true, None, 0).unwrap());
    assert!(redrive.delivered(1, true, None, 0).unwrap());
    assert_eq!(store.count(&Query::in_state("orders", State::Archived), 0).unwrap(), 1);
}

#[test]
fn threads_of_one_process_share_the_store() {
    let scratch = Scratch::new("threads");
    let queue = Queue::on(seawall_store_sqlite::open(scratch.path()).unwrap(), "orders", || 0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let queue = &queue;
            scope.spawn(move || {
                for n in 0..20 {
                    queue.put(&format!(r#"{{"payload": "{thread}-{n}", "durability": "os"}}"#)).unwrap();
                }
            });
        }
    });
    assert_eq!(stored(scratch.path()).len(), 160);
}

#[test]
fn letters_are_taken_while_the_index_is_held() {
    let scratch = Scratch::new("held");
    let store = seawall_store_sqlite::open(scratch.path()).unwrap();
    let queue = Queue::on(store.clone(), "orders", || 0);
    let early = queue.put("{}").unwrap();
    assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), 1);
    let other = rusqlite::Connection::open(scratch.path().join("index.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = queue.put(r#"{"write_timeout": "1ms"}"#).unwrap();
    // What would change the index waits for it no longer than it may.
    let error = queue.put(&format!(r#"{{"id": "{early}", "write_timeout": "1ms"}}"#)).unwrap_err();
    assert_eq!(error.code, "store.busy");
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    assert!(queue.get(&late).unwrap().is_some());
}
