//! The command `seawall`, the same from every package: arguments in, text out, a code for the shell.
//!
//! Exit codes: 0 for done, 1 for a finding or a failure, 2 for a command that is wrong. With `--json` all that is said on the standard output is JSON,
//! a value a line.
//!
//! Code that `explain --import` names is imported by the package, before it comes here.
//!
//! Letters can be delivered again only by a function, which is written in the application's language. So `dlq redrive` with a handler comes
//! back as [`Done::Redrive`]; the package calls the handler, and says by [`report`] how it went.
#![forbid(unsafe_code)]

mod args;
mod breaker;
mod chaos;
mod control;
mod dlq;
mod doctor;
mod events;
mod filter;
mod metrics;
mod page;
mod policies;
mod progress;

use std::ffi::OsString;
use std::io::{BufRead, Write};

use clap::Parser;
use serde_json::Value;

pub use metrics::announce;
pub use progress::progress;

use args::{Command, Seawall};
use dlq::Failed;

/// What the package has yet to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Nothing: this is the code to exit with.
    Exit(u8),
    /// A redrive, as JSON: `queue`, `store` (or null), `handler`, `concurrency`, `json`, `total` (letters to deliver), and `options` as the queue's redrive takes them.
    Redrive(String),
}

/// Where text comes from and goes to.
pub struct Console<'a> {
    /// The standard output.
    pub out: &'a mut dyn Write,
    /// The standard error.
    pub err: &'a mut dyn Write,
    /// The standard input.
    pub input: &'a mut dyn BufRead,
    /// How to write down a handler in this language.
    pub handler: &'static str,
}

/// Runs a command; `args` without the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>, console: &mut Console<'_>) -> Done {
    let words = std::iter::once(OsString::from("seawall")).chain(args);
    let given = match Seawall::try_parse_from(words) {
        Ok(given) => given,
        Err(why) => {
            let wrong = why.use_stderr();
            // A closed output is nobody's concern here.
            let _ = if wrong { write!(console.err, "{why}") } else { write!(console.out, "{why}") };
            return Done::Exit(if wrong { 2 } else { 0 });
        }
    };
    let done = match given.command {
        Command::Dlq(dlq) => dlq::run(*dlq, console),
        Command::Chaos(chaos) => chaos::run(chaos, console),
        Command::Breaker(breaker) => breaker::run(breaker, console),
        Command::Check { file, json } => policies::check(&file, json, console),
        Command::Explain { policy, file, env, json, import: _ } => policies::explain(&policy, file, env, json, console),
        Command::Doctor { json } => doctor::run(json, console),
        Command::Events(asked) => events::run(asked, console),
        Command::Metrics { store, openmetrics, json } => metrics::run(store, openmetrics, json, console),
    };
    match done {
        Ok(done) => done,
        Err(Failed { code, message }) => {
            let _ = writeln!(console.err, "seawall: {message}");
            Done::Exit(code)
        }
    }
}

/// Says how a redrive went, and gives the code to exit with.
pub fn report(request: &str, report: &str, console: &mut Console<'_>) -> u8 {
    let json = serde_json::from_str::<Value>(request).is_ok_and(|request| request["json"] == true);
    let report: Value = serde_json::from_str(report).unwrap_or_default();
    progress::clear();
    page::report(&report, json, console)
}
