//! Counters and gauges for the [`metrics`](https://docs.rs/metrics) facade. With the feature `metrics`.

use metrics::{Label, counter, gauge};
use serde_json::Value;

/// Gives the counts of every policy to the recorder in force, with the names and labels that they have in every language. To be called
/// before each scrape, or every few seconds: calls themselves only count. The facade has no histogram that was counted elsewhere, so those
/// come as their lines of Prometheus text: `_bucket` with the label `le` and `_count` as counters, `_sum` as a gauge.
pub fn publish() {
    let Ok(Value::Array(families)) = serde_json::from_str(&seawall_runtime::families()) else { return };
    for family in &families {
        let (Some(name), Some(samples)) = (family["name"].as_str(), family["samples"].as_array()) else { continue };
        for sample in samples {
            let suffix = sample[0].as_str().unwrap_or_default();
            let labels = sample[1].as_object().into_iter().flatten();
            let labels: Vec<_> =
                labels.map(|(label, value)| Label::new(label.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
            let name = format!("{name}{suffix}");
            if family["kind"] == "gauge" || suffix == "_sum" {
                gauge!(name, labels).set(sample[2].as_f64().unwrap_or_default());
            } else {
                counter!(name, labels).absolute(sample[2].as_u64().unwrap_or_default());
            }
        }
    }
}
