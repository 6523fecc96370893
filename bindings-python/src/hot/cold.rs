//! The ways off the fast path. Here code of the package runs, so these may allocate; all of it is pyo3's safe interface but for what came in raw.

use core::ptr::null_mut;
use std::cell::Cell;
use std::rc::Rc;

use parking_lot::Mutex;
use pyo3::exceptions::PyReferenceError;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use seawall_runtime::quick::{self, Begun, Success};
use seawall_runtime::{Grip, Unfit, clock};

use super::call::is_as_it_was;
use super::globals::{self, Globals};
use super::guarded::{self, Guarded, Hold};
use super::symbols::OFFSET;
use crate::call::Call;
use crate::policy::Policy;

/// A cooperative driver.
const COOPERATIVE: u32 = 1;

/// The arguments of a call under way, borrowed from its caller.
#[derive(Clone, Copy)]
pub(super) struct Arguments {
    pub(super) args: *const *mut PyObject,
    pub(super) nargsf: usize,
    pub(super) names: *mut PyObject,
}

impl Arguments {
    /// As a tuple and a dictionary.
    fn collect(self, py: Python<'_>) -> PyResult<(Bound<'_, PyTuple>, Bound<'_, PyDict>)> {
        let count = self.nargsf & !OFFSET;
        // SAFETY: the protocol promises `count` positional values, and behind them one for each name; all live as long as the call.
        let value = |at: usize| unsafe { Bound::from_borrowed_ptr(py, *self.args.add(at)) };
        let args = PyTuple::new(py, (0..count).map(value))?;
        let kwargs = PyDict::new(py);
        if !self.names.is_null() {
            // SAFETY: names are a tuple, borrowed for the call.
            let names = unsafe { Bound::from_borrowed_ptr(py, self.names) }.cast_into::<PyTuple>()?;
            for (at, name) in names.iter().enumerate() {
                kwargs.set_item(name, value(count + at))?;
            }
        }
        Ok((args, kwargs))
    }
}

/// What a guarded function holds, borrowed; an error once the collector has taken it apart.
pub(super) fn parts<'py>(py: Python<'py>, guarded: &Guarded) -> PyResult<[Bound<'py, PyAny>; 3]> {
    let part = |object: *mut PyObject| {
        // SAFETY: null, or owned by the guarded function, which is borrowed for the call.
        unsafe { Bound::from_borrowed_ptr_or_opt(py, object) }.ok_or_else(|| PyReferenceError::new_err("the guarded function is gone"))
    };
    Ok([part(guarded.written)?, part(guarded.view)?, part(guarded.function)?])
}

/// Runs what gives a value or raises, and answers as the interpreter expects: the value, or null with the error set.
pub(super) fn answer(work: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>>) -> *mut PyObject {
    Python::attach(|py| match work(py) {
        Ok(value) => value.into_ptr(),
        Err(error) => {
            error.restore(py);
            null_mut()
        }
    })
}

/// The driver, from the start; or the error that is set already.
#[cold]
pub(super) fn slow(guarded: &Guarded, arguments: Arguments) -> *mut PyObject {
    answer(|py| {
        if let Some(error) = PyErr::take(py) {
            return Err(error);
        }
        let (args, kwargs) = arguments.collect(py)?;
        run(py, guarded, args.as_any(), kwargs.as_any())
    })
}

/// The same, where the interpreter has collected the arguments.
///
/// # Safety
/// `args` is a tuple, `kwargs` a dictionary or null; both are alive.
pub(super) unsafe fn slow_with_tuple(guarded: &Guarded, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    answer(|py| {
        // SAFETY: as the caller promises.
        let (args, kwargs) = unsafe { (Bound::from_borrowed_ptr(py, args), Bound::from_borrowed_ptr_or_opt(py, kwargs)) };
        let kwargs = kwargs.unwrap_or_else(|| PyDict::new(py).into_any());
        run(py, guarded, &args, &kwargs)
    })
}

