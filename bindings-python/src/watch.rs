//! A policy file that is watched.

use std::sync::Mutex;

use pyo3::prelude::*;
use seawall_runtime::clock;

/// Whether a policy file reads differently from what was taken last.
#[pyclass(frozen, module = "seawall._native")]
pub(crate) struct Watch {
    inner: Mutex<seawall_runtime::Watch>,
}

#[pymethods]
impl Watch {
    #[new]
    #[pyo3(signature = (path, env))]
    fn new(py: Python<'_>, path: &str, env: Option<&str>) -> Self {
        Self { inner: Mutex::new(py.detach(|| seawall_runtime::Watch::new(path, env))) }
    }

    /// Looks, and loads what is to be taken; gives the records of its events and the tickets to be woken.
    ///
    /// Other threads run while the disk is waited for, and then only: no lock is held there, so one of them may fork.
    fn look(&self, py: Python<'_>) -> (Vec<String>, Vec<u64>) {
        let mut watch = self.lock().clone();
        let is_other = py.detach(|| watch.look());
        self.lock().clone_from(&watch);
        if !is_other {
            return (Vec::new(), Vec::new());
        }
        let loaded = watch.take(clock::now());
        (loaded.events, loaded.tickets)
    }
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, seawall_runtime::Watch> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
