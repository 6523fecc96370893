//! What an error says of policies inside the callee.
//!
//! A rejection by a policy further in is neutral here, and a time-out there an ordinary failure (semantics, "Order and errors at build").
//! An `Error<E>` has a type of its own for each `E`, so each such type makes itself known when its first error is made, which is always
//! before a policy outside can see it. A boxed error is asked along its sources.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use parking_lot::RwLock;
use seawall_engine::outcome::Kind;

use crate::error::{Error, Injected, Rejection};

type Boxed = Box<dyn std::error::Error + Send + Sync>;
type Ask = fn(&dyn Any) -> Option<Kind>;

static KNOWN: LazyLock<RwLock<HashMap<TypeId, Ask>>> = LazyLock::new(RwLock::default);

fn kind_of<E: 'static>(error: &dyn Any) -> Option<Kind> {
    Some(match error.downcast_ref::<Error<E>>()? {
        Error::Rejected(_) => Kind::Rejected,
        Error::Config(_) => Kind::Config,
        Error::Injected(_) => Kind::Injected,
        Error::Timeout(_) => Kind::Timeout,
        Error::Callee(inner) => kind(inner),
        Error::ResultRejected => Kind::Error,
    })
}

/// Makes `Error<E>` known.
#[cold]
pub(crate) fn make_known<E: 'static>() {
    let id = TypeId::of::<Error<E>>();
    if !KNOWN.read().contains_key(&id) {
        KNOWN.write().insert(id, kind_of::<E>);
    }
}

/// What stands for a type in a word.
#[inline]
pub(crate) fn mark<E: 'static>() -> u64 {
    struct Mark(u64);

    impl Hasher for Mark {
        fn write(&mut self, bytes: &[u8]) {
            self.0 = bytes.iter().fold(self.0, |mark, byte| mark.rotate_left(8) ^ u64::from(*byte));
        }

        fn write_u64(&mut self, value: u64) {
            self.0 = value;
        }

        fn finish(&self) -> u64 {
            self.0 | 1
        }
    }

    let mut mark = Mark(0);
    TypeId::of::<E>().hash(&mut mark);
    mark.finish()
}

/// What kind of end an error of the callee is.
pub(crate) fn kind(error: &dyn Any) -> Kind {
    if let Some(boxed) = error.downcast_ref::<Boxed>() {
        return kind_of_boxed(boxed.as_ref());
    }
    let ask = KNOWN.read().get(&error.type_id()).copied();
    ask.and_then(|ask| ask(error)).unwrap_or(Kind::Error)
}

fn kind_of_boxed(error: &(dyn std::error::Error + 'static)) -> Kind {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Rejection>() {
            return Kind::Rejected;
        }
        if error.is::<Injected>() {
            return Kind::Injected;
        }
        if error.is::<crate::ConfigError>() {
            return Kind::Config;
        }
        next = error.source();
    }
    Kind::Error
}
