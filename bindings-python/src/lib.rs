//! The native half of the Python package: glue over `seawall-runtime` and `seawall-dlq`, and nothing else.
//!
//! Every function takes plain values and gives plain values or JSON text. What the values mean is decided by the crates below, what
//! they look like to Python's users by the package above.

mod call;
mod cli;
mod clock;
mod control;
mod error;
mod fork;
mod hot;
mod policy;
mod queue;
mod watch;

use pyo3::prelude::*;

/// What runs this, as metrics say it: `CPython 3.12.4`.
fn runtime() -> String {
    let version = Python::version_str();
    format!("CPython {}", version.split_whitespace().next().unwrap_or_default())
}

/// The module `seawall._native`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    seawall_store_sqlite::register();
    seawall_store_postgres::register();
    seawall_store_redis::register();
    seawall_admin::announce("python", runtime());
    module.add("NativeError", module.py().get_type::<error::NativeError>())?;
    module.add_class::<policy::Policy>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<queue::Queue>()?;
    module.add_class::<queue::Redrive>()?;
    module.add_class::<watch::Watch>()?;
    module.add_function(wrap_pyfunction!(queue::write_closed, module)?)?;
    module.add_function(wrap_pyfunction!(queue::flush_letters, module)?)?;
    module.add_function(wrap_pyfunction!(queue::abandon_letters, module)?)?;
    module.add_function(wrap_pyfunction!(queue::hold_keys, module)?)?;
    cli::add_to(module)?;
    control::add_to(module)?;
    fork::add_to(module)?;
    hot::add_to(module)?;
    policy::add_to(module)?;
    clock::add_to(module)
}
