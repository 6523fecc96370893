//! The call: one vectorcall in, one out, and in between the whole policy. Nothing is allocated and the interpreter's lock is not let go.

use core::ffi::c_int;
use core::ptr::null_mut;
use std::rc::Rc;

use pyo3::ffi::{self, PyObject};
use seawall_runtime::quick::{self, Begun, Start, Success};

use super::cold::{self, Arguments};
use super::frames::{self, Frame};
use super::globals;
use super::guarded::{Guarded, Hold};
use super::{refusal, running};

/// The vectorcall of a guarded function.
///
/// # Safety
/// For the interpreter alone: `me` is a guarded function, `args` and `names` follow the vectorcall protocol.
pub(super) unsafe extern "C" fn call(me: *mut PyObject, args: *const *mut PyObject, nargsf: usize, names: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller holds a reference to `me` for as long as the call lasts.
    let guarded = unsafe { &*me.cast::<Guarded>() };
    let arguments = Arguments { args, nargsf, names };
    let shared = guarded.globals;
    let Some(hold) = current(guarded) else { return cold::slow(guarded, arguments) };
    let Some(grip) = &hold.grip else { return cold::slow(guarded, arguments) };
    if shared.has_deadline() {
        return cold::slow(guarded, arguments);
    }
    let mut begun = Begun::nothing();
    match quick::begin(grip, &mut begun, || refusal::is_quiet(shared)) {
        Start::Begun => {}
        Start::Refused(refused) => return refusal::raise(guarded, &hold, grip, refused),
        Start::Slow => return cold::slow(guarded, arguments),
    }
    let engine = grip.engine();
    let slot = if engine.bulkhead.is_some() { grip.slot() as i64 } else { -1 };
    let frame = Frame { serial: globals::next_serial(), retries: engine.retry.is_some(), slot, due: begun.due(), real: null_mut() };
    // SAFETY: the function is owned by `me`, and the arguments are what came in, flag included: they are ours to lend for as long as they are lent to us.
    let lend = || unsafe { (shared.symbols.vectorcall)(guarded.function, args, nargsf, names) };
    let (value, real) = if frame.due == 0 { frames::during(frame, lend) } else { limited(frame, lend) };
    if !value.is_null() && real.is_null() && !may_be_awaitable(value) {
        match quick::succeed(grip, &begun) {
            (Success::Recorded, None) => return value,
            (success, ticket) => return cold::told(guarded, &hold, arguments, &begun, value, success, ticket),
        }
    }
    cold::ended(guarded, &hold, arguments, &begun, real, value)
}

/// The same for a call that has a limit of time, which calls inside of it must not outlast.
fn limited(frame: Frame, lend: impl Fn() -> *mut PyObject) -> (*mut PyObject, *mut PyObject) {
    globals::limit_comes();
    let ended = frames::during(frame, lend);
    globals::limit_goes();
    ended
}

/// `guarded.__call__(…)`: the calls that the interpreter itself makes take the vectorcall.
///
/// # Safety
/// For the interpreter alone.
pub(super) unsafe extern "C" fn call_with_tuple(me: *mut PyObject, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller holds a reference to each of the three for as long as the call lasts; those given away are new.
    unsafe {
        let guarded = &*me.cast::<Guarded>();
        if !guarded.is_async {
            return cold::slow_with_tuple(guarded, args, kwargs);
        }
        ffi::Py_INCREF(args);
        ffi::Py_XINCREF(kwargs);
        running::make(me, args, kwargs)
    }
}

/// The hold, if nothing has changed since it was taken. A count of its own: the callee may have it replaced.
#[inline]
pub(super) fn current(guarded: &Guarded) -> Option<Rc<Hold>> {
    let hold = guarded.hold.get();
    // SAFETY: null, or what `into_raw` gave, and the cell holds a count of it.
    let held = unsafe { hold.as_ref() };
    let is_current = held.is_some_and(|hold| hold.epoch == globals::epoch() && guarded.globals.is_settled() && is_as_it_was(hold));
    if !is_current {
        return cold::renewed(guarded);
    }
    // SAFETY: as above; the count that is added is the one given out.
    unsafe {
        Rc::increment_strong_count(hold);
        Some(Rc::from_raw(hold))
    }
}

#[inline]
pub(super) fn is_as_it_was(hold: &Hold) -> bool {
    match (&hold.grip, &hold.unfit) {
        (Some(grip), _) => grip.is_current(),
        (None, Some((policy, Some(changes)))) => seawall_runtime::Grip::is_unfit(policy, *changes),
        (None, Some((_, None))) => false,
        (None, None) => true,
    }
}

/// Whether a value could be awaited, or only the package can tell: a type that has an `__await__`, or a generator, which may be marked.
#[inline]
fn may_be_awaitable(value: *mut PyObject) -> bool {
    // SAFETY: `value` is alive, and its type with it. The types named are static; slots of every type may be asked for from 3.10 on.
    unsafe {
        let kind = ffi::Py_TYPE(value);
        if value == ffi::Py_None()
            || kind == &raw mut ffi::PyLong_Type
            || kind == &raw mut ffi::PyUnicode_Type
            || kind == &raw mut ffi::PyDict_Type
            || kind == &raw mut ffi::PyList_Type
            || kind == &raw mut ffi::PyTuple_Type
        {
            return false;
        }
        let has = |slot: c_int| !ffi::PyType_GetSlot(kind, slot).is_null();
        has(ffi::Py_am_await) || has(ffi::Py_tp_iternext)
    }
}
