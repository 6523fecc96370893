//! All series of this process: what policies counted, by label.
//!
//! Policies with one label are one series each, which is their sum; what a policy counted stays when it is gone. Labels are capped: the first
//! ones keep series of their own, all others share one, so that no flood of names makes the text longer.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use parking_lot::Mutex;

use super::Sample;
use super::counters::Totals;
use super::gauges::Gauges;
use super::words::{GROUPS, HISTOGRAMS, LETTERS, series};
use crate::policy::Policy;

/// The most labels of policies.
const MAX_LABELS: usize = 1_000;
/// What the others are called.
pub(crate) const OVERFLOW: &str = "_overflow";

/// What is kept between readings.
#[derive(Default)]
struct Kept {
    /// Labels that have series of their own.
    labels: HashSet<String>,
    /// Those that found no room; as many as the others at most, to bound the memory.
    without: HashSet<String>,
    /// What policies counted that are gone, by label and queue.
    retired: BTreeMap<(String, String), Totals>,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);

impl Kept {
    fn shown(&mut self, label: String) -> String {
        if self.labels.contains(&label) {
            return label;
        }
        if self.labels.len() < MAX_LABELS {
            self.labels.insert(label.clone());
            return label;
        }
        if self.without.len() < MAX_LABELS {
            self.without.insert(label);
        }
        OVERFLOW.to_owned()
    }
}

/// Keeps what a policy counted that is about to go.
pub(crate) fn retire(policy: &Policy) {
    let totals = policy.counters.totals();
    if !totals.is_empty() {
        let mut kept = KEPT.lock();
        let label = kept.shown(policy.label());
        // Queues are named by code, like policies; where labels overflow, so do they.
        let queue = if label == OVERFLOW { OVERFLOW.to_owned() } else { policy.queue() };
        kept.retired.entry((label, queue)).or_default().add(&totals);
    }
}

/// For tests.
pub(crate) fn forget() {
    *KEPT.lock() = Kept::default();
    super::process::forget();
}

/// One label: its counters by queue, and its gauges.
#[derive(Default)]
struct Labelled {
    totals: BTreeMap<String, Totals>,
    gauges: Gauges,
}

/// The number of labels without room, and everything by label.
fn gather() -> (usize, BTreeMap<String, Labelled>) {
    let policies = crate::registry::all();
    let looked: Vec<_> = policies
        .iter()
        .map(|policy| {
            policy.settle_ports();
            (policy.label(), policy.queue(), policy.counters.totals(), Gauges::of(policy))
        })
        .collect();
    let mut kept = KEPT.lock();
    let mut labelled: BTreeMap<String, Labelled> = BTreeMap::new();
    for (label, queue, totals, gauges) in looked {
        let label = kept.shown(label);
        let queue = if label == OVERFLOW { OVERFLOW.to_owned() } else { queue };
        let one = labelled.entry(label).or_default();
        one.totals.entry(queue).or_default().add(&totals);
        one.gauges.add(&gauges);
    }
    for ((label, queue), totals) in &kept.retired {
        labelled.entry(label.clone()).or_default().totals.entry(queue.clone()).or_default().add(totals);
    }
    let without = kept.without.len();
    drop(kept);
    // Held until here, so that none of them is counted as one that is gone, too; those that go now retire.
    drop(policies);
    (without, labelled)
}

/// Every sample, with the label `policy` where it has one.
pub(crate) fn samples() -> Vec<Sample> {
    let (without, labelled) = gather();
    let mut samples = super::process::samples();
    samples.push(Sample::new("seawall_metrics_overflow_policies", &[], without as f64));
    for (label, one) in &labelled {
        of_policy(label, &one.totals, &one.gauges, &mut samples);
    }
    samples
}

/// The samples of one policy alone.
pub(crate) fn samples_of(policy: &Policy) -> Vec<Sample> {
    policy.settle_ports();
    let mut samples = Vec::new();
    let totals = BTreeMap::from([(policy.queue(), policy.counters.totals())]);
    of_policy(&policy.label(), &totals, &Gauges::of(policy), &mut samples);
    samples
}

/// Transitions that every circuit breaker makes: those are there before the first.
fn is_usual(labels: &[(&str, &str)]) -> bool {
    let mut values = labels.iter().map(|(_, value)| *value);
    matches!(
        (values.next(), values.next()),
        (Some("open"), Some("closed" | "half_open")) | (Some("half_open"), Some("open")) | (Some("closed"), Some("half_open"))
    )
}

fn of_policy(label: &str, by_queue: &BTreeMap<String, Totals>, gauges: &Gauges, samples: &mut Vec<Sample>) {
    let mut sum = Totals::default();
    by_queue.values().for_each(|totals| sum.add(totals));
    let policy = ("policy", label);
    for (place, (metric, labels)) in series(GROUPS).enumerate() {
        let with = |extra: Option<(&'static str, &str)>, value: u64| {
            let labels: Vec<_> = [policy].into_iter().chain(extra).chain(labels.iter().copied()).collect();
            Sample::new(metric, &labels, value as f64)
        };
        if metric == "seawall_dlq_written_total" {
            // A counter with many values of its labels shows those that came.
            let place = place - LETTERS;
            let written = by_queue.iter().map(|(queue, totals)| (queue, totals.words[LETTERS + place]));
            samples.extend(written.filter(|(_, count)| *count > 0).map(|(queue, count)| with(Some(("queue", queue)), count)));
        } else if sum.words[place] > 0 || metric != "seawall_breaker_transitions_total" || (gauges.has_breaker() && is_usual(&labels)) {
            samples.push(with(None, sum.words[place]));
        }
    }
    for ((metric, labels), buckets) in series(HISTOGRAMS).zip(&sum.times) {
        if let Some(buckets) = buckets.filter(|buckets| !buckets.is_empty()) {
            let labels: Vec<_> = [policy].into_iter().chain(labels).collect();
            samples.push(Sample { buckets: Some(buckets), ..Sample::new(metric, &labels, 0.0) });
        }
    }
    samples.extend(gauges.samples().into_iter().map(|(metric, extra, value)| {
        let labels: Vec<_> = [policy].into_iter().chain(extra).collect();
        Sample::new(metric, &labels, value)
    }));
}
