//! What makes a `Running` a coroutine to Python: its type, `send`, `throw`, `close`, and what it awaits.

use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use core::ptr::null_mut;
use std::sync::atomic::Ordering;

use pyo3::ffi::{self, PyObject, PySendResult};
use pyo3::prelude::*;

use super::cold;
use super::globals::Globals;
use super::guarded::member;
use super::later;
use super::running::{self, Running, Stage, TYPE};

/// What a callee gave.
pub(super) enum Awaited {
    /// What can be sent to, owned.
    Inner(*mut PyObject),
    /// A plain value, owned.
    Plain(*mut PyObject),
    /// Asking raised.
    Failed,
}

/// What is to be sent to for a value that the callee gave.
///
/// # Safety
/// The reference to `value` is given away.
pub(super) unsafe fn iterator(globals: &Globals, value: *mut PyObject) -> Awaited {
    // SAFETY: `value` is alive until it is given back here; the slot, where there is one, is the function that the slot's number stands for.
    unsafe {
        let kind = ffi::Py_TYPE(value);
        if kind.cast() == globals.names.coroutine.as_ptr() || kind == TYPE.load(Ordering::Relaxed) {
            return Awaited::Inner(value);
        }
        let slot = ffi::PyType_GetSlot(kind, ffi::Py_am_await);
        if slot.is_null() {
            // A generator may be marked as a coroutine, which only the package can tell.
            return if cold::is_awaitable(globals, value) { Awaited::Inner(value) } else { Awaited::Plain(value) };
        }
        let inner = core::mem::transmute::<*mut c_void, ffi::unaryfunc>(slot)(value);
        ffi::Py_DECREF(value);
        if inner.is_null() { Awaited::Failed } else { Awaited::Inner(inner) }
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn itself(me: *mut PyObject) -> *mut PyObject {
    // SAFETY: borrowed for the call; the answer is a new reference.
    unsafe { ffi::Py_INCREF(me) };
    me
}

/// What a send came to, as an iterator tells it: a value, or null with `StopIteration` set; null alone stands for a return of `None`.
///
/// # Safety
/// `result` holds what came.
unsafe fn told(got: PySendResult, result: *mut PyObject, may_be_bare: bool) -> *mut PyObject {
    // SAFETY: `result` is owned where there is one.
    unsafe {
        if !matches!(got, PySendResult::PYGEN_RETURN) {
            return if matches!(got, PySendResult::PYGEN_NEXT) { result } else { null_mut() };
        }
        if !may_be_bare || result != ffi::Py_None() {
            // Made by a call, so that a value that is a tuple or an exception is not taken apart.
            let stop = ffi::PyObject_CallFunctionObjArgs(ffi::PyExc_StopIteration, result, null_mut::<PyObject>());
            if !stop.is_null() {
                ffi::PyErr_SetObject(ffi::PyExc_StopIteration, stop);
                ffi::Py_DECREF(stop);
            }
        }
        ffi::Py_DECREF(result);
        null_mut()
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn next(me: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `send`.
    unsafe {
        let mut result = null_mut();
        let got = running::send(me, ffi::Py_None(), &raw mut result);
        told(got, result, true)
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn send(me: *mut PyObject, value: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `running::send`.
    unsafe {
        let mut result = null_mut();
        let got = running::send(me, value, &raw mut result);
        told(got, result, false)
    }
}

/// Throws into whatever is awaited.
///
/// # Safety
/// `me` is a `Running`, `args` a tuple, `result` writable.
unsafe fn thrown(me: *mut PyObject, args: *mut PyObject, result: *mut *mut PyObject) -> PySendResult {
    // SAFETY: as promised; the inner awaitable is owned by `running` while it is busy.
    unsafe {
        *result = null_mut();
        let running = &*me.cast::<Running>();
        if let Err(refused) = running.enter(true) {
            return refused;
        }
        if running.stage.get() == Stage::New {
            later::raise(args);
            running.finish();
            return running::after(me, PySendResult::PYGEN_ERROR, result);
        }
        let (got, value) = later::throw(running.inner.get(), args);
        *result = value;
        running::after(me, got, result)
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn throw(me: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    // SAFETY: as for `thrown`.
    unsafe {
        let mut result = null_mut();
        let got = thrown(me, args, &raw mut result);
        told(got, result, false)
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn close(me: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: `me` is a `Running`; the tuple is ours and given back.
    unsafe {
        let running = &*me.cast::<Running>();
        if matches!(running.stage.get(), Stage::New | Stage::Done) {
            running.finish();
            ffi::Py_INCREF(ffi::Py_None());
            return ffi::Py_None();
        }
        let args = ffi::PyTuple_New(1);
        if args.is_null() {
            return null_mut();
        }
        ffi::Py_INCREF(ffi::PyExc_GeneratorExit);
        ffi::PyTuple_SetItem(args, 0, ffi::PyExc_GeneratorExit);
        let mut result = null_mut();
        let got = thrown(me, args, &raw mut result);
        ffi::Py_DECREF(args);
        ffi::Py_XDECREF(result);
        match got {
            PySendResult::PYGEN_NEXT => {
                ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"coroutine ignored GeneratorExit".as_ptr());
                return null_mut();
            }
            PySendResult::PYGEN_ERROR if ffi::PyErr_ExceptionMatches(ffi::PyExc_GeneratorExit) == 0 => return null_mut(),
            _ => ffi::PyErr_Clear(),
        }
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// Nobody will await it any more.
///
/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn finalize(me: *mut PyObject) {
    // SAFETY: `me` is a `Running` with one reference left, our caller's. An error that is set meanwhile is not ours and stays.
    unsafe {
        let running = &*me.cast::<Running>();
        match running.stage.get() {
            Stage::Done => {}
            Stage::New => later::never_awaited(running),
            _ => later::unraisable(me, || close(me, null_mut())),
        }
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn name(me: *mut PyObject, which: *mut c_void) -> *mut PyObject {
    // SAFETY: the guarded function is owned by `me`, and the closure is the name of one of its attributes.
    unsafe { ffi::PyObject_GetAttrString((*me.cast::<Running>()).guarded.get(), which.cast()) }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn repr(me: *mut PyObject) -> *mut PyObject {
    // SAFETY: the guarded function is owned by `me`, or null once that was taken apart.
    unsafe {
        let guarded = (*me.cast::<Running>()).guarded.get();
        ffi::PyUnicode_FromFormat(c"<coroutine of %R>".as_ptr(), if guarded.is_null() { ffi::Py_None() } else { guarded })
    }
}

/// What debuggers and schedulers ask of a coroutine, as the inner one answers; `None` where there is none.
///
/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn of_inner(me: *mut PyObject, which: *mut c_void) -> *mut PyObject {
    // SAFETY: the inner awaitable is owned by `me` or null, and the closure is the name of an attribute.
    unsafe {
        let inner = (*me.cast::<Running>()).inner.get();
        let mut found = null_mut();
        if !inner.is_null() {
            found = ffi::PyObject_GetAttrString(inner, which.cast());
        }
        if found.is_null() {
            ffi::PyErr_Clear();
            found = ffi::Py_None();
            ffi::Py_INCREF(found);
        }
        found
    }
}

/// Makes the type, once. What the interpreter keeps a pointer to is leaked for it.
pub(super) fn make_type(py: Python<'_>) -> PyResult<()> {
    if !TYPE.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    let members: &'static mut [ffi::PyMemberDef] =
        Box::leak(Box::new([member(c"__weaklistoffset__", offset_of!(Running, weak)), ffi::PyMemberDef::default()]));
    let getter = |of: &'static core::ffi::CStr, get: ffi::getter| ffi::PyGetSetDef {
        name: of.as_ptr(),
        get: Some(get),
        set: None,
        doc: core::ptr::null(),
        closure: of.as_ptr().cast_mut().cast(),
    };
    let getters: &'static mut [ffi::PyGetSetDef] = Box::leak(Box::new([
        getter(c"__name__", name),
        getter(c"__qualname__", name),
        getter(c"cr_await", of_inner),
        getter(c"cr_code", of_inner),
        getter(c"cr_frame", of_inner),
        getter(c"cr_running", of_inner),
        ffi::PyGetSetDef::default(),
    ]));
    let method = |name: &'static core::ffi::CStr, function: ffi::PyCFunction, flags: c_int| ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: core::ptr::null(),
    };
    let methods: &'static mut [ffi::PyMethodDef] = Box::leak(Box::new([
        method(c"send", send, ffi::METH_O),
        method(c"throw", throw, ffi::METH_VARARGS),
        method(c"close", close, ffi::METH_NOARGS),
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, running::dealloc as *mut c_void),
        slot(ffi::Py_tp_finalize, finalize as *mut c_void),
        slot(ffi::Py_tp_traverse, running::traverse as *mut c_void),
        slot(ffi::Py_tp_clear, running::clear as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_send, running::send as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, getters.as_mut_ptr().cast()),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(0, null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"seawall._native.Running".as_ptr(),
        basicsize: size_of::<Running>() as c_int,
        itemsize: 0,
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots are read during the call only; what stays referred to was leaked above.
    let made = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    if made.is_null() {
        return Err(PyErr::fetch(py));
    }
    TYPE.store(made.cast(), Ordering::Relaxed);
    Ok(())
}
