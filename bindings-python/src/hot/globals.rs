//! What the calls of every guarded function share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use pyo3::exceptions::PyKeyError;
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::symbols::Symbols;
use super::{frames, running};

/// Functions and objects of the package, and functions of the interpreter.
pub(super) struct Globals {
    pub(super) symbols: Symbols,
    /// The context variables of the call and of the deadline, owned for good.
    pub(super) current: *mut PyObject,
    pub(super) deadline: *mut PyObject,
    correlation: *mut PyObject,
    /// What `current` says where nothing is said.
    nothing: *mut PyObject,
    /// `sys.modules`, owned for good.
    modules: *mut PyObject,
    pub(super) names: Names,
}

/// What the cold paths call; `_fast.py` says what each does.
pub(super) struct Names {
    pub(super) plan: Py<PyAny>,
    pub(super) run: Py<PyAny>,
    pub(super) resume: Py<PyAny>,
    pub(super) refusal: Py<PyAny>,
    pub(super) identity: Py<PyAny>,
    hearing: Py<PyAny>,
    is_enabled: OnceLock<Py<PyAny>>,
    pub(super) level: Py<PyAny>,
    pub(super) retry_after: Py<PyAny>,
    pub(super) correlation_id: Py<PyAny>,
    pub(super) is_awaitable: Py<PyAny>,
    pub(super) enter: Py<PyAny>,
    pub(super) again: Py<PyAny>,
    pub(super) leave: Py<PyAny>,
    pub(super) arun: Py<PyAny>,
    pub(super) aresume: Py<PyAny>,
    /// The type of native coroutines.
    pub(super) coroutine: Py<PyAny>,
    pub(super) emit: Py<PyAny>,
    pub(super) wake: Py<PyAny>,
    pub(super) method: Py<PyAny>,
    pub(super) loop_functions: Py<PyAny>,
    pub(super) is_in_trio: Py<PyAny>,
    pub(super) alarm: Py<PyAny>,
    pub(super) arm: Py<PyAny>,
    pub(super) disarm: Py<PyAny>,
}

impl Names {
    /// Whether the log is enabled for a level: a function that is asked for late, since the log takes long to import.
    pub(super) fn is_enabled(&self, py: Python<'_>) -> PyResult<&Py<PyAny>> {
        if let Some(found) = self.is_enabled.get() {
            return Ok(found);
        }
        let found = self.hearing.call0(py)?;
        Ok(self.is_enabled.get_or_init(|| found))
    }
}

// SAFETY: the pointers are never written after `set`, and what they point to is touched under the interpreter's lock only.
unsafe impl Send for Globals {}
// SAFETY: as above.
unsafe impl Sync for Globals {}

static GLOBALS: OnceLock<Globals> = OnceLock::new();
/// How often everything was made stale. All of these are written and read under the interpreter's lock, hence Relaxed.
static EPOCH: AtomicU64 = AtomicU64::new(0);
static SERIAL: AtomicU64 = AtomicU64::new(0);
static HOOKS: AtomicBool = AtomicBool::new(false);
/// How many deadlines stand in contexts.
static DEADLINES: AtomicUsize = AtomicUsize::new(0);
/// How many calls have a limit of time that no context speaks of.
static LIMITED: AtomicUsize = AtomicUsize::new(0);
/// Whether a cancellation of a task can be told from another, and taken back.
static CUTS: AtomicBool = AtomicBool::new(false);
/// How many modules were loaded when we last looked whether greenlets or trio are among them.
static MODULES: AtomicIsize = AtomicIsize::new(-1);
static GREENLETS: AtomicBool = AtomicBool::new(false);
static TRIO: AtomicBool = AtomicBool::new(false);
/// The type of guarded functions, once there is one.
pub(super) static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(core::ptr::null_mut());

pub(super) fn set(parts: &Bound<'_, PyDict>, symbols: Symbols) -> PyResult<()> {
    let part = |name: &str| -> PyResult<Py<PyAny>> {
        parts.get_item(name)?.map(Bound::unbind).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    };
    let modules = parts.py().import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let names = Names {
        plan: part("plan")?,
        run: part("run")?,
        resume: part("resume")?,
        refusal: part("refusal")?,
        identity: part("identity")?,
        hearing: part("hearing")?,
        is_enabled: OnceLock::new(),
        level: part("level")?,
        retry_after: part("retry_after")?,
        correlation_id: part("correlation_id")?,
        is_awaitable: part("is_awaitable")?,
        enter: part("enter")?,
        again: part("again")?,
        leave: part("leave")?,
        arun: part("arun")?,
        aresume: part("aresume")?,
        coroutine: part("coroutine")?,
        emit: part("emit")?,
        wake: part("wake")?,
        method: part("method")?,
        loop_functions: part("loop_functions")?,
        is_in_trio: part("is_in_trio")?,
        alarm: part("alarm")?,
        arm: part("arm")?,
        disarm: part("disarm")?,
    };
    let made = Globals {
        symbols,
        current: part("current")?.into_ptr(),
        deadline: part("deadline")?.into_ptr(),
        correlation: part("correlation")?.into_ptr(),
        nothing: part("nothing")?.into_ptr(),
        modules: modules.into_ptr(),
        names,
    };
    CUTS.store(part("can_cut")?.is_truthy(parts.py())?, Ordering::Relaxed);
    let _ = GLOBALS.set(made);
    Ok(())
}

