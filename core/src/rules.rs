//! The caller's own functions, whatever types they take.
//!
//! A policy guards calls of many types, so its functions are kept without theirs and asked with `Any`: one written for another type than
//! the call's does not match.

use std::any::Any;

type Test = Box<dyn Fn(&dyn Any) -> bool + Send + Sync>;
type Read<R> = Box<dyn Fn(&dyn Any) -> Option<R> + Send + Sync>;

/// What a server said about calling again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not again.
    Never,
    /// Not before so much time has passed.
    After(std::time::Duration),
}

/// What one strategy asks of the caller.
#[derive(Default)]
pub(crate) struct Asked {
    on: Vec<Test>,
    ignore: Vec<Test>,
    on_result: Vec<Test>,
}

fn test<V: 'static>(matches: impl Fn(&V) -> bool + Send + Sync + 'static) -> Test {
    Box::new(move |any| any.downcast_ref().is_some_and(&matches))
}

impl Asked {
    pub(crate) fn on<E: 'static>(&mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) {
        self.on.push(test(matches));
    }

    pub(crate) fn ignore<E: 'static>(&mut self, matches: impl Fn(&E) -> bool + Send + Sync + 'static) {
        self.ignore.push(test(matches));
    }

    pub(crate) fn on_result<T: 'static>(&mut self, rejects: impl Fn(&T) -> bool + Send + Sync + 'static) {
        self.on_result.push(test(rejects));
    }

    pub(crate) fn judges_errors(&self) -> bool {
        !self.on.is_empty() || !self.ignore.is_empty()
    }

    pub(crate) fn judges_results(&self) -> bool {
        !self.on_result.is_empty()
    }

    /// Whether the error counts for nothing: `on` replaces what counts by default, `ignore` subtracts.
    pub(crate) fn passes_over(&self, error: &dyn Any) -> bool {
        let any = |tests: &[Test]| tests.iter().any(|test| test(error));
        any(&self.ignore) || (!self.on.is_empty() && !any(&self.on))
    }

    /// Whether `on` names the error.
    pub(crate) fn names(&self, error: &dyn Any) -> bool {
        self.on.iter().any(|test| test(error))
    }

    pub(crate) fn rejects(&self, result: &dyn Any) -> bool {
        self.on_result.iter().any(|test| test(result))
    }
}

/// Readers of what only the caller knows about its errors.
pub(crate) struct Readers<R>(Vec<Read<R>>);

impl<R> Default for Readers<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: 'static> Readers<R> {
    pub(crate) fn add<V: 'static>(&mut self, read: impl Fn(&V) -> Option<R> + Send + Sync + 'static) {
        self.0.push(Box::new(move |any| read(any.downcast_ref()?)));
    }

    pub(crate) fn read(&self, value: &dyn Any) -> Option<R> {
        self.0.iter().find_map(|read| read(value))
    }
}
