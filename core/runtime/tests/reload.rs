//! Files that change policies in use, and modes set by hand.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use seawall_runtime::{Call, Ended, Loaded, Mode, Op, Policy, load, reset_all, resolve};
use serde_json::{Value, json};

/// The registry is the process's own, so its tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    reset_all(Some(1));
    turn
}

fn policy(name: &str, parts: &Value) -> Arc<Policy> {
    resolve(&json!({"name": name, "dialect": "python", "parts": parts}).to_string()).expect("valid")
}

fn file() -> PathBuf {
    std::env::temp_dir().join(format!("seawall-reload-{}.json", std::process::id()))
}

fn write(policies: &Value) -> String {
    std::fs::write(file(), json!({"policy": policies}).to_string()).expect("a temporary file");
    file().to_str().expect("UTF-8").to_owned()
}

fn load_of(policies: &Value) -> Loaded {
    load(&write(policies), None, 0).expect("a good file")
}

fn records(loaded: &Loaded) -> Vec<Value> {
    loaded.events.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
}

fn parts_of(policy: &Policy) -> Value {
    serde_json::from_str::<Value>(&policy.info()).expect("JSON")["parts"].clone()
}

fn started(policy: &Arc<Policy>) -> (Call, Vec<Op>) {
    let mut call = Call::new(policy, None, "id", 0, -1, 0).expect("a call");
    let ops = call.start(0);
    (call, ops)
}

const SUCCESS: Ended<'_> = Ended { attempt: 1, kind: 0, bits: 0, status: 0, retry_after_ms: -1, error_type: "" };

#[test]
fn a_load_tells_what_it_changed_and_of_whom() {
    let _turn = alone();
    let pay = policy("pay", &json!({"retry": {"max_attempts": 4}}));
    let mail = policy("mail", &json!({"retry": {}}));
    let told = records(&load_of(&json!({"pay": {"retry": {"max_attempts": 2}, "mode": "shadow"}, "other": {}})));
    assert_eq!(told.len(), 2, "nothing of `mail` changed");
    assert_eq!(told[0]["event"], "config.loaded");
    assert_eq!((&told[1]["event"], &told[1]["policy"]), (&json!("config.reloaded"), &json!("pay")));
    assert_eq!(told[1]["changed"], json!(["mode", "retry.max_attempts"]));
    assert_eq!(parts_of(&pay), json!({"retry": {"max_attempts": 2}}));
    assert_eq!(parts_of(&mail), json!({"retry": {}}));
    assert_eq!(pay.mode(0), Mode::Shadow);
    assert_eq!(records(&load_of(&json!({"pay": {"retry": {"max_attempts": 2}, "mode": "shadow"}}))).len(), 1, "the same file again");
}

#[test]
fn one_refusal_keeps_everything() {
    let _turn = alone();
    let pay = policy("pay", &json!({"retry": {"max_attempts": 4}}));
    let mail = policy("mail", &json!({"retry": {"max_attempts": 4}}));
    let told = records(&load_of(&json!({"pay": {"retry": {"max_attempts": 2}}, "mail": {"bulkhead": {}}})));
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["event"], &told[0]["policy"]), (&json!("config.refused"), &json!("mail")));
    assert!(told[0]["reason"].as_str().is_some_and(|reason| reason.contains("bulkhead")), "{}", told[0]);
    assert_eq!((parts_of(&pay), parts_of(&mail)), (json!({"retry": {"max_attempts": 4}}), json!({"retry": {"max_attempts": 4}})));
    assert_eq!(parts_of(&policy("new", &json!({"retry": {}}))), json!({"retry": {}}), "what comes later does not see it either");
}

#[test]
fn what_code_and_file_make_together_is_validated() {
    let _turn = alone();
    let pay = policy("pay", &json!({"timeout": {"attempt": "2s", "total": "10s"}}));
    let path = write(&json!({"pay": {"timeout": {"total": "1s"}}}));
    let error = load(&path, None, 0).expect_err("an attempt longer than all of them");
    assert_eq!(error.path, "pay.timeout.attempt");
    assert_eq!(parts_of(&pay), json!({"timeout": {"attempt": "2s", "total": "10s"}}));
}

