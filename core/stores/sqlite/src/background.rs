//! Letters find their way into the tables without being asked for: a thread that lives while letters come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::process::Caller;
use crate::store::Parts;

/// How long letters may lie in the log alone.
const PAUSE: Duration = Duration::from_millis(200);

/// One process's thread, if it runs.
#[derive(Default)]
pub(crate) struct Background {
    runs: AtomicBool,
    appended: AtomicU64,
}

/// A letter was appended: sees to it that it is indexed soon.
pub(crate) fn notice(parts: &Arc<Parts>) {
    let Ok(background) = parts.background.get() else { return };
    // SeqCst, here and below: either the thread sees this letter before it ends, or this sees that it has ended.
    background.appended.fetch_add(1, Ordering::SeqCst);
    if background.runs.swap(true, Ordering::SeqCst) {
        return;
    }
    let theirs = parts.clone();
    let started = std::thread::Builder::new().name("seawall-index".into()).spawn(move || work(&theirs));
    if started.is_err() {
        // Then whoever reads will index.
        background.runs.store(false, Ordering::SeqCst);
    }
}

fn work(parts: &Arc<Parts>) {
    let Ok(background) = parts.background.get() else { return };
    loop {
        let seen = background.appended.load(Ordering::SeqCst);
        std::thread::sleep(PAUSE);
        let _inside = seawall_dlq::fork::inside();
        // Another process is at it, or the disk is in trouble: the next round, or whoever reads, will see.
        let _ = parts.ingest.run(&parts.processes, Caller::Background, Instant::now());
        if background.appended.load(Ordering::SeqCst) != seen {
            continue;
        }
        background.runs.store(false, Ordering::SeqCst);
        if background.appended.load(Ordering::SeqCst) == seen || background.runs.swap(true, Ordering::SeqCst) {
            return;
        }
    }
}
