//! The error of a call that was turned away, made without the package: while a circuit stays open its errors differ in the time left alone, so what
//! they share is made once.

use core::ffi::c_void;
use core::ptr::null_mut;

use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use seawall_runtime::Grip;
use seawall_runtime::quick::Refused;

use super::cold;
use super::frames;
use super::globals::{self, Globals};
use super::guarded::{Guarded, Hold};

/// What the errors of one refusal share.
pub(super) struct Template {
    code: &'static str,
    trip: Option<(u32, u32)>,
    class: Py<PyAny>,
    args: Py<PyTuple>,
    fields: Py<PyDict>,
}

impl Template {
    fn make(py: Python<'_>, globals: &Globals, grip: &Grip, refused: &Refused) -> PyResult<Self> {
        let (failures, total) = refused.trip.unwrap_or_default();
        let parts = globals.names.refusal.call1(py, (grip.label(), refused.code, failures, total))?.into_bound(py);
        Ok(Self {
            code: refused.code,
            trip: refused.trip,
            class: parts.get_item(0)?.unbind(),
            args: parts.get_item(1)?.cast_into::<PyTuple>()?.unbind(),
            fields: parts.get_item(2)?.cast_into::<PyDict>()?.unbind(),
        })
    }

    /// The error, past its `__init__`, whose keywords would cost more than all the rest.
    fn error<'py>(&self, py: Python<'py>, fields: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let class = self.class.as_ptr();
        // SAFETY: the class is one of the package's, which derive from `Exception`, whose `tp_new` takes any tuple and no dictionary; the slot's number
        // stands for a function of this type. The fields become the error's own dictionary, which it takes a count of.
        unsafe {
            let new = ffi::PyType_GetSlot(class.cast(), ffi::Py_tp_new);
            let made = core::mem::transmute::<*mut c_void, ffi::newfunc>(new)(class.cast(), self.args.as_ptr(), null_mut());
            let made = Bound::from_owned_ptr_or_err(py, made)?;
            if ffi::PyObject_GenericSetDict(made.as_ptr(), fields.as_ptr(), null_mut()) < 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(made)
        }
    }
}

/// Raises the error: null, with the error set.
#[cold]
pub(super) fn raise(guarded: &Guarded, hold: &Hold, grip: &Grip, refused: Refused) -> *mut PyObject {
    cold::answer(|py| {
        let globals = guarded.globals;
        let fits = |template: &Template| template.code == refused.code && template.trip == refused.trip;
        let kept = hold.template.take().filter(fits);
        let template = kept.map_or_else(|| Template::make(py, globals, grip, &refused), Ok)?;
        let fields = template.fields.bind(py).copy()?;
        if let Some(ms) = refused.retry_after_ms {
            fields.set_item(&globals.names.retry_after, ms as f64 / 1000.0)?;
        }
        let is_unsaid = globals.says_nothing() && frames::are_none();
        if !is_unsaid {
            let identity = globals.names.identity.call0(py)?;
            if !identity.is_none(py) {
                fields.set_item(&globals.names.correlation_id, identity)?;
            }
        }
        let error = template.error(py, &fields)?;
        hold.template.set(Some(template));
        Err(PyErr::from_value(error))
    })
}

/// Whether nobody would hear of a rejection that repeats another. An error is left set.
pub(super) fn is_quiet(globals: &Globals) -> bool {
    if globals::has_hooks() {
        return false;
    }
    let names = &globals.names;
    // SAFETY: a call is made by a thread that holds the interpreter's lock.
    let is_enabled = match names.is_enabled(unsafe { Python::assume_attached() }) {
        Ok(found) => found,
        Err(error) => {
            // SAFETY: as above.
            error.restore(unsafe { Python::assume_attached() });
            return false;
        }
    };
    let args = [names.level.as_ptr()];
    // SAFETY: both are alive for good, and one positional argument is what the array holds.
    unsafe {
        let heard = (globals.symbols.vectorcall)(is_enabled.as_ptr(), args.as_ptr(), 1, null_mut());
        if heard.is_null() {
            return false;
        }
        ffi::Py_DECREF(heard);
        heard == ffi::Py_False()
    }
}
