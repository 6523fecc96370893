//! Metrics for readers: Prometheus text (0.0.4), OpenMetrics text (1.0.0), and JSON.

use std::fmt::Write as _;

use seawall_engine::table::metrics::{BOUNDS_NS, METRICS, MetricRow, find};
use serde_json::{Map, Value, json};

use super::histogram::Buckets;
use super::process::language;
use super::{Sample, collect};
use crate::policy::Policy;

/// All metrics of this process as Prometheus text (exposition format 0.0.4).
#[must_use]
pub fn metrics() -> String {
    render(false)
}

/// The same as OpenMetrics text (1.0.0), of the content type `application/openmetrics-text; version=1.0.0; charset=utf-8`.
#[must_use]
pub fn metrics_open() -> String {
    render(true) + "# EOF\n"
}

fn render(open: bool) -> String {
    let samples = collect::samples();
    let mut text = String::new();
    for row in METRICS {
        let mut lines = samples.iter().filter(|sample| sample.metric == row.name).flat_map(lines).peekable();
        if lines.peek().is_none() {
            continue;
        }
        let family = if open && row.kind == "counter" { row.name.trim_end_matches("_total") } else { row.name };
        let _ = writeln!(text, "# HELP {family} {}\n# TYPE {family} {}", escape(row.doc, open), row.kind);
        if open && !row.unit.is_empty() {
            let _ = writeln!(text, "# UNIT {family} {}", row.unit);
        }
        for line in lines {
            let labels: Vec<String> = line.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value, true))).collect();
            let _ = writeln!(text, "{}{}{{{}}} {}", row.name, line.suffix, labels.join(","), line.value);
        }
    }
    text
}

/// Quotes are escaped in labels everywhere, and in help texts in OpenMetrics alone.
fn escape(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

/// One line of text.
struct Line {
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

/// The labels of a sample: `policy` first, then `lang`, then its own.
fn labels(sample: &Sample) -> Vec<(&'static str, String)> {
    let mut labels = sample.labels.clone();
    let at = usize::from(labels.first().is_some_and(|(name, _)| *name == "policy"));
    labels.insert(at, ("lang", language().0.to_owned()));
    labels
}

fn lines(sample: &Sample) -> Vec<Line> {
    let labels = labels(sample);
    match &sample.buckets {
        None => vec![Line { suffix: "", labels, value: sample.value }],
        Some(buckets) => histogram_lines(&labels, buckets),
    }
}

/// Buckets as both formats have them: each holds what those before it hold.
fn histogram_lines(labels: &[(&'static str, String)], buckets: &Buckets) -> Vec<Line> {
    let bounds = BOUNDS_NS.iter().map(|ns| seconds(*ns).to_string()).chain(["+Inf".to_owned()]);
    let mut sum = 0;
    let mut lines: Vec<Line> = bounds
        .zip(buckets.counts)
        .map(|(bound, count)| {
            sum += count;
            let labels = labels.iter().cloned().chain([("le", bound)]).collect();
            Line { suffix: "_bucket", labels, value: sum as f64 }
        })
        .collect();
    lines.push(Line { suffix: "_sum", labels: labels.to_vec(), value: seconds(buckets.sum_ns) });
    lines.push(Line { suffix: "_count", labels: labels.to_vec(), value: sum as f64 });
    lines
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// All metrics as JSON, for collectors of other libraries: an array of `name`, `kind`, `unit`, `help`, and `samples`, each an array of the
/// suffix of its name, its labels, and its value. Those without samples are in it too.
#[must_use]
pub fn families() -> String {
    let samples = collect::samples();
    let family = |row: &MetricRow| {
        let lines = samples.iter().filter(|sample| sample.metric == row.name).flat_map(lines);
        let samples: Vec<Value> = lines.map(|line| json!([line.suffix, object(line.labels), number(line.value)])).collect();
        json!({"name": row.name, "kind": row.kind, "unit": row.unit, "help": row.doc, "samples": samples})
    };
    Value::Array(METRICS.iter().map(family).collect()).to_string()
}

fn object(labels: Vec<(&'static str, String)>) -> Value {
    Value::Object(labels.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

/// Whole numbers are written as such.
fn number(value: f64) -> Value {
    if value >= 0.0 && value.fract() == 0.0 && value < 9e15 { json!(value as u64) } else { json!(value) }
}

/// One policy's samples by metric; the values of labels follow, each after a colon, in the order of the table. A counter with labels is there
/// without them, and without the last ones, too: then it is their sum. A histogram has `_count` and `_sum`.
pub(crate) fn by_name(policy: &Policy) -> Map<String, Value> {
    named(collect::samples_of(policy).iter())
}

fn named<'a>(samples: impl Iterator<Item = &'a Sample>) -> Map<String, Value> {
    let mut found: Map<String, Value> = Map::new();
    let mut add = |name: String, value: f64| {
        let sum = found.get(&name).and_then(Value::as_f64).unwrap_or(0.0) + value;
        found.insert(name, number(sum));
    };
    for sample in samples {
        let is_gauge = find(sample.metric).is_some_and(|row| row.kind == "gauge");
        let parts: Vec<(&str, f64)> = match &sample.buckets {
            None => vec![("", sample.value)],
            Some(buckets) => vec![("_count", buckets.counts.iter().sum::<u64>() as f64), ("_sum", seconds(buckets.sum_ns))],
        };
        for (suffix, value) in parts {
            let mut name = format!("{}{suffix}", sample.metric);
            let values = sample.labels.iter().filter(|(label, _)| !matches!(*label, "policy" | "queue"));
            for (_, label) in values {
                if !is_gauge {
                    add(name.clone(), value);
                }
                name = format!("{name}:{label}");
            }
            add(name, value);
        }
    }
    found
}

/// All policies' metrics as JSON, by label, each as [`by_name`] has them.
#[must_use]
pub fn snapshot() -> String {
    let samples = collect::samples();
    let mut policies: Map<String, Value> = Map::new();
    let label_of = |sample: &Sample| sample.labels.first().filter(|(name, _)| *name == "policy").map(|(_, label)| label.clone());
    let mut by_label: std::collections::BTreeMap<String, Vec<&Sample>> = std::collections::BTreeMap::new();
    for sample in &samples {
        if let Some(label) = label_of(sample) {
            by_label.entry(label).or_default().push(sample);
        }
    }
    for (label, samples) in by_label {
        policies.insert(label, Value::Object(named(samples.into_iter())));
    }
    Value::Object(policies).to_string()
}
