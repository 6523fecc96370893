//! What a queue may hold, and what becomes of letters that find no place in it.

use std::time::{Duration, Instant};

use seawall_dlq::{ENDED_JOBS, Evict, Query, Queue, State, StoredJob, Usage, flush};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Bench, Case, drive, parse};

pub const CASES: &[Case] = &[
    ("a full queue refuses", refuses),
    ("a full queue makes room", makes_room),
    ("recovered letters make room first", recovered_first),
    ("leased letters are never removed", leased),
    ("bytes are limited too", bytes),
    ("what other writers added is seen", others),
    ("letters expire by age", age),
    ("recovered letters are kept for a while", retention),
    ("eviction takes the oldest and no more", evicts),
    ("a refused letter goes on to the second store", second),
    ("a refused letter waits in memory", memory),
    ("nobody waits for a queued letter", queued),
    ("durability os is taken", os),
    ("limits that make no sense name themselves", wrong),
    ("a job is saved by one", jobs),
];

/// A letter under limits, and what became of it.
fn write(bench: &Bench, n: i64, limits: &Value, more: &Value) -> Result<Value, String> {
    let mut letter = json!({"payload": n, "limits": limits, "error": {"type": "bank.Refused"}});
    letter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.queue.write(&letter.to_string()).map(|told| parse(&told)).map_err(|why| why.code.to_owned())
}

fn counts(bench: &Bench) -> (u64, u64) {
    let stats = bench.stats();
    (stats["lost"].as_u64().unwrap(), stats["dropped"].as_u64().unwrap())
}

fn refuses(bench: &Bench) {
    let limits = json!({"max_letters": 2});
    for n in 0..2 {
        assert_eq!(write(bench, n, &limits, &json!({})).unwrap()["step"], "store");
    }
    let error = bench.queue.write(&json!({"payload": 2, "limits": limits}).to_string()).unwrap_err();
    assert_eq!(error.code, "store.full");
    assert!(error.message.contains("max_letters (2)"), "{error}");
    assert_eq!((bench.peek(&json!({})), counts(bench)), (vec![1, 0], (1, 0)));
    bench.queue.purge("", true, false).unwrap();
    write(bench, 3, &limits, &json!({})).unwrap();
    assert_eq!(bench.peek(&json!({})), [3]);
}

fn makes_room(bench: &Bench) {
    let limits = json!({"max_letters": 2, "when_full": "drop_oldest"});
    let dropped: Vec<u64> = (0..4).map(|n| write(bench, n, &limits, &json!({})).unwrap()["dropped"].as_u64().unwrap()).collect();
    assert_eq!(dropped, [0, 0, 1, 1]);
    assert_eq!((bench.peek(&json!({})), counts(bench)), (vec![3, 2], (0, 2)));
}

fn recovered_first(bench: &Bench) {
    let limits = json!({"max_letters": 2});
    bench.put_number(0);
    bench.put_number(1);
    drive(&bench.redrive(&json!({"filter": {"newer_than": "0ms"}, "limit": 1})), |_| true);
    // A book entry more is no reason to refuse, and no loss.
    assert_eq!(write(bench, 2, &limits, &json!({})).unwrap()["dropped"], 0);
    assert_eq!((bench.peek(&json!({})), bench.stats()["archived"].as_u64(), counts(bench)), (vec![2, 1], Some(0), (0, 0)));
}

fn leased(bench: &Bench) {
    let id = bench.put_number(0);
    let redrive = bench.redrive(&json!({}));
    redrive.next(0).unwrap();
    let limits = json!({"max_letters": 1, "when_full": "drop_oldest"});
    assert_eq!(write(bench, 1, &limits, &json!({})), Err("store.full".to_owned()));
    assert_eq!(bench.state(&id), "leased");
    // A lease that has lapsed protects nothing.
    bench.advance(60_000);
    assert_eq!(write(bench, 1, &limits, &json!({})).unwrap()["dropped"], 1);
    assert_eq!(bench.queue.get(&id).unwrap(), None);
}

