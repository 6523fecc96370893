//! Limits of time of async calls on the fast path.
//!
//! | the call | costs |
//! |---|---|
//! | ends before it is ever suspended | two looks at the clock |
//! | is suspended, and ends in time | a place in a list (`lanes.rs`) |
//! | outlasts a limit | it is put into the machine, which is told; its task is cancelled; what is left is the driver's once the callee has cleaned up |
//!
//! That is what the driver does with an attempt of its own: the vote is cast when the limit passes, the caller hears of it when the callee is done, and
//! the driver tells our cancellation from the caller's.

use core::ptr::null_mut;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::PyReferenceError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use seawall_runtime::{Grip, clock, quick};

use super::globals::{self, Globals};
use super::lanes::{self, Place};
use super::later;
use super::running::{self, Running};
use crate::call::Call;

const MS: u64 = 1_000_000;
/// Reasons of timers, as the machine numbers them.
const ATTEMPT: u32 = 2;
const TOTAL: u32 = 3;

/// What an async call knows of its limits. All objects are owned, or null.
#[repr(C)]
pub(super) struct Limited {
    /// When the nearest passes that has not come yet; 0 if there never was any.
    pub(super) due: Cell<u64>,
    /// Where it waits for that.
    place: Cell<Option<Place>>,
    /// The same in virtual time: the number of a timer.
    timer: Cell<*mut PyObject>,
    is_watched: Cell<bool>,
    /// The task that it was first suspended in, and its context then.
    task: Cell<*mut PyObject>,
    context: Cell<*mut PyObject>,
    /// The call in the machine once a limit came, and what the machine wants done.
    pub(super) machine: Cell<*mut PyObject>,
    pub(super) ops: Cell<*mut PyObject>,
}

impl Limited {
    pub(super) fn nothing() -> Self {
        let null = || Cell::new(null_mut());
        Self {
            due: Cell::new(0),
            place: Cell::new(None),
            timer: null(),
            is_watched: Cell::new(false),
            task: null(),
            context: null(),
            machine: null(),
            ops: null(),
        }
    }

    /// A call begins that has a limit.
    pub(super) fn begin(&self, due: u64) {
        self.due.set(due);
        globals::limit_comes();
    }

    /// Whether the call has yet to be watched, now that it is suspended.
    #[inline]
    pub(super) fn is_to_be_watched(&self) -> bool {
        self.due.get() != 0 && !self.is_watched.get()
    }

    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.get()
    }

    /// Whether a limit has come.
    #[inline]
    pub(super) fn is_cut(&self) -> bool {
        !self.machine.get().is_null()
    }

    pub(super) fn owned(&self) -> [*mut PyObject; 5] {
        [&self.timer, &self.task, &self.context, &self.machine, &self.ops].map(Cell::get)
    }

    /// Nobody comes for the call any more.
    #[inline]
    pub(super) fn leave(&self, me: usize) {
        if let Some(place) = self.place.take() {
            lanes::leave(place, me);
        }
        if !self.timer.get().is_null() {
            disarm(self.timer.replace(null_mut()));
        }
    }

    /// Lets go of all that it holds. What a context may still ask for stays.
    #[inline]
    pub(super) fn finish(&self, me: usize) {
        if !self.is_watched.get() {
            return;
        }
        self.leave(me);
        for field in [&self.task, &self.context, &self.machine, &self.ops] {
            // SAFETY: owned or null, and out of reach by now.
            unsafe { ffi::Py_XDECREF(field.replace(null_mut())) };
        }
    }

    /// Nobody knows the call any more.
    pub(super) fn forget(&self) {
        if self.due.replace(0) != 0 {
            globals::limit_goes();
        }
    }
}

/// Whether the call has limits and runs in trio: what cuts here is asyncio's, so there the driver does it. True with the error set if that
/// cannot be told.
#[inline]
pub(super) fn is_trios(globals: &Globals, grip: &Grip) -> bool {
    grip.limits().are_some() && globals::has_trio() && is_in_trio(globals)
}

