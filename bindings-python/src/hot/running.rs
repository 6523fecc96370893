//! A guarded async call: an awaitable that passes what it is sent on to the callee's, and lets the policy in before and after.
//!
//! | stage | the inner awaitable is | what comes of it |
//! |---|---|---|
//! | new | none yet | nothing was taken; the first send admits, or finds the driver |
//! | attempt | the callee's | its value is recorded and returned; anything else is handed over to the driver |
//! | driven | the driver's coroutine | goes out as it comes |
//! | done | none | |
//!
//! During the attempt this object stands in the context for what `current()` shows, so tasks and copies of the context made inside know it.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi::{self, PyObject, PySendResult};
use pyo3::prelude::*;
use seawall_runtime::quick::{self, Begun, Start, Success};

use super::guarded::{Guarded, Hold};
use super::later::{self, After};
use super::limited::{self, Limited};
use super::symbols::OFFSET;
use super::{call, protocol, refusal};

/// The type, once there is one.
pub(super) static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(null_mut());

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    New,
    Attempt,
    Driven,
    Done,
}

/// All objects in it are owned, or null.
#[repr(C)]
pub(super) struct Running {
    base: PyObject,
    pub(super) weak: *mut PyObject,
    pub(super) guarded: Cell<*mut PyObject>,
    pub(super) args: Cell<*mut PyObject>,
    pub(super) kwargs: Cell<*mut PyObject>,
    pub(super) inner: Cell<*mut PyObject>,
    /// What takes the context back, kept for its old value.
    pub(super) token: Cell<*mut PyObject>,
    /// What was said of this call for real.
    pub(super) real: Cell<*mut PyObject>,
    /// From `Rc::into_raw`, during the attempt.
    pub(super) hold: Cell<*const Hold>,
    pub(super) begun: Cell<Option<Begun>>,
    pub(super) limited: Limited,
    pub(super) stage: Cell<Stage>,
    is_busy: Cell<bool>,
    pub(super) retries: Cell<bool>,
    pub(super) slot: Cell<i64>,
    /// When it was said in the context.
    pub(super) serial: Cell<u64>,
}

/// The vectorcall of a guarded async function: makes the awaitable, and takes nothing yet.
///
/// # Safety
/// For the interpreter alone: `me` is a guarded function, `args` and `names` follow the vectorcall protocol.
pub(super) unsafe extern "C" fn start(me: *mut PyObject, args: *const *mut PyObject, nargsf: usize, names: *mut PyObject) -> *mut PyObject {
    let count = nargsf & !OFFSET;
    // SAFETY: the protocol promises `count` positional values and one more for each name. The tuple and the dictionary are new and ours.
    unsafe {
        let tuple = ffi::PyTuple_New(count as ffi::Py_ssize_t);
        if tuple.is_null() {
            return tuple;
        }
        for at in 0..count {
            let value = *args.add(at);
            ffi::Py_INCREF(value);
            ffi::PyTuple_SetItem(tuple, at as ffi::Py_ssize_t, value);
        }
        let mut kwargs = null_mut();
        if !names.is_null() {
            kwargs = ffi::PyDict_New();
            let mut failed = kwargs.is_null();
            for at in 0..ffi::PyTuple_Size(names) {
                failed = failed || ffi::PyDict_SetItem(kwargs, ffi::PyTuple_GetItem(names, at), *args.add(count + at as usize)) < 0;
            }
            if failed {
                ffi::Py_DECREF(tuple);
                ffi::Py_XDECREF(kwargs);
                return null_mut();
            }
        }
        make(me, tuple, kwargs)
    }
}

/// # Safety
/// `me` is a guarded function; the reference to `args` and that to `kwargs`, if it is not null, are given away.
pub(super) unsafe fn make(me: *mut PyObject, args: *mut PyObject, kwargs: *mut PyObject) -> *mut PyObject {
    // SAFETY: memory of the type's size comes zeroed, and all fields that zero does not suit are written before anybody else sees the object. To the
    // collector null is nothing.
    unsafe {
        let made = ffi::PyType_GenericAlloc(TYPE.load(Ordering::Relaxed), 0);
        if made.is_null() {
            ffi::Py_DECREF(args);
            ffi::Py_XDECREF(kwargs);
            return made;
        }
        let running = made.cast::<Running>();
        (&raw mut (*running).begun).write(Cell::new(None));
        (&raw mut (*running).limited).write(Limited::nothing());
        (&raw mut (*running).stage).write(Cell::new(Stage::New));
        ffi::Py_INCREF(me);
        (*running).guarded.set(me);
        (*running).args.set(args);
        (*running).kwargs.set(kwargs);
        made
    }
}

