//! Plays one vector.

mod admin;
mod strikes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use seawall_engine::table::errors::ERRORS;
use seawall_engine::time::MS;
use seawall_runtime::{Call, Ended, Op, Policy};
use serde_json::{Map, Value, json};

use crate::failure::{CalleeError, bits, result_bits};
use crate::raises::{Failed, raises, report};
use crate::seen::Seen;
use crate::spec::{spec, stale_key};
use crate::stream::Stream;
use crate::transcript::Transcript;
use crate::vector::{Step, Vector, duration_ms};

/// The flag of a call that is a stream.
const STREAM: u32 = 16;

/// The transcript of a vector.
///
/// # Errors
/// If its configuration is wrong or a step names what is not there.
pub fn play(vector: &Vector) -> Result<Vec<String>, String> {
    let mut player = Player::new(vector)?;
    for step in &vector.steps {
        player.play(step)?;
    }
    Ok(player.into_parts().0)
}

pub(crate) struct Running {
    call: Call,
    pub(crate) place: usize,
    /// The latest attempt whose callee was entered.
    pub(crate) latest: u32,
    /// The attempts whose callee has not ended.
    pub(crate) open: BTreeSet<u32>,
    /// The attempts that were cut.
    pub(crate) cut: BTreeSet<u32>,
    pub(crate) is_over: bool,
    pub(crate) stream: Stream,
    /// The attempts whose result chaos made up.
    made_up: BTreeSet<u32>,
    /// The attempts whose behaviour failed.
    misbehaved: BTreeSet<u32>,
    errors: BTreeMap<u32, String>,
    values: BTreeMap<u32, Value>,
    failed: Option<Failed>,
    fallback: Value,
}

struct Timer {
    at: u64,
    call: String,
    reason: i64,
    attempt: i64,
}

/// One vector under way.
pub(crate) struct Player<'a> {
    config: &'a Map<String, Value>,
    pub(crate) is_stream: bool,
    policy: Arc<Policy>,
    keyed: bool,
    pub(crate) now: u64,
    pub(crate) calls: BTreeMap<String, Running>,
    timers: Vec<Timer>,
    parked: BTreeMap<i64, String>,
    woken: VecDeque<String>,
    keys: BTreeSet<Option<String>>,
    breakers: BTreeMap<Option<String>, String>,
    letters: Vec<String>,
    /// The good values kept, by slot.
    stale: BTreeMap<i64, Value>,
    pub(crate) transcript: Transcript,
    seen: Seen,
    /// The calls that had something to do since the last rest, and whether any of them waited.
    busy: BTreeSet<String>,
    slept: bool,
    /// Letters of this step that were there at the last rest.
    settled: usize,
    /// Whether calls ran at once and one of them moved the time, or several wrote letters: who came first decides what is seen.
    raced: bool,
    /// Whether a callee was cut.
    cut: bool,
}

impl<'a> Player<'a> {
    pub(crate) fn new(vector: &'a Vector) -> Result<Self, String> {
        seawall_runtime::reset_all(None);
        seawall_runtime::chaos::arm(true);
        seawall_runtime::clock::set_virtual(0);
        let policy = seawall_runtime::resolve(&spec(vector)).map_err(|error| format!("{}: {error}", vector.title))?;
        Ok(Self {
            config: &vector.config,
            is_stream: vector.stream,
            policy,
            keyed: vector.config.contains_key("key"),
            now: 0,
            calls: BTreeMap::new(),
            timers: Vec::new(),
            parked: BTreeMap::new(),
            woken: VecDeque::new(),
            keys: BTreeSet::new(),
            breakers: BTreeMap::new(),
            letters: Vec::new(),
            stale: BTreeMap::new(),
            transcript: Transcript::default(),
            seen: Seen::default(),
            busy: BTreeSet::new(),
            slept: false,
            settled: 0,
            raced: false,
            cut: false,
        })
    }

    /// One step, until everything is at rest, and its report.
    pub(crate) fn play(&mut self, step: &Step) -> Result<(), String> {
        self.step(step)?;
        self.rest();
        self.report();
        Ok(())
    }

    /// The transcript and what was reached.
    pub(crate) fn into_parts(self) -> (Vec<String>, Seen) {
        (self.transcript.into_lines(), self.seen)
    }

    /// The callees that have not ended, and that a step may end: call and attempt.
    pub(crate) fn open(&self) -> Vec<(String, u32)> {
        let waiting = self.calls.iter().filter(|(_, running)| !running.stream.holds);
        waiting.flat_map(|(name, running)| running.open.iter().map(|attempt| (name.clone(), *attempt))).collect()
    }

