//! What the control file says: a list of entries, each with its end, its author and its reason. All of it is right, or nothing of it is taken.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::place::Place;
use crate::config::{ConfigError, Parts, check_experiment};

/// The longest life of an experiment.
pub const LONGEST_CHAOS_MS: i64 = 24 * 3_600_000;
/// The longest life of anything else.
pub const LONGEST_HOLD_MS: i64 = 7 * 24 * 3_600_000;

const VERSION: u64 = 1;
const MOST_ENTRIES: usize = 1_000;
const MOST_CHARS: usize = 512;
const OPTIONS: [&str; 7] = ["rate", "fault", "latency", "seed", "window", "max_share", "abort_when"];
const FIELDS: [&str; 10] = ["id", "kind", "policy", "key", "author", "reason", "at", "until", "options", "ended"];

/// What somebody asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// An experiment, by the options that a policy file takes; `fault` is a number of weights here.
    Chaos(Map<String, Value>),
    /// A circuit held open.
    Isolate,
    /// A circuit closed.
    Reset,
}

/// Why an experiment ended for everybody before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `breaker_open` or `failure_ratio`.
    pub why: String,
    /// The process that saw it.
    pub pid: u32,
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is called.
    pub id: String,
    /// What is asked for.
    pub kind: Kind,
    /// Of whom.
    pub policy: String,
    /// Of which key; for circuits alone.
    pub key: Option<String>,
    /// Who asks.
    pub author: String,
    /// And why.
    pub reason: String,
    /// Since when, in milliseconds of the wall clock.
    pub at_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// How it ended, if it ended early.
    pub ended: Option<Ended>,
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// In the order in which they were made.
    pub entries: Vec<Entry>,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Chaos(_) => "chaos",
            Self::Isolate => "isolate",
            Self::Reset => "reset",
        }
    }
}

impl Entry {
    /// An entry that begins now.
    #[must_use]
    pub fn new(kind: Kind, policy: &str, author: &str, reason: &str, for_ms: i64) -> Self {
        let at_ms = now_ms();
        let number = uuid::Uuid::new_v4().as_u64_pair().0 >> 32;
        Self {
            id: format!("{}-{number:08x}", kind.name()),
            kind,
            policy: policy.to_owned(),
            key: None,
            author: author.to_owned(),
            reason: reason.to_owned(),
            at_ms,
            until_ms: at_ms.saturating_add(for_ms),
            ended: None,
        }
    }

    /// Milliseconds that it has left by the wall clock.
    #[must_use]
    pub fn left_ms(&self) -> u64 {
        self.until_ms.saturating_sub(now_ms()).max(0).unsigned_abs()
    }

    /// The options of the experiment with its end, as a part of a policy.
    pub(super) fn chaos(&self) -> Option<Value> {
        let Kind::Chaos(options) = &self.kind else { return None };
        let mut options = options.clone();
        options.insert("until".into(), shown(self.until_ms).into());
        Some(Value::Object(options))
    }

    /// As it stands in the file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut made = json!({
            "id": self.id,
            "kind": self.kind.name(),
            "policy": self.policy,
            "author": self.author,
            "reason": self.reason,
            "at": shown(self.at_ms),
            "until": shown(self.until_ms),
        });
        if let Some(key) = &self.key {
            made["key"] = key.as_str().into();
        }
        if let Kind::Chaos(options) = &self.kind {
            made["options"] = Value::Object(options.clone());
        }
        if let Some(ended) = &self.ended {
            made["ended"] = json!({"why": ended.why, "pid": ended.pid});
        }
        made
    }

    fn parse(value: &Value) -> Result<Self, ConfigError> {
        let Value::Object(table) = value else { return Err(ConfigError::new("", "must be a table")) };
        if let Some(unknown) = table.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(ConfigError::new(unknown, "is unknown"));
        }
        let text = |name: &str| match table.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() && text.chars().count() <= MOST_CHARS && !text.chars().any(char::is_control) => {
                Ok(text.to_owned())
            }
            _ => Err(ConfigError::new(name, format!("must be text of 1 to {MOST_CHARS} characters, without line breaks"))),
        };
        let instant = |name: &str| {
            let read = table.get(name).and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
            read.map(Timestamp::as_millisecond).ok_or_else(|| ConfigError::new(name, "must be an instant such as \"2030-01-31T12:00:00Z\""))
        };
        let kind = match (table.get("kind").and_then(Value::as_str), table.get("options")) {
            (Some("chaos"), Some(Value::Object(options))) => Kind::Chaos(options.clone()),
            (Some("chaos"), _) => return Err(ConfigError::new("options", "must be a table of the options of chaos")),
            (Some("isolate"), None) => Kind::Isolate,
            (Some("reset"), None) => Kind::Reset,
            (Some("isolate" | "reset"), Some(_)) => return Err(ConfigError::new("options", "are of chaos alone")),
            _ => return Err(ConfigError::new("kind", "must be chaos, isolate or reset")),
        };
        let key = table.get("key").map(|_| text("key")).transpose()?;
        let entry = Self {
            id: text("id")?,
            kind,
            policy: text("policy")?,
            key,
            author: text("author")?,
            reason: text("reason")?,
            at_ms: instant("at")?,
            until_ms: instant("until")?,
            ended: table.get("ended").map(ended).transpose()?,
        };
        entry.check()?;
        Ok(entry)
    }

    /// Whether somebody may ask for this.
    ///
    /// # Errors
    /// Names the field and says what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        // It becomes the name of a folder.
        if !self.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(ConfigError::new("id", "may have letters, digits and hyphens"));
        }
        let longest = if matches!(self.kind, Kind::Chaos(_)) { LONGEST_CHAOS_MS } else { LONGEST_HOLD_MS };
        let life = self.until_ms.saturating_sub(self.at_ms);
        if life <= 0 || life > longest {
            let hours = longest / 3_600_000;
            return Err(ConfigError::new("until", format!("must come later than `at`, by {hours} hours at most: nothing is for ever")));
        }
        let Some(chaos) = self.chaos() else { return Ok(()) };
        if self.key.is_some() {
            return Err(ConfigError::new("key", "is of circuits alone; an experiment is of a whole policy"));
        }
        if let Kind::Chaos(options) = &self.kind {
            check_names(options)?;
        }
        let mut parts = Parts::new();
        parts.insert("chaos".into(), chaos);
        check_experiment(&parts).map_err(|error| ConfigError::new(format!("options.{}", error.path), error.message))
    }
}

