//! Metrics: what policies and the process counted, under the names of the table.
//!
//! | module | has |
//! |---|---|
//! | `words` | the layout of a policy's counters |
//! | `counters`, `histogram` | the counters themselves, written by calls |
//! | `gauges` | what is looked at when somebody reads |
//! | `process` | what belongs to no policy |
//! | `collect` | all of it by label, capped |
//! | `text` | Prometheus text, OpenMetrics text and JSON |

mod collect;
mod counters;
mod gauges;
mod histogram;
mod process;
mod text;
mod words;

pub use histogram::Buckets;
pub use process::{add_source, set_language};
pub use text::{families, metrics, metrics_open, snapshot};

pub(crate) use collect::{forget, retire};
pub(crate) use counters::{CallEnd, Counters, retry_reason};
pub(crate) use process::file_read;
pub(crate) use text::by_name;
pub(crate) use words::{REFUSED, refusal};

/// One series, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, one of the table.
    pub metric: &'static str,
    /// Labels and their values, `lang` aside.
    pub labels: Vec<(&'static str, String)>,
    /// The value of a counter or a gauge.
    pub value: f64,
    /// What a histogram has in place of a value.
    pub buckets: Option<Buckets>,
}

impl Sample {
    /// A counter or a gauge.
    #[must_use]
    pub fn new(metric: &'static str, labels: &[(&'static str, &str)], value: f64) -> Self {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { metric, labels, value, buckets: None }
    }
}
