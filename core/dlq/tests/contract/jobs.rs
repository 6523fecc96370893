//! Bulk redrives on record: bounds, progress, pauses, and what a crash leaves.

use seawall_dlq::Redrive;
use serde_json::{Value, json};

use super::{Bench, Case, drive, parse, step};

pub const CASES: &[Case] = &[
    ("a bulk redrive goes on record", recorded),
    ("new arrivals are shown apart", arrivals),
    ("a paused job stops and is gone on with", paused),
    ("a cancelled job has ended", cancelled),
    ("a job whose runner died is gone on with", crashed),
    ("a slow runner notices that it was replaced", replaced),
    ("an open circuit stops a redrive", breaker),
    ("a runner may leave", left),
    ("a limit counts over all runs", limited),
    ("ages mean what they meant at the start", ages),
    ("jobs that are not there say so", absent),
];

fn jobs(bench: &Bench) -> Vec<Value> {
    parse(&bench.queue.jobs().unwrap()).as_array().unwrap().clone()
}

fn job(bench: &Bench) -> Value {
    jobs(bench).remove(0)
}

fn counts(job: &Value) -> (&str, u64, u64, u64) {
    let number = |name: &str| job[name].as_u64().unwrap();
    (job["state"].as_str().unwrap(), number("ok"), number("failed"), number("remaining"))
}

fn put(bench: &Bench, letters: i64) {
    for n in 0..letters {
        bench.put_number(n);
    }
}

fn bulk(bench: &Bench) -> Redrive {
    bench.redrive(&json!({"limit": null}))
}

fn resume(bench: &Bench) -> Redrive {
    bench.redrive(&json!({"resume": job(bench)["id"]}))
}

