//! The parity fuzzer: random policies and scripts, played by the engine alone and by the three languages' drivers side by side. Every
//! transcript must be the engine's, byte for byte; every policy that the engine refuses must be refused by all.

mod dice;
mod policies;
pub mod reach;
mod runner;
mod scripts;
mod shrink;
mod values;

use std::path::{Path, PathBuf};

use runner::{Answer, Runner};

use crate::player::Player;
use crate::seen::Seen;
use crate::vector::Vector;

/// What to do.
pub struct Plan {
    /// The repository, where the runners are.
    pub root: PathBuf,
    /// Decides every script.
    pub seed: u64,
    /// The first script's number.
    pub from: u64,
    /// How many.
    pub scripts: u64,
    /// Where shrunk differences go.
    pub save: Option<PathBuf>,
    /// Differences after which the run stops.
    pub stop_after: usize,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    /// Scripts played, on all runners.
    pub played: u64,
    /// Policies that everybody refused.
    pub refused: u64,
    /// Scripts that a driver left out, as it may.
    pub skipped: u64,
    /// Scripts that showed a difference.
    pub differences: usize,
    /// What was reached.
    pub seen: Seen,
    /// What was to be reached, and was not.
    pub missing: Vec<String>,
}

/// So many scripts must reach everything; a shorter run is there to look at one of them.
const ENOUGH: u64 = 600;

/// Plays a plan.
#[must_use]
pub fn fuzz(plan: &Plan) -> Outcome {
    let mut runners = Runner::all(&plan.root);
    let mut outcome = Outcome::default();
    for number in plan.from..plan.from + plan.scripts {
        match scripts::script(plan.seed, number) {
            Ok(vector) => one(plan, &mut runners, number, vector, &mut outcome),
            Err(vector) => refused(&mut runners, &vector, &mut outcome),
        }
        if outcome.differences >= plan.stop_after {
            break;
        }
    }
    if plan.scripts >= ENOUGH {
        outcome.missing = reach::missing(&outcome.seen);
    }
    outcome
}

/// The engine's lines and what they reached; `None` if the vector is wrong.
#[must_use]
pub fn engine(vector: &Vector) -> Option<(Vec<String>, Seen)> {
    let mut player = Player::new(vector).ok()?;
    vector.steps.iter().try_for_each(|step| player.play(step)).ok()?;
    Some(player.into_parts())
}

fn ask(runners: &mut [Runner], vector: &Vector) -> Vec<Answer> {
    let line = serde_json::to_string(vector).unwrap_or_default();
    runners.iter_mut().for_each(|runner| runner.ask(&line));
    runners.iter_mut().map(Runner::answer).collect()
}

/// The first runner that says something else than the engine, and what it says.
fn difference(runners: &mut [Runner], vector: &Vector) -> Option<(&'static str, Answer)> {
    let (lines, _) = engine(vector)?;
    let answers = ask(runners, vector);
    let names = runners.iter().map(|runner| runner.name);
    names.zip(answers).find(|(_, answer)| match answer {
        Answer::Transcript(played) => *played != lines,
        Answer::Skipped(_) => false,
        Answer::Error(_) => true,
    })
}

fn one(plan: &Plan, runners: &mut [Runner], number: u64, vector: Vector, outcome: &mut Outcome) {
    let Some((_, seen)) = engine(&vector) else { return };
    outcome.seen.add(&seen);
    outcome.played += 1;
    outcome.skipped += u64::from(vector.abandons);
    let Some(first) = difference(runners, &vector) else { return };
    outcome.differences += 1;
    // A difference that does not come again hangs on who came first, so that no smaller script would show it either.
    let is_steady = (0..2).all(|_| difference(runners, &vector).is_some_and(|other| is_alike(&first, &other)));
    let mut small = vector;
    if is_steady {
        small = shrink::shrink(small, |candidate| difference(runners, candidate).is_some_and(|other| is_alike(&first, &other)));
    }
    small.title = format!("script {number} of seed {}", plan.seed);
    small.transcript = engine(&small).map(|(lines, _)| lines).unwrap_or_default();
    let shown = if is_steady { difference(runners, &small) } else { None };
    let (name, answer) = shown.as_ref().unwrap_or(&first);
    println!("{}", if is_steady { "a difference" } else { "a difference that comes and goes" });
    tell(&small, name, answer);
    if let Some(folder) = &plan.save {
        save(folder, &small);
    }
}

