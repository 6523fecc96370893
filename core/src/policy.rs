//! A policy, and the calls that it guards.

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use seawall_engine::time::MS;
use seawall_runtime::{clock, ids};

use crate::breaker::BreakerHandle;
use crate::builder::Rules;
use crate::context::{self, Frame};
use crate::drive::{Driver, Style};
use crate::error::{ConfigError, Error};
use crate::event;
use crate::quick::{Halt, Held, Quick};
use crate::wake::block_on;

/// A policy. Clones are the same policy, and cheap.
#[derive(Clone)]
pub struct Policy {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) policy: Arc<seawall_runtime::Policy>,
    pub(crate) label: &'static str,
    pub(crate) rules: Rules,
    pub(crate) hedges: bool,
    pub(crate) quick: Quick,
}

/// What an attempt may know of itself.
#[derive(Debug)]
pub struct Current<'a> {
    pub(crate) attempt: u32,
    pub(crate) remaining: Option<Duration>,
    pub(crate) frame: &'a Frame,
}

impl Current<'_> {
    /// The attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The time that the attempt had left when it began: that of its own limit or of the whole call, whichever is nearer.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.remaining
    }

    /// The id that ties this call to events, errors and other services.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        &self.frame.correlation_id
    }
}

/// What the caller says of one call.
#[derive(Clone, Copy, Default)]
pub(crate) struct Said<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) correlation_id: Option<&'a str>,
    pub(crate) deadline: Option<Duration>,
}

impl Policy {
    pub(crate) fn new(policy: Arc<seawall_runtime::Policy>, label: &'static str, rules: Rules, hedges: bool, quick: bool) -> Self {
        let quick = Quick::new(quick && rules.are_plain());
        Self { shared: Arc::new(Shared { policy, label, rules, hedges, quick }) }
    }

