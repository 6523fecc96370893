//! One guarded call: performs what the engine asks for, and reports what came of it. It decides nothing.
//!
//! One driver serves both styles. A blocking call is an async one whose attempts end in the poll that starts them and whose own waits
//! block; it is polled on the caller's thread.

use std::any::{Any, type_name};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_engine::outcome::{Bits, Kind};
use seawall_engine::step::TimerReason;
use seawall_engine::table::errors::ERRORS;
use seawall_engine::time::MS;
use seawall_runtime::{Call, ConfigError, Ended, Op, clock, ids};

use crate::context::{self, Frame};
use crate::error::{About, Error, Injected, Rejection, TimeoutExceeded};
use crate::policy::{Current, Shared, whole_ms};
use crate::quick::Held;
use crate::rules::RetryAfter;
use crate::timer::Timer;
use crate::wake::{self, Parked};
use crate::{event, nested, testing};

/// The outputs by their codes: ADR 1.
mod code {
    pub const START: u8 = 0;
    pub const CANCEL: u8 = 1;
    pub const SLEEP: u8 = 2;
    pub const TIMER: u8 = 3;
    pub const PARK: u8 = 4;
    pub const WAKE: u8 = 5;
    pub const FAILED: u8 = 6;
    pub const LETTER: u8 = 7;
    pub const FALLBACK: u8 = 8;
    pub const FINISH: u8 = 9;
    pub const EVENT: u8 = 10;
}

const COOPERATIVE: u32 = 1;

/// How the caller waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Blocking,
    Async,
}

struct Running<Fut> {
    attempt: u32,
    /// Before its start: what delays it, and the time it will have.
    begins: Option<(Timer, Option<Duration>, bool)>,
    future: Option<Pin<Box<Fut>>>,
}

struct Armed {
    reason: u32,
    attempt: u32,
    timer: Timer,
}

enum Heard<T, E> {
    Ended(u32, Result<T, E>),
    Struck(u32),
    Granted,
    Timer(u32, u32),
}

/// A call under way.
pub(crate) struct Driver<'p, T, E, F, Fut> {
    shared: &'p Shared,
    style: Style,
    key: Option<Box<str>>,
    call: Call,
    function: F,
    /// What its attempts are inside.
    frame: Arc<Frame>,
    ops: VecDeque<Op>,
    running: Vec<Running<Fut>>,
    timers: Vec<Armed>,
    parked: Option<Parked>,
    /// What attempts gave, by number from 1.
    ended: Vec<Option<Result<T, E>>>,
    failure: Option<Error<E>>,
    answer: Option<T>,
    is_done: bool,
}

// No field is pinned: futures are boxed.
impl<T, E, F, Fut> Unpin for Driver<'_, T, E, F, Fut> {}

impl<'p, T: 'static, E: 'static, F, Fut> Driver<'p, T, E, F, Fut> {
    pub(crate) fn new(
        shared: &'p Shared,
        style: Style,
        key: Option<&str>,
        mut frame: Frame,
        now: u64,
        function: F,
    ) -> Result<Self, ConfigError> {
        let flags = if style == Style::Blocking { COOPERATIVE } else { 0 };
        let left_ms = frame.deadline.map_or(-1, |at| i64::try_from(at.saturating_sub(now) / MS).unwrap_or(i64::MAX));
        let mut call = Call::new(&shared.policy, key, &frame.correlation_id, flags, left_ms, 0)?;
        frame.chain.push(call.within(&frame.chain));
        let ops = call.start(now);
        // What is inside the call has no more time than the call.
        if let Ok(left) = u64::try_from(call.left_ms(now)) {
            frame.deadline = Some(now.saturating_add(left.saturating_mul(MS)));
        }
        let mut driver = Self::around(shared, style, call, frame, function);
        driver.key = key.map(Into::into);
        driver.ops.extend(ops);
        Ok(driver)
    }

    /// A call whose first attempt was made on the quick path and ended so.
    pub(crate) fn resume(shared: &'p Shared, style: Style, held: Held<'_>, result: Result<T, E>, function: F) -> Self {
        let flags = if style == Style::Blocking { COOPERATIVE } else { 0 };
        let correlation_id: Arc<str> = ids::mint().into();
        let mut call = held.resume(&correlation_id, flags);
        let chain = vec![call.within(&[])];
        let mut driver = Self::around(shared, style, call, Frame { chain, correlation_id, deadline: None }, function);
        driver.report(Heard::Ended(1, result));
        driver
    }