fn answer(redrive: &Redrive, ok: bool) -> i64 {
    let step = step(redrive, 0);
    let error = (!ok).then_some(r#"{"type": "Again"}"#);
    assert!(redrive.delivered(step["token"].as_u64().unwrap(), ok, error, 0).unwrap());
    step["deliver"]["payload"].as_i64().unwrap()
}

fn recorded(bench: &Bench) {
    put(bench, 3);
    drive(&bench.redrive(&json!({"limit": 1})), |_| true);
    bench.redrive(&json!({"limit": null, "dry_run": true})).next(0).unwrap();
    assert!(jobs(bench).is_empty(), "small and dry ones do not");
    let redrive = bulk(bench);
    assert_eq!(counts(&job(bench)), ("running", 0, 0, 2));
    let (_, report) = drive(&redrive, |n| n == 1);
    let told = job(bench);
    assert_eq!(report["job"], told["id"]);
    assert_eq!((counts(&told), told["total"].as_u64()), (("done", 1, 1, 0), Some(2)));
    assert_eq!((told["pid"].as_u64(), &told["stopped"]), (Some(std::process::id().into()), &Value::Null));
    drive(&bench.redrive(&json!({"limit": 5, "job": true})), |_| true);
    assert_eq!(jobs(bench).len(), 2);
}

fn arrivals(bench: &Bench) {
    put(bench, 2);
    let redrive = bulk(bench);
    answer(&redrive, false);
    bench.advance(1_000);
    bench.put_number(7);
    bench.put_number(8);
    assert_eq!(job(bench)["arrived"], 2);
    let (order, report) = drive(&redrive, |_| true);
    // Neither its own failure nor what came since is delivered; only the latter are arrivals.
    assert_eq!((order, report["arrived"].as_u64(), report["remaining"].as_u64()), (vec![1], Some(2), Some(0)));
}

fn paused(bench: &Bench) {
    put(bench, 4);
    let redrive = bench.redrive(&json!({"limit": null, "filter": {"error": "Refused"}}));
    answer(&redrive, true);
    bench.put(&json!({"payload": 9, "error": {"type": "Other"}}));
    assert!(bench.queue.pause(job(bench)["id"].as_str().unwrap()).unwrap());
    answer(&redrive, true);
    bench.advance(250);
    let (order, report) = drive(&redrive, |_| true);
    assert_eq!((order, report["stopped"].as_str(), report["remaining"].as_u64()), (vec![], Some("paused"), Some(2)));
    assert_eq!(counts(&job(bench)), ("paused", 2, 0, 2));
    let (order, report) = drive(&resume(bench), |_| true);
    assert_eq!((order, report["ok"].as_u64(), &report["stopped"]), (vec![2, 3], Some(2), &Value::Null));
    assert_eq!(counts(&job(bench)), ("done", 4, 0, 0));
    assert!(!bench.queue.pause(job(bench)["id"].as_str().unwrap()).unwrap(), "it has ended");
}

fn cancelled(bench: &Bench) {
    put(bench, 2);
    let redrive = bulk(bench);
    answer(&redrive, true);
    let id = job(bench)["id"].as_str().unwrap().to_owned();
    assert!(bench.queue.cancel(&id).unwrap());
    bench.advance(250);
    assert_eq!(step(&redrive, 0)["done"]["stopped"], "cancelled");
    assert_eq!(counts(&job(bench)), ("cancelled", 1, 0, 0));
    let Err(error) = Redrive::new(&bench.queue, &json!({"resume": id}).to_string(), 0) else { panic!("it has ended") };
    assert_eq!(error.code, "config.invalid");
    assert_eq!(drive(&bench.redrive(&json!({})), |_| true).0, [1], "the letter is there for another");
}

fn crashed(bench: &Bench) {
    put(bench, 5);
    let dead = bulk(bench);
    answer(&dead, true);
    answer(&dead, false);
    assert_eq!(step(&dead, 0)["deliver"]["payload"], 2);
    drop(dead);
    let id = json!({"resume": job(bench)["id"]}).to_string();
    bench.advance(64_000);
    let Err(error) = Redrive::new(&bench.queue, &id, 0) else { panic!("its lease holds") };
    assert!(error.code == "store.busy" && error.message.contains(&std::process::id().to_string()), "{error}");
    bench.advance(1_000);
    assert_eq!(counts(&job(bench)).0, "interrupted");
    bench.put_number(9);
    let (order, report) = drive(&resume(bench), |_| true);
    assert_eq!((order, report["arrived"].as_u64()), (vec![2, 3, 4], Some(1)));
    assert_eq!(counts(&job(bench)), ("done", 4, 1, 0), "what was counted nowhere but in the letters is counted");
}

fn replaced(bench: &Bench) {
    put(bench, 3);
    let slow = bulk(bench);
    let token = step(&slow, 0)["token"].as_u64().unwrap();
    bench.advance(65_000);
    let (order, _) = drive(&resume(bench), |_| true);
    assert_eq!(order, [0, 1, 2]);
    assert!(!slow.delivered(token, true, None, 0).unwrap());
    assert_eq!(step(&slow, 0)["done"]["ok"], 0);
    assert_eq!(counts(&job(bench)), ("done", 3, 0, 0));
}

fn breaker(bench: &Bench) {
    put(bench, 3);
    let redrive = bulk(bench);
    answer(&redrive, true);
    let token = step(&redrive, 0)["token"].as_u64().unwrap();
    let open = r#"{"type": "CircuitOpenError", "code": "circuit.open"}"#;
    assert!(redrive.delivered(token, false, Some(open), 0).unwrap());
    let done = &step(&redrive, 0)["done"];
    assert_eq!((done["stopped"].as_str(), done["failed"].as_u64(), done["remaining"].as_u64()), (Some("breaker"), Some(0), Some(2)));
    assert_eq!((counts(&job(bench)), job(bench)["stopped"].as_str()), (("stopped", 1, 0, 2), Some("breaker")));
    let (order, _) = drive(&resume(bench), |_| true);
    assert_eq!(order, [1, 2]);
    let letter = &parse(&bench.queue.peek(r#"{"state": "archived"}"#, 9, None).unwrap())[1];
    assert_eq!((letter["payload"].as_i64(), letter["redrives"].as_u64()), (Some(1), Some(1)), "it was not held against the letter");
}

fn left(bench: &Bench) {
    put(bench, 2);
    let redrive = bulk(bench);
    let token = step(&redrive, 0)["token"].as_u64().unwrap();
    assert!(redrive.released(token).unwrap());
    redrive.leave().unwrap();
    assert_eq!(counts(&job(bench)), ("paused", 0, 0, 2));
    assert_eq!(drive(&resume(bench), |_| true).0, [0, 1]);
    assert_eq!(step(&redrive, 0)["done"]["ok"], 0);
    assert_eq!(counts(&job(bench)), ("done", 2, 0, 0));
}

fn limited(bench: &Bench) {
    put(bench, 5);
    let redrive = bench.redrive(&json!({"limit": 3, "job": true}));
    answer(&redrive, true);
    redrive.leave().unwrap();
    let (order, report) = drive(&resume(bench), |_| true);
    assert_eq!((order, report["stopped"].as_str()), (vec![1, 2], Some("limit")));
    assert_eq!(counts(&job(bench)).0, "done");
}

fn ages(bench: &Bench) {
    bench.put_number(0);
    bench.advance(3_600_001);
    bench.put_number(1);
    let redrive = bench.redrive(&json!({"limit": null, "filter": {"older_than": "1h"}}));
    redrive.leave().unwrap();
    bench.advance(7_200_000);
    assert_eq!(drive(&resume(bench), |_| true).0, [0]);
}

fn absent(bench: &Bench) {
    for (id, part) in [("7", "no job's id"), ("01a2119a-af9d-70ab-a3f4-c87845674072", "has no job")] {
        let Err(error) = Redrive::new(&bench.queue, &json!({"resume": id}).to_string(), 0) else { panic!("there is none") };
        assert!(error.code == "config.invalid" && error.message.contains(part), "{error}");
        assert_eq!(bench.queue.cancel(id).unwrap_err().code, "config.invalid");
    }
}
