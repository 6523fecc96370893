//! The type of guarded functions: what it holds, how it is made and unmade, and how it binds to an instance.

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;
use core::ptr::null_mut;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use seawall_runtime::{Grip, Policy};

use super::globals::{self, Globals, TYPE};
use super::refusal::Template;
use super::{call, running};

/// What calls hold on to: the policy's words, for as long as nothing has changed.
pub(super) struct Hold {
    /// The epoch that it was taken in.
    pub(super) epoch: u64,
    pub(super) grip: Option<Grip>,
    /// Without a grip: the policy, and the number of changes that left it unfit, if that lasts.
    pub(super) unfit: Option<(Arc<Policy>, Option<u64>)>,
    /// What the last refusals share.
    pub(super) template: Cell<Option<Template>>,
}

/// A guarded function, as the interpreter sees it.
#[repr(C)]
pub(super) struct Guarded {
    base: PyObject,
    vectorcall: ffi::vectorcallfunc,
    dict: *mut PyObject,
    weak: *mut PyObject,
    /// Owned; null once the collector has cleared it.
    pub(super) function: *mut PyObject,
    /// The policy as written, and what `using()` set. Owned, and null likewise.
    pub(super) written: *mut PyObject,
    pub(super) view: *mut PyObject,
    /// From `Rc::into_raw`, or null. The counts of an `Rc` are no atomics: the interpreter's lock guards them.
    pub(super) hold: Cell<*const Hold>,
    pub(super) globals: &'static Globals,
    pub(super) is_async: bool,
}

const FLAG_VECTORCALL: u32 = 1 << 11;

/// A new guarded function.
pub(super) fn new<'py>(
    function: &Bound<'py, PyAny>,
    written: &Bound<'py, PyAny>,
    view: &Bound<'py, PyAny>,
    is_async: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let (made_of, globals) = (TYPE.load(Ordering::Relaxed), globals::get());
    let (false, Some(globals)) = (made_of.is_null(), globals) else { return Err(PyRuntimeError::new_err("no fast path here")) };
    let vectorcall: ffi::vectorcallfunc = if is_async { running::start } else { call::call };
    // SAFETY: the type is ours and has the size of `Guarded`; its memory comes zeroed, and every field that zero does not suit is written
    // before anybody else sees the object. The collector, which may see it at once, takes null for nothing.
    unsafe {
        let made = ffi::PyType_GenericAlloc(made_of, 0);
        if made.is_null() {
            return Err(PyErr::fetch(function.py()));
        }
        let guarded = made.cast::<Guarded>();
        (&raw mut (*guarded).vectorcall).write(vectorcall);
        (*guarded).is_async = is_async;
        (&raw mut (*guarded).globals).write(globals);
        (&raw mut (*guarded).hold).write(Cell::new(core::ptr::null()));
        (*guarded).function = function.clone().into_ptr();
        (*guarded).written = written.clone().into_ptr();
        (*guarded).view = view.clone().into_ptr();
        Ok(Bound::from_owned_ptr(function.py(), made))
    }
}

/// Puts another hold in the place of the one before. Calls under way keep theirs.
pub(super) fn renew(guarded: &Guarded, hold: Option<Hold>) {
    let before = guarded.hold.replace(hold.map_or(core::ptr::null(), |hold| Rc::into_raw(Rc::new(hold))));
    if !before.is_null() {
        // SAFETY: what lies in the cell came from `into_raw`, and nobody else gives this count back.
        drop(unsafe { Rc::from_raw(before) });
    }
}

/// # Safety
/// For the interpreter alone, with an object of this type.
unsafe extern "C" fn traverse(me: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: `me` is a `Guarded`; what it owns is visited once each, the heap type included, and nothing is called but `visit`.
    unsafe {
        let guarded = &*me.cast::<Guarded>();
        let owned = [ffi::Py_TYPE(me).cast(), guarded.dict, guarded.function, guarded.written, guarded.view];
        for object in owned.into_iter().filter(|object: &*mut PyObject| !object.is_null()) {
            let stop = visit(object, arg);
            if stop != 0 {
                return stop;
            }
        }
    }
    0
}

/// # Safety
/// For the interpreter alone, with an object of this type.
unsafe extern "C" fn clear(me: *mut PyObject) -> c_int {
    // SAFETY: `me` is a `Guarded` that nobody calls any more: whoever calls holds a reference that the collector has seen. Each field is null
    // before its object is let go, which may run code that comes back here.
    unsafe {
        let guarded = me.cast::<Guarded>();
        renew(&*guarded, None);
        for field in [&raw mut (*guarded).dict, &raw mut (*guarded).function, &raw mut (*guarded).written, &raw mut (*guarded).view] {
            let before = field.replace(null_mut());
            ffi::Py_XDECREF(before);
        }
    }
    0
}