#[cold]
fn is_in_trio(globals: &Globals) -> bool {
    Python::attach(|py| {
        let answer = globals.names.is_in_trio.call0(py).and_then(|answer| answer.is_truthy(py));
        answer.unwrap_or_else(|error| {
            error.restore(py);
            true
        })
    })
}

/// Takes a timer of virtual time back. The reference is given away.
#[cold]
fn disarm(timer: *mut PyObject) {
    let Some(globals) = globals::get() else { return };
    Python::attach(|py| {
        let before = PyErr::take(py);
        // SAFETY: owned, and given to us.
        let timer = unsafe { Bound::from_owned_ptr(py, timer) };
        if let Err(error) = globals.names.disarm.call1(py, (timer,)) {
            error.write_unraisable(py, None);
        }
        if let Some(before) = before {
            before.restore(py);
        }
    });
}

/// `_get_running_loop`, `current_task`, and what makes the error of a call outside of both.
static LOOP_FUNCTIONS: PyOnceLock<Functions> = PyOnceLock::new();

type Functions = (Py<PyAny>, Py<PyAny>, Py<PyAny>);

fn functions(py: Python<'_>) -> PyResult<&Functions> {
    let names = &globals::get().ok_or_else(|| PyReferenceError::new_err("no fast path"))?.names;
    LOOP_FUNCTIONS.get_or_try_init(py, || names.loop_functions.call0(py)?.extract(py))
}

/// The running loop; `None` outside of one.
fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    functions(py)?.0.bind(py).call0()
}

/// The running loop and the task in it; an error outside of one.
fn loop_and_task(py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    let (event_loop, (_, current_task, outside)) = (running_loop(py)?, functions(py)?);
    if !event_loop.is_none() {
        let task = current_task.bind(py).call1((&event_loop,))?;
        if !task.is_none() {
            return Ok((event_loop, task));
        }
    }
    Err(PyErr::from_value(outside.bind(py).call0()?))
}

/// The call is suspended for the first time: from here on a limit that passes cuts it. False with the error set if that cannot be.
#[cold]
#[inline(never)]
pub(super) fn watch(running: &Running, me: *mut PyObject) -> bool {
    running.limited.is_watched.set(true);
    Python::attach(|py| {
        let watched = loop_and_task(py).and_then(|(event_loop, task)| {
            let globals = running.function().globals;
            // SAFETY: takes nothing, and gives a new reference, or null with the error set.
            let context = unsafe { Bound::from_owned_ptr_or_err(py, (globals.symbols.context_copy)()) }?;
            running.limited.task.set(task.into_ptr());
            running.limited.context.set(context.into_ptr());
            let due = running.limited.due.get();
            wait(running, me, &event_loop, due.saturating_sub(running.started()))
        });
        watched.map_err(|error| error.restore(py)).is_ok()
    })
}

/// Has the call wait for the limit that is due next.
fn wait(running: &Running, me: *mut PyObject, event_loop: &Bound<'_, PyAny>, length: u64) -> PyResult<()> {
    let (py, limited, names) = (event_loop.py(), &running.limited, &running.function().globals.names);
    let due = limited.due.get();
    if clock::is_virtual() {
        // SAFETY: alive for the call.
        let me = unsafe { Bound::from_borrowed_ptr(py, me) };
        limited.timer.set(names.arm.call1(py, (me, left_ms(due)))?.into_ptr());
        return Ok(());
    }
    let (place, wants_alarm) = lanes::join(event_loop.as_ptr() as usize, length, due, me as usize);
    limited.place.set(Some(place));
    if wants_alarm { set_alarm(event_loop, lanes::table_of(place), due) } else { Ok(()) }
}

fn left_ms(due: u64) -> u64 {
    due.saturating_sub(clock::now()).div_ceil(MS)
}

/// What a loop calls when the earliest limit of its calls has passed.
#[pyclass(frozen, module = "seawall._native")]
pub(super) struct Alarm {
    table: u64,
    due: u64,
    /// `due`, in the timer's whole milliseconds. What falls due later, be it in this turn of the loop, waits for the next: a call that was woken
    /// in this turn and ends in time is first.
    moment: u64,
    has_come: AtomicBool,
}

