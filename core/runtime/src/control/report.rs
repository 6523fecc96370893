//! The report of a game day: the receipts of all processes, added up and told.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::receipt::Receipt;

/// What each strategy did: the metric that says so, and the word for it.
const STRATEGIES: [(&str, &str, &str); 7] = [
    ("retry", "seawall_retries_total", "further attempts"),
    ("circuit_breaker", "seawall_breaker_transitions_total:open", "openings"),
    ("timeout", "seawall_calls_total:timeout", "calls cut"),
    ("rejections", "seawall_calls_total:rejected", "calls"),
    ("fallback", "seawall_fallbacks_total", "answers in place of errors"),
    ("dead_letter", "seawall_dlq_written_total", "letters written"),
    ("dead_letter_lost", "seawall_dlq_lost_total", "letters lost"),
];

const FELT: [(&str, &str); 5] = [
    ("fallback", "answered by a fallback"),
    ("failure", "failed"),
    ("timeout", "ran out of time"),
    ("rejected", "turned away at once"),
    ("cancelled", "given up by their callers"),
];

/// What an experiment did, over every process that left a receipt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Processes by their state.
    pub processes: BTreeMap<String, u64>,
    /// Why it ended, by number of processes.
    pub ended: BTreeMap<String, u64>,
    /// The counts of all of them.
    pub counts: BTreeMap<String, u64>,
}

/// Adds up.
#[must_use]
pub fn report(receipts: &[Receipt]) -> Report {
    let mut report = Report::default();
    for receipt in receipts {
        *report.processes.entry(receipt.state.clone()).or_default() += 1;
        if receipt.state == "ended" {
            *report.ended.entry(receipt.why.clone()).or_default() += 1;
        }
        for name in receipt.counts.keys() {
            let sum = report.counts.entry(name.clone()).or_default();
            *sum = sum.saturating_add(receipt.count(name));
        }
    }
    report
}

impl Report {
    /// A count, 0 where there is none.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    fn calls(&self, outcome: &str) -> u64 {
        self.count(&format!("seawall_calls_total:{outcome}"))
    }

    fn all_calls(&self) -> u64 {
        FELT.iter().map(|(outcome, _)| self.calls(outcome)).sum::<u64>() + self.calls("success")
    }

    /// The same as JSON: `processes`, `ended`, `injected`, `strategies`, `felt`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let some =
            |names: &[&str]| -> Map<String, Value> { names.iter().map(|name| ((*name).to_owned(), self.count(name).into())).collect() };
        let did: Map<String, Value> =
            STRATEGIES.iter().map(|(strategy, metric, _)| ((*strategy).to_owned(), self.count(metric).into())).collect();
        let mut felt: Map<String, Value> = FELT.iter().map(|(outcome, _)| ((*outcome).to_owned(), self.calls(outcome).into())).collect();
        felt.insert("calls".into(), self.all_calls().into());
        felt.insert("success".into(), self.calls("success").into());
        json!({
            "processes": self.processes,
            "ended": self.ended,
            "injected": some(&["attempts", "struck", "faults", "delayed", "latency_ms"]),
            "strategies": did,
            "felt": felt,
        })
    }

    /// The same for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let counted =
            |counts: &BTreeMap<String, u64>| counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
        let answered = if self.processes.is_empty() { "none has answered".to_owned() } else { counted(&self.processes) };
        let mut lines = vec![format!("processes   {answered}")];
        if !self.ended.is_empty() {
            lines.push(format!("ended by    {}", counted(&self.ended)));
        }
        self.add_injected(&mut lines);
        let did = STRATEGIES.iter().filter(|(_, metric, _)| self.count(metric) > 0);
        let did: Vec<String> = did.map(|(strategy, metric, what)| format!("{strategy}: {} {what}", self.count(metric))).collect();
        lines.push(format!("strategies  {}", if did.is_empty() { "had nothing to do".to_owned() } else { did.join("; ") }));
        let (calls, good) = (self.all_calls(), self.calls("success"));
        lines.push(format!("users felt  {calls} calls: {good} as usual{}", share(good, calls)));
        let others = FELT.iter().map(|(outcome, words)| (self.calls(outcome), words)).filter(|(count, _)| *count > 0);
        lines.extend(others.map(|(count, words)| format!("            {count} {words}{}", share(count, calls))));
        lines
    }

    fn add_injected(&self, lines: &mut Vec<String>) {
        let (attempts, struck) = (self.count("attempts"), self.count("struck"));
        lines.push(format!("injected    {struck} of {attempts} attempts struck{}", share(struck, attempts)));
        let (faults, delayed, ms) = (self.count("faults"), self.count("delayed"), self.count("latency_ms"));
        lines.push(format!("            {faults} faults; {delayed} delayed, by {ms} ms in all"));
    }
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!(" ({:.1} %)", part as f64 * 100.0 / whole as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(state: &str, why: &str, counts: &Value) -> Receipt {
        Receipt { state: state.into(), why: why.into(), counts: counts.as_object().cloned().unwrap_or_default(), ..Receipt::default() }
    }

    #[test]
    fn receipts_add_up() {
        let first = json!({"attempts": 10, "struck": 3, "faults": 2, "delayed": 3, "latency_ms": 900, "seawall_calls_total:success": 7});
        let second = json!({"attempts": 10, "struck": 2, "faults": 2, "seawall_calls_total:failure": 1, "seawall_retries_total": 4});
        let told =
            report(&[receipt("ended", "off", &first), receipt("ended", "failure_ratio", &second), receipt("disarmed", "", &json!({}))]);
        assert_eq!(told.to_json()["injected"], json!({"attempts": 20, "struck": 5, "faults": 4, "delayed": 3, "latency_ms": 900}));
        assert_eq!(told.to_json()["felt"]["calls"], 8);
        let lines = told.lines();
        assert_eq!(lines[0], "processes   1 disarmed, 2 ended");
        assert_eq!(lines[1], "ended by    1 failure_ratio, 1 off");
        assert_eq!(lines[2], "injected    5 of 20 attempts struck (25.0 %)");
        assert_eq!(lines[4], "strategies  retry: 4 further attempts");
        assert_eq!(lines[5..], ["users felt  8 calls: 7 as usual (87.5 %)", "            1 failed (12.5 %)"]);
    }

    #[test]
    fn nobody_may_have_answered() {
        assert_eq!(report(&[]).lines()[0], "processes   none has answered");
    }
}
