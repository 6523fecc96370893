use super::*;
use seawall_engine::pipeline::Policy as EnginePolicy;
use seawall_engine::policy::bulkhead::Bulkhead;

fn make() -> KeyState {
    let bulkhead = Some(Bulkhead { max_concurrent: 4, max_queue: 0, max_wait_ms: None, adaptive: None });
    KeyState::new(&EnginePolicy { bulkhead, ..EnginePolicy::default() })
}

/// Keys of which each was used once, a second after the one before.
fn filled(count: usize) -> Keys {
    let keys = Keys::default();
    for number in 0..count {
        let served = keys.serve(&format!("k{number}"), make);
        keys.touch(&served.state, number as u64 * 10);
    }
    keys
}

fn held(keys: &Keys, key: &str) -> bool {
    keys.find(key).is_some()
}

#[test]
fn a_known_key_is_the_same_state() {
    let keys = Keys::default();
    let first = keys.serve("a", make);
    assert!(Arc::ptr_eq(&first.state, &keys.serve("a", make).state));
    assert!(!Arc::ptr_eq(&first.state, &keys.serve("b", make).state));
}

#[test]
fn idle_keys_go_as_new_ones_come_and_used_ones_stay() {
    let keys = filled(8);
    keys.touch(&keys.find("k3").expect("known"), IDLE_MS);
    for number in 0..4 {
        keys.serve(&format!("new{number}"), make);
    }
    assert!(held(&keys, "k3"), "used a moment ago");
    assert!((0..8).filter(|number| *number != 3).all(|number| !held(&keys, &format!("k{number}"))), "idle for 15 minutes");
}

#[test]
fn nothing_goes_before_its_time_while_there_is_room() {
    let keys = filled(8);
    keys.touch(&keys.find("k7").expect("known"), IDLE_MS - 1);
    (0..8).for_each(|number| drop(keys.serve(&format!("new{number}"), make)));
    assert!((0..8).all(|number| held(&keys, &format!("k{number}"))));
}

#[test]
fn at_the_limit_the_longest_idle_key_goes_early() {
    let keys = filled(MAX_KEYS);
    keys.touch(&keys.find("k0").expect("known"), 200_000);
    let served = keys.serve("new", make);
    assert!(!served.overflow && held(&keys, "k0") && keys.all().len() == MAX_KEYS);
    let gone: Vec<usize> = (0..MAX_KEYS).filter(|number| !held(&keys, &format!("k{number}"))).collect();
    assert_eq!(gone.len(), 1);
    assert!((1..100).contains(&gone[0]), "of those last used in the first second: {gone:?}");
}

#[test]
fn what_a_call_holds_or_a_word_says_keeps_a_key() {
    let keys = filled(MAX_KEYS);
    let holders: Vec<_> = (0..MAX_KEYS).filter(|number| number % 2 == 0).filter_map(|number| keys.find(&format!("k{number}"))).collect();
    for number in (1..MAX_KEYS).step_by(2) {
        let state = keys.find(&format!("k{number}")).expect("known");
        state.bulkhead.store(1 << 32, Ordering::Relaxed);
    }
    let first = keys.serve("new", make);
    let second = keys.serve("newer", make);
    assert!(first.overflow && second.overflow && Arc::ptr_eq(&first.state, &second.state), "one overflow state serves both");
    drop(holders);
    keys.touch(&first.state, 300_000);
    assert!(!keys.serve("newest", make).overflow, "a second later the table is searched again");
}

#[test]
fn an_override_an_open_circuit_and_an_owed_turn_keep_a_key() {
    let mut state = make();
    assert_eq!(state.settled_since(0), Some(0));
    state.rate_limit.store(5_000_000, Ordering::Relaxed);
    assert_eq!(state.settled_since(4), None, "the turn is owed until then");
    assert_eq!(state.settled_since(5), Some(0));
    let with_state = |code: u64, until: u64| {
        let mut state = make();
        state.breaker = Arc::new([AtomicU64::new((code << 61) | until)]);
        state.settled_since(1_000).is_some()
    };
    assert!(with_state(0, 0) && with_state(1, 1_000) && with_state(2, 0), "closed, past its deadline, half open");
    assert!(!with_state(1, 1_001) && !with_state(3, 0) && !with_state(4, 0), "open, isolated, disabled");
}