/// # Safety
/// For the interpreter alone, with an object of this type whose last reference is gone.
unsafe extern "C" fn dealloc(me: *mut PyObject) {
    // SAFETY: in the order that the interpreter asks for: out of the collector's sight, weak references told, fields let go, memory freed by
    // the type's own function, and then the reference that each instance of a heap type holds to it.
    unsafe {
        ffi::PyObject_GC_UnTrack(me.cast());
        if !(*me.cast::<Guarded>()).weak.is_null() {
            ffi::PyObject_ClearWeakRefs(me);
        }
        clear(me);
        let kind = ffi::Py_TYPE(me);
        let free = ffi::PyType_GetSlot(kind, ffi::Py_tp_free);
        if !free.is_null() {
            core::mem::transmute::<*mut c_void, ffi::freefunc>(free)(me.cast());
        }
        ffi::Py_DECREF(kind.cast());
    }
}

/// Binds to an instance; on the class itself it stays what it is. `o.m()` does without: the interpreter calls a method descriptor directly.
///
/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn bind(me: *mut PyObject, instance: *mut PyObject, _owner: *mut PyObject) -> *mut PyObject {
    // SAFETY: all three are borrowed for the call, and the answer is a new reference either way.
    unsafe {
        if instance.is_null() || instance == ffi::Py_None() {
            ffi::Py_INCREF(me);
            return me;
        }
        let method = (*me.cast::<Guarded>()).globals.names.method.as_ptr();
        ffi::PyObject_CallFunctionObjArgs(method, me, instance, null_mut::<PyObject>())
    }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn reduce(me: *mut PyObject, _none: *mut PyObject) -> *mut PyObject {
    // SAFETY: a text is how an object is pickled and copied by name, as functions are; the answer is a new reference.
    unsafe { ffi::PyObject_GetAttrString(me, c"__qualname__".as_ptr()) }
}

/// # Safety
/// For the interpreter alone.
unsafe extern "C" fn repr(me: *mut PyObject) -> *mut PyObject {
    // SAFETY: the function is borrowed from the object, which is borrowed for the call.
    unsafe {
        let function = (*me.cast::<Guarded>()).function;
        ffi::PyUnicode_FromFormat(c"<guarded %R>".as_ptr(), if function.is_null() { ffi::Py_None() } else { function })
    }
}

pub(super) fn member(name: &'static core::ffi::CStr, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_PYSSIZET,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: core::ptr::null(),
    }
}

/// Makes the type, once. What the interpreter keeps a pointer to is leaked for it.
pub(super) fn make_type(py: Python<'_>) -> PyResult<()> {
    if !TYPE.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    let members: &'static mut [ffi::PyMemberDef] = Box::leak(Box::new([
        member(c"__vectorcalloffset__", offset_of!(Guarded, vectorcall)),
        member(c"__dictoffset__", offset_of!(Guarded, dict)),
        member(c"__weaklistoffset__", offset_of!(Guarded, weak)),
        ffi::PyMemberDef::default(),
    ]));
    let getters: &'static mut [ffi::PyGetSetDef] = Box::leak(Box::new([
        ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::PyObject_GenericGetDict),
            set: Some(ffi::PyObject_GenericSetDict),
            doc: core::ptr::null(),
            closure: null_mut(),
        },
        ffi::PyGetSetDef::default(),
    ]));
    let methods: &'static mut [ffi::PyMethodDef] = Box::leak(Box::new([
        ffi::PyMethodDef {
            ml_name: c"__reduce__".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: reduce },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: core::ptr::null(),
        },
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_call, call::call_with_tuple as *mut c_void),
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_getset, getters.as_mut_ptr().cast()),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(0, null_mut()),
    ];
    let flags =
        ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"seawall._native.Guarded".as_ptr().cast::<c_char>(),
        basicsize: size_of::<Guarded>() as c_int,
        itemsize: 0,
        flags: flags as u32 | FLAG_VECTORCALL,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec and its slots are read during the call only; what stays referred to was leaked above. Without BASETYPE nobody derives
    // from it, so every instance has exactly this layout.
    let made = unsafe { ffi::PyType_FromSpec(&raw mut spec) };
    if made.is_null() {
        return Err(PyErr::fetch(py));
    }
    TYPE.store(made.cast(), Ordering::Relaxed);
    Ok(())
}
