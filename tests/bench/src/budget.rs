//! Ours against the goals.
//!
//! A goal was set on a certain machine, beside a certain figure of a peer. So it is scaled here by what that peer takes in the same run. A
//! difference that is no larger than the spread of the two rows is noise, and judged neither way.

use serde_json::Value;

use crate::measure::Measured;

const BUDGETS: &str = include_str!("../budgets.json");
/// The name of our rows.
pub const OURS: &str = "seawall";

pub fn compare(measured: &[Measured]) {
    let budgets: Value = serde_json::from_str(BUDGETS).expect("budgets.json is JSON");
    println!("\n{:<40} {:>8} {:>8} {:>10} {:>8}  verdict", "goals, in ns", "goal", "ours", "peer then", "now");
    for budget in budgets["rust"].as_array().into_iter().flatten() {
        let text = |field: &str| budget[field].as_str().unwrap_or_default();
        let number = |field: &str| budget[field].as_f64().unwrap_or(f64::NAN);
        let find = |name: &str| measured.iter().find(|row| row.group == text("group") && row.name == name);
        let (Some(ours), Some(peer)) = (find(OURS), find(text("peer"))) else { continue };
        let scale = |peer_ns: f64| number("goal_ns") * peer_ns / number("peer_ns");
        let goal = scale(peer.median);
        let verdict = match () {
            () if ours.high <= scale(peer.low) => "within",
            () if ours.low > scale(peer.high) => "over",
            () => "noise",
        };
        println!(
            "{:<40} {:>8.1} {:>8.1} {:>10.1} {:>8.1}  {verdict} (of {}; {} as it was set)",
            text("group"),
            goal,
            ours.median,
            number("peer_ns"),
            peer.median,
            text("peer"),
            number("goal_ns"),
        );
    }
}
