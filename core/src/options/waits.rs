//! Options of time limits, hedges, fallbacks and chaos.

use std::any::{Any, TypeId, type_name};
use std::time::Duration;

use serde_json::{Map, Value};

use super::Written;
use crate::error::Error;
use crate::rules::Asked;

/// Bounds how long a call may take.
#[derive(Clone, Debug, Default)]
pub struct Timeout {
    pub(crate) written: Written,
}

impl Timeout {
    /// No limit yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The limit of each attempt. An async attempt is dropped; a blocking one cannot be cut, see [`Policy::call`](crate::Policy::call).
    #[must_use]
    pub fn attempt(mut self, limit: Duration) -> Self {
        self.written.duration("attempt", limit);
        self
    }

    /// The limit of the whole call: attempts, waits and queues.
    #[must_use]
    pub fn total(mut self, limit: Duration) -> Self {
        self.written.duration("total", limit);
        self
    }
}

/// Starts another attempt beside one that takes long. Async calls only.
#[derive(Clone, Debug, Default)]
pub struct Hedge {
    pub(crate) written: Written,
}

impl Hedge {
    /// One attempt more, once the running one has taken longer than 95 of 100.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long an attempt may run before another is started beside it.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.written.duration("delay", delay);
        self
    }

    /// Attempts that may be started beside others, per call: 1 to 10.
    #[must_use]
    pub fn max_hedges(mut self, hedges: u32) -> Self {
        self.written.set("max_hedges", hedges);
        self
    }
}

type Answer = Box<dyn Fn(&dyn Any) -> Option<Box<dyn Any>> + Send + Sync>;

/// One answer of a fallback, and the types it was written for.
pub(crate) struct Step {
    gives: (TypeId, &'static str),
    takes: Option<(TypeId, &'static str)>,
    answer: Answer,
}

impl Step {
    /// What is wrong with it for calls that give `T` and fail with `E`.
    pub(crate) fn misfit<T: 'static, E: 'static>(&self) -> Option<String> {
        let misfit = |word: &str, ours: &str, theirs: &str| Some(format!("the fallback {word} {ours}, the call {theirs}"));
        match self.takes {
            _ if self.gives.0 != TypeId::of::<T>() => misfit("gives", self.gives.1, type_name::<T>()),
            Some((id, name)) if id != TypeId::of::<E>() => misfit("takes errors of", name, type_name::<E>()),
            _ => None,
        }
    }

    pub(crate) fn answer<T: 'static, E: 'static>(&self, error: &Error<E>) -> Option<T> {
        (self.answer)(error)?.downcast().ok().map(|value| *value)
    }
}

/// Answers in place of an error: values or functions, tried in order.
#[derive(Default)]
pub struct Fallback {
    pub(crate) written: Written,
    pub(crate) asked: Asked,
    pub(crate) steps: Vec<Step>,
}

impl Fallback {
    /// No answer yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers with a value.
    #[must_use]
    pub fn value<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        let answer: Answer = Box::new(move |_| Some(Box::new(value.clone())));
        self.steps.push(Step { gives: (TypeId::of::<T>(), type_name::<T>()), takes: None, answer });
        self
    }

    /// Answers with what the function makes of the error; at `None` the next answer is tried, or the error surfaces.
    #[must_use]
    pub fn with<T: 'static, E: 'static>(mut self, answer: impl Fn(&Error<E>) -> Option<T> + Send + Sync + 'static) -> Self {
        let answer: Answer = Box::new(move |error| answer(error.downcast_ref()?).map(|value| Box::new(value) as _));
        let takes = Some((TypeId::of::<E>(), type_name::<E>()));
        self.steps.push(Step { gives: (TypeId::of::<T>(), type_name::<T>()), takes, answer });
        self
    }

    /// Errors that are answered; default: all of them, the callee's and ours.
    #[must_use]
    pub fn on<E: 'static>(mut self, matches: impl Fn(&Error<E>) -> bool + Send + Sync + 'static) -> Self {
        self.asked.on(matches);
        self
    }

    /// Errors that are not answered.
    #[must_use]
    pub fn ignore<E: 'static>(mut self, matches: impl Fn(&Error<E>) -> bool + Send + Sync + 'static) -> Self {
        self.asked.ignore(matches);
        self
    }
}

/// Makes attempts slow or fail, on purpose. Does nothing unless the process was started with `SEAWALL_CHAOS=allow`.
#[derive(Clone, Debug, Default)]
pub struct Chaos {
    pub(crate) written: Written,
}

impl Chaos {
    /// Strikes this share of attempts, in [0, 1], for so long from the start of the process.
    #[must_use]
    pub fn new(rate: f64, expires_in: Duration) -> Self {
        let mut written = Written::default();
        written.set("rate", rate);
        written.duration("expires_in", expires_in);
        Self { written }
    }

    /// A struck attempt fails with [`Error::Injected`] in the callee's place.
    #[must_use]
    pub fn fault(mut self) -> Self {
        self.written.set("fault", 1);
        self
    }

    /// A struck attempt begins so much later.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.written.duration("latency", latency);
        self
    }

    /// When it strikes: `"2m every 10m"`, counted from the start of the process, or `"Mon-Fri 09:00-17:00 Europe/Berlin"`.
    #[must_use]
    pub fn window(mut self, window: &str) -> Self {
        self.written.set("window", window);
        self
    }

    /// The most that is ever struck of any 100 attempts in a row, in [0.01, 1], and of all while there are fewer.
    #[must_use]
    pub fn max_share(mut self, share: f64) -> Self {
        self.written.set("max_share", share);
        self
    }

    /// Ends the experiment when the policy's own circuit opens.
    #[must_use]
    pub fn abort_when_open(self) -> Self {
        self.abort("breaker", "open")
    }

    /// Ends the experiment when a circuit of the policy of this name opens.
    #[must_use]
    pub fn abort_when_open_in(self, policy: &str) -> Self {
        self.abort("breaker", "open").abort("policy", policy)
    }

    /// Ends the experiment when this share of the last 50 calls failed, in (0, 1], once so many have ended, 1 to 50.
    #[must_use]
    pub fn abort_when_failing(self, failure_ratio: f64, minimum_throughput: u32) -> Self {
        self.abort("failure_ratio", failure_ratio).abort("minimum_throughput", minimum_throughput)
    }

    fn abort(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(table) = self.written.0.entry("abort_when").or_insert_with(|| Value::Object(Map::new())) {
            table.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Decides which attempts are struck.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.written.set("seed", seed);
        self
    }
}
