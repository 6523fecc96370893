//! Letters that are encrypted: what is told without their key, what with it, and that nobody loses one for lack of it.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::sync::Arc;

use seawall_dlq::{DeadLetterStore, MemoryStore, Page, Query, Queue, Redrive, hold_keys};
use serde_json::{Value, json};

const MAY: &str = "may:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const JUNE: &str = "june:HB0eHxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgs=";
/// Another key by the same id.
const FALSE_MAY: &str = "may:HB0eHxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgs=";

struct Bed {
    store: Arc<MemoryStore>,
    queue: Queue,
}

fn bed() -> Bed {
    let store = Arc::new(MemoryStore::default());
    Bed { queue: Queue::on(store.clone(), "orders", || 1_795_563_000_000), store }
}

impl Bed {
    fn with(&self, keys: &str) -> Queue {
        self.queue.with_keys(&hold_keys(keys).unwrap()).unwrap()
    }

    /// Everything that a store keeps of its letters.
    fn bytes(&self) -> Vec<u8> {
        let all = self.store.peek(&Query::all("orders"), &Page { limit: 100, after: None }, 0).unwrap();
        all.iter().flat_map(|record| record.to_bytes().unwrap()).collect()
    }

    fn tells(&self, secret: &str) -> bool {
        self.bytes().windows(secret.len()).any(|window| window == secret.as_bytes())
    }
}