pub(super) fn get() -> Option<&'static Globals> {
    GLOBALS.get()
}

pub(super) fn make_stale() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

#[inline]
pub(super) fn epoch() -> u64 {
    EPOCH.load(Ordering::Relaxed)
}

pub(super) fn note_hooks(are_there: bool) {
    HOOKS.store(are_there, Ordering::Relaxed);
}

pub(super) fn has_hooks() -> bool {
    HOOKS.load(Ordering::Relaxed)
}

/// The number of a call, or of something that was said in a context: whatever began later has the greater one.
#[inline]
pub(super) fn next_serial() -> u64 {
    let serial = SERIAL.load(Ordering::Relaxed) + 1;
    SERIAL.store(serial, Ordering::Relaxed);
    serial
}

pub(super) fn deadline_comes() {
    DEADLINES.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn deadline_goes() {
    DEADLINES.fetch_sub(1, Ordering::Relaxed);
}

pub(super) fn limit_comes() {
    LIMITED.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn limit_goes() {
    LIMITED.fetch_sub(1, Ordering::Relaxed);
}

pub(super) fn can_cut() -> bool {
    CUTS.load(Ordering::Relaxed)
}

/// Whether anything of this process may switch greenlets.
pub(super) fn has_greenlets() -> bool {
    GREENLETS.load(Ordering::Relaxed)
}

/// Whether a task of trio may run in this process.
pub(super) fn has_trio() -> bool {
    TRIO.load(Ordering::Relaxed)
}

impl Globals {
    /// Whether no module was loaded since we last looked. Greenlets interleave calls on one thread, which `frames.rs` cannot tell apart; a
    /// process that loads them gets the drivers, and a new module is how it would.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        // SAFETY: `modules` is a dictionary that we own, and the interpreter's lock is held.
        unsafe { ffi::PyDict_Size(self.modules) == MODULES.load(Ordering::Relaxed) }
    }

    #[cold]
    pub(super) fn look_at_modules(&self) {
        // SAFETY: as above; the name is a literal that ends with a zero, and an answer is borrowed and only compared.
        let is_loaded = |name: &core::ffi::CStr| unsafe { !ffi::PyDict_GetItemString(self.modules, name.as_ptr()).is_null() };
        // SAFETY: as above.
        MODULES.store(unsafe { ffi::PyDict_Size(self.modules) }, Ordering::Relaxed);
        if is_loaded(c"trio") {
            TRIO.store(true, Ordering::Relaxed);
        }
        if is_loaded(c"greenlet") && !GREENLETS.swap(true, Ordering::Relaxed) {
            make_stale();
        }
    }

    /// What a context variable of ours says: compared and never followed. Null if it cannot be told.
    #[inline]
    pub(super) fn read(&self, variable: *mut PyObject) -> *mut PyObject {
        let mut value = core::ptr::null_mut();
        // SAFETY: `variable` is one of ours, alive for good. The answer is a reference of our own, given back at once; somebody else holds
        // the object as well (the context, or the variable's default).
        unsafe {
            if (self.symbols.context_get)(variable, core::ptr::null_mut(), &raw mut value) < 0 {
                ffi::PyErr_Clear();
                return core::ptr::null_mut();
            }
            if !value.is_null() {
                ffi::Py_DECREF(value);
            }
        }
        value
    }

    /// Whether the context knows neither a call nor a correlation id.
    pub(super) fn says_nothing(&self) -> bool {
        // SAFETY: `Py_None` is alive for good.
        self.read(self.current) == self.nothing && self.read(self.correlation) == unsafe { ffi::Py_None() }
    }

    /// Takes back what the context said of an async call. No error may be set.
    pub(super) fn take_back(&self, token: *mut PyObject) {
        // SAFETY: the variable is ours and the token is what setting it gave, if it gave one.
        unsafe {
            if !token.is_null() && (self.symbols.context_reset)(self.current, token) < 0 {
                // Another context than the one it was set in, which only somebody who drives the call by hand can bring about.
                ffi::PyErr_Clear();
            }
        }
    }

    /// Whether a deadline is in force, which only the machine weighs.
    #[inline]
    pub(super) fn has_deadline(&self) -> bool {
        // SAFETY: `Py_None` is alive for good.
        let is_said = DEADLINES.load(Ordering::Relaxed) > 0 && self.read(self.deadline) != unsafe { ffi::Py_None() };
        is_said || LIMITED.load(Ordering::Relaxed) > 0 && (frames::are_limited() || running::is_limited(self.read(self.current)))
    }
}
