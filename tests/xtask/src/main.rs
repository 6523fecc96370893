//! Chores of the repository: `generate` writes the mirrors of the one table (`--check` compares them), `arrows` checks
//! who depends on whom, `msrv` that no locked crate asks for a newer Rust than the workspace does.
//!
//! Every chore ends with `N passed, N failed` and fails if anything did.

mod arrows;
mod count;
mod graph;
mod markdown;
mod mirror;
mod msrv;
mod pages;
mod python;
mod schema;
mod topics;
mod typescript;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["generate"] => mirror::write(),
        ["generate", "--check"] => mirror::check(),
        ["arrows"] => arrows::check(),
        ["msrv"] => msrv::check(),
        _ => Err("usage: xtask generate [--check] | arrows | msrv".to_owned()),
    };
    match outcome {
        Ok(tally) => {
            println!("{} passed, {} failed", tally.passed, tally.failed);
            ExitCode::from(u8::from(tally.failed > 0))
        }
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
    }
}

/// How many checks of a chore passed and failed.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}
