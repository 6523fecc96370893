//! Dead-letter queues and their redrive. All of it may wait for a disk, so all of it lets other threads run meanwhile.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::error;

/// A queue of dead letters.
#[pyclass(frozen, module = "seawall._native")]
pub(crate) struct Queue {
    inner: seawall_dlq::Queue,
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (name, store, keys=None))]
    fn new(py: Python<'_>, name: &str, store: Option<&str>, keys: Option<&str>) -> PyResult<Self> {
        let open = || {
            let queue = seawall_dlq::Queue::open(name, store.unwrap_or_default())?;
            keys.map_or_else(|| Ok(queue.clone()), |source| queue.with_keys(source))
        };
        let inner = inside(py, open).map_err(|why| error::dlq(&why))?;
        Ok(Self { inner })
    }

    fn put(&self, py: Python<'_>, letter: &str) -> PyResult<String> {
        inside(py, || self.inner.put(letter)).map_err(|why| error::dlq(&why))
    }

    /// As `put`, and says what became of the letter.
    fn write(&self, py: Python<'_>, letter: &str) -> PyResult<String> {
        inside(py, || self.inner.write(letter)).map_err(|why| error::dlq(&why))
    }

    fn get(&self, py: Python<'_>, id: &str) -> PyResult<Option<String>> {
        inside(py, || self.inner.get(id)).map_err(|why| error::dlq(&why))
    }

    #[pyo3(signature = (filter, limit, cursor))]
    fn peek(&self, py: Python<'_>, filter: &str, limit: usize, cursor: Option<&str>) -> PyResult<String> {
        inside(py, || self.inner.peek(filter, limit, cursor)).map_err(|why| error::dlq(&why))
    }

    fn groups(&self, py: Python<'_>, filter: &str) -> PyResult<String> {
        inside(py, || self.inner.groups(filter)).map_err(|why| error::dlq(&why))
    }

    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        inside(py, || self.inner.stats()).map_err(|why| error::dlq(&why))
    }

    fn purge(&self, py: Python<'_>, filter: &str, all: bool, dry_run: bool) -> PyResult<String> {
        inside(py, || self.inner.purge(filter, all, dry_run)).map_err(|why| error::dlq(&why))
    }

    fn park(&self, py: Python<'_>, filter: &str) -> PyResult<String> {
        inside(py, || self.inner.park(filter)).map_err(|why| error::dlq(&why))
    }

    fn jobs(&self, py: Python<'_>) -> PyResult<String> {
        inside(py, || self.inner.jobs()).map_err(|why| error::dlq(&why))
    }

    fn pause(&self, py: Python<'_>, job: &str) -> PyResult<bool> {
        inside(py, || self.inner.pause(job)).map_err(|why| error::dlq(&why))
    }

    fn cancel(&self, py: Python<'_>, job: &str) -> PyResult<bool> {
        inside(py, || self.inner.cancel(job)).map_err(|why| error::dlq(&why))
    }

    fn archive(&self, py: Python<'_>, correlation_id: &str, operation: &str) -> PyResult<u64> {
        inside(py, || self.inner.archive(correlation_id, operation)).map_err(|why| error::dlq(&why))
    }
}

/// Lets other threads run, and no fork come between.
fn inside<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let _inside = seawall_dlq::fork::inside();
        work()
    })
}

/// Writes a letter whose store could not be opened, along the chain.
#[pyfunction]
#[pyo3(signature = (name, store, letter))]
pub(crate) fn write_closed(py: Python<'_>, name: &str, store: Option<&str>, letter: &str) -> PyResult<String> {
    inside(py, || seawall_dlq::write_closed(name, store.unwrap_or_default(), letter)).map_err(|why| error::dlq(&why))
}

/// Not inside: the thread that writes them must get there. Waits for letters in memory to be written, so many milliseconds at most. Tells whether they are.
#[pyfunction]
pub(crate) fn flush_letters(py: Python<'_>, timeout_ms: u32) -> bool {
    py.detach(|| seawall_dlq::flush(Instant::now() + Duration::from_millis(timeout_ms.into())))
}

/// Keeps keys that a function gave; gives the source that stands for them.
#[pyfunction]
pub(crate) fn hold_keys(text: &str) -> PyResult<String> {
    seawall_dlq::hold_keys(text).map_err(|why| error::dlq(&why))
}

/// Gives up letters in memory: what is left of each, as JSON.
#[pyfunction]
pub(crate) fn abandon_letters(py: Python<'_>) -> Vec<String> {
    py.detach(seawall_dlq::abandon)
}

/// One redrive of a queue.
#[pyclass(frozen, module = "seawall._native")]
pub(crate) struct Redrive {
    inner: seawall_dlq::Redrive,
}

#[pymethods]
impl Redrive {
    #[new]
    fn new(py: Python<'_>, queue: &Queue, options: &str, now_ms: u64) -> PyResult<Self> {
        let inner = inside(py, || seawall_dlq::Redrive::new(&queue.inner, options, now_ms)).map_err(|why| error::dlq(&why))?;
        Ok(Self { inner })
    }

    fn next(&self, py: Python<'_>, now_ms: u64) -> PyResult<String> {
        inside(py, || self.inner.next(now_ms)).map_err(|why| error::dlq(&why))
    }

    #[pyo3(signature = (token, ok, error_json, now_ms))]
    fn delivered(&self, py: Python<'_>, token: u64, ok: bool, error_json: Option<&str>, now_ms: u64) -> PyResult<bool> {
        inside(py, || self.inner.delivered(token, ok, error_json, now_ms)).map_err(|why| error::dlq(&why))
    }

    fn released(&self, py: Python<'_>, token: u64) -> PyResult<bool> {
        inside(py, || self.inner.released(token)).map_err(|why| error::dlq(&why))
    }

    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        inside(py, || self.inner.leave()).map_err(|why| error::dlq(&why))
    }

    fn renew(&self, py: Python<'_>, token: u64) -> PyResult<bool> {
        inside(py, || self.inner.renew(token)).map_err(|why| error::dlq(&why))
    }
}
