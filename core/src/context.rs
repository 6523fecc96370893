//! What a call tells the calls inside it: its correlation id, its deadline, and whose slots it holds.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use seawall_runtime::ids;

/// One attempt under way.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Stands for every slot that this attempt and those around it hold.
    pub(crate) chain: Vec<u64>,
    pub(crate) correlation_id: Arc<str>,
    /// In nanoseconds of the process's clock.
    pub(crate) deadline: Option<u64>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Frame>>> = const { RefCell::new(None) };
    /// Whether there is a current frame, for whoever asks nothing else: without a destructor it is a plain load.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Puts the frame before in its place again.
pub(crate) struct Entered(Option<Arc<Frame>>);

impl Drop for Entered {
    fn drop(&mut self) {
        replace(self.0.take());
    }
}

fn replace(frame: Option<Arc<Frame>>) -> Option<Arc<Frame>> {
    IS_INSIDE.set(frame.is_some());
    CURRENT.with(|current| current.replace(frame))
}

/// Until the answer is dropped, calls on this thread are inside `frame`.
pub(crate) fn enter(frame: &Arc<Frame>) -> Entered {
    Entered(replace(Some(Arc::clone(frame))))
}

/// The frame that a call on this thread would be inside.
pub(crate) fn current() -> Option<Arc<Frame>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Whether a call on this thread would be inside another.
#[inline]
pub(crate) fn is_inside() -> bool {
    IS_INSIDE.get()
}

/// The correlation id of the call that this thread is inside.
#[must_use]
pub fn correlation_id() -> Option<String> {
    current().map(|frame| frame.correlation_id.to_string())
}

/// Calls made by `work` on this thread carry this correlation id: 1 to 128 characters that no log, header or file can misread. Anything
/// else is replaced by a new id.
pub fn correlate<R>(id: &str, work: impl FnOnce() -> R) -> R {
    let outer = current();
    let frame = Frame {
        chain: outer.as_ref().map(|frame| frame.chain.clone()).unwrap_or_default(),
        correlation_id: ids::clean(id).map_or_else(|| ids::mint().into(), Into::into),
        deadline: outer.and_then(|frame| frame.deadline),
    };
    let _inside = enter(&Arc::new(frame));
    work()
}
