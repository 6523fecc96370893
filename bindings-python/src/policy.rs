//! Policies: made from a spec, read, and overridden by hand.

use std::sync::Arc;

use pyo3::prelude::*;
use seawall_runtime::clock;

use crate::error;

/// A policy in force.
#[pyclass(frozen, module = "seawall._native")]
pub(crate) struct Policy {
    pub(crate) inner: Arc<seawall_runtime::Policy>,
}

#[pymethods]
impl Policy {
    fn info(&self) -> String {
        self.inner.info()
    }

    fn set_label(&self, label: &str) {
        self.inner.set_label(label);
    }

    #[pyo3(signature = (mode, reason, author, expires_in_ms))]
    fn set_mode(&self, mode: &str, reason: &str, author: Option<&str>, expires_in_ms: Option<u64>) -> PyResult<String> {
        self.inner.set_mode(mode, reason, author, expires_in_ms, clock::now()).map_err(|why| error::config(&why))
    }

    /// As JSON.
    #[pyo3(signature = (key))]
    fn snapshot(&self, key: Option<&str>) -> String {
        self.inner.snapshot(key, clock::now())
    }

    /// As JSON.
    fn worst_case(&self) -> String {
        self.inner.worst_case().to_json()
    }

    /// `inner` guards what this policy guards.
    fn note_inner(&self, inner: &Self) {
        self.inner.note_inner(&inner.inner);
    }

    /// Calls that the fast path has passed or turned away.
    fn quick_calls(&self) -> u64 {
        self.inner.quick_calls()
    }

    fn mode(&self) -> &'static str {
        self.inner.mode(clock::now()).name()
    }

    fn stale_put(&self, key: &str, bytes: u64) -> (i64, Vec<i64>) {
        self.inner.stale_put(0, key, bytes, clock::now())
    }

    fn stale_find(&self, key: &str) -> i64 {
        self.inner.stale_find(0, key, clock::now())
    }

    #[pyo3(signature = (key))]
    fn breaker_state(&self, key: Option<&str>) -> PyResult<&'static str> {
        self.inner.breaker_state(key, clock::now()).map_err(|why| error::config(&why))
    }

    #[pyo3(signature = (key))]
    fn breaker_counts(&self, key: Option<&str>) -> PyResult<[u64; 5]> {
        self.inner.breaker_counts(key, clock::now()).map_err(|why| error::config(&why))
    }

    #[pyo3(signature = (key, reason, author, expires_in_ms))]
    fn breaker_isolate(&self, key: Option<&str>, reason: &str, author: Option<&str>, expires_in_ms: Option<u64>) -> PyResult<Vec<String>> {
        self.inner.breaker_isolate(key, reason, author, expires_in_ms, clock::now()).map_err(|why| error::config(&why))
    }

    #[pyo3(signature = (key, reason, author, expires_in_ms))]
    fn breaker_disable(&self, key: Option<&str>, reason: &str, author: Option<&str>, expires_in_ms: Option<u64>) -> PyResult<Vec<String>> {
        self.inner.breaker_disable(key, reason, author, expires_in_ms, clock::now()).map_err(|why| error::config(&why))
    }

    #[pyo3(signature = (key))]
    fn breaker_reset(&self, key: Option<&str>) -> PyResult<Vec<String>> {
        self.inner.breaker_reset(key).map_err(|why| error::config(&why))
    }
}

/// Validates a spec.
#[pyfunction]
fn check(spec: &str) -> PyResult<()> {
    seawall_runtime::check(spec).map_err(|why| error::config(&why))
}

/// The policy of a spec.
#[pyfunction]
fn resolve(spec: &str) -> PyResult<Policy> {
    seawall_runtime::resolve(spec).map(|inner| Policy { inner }).map_err(|why| error::config(&why))
}

/// Loads a policy file; gives the records of its events and the tickets to be woken.
#[pyfunction]
#[pyo3(signature = (path, env))]
fn load(py: Python<'_>, path: &str, env: Option<&str>) -> PyResult<(Vec<String>, Vec<u64>)> {
    let loaded = py.detach(|| seawall_runtime::load(path, env, clock::now())).map_err(|why| error::config(&why))?;
    Ok((loaded.events, loaded.tickets))
}

/// The findings of every policy as JSON, or those of one spec.
#[pyfunction]
#[pyo3(signature = (spec = None))]
fn lint(spec: Option<&str>) -> PyResult<String> {
    match spec {
        None => Ok(seawall_runtime::lint()),
        Some(spec) => seawall_runtime::lint_spec(spec).map_err(|why| error::config(&why)),
    }
}

/// All metrics as Prometheus text, or as OpenMetrics text. Stores are asked meanwhile, so the interpreter is let go.
#[pyfunction]
fn metrics(py: Python<'_>, open: bool) -> String {
    py.detach(|| if open { seawall_runtime::metrics_open() } else { seawall_runtime::metrics() })
}

/// All metrics as JSON, for collectors of other libraries.
#[pyfunction]
fn metric_families(py: Python<'_>) -> String {
    py.detach(seawall_runtime::families)
}

/// The same as JSON.
#[pyfunction]
fn snapshot(py: Python<'_>) -> String {
    py.detach(seawall_runtime::snapshot)
}

/// Forgets every state and name.
#[pyfunction]
#[pyo3(signature = (seed))]
fn reset_all(seed: Option<u64>) {
    seawall_runtime::reset_all(seed);
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(check, module)?)?;
    module.add_function(wrap_pyfunction!(resolve, module)?)?;
    module.add_function(wrap_pyfunction!(load, module)?)?;
    module.add_function(wrap_pyfunction!(lint, module)?)?;
    module.add_function(wrap_pyfunction!(metrics, module)?)?;
    module.add_function(wrap_pyfunction!(metric_families, module)?)?;
    module.add_function(wrap_pyfunction!(snapshot, module)?)?;
    module.add_function(wrap_pyfunction!(reset_all, module)?)
}
