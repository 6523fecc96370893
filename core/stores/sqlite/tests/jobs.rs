//! A bulk redrive whose process is killed, over and over, and gone on with by the next.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use scratch::Scratch;
use seawall_dlq::{Queue, Redrive};
use serde_json::{Value, json};

const DIRECTORY: &str = "SEAWALL_TEST_DIRECTORY";
const ROUND: &str = "SEAWALL_TEST_ROUND";
const LETTERS: usize = 120;
/// So much later is each round by its own clock that all leases of the one before have lapsed.
const ROUND_MS: i64 = 600_000;

/// The queue as a round of the test sees it: no process waits for a lease.
fn queue(directory: &Path, round: i64) -> Queue {
    Queue::on(seawall_store_sqlite::open(directory).unwrap(), "orders", move || round * ROUND_MS)
}

fn jobs(queue: &Queue) -> Vec<Value> {
    serde_json::from_str(&queue.jobs().unwrap()).unwrap()
}

/// Delivers what is left of the job, telling each delivery before it is answered, and each answer after.
fn go_on(queue: &Queue) -> Value {
    let options = json!({"resume": jobs(queue)[0]["id"]}).to_string();
    let redrive = Redrive::new(queue, &options, 0).unwrap();
    loop {
        let step: Value = serde_json::from_str(&redrive.next(0).unwrap()).unwrap();
        if step["done"].is_object() {
            return step["done"].clone();
        }
        let payload = &step["deliver"]["payload"];
        println!("delivered {payload}");
        assert!(redrive.delivered(step["token"].as_u64().unwrap(), true, None, 0).unwrap());
        println!("answered {payload}");
    }
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "started by the test below"]
fn victim() {
    let directory = std::env::var(DIRECTORY).unwrap();
    go_on(&queue(Path::new(&directory), std::env::var(ROUND).unwrap().parse().unwrap()));
}

/// Kills a runner after a few of its lines; gives all of them.
fn kill(directory: &Path, round: i64) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let is_ours = |line: &String| line.contains("delivered ") || line.contains("answered ");
    let mut told: Vec<String> = lines.by_ref().filter(is_ours).take(9).collect();
    // A moment of real time, for a process that knows no other: kills strike between all steps.
    std::thread::sleep(Duration::from_micros(u64::try_from(round * 137 % 900).unwrap()));
    victim.kill().unwrap();
    told.extend(lines.filter(is_ours));
    victim.wait().unwrap();
    told
}

#[test]
fn a_job_survives_kills_and_delivers_all_that_it_began_with_and_nothing_else() {
    let scratch = Scratch::new("jobs");
    let first = queue(scratch.path(), 0);
    for n in 0..LETTERS {
        first.put(&format!(r#"{{"payload": {n}, "durability": "os"}}"#)).unwrap();
    }
    drop(Redrive::new(&first, r#"{"limit": null, "max_redrives": null}"#, 0).unwrap());
    first.put(r#"{"payload": "late"}"#).unwrap();

    let (mut delivered, mut answered, mut kills) = (HashMap::<String, u32>::new(), HashMap::<String, u32>::new(), 0);
    for round in 1..8 {
        for line in kill(scratch.path(), round) {
            let (words, kind) = if line.contains("delivered ") { (&mut delivered, "delivered ") } else { (&mut answered, "answered ") };
            *words.entry(line.split(kind).last().unwrap().to_owned()).or_default() += 1;
        }
        kills += 1;
    }
    let last = queue(scratch.path(), 8);
    let before = jobs(&last).remove(0);
    assert_eq!((before["state"].as_str(), before["arrived"].as_u64()), (Some("interrupted"), Some(1)), "{before}");
    let done = go_on(&last);
    assert_eq!((done["failed"].as_u64(), done["remaining"].as_u64(), done["arrived"].as_u64()), (Some(0), Some(0), Some(1)), "{done}");
    let after = jobs(&last).remove(0);
    assert_eq!((after["state"].as_str(), after["ok"].as_u64(), after["total"].as_u64()), (Some("done"), Some(120), Some(120)), "{after}");
    let twice: u32 = delivered.values().map(|times| times - 1).sum();
    println!("{kills} kills, {} letters delivered before the last run, {twice} of them again", delivered.len());
    assert!(twice <= kills, "only what was in the hands of a dead runner is delivered again");
    assert!(answered.values().all(|times| *times == 1), "nothing that was settled is delivered again");
    assert!(answered.len() > 20 && !delivered.contains_key("\"late\""));
}
