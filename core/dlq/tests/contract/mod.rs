//! What every store must do, through the queue that the bindings call. Time is a number that the cases move.

mod jobs;
mod limiting;
mod merging;
mod redriving;
mod selecting;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use seawall_dlq::{DeadLetterStore, Queue, Redrive};
use serde_json::{Value, json};

/// Half past eleven on a November night, in milliseconds since 1970.
const START: i64 = 1_795_563_000_000;

/// Runs every case, each in a queue of its own.
pub fn run(store: &Arc<dyn DeadLetterStore>) {
    for (name, case) in selecting::CASES.iter().chain(merging::CASES).chain(redriving::CASES).chain(limiting::CASES).chain(jobs::CASES) {
        println!("{name}");
        case(&Bench::new(store, name));
    }
}

pub type Case = (&'static str, fn(&Bench));

/// A queue and its clock.
pub struct Bench {
    pub store: Arc<dyn DeadLetterStore>,
    pub queue: Queue,
    clock: Arc<AtomicI64>,
}

impl Bench {
    fn new(store: &Arc<dyn DeadLetterStore>, name: &str) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let hand = clock.clone();
        let queue = Queue::on(store.clone(), name, move || hand.load(Ordering::SeqCst));
        Self { store: store.clone(), queue, clock }
    }

    pub fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub fn advance(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn put(&self, letter: &Value) -> String {
        self.queue.put(&letter.to_string()).unwrap()
    }

    /// A letter whose payload is `n`.
    pub fn put_number(&self, n: i64) -> String {
        self.put(&json!({"payload": n, "error": {"type": "bank.Refused", "message": format!("order {n}"), "code": "E7"}}))
    }

    pub fn get(&self, id: &str) -> Value {
        parse(&self.queue.get(id).unwrap().unwrap())
    }

    pub fn state(&self, id: &str) -> String {
        self.get(id)["state"].as_str().unwrap().to_owned()
    }

    pub fn peek(&self, filter: &Value) -> Vec<i64> {
        let letters = parse(&self.queue.peek(&filter.to_string(), 1000, None).unwrap());
        letters.as_array().unwrap().iter().map(|letter| letter["payload"].as_i64().unwrap()).collect()
    }

    pub fn stats(&self) -> Value {
        parse(&self.queue.stats().unwrap())
    }

    pub fn redrive(&self, options: &Value) -> Redrive {
        Redrive::new(&self.queue, &options.to_string(), 0).unwrap()
    }
}

pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The next step of a redrive.
pub fn step(redrive: &Redrive, now_ms: u64) -> Value {
    parse(&redrive.next(now_ms).unwrap())
}

/// Delivers until it is done, each letter ending as `ok` says of its payload, and gives the payloads and the report.
pub fn drive(redrive: &Redrive, ok: impl Fn(i64) -> bool) -> (Vec<i64>, Value) {
    let mut delivered = Vec::new();
    loop {
        let step = step(redrive, 0);
        if let Some(report) = step.get("done") {
            return (delivered, report.clone());
        }
        let payload = step["deliver"]["payload"].as_i64().unwrap();
        delivered.push(payload);
        let error = r#"{"type": "Again", "message": "still no"}"#;
        let good = ok(payload);
        assert!(redrive.delivered(step["token"].as_u64().unwrap(), good, (!good).then_some(error), 0).unwrap());
    }
}
