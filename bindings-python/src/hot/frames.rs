//! The calls of this thread that run on the fast path, innermost last.
//!
//! A driver says in context variables what `current()` shows; that costs more than the whole fast path. Here a call only notes what the
//! context said when it began. Whoever asks inside of it finds the context unchanged since, and then says it for real (`cold::settle`). A
//! driver inside of it has changed the context, and is believed.
//!
//! Positions and not addresses are kept, so that a mix-up of entries could confuse what `current()` shows but not memory.

use core::ptr::null_mut;
use std::cell::RefCell;

use pyo3::ffi::PyObject;

/// What a call says of itself.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// What the context said; compared and never followed.
    pub(super) outer: *mut PyObject,
    /// Whether a retry of its own collects the letters of calls inside.
    pub(super) retries: bool,
    /// What stands for its slot of the bulkhead, or -1.
    pub(super) slot: i64,
    /// What was said for real, owned by the frame; null before.
    pub(super) real: *mut PyObject,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Makes a call known while it runs. Gives what it gave, and what was said of it for real, or null. On a thread that is ending nothing is known.
#[inline]
pub(super) fn during(frame: Frame, call: impl Fn() -> *mut PyObject) -> (*mut PyObject, *mut PyObject) {
    let known = FRAMES.try_with(|frames| {
        let Ok(mut begun) = frames.try_borrow_mut() else { return (call(), null_mut()) };
        let at = begun.len();
        begun.push(frame);
        drop(begun);
        let value = call();
        let Ok(mut ended) = frames.try_borrow_mut() else { return (value, null_mut()) };
        let real = ended.get(at).map_or(null_mut(), |frame| frame.real);
        ended.truncate(at);
        (value, real)
    });
    known.unwrap_or_else(|_| (call(), null_mut()))
}

/// Whether no call of this thread runs on the fast path.
pub(super) fn are_none() -> bool {
    FRAMES.try_with(|frames| frames.try_borrow().is_ok_and(|frames| frames.is_empty())).unwrap_or(false)
}

/// The positions of the innermost calls that began while the context said `found`, the outer first.
pub(super) fn that_began_with(found: *mut PyObject) -> Vec<(usize, Frame)> {
    FRAMES
        .try_with(|frames| {
            let Ok(frames) = frames.try_borrow() else { return Vec::new() };
            let first = frames.iter().rposition(|frame| frame.outer != found).map_or(0, |at| at + 1);
            frames.iter().copied().enumerate().skip(first).collect()
        })
        .unwrap_or_default()
}

/// Notes what was said for real of the call at a position; false if it is not there.
pub(super) fn note(at: usize, real: *mut PyObject) -> bool {
    FRAMES
        .try_with(|frames| {
            let mut frames = frames.try_borrow_mut().ok()?;
            let frame = frames.get_mut(at).filter(|frame| frame.real.is_null())?;
            frame.real = real;
            Some(())
        })
        .ok()
        .flatten()
        .is_some()
}
