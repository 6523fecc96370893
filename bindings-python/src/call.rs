//! One guarded call. Each input gives the outputs as tuples: `(code, a, b, c, d)`, or `(10, record)` for an event.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyList;
use seawall_runtime::{Ended, Op, clock};

use crate::error;
use crate::policy::Policy;

const EVENT: u8 = 10;

/// A call. Inputs may come from any thread: the caller's, and those of attempts that were walked away from.
#[pyclass(frozen, module = "seawall._native")]
pub(crate) struct Call {
    pub(crate) inner: Mutex<seawall_runtime::Call>,
}

impl Call {
    /// Locked only while the engine decides, which never calls Python, so the lock cannot wait for the interpreter.
    fn step<'py>(&self, py: Python<'py>, input: impl FnOnce(&mut seawall_runtime::Call, u64) -> Vec<Op>) -> PyResult<Bound<'py, PyList>> {
        let ops = input(&mut self.inner.lock(), clock::now());
        let list = PyList::empty(py);
        for op in ops {
            match op.record {
                Some(record) if op.code == EVENT => list.append((op.code, record))?,
                _ => list.append((op.code, op.args[0], op.args[1], op.args[2], op.args[3]))?,
            }
        }
        Ok(list)
    }
}

#[pymethods]
impl Call {
    #[new]
    #[pyo3(signature = (policy, key, correlation_id, flags, deadline_ms, redrives))]
    fn new(policy: &Policy, key: Option<&str>, correlation_id: &str, flags: u32, deadline_ms: i64, redrives: u32) -> PyResult<Self> {
        seawall_runtime::Call::new(&policy.inner, key, correlation_id, flags, deadline_ms, redrives)
            .map(|call| Self { inner: Mutex::new(call) })
            .map_err(|why| error::config(&why))
    }

    /// Says whose call it is that began without a driver.
    pub(crate) fn identify(&self, correlation_id: &str) {
        self.inner.lock().identify(correlation_id);
    }

    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.step(py, seawall_runtime::Call::start)
    }

    #[allow(clippy::too_many_arguments, reason = "one outcome, told in full")]
    fn ended<'py>(
        &self,
        py: Python<'py>,
        attempt: u32,
        kind: u32,
        bits: u32,
        status: u32,
        retry_after_ms: i64,
        error_type: &str,
    ) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.ended(now, Ended { attempt, kind, bits, status, retry_after_ms, error_type }))
    }

    pub(crate) fn timer<'py>(&self, py: Python<'py>, reason: u32, attempt: u32) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.timer(now, reason, attempt))
    }

    fn granted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.step(py, seawall_runtime::Call::granted)
    }

    fn asked<'py>(&self, py: Python<'py>, attempt: u32) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.asked(now, attempt))
    }

    fn item<'py>(&self, py: Python<'py>, attempt: u32) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.item(now, attempt))
    }

    fn stopped<'py>(&self, py: Python<'py>, attempt: u32) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.stopped(now, attempt))
    }

    fn cancelled<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.step(py, seawall_runtime::Call::cancelled)
    }

    fn classified<'py>(&self, py: Python<'py>, bits: u32) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.classified(now, bits))
    }

    fn letter_ended<'py>(&self, py: Python<'py>, ok: bool) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.letter_ended(now, ok))
    }

    fn letter_went(&self, aside: bool, dropped: u32) {
        self.inner.lock().letter_went(aside, dropped);
    }

    fn fallback_ended<'py>(&self, py: Python<'py>, ok: u8) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |call, now| call.fallback_ended(now, ok))
    }

    fn within(&self, chain: Vec<u64>) -> u64 {
        self.inner.lock().within(&chain)
    }

    /// Milliseconds until the call's limit passes, rounded up; -1 if there is none.
    fn left_ms(&self) -> i64 {
        self.inner.lock().wait_ms(clock::now())
    }

    fn report(&self) -> String {
        self.inner.lock().report()
    }
}
