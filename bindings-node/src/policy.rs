//! Policies, their breakers, and what belongs to the process: ids, events, chaos, metrics, virtual time.

use std::sync::Arc;

use napi::bindgen_prelude::Result;
use napi_derive::napi;
use seawall_runtime::Policy;

use crate::call::nanoseconds;
use crate::error::config;
use crate::isolate;
use crate::slab::Slab;

static POLICIES: Slab<Policy> = Slab::new("policy");

pub(crate) fn policy(handle: u32) -> Result<Arc<Policy>> {
    POLICIES.get(handle)
}

/// The handles of an isolate that has ended are given back, and nobody holds its stale values.
pub(crate) fn end_of(isolate: u32) {
    seawall_runtime::forget_stale_of(isolate);
    drop(POLICIES.take_of(isolate));
}

/// Validates a spec.
#[napi]
pub fn check(spec: String) -> Result<()> {
    seawall_runtime::check(&spec).map_err(config)
}

/// The policy of a spec; one name gives one policy.
#[napi]
pub fn resolve(spec: String) -> Result<u32> {
    seawall_runtime::resolve(&spec).map(|policy| POLICIES.put(policy)).map_err(config)
}

/// Gives a handle back.
#[napi]
pub fn policy_drop(handle: u32) {
    POLICIES.drop_handle(handle);
}

/// Labels an unnamed policy; the first label stays.
#[napi]
pub fn policy_label(handle: u32, label: String) -> Result<()> {
    policy(handle).map(|policy| policy.set_label(&label))
}

/// What a driver needs to know, as JSON.
#[napi]
pub fn policy_info(handle: u32) -> Result<String> {
    policy(handle).map(|policy| policy.info())
}

/// What a load did: the records of its events, and the tickets of this isolate's calls to be woken.
#[napi(object)]
pub struct Loaded {
    /// JSON texts.
    pub events: Vec<String>,
    /// Numbers below 2^53.
    pub tickets: Vec<i64>,
}

impl From<seawall_runtime::Loaded> for Loaded {
    fn from(loaded: seawall_runtime::Loaded) -> Self {
        Self { events: loaded.events, tickets: isolate::wake_all(loaded.tickets) }
    }
}

/// Loads a policy file.
#[napi]
pub fn load(path: String, env: Option<String>, now: f64) -> Result<Loaded> {
    seawall_runtime::load(&path, env.as_deref(), nanoseconds(now)).map(Loaded::from).map_err(config)
}

/// Sets the mode; gives the event's record.
#[napi]
pub fn policy_set_mode(
    handle: u32,
    mode: String,
    reason: String,
    author: Option<String>,
    expires_in_ms: Option<f64>,
    now: f64,
) -> Result<String> {
    policy(handle)?.set_mode(&mode, &reason, author.as_deref(), milliseconds(expires_in_ms), nanoseconds(now)).map_err(config)
}

/// The policy as it stands, as JSON.
#[napi]
pub fn policy_snapshot(handle: u32, key: Option<String>, now: f64) -> Result<String> {
    policy(handle).map(|policy| policy.snapshot(key.as_deref(), nanoseconds(now)))
}

/// The longest time and the most calls, as JSON.
#[napi]
pub fn policy_worst_case(handle: u32) -> Result<String> {
    policy(handle).map(|policy| policy.worst_case().to_json())
}

/// The second policy guards what the first one guards.
#[napi]
pub fn policy_note_inner(handle: u32, inner: u32) -> Result<()> {
    policy(handle)?.note_inner(&policy(inner)?);
    Ok(())
}

/// The findings of every policy as JSON, or those of one spec.
#[napi]
pub fn lint(spec: Option<String>) -> Result<String> {
    spec.map_or_else(|| Ok(seawall_runtime::lint()), |spec| seawall_runtime::lint_spec(&spec).map_err(config))
}

/// The mode now.
#[napi]
pub fn policy_mode(handle: u32, now: f64) -> Result<&'static str> {
    Ok(policy(handle)?.mode(nanoseconds(now)).name())
}

/// The breaker's judged state.
#[napi]
pub fn breaker_state(handle: u32, key: Option<String>, now: f64) -> Result<&'static str> {
    policy(handle)?.breaker_state(key.as_deref(), nanoseconds(now)).map_err(config)
}

/// Total, failures, slow, consecutive failures, rejected.
#[napi]
pub fn breaker_counts(handle: u32, key: Option<String>, now: f64) -> Result<Vec<i64>> {
    let counts = policy(handle)?.breaker_counts(key.as_deref(), nanoseconds(now)).map_err(config)?;
    Ok(counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).collect())
}

