//! Counters and gauges for the [`metrics`](https://docs.rs/metrics) facade. With the feature `metrics`.

use metrics::{Label, counter, gauge};
use seawall_engine::table::metrics::METRICS;
use serde_json::Value;

/// Gives the counts of every policy to the recorder in force, with the names and labels that they have in every language. To be called
/// before each scrape, or every few seconds: calls themselves only count.
pub fn publish() {
    let Ok(Value::Object(policies)) = serde_json::from_str(&seawall_runtime::snapshot()) else { return };
    for (policy, samples) in &policies {
        for (sample, value) in samples.as_object().into_iter().flatten() {
            let (name, label) = sample.split_once(':').unwrap_or((sample, ""));
            let Some(row) = METRICS.iter().find(|row| row.name == name) else { continue };
            let mut labels = vec![Label::new("policy", policy.clone())];
            labels.extend(row.labels.first().map(|name| Label::new(*name, label.to_owned())));
            let value = value.as_u64().unwrap_or(0);
            if row.kind == "counter" {
                counter!(row.name, labels).absolute(value);
            } else {
                gauge!(row.name, labels).set(value as f64);
            }
        }
    }
}
