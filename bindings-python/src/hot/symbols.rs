//! What every supported CPython exports and the stable ABI of 3.10 does not list, looked up when the module is loaded.
//!
//! Looked up, and not linked, because `PyObject_Vectorcall` is a function from 3.11 on only: a module that links it does not load in 3.10. There its
//! sister with a dictionary stands in. Interpreters that export neither, and systems without `dlsym`, have no fast path.

use core::ffi::{c_int, c_void};
use std::sync::OnceLock;

use pyo3::ffi::{self, PyObject};

pub(super) type Vectorcall = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject;
pub(super) type ContextSet = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;
pub(super) type ContextReset = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> c_int;
pub(super) type ContextCopy = unsafe extern "C" fn() -> *mut PyObject;
pub(super) type Finalize = unsafe extern "C" fn(*mut PyObject) -> c_int;
pub(super) type ContextGet = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> c_int;

/// The flag beside the number of arguments.
pub(super) const OFFSET: usize = 1 << (usize::BITS - 1);

#[derive(Clone, Copy)]
pub(super) struct Symbols {
    pub(super) vectorcall: Vectorcall,
    pub(super) context_get: ContextGet,
    pub(super) context_set: ContextSet,
    pub(super) context_reset: ContextReset,
    pub(super) context_copy: ContextCopy,
    pub(super) finalize: Finalize,
}

static BY_DICT: OnceLock<Vectorcall> = OnceLock::new();

/// All of them, or none.
pub(super) fn find() -> Option<Symbols> {
    let context_get = address(c"PyContextVar_Get")?;
    // SAFETY: the interpreter's header declares `int PyContextVar_Get(PyObject *, PyObject *, PyObject **)`, the same since 3.7.
    let context_get = unsafe { core::mem::transmute::<*mut c_void, ContextGet>(context_get) };
    let (context_set, context_reset) = (address(c"PyContextVar_Set")?, address(c"PyContextVar_Reset")?);
    // SAFETY: `PyObject *PyContextVar_Set(PyObject *, PyObject *)` and `int PyContextVar_Reset(PyObject *, PyObject *)`, likewise.
    let (context_set, context_reset) = unsafe {
        (core::mem::transmute::<*mut c_void, ContextSet>(context_set), core::mem::transmute::<*mut c_void, ContextReset>(context_reset))
    };
    let context_copy = address(c"PyContext_CopyCurrent")?;
    // SAFETY: `PyObject *PyContext_CopyCurrent(void)`, likewise.
    let context_copy = unsafe { core::mem::transmute::<*mut c_void, ContextCopy>(context_copy) };
    let finalize = address(c"PyObject_CallFinalizerFromDealloc")?;
    // SAFETY: `int PyObject_CallFinalizerFromDealloc(PyObject *)`, the same since 3.4.
    let finalize = unsafe { core::mem::transmute::<*mut c_void, Finalize>(finalize) };
    let vectorcall = match address(c"PyObject_Vectorcall") {
        // SAFETY: `PyObject *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *)`, the same since 3.9.
        Some(found) => unsafe { core::mem::transmute::<*mut c_void, Vectorcall>(found) },
        None => {
            let found = address(c"PyObject_VectorcallDict")?;
            // SAFETY: the same signature with a dictionary in the last place, since 3.9.
            BY_DICT.get_or_init(|| unsafe { core::mem::transmute::<*mut c_void, Vectorcall>(found) });
            by_dict
        }
    };
    Some(Symbols { vectorcall, context_get, context_set, context_reset, context_copy, finalize })
}

#[cfg(unix)]
fn address(name: &core::ffi::CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero, and the handle stands for what the process has loaded, the interpreter among it.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

#[cfg(not(unix))]
fn address(_name: &core::ffi::CStr) -> Option<*mut c_void> {
    None
}

/// `PyObject_Vectorcall` where there is none: keywords as a dictionary.
///
/// # Safety
/// As for a vectorcall.
unsafe extern "C" fn by_dict(callable: *mut PyObject, args: *const *mut PyObject, nargsf: usize, names: *mut PyObject) -> *mut PyObject {
    let Some(call) = BY_DICT.get() else { return core::ptr::null_mut() };
    if names.is_null() {
        // SAFETY: what came in goes out.
        return unsafe { call(callable, args, nargsf, names) };
    }
    // SAFETY: `names` is a tuple of as many names as there are values behind the positional arguments, all of them borrowed for the call. The
    // dictionary is ours and given back. Without memory the call fails with the interpreter's own error.
    unsafe {
        let dict = ffi::PyDict_New();
        if dict.is_null() {
            return dict;
        }
        let count = nargsf & !OFFSET;
        for at in 0..ffi::PyTuple_Size(names) {
            let value = *args.add(count + at as usize);
            if ffi::PyDict_SetItem(dict, ffi::PyTuple_GetItem(names, at), value) < 0 {
                ffi::Py_DECREF(dict);
                return core::ptr::null_mut();
            }
        }
        let result = call(callable, args, nargsf, dict);
        ffi::Py_DECREF(dict);
        result
    }
}
