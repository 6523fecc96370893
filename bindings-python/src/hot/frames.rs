//! The calls of this thread that run on the fast path, innermost last.
//!
//! A driver says in context variables what `current()` shows; that costs more than the whole fast path. Here a call only notes what the
//! context said when it began. Whoever asks inside of it finds the context unchanged since, and then says it for real (`cold::settle`). A
//! driver inside of it has changed the context, and is believed.
//!
//! Positions and not addresses are kept, so that a mix-up of entries could confuse what `current()` shows but not memory.

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

/// Begins a call; gives its position. `None` on a thread that is ending.
#[inline]
pub(super) fn enter(frame: Frame) -> Option<usize> {
    FRAMES
        .try_with(|frames| {
            let mut frames = frames.try_borrow_mut().ok()?;
            let at = frames.len();
            frames.push(frame);
            Some(at)
        })
        .ok()
        .flatten()
}

/// Ends the call at a position; gives what was said for real, or null.
#[inline]
pub(super) fn leave(at: usize) -> *mut PyObject {
    FRAMES
        .try_with(|frames| {
            let Ok(mut frames) = frames.try_borrow_mut() else { return core::ptr::null_mut() };
            let real = frames.get(at).map_or(core::ptr::null_mut(), |frame| frame.real);
            frames.truncate(at);
            real
        })
        .unwrap_or(core::ptr::null_mut())
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