fn set_alarm(event_loop: &Bound<'_, PyAny>, table: u64, due: u64) -> PyResult<()> {
    let py = event_loop.py();
    let Some(globals) = globals::get() else { return Ok(()) };
    let left_ms = left_ms(due);
    let moment = clock::now().saturating_add(left_ms.saturating_mul(MS));
    let alarm = Py::new(py, Alarm { table, due, moment, has_come: AtomicBool::new(false) })?;
    globals.names.alarm.call1(py, (event_loop, left_ms, alarm))?;
    Ok(())
}

#[pymethods]
impl Alarm {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // Relaxed: under the interpreter's lock.
        if self.has_come.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        lanes::alarm_goes(self.table, self.due);
        let moment = self.moment.min(clock::now());
        while let Some(address) = lanes::take(self.table, moment) {
            // SAFETY: a call leaves its list before its memory is given back, and the interpreter's lock has been held since it was taken from there.
            let call = unsafe { Bound::from_borrowed_ptr(py, address as *mut PyObject) };
            if let Err(error) = come(&call) {
                error.write_unraisable(py, Some(&call));
            }
        }
        match lanes::next_alarm(self.table) {
            Some(due) => set_alarm(&running_loop(py)?, self.table, due),
            None => Ok(()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if !*self.has_come.get_mut() {
            lanes::alarm_goes(self.table, self.due);
        }
        lanes::drop_if_unused(self.table);
    }
}

/// The timer of a call in virtual time.
#[pyfunction]
pub(super) fn fast_limit(call: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(running) = running::of(call) else { return Ok(()) };
    let timer = running.limited.timer.replace(null_mut());
    if timer.is_null() {
        // Taken back while its news was on the way to the loop.
        return Ok(());
    }
    // SAFETY: owned, and out of reach by now.
    unsafe { ffi::Py_DECREF(timer) };
    come(call)
}

/// A limit has passed, and the call waits.
fn come(call: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(running) = running::of(call) else { return Ok(()) };
    let (py, limited) = (call.py(), &running.limited);
    limited.place.set(None);
    // SAFETY: null, or from `into_raw`, and given back at the end of the attempt only.
    let Some(grip) = (unsafe { running.hold.get().as_ref() }).and_then(|hold| hold.grip.as_ref()) else { return Ok(()) };
    if let Some(begun) = running.begun.take() {
        let limits = grip.limits();
        // SAFETY: owned by the call, and set since it is watched.
        let (task, context) = unsafe {
            (Bound::from_borrowed_ptr_or_err(py, limited.task.get())?, Bound::from_borrowed_ptr_or_err(py, limited.context.get())?)
        };
        let real = later::real_of(running.function().globals, call, Some(&context))?;
        let machine = quick::resume(grip, &begun, 0);
        let machine = Bound::new(py, Call { inner: Mutex::new(machine) })?;
        let id: String = real.getattr("here")?.getattr("correlation_id")?.extract()?;
        machine.get().identify(&id);
        // Of two that pass in one moment the total is first.
        let of_attempt = limits.attempt.filter(|attempt| limits.total.is_none_or(|total| *attempt < total));
        let ops = match of_attempt {
            Some(_) => machine.get().timer(py, ATTEMPT, 1)?,
            None => machine.get().timer(py, TOTAL, 0)?,
        };
        limited.machine.set(machine.into_any().into_ptr());
        limited.ops.set(ops.into_any().into_ptr());
        task.call_method0("cancel")?;
        if let (Some(_), Some(total)) = (of_attempt, limits.total) {
            limited.due.set(begun.started().saturating_add(total));
            wait(running, call.as_ptr(), &running_loop(py)?, total)?;
        }
        return Ok(());
    }
    let (machine, ops) =
        // SAFETY: owned by the call since its first limit came, and null before.
        unsafe { (Bound::from_borrowed_ptr_or_opt(py, limited.machine.get()), Bound::from_borrowed_ptr_or_opt(py, limited.ops.get())) };
    if let (Some(machine), Some(ops)) = (machine, ops) {
        ops.cast::<PyList>()?.call_method1("extend", (machine.cast::<Call>()?.get().timer(py, TOTAL, 0)?,))?;
    }
    Ok(())
}
