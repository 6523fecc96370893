//! What holds for every store on a server, whatever becomes of the server.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use seawall_dlq::{DeadLetterStore, DlqError, Queue, Redrive};
use serde_json::{Value, json};

use crate::serve::Server;

type Store = Arc<dyn DeadLetterStore>;

/// Times that the server goes in the middle of everything.
const ROUNDS: usize = 6;
/// What of the campaign's clock passes in a millisecond: a lease that nobody answers lapses soon.
const LEASE: &str = "2s";

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn secretless(error: &DlqError) {
    assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
}

/// One that is gone is an error at once, one that stands still is one after the write timeout, and both are used again when they are back.
pub fn is_told_and_found_again(server: &mut Server, store: &Store) {
    let queue = Queue::on(store.clone(), "away", || 0);
    let first = queue.put("{}").unwrap();
    server.tell("kill");
    let error = queue.put("{}").unwrap_err();
    assert_eq!(error.code, "store.failed", "{error}");
    secretless(&error);
    secretless(&queue.get(&first).unwrap_err());
    server.tell("start");
    assert!(queue.get(&first).unwrap().is_some());
    server.tell("stop");
    let began = Instant::now();
    let error = queue.put(r#"{"write_timeout": "300ms"}"#).unwrap_err();
    assert_eq!(error.code, "store.busy", "{error}");
    secretless(&error);
    assert!(began.elapsed() < Duration::from_secs(9), "the letter's own bound, not that of other verbs");
    server.tell("go");
    let id = queue.put("{}").unwrap();
    assert!(queue.get(&id).unwrap().is_some());
}

/// What the writers and redrivers saw.
#[derive(Default)]
struct Seen {
    acknowledged: Vec<String>,
    acked: Vec<String>,
}

/// Writers and redrivers at work while the server is killed and stopped.
pub fn campaign(server: &mut Server, store: &Store) {
    let (stop, clock) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let began = Instant::now();
    let queue = {
        let clock = clock.clone();
        Queue::on(store.clone(), "campaign", move || {
            clock.store(i64::try_from(began.elapsed().as_millis()).unwrap(), Ordering::SeqCst);
            clock.load(Ordering::SeqCst)
        })
    };
    let workers: Vec<_> = (0..6)
        .map(|n| {
            let (queue, stop) = (queue.clone(), stop.clone());
            thread::spawn(move || if n < 4 { write(&queue, &stop) } else { redrive(&queue, &stop) })
        })
        .collect();
    for round in 0..ROUNDS {
        thread::sleep(Duration::from_millis(350 + 53 * u64::try_from(round).unwrap()));
        if round % 2 == 0 {
            server.tell("kill");
            server.tell("start");
        } else {
            server.tell("stop");
            thread::sleep(Duration::from_millis(700));
            server.tell("go");
        }
    }
    thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::SeqCst);
    let seen: Vec<Seen> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    let acknowledged: Vec<&String> = seen.iter().flat_map(|one| &one.acknowledged).collect();
    let acked: Vec<&String> = seen.iter().flat_map(|one| &one.acked).collect();
    println!("{} letters acknowledged, {} deliveries acknowledged, over {ROUNDS} rounds", acknowledged.len(), acked.len());
    assert!(acknowledged.len() > 50 && acked.len() > 5, "there was something to lose");
    judge(&queue, &acknowledged, &acked);
}

fn judge(queue: &Queue, acknowledged: &[&String], acked: &[&String]) {
    let distinct: HashSet<_> = acked.iter().collect();
    assert_eq!(distinct.len(), acked.len(), "no delivery was acknowledged twice");
    let mut states: HashMap<String, String> = HashMap::new();
    for filter in ["{}", r#"{"state": "archived"}"#] {
        let mut cursor: Option<String> = None;
        loop {
            let page = parse(&queue.peek(filter, 500, cursor.as_deref()).unwrap());
            let Some(last) = page.as_array().unwrap().last() else { break };
            for letter in page.as_array().unwrap() {
                let known = states.insert(letter["id"].as_str().unwrap().to_owned(), letter["state"].as_str().unwrap().to_owned());
                assert_eq!(known, None, "a letter is there once");
            }
            cursor = last["id"].as_str().map(str::to_owned);
        }
    }
    for id in acknowledged {
        assert!(states.contains_key(*id), "{id} was acknowledged and is lost");
    }
    for id in acked {
        assert_eq!(states.get(*id).map(String::as_str), Some("archived"), "{id} was delivered");
    }
    let stats = parse(&queue.stats().unwrap());
    let sum: u64 = ["ready", "leased", "parked", "archived"].iter().map(|name| stats[name].as_u64().unwrap()).sum();
    assert_eq!(sum, states.len() as u64);
}

fn write(queue: &Queue, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::SeqCst) {
        let letter = json!({"payload": seen.acknowledged.len(), "error": {"type": "E"}, "write_timeout": "400ms"});
        match queue.put(&letter.to_string()) {
            Ok(id) => seen.acknowledged.push(id),
            Err(why) => {
                secretless(&why);
                thread::sleep(Duration::from_millis(20));
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    seen
}

fn redrive(queue: &Queue, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::SeqCst) {
        if let Err(why) = some(queue, stop, &mut seen) {
            secretless(&why);
        }
        thread::sleep(Duration::from_millis(20));
    }
    seen
}

fn some(queue: &Queue, stop: &AtomicBool, seen: &mut Seen) -> Result<(), DlqError> {
    let redrive = Redrive::new(queue, &json!({"limit": 20, "lease": LEASE, "max_redrives": null}).to_string(), 0)?;
    while !stop.load(Ordering::SeqCst) {
        let step = parse(&redrive.next(0)?);
        let Some(token) = step["token"].as_u64() else { break };
        // Answered until it is heard: true means that this delivery is on record.
        if redrive.delivered(token, true, None, 0)? {
            seen.acked.push(step["deliver"]["id"].as_str().unwrap().to_owned());
        }
    }
    Ok(())
}
