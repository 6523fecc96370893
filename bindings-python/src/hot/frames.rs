//! The calls of this thread that run on the fast path, innermost last.
//!
//! A driver says in context variables what `current()` shows; that costs more than the whole fast path. Here a call only takes a number when it
//! begins, and so does whatever is said in a context. Whoever asks inside of a call finds that the context says something older, and then says
//! it for real (`later::settle`). A driver inside of it has said something newer, and is believed.
//!
//! Positions and not addresses are kept, so that a mix-up of entries could confuse what `current()` shows but not memory.

use core::ptr::null_mut;
use std::cell::RefCell;

use pyo3::ffi::PyObject;

/// What a call says of itself.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// When it began.
    pub(super) serial: u64,
    /// Whether a retry of its own collects the letters of calls inside.
    pub(super) retries: bool,
    /// What stands for its slot of the bulkhead, or -1.
    pub(super) slot: i64,
    /// When its nearest limit of time passes; 0 if there is none.
    pub(super) due: u64,
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

/// Whether a call of this thread on the fast path has a limit of time.
pub(super) fn are_limited() -> bool {
    FRAMES.try_with(|frames| frames.try_borrow().is_ok_and(|frames| frames.iter().any(|frame| frame.due != 0))).unwrap_or(false)
}

/// The calls that began after `serial`, the outer first, and their positions.
pub(super) fn that_began_after(serial: u64) -> Vec<(usize, Frame)> {
    FRAMES
        .try_with(|frames| {
            let Ok(frames) = frames.try_borrow() else { return Vec::new() };
            let first = frames.iter().rposition(|frame| frame.serial <= serial).map_or(0, |at| at + 1);
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
