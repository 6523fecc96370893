//! `vectors --check [FILES]` plays vectors against the engine; `vectors --bless FILES` writes what the engine does; `vectors --rows` writes
//! docs/spec/transitions.md, which says which vectors take which rows, and which `--check` compares; `vectors --reach` names all that vectors reach; `vectors --stdin` answers each vector, one line of JSON, with what came of it, one line of JSON.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seawall_testkit::fuzz::{engine, reach};
use seawall_testkit::{Coverage, Seen, play, vector};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/transitions.md");

fn main() -> ExitCode {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    if flags.iter().any(|flag| flag == "--stdin") {
        return serve();
    }
    if flags.iter().any(|flag| flag == "--reach") {
        return tell_reach();
    }
    let bless = flags.iter().any(|flag| flag == "--bless");
    let files = if paths.is_empty() { vector::files(Path::new(FOLDER)) } else { Ok(paths.iter().map(PathBuf::from).collect()) };
    let page = if flags.iter().any(|flag| flag == "--rows") { Page::Write } else { Page::Compare };
    let scope = if paths.is_empty() { Some(page) } else { None };
    let outcome = files.and_then(|files| if bless { write(&files) } else { Ok(check(&files, scope)) });
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

/// Every name that all vectors reach in the engine, such as `event chaos.injected`: a list, in JSON.
fn tell_reach() -> ExitCode {
    let mut seen = Seen::default();
    let vectors =
        vector::files(Path::new(FOLDER)).and_then(|files| files.iter().map(|file| vector::read(file)).collect::<Result<Vec<_>, _>>());
    match vectors {
        Ok(vectors) => vectors.iter().flatten().filter_map(engine).for_each(|(_, reached)| seen.add(&reached)),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    println!("{}", serde_json::json!(seen.0.keys().collect::<Vec<_>>()));
    ExitCode::SUCCESS
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

/// What becomes of the page on rows.
#[derive(Clone, Copy)]
enum Page {
    Write,
    Compare,
}

/// All vectors together must reach what the tables name; each of them must be written.
fn check(files: &[PathBuf], all: Option<Page>) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    let mut seen = Seen::default();
    let mut coverage = Coverage::default();
    for file in files {
        match vector::read(file) {
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
            Ok(vectors) => {
                for vector in &vectors {
                    engine(vector).iter().for_each(|(_, reached)| seen.add(reached));
                    Coverage::begin();
                    if agrees(file, vector) {
                        passed += 1
                    } else {
                        failed += 1
                    }
                    if all.is_some() {
                        coverage.add(file, vector);
                    }
                }
            }
        }
    }
    let Some(page) = all else { return (passed, failed) };
    let mut missing: Vec<String> = reach::missing(&seen).iter().map(|name| format!("no vector reaches {name}")).collect();
    missing.extend(coverage.missing());
    missing.extend(settle(page, &coverage.page()));
    missing.iter().for_each(|line| eprintln!("{line}"));
    (passed, failed + missing.len())
}

/// Writes the page, or says that it has drifted.
fn settle(page: Page, wanted: &str) -> Option<String> {
    match page {
        Page::Write => std::fs::write(PAGE, wanted).err().map(|error| format!("docs/spec/transitions.md: {error}")),
        Page::Compare => (std::fs::read_to_string(PAGE).unwrap_or_default() != wanted)
            .then(|| "docs/spec/transitions.md has drifted from the vectors; `vectors --rows` writes it anew".to_owned()),
    }
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
