//! Metrics: what dead letters add to those of the process, and `seawall metrics`, which has nothing else to say.

use seawall_dlq::{Queue, Reading, default_store_url, store_at};
use seawall_runtime::{Buckets, Sample};

use crate::dlq::Failed;
use crate::{Console, Done};

fn samples() -> Vec<Sample> {
    let sample = |metric: seawall_dlq::Metric| {
        let (value, buckets) = match metric.reading {
            Reading::Number(value) => (value, None),
            Reading::Times(counts, sum_ns) => (0.0, Some(Buckets { counts, sum_ns })),
        };
        Sample { metric: metric.name, labels: metric.labels, value, buckets }
    };
    seawall_dlq::metrics().into_iter().map(sample).collect()
}

/// What a package says once, when it is loaded: its language, what runs it, and that dead letters are counted too.
pub fn announce(language: &'static str, runtime: String) {
    seawall_runtime::set_language(language, runtime);
    seawall_runtime::add_source(samples);
}

/// The metrics of a store's queues, in both languages the same.
pub(crate) fn run(store: Option<String>, open: bool, json: bool, console: &mut Console<'_>) -> Result<Done, Failed> {
    let url = store.map_or_else(default_store_url, Ok)?;
    // A queue that was opened is one that is counted.
    let queues = store_at(&url)?.queues()?.iter().map(|name| Queue::open(name, &url)).collect::<Result<Vec<_>, _>>()?;
    seawall_runtime::add_source(samples);
    let text = match (json, open) {
        (true, _) => seawall_runtime::families() + "\n",
        (false, true) => seawall_runtime::metrics_open(),
        (false, false) => seawall_runtime::metrics(),
    };
    drop(queues);
    write!(console.out, "{text}")?;
    Ok(Done::Exit(0))
}
