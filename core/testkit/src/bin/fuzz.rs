//! `fuzz [--scripts N] [--seed N] [--from N] [--save FOLDER] [--stop-after N]`: random scripts on all four runners, which must agree.
//! Both Python runners and the Node runner must have been built. A script is known by its seed and number and is the same every time.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use seawall_testkit::fuzz::{Outcome, Plan, fuzz};

fn main() -> ExitCode {
    match plan() {
        Ok(plan) => report(&fuzz(&plan)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan, String> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut plan = Plan { root, seed: 1, from: 0, scripts: 400, save: None, stop_after: 10 };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let word = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || word.parse::<u64>().map_err(|error| format!("{flag} {word}: {error}"));
        match flag.as_str() {
            "--scripts" => plan.scripts = number()?,
            "--seed" => plan.seed = number()?,
            "--from" => plan.from = number()?,
            "--save" => plan.save = Some(PathBuf::from(&word)),
            "--stop-after" => plan.stop_after = usize::try_from(number()?).unwrap_or(usize::MAX),
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(plan)
}

fn report(outcome: &Outcome) -> ExitCode {
    for (name, count) in &outcome.seen.0 {
        println!("{count:>9}  {name}");
    }
    outcome.missing.iter().for_each(|name| println!("never reached: {name}"));
    println!("{} scripts played, {} of them not by asyncio; {} policies refused by all", outcome.played, outcome.skipped, outcome.refused);
    let passed = outcome.played + outcome.refused - outcome.differences as u64;
    println!("{passed} passed, {} failed", outcome.differences);
    if outcome.differences == 0 && outcome.missing.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
