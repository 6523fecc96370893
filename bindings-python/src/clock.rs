//! Clocks, ids and switches of the process.

use pyo3::prelude::*;
use seawall_runtime::{chaos, clock, events, ids};

/// Nanoseconds of the clock in force.
#[pyfunction]
fn clock_now() -> u64 {
    clock::now()
}

/// Switches to virtual time.
#[pyfunction]
fn clock_virtual(start_ms: u64) {
    clock::set_virtual(start_ms);
}

/// Moves virtual time on.
#[pyfunction]
fn clock_advance(ms: u64) {
    clock::advance(ms);
}

/// Back to the monotonic clock.
#[pyfunction]
fn clock_real() {
    clock::set_real();
}

/// A new correlation id.
#[pyfunction]
fn mint_id() -> String {
    ids::mint()
}

/// The id, if it is 1 to 128 safe characters.
#[pyfunction]
fn clean_id(text: &str) -> Option<&str> {
    ids::clean(text)
}

/// The log line of an event.
#[pyfunction]
fn event_line(record: &str) -> String {
    events::line(record)
}

/// Whether chaos may strike.
#[pyfunction]
fn armed() -> bool {
    chaos::armed()
}

/// Arms or disarms chaos; gives what it was before.
#[pyfunction]
fn arm(on: bool) -> bool {
    chaos::arm(on)
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(clock_now, module)?)?;
    module.add_function(wrap_pyfunction!(clock_virtual, module)?)?;
    module.add_function(wrap_pyfunction!(clock_advance, module)?)?;
    module.add_function(wrap_pyfunction!(clock_real, module)?)?;
    module.add_function(wrap_pyfunction!(mint_id, module)?)?;
    module.add_function(wrap_pyfunction!(clean_id, module)?)?;
    module.add_function(wrap_pyfunction!(event_line, module)?)?;
    module.add_function(wrap_pyfunction!(armed, module)?)?;
    module.add_function(wrap_pyfunction!(arm, module)?)
}