fn run(py: Python<'_>, guarded: &Guarded, args: &Bound<'_, PyAny>, kwargs: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let [written, view, function] = parts(py, guarded)?;
    guarded.globals.names.run.call1(py, (written, view, function, args, kwargs))
}

/// Takes another hold. `None` with the error set if the policy could not be resolved.
#[cold]
pub(super) fn renewed(guarded: &Guarded) -> Option<Rc<Hold>> {
    guarded.globals.look_at_modules();
    let epoch = globals::epoch();
    let made = Python::attach(|py| match take_hold(py, guarded, epoch) {
        Ok(hold) => Some(hold),
        Err(error) => {
            error.restore(py);
            None
        }
    });
    guarded::renew(guarded, made);
    let hold = guarded.hold.get();
    // SAFETY: null, or what the cell holds a count of; the count that is added is the one given out.
    unsafe {
        (!hold.is_null()).then(|| {
            Rc::increment_strong_count(hold);
            Rc::from_raw(hold)
        })
    }
}

fn take_hold(py: Python<'_>, guarded: &Guarded, epoch: u64) -> PyResult<Hold> {
    let hold = |grip, unfit| Hold { epoch, grip, unfit, template: Cell::new(None) };
    let none = |unfit| hold(None, unfit);
    // SAFETY: null, or what the cell holds a count of, for as long as nobody renews it, which only this call does.
    let before = unsafe { guarded.hold.get().as_ref() }.filter(|hold| hold.epoch == epoch);
    if let Some(before) = before.filter(|hold| hold.grip.is_none() && is_as_it_was(hold)) {
        return Ok(none(before.unfit.clone()));
    }
    if globals::has_greenlets() {
        return Ok(none(None));
    }
    let [written, view, function] = parts(py, guarded)?;
    let found = guarded.globals.names.plan.call1(py, (written, view, function))?;
    if found.is_none(py) {
        return Ok(none(None));
    }
    let policy = found.bind(py).cast::<Policy>()?.get().inner.clone();
    // What cannot be cut here is not begun here.
    let fits = |grip: &Grip| quick::suits(grip) && (!guarded.is_async || globals::can_cut() || !grip.limits().are_some());
    Ok(match Grip::with_limits(&policy, clock::now()) {
        Ok(grip) if fits(&grip) => hold(Some(grip), None),
        Ok(grip) => none(Some((policy, Some(grip.changes())))),
        Err(Unfit::Until(changes)) => none(Some((policy, Some(changes)))),
        Err(Unfit::ForNow) => none(Some((policy, None))),
    })
}

/// The call has succeeded, and there is something to tell or to do.
#[cold]
pub(super) fn told(
    guarded: &Guarded,
    hold: &Hold,
    arguments: Arguments,
    begun: &Begun,
    value: *mut PyObject,
    success: Success,
    ticket: Option<u64>,
) -> *mut PyObject {
    answer(|py| {
        // SAFETY: a new reference that the callee gave us.
        let value = unsafe { Bound::from_owned_ptr(py, value) };
        wake(py, guarded.globals, ticket)?;
        match success {
            Success::Recorded => {}
            Success::Announced(record) => drop(guarded.globals.names.emit.call1(py, (record,))?),
            Success::Machine => return resume(py, guarded, hold, arguments, begun, py.None().bind(py), Ok(value)),
        }
        Ok(value.unbind())
    })
}

/// Takes back what was said of a call for real; true if letters were written inside of it, which its success recovers.
pub(super) fn leave(py: Python<'_>, globals: &Globals, real: &Bound<'_, PyAny>) -> PyResult<bool> {
    globals.names.leave.call1(py, (real,))?.is_truthy(py)
}

