//! The atomics that every protocol of the engine is built on: the machine's own or, under `cfg(loom)`, loom's, whose tests run every
//! order in which threads can meet. A protocol that named `core`'s atomics would escape those tests, so nothing here does.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use modelled::{AtomicU32, AtomicU64, Ordering};

/// Loom's atomics, whose first value is stored as well as made: loom lets a SeqCst load pass over newer SeqCst stores to a value that was
/// only made, which no machine does, but not to a stored one.
#[cfg(loom)]
mod modelled {
    use core::ops::Deref;

    pub use loom::sync::atomic::Ordering;

    macro_rules! word {
        ($name:ident, $int:ty) => {
            /// A word of shared state.
            #[derive(Debug)]
            pub struct $name(loom::sync::atomic::$name);

            impl $name {
                /// A word with its first value.
                pub fn new(value: $int) -> Self {
                    let word = loom::sync::atomic::$name::new(value);
                    word.store(value, Ordering::SeqCst);
                    Self(word)
                }
            }

            impl Deref for $name {
                type Target = loom::sync::atomic::$name;

                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }
        };
    }

    word!(AtomicU32, u32);
    word!(AtomicU64, u64);
}