/// What a send or a throw has come to.
enum Flow {
    /// Send `None` to the inner awaitable.
    Again,
    Out(PySendResult),
}

/// Sends a value; `result` gets what comes back.
///
/// # Safety
/// For the interpreter alone: `me` is a `Running`, `value` alive, `result` writable.
pub(super) unsafe extern "C" fn send(me: *mut PyObject, value: *mut PyObject, result: *mut *mut PyObject) -> PySendResult {
    // SAFETY: as promised; `None` is alive for good. The inner awaitable is owned by `running`, and only this call, which is marked as
    // busy, lets go of it.
    unsafe {
        *result = null_mut();
        let running = &*me.cast::<Running>();
        let none = ffi::Py_None();
        if let Err(refused) = running.enter(value == none) {
            return refused;
        }
        let mut value = value;
        let mut flow = if running.stage.get() == Stage::New { begin(me, result) } else { Flow::Again };
        loop {
            match flow {
                Flow::Out(out) => {
                    running.is_busy.set(false);
                    return out;
                }
                Flow::Again => {
                    let got = ffi::PyIter_Send(running.inner.get(), value, result);
                    flow = came(me, got, result);
                    value = none;
                }
            }
        }
    }
}

/// After something came of the inner awaitable by another way than a send.
///
/// # Safety
/// As for `send`; `running` is busy.
pub(super) unsafe fn after(me: *mut PyObject, got: PySendResult, result: *mut *mut PyObject) -> PySendResult {
    // SAFETY: as for `send`.
    unsafe {
        let running = &*me.cast::<Running>();
        let mut flow = came(me, got, result);
        loop {
            match flow {
                Flow::Out(out) => {
                    running.is_busy.set(false);
                    return out;
                }
                Flow::Again => {
                    let got = ffi::PyIter_Send(running.inner.get(), ffi::Py_None(), result);
                    flow = came(me, got, result);
                }
            }
        }
    }
}

impl Running {
    /// Marks it as busy, or says why it cannot be.
    pub(super) fn enter(&self, is_none: bool) -> Result<(), PySendResult> {
        let (kind, text) = match self.stage.get() {
            // SAFETY: the exceptions of the interpreter are alive for good.
            _ if self.is_busy.get() => (unsafe { ffi::PyExc_ValueError }, c"coroutine already executing"),
            // SAFETY: as above.
            Stage::Done => (unsafe { ffi::PyExc_RuntimeError }, c"cannot reuse already awaited coroutine"),
            // SAFETY: as above.
            Stage::New if !is_none => (unsafe { ffi::PyExc_TypeError }, c"can't send non-None value to a just-started coroutine"),
            _ => {
                self.is_busy.set(true);
                return Ok(());
            }
        };
        // SAFETY: the text ends with a zero.
        unsafe { ffi::PyErr_SetString(kind, text.as_ptr()) };
        Err(PySendResult::PYGEN_ERROR)
    }

    /// The guarded function, for as long as the call is not done.
    pub(super) fn function(&self) -> &Guarded {
        // SAFETY: owned until the object is taken apart, which nobody does who still calls it.
        unsafe { &*self.guarded.get().cast::<Guarded>() }
    }

    /// When the attempt started.
    pub(super) fn started(&self) -> u64 {
        self.begun.get().map_or(0, |begun| begun.started())
    }

    /// Lets go of what only a call under way needs.
    pub(super) fn finish(&self) {
        self.stage.set(Stage::Done);
        self.limited.finish(core::ptr::from_ref(self) as usize);
        for field in [&self.inner, &self.args, &self.kwargs] {
            let before = field.replace(null_mut());
            // SAFETY: owned or null, and out of reach by now.
            unsafe { ffi::Py_XDECREF(before) };
        }
        self.let_go();
    }

