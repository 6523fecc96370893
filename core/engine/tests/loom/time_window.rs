//! Time window: no outcome is lost when a bucket is recycled, nor when the generation changes.

use std::sync::Arc;

use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::breaker::{Ask, State, Window};
use seawall_engine::time::SECOND;

use crate::play::{Own, breaks, holds, options, vote};

fn record(own: &Own, now: u64, failed: bool) {
    let (permit, _) = own.cell().admit(Ask::default(), now);
    own.cell().record(permit.expect("closed"), vote(failed), now);
}

/// Two threads begin the new life of a bucket at once.
fn recycling() {
    let own = Own::new(options(Window::Time(SECOND)));
    record(&own, 0, true);
    let other = Arc::clone(&own);
    let recycler = thread::spawn(move || record(&other, 10 * SECOND, true));
    record(&own, 10 * SECOND, false);
    recycler.join().expect("no panic");
    assert_eq!(own.window(10 * SECOND), (2, 1));
}

#[test]
fn a_recycled_bucket_loses_nothing() {
    holds("time window, recycling", recycling);
    breaks("time window, recycling", Fault::BucketByLoadAndStore, recycling);
}

/// One thread read the clock a whole window before it counts, the other begins the bucket's new life.
fn latecomer() {
    let own = Own::new(options(Window::Time(SECOND)));
    let other = Arc::clone(&own);
    let late = thread::spawn(move || record(&other, 0, true));
    record(&own, 10 * SECOND, true);
    late.join().expect("no panic");
    assert_eq!(own.window(10 * SECOND), (1, 1), "a late recorder took the bucket back");
}

#[test]
fn a_late_recorder_never_takes_a_bucket_back() {
    holds("time window, late recorder", latecomer);
    breaks("time window, late recorder", Fault::BucketTakenBack, latecomer);
}

/// A result of an old generation is recorded in the same bucket as those of the new one.
fn late_result() {
    let own = Own::new(options(Window::Time(SECOND)));
    let permit = own.cell().admit(Ask::default(), 0).0.expect("closed");
    let other = Arc::clone(&own);
    let late = thread::spawn(move || other.cell().record(permit, vote(true), 0));
    own.cell().hold(State::Disabled, 0, 0);
    own.cell().reset();
    record(&own, 0, true);
    late.join().expect("no panic");
    assert_eq!(own.window(0), (1, 1));
}

#[test]
fn a_late_result_never_empties_a_newer_generation() {
    holds("time window, late result", late_result);
    breaks("time window, late result", Fault::BucketTakenBack, late_result);
}
