//! The control file of the host.

use pyo3::prelude::*;
use seawall_runtime::{clock, control};

/// Whether this process follows it.
#[pyfunction]
fn control_is_on() -> bool {
    control::is_on()
}

/// Looks, and does what it asks for; gives the records of its events and the tickets to be woken. Other threads run meanwhile.
#[pyfunction]
fn control_look(py: Python<'_>) -> (Vec<String>, Vec<u64>) {
    let done = py.detach(|| control::look(clock::now()));
    (done.events, done.tickets)
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(control_is_on, module)?)?;
    module.add_function(wrap_pyfunction!(control_look, module)?)
}