#[test]
fn a_file_may_say_a_part_of_what_code_says() {
    let _turn = alone();
    let pay = policy("pay", &json!({"rate_limit": {"rate": "1/s"}}));
    load_of(&json!({"pay": {"rate_limit": {"burst": 3}}}));
    assert_eq!(parts_of(&pay), json!({"rate_limit": {"rate": "1/s", "burst": 3}}));
    let error = resolve(&json!({"name": "mail", "parts": {}}).to_string()).err();
    assert!(error.is_some(), "and what only a file defines must be whole");
}

#[test]
fn more_slots_give_the_tickets_to_be_woken() {
    let _turn = alone();
    let pay = policy("pay", &json!({"bulkhead": {"max_concurrent": 1, "max_queue": 4}}));
    let (mut first, _) = started(&pay);
    let mut waiting: Vec<(Call, Vec<Op>)> = (0..3).map(|_| started(&pay)).collect();
    let loaded = load_of(&json!({"pay": {"bulkhead": {"max_concurrent": 3}}}));
    let parked: Vec<i64> = waiting.iter().map(|(_, ops)| ops[0].args[0]).collect();
    assert_eq!(loaded.tickets.iter().map(|ticket| i64::try_from(*ticket).expect("small")).collect::<Vec<_>>(), parked[..2]);
    let codes = |call: &mut Call| call.granted(0).iter().map(|op| op.code).collect::<Vec<_>>();
    assert_eq!(codes(&mut waiting[0].0), [0], "it starts");
    assert_eq!(codes(&mut waiting[1].0), [0]);
    assert_eq!(codes(&mut waiting[2].0), [4], "it waits on");
    let woken: Vec<i64> = first.ended(0, SUCCESS).iter().filter(|op| op.code == 5).map(|op| op.args[0]).collect();
    assert_eq!(woken, parked[2..]);
}

