//! What this process knows of its queues, for whoever collects metrics. Names and labels are those of the engine's table.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use seawall_engine::table::metrics::{BOUNDS_NS, bucket};

use crate::limits::Books;
use crate::{DeadLetterStore, DlqError, queue, time};

/// The most queues that have series of their own.
const MAX_QUEUES: usize = 200;
/// What stores are asked for that takes time.
const OPS: [&str; 4] = ["append", "claim", "ack", "nack"];
const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// What a metric shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// A count, or what is.
    Number(f64),
    /// Durations: how many in each bucket, and their sum in nanoseconds.
    Times([u64; BUCKETS], u64),
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name in the table.
    pub name: &'static str,
    /// Its labels.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub reading: Reading,
}

/// How a delivery ended.
#[derive(Clone, Copy)]
pub(crate) enum Delivered {
    Ok,
    Failed,
    Skipped,
}

/// What a queue's own process does with it. Relaxed throughout: each stands for itself.
#[derive(Default)]
pub(crate) struct Meter {
    store: Mutex<Option<(String, Weak<dyn DeadLetterStore>)>>,
    delivered: [AtomicU64; 3],
    ops: [Op; OPS.len()],
}

#[derive(Default)]
struct Op {
    errors: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Meter {
    /// Tells which store serves the queue.
    pub(crate) fn serve(&self, url: &str, store: Weak<dyn DeadLetterStore>) {
        // Of the URL the scheme alone: the rest may have a secret in it, and is no bounded label.
        let scheme = url.split(':').next().unwrap_or_default().to_owned();
        *self.store.lock() = Some((scheme, store));
    }

    pub(crate) fn delivered(&self, how: Delivered) {
        self.delivered[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Works with the store, and notes how long that took and whether it failed. `op` is one of [`OPS`].
    pub(crate) fn timed<T>(&self, op: &str, work: impl FnOnce() -> Result<T, DlqError>) -> Result<T, DlqError> {
        let began = Instant::now();
        let done = work();
        if let Some(op) = OPS.iter().position(|known| *known == op).map(|place| &self.ops[place]) {
            let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            op.buckets[bucket(ns)].fetch_add(1, Ordering::Relaxed);
            op.sum_ns.fetch_add(ns, Ordering::Relaxed);
            op.errors.fetch_add(done.is_err().into(), Ordering::Relaxed);
        }
        done
    }
}

/// What is known now. Asks the stores of open queues how many letters they hold; one that fails to say is left out.
#[must_use]
pub fn metrics() -> Vec<Metric> {
    let mut found = Vec::new();
    let mut stores: BTreeMap<String, Vec<Arc<Books>>> = BTreeMap::new();
    for ((_, queue), books) in queue::opened().into_iter().take(MAX_QUEUES) {
        letters(&queue, &books, &mut found);
        redriven(&queue, &books, &mut found);
        let scheme = books.meter.store.lock().as_ref().map(|(scheme, _)| scheme.clone());
        stores.entry(scheme.unwrap_or_default()).or_default().push(books);
    }
    for (store, books) in &stores {
        operations(store, books, &mut found);
    }
    merged(found)
}

fn letters(queue: &str, books: &Books, found: &mut Vec<Metric>) {
    let store = books.meter.store.lock().as_ref().and_then(|(_, store)| store.upgrade());
    let Some(Ok(stats)) = store.map(|store| store.stats(queue, time::wall_ms())) else { return };
    for (status, count) in [("ready", stats.ready), ("leased", stats.leased), ("parked", stats.parked)] {
        let labels = vec![("queue", queue.to_owned()), ("status", status.to_owned())];
        found.push(Metric { name: "seawall_dlq_letters", labels, reading: Reading::Number(count as f64) });
    }
    if let Some(oldest) = stats.oldest {
        let labels = vec![("queue", queue.to_owned())];
        let reading = Reading::Number(oldest as f64 / 1_000.0);
        found.push(Metric { name: "seawall_dlq_oldest_letter_timestamp_seconds", labels, reading });
    }
}

fn redriven(queue: &str, books: &Books, found: &mut Vec<Metric>) {
    for (outcome, count) in ["success", "failure", "skipped"].into_iter().zip(&books.meter.delivered) {
        let labels = vec![("queue", queue.to_owned()), ("outcome", outcome.to_owned())];
        let reading = Reading::Number(count.load(Ordering::Relaxed) as f64);
        found.push(Metric { name: "seawall_dlq_redriven_total", labels, reading });
    }
}

fn operations(store: &str, books: &[Arc<Books>], found: &mut Vec<Metric>) {
    for (place, op) in OPS.into_iter().enumerate() {
        let ops = || books.iter().map(|books| &books.meter.ops[place]);
        let sum = |word: &dyn Fn(&Op) -> &AtomicU64| ops().map(|op| word(op).load(Ordering::Relaxed)).sum::<u64>();
        let counts = std::array::from_fn(|bucket| sum(&|op| &op.buckets[bucket]));
        let labels = || vec![("store", store.to_owned()), ("op", op.to_owned())];
        let errors = Reading::Number(sum(&|op| &op.errors) as f64);
        found.push(Metric { name: "seawall_dlq_store_errors_total", labels: labels(), reading: errors });
        if counts.iter().any(|count: &u64| *count > 0) {
            let reading = Reading::Times(counts, sum(&|op| &op.sum_ns));
            found.push(Metric { name: "seawall_dlq_store_duration_seconds", labels: labels(), reading });
        }
    }
}

/// Queues of one name in two stores are one series: numbers add up, and of times since 1970 the earliest counts.
fn merged(found: Vec<Metric>) -> Vec<Metric> {
    let mut merged: Vec<Metric> = Vec::new();
    for metric in found {
        let known = merged.iter_mut().find(|known| known.name == metric.name && known.labels == metric.labels);
        match (known, metric.reading) {
            (Some(Metric { name, reading: Reading::Number(sum), .. }), Reading::Number(more)) => {
                *sum = if name.ends_with("_timestamp_seconds") { sum.min(more) } else { *sum + more };
            }
            _ => merged.push(metric),
        }
    }
    merged
}
