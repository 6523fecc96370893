//! The ways off the fast path for async calls, and what finds out about calls under way. As in `cold.rs`, pyo3's safe interface but for what
//! came in raw.

use core::ptr::null_mut;
use pyo3::exceptions::{PyReferenceError, PyRuntimeWarning, PyStopIteration};
use pyo3::ffi::{PyObject, PySendResult};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use seawall_runtime::quick::{self, Begun, Success};

use super::cold::{answer, hand_over, leave, parts, told_apart, wake};
use super::frames;
use super::globals::{self, Globals};
use super::guarded::Hold;
use super::running::{self, Running};

/// What becomes of an async call whose first attempt has ended.
pub(super) enum After {
    /// It ends: with this value, or null with the error set.
    Value(*mut PyObject),
    /// The coroutine of the driver goes on; null with the error set if there is none.
    Driver(*mut PyObject),
}

fn arguments_of<'py>(py: Python<'py>, running: &Running) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    // SAFETY: null, or owned by the call, which is under way.
    let args = unsafe { Bound::from_borrowed_ptr_or_opt(py, running.args.get()) };
    // SAFETY: as above.
    let kwargs = unsafe { Bound::from_borrowed_ptr_or_opt(py, running.kwargs.get()) };
    let args = args.ok_or_else(|| PyReferenceError::new_err("the guarded call is gone"))?;
    Ok((args, kwargs.unwrap_or_else(|| PyDict::new(py).into_any())))
}

/// The driver's coroutine, from the start; or the error that is set already.
#[cold]
pub(super) fn drive(running: &Running) -> *mut PyObject {
    answer(|py| {
        if let Some(error) = PyErr::take(py) {
            return Err(error);
        }
        let guarded = running.function();
        let [written, view, function] = parts(py, guarded)?;
        let (args, kwargs) = arguments_of(py, running)?;
        guarded.globals.names.arun.call1(py, (written, view, function, args, kwargs))
    })
}

/// The call has succeeded, and there is something to tell or to do. `value` is given away.
#[cold]
pub(super) fn told(running: &Running, hold: &Hold, begun: &Begun, value: *mut PyObject, success: (Success, Option<u64>)) -> After {
    let globals = running.function().globals;
    if let (Success::Machine, _) = success {
        return After::Driver(resume(running, hold, begun, value));
    }
    After::Value(answer(|py| {
        // SAFETY: a new reference that the callee gave us.
        let value = unsafe { Bound::from_owned_ptr(py, value) };
        if let Success::Announced(record) = success.0 {
            globals.names.emit.call1(py, (record,))?;
        }
        wake(py, globals, success.1)?;
        Ok(value.unbind())
    }))
}

/// The first attempt has ended, and not plainly. `value` is given away, or null with the error set.
#[cold]
pub(super) fn ended(running: &Running, hold: &Hold, begun: &Begun, value: *mut PyObject) -> After {
    let (value, collected) = step_out(running, value);
    let Some(grip) = hold.grip.as_ref().filter(|_| !value.is_null() && !collected) else {
        return After::Driver(resume(running, hold, begun, value));
    };
    match quick::succeed(grip, begun) {
        (Success::Recorded, None) => After::Value(value),
        (Success::Machine, _) => After::Driver(resume(running, hold, begun, value)),
        success => told(running, hold, begun, value, success),
    }
}

/// The first attempt has ended after a limit of time had passed. `value` is given away, or null with the error set.
#[cold]
pub(super) fn cut(running: &Running, value: *mut PyObject) -> After {
    let (value, _) = step_out(running, value);
    let (machine, ops) = (running.limited.machine.get(), running.limited.ops.get());
    After::Driver(answer(|py| {
        // SAFETY: null, or owned by the call. `value` is ours.
        let (value, call, ops) = unsafe {
            (
                Bound::from_owned_ptr_or_opt(py, value),
                Bound::from_borrowed_ptr_or_err(py, machine)?,
                Bound::from_borrowed_ptr_or_err(py, ops)?,
            )
        };
        let (is_value, outcome) = told_apart(py, value.ok_or_else(|| PyErr::fetch(py)));
        go_on(py, running, call, is_value, outcome, ops)
    }))
}