    /// The policy's name; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.shared.label
    }

    /// Calls a function that blocks.
    ///
    /// A blocking call cannot be cut, so time limits are cooperative here: they bound our own waits and the start of further attempts, and a
    /// result that comes too late is delivered all the same and counted as a failure. [`Policy::run`] tells the function how long it has.
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    #[inline]
    pub fn call<T: 'static, E: 'static>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, Error<E>> {
        let shared = &*self.shared;
        match shared.quick.begin(&shared.policy) {
            Ok(held) => match call() {
                Ok(value) => {
                    held.succeed();
                    Ok(value)
                }
                failed => self.go_on(held, failed, call),
            },
            Err(halt) => self.halted(&halt, call),
        }
    }

    /// The same for a function that is told about its attempt.
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub fn run<T: 'static, E: 'static>(&self, call: impl FnMut(&Current<'_>) -> Result<T, E>) -> Result<T, Error<E>> {
        self.blocking(Said::default(), call)
    }

    /// Calls an async function, on whatever executor polls this. Needs none of its own: see `docs/adr/0006-rust-crate.md`.
    ///
    /// An attempt whose limit passes is dropped. Dropping the call drops its attempts and counts for nothing.
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub async fn call_async<T: 'static, E: 'static, Fut>(&self, mut call: impl FnMut() -> Fut) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let shared = &*self.shared;
        match shared.quick.begin(&shared.policy) {
            Ok(held) => match call().await {
                Ok(value) => {
                    held.succeed();
                    Ok(value)
                }
                failed => Driver::resume(shared, Style::Async, held, failed, |_: &Current<'_>| call()).drive().await,
            },
            Err(halt) => match shared.quick.refusal(&halt) {
                Some(refused) => Err(shared.quick.refuse(&refused, shared.label)),
                None => self.concurrent(Said::default(), |_| call()).await,
            },
        }
    }

    /// The same for an async function that is told about its attempt.
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub async fn run_async<T: 'static, E: 'static, Fut>(&self, call: impl FnMut(&Current<'_>) -> Fut) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.concurrent(Said::default(), call).await
    }

    /// A view of the policy for calls with a key, a correlation id or a deadline of the caller's.
    pub fn using(&self) -> Using<'_> {
        Using { policy: self, key: None, correlation_id: None, deadline: None }
    }

    /// The circuit breaker, of a policy without a key.
    #[must_use]
    pub fn breaker(&self) -> BreakerHandle<'_> {
        BreakerHandle { policy: &self.shared.policy, key: None }
    }

    /// Calls that this policy has passed or turned away without the machine, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn quick_calls(&self) -> u64 {
        self.shared.policy.quick_calls()
    }

    /// Sets the mode, `enforce`, `shadow` or `disabled`, until it is set again or so much time has passed.
    ///
    /// # Errors
    /// If there is no such mode.
    pub fn set_mode(&self, mode: &str, reason: &str, author: Option<&str>, expires_in: Option<Duration>) -> Result<(), ConfigError> {
        let expires_in_ms = expires_in.map(whole_ms);
        let record = self.shared.policy.set_mode(mode, reason, author, expires_in_ms, clock::now())?;
        event::tell(&record);
        Ok(())
    }

    /// The mode now.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        self.shared.policy.mode(clock::now()).name()
    }

    /// A blocking call that does not begin on the quick path.
    #[inline(never)]
    fn halted<T: 'static, E: 'static>(&self, halt: &Halt<'_>, mut call: impl FnMut() -> Result<T, E>) -> Result<T, Error<E>> {
        let shared = &*self.shared;
        match shared.quick.refusal(halt) {
            Some(refused) => Err(shared.quick.refuse(&refused, shared.label)),
            None => self.blocking(Said::default(), |_| call()),
        }
    }

    /// A blocking call whose first attempt has failed on the quick path.
    #[cold]
    fn go_on<T: 'static, E: 'static>(
        &self,
        held: Held<'_>,
        failed: Result<T, E>,
        mut call: impl FnMut() -> Result<T, E>,
    ) -> Result<T, Error<E>> {
        block_on(Driver::resume(&self.shared, Style::Blocking, held, failed, |_: &Current<'_>| ready(call())).drive())
    }

    #[inline(never)]
    pub(crate) fn blocking<T: 'static, E: 'static>(
        &self,
        said: Said<'_>,
        mut call: impl FnMut(&Current<'_>) -> Result<T, E>,
    ) -> Result<T, Error<E>> {
        if self.shared.hedges {
            return Err(Error::Config(ConfigError::new(self.name(), "hedge: a blocking call cannot be hedged; use call_async")));
        }
        let driver = self.driver(said, Style::Blocking, move |current: &Current<'_>| ready(call(current)))?;
        block_on(driver.drive())
    }

    pub(crate) async fn concurrent<T: 'static, E: 'static, Fut>(
        &self,
        said: Said<'_>,
        call: impl FnMut(&Current<'_>) -> Fut,
    ) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.driver(said, Style::Async, call)?.drive().await
    }

    fn driver<T: 'static, E: 'static, F, Fut>(&self, said: Said<'_>, style: Style, call: F) -> Result<Driver<'_, T, E, F, Fut>, Error<E>> {
        if let Some(misfit) = self.shared.rules.steps.iter().find_map(|step| step.misfit::<T, E>()) {
            return Err(Error::Config(ConfigError::new(self.name(), misfit)));
        }
        let outer = context::current();
        let now = clock::now();
        let deadlines = [said.deadline.map(|left| now.saturating_add(nanos(left))), outer.as_ref().and_then(|frame| frame.deadline)];
        let frame = Frame {
            chain: outer.as_ref().map(|frame| frame.chain.clone()).unwrap_or_default(),
            correlation_id: match (said.correlation_id.and_then(ids::clean), &outer) {
                (Some(id), _) => id.into(),
                (None, Some(frame)) => Arc::clone(&frame.correlation_id),
                (None, None) => ids::mint().into(),
            },
            deadline: deadlines.into_iter().flatten().min(),
        };
        Driver::new(&self.shared, style, said.key, frame, now, call).map_err(Error::Config)
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Policy").field("name", &self.shared.label).finish_non_exhaustive()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Rounded up.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    nanos(duration).div_ceil(MS)
}

/// A view of a policy with what the caller says of its calls.
#[derive(Clone, Debug)]
#[must_use = "a view does nothing until something is called with it"]
pub struct Using<'p> {
    policy: &'p Policy,
    key: Option<String>,
    correlation_id: Option<String>,
    deadline: Option<Duration>,
}

impl<'p> Using<'p> {
    /// The key that parts the state.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The correlation id; one that is not 1 to 128 safe characters is replaced.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The time that the caller has left. What it cuts short says nothing about the callee.
    pub fn deadline(mut self, left: Duration) -> Self {
        self.deadline = Some(left);
        self
    }

    fn said(&self) -> Said<'_> {
        Said { key: self.key.as_deref(), correlation_id: self.correlation_id.as_deref(), deadline: self.deadline }
    }

    /// As [`Policy::call`].
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub fn call<T: 'static, E: 'static>(&self, mut call: impl FnMut() -> Result<T, E>) -> Result<T, Error<E>> {
        self.policy.blocking(self.said(), |_| call())
    }

    /// As [`Policy::run`].
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub fn run<T: 'static, E: 'static>(&self, call: impl FnMut(&Current<'_>) -> Result<T, E>) -> Result<T, Error<E>> {
        self.policy.blocking(self.said(), call)
    }

    /// As [`Policy::call_async`].
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub async fn call_async<T: 'static, E: 'static, Fut>(&self, mut call: impl FnMut() -> Fut) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.policy.concurrent(self.said(), |_| call()).await
    }

    /// As [`Policy::run_async`].
    ///
    /// # Errors
    /// The function's own error, or one of ours in its place.
    pub async fn run_async<T: 'static, E: 'static, Fut>(&self, call: impl FnMut(&Current<'_>) -> Fut) -> Result<T, Error<E>>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.policy.concurrent(self.said(), call).await
    }

    /// The circuit breaker of the key.
    #[must_use]
    pub fn breaker(&self) -> BreakerHandle<'_> {
        BreakerHandle { policy: &self.policy.shared.policy, key: self.key.as_deref() }
    }
}