/// The first attempt has ended, and not plainly: it raised, or gave what may be awaited, or somebody asked for the call.
#[cold]
pub(super) fn ended(
    guarded: &Guarded,
    hold: &Hold,
    arguments: Arguments,
    begun: &Begun,
    real: *mut PyObject,
    value: *mut PyObject,
) -> *mut PyObject {
    answer(|py| {
        // SAFETY: null or a new reference, each; without a value the error is set.
        let (value, real) = unsafe { (Bound::from_owned_ptr_or_opt(py, value), Bound::from_owned_ptr_or_opt(py, real)) };
        let mut outcome = value.ok_or_else(|| PyErr::fetch(py));
        let mut collected = false;
        if let Some(real) = &real {
            match leave(py, guarded.globals, real) {
                Ok(has_letters) => collected = has_letters,
                Err(stop) => outcome = Err(stop),
            }
        }
        let real = real.unwrap_or_else(|| py.None().into_bound(py));
        let passes = |value: &Bound<'_, PyAny>| !collected && !is_awaitable(guarded.globals, value.as_ptr());
        let (Some(grip), Ok(true)) = (&hold.grip, outcome.as_ref().map(passes)) else {
            return resume(py, guarded, hold, arguments, begun, &real, outcome);
        };
        let (success, ticket) = quick::succeed(grip, begun);
        match success {
            Success::Machine => return resume(py, guarded, hold, arguments, begun, &real, outcome),
            Success::Announced(record) => drop(guarded.globals.names.emit.call1(py, (record,))?),
            Success::Recorded => {}
        }
        wake(py, guarded.globals, ticket)?;
        outcome.map(Bound::unbind)
    })
}

/// Wakes whoever waits for the slot that was given back.
pub(super) fn wake(py: Python<'_>, globals: &Globals, ticket: Option<u64>) -> PyResult<()> {
    if let Some(ticket) = ticket {
        globals.names.wake.call1(py, (ticket,))?;
    }
    Ok(())
}

/// Whether the package takes a value for an awaitable.
pub(super) fn is_awaitable(globals: &Globals, value: *mut PyObject) -> bool {
    Python::attach(|py| {
        // SAFETY: alive for as long as our caller needs the answer.
        let value = unsafe { Bound::from_borrowed_ptr(py, value) };
        globals.names.is_awaitable.call1(py, (value,)).and_then(|answer| answer.is_truthy(py)).unwrap_or(false)
    })
}

/// The call in the machine, and how its first attempt ended: what the drivers need to go on.
pub(super) fn hand_over<'py>(
    py: Python<'py>,
    grip: &Grip,
    begun: &Begun,
    flags: u32,
    outcome: PyResult<Bound<'py, PyAny>>,
) -> PyResult<(Py<Call>, bool, Bound<'py, PyAny>)> {
    let call = Py::new(py, Call { inner: Mutex::new(quick::resume(grip, begun, flags)) })?;
    let (is_value, outcome) = told_apart(py, outcome);
    Ok((call, is_value, outcome))
}

/// Whether an outcome is a value, and the value or the error.
pub(super) fn told_apart<'py>(py: Python<'py>, outcome: PyResult<Bound<'py, PyAny>>) -> (bool, Bound<'py, PyAny>) {
    match outcome {
        Ok(value) => (true, value),
        Err(error) => (false, error.into_value(py).into_bound(py).into_any()),
    }
}

/// Hands the call over to the driver, with its first attempt ended.
fn resume<'py>(
    py: Python<'py>,
    guarded: &Guarded,
    hold: &Hold,
    arguments: Arguments,
    begun: &Begun,
    real: &Bound<'py, PyAny>,
    outcome: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let Some(grip) = &hold.grip else { return outcome.map(Bound::unbind) };
    let (call, is_value, outcome) = hand_over(py, grip, begun, COOPERATIVE, outcome)?;
    let [written, view, function] = parts(py, guarded)?;
    let (args, kwargs) = arguments.collect(py)?;
    guarded.globals.names.resume.call1(py, (written, view, function, call, real, is_value, outcome, args, kwargs))
}