fn milliseconds(ms: Option<f64>) -> Option<u64> {
    ms.map(|ms| ms as u64)
}

/// Holds the circuit open; gives the events' records.
#[napi]
pub fn breaker_isolate(
    handle: u32,
    key: Option<String>,
    reason: String,
    author: Option<String>,
    expires_in_ms: Option<f64>,
    now: f64,
) -> Result<Vec<String>> {
    policy(handle)?
        .breaker_isolate(key.as_deref(), &reason, author.as_deref(), milliseconds(expires_in_ms), nanoseconds(now))
        .map_err(config)
}

/// Lets every call through; gives the events' records.
#[napi]
pub fn breaker_disable(
    handle: u32,
    key: Option<String>,
    reason: String,
    author: Option<String>,
    expires_in_ms: Option<f64>,
    now: f64,
) -> Result<Vec<String>> {
    policy(handle)?
        .breaker_disable(key.as_deref(), &reason, author.as_deref(), milliseconds(expires_in_ms), nanoseconds(now))
        .map_err(config)
}

/// Closes the circuit and forgets its history; gives the events' records.
#[napi]
pub fn breaker_reset(handle: u32, key: Option<String>) -> Result<Vec<String>> {
    policy(handle)?.breaker_reset(key.as_deref()).map_err(config)
}

/// Keeps a result under a key: the slot to keep it in, -1 for none, and then the slots to forget.
#[napi]
pub fn stale_put(handle: u32, key: String, bytes: f64, now: f64) -> Result<Vec<i64>> {
    // Saturates.
    let (slot, forget) = policy(handle)?.stale_put(isolate::current().unwrap_or_default(), &key, bytes as u64, nanoseconds(now));
    Ok(std::iter::once(slot).chain(forget).collect())
}

/// The slot of the result kept under a key, or -1 if there is none fit to be given.
#[napi]
pub fn stale_find(handle: u32, key: String, now: f64) -> Result<i64> {
    Ok(policy(handle)?.stale_find(isolate::current().unwrap_or_default(), &key, nanoseconds(now)))
}

/// Prometheus text.
#[napi]
pub fn metrics(open: bool) -> String {
    if open { seawall_runtime::metrics_open() } else { seawall_runtime::metrics() }
}

/// All metrics as JSON, for collectors of other libraries.
#[napi]
pub fn metric_families() -> String {
    seawall_runtime::families()
}

/// Says once what runs this, as metrics say it.
#[napi]
pub fn announce(runtime: String) {
    seawall_admin::announce("node", runtime);
}

/// The same as JSON.
#[napi]
pub fn snapshot() -> String {
    seawall_runtime::snapshot()
}

/// A new correlation id.
#[napi]
pub fn mint_id() -> String {
    seawall_runtime::ids::mint()
}

/// The id, if it is 1 to 128 safe characters.
#[napi]
pub fn clean_id(text: String) -> Option<String> {
    seawall_runtime::ids::clean(&text).map(str::to_owned)
}

/// The log line of an event's record.
#[napi]
pub fn event_line(record: String) -> String {
    seawall_runtime::events::line(&record)
}

/// Whether chaos may fire.
#[napi]
pub fn armed() -> bool {
    seawall_runtime::chaos::armed()
}

/// Arms or disarms chaos, for tests.
#[napi]
pub fn arm(on: bool) {
    seawall_runtime::chaos::arm(on);
}

/// Forgets every state and name, and empties the queues in memory, for tests. Policies without a seed of their own draw from `seed` afterwards.
#[napi]
pub fn reset_all(seed: Option<f64>) {
    seawall_runtime::reset_all(seed.map(|seed| seed as u64));
    crate::queue::forget_memory();
}

/// Milliseconds on the clock of the process, which all isolates count from. Never virtual.
#[napi]
pub fn clock_now() -> f64 {
    seawall_runtime::clock::real() as f64 / 1e6
}

/// Virtual time for what reads the runtime's own clock: gauges, and the end of an experiment. Calls are told the time.
#[napi]
pub fn clock_virtual(ms: f64) {
    seawall_runtime::clock::set_virtual(ms as u64);
}

/// Moves virtual time on.
#[napi]
pub fn clock_advance(ms: f64) {
    seawall_runtime::clock::advance(ms as u64);
}

/// Back to the monotonic clock.
#[napi]
pub fn clock_real() {
    seawall_runtime::clock::set_real();
}
