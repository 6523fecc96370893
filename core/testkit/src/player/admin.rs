//! Steps on the policy itself: files that are loaded, breakers and modes that are set.

use serde_json::{Map, Value, json};

use super::Player;
use crate::vector::{Step, duration_ms};

impl Player<'_> {
    /// Loads a policy file that says this of the policy.
    pub(super) fn reload(&mut self, parts: &Map<String, Value>) -> Result<(), String> {
        let name = self.policy.label();
        let path = std::env::temp_dir().join(format!("seawall-vector-{}.json", std::process::id()));
        std::fs::write(&path, json!({"policy": {name: parts}}).to_string()).map_err(|error| error.to_string())?;
        let loaded = seawall_runtime::load(&path.to_string_lossy(), None, self.now);
        std::fs::remove_file(&path).map_err(|error| error.to_string())?;
        let loaded = loaded.map_err(|error| error.to_string())?;
        loaded.events.iter().for_each(|record| self.seen.record(record));
        for ticket in loaded.tickets {
            self.woken.extend(i64::try_from(ticket).ok().and_then(|ticket| self.parked.remove(&ticket)));
        }
        self.wake()
    }

    pub(super) fn admin(&mut self, verb: &str, step: &Step) -> Result<(), String> {
        let (key, reason, now) = (step.key.as_deref(), step.reason.as_deref().unwrap_or(""), self.now);
        let expires = step.expires_in.as_deref().map(duration_ms);
        self.keys.insert(step.key.clone());
        let done = match verb {
            "mode" => self.policy.set_mode(step.mode.as_deref().unwrap_or(""), reason, None, expires, now).map(|record| vec![record]),
            "isolate" => self.policy.breaker_isolate(key, reason, None, expires, now),
            "disable" => self.policy.breaker_disable(key, reason, None, expires, now),
            "reset" => self.policy.breaker_reset(key),
            _ => return Err(format!("unknown admin verb `{verb}`")),
        };
        done.map(|records| records.iter().for_each(|record| self.seen.record(record))).map_err(|error| error.to_string())
    }
}