    /// The calls that are not over, and that may be given up: whoever holds an item stops instead.
    pub(crate) fn live(&self) -> Vec<String> {
        self.calls.iter().filter(|(_, running)| !running.is_over && !running.stream.holds).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn raced(&self) -> bool {
        self.raced
    }

    pub(crate) fn cut(&self) -> bool {
        self.cut
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if let Some(name) = &step.start {
            return self.start(name, step.key.as_deref());
        }
        if let Some(name) = &step.end {
            return self.end(name, step);
        }
        if let Some(name) = &step.cancel {
            return self.drive(name, Call::cancelled);
        }
        if let Some(by) = &step.advance {
            self.advance(duration_ms(by));
            return Ok(());
        }
        if let Some(parts) = &step.reload {
            return self.reload(parts);
        }
        if let Some(done) = self.stream_step(step) {
            return done;
        }
        match step.admin.as_deref() {
            Some(verb) => self.admin(verb, step),
            None => Err("a step names none of start, end, item, ask, stop, cancel, advance, admin, reload".into()),
        }
    }

    fn start(&mut self, name: &str, key: Option<&str>) -> Result<(), String> {
        if key.is_some() != self.keyed {
            return Err(format!("call `{name}`: a call of a keyed policy has a key, and no other has"));
        }
        let call = Call::new(&self.policy, key, name, if self.is_stream { STREAM } else { 0 }, -1, 0).map_err(|error| error.to_string())?;
        self.keys.insert(key.map(str::to_owned));
        let before = self.calls.get(name);
        if before.is_some_and(|before| !before.is_over || !before.open.is_empty()) {
            return Err(format!("call `{name}` is started twice"));
        }
        let place = before.map_or(self.calls.len(), |before| before.place);
        let running = Running {
            call,
            place,
            latest: 0,
            open: BTreeSet::new(),
            cut: BTreeSet::new(),
            is_over: false,
            stream: Stream::default(),
            made_up: BTreeSet::new(),
            misbehaved: BTreeSet::new(),
            errors: BTreeMap::new(),
            values: BTreeMap::new(),
            failed: None,
            fallback: Value::Null,
        };
        self.calls.insert(name.to_owned(), running);
        self.drive(name, Call::start)
    }

    pub(crate) fn running(&mut self, name: &str) -> Result<&mut Running, String> {
        self.calls.get_mut(name).ok_or_else(|| format!("there is no call `{name}`"))
    }

    fn end(&mut self, name: &str, step: &Step) -> Result<(), String> {
        let (config, is_stream) = (self.config, self.is_stream);
        let running = self.running(name)?;
        let attempt = step.attempt.unwrap_or(running.latest);
        if !running.open.remove(&attempt) {
            // Nothing is left to end where the policy rejected the call.
            return Ok(());
        }
        let ended = match CalleeError::of(step) {
            Some(error) => {
                running.errors.insert(attempt, error.name.clone());
                (error.kind, bits(config, &error), error.status, error.retry_after_ms, error.name)
            }
            None => {
                let value = step.value.clone().filter(|_| !is_stream).unwrap_or(Value::Null);
                // A stream has items, and no result that could be rejected.
                let bits = if is_stream { 0 } else { result_bits(config, &value) };
                running.values.insert(attempt, value);
                (0, bits, 0, -1, String::new())
            }
        };
        let (kind, bits, status, retry_after_ms, error_type) = ended;
        self.drive(name, |call, now| call.ended(now, Ended { attempt, kind, bits, status, retry_after_ms, error_type: &error_type }))
    }

    /// Reports one input of a call and performs what follows, wakes of other calls included.
    pub(crate) fn drive(&mut self, name: &str, input: impl FnOnce(&mut Call, u64) -> Vec<Op>) -> Result<(), String> {
        let now = self.now;
        let ops = input(&mut self.running(name)?.call, now);
        self.perform(name, ops)?;
        self.wake()
    }

    fn wake(&mut self) -> Result<(), String> {
        while let Some(woken) = self.woken.pop_front() {
            let now = self.now;
            let ops = self.running(&woken)?.call.granted(now);
            self.perform(&woken, ops)?;
        }
        Ok(())
    }

    fn perform(&mut self, name: &str, ops: Vec<Op>) -> Result<(), String> {
        if !ops.is_empty() {
            self.busy.insert(name.to_owned());
        }
        let mut queue: VecDeque<Op> = ops.into();
        while let Some(op) = queue.pop_front() {
            let more = self.op(name, &op, queue.front().map(|next| next.code))?;
            queue.extend(more);
        }
        Ok(())
    }

    fn op(&mut self, name: &str, op: &Op, next: Option<u8>) -> Result<Vec<Op>, String> {
        let [a, b, c, d] = op.args;
        self.seen.op(op);
        match op.code {
            1 => {
                self.cut = true;
                self.running(name)?.cut.insert(u32::try_from(a).unwrap_or(0));
            }
            0 => return self.start_attempt(name, a, c, d),
            2 => {
                self.sleep(b);
                let now = self.now;
                return Ok(self.running(name)?.call.timer(now, u32::try_from(a).unwrap_or(9), 0));
            }
            3 => {
                // A timer that is armed anew takes the place of the one before.
                self.timers.retain(|timer| (timer.call.as_str(), timer.reason, timer.attempt) != (name, a, b));
                self.timers.push(Timer { at: self.now + c.unsigned_abs() * MS, call: name.to_owned(), reason: a, attempt: b });
            }
            4 => {
                self.parked.insert(a, name.to_owned());
            }
            5 => self.woken.extend(self.parked.remove(&a)),
            6 => return self.failed(name, op.args, next),
            7 => return self.letter(name),
            8 => return self.fall_back(name, a),
            9 => self.finish(name, a, b)?,
            11 => self.behave(name, a)?,
            _ => {}
        }
        Ok(Vec::new())
    }

    fn sleep(&mut self, ms: i64) {
        self.transcript.wait(ms);
        self.slept = true;
        self.now += ms.unsigned_abs() * MS;
        seawall_runtime::clock::advance(ms.unsigned_abs());
    }

    fn start_attempt(&mut self, name: &str, attempt: i64, latency_ms: i64, fault: i64) -> Result<Vec<Op>, String> {
        let number = u32::try_from(attempt).unwrap_or(0);
        if self.running(name)?.misbehaved.contains(&number) {
            return self.inject_fault(name, number, "behavior");
        }
        if latency_ms > 0 {
            self.sleep(latency_ms);
        }
        let now = self.now;
        if fault >= 0 {
            return self.inject_fault(name, number, "fault");
        }
        if fault < -1 {
            return self.inject_outcome(name, number, usize::try_from(-2 - fault).unwrap_or(0));
        }
        let running = self.running(name)?;
        running.latest = number;
        running.open.insert(number);
        let place = running.place;
        self.transcript.line(place, format!("@{} {name} attempt {attempt}", now / MS));
        Ok(Vec::new())
    }

    fn failed(&mut self, name: &str, [how, attempt, code, retry_after_ms]: [i64; 4], next: Option<u8>) -> Result<Vec<Op>, String> {
        let (config, now) = (self.config, self.now);
        let running = self.running(name)?;
        let error_of = |number: i64| u32::try_from(number).ok().and_then(|number| running.errors.get(&number).cloned());
        let ours = how == 1;
        let shown = match how {
            0 => error_of(attempt).unwrap_or_default(),
            1 => ERRORS[usize::try_from(code).unwrap_or(0)].code.to_owned(),
            _ => "result.rejected".to_owned(),
        };
        let cause = if ours { error_of(attempt) } else { None };
        running.failed = Some(Failed { name: shown.clone(), ours, retry_after_ms, cause });
        if next == Some(9) {
            return Ok(Vec::new());
        }
        let error = CalleeError { name: shown, status: 0, retry_after_ms: -1, kind: 1 };
        Ok(running.call.classified(now, bits(config, &error)))
    }

    fn letter(&mut self, name: &str) -> Result<Vec<Op>, String> {
        let now = self.now;
        let running = self.running(name)?;
        let attempts = report(&running.call)["attempts"].as_array().map_or(0, Vec::len);
        let error = running.failed.as_ref().map_or("", |failed| failed.name.as_str());
        let line = format!("letter {error} attempts={attempts} state=ready");
        let ops = running.call.letter_ended(now, true);
        self.letters.push(line);
        Ok(ops)
    }

    fn fall_back(&mut self, name: &str, step: i64) -> Result<Vec<Op>, String> {
        let now = self.now;
        let fallback = self.config.get("fallback").cloned().unwrap_or_default();
        if step < 0 {
            let slot = self.policy.stale_find(0, &stale_key(&fallback, name), now);
            let kept = self.stale.get(&slot).cloned();
            let running = self.running(name)?;
            let how = if kept.is_some() { 1 } else { 3 };
            running.fallback = kept.unwrap_or_default();
            return Ok(running.call.fallback_ended(now, how));
        }
        let running = self.running(name)?;
        let step = usize::try_from(step).unwrap_or(0);
        let chosen = fallback.get("steps").and_then(|steps| steps.get(step)).unwrap_or(&fallback);
        match chosen.get("value") {
            Some(value) => {
                running.fallback = value.clone();
                Ok(running.call.fallback_ended(now, 1))
            }
            None => Ok(running.call.fallback_ended(now, 0)),
        }
    }

    /// Keeps a good value for calls that fail later.
    fn keep(&mut self, name: &str, number: i64) -> Result<(), String> {
        let Some(fallback) = self.config.get("fallback").filter(|fallback| fallback["stale_if_error"] == json!(true)) else {
            return Ok(());
        };
        let running = self.running(name)?;
        let value = u32::try_from(number).ok().and_then(|number| running.values.get(&number)).cloned().unwrap_or_default();
        let is_made_up = u32::try_from(number).is_ok_and(|number| running.made_up.contains(&number));
        if is_made_up || result_bits(self.config, &value) != 0 {
            // A result that was rejected is returned in the end, but it is not a good one, and what chaos made up would outlast it.
            return Ok(());
        }
        // What a value takes differs between languages, so max_bytes is no matter of vectors.
        let (slot, forgotten) = self.policy.stale_put(0, &stale_key(fallback, name), 1, self.now);
        forgotten.iter().for_each(|slot| drop(self.stale.remove(slot)));
        if slot >= 0 {
            self.stale.insert(slot, value);
        }
        Ok(())
    }

    fn finish(&mut self, name: &str, what: i64, number: i64) -> Result<(), String> {
        if what == 0 && !self.is_stream {
            self.keep(name, number)?;
        }
        let has_retry = self.config.contains_key("retry");
        let at = self.now / MS;
        let is_stream = self.is_stream;
        if is_stream && what == 2 {
            self.show_item(name)?;
        }
        let running = self.running(name)?;
        let text = match what {
            _ if running.stream.stops => "stopped".to_owned(),
            0 => format!("returns {}", u32::try_from(number).ok().and_then(|n| running.values.get(&n)).unwrap_or(&Value::Null)),
            1 => raises(running.failed.as_ref(), &running.call, has_retry),
            2 if is_stream => "returns null".to_owned(),
            2 => format!("returns {}", running.fallback),
            _ => "cancelled".to_owned(),
        };
        let place = running.place;
        running.is_over = true;
        if let Some(reason) = report(&running.call)["reason"].as_str() {
            self.seen.count("reason", reason);
        }
        self.transcript.line(place, format!("@{at} {name} {text}"));
        self.timers.retain(|timer| timer.call != name);
        Ok(())
    }

    fn advance(&mut self, by_ms: u64) {
        let target = self.now + by_ms * MS;
        while let Some(due) =
            self.timers.iter().enumerate().filter(|(_, timer)| timer.at <= target).min_by_key(|(place, timer)| (timer.at, *place))
        {
            let timer = self.timers.remove(due.0);
            self.now = self.now.max(timer.at);
            let (reason, attempt) = (u32::try_from(timer.reason).unwrap_or(9), u32::try_from(timer.attempt).unwrap_or(0));
            if self.drive(&timer.call, |call, now| call.timer(now, reason, attempt)).is_ok() {
                self.rest();
            }
        }
        self.now = self.now.max(target);
    }

    fn rest(&mut self) {
        // Letters written at once have no order either.
        self.raced |= self.busy.len() > 1 && (self.slept || self.letters.len() > self.settled + 1);
        self.settled = self.letters.len();
        self.slept = false;
        self.busy.clear();
        self.transcript.rest();
    }

    /// The lines at the end of a step: breakers that changed, letters that came.
    fn report(&mut self) {
        if self.config.contains_key("circuit_breaker") {
            let keys: Vec<Option<String>> = if self.keyed { self.keys.iter().cloned().collect() } else { vec![None] };
            keys.into_iter().for_each(|key| self.report_breaker(key));
        }
        self.settled = 0;
        for letter in std::mem::take(&mut self.letters) {
            self.transcript.after(letter);
        }
    }

    fn report_breaker(&mut self, key: Option<String>) {
        let state = self.policy.breaker_state(key.as_deref(), self.now).unwrap_or("closed");
        self.seen.count("state", state);
        let [total, failures, slow, consecutive, rejected] = self.policy.breaker_counts(key.as_deref(), self.now).unwrap_or_default();
        let slow = if slow > 0 { format!(" slow={slow}") } else { String::new() };
        let line = format!("{state} total={total} failures={failures} consecutive={consecutive} rejected={rejected}{slow}");
        let label = key.as_ref().map_or_else(String::new, |key| format!("[{key}]"));
        let before = self.breakers.entry(key).or_insert_with(|| "closed total=0 failures=0 consecutive=0 rejected=0".to_owned());
        if *before != line {
            self.transcript.after(format!("breaker{label} {line}"));
            *before = line;
        }
    }
}
