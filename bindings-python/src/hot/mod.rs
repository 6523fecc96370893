//! The fast path: a guarded function whose calls neither wait nor fail pass through one vectorcall, without the driver in Python.
//!
//! | file | holds |
//! |---|---|
//! | `symbols.rs` | what the interpreter exports and the stable ABI does not list |
//! | `globals.rs` | the objects of the package that the cold paths call, and what makes every hold stale |
//! | `frames.rs` | the calls of this thread that run on the fast path, for `current()` |
//! | `guarded.rs` | the type: life, members, binding |
//! | `call.rs` | the call, where nothing is allocated |
//! | `refusal.rs` | the error of a call that was turned away |
//! | `running.rs` | an async call under way, between its awaiter and the callee |
//! | `limited.rs`, `lanes.rs` | its limits of time, and when they pass |
//! | `protocol.rs` | what makes that a coroutine to Python |
//! | `cold.rs`, `later.rs` | the ways off it, for sync and for async calls |
//!
//! All `unsafe` of this crate lies in this folder. Three facts carry it: the interpreter holds its lock whenever it calls us, so nothing here is
//! shared between threads at one moment; it holds a reference to the callable and to its arguments for as long as a call lasts; and
//! the crate is loaded once per process, into the main interpreter (pyo3 refuses others).
#![allow(unsafe_code, reason = "the raw FFI of the package; every block names its obligation")]

mod call;
mod cold;
mod frames;
mod globals;
mod guarded;
mod lanes;
mod later;
mod limited;
mod protocol;
mod refusal;
mod running;
mod symbols;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Hands over what the fast path calls; false where this interpreter has none.
#[pyfunction]
fn fast_setup(parts: &Bound<'_, PyDict>) -> PyResult<bool> {
    let Some(symbols) = symbols::find() else { return Ok(false) };
    globals::set(parts, symbols)?;
    guarded::make_type(parts.py())?;
    protocol::make_type(parts.py())?;
    Ok(true)
}

/// A guarded function, ordinary or async.
#[pyfunction]
fn fast_guard<'py>(
    function: &Bound<'py, PyAny>,
    written: &Bound<'py, PyAny>,
    view: &Bound<'py, PyAny>,
    is_async: bool,
) -> PyResult<Bound<'py, PyAny>> {
    guarded::new(function, written, view, is_async)
}

/// Every hold is stale from now on.
#[pyfunction]
fn fast_stale() {
    globals::make_stale();
}

/// The number of what is about to be said in a context.
#[pyfunction]
fn fast_serial() -> u64 {
    globals::next_serial()
}

/// Whether anybody subscribed to events.
#[pyfunction]
fn fast_hooks(are_there: bool) {
    globals::note_hooks(are_there);
}

/// A deadline as it stands in a context. While there is none in the process, calls need not ask their context for one.
#[pyclass(frozen, module = "seawall._native")]
struct Due {
    /// Nanoseconds of the clock.
    #[pyo3(get)]
    ns: u64,
}

#[pymethods]
impl Due {
    #[new]
    fn new(ns: u64) -> Self {
        globals::deadline_comes();
        Self { ns }
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        globals::deadline_goes();
    }
}

/// Says for real, in the context, what the fast path has left unsaid about the calls under way on this thread. `found` is what the context says.
#[pyfunction]
fn fast_settle(found: &Bound<'_, PyAny>) -> PyResult<()> {
    later::settle(found)
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(fast_setup, module)?)?;
    module.add_function(wrap_pyfunction!(fast_guard, module)?)?;
    module.add_function(wrap_pyfunction!(fast_stale, module)?)?;
    module.add_class::<Due>()?;
    module.add_class::<limited::Alarm>()?;
    module.add_function(wrap_pyfunction!(limited::fast_limit, module)?)?;
    module.add_function(wrap_pyfunction!(fast_hooks, module)?)?;
    module.add_function(wrap_pyfunction!(fast_serial, module)?)?;
    module.add_function(wrap_pyfunction!(fast_settle, module)?)
}