/// Takes back what the context said of the call. Gives the value, or null with the error set, and whether letters were written inside.
fn step_out(running: &Running, mut value: *mut PyObject) -> (*mut PyObject, bool) {
    let globals = running.function().globals;
    let mut collected = false;
    Python::attach(|py| {
        let mut error = value.is_null().then(|| PyErr::fetch(py));
        // SAFETY: null, or owned by the call.
        if let Some(real) = unsafe { Bound::from_borrowed_ptr_or_opt(py, running.real.get()) } {
            match leave(py, globals, &real) {
                Ok(has_letters) => collected = has_letters,
                Err(stop) => {
                    // SAFETY: what the callee gave is ours, and nobody gets it any more.
                    drop(unsafe { Bound::from_owned_ptr_or_opt(py, core::mem::replace(&mut value, null_mut())) });
                    error = Some(stop);
                }
            }
        }
        globals.take_back(running.token.get());
        if let Some(error) = error {
            error.restore(py);
        }
    });
    (value, collected)
}

/// The driver's coroutine, with the first attempt ended. `value` is given away, or null with the error set.
fn resume(running: &Running, hold: &Hold, begun: &Begun, value: *mut PyObject) -> *mut PyObject {
    answer(|py| {
        // SAFETY: as said.
        let value = unsafe { Bound::from_owned_ptr_or_opt(py, value) };
        let outcome = value.ok_or_else(|| PyErr::fetch(py));
        let Some(grip) = &hold.grip else { return outcome.map(Bound::unbind) };
        let (call, is_value, outcome) = hand_over(py, grip, begun, 0, outcome)?;
        go_on(py, running, call.into_bound(py).into_any(), is_value, outcome, py.None().into_bound(py))
    })
}

/// The driver's coroutine. `ops`: what the machine wanted done when a limit had passed; else `None`.
fn go_on<'py>(
    py: Python<'py>,
    running: &Running,
    call: Bound<'py, PyAny>,
    is_value: bool,
    outcome: Bound<'py, PyAny>,
    ops: Bound<'py, PyAny>,
) -> PyResult<Py<PyAny>> {
    let guarded = running.function();
    let [written, view, function] = parts(py, guarded)?;
    let (args, kwargs) = arguments_of(py, running)?;
    // SAFETY: null, or owned by the call.
    let real = unsafe { Bound::from_borrowed_ptr_or_opt(py, running.real.get()) }.unwrap_or_else(|| py.None().into_bound(py));
    guarded.globals.names.aresume.call1(py, (written, view, function, call, real, is_value, outcome, args, kwargs, ops))
}

/// Sets the error that `throw(…)` was called with.
pub(super) fn raise(args: *mut PyObject) {
    Python::attach(|py| {
        // SAFETY: the tuple of a call under way.
        let args = unsafe { Bound::from_borrowed_ptr(py, args) };
        let raised = args.get_item(0).and_then(|first| {
            let value = if first.is_instance_of::<PyType>() { made(&first, &args)? } else { first };
            Ok(PyErr::from_value(value))
        });
        raised.unwrap_or_else(|error| error).restore(py);
    });
}

/// The exception of a class and, in the old form of `throw`, its value.
fn made<'py>(class: &Bound<'py, PyAny>, args: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match args.get_item(1) {
        Ok(value) if value.is_instance(class)? => Ok(value),
        Ok(value) if !value.is_none() => class.call1((value,)),
        _ => class.call0(),
    }
}

/// Throws into an awaitable, in whichever form: what came, as a send gives it.
pub(super) fn throw(inner: *mut PyObject, args: *mut PyObject) -> (PySendResult, *mut PyObject) {
    Python::attach(|py| {
        // SAFETY: both are owned by a call under way.
        let (inner, arguments) = unsafe { (Bound::from_borrowed_ptr(py, inner), Bound::from_borrowed_ptr(py, args)) };
        thrown_into(&inner, &arguments).unwrap_or_else(|| {
            raise(args);
            (PySendResult::PYGEN_ERROR, null_mut())
        })
    })
}

/// Throws the error that is set.
pub(super) fn throw_set(inner: *mut PyObject) -> (PySendResult, *mut PyObject) {
    Python::attach(|py| {
        let error = PyErr::fetch(py);
        // SAFETY: owned by a call under way.
        let inner = unsafe { Bound::from_borrowed_ptr(py, inner) };
        let thrown = PyTuple::new(py, [error.value(py)]).ok().and_then(|arguments| thrown_into(&inner, arguments.as_any()));
        thrown.unwrap_or_else(|| {
            error.restore(py);
            (PySendResult::PYGEN_ERROR, null_mut())
        })
    })
}

