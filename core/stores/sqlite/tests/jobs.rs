//! A bulk redrive whose process is killed, over and over, and gone on with by the next.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

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

/// Kills a runner a moment after so many of its lines; gives all of them, and whether it had ended by itself.
fn kill(directory: &Path, round: i64, after: usize, moment: Duration) -> (Vec<String>, bool) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let is_ours = |line: &String| line.contains("delivered ") || line.contains("answered ");
    let mut told: Vec<String> = lines.by_ref().filter(is_ours).take(after).collect();
    // A moment of real time, for a process that knows no other: kills strike between all steps.
    std::thread::sleep(moment);
    victim.kill().unwrap();
    told.extend(lines.filter(is_ours));
    let ended = victim.wait().unwrap().success();
    (told, ended)
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
        let moment = Duration::from_micros(u64::try_from(round * 137 % 900).unwrap());
        for line in kill(scratch.path(), round, 9, moment).0 {
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

/// What the campaign below knows of its letters.
#[derive(Default)]
struct Tally {
    delivered: HashMap<String, u32>,
    answered: BTreeSet<String>,
    /// Delivered though their answer had been taken.
    unsettled: u32,
    /// Kills that struck while a letter was in the runner's hands.
    in_hand: u32,
}

impl Tally {
    fn take(&mut self, told: &[String]) {
        for line in told {
            if let Some((_, letter)) = line.split_once("delivered ") {
                self.unsettled += u32::from(self.answered.contains(letter));
                *self.delivered.entry(letter.to_owned()).or_default() += 1;
            } else if let Some((_, letter)) = line.split_once("answered ") {
                self.answered.insert(letter.to_owned());
            }
        }
        self.in_hand += u32::from(told.last().is_some_and(|line| line.contains("delivered ")));
    }
}

#[test]
fn nothing_is_lost_by_kills_at_random_moments_of_redrive_jobs() {
    let rounds: i64 = std::env::var("SEAWALL_KILLS").map_or(25, |rounds| rounds.parse().unwrap());
    let scratch = Scratch::new("campaign");
    let mut chance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let mut random = |most: u32| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 8) % most
    };
    let (mut tally, mut letters, mut begun, mut kills, mut again) = (Tally::default(), 0, 0, 0, true);
    for round in 1..=rounds {
        if again {
            // A round ago, so that the runner need not wait for this process's lease.
            let queue = queue(scratch.path(), round - 1);
            for _ in 0..60 {
                queue.put(&format!(r#"{{"payload": {letters}, "durability": "os"}}"#)).unwrap();
                letters += 1;
            }
            drop(Redrive::new(&queue, r#"{"limit": null, "max_redrives": null}"#, 0).unwrap());
            begun += 1;
        }
        // Some strike before the first delivery, some after many.
        let (after, moment) = (random(30) as usize, Duration::from_micros(u64::from(random(3_000))));
        let (told, ended) = kill(scratch.path(), round, after, moment);
        tally.take(&told);
        kills += u32::from(!ended);
        again = jobs(&queue(scratch.path(), round + 1))[0]["state"] == "done";
    }
    let last = queue(scratch.path(), rounds + 1);
    if jobs(&last)[0]["state"] != "done" {
        assert_eq!(go_on(&last)["remaining"], 0);
    }
    let stats: Value = serde_json::from_str(&last.stats().unwrap()).unwrap();
    let twice: u32 = tally.delivered.values().map(|times| times - 1).sum();
    println!(
        "{kills} kills in {begun} jobs: {letters} letters, {} lost, {} answered, {twice} delivered again, {} of these though answered; {} kills with a letter in hand",
        letters - stats["archived"].as_i64().unwrap(),
        tally.answered.len(),
        tally.unsettled,
        tally.in_hand,
    );
    assert_eq!((stats["archived"].as_i64(), stats["ready"].as_i64(), stats["leased"].as_i64()), (Some(letters), Some(0), Some(0)));
    assert_eq!(tally.unsettled, 0, "what was answered is settled");
    assert!(twice <= kills, "only what was in the hands of a dead runner is delivered again");
    assert!(jobs(&last).iter().all(|job| job["state"] == "done" && job["ok"] == 60), "every job counts all of its letters");
}
