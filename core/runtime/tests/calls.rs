//! Names, files and calls as a binding uses them.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use seawall_runtime::{Call, ConfigError, Ended, Loaded, reset_all, resolve};
use serde_json::json;

/// The registry is the process's own, so its tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    reset_all(Some(1));
    turn
}

fn load(path: &str, env: Option<&str>) -> Result<Loaded, ConfigError> {
    seawall_runtime::load(path, env, 0)
}

fn spec(name: &str, parts: &serde_json::Value) -> String {
    json!({"name": name, "dialect": "python", "parts": parts}).to_string()
}

#[test]
fn one_name_is_one_policy_and_two_definitions_are_an_error() {
    let _turn = alone();
    let parts = json!({"retry": {"max_attempts": 4}});
    let first = resolve(&spec("pay", &parts)).expect("valid");
    assert!(Arc::ptr_eq(&first, &resolve(&spec("pay", &parts)).expect("the same")));
    assert!(Arc::ptr_eq(&first, &resolve(&spec("pay", &json!({}))).expect("a reference")));
    let error = resolve(&spec("pay", &json!({"retry": {"max_attempts": 5}}))).err().expect("a contradiction");
    assert!(error.message.contains('4') && error.message.contains('5'), "{error}");
}

#[test]
fn a_file_is_laid_over_the_code_field_by_field() {
    let _turn = alone();
    let path = std::env::temp_dir().join(format!("seawall-{}.toml", std::process::id()));
    let text = "[policy.pay]\nretry = { base_delay = \"50ms\" }\n[env.staging.policy.pay]\nretry = { factor = 3 }\n";
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a temporary file");
    load(path.to_str().expect("UTF-8"), Some("staging")).expect("a good file");
    let policy = resolve(&spec("pay", &json!({"retry": {"max_attempts": 4}}))).expect("valid");
    let info: serde_json::Value = serde_json::from_str(&policy.info()).expect("JSON");
    assert_eq!(info["parts"]["retry"], json!({"max_attempts": 4, "base_delay": "50ms", "factor": 3}));
    let error = resolve(&spec("payy", &json!({}))).err().expect("unknown");
    assert!(error.message.contains("did you mean `pay`"), "{error}");
    std::fs::remove_file(&path).expect("removed");
}

#[test]
fn a_wrong_file_names_the_place_and_leaves_the_one_before_in_force() {
    let _turn = alone();
    let path = std::env::temp_dir().join(format!("seawall-wrong-{}.toml", std::process::id()));
    let write = |text: &str| std::fs::write(&path, text).expect("a temporary file");
    let shown = path.to_str().expect("UTF-8").to_owned();
    write("[policy.pay]\nretry = { max_attempts = 2 }\n");
    load(&shown, None).expect("a good file");
    for (text, place) in [
        ("[polcy.pay]\n", "polcy"),
        ("[defaults]\nap = 'shop'\n", "defaults.ap"),
        ("[policy.pay]\nretry = { max_attempts = 0 }\n", "policy.pay.retry.max_attempts"),
        ("[env.staging.polcy.pay]\nretry = {}\n", "env.staging.polcy"),
        (
            "[policy.pay]\ntimeout = { attempt = '2s' }\n[env.live.policy.pay]\ntimeout = { total = '1s' }\n",
            "env.live.policy.pay.timeout.attempt",
        ),
    ] {
        write(text);
        let error = load(&shown, None).expect_err(text);
        assert_eq!(error.path, format!("{shown}.{place}"), "{text}");
    }
    let info: serde_json::Value = serde_json::from_str(&resolve(&spec("pay", &json!({}))).expect("the file before").info()).expect("JSON");
    assert_eq!(info["parts"]["retry"]["max_attempts"], 2);
    std::fs::remove_file(&path).expect("removed");
}

/// Drivers may be wrong, and late: whatever comes in whatever order, a call answers and never panics, and it finishes at most once.
#[test]
fn no_order_of_inputs_panics() {
    let _turn = alone();
    let parts = json!({
        "retry": {"max_attempts": 3}, "circuit_breaker": {"consecutive_failures": 3}, "bulkhead": {"max_concurrent": 1, "max_queue": 1, "max_wait": "1s"},
        "timeout": {"attempt": "1s", "total": "5s"}, "fallback": {"steps": 2}, "dead_letter": {}, "rate_limit": {"rate": "5/s", "max_wait": "1s"},
    });
    let policy = resolve(&spec("chaotic", &parts)).expect("valid");
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut now = 0;
    for _ in 0..2_000 {
        let mut call = Call::new(&policy, None, "id", u32::try_from(next(2)).unwrap_or(0), -1, 0).expect("a call");
        let mut finishes = 0;
        for step in 0..14 {
            now += next(700_000_000);
            let number = u32::try_from(next(5)).unwrap_or(0);
            let ops = match if step == 0 { 0 } else { next(9) } {
                0 => call.start(now),
                1 | 2 => call.ended(
                    now,
                    Ended {
                        attempt: number,
                        kind: number + u32::try_from(next(4)).unwrap_or(0),
                        bits: 0,
                        status: 503,
                        retry_after_ms: -1,
                        error_type: "Boom",
                    },
                ),
                3 | 4 => call.timer(now, number, 1),
                5 => call.granted(now),
                6 => {
                    if next(3) == 0 {
                        call.cancelled(now)
                    } else {
                        Vec::new()
                    }
                }
                7 => call.classified(now, 0),
                _ => {
                    let mut ops = call.letter_ended(now, true);
                    ops.extend(call.fallback_ended(now, u8::try_from(next(4)).unwrap_or(0)));
                    ops
                }
            };
            finishes += ops.iter().filter(|op| op.code == 9).count();
        }
        assert!(finishes <= 1, "a call finishes once");
        call.cancelled(now);
        (1..=4)
            .for_each(|attempt| drop(call.ended(now, Ended { attempt, kind: 0, bits: 0, status: 0, retry_after_ms: -1, error_type: "" })));
    }
    let snapshot: serde_json::Value = serde_json::from_str(&seawall_runtime::snapshot()).expect("JSON");
    assert_eq!(snapshot["chaotic"]["seawall_bulkhead_in_flight"], 0, "every slot came back");
    assert_eq!(snapshot["chaotic"]["seawall_bulkhead_queued"], 0, "nobody is left in the queue");
}
