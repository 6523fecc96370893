//! Delivering again: order, leases, bounds, rates, reports.

use seawall_dlq::{ClaimRequest, Nack, Outcome, Query, Redrive, State};
use serde_json::json;

use super::{Bench, Case, drive, parse, step};

pub const CASES: &[Case] = &[
    ("good ones are archived, bad ones go back", outcome),
    ("a redrive does not chase its own failures", bound),
    ("after three redrives a letter is parked", parking),
    ("a lapsed lease is claimable and its token void", fence),
    ("a renewed lease holds", renewed),
    ("a killer of redrivers is parked", killer),
    ("a released letter counts nothing", released),
    ("a rate spaces deliveries", rate),
    ("limit and failures stop", stops),
    ("a dry run touches nothing", dry_run),
    ("what cannot be redriven is skipped", skipped),
    ("a purged letter is skipped", vanished),
    ("a letter that recovered during its redrive ends well", recovered),
    ("two redrives share a queue", shared),
    ("acknowledging may delete", delete),
];

fn outcome(bench: &Bench) {
    let ids: Vec<String> = (0..4).map(|n| bench.put_number(n)).collect();
    let (order, report) = drive(&bench.redrive(&json!({})), |n| n != 2);
    assert_eq!(order, [0, 1, 2, 3]);
    assert_eq!(report, json!({"ok": 3, "failed": 1, "skipped": 0, "remaining": 0, "stopped": null}));
    let failed = bench.get(&ids[2]);
    assert_eq!((failed["state"].as_str(), failed["redrives"].as_u64()), (Some("ready"), Some(1)));
    assert_eq!(failed["error"]["message"], "still no");
    assert_eq!(failed["attempts"][0]["outcome"], "redrive");
    assert_eq!(bench.get(&ids[0])["redrives"], 1);
    assert_eq!((bench.state(&ids[0]).as_str(), bench.stats()["archived"].as_u64()), ("archived", Some(3)));
    // Whoever asks again hears the same.
    let redrive = bench.redrive(&json!({"filter": {"id": ids[0]}}));
    assert_eq!(step(&redrive, 0)["done"]["ok"], 0);
    assert_eq!(step(&redrive, 0), step(&redrive, 9));
}

fn bound(bench: &Bench) {
    bench.put_number(1);
    let redrive = bench.redrive(&json!({"limit": null, "stop_after_failures": null}));
    bench.put_number(2);
    let (order, report) = drive(&redrive, |_| false);
    assert_eq!(order, [1]);
    assert_eq!(report["failed"], 1);
}