    fn around(shared: &'p Shared, style: Style, call: Call, frame: Frame, function: F) -> Self {
        Self {
            shared,
            style,
            key: None,
            call,
            function,
            frame: Arc::new(frame),
            ops: VecDeque::new(),
            running: Vec::new(),
            timers: Vec::new(),
            parked: None,
            ended: Vec::new(),
            failure: None,
            answer: None,
            is_done: false,
        }
    }

    /// Runs the call to its end.
    pub(crate) async fn drive(mut self) -> Result<T, Error<E>>
    where
        F: FnMut(&Current<'_>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        loop {
            while let Some(op) = self.ops.pop_front() {
                if let Some(result) = self.perform(op) {
                    return result;
                }
            }
            let heard = poll_fn(|context| self.listen(context)).await;
            self.report(heard);
        }
    }

    fn perform(&mut self, op: Op) -> Option<Result<T, Error<E>>> {
        let [first, second, third, fourth] = op.args;
        match op.code {
            code::START => self.start(number(first), second, third, fourth),
            code::CANCEL => self.cut(number(first)),
            code::SLEEP => self.sleep(number(first), second),
            code::TIMER => self.timers.push(Armed { reason: number(first), attempt: number(second), timer: Timer::after(ms(third)) }),
            code::PARK if self.parked.as_ref().is_some_and(|parked| parked.ticket == ms(first)) => {}
            code::PARK => self.parked = Some(Parked::new(ms(first))),
            code::WAKE => wake::wake(ms(first)),
            code::FAILED => self.failed(first, number(second), third, fourth),
            code::LETTER => self.take(|call, now| call.letter_ended(now, false)),
            code::FALLBACK => self.fall_back(first),
            code::FINISH => return Some(self.finish(first, number(second))),
            code::EVENT => op.record.iter().for_each(|record| event::tell(record)),
            _ => {}
        }
        None
    }

    /// Gives the engine one input and queues what it asks for.
    fn take(&mut self, input: impl FnOnce(&mut Call, u64) -> Vec<Op>) {
        let ops = input(&mut self.call, clock::now());
        self.ops.extend(ops);
    }

    fn start(&mut self, attempt: u32, deadline_ms: i64, latency_ms: i64, fault: i64) {
        self.parked = None;
        self.timers.retain(|armed| armed.reason != reason::QUEUE);
        let latency = ms(latency_ms);
        if latency > 0 && self.style == Style::Blocking {
            pause(latency);
        }
        let wait = if self.style == Style::Blocking { 0 } else { latency };
        let remaining = u64::try_from(deadline_ms).ok().map(Duration::from_millis);
        self.running.push(Running { attempt, begins: Some((Timer::after(wait), remaining, fault >= 0)), future: None });
    }

    /// Drops an attempt. It has ended with that: nothing of it runs on.
    fn cut(&mut self, attempt: u32) {
        let before = self.running.len();
        self.running.retain(|running| running.attempt != attempt);
        if self.running.len() != before {
            self.take(|call, now| call.ended(now, cancelled(attempt)));
        }
    }

    fn sleep(&mut self, reason: u32, wait: i64) {
        if clock::is_virtual() {
            testing::slept(ms(wait));
        } else if self.style == Style::Blocking {
            pause(ms(wait));
        } else {
            return self.timers.push(Armed { reason, attempt: 0, timer: Timer::after(ms(wait)) });
        }
        self.take(|call, now| call.timer(now, reason, 0));
    }

    fn failed(&mut self, how: i64, attempt: u32, code: i64, retry_after_ms: i64) {
        self.parked = None;
        self.failure = Some(match how {
            0 => self.callee_error(attempt).map_or_else(|| self.injected(), Error::Callee),
            1 => self.own_error(usize::try_from(code).unwrap_or(0), attempt, retry_after_ms),
            _ => Error::ResultRejected,
        });
        if self.ops.iter().any(|op| op.code == code::FINISH) {
            return;
        }
        let asked = &self.shared.rules.fallback;
        let passed_over = self.failure.as_ref().is_some_and(|error| asked.passes_over(error));
        self.take(|call, now| call.classified(now, if passed_over { bits::FALLBACK_IGNORE } else { 0 }));
    }

    fn callee_error(&mut self, attempt: u32) -> Option<E> {
        self.slot(attempt)?.take()?.err()
    }

    fn own_error(&mut self, code: usize, cause: u32, retry_after_ms: i64) -> Error<E> {
        nested::make_known::<E>();
        let code = ERRORS.get(code).map_or("circuit.open", |row| row.code);
        let about = About::new(code, self.shared.label, self.key.as_deref(), Some(&self.frame.correlation_id));
        if code.starts_with("timeout.") {
            return Error::Timeout(TimeoutExceeded { about, cause: self.callee_error(cause) });
        }
        Error::Rejected(Rejection { about, retry_after_ms: u64::try_from(retry_after_ms).ok() })
    }

    /// The error of an attempt that gave none of its own: chaos stood in for the callee.
    fn injected(&self) -> Error<E> {
        nested::make_known::<E>();
        Error::Injected(Injected {
            about: About::new("chaos.injected", self.shared.label, self.key.as_deref(), Some(&self.frame.correlation_id)),
        })
    }

    fn fall_back(&mut self, step: i64) {
        let step = usize::try_from(step).ok().and_then(|step| self.shared.rules.steps.get(step));
        // Nothing stale is kept here: a value of the caller's has no bytes.
        let Some(step) = step else { return self.take(|call, now| call.fallback_ended(now, 3)) };
        self.answer = self.failure.as_ref().and_then(|error| step.answer(error));
        let returned = u8::from(self.answer.is_some());
        self.take(|call, now| call.fallback_ended(now, returned));
    }

    fn finish(&mut self, how: i64, attempt: u32) -> Result<T, Error<E>> {
        self.is_done = true;
        self.let_go();
        let value = match how {
            0 => self.slot(attempt).and_then(Option::take).and_then(Result::ok),
            2 => self.answer.take(),
            _ => None,
        };
        let lost = || Error::Config(ConfigError::new(self.shared.label, "the call ended without a result"));
        value.ok_or_else(|| self.failure.take().unwrap_or_else(lost))
    }

    /// Ends what still runs, and tells what is left to tell.
    fn let_go(&mut self) {
        self.parked = None;
        self.timers.clear();
        for running in std::mem::take(&mut self.running) {
            let attempt = running.attempt;
            drop(running);
            self.take(|call, now| call.ended(now, cancelled(attempt)));
        }
        tell_and_wake(std::mem::take(&mut self.ops));
    }

    fn slot(&mut self, attempt: u32) -> Option<&mut Option<Result<T, E>>> {
        self.ended.get_mut((attempt as usize).checked_sub(1)?)
    }

    /// The next thing that happens.
    fn listen(&mut self, context: &mut Context<'_>) -> Poll<Heard<T, E>>
    where
        F: FnMut(&Current<'_>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        for place in 0..self.running.len() {
            if let Poll::Ready(heard) = self.poll_attempt(place, context) {
                self.running.swap_remove(place);
                return Poll::Ready(heard);
            }
        }
        if let Some(parked) = &mut self.parked
            && parked.poll(context).is_ready()
        {
            return Poll::Ready(Heard::Granted);
        }
        let due = self.timers.iter_mut().position(|armed| armed.timer.poll(context).is_ready());
        match due.map(|place| self.timers.swap_remove(place)) {
            Some(armed) => Poll::Ready(Heard::Timer(armed.reason, armed.attempt)),
            None => Poll::Pending,
        }
    }

    fn poll_attempt(&mut self, place: usize, context: &mut Context<'_>) -> Poll<Heard<T, E>>
    where
        F: FnMut(&Current<'_>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let running = &mut self.running[place];
        let attempt = running.attempt;
        let _inside = context::enter(&self.frame);
        if let Some((timer, remaining, is_struck)) = &mut running.begins {
            if timer.poll(context).is_pending() {
                return Poll::Pending;
            }
            if *is_struck {
                return Poll::Ready(Heard::Struck(attempt));
            }
            let current = Current { attempt, remaining: *remaining, frame: &self.frame };
            running.future = Some(Box::pin((self.function)(&current)));
            running.begins = None;
        }
        match running.future.as_mut().map(|future| future.as_mut().poll(context)) {
            Some(Poll::Ready(result)) => Poll::Ready(Heard::Ended(attempt, result)),
            _ => Poll::Pending,
        }
    }

    fn report(&mut self, heard: Heard<T, E>) {
        match heard {
            Heard::Ended(attempt, result) => {
                let ended = self.judge(attempt, &result);
                let place = attempt.saturating_sub(1) as usize;
                if self.ended.len() <= place {
                    self.ended.resize_with(place + 1, || None);
                }
                self.ended[place] = Some(result);
                self.timers.retain(|armed| armed.attempt != attempt);
                self.take(|call, now| call.ended(now, ended));
            }
            Heard::Struck(attempt) => {
                self.timers.retain(|armed| armed.attempt != attempt);
                let ended = Ended { kind: Kind::Injected as u32, ..cancelled(attempt) };
                self.take(|call, now| call.ended(now, ended));
            }
            Heard::Granted => self.take(Call::granted),
            Heard::Timer(reason, attempt) => self.take(|call, now| call.timer(now, reason, attempt)),
        }
    }

    /// What only the caller's functions can say of an outcome.
    fn judge(&self, attempt: u32, result: &Result<T, E>) -> Ended<'static> {
        let rules = &self.shared.rules;
        let ended = succeeded(attempt);
        match result {
            Ok(value) => {
                let rejects = |own, bit| if rules.results(own).rejects(value) { bit } else { 0 };
                let bits = rejects(&rules.retry, Bits::RETRY_RESULT) | rejects(&rules.breaker, Bits::BREAKER_RESULT);
                Ended { bits, ..ended }
            }
            Err(error) => {
                let passes = |own, bit| if rules.errors(own).passes_over(error) { bit } else { 0 };
                let mut bits = passes(&rules.retry, bits::RETRY_IGNORE) | passes(&rules.breaker, bits::BREAKER_IGNORE);
                let mut kind = nested::kind(error);
                if kind == Kind::Rejected && rules.errors(&rules.retry).names(error) {
                    // Somebody else's rejection that `on` names is tried again, and stays neutral to the breaker.
                    kind = Kind::Error;
                    bits |= bits::BREAKER_IGNORE;
                }
                Ended {
                    kind: kind as u32,
                    bits,
                    status: rules.status.read(error).unwrap_or(0).into(),
                    retry_after_ms: server_wait(rules.retry_after.read(error as &dyn Any)),
                    error_type: type_name::<E>(),
                    ..ended
                }
            }
        }
    }
}