/// What code alone can give has no place here, and the end is the entry's.
fn check_names(options: &Map<String, Value>) -> Result<(), ConfigError> {
    if let Some(other) = options.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
        return Err(ConfigError::new(format!("options.{other}"), format!("cannot be given here; {} can", OPTIONS.join(", "))));
    }
    match options.get("fault") {
        None => Ok(()),
        Some(fault) if *fault == 1 => Ok(()),
        Some(_) => Err(ConfigError::new("options.fault", "must be 1: the one fault that every process knows")),
    }
}

fn ended(value: &Value) -> Result<Ended, ConfigError> {
    let pid = value.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
    match (value.get("why").and_then(Value::as_str), pid) {
        (Some(why), Some(pid)) if why.len() <= MOST_CHARS => Ok(Ended { why: why.to_owned(), pid }),
        _ => Err(ConfigError::new("ended", "must be { why, pid }")),
    }
}

impl Book {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Names the entry and the field.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_str(text).map_err(|why| ConfigError::new("", format!("is not JSON: {why}")))?;
        match value.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => return Err(ConfigError::new("version", format!("{other} is of another Seawall; this one reads {VERSION}"))),
            None => return Err(ConfigError::new("version", format!("must be {VERSION}"))),
        }
        let Some(entries) = value.get("entries").and_then(Value::as_array) else {
            return Err(ConfigError::new("entries", "must be a list"));
        };
        if entries.len() > MOST_ENTRIES {
            return Err(ConfigError::new("entries", format!("are more than {MOST_ENTRIES}")));
        }
        let parse = |(number, entry)| Entry::parse(entry).map_err(|error| error.within(&format!("entries[{number}]")));
        let book = Self { entries: entries.iter().enumerate().map(parse).collect::<Result<_, _>>()? };
        book.check()?;
        Ok(book)
    }

    /// Whether its entries go together.
    ///
    /// # Errors
    /// If two have one id, or one policy has two experiments.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (number, entry) in self.entries.iter().enumerate() {
            let earlier = &self.entries[..number];
            if earlier.iter().any(|other| other.id == entry.id) {
                return Err(ConfigError::new(format!("entries[{number}].id"), format!("{} is there already", entry.id)));
            }
            let clashes = |other: &&Entry| other.policy == entry.policy && other.is_running_chaos();
            if let Some(other) = earlier.iter().find(clashes).filter(|_| entry.is_running_chaos()) {
                let message = format!("{} is under experiment {} already; end that first", entry.policy, other.id);
                return Err(ConfigError::new(format!("entries[{number}].policy"), message));
            }
        }
        Ok(())
    }

    /// Reads the file at `place`; an empty book where there is none.
    ///
    /// # Errors
    /// If the place may not be trusted, or as [`Book::parse`].
    pub fn read(place: &Place) -> Result<Self, ConfigError> {
        let text = place.read().map_err(|why| ConfigError::new("", why))?;
        let parsed = text.as_deref().map_or_else(|| Ok(Self::default()), Self::parse);
        parsed.map_err(|why| why.within(&place.file().display().to_string()))
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let entries: Vec<Value> = self.entries.iter().map(Entry::to_json).collect();
        let text = serde_json::to_string_pretty(&json!({"version": VERSION, "entries": entries})).unwrap_or_default();
        format!("{text}\n")
    }

    /// Drops what has come to its end.
    pub(super) fn prune(&mut self) {
        let now = now_ms();
        self.entries.retain(|entry| entry.until_ms > now);
    }
}

impl Entry {
    fn is_running_chaos(&self) -> bool {
        matches!(self.kind, Kind::Chaos(_)) && self.ended.is_none() && self.left_ms() > 0
    }
}

/// A seed for an experiment that was given none: short enough to be typed again.
#[must_use]
pub fn draw_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1 & 0xFFFF_FFFF
}

pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// An instant for people and for the file.
pub(super) fn shown(ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or_default())
}