fn letter(keys: &str) -> String {
    json!({
        "payload": {"canary": "canary-payload", "password": "p"},
        "headers": {"canary-header": "x"},
        "error": {
            "type": "Timeout", "code": "timeout.total", "message": "canary-message", "stack": "at canary-stack", "extra": "canary-extra",
            "causes": [{"type": "CanaryCause", "message": "canary-cause"}], "frames": [{"module": "canary-module", "function": "f"}],
        },
        "attempts": [{"outcome": "exception", "message": "canary-attempt", "error_type": "Timeout", "note": "canary-note"}],
        "correlation_id": "trip-1",
        "operation": "charge",
        "encrypt": hold_keys(keys).unwrap(),
    })
    .to_string()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn step(redrive: &Redrive) -> Value {
    json_of(&redrive.next(0).unwrap())
}

#[test]
fn without_its_key_a_letter_tells_how_it_failed_and_no_more() {
    let bed = bed();
    let id = bed.queue.put(&letter(MAY)).unwrap();
    assert!(!bed.tells("canary") && !bed.tells("Canary") && bed.tells("timeout.total"));
    let locked = json_of(&bed.queue.get(&id).unwrap().unwrap());
    assert_eq!(
        (locked["encrypted"].as_str(), locked["payload"].is_null(), &locked["redacted"]),
        (Some("may"), true, &json!([])),
        "{locked}"
    );
    assert!(locked["locked"].as_str().unwrap().contains("'may'"), "{locked}");
    assert_eq!((locked["error"]["type"].as_str(), locked["error"]["code"].as_str()), (Some("Timeout"), Some("timeout.total")));
    assert_eq!((locked["correlation_id"].as_str(), locked["origin"]["operation"].as_str()), (Some("trip-1"), Some("charge")));
    assert_eq!(json_of(&bed.queue.groups("").unwrap())[0]["group"], locked["group"]);
    assert_eq!(json_of(&bed.queue.peek("", 10, None).unwrap())[0]["id"], json!(id));
    assert!(!bed.queue.peek("", 10, None).unwrap().contains("canary") && !bed.queue.groups("").unwrap().contains("canary"));
    // The export is as it lies, and comes back as it was.
    let (lines, _) = bed.queue.export("", 10, None).unwrap();
    assert!(!lines[0].contains("canary"));
    let other = self::bed();
    other.queue.import(&lines[0]).unwrap();
    assert_eq!(other.bytes(), bed.bytes());
    assert_eq!(json_of(&other.with(MAY).get(&id).unwrap().unwrap())["payload"]["canary"], json!("canary-payload"));
    assert_eq!(bed.queue.park("").unwrap(), r#"{"parked":1}"#);
}

#[test]
fn with_its_key_it_is_as_if_it_had_never_been_sealed() {
    let (sealed, clear) = (bed(), bed());
    let id = sealed.queue.put(&letter(MAY)).unwrap();
    let mut plain = json_of(&letter(MAY));
    plain.as_object_mut().unwrap().remove("encrypt");
    let clear_id = clear.queue.put(&plain.to_string()).unwrap();
    let mut opened = json_of(&sealed.with(MAY).get(&id).unwrap().unwrap());
    let mut wanted = json_of(&clear.queue.get(&clear_id).unwrap().unwrap());
    assert_eq!((opened["encrypted"].take(), opened["locked"].take()), (json!("may"), Value::Null));
    wanted["encrypted"].take();
    (opened["id"], wanted["id"]) = (Value::Null, Value::Null);
    assert_eq!(opened, wanted);
    assert_eq!(opened["redacted"], json!(["/payload/password"]));
}

#[test]
fn a_key_that_is_missing_or_wrong_ends_in_an_error_that_names_it_and_the_letter_stays() {
    let bed = bed();
    let id = bed.queue.put(&letter(MAY)).unwrap();
    for (queue, part) in [
        (bed.queue.clone(), "no keys were given"),
        (bed.with(JUNE), "not among those given ('june')"),
        (bed.with(FALSE_MAY), "another one, or the letter was tampered with"),
    ] {
        for options in ["", r#"{"limit": null}"#] {
            let error = Redrive::new(&queue, options, 0).unwrap().next(0).unwrap_err();
            assert_eq!(error.code, "store.key");
            assert!(error.message.contains("'may'") && error.message.contains(&id) && error.message.contains(part), "{error}");
        }
        let left = json_of(&bed.queue.get(&id).unwrap().unwrap());
        assert_eq!((left["state"].as_str(), left["redrives"].as_u64()), (Some("ready"), Some(0)), "{left}");
    }
    let redrive = Redrive::new(&bed.with(&format!("{JUNE},{MAY}")), "", 0).unwrap();
    assert_eq!(step(&redrive)["deliver"]["payload"]["canary"], json!("canary-payload"));
    assert!(redrive.delivered(1, true, None, 0).unwrap());
}

#[test]
fn keys_are_rotated_by_putting_the_new_one_in_front() {
    let bed = bed();
    let both = format!("{JUNE}\n{MAY}");
    let old = bed.queue.put(&letter(MAY)).unwrap();
    let new = bed.queue.put(&letter(&both)).unwrap();
    let queue = bed.with(&both);
    for (id, key) in [(old, "may"), (new, "june")] {
        let letter = json_of(&queue.get(&id).unwrap().unwrap());
        assert_eq!((letter["encrypted"].as_str(), letter["locked"].is_null()), (Some(key), true));
        assert_eq!(letter["error"]["message"], json!("canary-message"));
    }
}

#[test]
fn what_a_redrive_and_the_failed_call_add_is_sealed_too() {
    let bed = bed();
    let both = format!("{JUNE}\n{MAY}");
    let id = bed.queue.put(&letter(MAY)).unwrap();
    let redrive = Redrive::new(&bed.with(&both), "", 0).unwrap();
    assert!(step(&redrive)["deliver"].is_object());
    assert!(redrive.delivered(1, false, Some(r#"{"type": "Again", "message": "canary-again"}"#), 0).unwrap());
    let mut again = json_of(&letter(&both));
    again["id"] = json!(id);
    again["error"]["message"] = json!("canary-refailed");
    assert_eq!(bed.queue.put(&again.to_string()).unwrap(), id);
    assert!(!bed.tells("canary") && bed.tells("Again"));
    let opened = json_of(&bed.with(&both).get(&id).unwrap().unwrap());
    assert_eq!((opened["error"]["message"].as_str(), opened["locked"].is_null()), (Some("canary-refailed"), true), "{opened}");
    let said: Vec<&str> = opened["attempts"].as_array().unwrap().iter().map(|attempt| attempt["message"].as_str().unwrap()).collect();
    assert_eq!(said, ["canary-attempt", "canary-again", "canary-attempt"]);
    // Whoever lost the older key still gets the letter's last words, but not its payload.
    let locked = json_of(&bed.with(JUNE).get(&id).unwrap().unwrap());
    assert!(locked["locked"].as_str().unwrap().contains("'may'") && locked["error"]["message"] == json!("canary-refailed"), "{locked}");
}

#[test]
fn failures_of_the_same_work_are_one_letter_without_any_key() {
    let bed = bed();
    let mut inside = json_of(&letter(MAY));
    inside["within_retry"] = json!(true);
    bed.queue.put(&inside.to_string()).unwrap();
    inside["error"]["message"] = json!("canary-later");
    bed.queue.put(&inside.to_string()).unwrap();
    inside["payload"] = json!("canary-other");
    bed.queue.put(&inside.to_string()).unwrap();
    let letters = json_of(&bed.with(MAY).peek("", 10, None).unwrap());
    assert_eq!(letters.as_array().unwrap().len(), 2);
    assert_eq!((letters[1]["error"]["message"].as_str(), letters[1]["attempt_count"].as_u64()), (Some("canary-later"), Some(2)));
}

#[test]
fn no_key_no_secret() {
    let bed = bed();
    let mut form = json_of(&letter(MAY));
    form["encrypt"] = json!("env:SEAWALL_TEST_NO_SUCH_VARIABLE");
    let error = bed.queue.put(&form.to_string()).unwrap_err();
    assert!(error.code == "config.invalid" && error.message.contains("SEAWALL_TEST_NO_SUCH_VARIABLE"), "{error}");
    // The caller of a failed call has no error of ours to hear: the letter is kept, bare.
    form["chain"] = json!(true);
    let told = json_of(&bed.queue.write(&form.to_string()).unwrap());
    assert!(told["step"] == "store" && told["unsealed"].as_str().unwrap().contains("SEAWALL_TEST_NO_SUCH_VARIABLE"), "{told}");
    assert!(!bed.tells("canary"));
    let bare = json_of(&bed.queue.get(told["id"].as_str().unwrap()).unwrap().unwrap());
    assert_eq!((bare["redrivable"].as_bool(), bare["error"]["code"].as_str()), (Some(false), Some("timeout.total")));
}

#[test]
fn a_letter_that_nobody_takes_leaves_a_sealed_line_that_import_takes() {
    let mut form = json_of(&letter(MAY));
    form["chain"] = json!(true);
    let told = json_of(&seawall_dlq::write_closed("orders", "kafka://", &form.to_string()).unwrap());
    let line = told["lost"]["line"].as_str().unwrap();
    assert!(told["step"] == "log" && !line.contains("canary"), "{line}");
    // The hook is the application's own code, and gets what it would get without encryption.
    assert_eq!(told["lost"]["letter"]["payload"]["canary"], json!("canary-payload"));
    let bed = bed();
    bed.queue.import(line).unwrap();
    assert_eq!(json_of(&bed.with(MAY).peek("", 1, None).unwrap())[0]["payload"]["canary"], json!("canary-payload"));
}

/// Written by the Python package; the Node package opens it too (`tests/parity`).
#[test]
fn a_letter_of_an_earlier_build_is_opened() {
    let bed = bed();
    let line = include_str!("../../../tests/parity/sealed.jsonl");
    let id = bed.queue.import(line.trim()).unwrap();
    let opened = json_of(&bed.with(MAY).get(&id).unwrap().unwrap());
    assert_eq!(opened["args"], json!([{"id": "order-1", "cents": 990, "note": "Grüße, 世界"}]));
    assert_eq!((opened["error"]["message"].as_str(), opened["locked"].is_null()), (Some("declined by the bank"), true), "{opened}");
}
