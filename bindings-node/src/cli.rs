//! The command `seawall`, as far as it needs no JavaScript. It is all that runs in its process, so it may block.

use std::ffi::OsString;
use std::io;
use std::sync::LazyLock;

use napi_derive::napi;
use seawall_admin::{Console, Done, progress, report, run};

const HANDLER: &str = "give 'file.mjs#function', which takes a letter";

fn with_console<T>(work: impl FnOnce(&mut Console<'_>) -> T) -> T {
    let (mut out, mut err, mut input) = (io::stdout().lock(), io::stderr().lock(), io::stdin().lock());
    work(&mut Console { out: &mut out, err: &mut err, input: &mut input, handler: HANDLER })
}

/// Runs a command: the code to exit with, or the redrive that is left to do, as JSON.
#[napi]
pub fn cli(args: Vec<String>) -> String {
    LazyLock::force(&crate::queue::STORES);
    match with_console(|console| run(args.into_iter().map(OsString::from), console)) {
        Done::Exit(code) => code.to_string(),
        Done::Redrive(request) => request,
    }
}

/// Says how that redrive went; gives the code to exit with.
#[napi]
pub fn cli_report(request: String, told: String) -> u32 {
    u32::from(with_console(|console| report(&request, &told, console)))
}

/// Shows on a terminal how far it is.
#[napi]
pub fn cli_progress(request: String, ok: u32, failed: u32) {
    progress(&request, ok.into(), failed.into());
}
