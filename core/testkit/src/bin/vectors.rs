//! `vectors --check [FILES]` plays vectors against the engine; `vectors --bless FILES` writes what the engine does; `vectors --stdin` answers
//! each vector, one line of JSON, with what came of it, one line of JSON.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seawall_testkit::fuzz::{engine, reach};
use seawall_testkit::{Seen, play, vector};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors");

fn main() -> ExitCode {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    if flags.iter().any(|flag| flag == "--stdin") {
        return serve();
    }
    let bless = flags.iter().any(|flag| flag == "--bless");
    let files = if paths.is_empty() { vector::files(Path::new(FOLDER)) } else { Ok(paths.iter().map(PathBuf::from).collect()) };
    let is_all = paths.is_empty();
    let outcome = files.and_then(|files| if bless { write(&files) } else { Ok(check(&files, is_all)) });
    match outcome {
        Ok((passed, failed)) => {
            println!("{passed} passed, {failed} failed");
            if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Until the input ends.
fn serve() -> ExitCode {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let vector = serde_json::from_str(&line).map_err(|error| error.to_string());
        let answer = match vector.and_then(|vector| play(&vector)) {
            Ok(transcript) => serde_json::json!({"transcript": transcript}),
            Err(error) => serde_json::json!({"error": error}),
        };
        println!("{answer}");
    }
    ExitCode::SUCCESS
}

/// All vectors together must reach what the tables name; each of them must be written.
fn check(files: &[PathBuf], is_all: bool) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    let mut seen = Seen::default();
    for file in files {
        match vector::read(file) {
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
            Ok(vectors) => {
                for vector in &vectors {
                    engine(vector).iter().for_each(|(_, reached)| seen.add(reached));
                    if agrees(file, vector) { passed += 1 } else { failed += 1 }
                }
            }
        }
    }
    let missing = if is_all { reach::missing(&seen) } else { Vec::new() };
    missing.iter().for_each(|name| eprintln!("no vector reaches {name}"));
    (passed, failed + missing.len())
}

fn agrees(file: &Path, vector: &vector::Vector) -> bool {
    let played = play(vector).unwrap_or_else(|error| vec![error]);
    if played == vector.transcript {
        return true;
    }
    eprintln!("--- {}: {}", file.display(), vector.title);
    let same = played.iter().zip(&vector.transcript).take_while(|(a, b)| a == b).count();
    vector.transcript[..same].iter().for_each(|line| eprintln!("  {line}"));
    vector.transcript[same..].iter().for_each(|line| eprintln!("- {line}"));
    played[same..].iter().for_each(|line| eprintln!("+ {line}"));
    false
}

fn write(files: &[PathBuf]) -> Result<(usize, usize), String> {
    let mut blessed = 0;
    for file in files {
        let mut vectors = vector::read(file)?;
        for vector in &mut vectors {
            vector.transcript = play(vector)?;
            blessed += 1;
        }
        let text = serde_json::to_string_pretty(&serde_json::json!({"cases": vectors})).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| error.to_string())?;
    }
    Ok((blessed, 0))
}