fn parking(bench: &Bench) {
    let id = bench.put_number(1);
    for _ in 0..3 {
        assert_eq!(bench.state(&id), "ready");
        drive(&bench.redrive(&json!({})), |_| false);
    }
    assert_eq!(bench.state(&id), "parked");
    assert_eq!(drive(&bench.redrive(&json!({})), |_| true).0, [0; 0]);
    // By name it still goes.
    assert_eq!(drive(&bench.redrive(&json!({"filter": {"state": "parked"}})), |_| false).0, [1]);
    assert_eq!(bench.state(&id), "parked");
    assert_eq!(drive(&bench.redrive(&json!({"filter": {"id": id}})), |_| true).0, [1]);
    assert_eq!((bench.state(&id).as_str(), bench.get(&id)["redrives"].as_u64()), ("archived", Some(5)));
    let Err(error) = Redrive::new(&bench.queue, r#"{"filter": {"state": "archived"}}"#, 0) else { panic!("not redrivable") };
    assert_eq!(error.code, "config.invalid");
}

fn fence(bench: &Bench) {
    let id = bench.put_number(1);
    let slow = bench.redrive(&json!({}));
    step(&slow, 0);
    assert_eq!(bench.state(&id), "leased");
    bench.advance(59_999);
    assert_eq!(step(&bench.redrive(&json!({})), 0)["done"]["ok"], 0);
    bench.advance(1);
    assert_eq!((bench.state(&id).as_str(), bench.stats()["ready"].as_u64()), ("ready", Some(1)));
    let quick = bench.redrive(&json!({}));
    assert_eq!(step(&quick, 0)["deliver"]["id"], id.as_str());
    // The slow one answers late: refused, and counted as skipped.
    assert!(!slow.delivered(1, true, None, 0).unwrap());
    assert_eq!(step(&slow, 0)["done"], json!({"ok": 0, "failed": 0, "skipped": 1, "remaining": 0, "stopped": null}));
    assert!(quick.delivered(1, true, None, 0).unwrap());
    assert!(!quick.delivered(1, true, None, 0).unwrap());
    assert_eq!(step(&quick, 0)["done"]["ok"], 1);
}

fn renewed(bench: &Bench) {
    let id = bench.put_number(1);
    let redrive = bench.redrive(&json!({"lease": "10s"}));
    step(&redrive, 0);
    bench.advance(9_000);
    assert!(redrive.renew(1).unwrap());
    bench.advance(9_000);
    assert_eq!(bench.state(&id), "leased");
    assert!(redrive.delivered(1, true, None, 0).unwrap());
    assert!(!redrive.renew(1).unwrap());
}

fn killer(bench: &Bench) {
    let id = bench.put_number(1);
    for _ in 0..3 {
        assert!(step(&bench.redrive(&json!({})), 0)["deliver"].is_object());
        bench.advance(60_000);
    }
    assert!(step(&bench.redrive(&json!({})), 0)["done"].is_object());
    assert_eq!(bench.state(&id), "parked");
}

fn released(bench: &Bench) {
    let id = bench.put_number(1);
    let redrive = bench.redrive(&json!({}));
    step(&redrive, 0);
    assert!(redrive.released(1).unwrap());
    let letter = bench.get(&id);
    assert_eq!(
        (letter["state"].as_str(), letter["redrives"].as_u64(), letter["attempt_count"].as_u64()),
        (Some("ready"), Some(0), Some(0))
    );
    // It is as it was, so the same redrive may deliver it after all.
    assert!(step(&redrive, 0)["deliver"].is_object());
}

fn rate(bench: &Bench) {
    for n in 0..2 {
        bench.put_number(n);
    }
    let redrive = bench.redrive(&json!({"rate": "10/s"}));
    assert_eq!(step(&redrive, 5)["deliver"]["payload"], 0);
    assert_eq!(step(&redrive, 5), json!({"wait_ms": 100}));
    assert_eq!(step(&redrive, 50), json!({"wait_ms": 55}));
    assert_eq!(step(&redrive, 105)["deliver"]["payload"], 1);
    // Nothing is left: no wait for the rate, only for those in flight.
    assert_eq!(step(&redrive, 105), json!({"wait_ms": 10, "pending": 2}));
    redrive.delivered(1, true, None, 106).unwrap();
    redrive.delivered(2, true, None, 106).unwrap();
    assert_eq!(step(&redrive, 106)["done"]["ok"], 2);
}

fn stops(bench: &Bench) {
    for n in 0..5 {
        bench.put_number(n);
    }
    let (order, report) = drive(&bench.redrive(&json!({"limit": 2})), |_| true);
    assert_eq!(order, [0, 1]);
    assert_eq!(report, json!({"ok": 2, "failed": 0, "skipped": 0, "remaining": 3, "stopped": "limit"}));
    let (order, report) = drive(&bench.redrive(&json!({"stop_after_failures": 2})), |_| false);
    assert_eq!(order, [2, 3]);
    assert_eq!(report, json!({"ok": 0, "failed": 2, "skipped": 0, "remaining": 1, "stopped": "failures"}));
}

fn dry_run(bench: &Bench) {
    let id = bench.put_number(1);
    let report = parse(&bench.redrive(&json!({"dry_run": true})).next(0).unwrap())["done"].clone();
    assert_eq!((report["ok"].as_u64(), report["remaining"].as_u64()), (Some(0), Some(1)));
    assert_eq!(report["groups"][0]["count"], 1);
    assert_eq!((bench.state(&id).as_str(), bench.get(&id)["redrives"].as_u64()), ("ready", Some(0)));
}

fn skipped(bench: &Bench) {
    bench.put(&json!({"payload": 1, "redrivable": false}));
    bench.put_number(2);
    // One that only a later build may act on: readable, not redrivable here.
    let mut record =
        bench.store.peek(&Query::all(bench.queue.name()), &seawall_dlq::Page { limit: 1, after: None }, bench.now()).unwrap().remove(0);
    record.id = "ffffffff-ffff-7fff-bfff-ffffffffffff".parse().unwrap();
    record.min = 99;
    let by = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let write = seawall_dlq::Write { durability: Default::default(), by, now: bench.now(), within_retry: false };
    bench.store.append(&[record], &write).unwrap();
    let (order, report) = drive(&bench.redrive(&json!({})), |_| true);
    assert_eq!(order, [2]);
    assert_eq!((report["ok"].as_u64(), report["skipped"].as_u64()), (Some(1), Some(2)));
    let update = json!({"payload": 2, "id": "ffffffff-ffff-7fff-bfff-ffffffffffff"}).to_string();
    assert_eq!(bench.queue.put(&update).unwrap_err().code, "store.schema");
}

fn vanished(bench: &Bench) {
    bench.put_number(1);
    let redrive = bench.redrive(&json!({}));
    step(&redrive, 0);
    bench.queue.purge("", true, false).unwrap();
    assert!(!redrive.delivered(1, false, None, 0).unwrap());
    assert_eq!(step(&redrive, 0)["done"]["skipped"], 1);
}

fn recovered(bench: &Bench) {
    let id = bench.put(&json!({"payload": 1, "correlation_id": "c", "operation": "charge"}));
    let redrive = bench.redrive(&json!({}));
    step(&redrive, 0);
    assert_eq!(bench.queue.archive("c", "charge").unwrap(), 1);
    assert!(redrive.delivered(1, true, None, 0).unwrap());
    assert_eq!(step(&redrive, 0)["done"]["ok"], 1);
    assert_eq!(bench.state(&id), "archived");
}

fn shared(bench: &Bench) {
    for n in 0..4 {
        bench.put_number(n);
    }
    let (one, two) = (bench.redrive(&json!({})), bench.redrive(&json!({})));
    let got: Vec<i64> = [&one, &two, &one, &two].iter().map(|redrive| step(redrive, 0)["deliver"]["payload"].as_i64().unwrap()).collect();
    assert_eq!(got, [0, 1, 2, 3]);
}

fn delete(bench: &Bench) {
    let id = bench.put_number(1);
    let query = Query::in_state(bench.queue.name(), State::Ready);
    let request = ClaimRequest { query, owner: "test".into(), lease_ms: 1000, limit: 9, max_redrives: None };
    let claims = bench.store.claim(&request, bench.now()).unwrap();
    let tokens: Vec<_> = claims.into_iter().map(|claim| claim.token).collect();
    assert_eq!(bench.store.ack(&tokens, Outcome::Delete, bench.now()).unwrap(), [true]);
    assert_eq!(bench.queue.get(&id).unwrap(), None);
    let late = Nack { token: tokens[0].clone(), error: None, park: false, uncounted: false };
    assert_eq!(bench.store.nack(&[late], bench.now()).unwrap(), [false]);
}
