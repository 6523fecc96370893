//! `kill -9` at random moments: what was acknowledged is there, and there once.
//!
//! `SEAWALL_KILLS` sets the number of rounds; the campaign of a thousand is `make kills`.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, Page, Query, Queue};

const DIRECTORY: &str = "SEAWALL_TEST_DIRECTORY";

/// Not a test of its own: the process that is killed. Its threads share syncs, and it indexes now and then, so that kills strike in both.
#[test]
#[ignore = "started by the campaign"]
fn victim() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let store = seawall_store_sqlite::open(Path::new(&directory)).unwrap();
    let queue = Queue::on(store.clone(), "orders", || 0);
    // Some pages long, so that a kill can strike in the middle of one write.
    let filler = "f".repeat(20_000);
    let write = |thread: u32| {
        for n in 0_u64.. {
            let id = queue.put(&format!(r#"{{"payload": ["{}-{thread}-{n}", "{filler}"]}}"#, std::process::id())).unwrap();
            println!("acknowledged {id}");
            if thread == 0 && n % 16 == 15 {
                store.count(&Query::all("orders"), 0).unwrap();
            }
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|thread| drop(scope.spawn(move || write(thread)))));
}

/// One round; gives what was acknowledged.
fn kill(directory: &Path, delay: Duration) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = |line: String| line.split_once("acknowledged ").map(|(_, id)| id.to_owned()).filter(|id| id.len() == 36);
    let mut acknowledged: Vec<String> = lines.by_ref().filter_map(told).take(1).collect();
    // A moment of real time, for a process that knows no other.
    std::thread::sleep(delay);
    victim.kill().unwrap();
    acknowledged.extend(lines.filter_map(told));
    victim.wait().unwrap();
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills() {
    let rounds: u32 = std::env::var("SEAWALL_KILLS").map_or(50, |rounds| rounds.parse().unwrap());
    let scratch = Scratch::new("kills");
    let store = seawall_store_sqlite::open(scratch.path()).unwrap();
    let (mut acknowledged, mut extra_rounds) = (HashSet::new(), 0);
    let mut known = 0;
    let mut chance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    for _ in 0..rounds {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let told = kill(scratch.path(), Duration::from_micros(u64::from(chance >> 18)));
        let letters = told.len() as u64;
        acknowledged.extend(told);
        let now_known = store.count(&Query::all("orders"), 0).unwrap();
        extra_rounds += u32::from(now_known - known > letters);
        known = now_known;
    }
    let all = store.peek(&Query::all("orders"), &Page { limit: usize::MAX, after: None }, 0).unwrap();
    let ids: HashSet<String> = all.iter().map(|record| record.id.to_string()).collect();
    let payloads: HashSet<&[u8]> = all.iter().map(|record| &record.payload[..]).collect();
    let lost = acknowledged.difference(&ids).count();
    let doubled = all.len() - payloads.len();
    println!(
        "{rounds} kills: {} letters acknowledged, {lost} lost, {doubled} doubled; {extra_rounds} kills left a letter written and not acknowledged",
        acknowledged.len()
    );
    assert_eq!((lost, doubled), (0, 0));
    assert!(extra_rounds * 3 >= rounds, "the kills must strike where it matters: {extra_rounds} of {rounds}");
    assert_eq!(seawall_dlq::log::segments(scratch.path()).unwrap().len(), 0, "what dead writers left is indexed and removed");
}
