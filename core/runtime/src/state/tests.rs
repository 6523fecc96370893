//! What a forked process takes over, word for word.

use super::*;

/// Gives each word a value of its own, below those that mean that a call holds it.
fn fill(words: &[AtomicU64], first: u64) {
    (first..).zip(words).for_each(|(value, word)| word.store(value, Ordering::Relaxed));
}

fn read(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

#[test]
fn circuit_window_and_limits_stay_and_what_calls_hold_goes() {
    let made =
        crate::resolve(r#"{"dialect":"node","parts":{"circuit_breaker":{},"bulkhead":{"adaptive":true},"hedge":{}}}"#).expect("valid");
    let force = made.force();
    let policy = &force.compiled.engine;
    let breaker = policy.breaker.as_ref();
    let parent = KeyState::new(policy);
    let window = parent.window(breaker, 1).expect("the first options");
    for (words, first) in [(&parent.breaker[..], 100), (&window, 1_000), (&parent.hedge, 2_000), (parent.adaptive(policy), 3_000)] {
        assert!(!words.is_empty());
        fill(words, first);
    }
    parent.rate_limit.store(4_000, Ordering::Relaxed);
    parent.used_ms.store(5_000, Ordering::Relaxed);
    parent.bulkhead.store((7 << 32) | 2, Ordering::Relaxed);
    let opening = (3, HalfOpen::of(breaker.expect("as above")));
    *parent.pin.lock() = Some(opening);
    parent.is_pinned.store(true, Ordering::Relaxed);

    let child = parent.inherited(policy, &[parent.id, parent.id + 1]);
    assert_eq!(read(&child.breaker), read(&parent.breaker));
    let taken_over = child.window(breaker, 1).expect("the same options");
    assert_eq!((read(&taken_over), Arc::ptr_eq(&taken_over, &window)), (read(&window), false), "a copy");
    assert_eq!((read(&child.hedge), read(child.adaptive(policy))), (read(&parent.hedge), read(parent.adaptive(policy))));
    assert_eq!([&*child.rate_limit, &child.used_ms].map(|word| word.load(Ordering::Relaxed)), [4_000, 5_000]);
    assert_eq!((*child.pin.lock(), child.is_pinned.load(Ordering::Relaxed)), (Some(opening), true));
    assert_ne!(child.id, parent.id, "a call of the parent's is inside of no slot here");
    assert_eq!(Bulkhead::load(&child.bulkhead), (0, 0));
    assert_eq!(Bulkhead::load(&parent.bulkhead), (1, 0), "one slot is the forking thread's own");
}