#[test]
fn a_mode_set_by_hand_goes_over_the_option_until_it_expires() {
    let _turn = alone();
    let spec = json!({"name": "pay", "dialect": "node", "mode": "shadow", "parts": {"retry": {}}});
    let pay = resolve(&spec.to_string()).expect("valid");
    assert_eq!(pay.mode(0), Mode::Shadow);
    let record: Value =
        serde_json::from_str(&pay.set_mode("disabled", "drill", Some("me"), Some(1_000), 0).expect("a mode")).expect("JSON");
    for (field, value) in [
        ("event", json!("mode.changed")),
        ("from", json!("shadow")),
        ("to", json!("disabled")),
        ("policy", json!("pay")),
        ("reason", json!("drill")),
        ("author", json!("me")),
        ("expires_in_ms", json!(1_000)),
        ("severity", json!("warning")),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert_eq!(pay.mode(999_999_999), Mode::Disabled);
    assert_eq!(pay.mode(1_000_000_000), Mode::Shadow);
    assert!(pay.set_mode("off", "drill", None, None, 0).is_err_and(|error| error.message.contains("shadow")));
}

#[test]
fn a_mode_that_does_not_exist_is_an_error() {
    let _turn = alone();
    let error = resolve(&json!({"name": "pay", "mode": "off", "parts": {"retry": {}}}).to_string()).err().expect("no such mode");
    assert_eq!(error.path, "pay.mode");
}

#[test]
fn a_snapshot_shows_counts_ratios_limits_and_budget() {
    let _turn = alone();
    let parts = json!({"retry": {"max_attempts": 2}, "circuit_breaker": {}, "bulkhead": {"max_concurrent": 3}, "rate_limit": {"rate": "30/m"}, "timeout": {"attempt": "1s"}});
    let pay = policy("pay", &parts);
    let shown = || serde_json::from_str::<Value>(&pay.snapshot(None, 0)).expect("JSON");
    assert_eq!(shown()["budget"], json!({"left": 10.0, "per_call": 0.2}));
    let (mut call, _) = started(&pay);
    assert_eq!(
        shown()["limits"],
        json!({"attempts": 2, "max_concurrent": 3, "limit": 3, "max_queue": 0, "in_flight": 1, "queued": 0,
        "rate_per_second": 0.5, "burst": 1, "attempt_ms": 1_000, "total_ms": null})
    );
    call.ended(0, SUCCESS);
    let shown = shown();
    assert_eq!(shown["ratios"], json!({"state": "closed", "total": 1, "failure": 0.0, "slow": 0.0}));
    assert_eq!(shown["counts"]["seawall_calls_total:success"], 1);
    assert_eq!((&shown["mode"], &shown["budget"]["left"]), (&json!("enforce"), &json!(10.2)));
}

#[test]
fn nothing_stands_for_all_keys() {
    let _turn = alone();
    let keyed =
        resolve(&json!({"name": "pay", "keyed": true, "parts": {"circuit_breaker": {}, "bulkhead": {}}}).to_string()).expect("valid");
    let shown = |key: Option<&str>| serde_json::from_str::<Value>(&keyed.snapshot(key, 0)).expect("JSON");
    assert_eq!((&shown(None)["ratios"], &shown(None)["limits"]["in_flight"]), (&Value::Null, &Value::Null));
    assert_eq!(shown(Some("a"))["ratios"]["state"], "closed");
}

/// Calls begin under some options and end under others, in every state of the breaker.
#[test]
fn no_load_makes_a_call_under_way_panic() {
    let _turn = alone();
    let breakers = [
        json!({"window_size": 3, "failure_ratio": 0.5, "minimum_throughput": 1}),
        json!({"window_size": 100, "failure_ratio": 0.5, "minimum_throughput": 1, "slow_call_duration": "300ms"}),
        json!({"failure_ratio": 0.3, "minimum_throughput": 2, "throttle": true}),
        json!({"consecutive_failures": 1, "half_open_max_calls": 64, "slow_call_duration": "1s", "throttle": true}),
        json!({"consecutive_failures": 2, "half_open_max_calls": 1, "sampling_duration": "1s", "ramp": "2s"}),
    ];
    // What one file says and the next does not falls back to the code, which says nothing.
    let pay =
        policy("pay", &json!({"circuit_breaker": {}, "bulkhead": {"max_concurrent": 4, "max_queue": 4}, "rate_limit": {"rate": "100/s"}}));
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap_or(0)
    };
    let (mut now, mut running, mut finished) = (0u64, Vec::new(), 0usize);
    for round in 0..4_000 {
        now += next(400) as u64 * 1_000_000;
        if next(20) == 0 {
            let slots = json!({"max_concurrent": 1 + next(6)});
            let parts =
                json!({"circuit_breaker": breakers[next(breakers.len())], "bulkhead": slots, "rate_limit": {"burst": 1 + next(50)}});
            load(&write(&json!({"pay": parts})), None, now).expect("a good file");
        }
        let mut call = Call::new(&pay, None, &round.to_string(), 0, -1, 0).expect("a call");
        finished += usize::from(call.start(now).iter().any(|op| op.code == 9));
        running.push(call);
        while running.len() > next(8) {
            let mut call = running.swap_remove(next(running.len()));
            call.granted(now);
            let ended = Ended { kind: u32::try_from(next(2)).unwrap_or(0), error_type: "Boom", ..SUCCESS };
            finished += usize::from(call.ended(now, ended).iter().chain(&call.cancelled(now)).any(|op| op.code == 9));
        }
    }
    running.iter_mut().for_each(|call| drop((call.ended(now, SUCCESS), call.granted(now), call.cancelled(now), call.ended(now, SUCCESS))));
    let shown: Value = serde_json::from_str(&pay.snapshot(None, now)).expect("JSON");
    assert!(finished > 1_000, "{finished} calls finished");
    assert_eq!((&shown["limits"]["in_flight"], &shown["limits"]["queued"]), (&json!(0), &json!(0)), "every slot came back");
}

#[test]
fn a_limit_that_adapts_is_shown_and_may_be_switched_on_by_a_file() {
    let _turn = alone();
    let pay = policy("pay", &json!({"bulkhead": {}}));
    let limits = |pay: &Policy| {
        let snapshot: Value = serde_json::from_str(&pay.snapshot(None, 0)).expect("JSON");
        (snapshot["limits"]["max_concurrent"].clone(), snapshot["limits"]["limit"].clone())
    };
    assert_eq!(limits(&pay), (json!(64), json!(64)));
    load_of(&json!({"pay": {"bulkhead": {"adaptive": true}}}));
    assert_eq!(limits(&pay), (json!(512), json!(16)), "the table's default, and where it starts");
    load_of(&json!({"pay": {"bulkhead": {"adaptive": true, "min_limit": 20, "max_limit": 30}}}));
    assert_eq!(limits(&pay), (json!(30), json!(20)));
}