fn bytes(bench: &Bench) {
    bench.put_number(0);
    let one = bench.stats()["bytes"].as_u64().unwrap();
    let limits = json!({"max_bytes": one * 2 + one / 2, "when_full": "drop_oldest"});
    for n in 1..4 {
        write(bench, n, &limits, &json!({})).unwrap();
    }
    assert_eq!(bench.peek(&json!({})), [3, 2]);
    assert!(bench.stats()["bytes"].as_u64().unwrap() <= one * 2 + one / 2);
    // Longer than all that the queue may hold: nothing is removed for it in vain.
    let long =
        json!({"payload": "x".repeat(usize::try_from(one).unwrap() * 3), "limits": {"max_bytes": one * 2, "when_full": "drop_oldest"}});
    assert_eq!(bench.queue.write(&long.to_string()).unwrap_err().code, "store.full");
    assert_eq!(bench.peek(&json!({})), [3, 2]);
}

fn others(bench: &Bench) {
    let limits = json!({"max_letters": 3});
    write(bench, 0, &limits, &json!({})).unwrap();
    let clock = bench.now();
    // As another process: it knows nothing of this one's counts.
    let other = Queue::on(bench.store.clone(), bench.queue.name(), move || clock);
    for _ in 0..2 {
        other.put("{}").unwrap();
    }
    bench.advance(1_000);
    assert_eq!(write(bench, 1, &limits, &json!({})), Err("store.full".to_owned()));
}

fn age(bench: &Bench) {
    bench.put_number(0);
    bench.queue.park("").unwrap();
    bench.advance(3_600_000);
    bench.put_number(1);
    bench.advance(1_800_000);
    let told = write(bench, 2, &json!({"max_age": "1h"}), &json!({})).unwrap();
    assert_eq!((told["expired"].as_u64(), told["dropped"].as_u64()), (Some(1), Some(0)));
    assert_eq!((bench.peek(&json!({})), counts(bench)), (vec![2, 1], (0, 1)));
    // Looked for once a minute at most.
    bench.advance(1_800_001);
    assert_eq!(write(bench, 3, &json!({"max_age": "1h"}), &json!({})).unwrap()["expired"], 1);
    bench.advance(59_000);
    bench.put_number(4);
    assert_eq!(write(bench, 5, &json!({"max_age": "1ms"}), &json!({})).unwrap()["expired"], 0);
}

fn retention(bench: &Bench) {
    bench.put_number(0);
    bench.put(&json!({"payload": 1, "correlation_id": "c", "operation": "f"}));
    bench.advance(86_400_000);
    drive(&bench.redrive(&json!({"limit": 1})), |_| true);
    assert_eq!(bench.queue.archive("c", "f").unwrap(), 1);
    let limits = json!({"retention": "1h"});
    // Kept since they recovered, not since they failed.
    write(bench, 2, &limits, &json!({})).unwrap();
    assert_eq!(bench.stats()["archived"], 2);
    bench.advance(3_600_001);
    let told = write(bench, 3, &limits, &json!({})).unwrap();
    assert_eq!((bench.stats()["archived"].as_u64(), told["expired"].as_u64()), (Some(0), Some(0)));
    assert_eq!(bench.peek(&json!({})), [3, 2]);
}

fn evicts(bench: &Bench) {
    for n in 0..5 {
        bench.put_number(n);
    }
    let by = Instant::now() + Duration::from_secs(10);
    let usage = bench.store.usage(bench.queue.name(), by, bench.now()).unwrap();
    assert_eq!((usage.letters, Some(usage.bytes)), (5, bench.stats()["bytes"].as_u64()));
    let evict = |letters, bytes| {
        let evict = Evict { query: Query::in_state(bench.queue.name(), State::Ready), letters, bytes };
        bench.store.evict(&evict, by, bench.now()).unwrap()
    };
    assert_eq!(evict(0, 0), Usage::default());
    assert_eq!(evict(1, usage.bytes / 5 + 1).letters, 2);
    assert_eq!(bench.peek(&json!({})), [4, 3, 2]);
    assert_eq!(evict(9, 0).letters, 3);
}

