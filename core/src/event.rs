//! Events: what a policy did that somebody may want to know. A plain success makes none.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::RwLock;
use serde_json::Value;

/// One event. Its names and fields are the same in every language; `docs/spec` lists them.
#[derive(Debug)]
pub struct Event<'a> {
    record: &'a str,
    fields: Value,
}

impl Event<'_> {
    /// What happened, such as `breaker.opened`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("event").unwrap_or("")
    }

    /// `debug`, `info`, `warning` or `error`.
    #[must_use]
    pub fn severity(&self) -> &str {
        self.text("severity").unwrap_or("info")
    }

    /// The policy's name; empty if it has none.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.text("policy").unwrap_or("")
    }

    /// A field that is text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// A field that is a whole number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.as_u64()
    }

    /// All of it as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.record
    }
}

type Hook = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

struct Subscribed {
    number: u64,
    hook: Hook,
    /// A hook that has panicked is told no more.
    broken: AtomicBool,
}

static HOOKS: LazyLock<RwLock<Vec<Arc<Subscribed>>>> = LazyLock::new(RwLock::default);
static NUMBERS: AtomicU64 = AtomicU64::new(0);
/// Whether there is any hook, for calls that would have nothing else to tell.
static ANY: AtomicBool = AtomicBool::new(cfg!(feature = "tracing"));

thread_local! {
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Ends a subscription when it is dropped.
#[derive(Debug)]
#[must_use = "the subscription ends when this is dropped"]
pub struct Subscription(u64);

impl Subscription {
    /// Keeps the hook for as long as the process lives.
    pub fn forever(self) {
        std::mem::forget(self);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut hooks = HOOKS.write();
        hooks.retain(|hook| hook.number != self.0);
        ANY.store(cfg!(feature = "tracing") || !hooks.is_empty(), Ordering::Relaxed);
    }
}

/// Tells `hook` of every event, on the calling thread, after the fact, in the order of subscription. What a hook itself causes is told to
/// no hook. A hook that panics is not told again.
pub fn on_event(hook: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Subscription {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let mut hooks = HOOKS.write();
    hooks.push(Arc::new(Subscribed { number, hook: Arc::new(hook), broken: AtomicBool::new(false) }));
    ANY.store(true, Ordering::Relaxed);
    Subscription(number)
}

/// Whether anybody listens.
#[inline]
pub(crate) fn is_heard() -> bool {
    // Relaxed: a hook that is just being added may miss what happens meanwhile.
    ANY.load(Ordering::Relaxed)
}

/// Tells everybody of one record.
pub(crate) fn tell(record: &str) {
    if !is_heard() || TELLING.get() {
        return;
    }
    let event = Event { record, fields: serde_json::from_str(record).unwrap_or_default() };
    TELLING.set(true);
    #[cfg(feature = "tracing")]
    crate::trace::emit(&event);
    let hooks = HOOKS.read().clone();
    for subscribed in hooks.iter().filter(|hook| !hook.broken.load(Ordering::Relaxed)) {
        // A hook's panic is its own; the call that it was told of goes on.
        if catch_unwind(AssertUnwindSafe(|| (subscribed.hook)(&event))).is_err() {
            subscribed.broken.store(true, Ordering::Relaxed);
            eprintln!("seawall: an event hook panicked at {} and is told no more", event.name());
        }
    }
    TELLING.set(false);
}
