//! A fork of the process: before it, on both sides after it, and what the child makes its own.

use pyo3::prelude::*;

/// Waits until no thread is at work with a queue, and closes what the stores hold open, so that the fork passes nothing on. The next use opens
/// it again.
#[pyfunction]
fn fork_begins(py: Python<'_>) {
    py.detach(|| {
        seawall_dlq::fork::begins();
        seawall_store_sqlite::close_all();
        seawall_store_postgres::close_all();
        seawall_store_redis::close_all();
    });
}

/// Lets threads at the queues again.
#[pyfunction]
fn fork_ended() {
    seawall_dlq::fork::ended();
}

/// In the child: frees what the parent's calls hold, but for the slots in `chain`, which are those of this thread's calls.
#[pyfunction]
fn fork_inherits(chain: Vec<u64>) {
    seawall_runtime::inherit_all(&chain);
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(fork_begins, module)?)?;
    module.add_function(wrap_pyfunction!(fork_ended, module)?)?;
    module.add_function(wrap_pyfunction!(fork_inherits, module)?)
}
