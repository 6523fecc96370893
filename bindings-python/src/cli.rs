//! The command `seawall`, as far as it needs no Python.

use std::ffi::OsString;
use std::io;

use pyo3::prelude::*;
use seawall_admin::{Console, Done, progress, report, run};

const HANDLER: &str = "give 'package.module:function', which takes a letter";

fn with_console<T>(work: impl FnOnce(&mut Console<'_>) -> T) -> T {
    let (mut out, mut err, mut input) = (io::stdout().lock(), io::stderr().lock(), io::stdin().lock());
    work(&mut Console { out: &mut out, err: &mut err, input: &mut input, handler: HANDLER })
}

/// Runs a command: the code to exit with, and the redrive that is left to do, as JSON.
#[pyfunction]
fn cli(py: Python<'_>, args: Vec<OsString>) -> (u8, Option<String>) {
    match py.detach(|| with_console(|console| run(args, console))) {
        Done::Exit(code) => (code, None),
        Done::Redrive(request) => (0, Some(request)),
    }
}

/// Says how that redrive went; gives the code to exit with.
#[pyfunction]
fn cli_report(request: &str, told: &str) -> u8 {
    with_console(|console| report(request, told, console))
}

/// Shows on a terminal how far it is.
#[pyfunction]
fn cli_progress(request: &str, ok: u64, failed: u64) {
    progress(request, ok, failed);
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cli, module)?)?;
    module.add_function(wrap_pyfunction!(cli_report, module)?)?;
    module.add_function(wrap_pyfunction!(cli_progress, module)?)
}