/// What came of it; `None` if the awaitable has no `throw`.
fn thrown_into(inner: &Bound<'_, PyAny>, arguments: &Bound<'_, PyAny>) -> Option<(PySendResult, *mut PyObject)> {
    let py = inner.py();
    let method = inner.getattr("throw").ok()?;
    let thrown = arguments.cast::<PyTuple>().map_err(PyErr::from).and_then(|arguments| method.call1(arguments));
    let error = match thrown {
        Ok(value) => return Some((PySendResult::PYGEN_NEXT, value.into_ptr())),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => match stop.value(py).getattr("value") {
            Ok(value) => return Some((PySendResult::PYGEN_RETURN, value.into_ptr())),
            Err(error) => error,
        },
        Err(error) => error,
    };
    error.restore(py);
    Some((PySendResult::PYGEN_ERROR, null_mut()))
}

/// Warns as Python does of a coroutine that nobody awaited.
pub(super) fn never_awaited(running: &Running) {
    Python::attach(|py| {
        let before = PyErr::take(py);
        // SAFETY: owned by the call, or null once it was taken apart.
        if let Some(guarded) = unsafe { Bound::from_borrowed_ptr_or_opt(py, running.guarded.get()) } {
            let name = guarded.getattr("__qualname__").and_then(|name| name.extract::<String>()).unwrap_or_default();
            let text = format!("coroutine '{name}' was never awaited");
            let warning = py.get_type::<PyRuntimeWarning>();
            if let Err(error) = py.import("warnings").and_then(|warnings| warnings.call_method1("warn", (text, warning))) {
                error.write_unraisable(py, Some(&guarded));
            }
        }
        if let Some(before) = before {
            before.restore(py);
        }
    });
}

/// Runs what may fail where nobody listens.
pub(super) fn unraisable(me: *mut PyObject, work: impl FnOnce() -> *mut PyObject) {
    Python::attach(|py| {
        let before = PyErr::take(py);
        // SAFETY: null with the error set, or a new reference.
        if unsafe { Bound::from_owned_ptr_or_opt(py, work()) }.is_none() {
            // SAFETY: alive for as long as its finalizer runs.
            let me = unsafe { Bound::from_borrowed_ptr(py, me) };
            PyErr::fetch(py).write_unraisable(py, Some(&me));
        }
        if let Some(before) = before {
            before.restore(py);
        }
    });
}

/// Says for real, in the context, what the calls under way have left unsaid: the async one that the context speaks of, and those of this
/// thread that began later.
pub(super) fn settle(found: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(globals) = globals::get() else { return Ok(()) };
    let py = found.py();
    let mut serial = 0;
    if let Some(running) = running::of(found) {
        serial = running.serial.get();
        let real = real_of(globals, found, None)?;
        globals.names.again.call1(py, (real,))?;
    } else if let Ok(said) = found.cast::<PyTuple>() {
        serial = said.get_item(0)?.extract()?;
    }
    for (at, frame) in frames::that_began_after(serial) {
        let real = if frame.real.is_null() {
            let real = globals.names.enter.call1(py, (frame.retries, frame.slot, py.None(), frame.due))?.into_bound(py);
            if frames::note(at, real.as_ptr()) {
                // The frame owns this one from here on.
                let _ = real.clone().into_ptr();
            }
            real
        } else {
            // SAFETY: owned by the frame, whose call is under way on this very thread.
            unsafe { Bound::from_borrowed_ptr(py, frame.real) }
        };
        globals.names.again.call1(py, (real,))?;
    }
    Ok(())
}

/// What is said for real of an async call: what the context said before it, and the call itself. `context`: that of its task, for whoever asks
/// from elsewhere.
pub(super) fn real_of<'py>(
    globals: &Globals,
    found: &Bound<'py, PyAny>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = found.py();
    let Some(running) = running::of(found) else { return Ok(found.clone()) };
    // SAFETY: null, or owned by the call.
    let (real, token) = unsafe {
        (
            Bound::<PyAny>::from_borrowed_ptr_or_opt(py, running.real.get()),
            Bound::<PyAny>::from_borrowed_ptr_or_opt(py, running.token.get()),
        )
    };
    if let Some(real) = real {
        return Ok(real);
    }
    let outer = match token {
        Some(token) => real_of(globals, &token.getattr("old_value")?, context)?,
        None => py.None().into_bound(py),
    };
    let (enter, due) = (globals.names.enter.bind(py), running.limited.due.get());
    let real = match context {
        None => enter.call1((running.retries.get(), running.slot.get(), outer, due))?,
        Some(context) => context.call_method1("run", (enter, running.retries.get(), running.slot.get(), outer, due))?,
    };
    if running.real.get().is_null() {
        // The call owns this one from here on.
        running.real.set(real.clone().into_ptr());
    }
    Ok(real)
}