    /// Gives the hold back.
    pub(super) fn let_go(&self) {
        let hold = self.hold.replace(core::ptr::null());
        if !hold.is_null() {
            // SAFETY: it came from `into_raw`, and this is the one count of it.
            drop(unsafe { Rc::from_raw(hold) });
        }
    }

    fn out(&self, got: PySendResult) -> Flow {
        self.finish();
        Flow::Out(got)
    }

    /// Puts the driver's coroutine in place of the callee's. Null: making it has failed, with the error set.
    fn drive(&self, coroutine: *mut PyObject) -> Flow {
        if coroutine.is_null() {
            return self.out(PySendResult::PYGEN_ERROR);
        }
        let before = self.inner.replace(coroutine);
        // SAFETY: owned or null, and out of reach by now.
        unsafe { ffi::Py_XDECREF(before) };
        self.stage.set(Stage::Driven);
        Flow::Again
    }
}

/// The first send: admits the call and calls the function, or has the driver made.
///
/// # Safety
/// As for `send`; `running` is busy and new.
unsafe fn begin(me: *mut PyObject, result: *mut *mut PyObject) -> Flow {
    // SAFETY: as for `send`; arguments are a tuple and a dictionary or null, all owned by `running` while it is busy.
    unsafe {
        let running = &*me.cast::<Running>();
        let guarded = running.function();
        let globals = guarded.globals;
        let Some(hold) = call::current(guarded) else { return running.out(PySendResult::PYGEN_ERROR) };
        let Some(grip) = hold.grip.as_ref().filter(|grip| !globals.has_deadline() && !limited::is_trios(globals, grip)) else {
            return running.drive(later::drive(running));
        };
        let mut begun = Begun::nothing();
        match quick::begin(grip, &mut begun, || refusal::is_quiet(globals)) {
            Start::Begun => {}
            Start::Refused(refused) => {
                refusal::raise(guarded, &hold, grip, refused);
                return running.out(PySendResult::PYGEN_ERROR);
            }
            Start::Slow => return running.drive(later::drive(running)),
        }
        let engine = grip.engine();
        running.retries.set(engine.retry.is_some());
        running.slot.set(if engine.bulkhead.is_some() { grip.slot() as i64 } else { -1 });
        if begun.due() != 0 {
            running.limited.begin(begun.due());
        }
        running.begun.set(Some(begun));
        running.hold.set(Rc::into_raw(hold));
        running.stage.set(Stage::Attempt);
        running.serial.set(super::globals::next_serial());
        running.token.set((globals.symbols.context_set)(globals.current, me));
        let mut value = null_mut();
        if !running.token.get().is_null() {
            value = ffi::PyObject_Call(guarded.function, running.args.get(), running.kwargs.get());
        }
        if value.is_null() {
            return came(me, PySendResult::PYGEN_ERROR, result);
        }
        match protocol::iterator(globals, value) {
            protocol::Awaited::Inner(inner) => {
                running.inner.set(inner);
                Flow::Again
            }
            protocol::Awaited::Plain(value) => {
                *result = value;
                came(me, PySendResult::PYGEN_RETURN, result)
            }
            protocol::Awaited::Failed => came(me, PySendResult::PYGEN_ERROR, result),
        }
    }
}

/// Something came of the inner awaitable.
///
/// # Safety
/// As for `send`; `result` holds what came, and an error is set with `PYGEN_ERROR`.
unsafe fn came(me: *mut PyObject, got: PySendResult, result: *mut *mut PyObject) -> Flow {
    // SAFETY: as for `send`.
    unsafe {
        let running = &*me.cast::<Running>();
        if matches!(got, PySendResult::PYGEN_NEXT) {
            if running.limited.is_to_be_watched() && !limited::watch(running, me) {
                return refused(me, result);
            }
            return Flow::Out(got);
        }
        if running.stage.get() != Stage::Attempt {
            return running.out(got);
        }
        if running.limited.is_watched() {
            running.limited.leave(me as usize);
            if running.limited.is_cut() {
                return follow(running, result, later::cut(running, *result));
            }
        }
        let Some(begun) = running.begun.take() else { return running.out(got) };
        let (Some(hold), globals) = (running.hold.get().as_ref(), running.function().globals) else { return running.out(got) };
        if matches!(got, PySendResult::PYGEN_RETURN) && running.real.get().is_null() {
            globals.take_back(running.token.get());
            let success = hold.grip.as_ref().map_or((Success::Recorded, None), |grip| quick::succeed(grip, &begun));
            if matches!(success, (Success::Recorded, None)) {
                return running.out(got);
            }
            return follow(running, result, later::told(running, hold, &begun, *result, success));
        }
        follow(running, result, later::ended(running, hold, &begun, *result))
    }
}