impl<T, E, F, Fut> Driver<'_, T, E, F, Fut> {
    /// The caller gave up, or its function panicked: neither says anything about the callee.
    fn give_up(&mut self) {
        let mut ops = self.call.cancelled(clock::now());
        for running in std::mem::take(&mut self.running) {
            let attempt = running.attempt;
            drop(running);
            ops.extend(self.call.ended(clock::now(), cancelled(attempt)));
        }
        tell_and_wake(self.ops.drain(..).chain(ops));
    }
}

impl<T, E, F, Fut> Drop for Driver<'_, T, E, F, Fut> {
    fn drop(&mut self) {
        if !self.is_done {
            self.parked = None;
            self.give_up();
        }
    }
}

/// What concerns others, of a call that is over.
pub(crate) fn tell_and_wake(ops: impl IntoIterator<Item = Op>) {
    for op in ops {
        match op.code {
            code::WAKE => wake::wake(ms(op.args[0])),
            code::EVENT => op.record.iter().for_each(|record| event::tell(record)),
            _ => {}
        }
    }
}

mod reason {
    pub const QUEUE: u32 = super::TimerReason::Queue as u32;
}

/// The bits of ADR 1 that a driver sets for errors.
mod bits {
    pub const RETRY_IGNORE: u32 = 2;
    pub const BREAKER_IGNORE: u32 = 8;
    pub const FALLBACK_IGNORE: u32 = 32;
}

fn ms(argument: i64) -> u64 {
    u64::try_from(argument).unwrap_or(0)
}

fn number(argument: i64) -> u32 {
    u32::try_from(argument).unwrap_or(0)
}

pub(crate) fn succeeded(attempt: u32) -> Ended<'static> {
    Ended { attempt, kind: Kind::Success as u32, bits: 0, status: 0, retry_after_ms: -1, error_type: "" }
}

pub(crate) fn cancelled(attempt: u32) -> Ended<'static> {
    Ended { attempt, kind: Kind::Cancelled as u32, bits: 0, status: 0, retry_after_ms: -1, error_type: "" }
}

/// Rounded up: never earlier than the server said.
fn server_wait(said: Option<RetryAfter>) -> i64 {
    match said {
        None => -1,
        Some(RetryAfter::Never) => -2,
        Some(RetryAfter::After(wait)) => i64::try_from(whole_ms(wait)).unwrap_or(i64::MAX),
    }
}

/// A wait of our own in a blocking call.
fn pause(wait_ms: u64) {
    if clock::is_virtual() {
        testing::slept(wait_ms);
    } else {
        std::thread::sleep(Duration::from_millis(wait_ms));
    }
}
