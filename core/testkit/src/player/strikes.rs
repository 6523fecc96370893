//! What chaos does to an attempt.

use seawall_engine::time::MS;
use seawall_runtime::{Ended, Op};
use serde_json::Value;

use super::Player;
use crate::failure::result_bits;

impl Player<'_> {
    /// Runs the behaviour of an attempt; a text is the error that it raises.
    pub(super) fn behave(&mut self, name: &str, attempt: i64) -> Result<(), String> {
        let (at, fails) = (self.now / MS, self.config.get("chaos").is_some_and(|chaos| chaos["behavior"].is_string()));
        let running = self.running(name)?;
        if fails {
            running.misbehaved.extend(u32::try_from(attempt));
        }
        let place = running.place;
        self.transcript.line(place, format!("@{at} {name} behavior {attempt}"));
        Ok(())
    }

    /// The attempt fails by a fault that chaos injected.
    pub(super) fn inject_fault(&mut self, name: &str, attempt: u32, option: &str) -> Result<Vec<Op>, String> {
        let (config, now) = (self.config, self.now);
        let fault = config.get("chaos").and_then(|chaos| chaos.get(option)).and_then(Value::as_str).unwrap_or("fault");
        let running = self.running(name)?;
        running.errors.insert(attempt, fault.to_owned());
        Ok(running.call.ended(now, Ended { attempt, kind: 6, bits: 0, status: 0, retry_after_ms: -1, error_type: fault }))
    }

    /// The attempt returns what chaos says, as if the callee had.
    pub(super) fn inject_outcome(&mut self, name: &str, attempt: u32, place: usize) -> Result<Vec<Op>, String> {
        let (config, now) = (self.config, self.now);
        if self.is_stream {
            return self.inject_stream(name, attempt);
        }
        let value = config.get("chaos").and_then(|chaos| chaos["outcome"][place].get("value")).cloned().unwrap_or_default();
        let bits = result_bits(config, &value);
        let running = self.running(name)?;
        running.values.insert(attempt, value);
        running.made_up.insert(attempt);
        Ok(running.call.ended(now, Ended { attempt, kind: 0, bits, status: 0, retry_after_ms: -1, error_type: "" }))
    }

    /// What chaos made up is a stream of its one value, whose consumer asks for more at once.
    fn inject_stream(&mut self, name: &str, attempt: u32) -> Result<Vec<Op>, String> {
        let now = self.now;
        let running = self.running(name)?;
        running.stream.chosen = attempt;
        running.made_up.insert(attempt);
        let mut ops = running.call.item(now, attempt);
        ops.extend(running.call.asked(now, attempt));
        ops.extend(running.call.ended(now, Ended { attempt, kind: 0, bits: 0, status: 0, retry_after_ms: -1, error_type: "" }));
        self.show_item(name)?;
        Ok(ops)
    }
}