/// Whether the same runner differs in the same way: by its lines, or by an error.
fn is_alike(one: &(&str, Answer), other: &(&str, Answer)) -> bool {
    one.0 == other.0 && std::mem::discriminant(&one.1) == std::mem::discriminant(&other.1)
}

fn refused(runners: &mut [Runner], vector: &Vector, outcome: &mut Outcome) {
    outcome.refused += 1;
    let answers = ask(runners, vector);
    for (runner, answer) in runners.iter().zip(answers) {
        if !matches!(answer, Answer::Error(_)) {
            outcome.differences += 1;
            println!("{}: {} takes a policy that the engine refuses: {}", vector.title, runner.name, serde_json::json!(vector.config));
        }
    }
}

fn tell(vector: &Vector, runner: &str, answer: &Answer) {
    println!("--- {}: {runner}", vector.title);
    println!("config {}", serde_json::json!(vector.config));
    for step in &vector.steps {
        println!("step {}", serde_json::json!(step));
    }
    vector.transcript.iter().for_each(|line| println!("engine {line}"));
    match answer {
        Answer::Transcript(lines) => lines.iter().for_each(|line| println!("here   {line}")),
        Answer::Error(error) | Answer::Skipped(error) => println!("here   {error}"),
    }
}

fn save(folder: &Path, vector: &Vector) {
    let file = folder.join(format!("{}.json", vector.title.replace(' ', "-")));
    let text = serde_json::to_string_pretty(&serde_json::json!({"cases": [vector]})).unwrap_or_default();
    match std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text + "\n")) {
        Ok(()) => println!("saved {}", file.display()),
        Err(error) => println!("{}: {error}", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use seawall_engine::table::options::OPTIONS;

    use super::{engine, policies, scripts, shrink};
    use crate::vector::Vector;

    /// Players share the clock and the registry of the process.
    fn alone() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        ONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(number: u64) -> Vector {
        scripts::script(9, number).unwrap_or_else(|refused| refused)
    }

    #[test]
    fn a_script_is_the_same_every_time() {
        let _alone = alone();
        for number in 0..50 {
            let (one, other) = (serde_json::json!(script(number)), serde_json::json!(script(number)));
            assert_eq!(one, other);
            assert_eq!(engine(&script(number)).map(|(lines, _)| lines), engine(&script(number)).map(|(lines, _)| lines));
        }
    }

    #[test]
    fn every_option_that_a_vector_can_write_takes_part() {
        let mut drawn = BTreeSet::new();
        for number in 0..2_000 {
            for (strategy, options) in policies::config(&mut super::dice::Dice::new(1, number)) {
                drawn.extend(options.as_object().into_iter().flatten().map(|(option, _)| (strategy.clone(), option.clone())));
            }
        }
        let missing: Vec<_> = OPTIONS
            .iter()
            .filter(|row| row.strategy != "*" && policies::is_writable(row))
            .map(|row| (row.strategy.to_owned(), row.name.to_owned()))
            .filter(|option| !drawn.contains(option))
            .collect();
        assert_eq!(missing, []);
    }

    #[test]
    fn shrinking_keeps_what_shows_the_difference_alone() {
        let _alone = alone();
        let cancels = |vector: &Vector| vector.steps.iter().any(|step| step.cancel.is_some());
        let found = (0..200).map(script).find(|vector| vector.steps.len() > 8 && cancels(vector)).expect("a script that cancels");
        let small = shrink::shrink(found, cancels);
        assert!(small.steps.len() <= 2, "{:?}", small.steps);
        assert_eq!(small.config.len(), 1);
    }
}
