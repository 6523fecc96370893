//! The control file: what may stand in it, who may write it, and what a process does about it.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use seawall_runtime::control::{Book, Entry, Follower, Kind, Place, edit, receipts, report};
use seawall_runtime::{Call, Ended, Grip, Loaded, Policy, chaos, load, reset_all, resolve};
use serde_json::{Value, json};

struct Turn {
    _alone: MutexGuard<'static, ()>,
    dir: PathBuf,
}

impl Turn {
    fn place(&self) -> Place {
        Place::at(self.dir.join("control"))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        chaos::arm(false);
        reset_all(None);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The registry is the process's own, so its tests take turns.
fn alone(name: &str) -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    let alone = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    reset_all(Some(1));
    chaos::arm(true);
    let dir = std::env::temp_dir().join(format!("seawall-control-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    Turn { _alone: alone, dir }
}

fn policy(name: &str, parts: &Value) -> Arc<Policy> {
    resolve(&json!({"name": name, "dialect": "python", "parts": parts}).to_string()).expect("valid")
}

fn experiment(options: &Value) -> Entry {
    Entry::new(Kind::Chaos(options.as_object().cloned().expect("a table")), "pay", "ada", "drill", 60_000)
}

fn add(place: &Place, entry: Entry) -> String {
    let id = entry.id.clone();
    edit(place, |book| {
        book.entries.push(entry);
        Ok(())
    })
    .expect("a good entry");
    id
}

fn remove(place: &Place, id: &str) {
    edit(place, |book| {
        book.entries.retain(|entry| entry.id != id);
        Ok(())
    })
    .expect("a good file");
}

fn names(loaded: &Loaded) -> Vec<String> {
    loaded.events.iter().map(|text| record(text)["event"].as_str().unwrap_or_default().to_owned()).collect()
}

fn record(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Which of so many calls, each a success unless chaos says otherwise, are struck.
fn victims(policy: &Arc<Policy>, calls: usize) -> Vec<usize> {
    (0..calls).filter(|_| is_struck(policy)).collect()
}

fn is_struck(policy: &Arc<Policy>) -> bool {
    let mut call = Call::new(policy, None, "id", 0, -1, 0).expect("a call");
    let struck = call.start(0).iter().any(|op| op.code == 0 && op.args[3] >= 0);
    let (kind, error_type) = if struck { (6, "InjectedFaultError") } else { (0, "") };
    let ended = Ended { attempt: 1, kind, bits: 0, status: 0, retry_after_ms: -1, error_type };
    assert!(!call.ended(0, ended).is_empty(), "the call is over");
    struck
}

const HALF: &str = r#"{"rate": "50%", "fault": 1, "latency": "5ms..20ms", "seed": 7}"#;

#[test]
fn an_experiment_lies_over_the_policy_until_it_is_taken_away() {
    let turn = alone("lies");
    let (place, pay) = (turn.place(), policy("pay", &json!({"retry": {"max_attempts": 1}})));
    let mut follower = Follower::new(place.clone());
    assert!(follower.look(0).events.is_empty(), "no file, no folder, nothing");
    assert!(!place.dir().exists(), "whoever looks makes nothing");
    let id = add(&place, experiment(&record(HALF)));
    let begun = follower.look(0);
    assert_eq!(names(&begun), ["chaos.started"]);
    let told = record(&begun.events[0]);
    assert_eq!((&told["policy"], &told["author"], &told["reason"]), (&json!("pay"), &json!("ada"), &json!("drill")));
    let struck = victims(&pay, 40);
    assert!((10..30).contains(&struck.len()), "{struck:?}");
    assert!(follower.look(0).events.is_empty(), "it goes on");
    remove(&place, &id);
    let ended = follower.look(2_000_000_000);
    assert_eq!(names(&ended), ["chaos.ended"]);
    let told = record(&ended.events[0]);
    assert_eq!((&told["experiment"], &told["reason"], &told["struck"]), (&json!(id), &json!("off"), &json!(struck.len())));
    assert_eq!((&told["attempts"], &told["calls"], &told["failed"]), (&json!(40), &json!(40), &json!(struck.len())));
    assert!(victims(&pay, 40).is_empty());

    let report = report(&receipts(&place, &id));
    assert_eq!((report.count("struck"), report.count("attempts")), (struck.len() as u64, 40));
    assert!(report.count("latency_ms") >= 5 * struck.len() as u64);
    assert_eq!(report.ended.get("off"), Some(&1));

    // The same seed has the same victims again, and other policies of the same seed have others.
    add(&place, experiment(&record(HALF)));
    assert_eq!(names(&follower.look(0)), ["chaos.started"]);
    assert_eq!(victims(&pay, 40), struck);
}

#[test]
fn a_process_that_is_not_armed_keeps_its_quick_path() {
    let turn = alone("disarmed");
    chaos::arm(false);
    let (place, pay) = (turn.place(), policy("pay", &json!({"circuit_breaker": {}})));
    let id = add(&place, experiment(&json!({"rate": 1, "fault": 1})));
    let mut follower = Follower::new(place.clone());
    let before = Grip::of(&pay, 0).unwrap_or_else(|_| panic!("fit"));
    assert!(follower.look(0).events.is_empty());
    assert!(before.is_current(), "nothing was changed");
    assert!(victims(&pay, 1_000).is_empty());
    assert_eq!(receipts(&place, &id)[0].state, "disarmed");
}

#[test]
fn an_experiment_ends_at_its_end_and_is_not_begun_again() {
    let turn = alone("ends");
    let (place, pay) = (turn.place(), policy("pay", &json!({"circuit_breaker": {"consecutive_failures": 3}})));
    let mut follower = Follower::new(place.clone());
    add(&place, experiment(&json!({"rate": 1, "fault": 1})));
    assert_eq!(names(&follower.look(0)), ["chaos.started"]);
    let after = 61_000_000_000;
    let ended = follower.look(after);
    assert_eq!(record(&ended.events[0])["reason"], "expired");
    assert!(follower.look(after).events.is_empty());
    assert!(victims(&pay, 10).is_empty());
}

#[test]
fn what_ends_an_experiment_here_ends_it_everywhere() {
    let turn = alone("aborts");
    let (place, pay) = (turn.place(), policy("pay", &json!({"circuit_breaker": {"consecutive_failures": 3}})));
    let mut follower = Follower::new(place.clone());
    let id = add(&place, experiment(&json!({"rate": 1, "fault": 1, "abort_when": {"breaker": "open"}})));
    assert_eq!(names(&follower.look(0)), ["chaos.started"]);
    assert_eq!(victims(&pay, 3), [0, 1, 2]);
    let ended = follower.look(0);
    assert_eq!(record(&ended.events[0])["reason"], "breaker_open");
    let book = Book::parse(&std::fs::read_to_string(place.file()).expect("a file")).expect("a good file");
    assert_eq!(book.entries[0].ended.as_ref().map(|ended| ended.why.as_str()), Some("breaker_open"));
    assert!(follower.look(0).events.is_empty());
    // A process that was not there when it ended does not begin it.
    assert!(Follower::new(place.clone()).look(0).events.is_empty());
    // One that is under it ends it.
    let mut other = Follower::new(place.clone());
    remove(&place, &id);
    let again = add(&place, experiment(&json!({"rate": 1, "fault": 1})));
    assert_eq!(names(&other.look(0)), ["chaos.started"]);
    edit(&place, |book| {
        book.entries[0].ended = Some(seawall_runtime::control::Ended { why: "failure_ratio".into(), pid: 1 });
        Ok(())
    })
    .expect("a good file");
    let ended = other.look(0);
    assert_eq!(
        (record(&ended.events[0])["experiment"].clone(), record(&ended.events[0])["reason"].clone()),
        (json!(again), json!("failure_ratio"))
    );
}

#[test]
fn a_malformed_file_changes_nothing_and_says_why_once() {
    let turn = alone("malformed");
    let (place, pay) = (turn.place(), policy("pay", &json!({"circuit_breaker": {"failure_ratio": 1.0}})));
    let mut follower = Follower::new(place.clone());
    add(&place, experiment(&json!({"rate": 1, "fault": 1})));
    assert_eq!(names(&follower.look(0)), ["chaos.started"]);
    for (text, why) in [
        ("{", "is not JSON"),
        (r#"{"version": 9, "entries": []}"#, "of another Seawall"),
        (
            r#"{"version": 1, "entries": [{"id": "a", "kind": "isolate", "policy": "pay", "at": "2030-01-01T00:00:00Z", "until": "2030-01-01T00:01:00Z", "reason": "r"}]}"#,
            "author",
        ),
        (
            r#"{"version": 1, "entries": [{"id": "a", "kind": "isolate", "policy": "pay", "at": "2030-01-01T00:00:00Z", "until": "2031-01-01T00:00:00Z", "reason": "r", "author": "a"}]}"#,
            "until",
        ),
        (
            r#"{"version": 1, "entries": [{"id": "../a", "kind": "isolate", "policy": "pay", "at": "2030-01-01T00:00:00Z", "until": "2030-01-01T00:01:00Z", "reason": "r", "author": "a"}]}"#,
            "id",
        ),
        (
            r#"{"version": 1, "entries": [{"id": "a", "kind": "chaos", "policy": "pay", "at": "2030-01-01T00:00:00Z", "until": "2030-01-01T00:01:00Z", "reason": "r", "author": "a", "options": {"rate": 1, "outcome": 1}}]}"#,
            "outcome",
        ),
        (
            r#"{"version": 1, "entries": [{"id": "a", "kind": "chaos", "policy": "pay", "at": "2030-01-01T00:00:00Z", "until": "2030-01-01T00:01:00Z", "reason": "r", "author": "a", "options": {"fault": 1}}]}"#,
            "rate",
        ),
    ] {
        std::fs::write(place.file(), text).expect("a file");
        let told = follower.look(0);
        assert_eq!(names(&told), ["control.refused"], "{text}");
        assert!(record(&told.events[0])["reason"].as_str().is_some_and(|reason| reason.contains(why)), "{} lacks {why}", told.events[0]);
        assert!(follower.look(0).events.is_empty(), "once");
        assert!(is_struck(&pay), "what was in force stays");
        let refused = edit(&place, |_| Ok(()));
        assert!(refused.is_err_and(|error| error.path.contains("control.json")), "nobody writes over what he cannot read");
    }
    std::fs::remove_file(place.file()).expect("a file");
    assert_eq!(names(&follower.look(0)), ["chaos.ended"], "no file, no experiment");
}

#[test]
fn a_place_that_others_may_write_is_refused_until_it_is_put_right() {
    let turn = alone("owner");
    let (place, _pay) = (turn.place(), policy("pay", &json!({"circuit_breaker": {}})));
    add(&place, experiment(&json!({"rate": 1, "fault": 1})));
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(place.dir()), mode(&place.file())), (0o700, 0o600));
    let set = |path: PathBuf, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    for (path, bad, good) in [(place.dir().to_owned(), 0o770, 0o700), (place.file(), 0o622, 0o600)] {
        set(path.clone(), bad);
        let mut follower = Follower::new(place.clone());
        let told = follower.look(0);
        assert_eq!(names(&told), ["control.refused"]);
        assert!(record(&told.events[0])["reason"].as_str().is_some_and(|why| why.contains("may be written by others")));
        assert!(edit(&place, |_| Ok(())).is_err());
        set(path, good);
        let begun = names(&follower.look(0));
        assert!(begun == ["chaos.started"] || begun.is_empty(), "{begun:?}");
    }
    let elsewhere = turn.dir.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    let link = Place::at(turn.dir.join("link"));
    std::os::unix::fs::symlink(&elsewhere, link.dir()).expect("a link");
    assert!(link.check().is_err_and(|why| why.contains("is no folder")), "links are not followed");
}

#[test]
fn a_circuit_is_held_open_until_somebody_lets_go() {
    let turn = alone("isolate");
    let (place, pay) = (turn.place(), policy("pay", &json!({"circuit_breaker": {}})));
    let mut follower = Follower::new(place.clone());
    let id = add(&place, Entry::new(Kind::Isolate, "pay", "ada", "the bank moves", 60_000));
    let told = follower.look(0);
    assert_eq!(names(&told), ["breaker.isolated"]);
    let said = record(&told.events[0]);
    assert_eq!((&said["author"], &said["reason"]), (&json!("ada"), &json!("the bank moves")));
    assert_eq!(pay.breaker_state(None, 0), Ok("isolated"));
    assert!(follower.look(0).events.is_empty(), "once");
    assert_eq!(pay.breaker_state(None, 61_000_000_000), Ok("half_open"), "it has an end");
    remove(&place, &id);
    assert_eq!(names(&follower.look(0)), ["breaker.closed"]);
    assert_eq!(pay.breaker_state(None, 0), Ok("closed"));
    assert_eq!(receipts(&place, &id)[0].state, "applied");

    // Whoever resets it in the process has the last word.
    add(&place, Entry::new(Kind::Isolate, "pay", "ada", "again", 60_000));
    assert_eq!(names(&follower.look(0)), ["breaker.isolated"]);
    pay.breaker_reset(None).expect("a breaker");
    assert!(follower.look(0).events.is_empty());
    assert_eq!(pay.breaker_state(None, 0), Ok("closed"));

    // `reset` closes what opened by itself, once.
    pay.breaker_isolate(None, "by hand", None, None, 0).expect("a breaker");
    add(&place, Entry::new(Kind::Reset, "pay", "ada", "all clear", 60_000));
    assert_eq!(names(&follower.look(0)), ["breaker.closed"]);
    pay.breaker_isolate(None, "by hand", None, None, 0).expect("a breaker");
    assert!(follower.look(0).events.is_empty());
}

#[test]
fn what_cannot_be_done_is_said_once() {
    let turn = alone("refused");
    let own = policy("own", &json!({"chaos": {"rate": 0.5, "fault": 1, "expires_in": "1h", "seed": 1}}));
    policy("bare", &json!({"retry": {}}));
    let place = turn.place();
    let mut follower = Follower::new(place.clone());
    let id = add(&place, Entry { policy: "own".into(), ..experiment(&json!({"rate": 1, "fault": 1})) });
    add(&place, Entry::new(Kind::Isolate, "bare", "ada", "no breaker there", 60_000));
    add(&place, Entry::new(Kind::Isolate, "nobody", "ada", "no such policy", 60_000));
    let told = follower.look(0);
    assert_eq!(names(&told), ["control.refused", "control.refused"]);
    assert!(record(&told.events[0])["reason"].as_str().is_some_and(|why| why.contains("chaos of its own")));
    assert!(record(&told.events[1])["reason"].as_str().is_some_and(|why| why.contains("no circuit breaker")));
    assert!(follower.look(0).events.is_empty());
    assert_eq!(receipts(&place, &id)[0].state, "refused");
    assert!(!victims(&own, 40).is_empty(), "its own goes on");
    // A policy that comes later is found.
    let late = policy("nobody", &json!({"circuit_breaker": {}}));
    assert_eq!(names(&follower.look(0)), ["breaker.isolated"]);
    assert_eq!(late.breaker_state(None, 0), Ok("isolated"));
    let twice = edit(&place, |book| {
        book.entries.push(Entry { policy: "own".into(), ..experiment(&json!({"rate": 1, "fault": 1})) });
        Ok(())
    });
    assert!(twice.is_err_and(|error| error.message.contains("is under experiment")));
}

#[test]
fn a_policy_file_and_an_experiment_leave_each_other_alone() {
    let turn = alone("reload");
    let (place, pay) = (turn.place(), policy("pay", &json!({"retry": {"max_attempts": 1}})));
    let mut follower = Follower::new(place.clone());
    let id = add(&place, experiment(&record(HALF)));
    assert_eq!(names(&follower.look(0)), ["chaos.started"]);
    let before = victims(&pay, 10);
    let path = turn.dir.join("seawall.json");
    std::fs::write(&path, r#"{"policy": {"pay": {"retry": {"max_delay": "9s"}}}}"#).expect("a file");
    let loaded = load(path.to_str().expect("UTF-8"), None, 0).expect("a good file");
    assert_eq!(names(&loaded), ["config.loaded", "config.reloaded"]);
    let after = victims(&pay, 10);
    remove(&place, &id);
    assert_eq!(names(&follower.look(0)), ["chaos.ended"]);
    add(&place, experiment(&record(HALF)));
    assert_eq!(names(&follower.look(0)), ["chaos.started"]);
    let whole = victims(&pay, 20);
    let joined: Vec<usize> = before.iter().copied().chain(after.iter().map(|place| place + 10)).collect();
    assert_eq!(joined, whole, "the experiment went on over the load");
    assert_eq!(record(&pay.info())["parts"]["retry"]["max_delay"], "9s");
}