/// The callee cannot wait here: it is told so where it does. The error is set, and what it waits for in `result`.
///
/// # Safety
/// As for `send`.
unsafe fn refused(me: *mut PyObject, result: *mut *mut PyObject) -> Flow {
    // SAFETY: as for `send`; what the callee waits for is owned by `result`, and let go.
    unsafe {
        ffi::Py_XDECREF(core::mem::replace(&mut *result, null_mut()));
        let running = &*me.cast::<Running>();
        let (got, value) = later::throw_set(running.inner.get());
        *result = value;
        came(me, got, result)
    }
}

/// The call that an object is; `None` if it is something else.
pub(super) fn of<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a Running> {
    let is_one = object.get_type().as_type_ptr() == TYPE.load(Ordering::Relaxed);
    // SAFETY: the type was checked, and the object is alive for as long as it is borrowed.
    is_one.then(|| unsafe { &*object.as_ptr().cast::<Running>() })
}

/// Whether what a context says is a call that has a limit. Null is none.
#[inline]
pub(super) fn is_limited(said: *mut PyObject) -> bool {
    // SAFETY: null, or held by the context that it was just read from; the type is looked at before anything else.
    unsafe { !said.is_null() && ffi::Py_TYPE(said) == TYPE.load(Ordering::Relaxed) && (*said.cast::<Running>()).limited.due.get() != 0 }
}

/// # Safety
/// As for `send`.
unsafe fn follow(running: &Running, result: *mut *mut PyObject, after: After) -> Flow {
    match after {
        After::Driver(coroutine) => {
            // SAFETY: writable, as promised.
            unsafe { *result = null_mut() };
            running.drive(coroutine)
        }
        After::Value(value) => {
            // SAFETY: as above.
            unsafe { *result = value };
            running.out(if value.is_null() { PySendResult::PYGEN_ERROR } else { PySendResult::PYGEN_RETURN })
        }
    }
}

/// # Safety
/// For the interpreter alone, with an object of this type.
pub(super) unsafe extern "C" fn traverse(me: *mut PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    // SAFETY: `me` is a `Running`; what it owns is visited once each, the heap type included.
    unsafe {
        let running = &*me.cast::<Running>();
        let owned = [&running.guarded, &running.args, &running.kwargs, &running.inner, &running.token, &running.real].map(Cell::get);
        let kind: *mut PyObject = ffi::Py_TYPE(me).cast();
        for object in core::iter::once(kind).chain(owned).chain(running.limited.owned()).filter(|object| !object.is_null()) {
            let stop = visit(object, arg);
            if stop != 0 {
                return stop;
            }
        }
    }
    0
}

/// # Safety
/// For the interpreter alone, with an object of this type that nobody calls any more.
pub(super) unsafe extern "C" fn clear(me: *mut PyObject) -> c_int {
    // SAFETY: each field is null before its object is let go.
    unsafe {
        let running = &*me.cast::<Running>();
        running.finish();
        running.limited.forget();
        for field in [&running.guarded, &running.token, &running.real] {
            ffi::Py_XDECREF(field.replace(null_mut()));
        }
    }
    0
}

/// # Safety
/// For the interpreter alone, with an object of this type whose last reference is gone.
pub(super) unsafe extern "C" fn dealloc(me: *mut PyObject) {
    // SAFETY: in the interpreter's order: the finalizer, which may bring the object back; out of the collector's sight, weak references told, fields
    // let go, memory freed by the type's own function, and the instance's reference to its type.
    unsafe {
        let running = me.cast::<Running>();
        if !matches!((*running).stage.get(), Stage::Done) && !(*running).guarded.get().is_null() {
            let finalize = (*running).function().globals.symbols.finalize;
            if finalize(me) != 0 {
                return;
            }
        }
        ffi::PyObject_GC_UnTrack(me.cast());
        if !(*running).weak.is_null() {
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