fn second(bench: &Bench) {
    let name = format!("second of {}", bench.store.caps().has(seawall_dlq::Caps::DURABLE_ACK));
    let limits = json!({"max_letters": 1});
    let clock = bench.now();
    let queue = Queue::on(bench.store.clone(), &name, move || clock);
    let letter = json!({"payload": 1, "limits": limits, "chain": true, "second_store": "memory:"}).to_string();
    assert_eq!(parse(&queue.write(&letter).unwrap())["step"], "store");
    let told = parse(&queue.write(&letter).unwrap());
    assert_eq!((told["step"].as_str(), told["cause"].as_str()), (Some("second"), Some("store.full")));
    let second = Queue::open(&name, "memory:").unwrap();
    assert!(second.get(told["id"].as_str().unwrap()).unwrap().is_some());
    assert_eq!(parse(&queue.stats().unwrap())["lost"], 0);
}

fn memory(bench: &Bench) {
    let limits = json!({"max_letters": 1});
    write(bench, 0, &limits, &json!({})).unwrap();
    let told = write(bench, 1, &limits, &json!({"chain": true})).unwrap();
    assert_eq!((told["step"].as_str(), told["cause"].as_str()), (Some("memory"), Some("store.full")));
    assert!(!flush(Instant::now() + Duration::from_millis(1)), "it is not written while the queue is full");
    bench.queue.purge("", true, false).unwrap();
    assert!(flush(Instant::now() + Duration::from_secs(30)));
    assert_eq!(bench.get(told["id"].as_str().unwrap())["payload"], 1);
    assert_eq!(counts(bench), (0, 0));
}

fn queued(bench: &Bench) {
    let told: Vec<Value> = (0..20).map(|n| write(bench, n, &json!({}), &json!({"await_durable": false})).unwrap()).collect();
    assert!(told.iter().all(|told| told["step"] == "queued"), "{told:?}");
    assert!(flush(Instant::now() + Duration::from_secs(30)));
    assert_eq!(bench.peek(&json!({})).len(), 20);
    assert_eq!(bench.get(told[7]["id"].as_str().unwrap())["payload"], 7);
}

fn os(bench: &Bench) {
    assert_eq!(write(bench, 1, &json!({}), &json!({"durability": "os"})).unwrap()["step"], "store");
    assert_eq!(bench.peek(&json!({})), [1]);
    assert_eq!(write(bench, 1, &json!({}), &json!({"durability": "none"})), Err("config.invalid".to_owned()));
}

fn wrong(bench: &Bench) {
    for (limits, part) in
        [(json!({"max_age": "soon"}), "'soon'"), (json!({"when_full": "panic"}), "drop_oldest"), (json!({"max_letter": 1}), "max_letters")]
    {
        let error = bench.queue.write(&json!({"limits": limits}).to_string()).unwrap_err();
        assert!(error.code == "config.invalid" && error.message.contains(part), "{error}");
    }
}

fn jobs(bench: &Bench) {
    let queue = bench.queue.name().to_owned();
    let job = StoredJob { id: Uuid::now_v7(), queue: queue.clone(), version: 0, open: true, body: r#"{"n":1}"#.into() };
    assert!(bench.store.save_job(&job).unwrap());
    assert!(!bench.store.save_job(&job).unwrap(), "it is there already");
    assert_eq!(bench.store.jobs(&queue).unwrap(), [StoredJob { version: 1, ..job.clone() }]);
    let later = StoredJob { version: 1, body: "{}".into(), ..job.clone() };
    assert!(bench.store.save_job(&later).unwrap());
    assert!(!bench.store.save_job(&later).unwrap(), "somebody saved it meanwhile");
    for _ in 0..=ENDED_JOBS {
        let ended = StoredJob { id: Uuid::now_v7(), open: false, version: 0, ..job.clone() };
        assert!(bench.store.save_job(&ended).unwrap());
    }
    let all = bench.store.jobs(&queue).unwrap();
    assert_eq!((all.len(), all.last().map(|job| job.open)), (ENDED_JOBS + 1, Some(true)), "open ones are never forgotten");
    assert!(all.is_sorted_by(|newer, older| newer.id > older.id));
}
