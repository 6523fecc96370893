//! What a process did about an entry: a file of its own beside the control file, which it alone writes, over and over while the entry holds.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::book::{Entry, shown};
use super::place::{Place, make_private, put, system, text_of};

/// Receipts of entries that nobody has touched for so long are removed.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Tells processes apart that had one number after each other.
static NONCE: LazyLock<u64> = LazyLock::new(|| uuid::Uuid::new_v4().as_u64_pair().0 >> 32);

/// What one process did about one entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Receipt {
    /// The process.
    pub pid: u32,
    /// The program that it runs.
    pub program: String,
    /// `running`, `ended`, `disarmed`, `refused` or `applied`.
    pub state: String,
    /// Why it ended or was refused; else empty.
    pub why: String,
    /// Since when, in milliseconds of the wall clock.
    pub at_ms: i64,
    /// What was counted since: `attempts`, `struck`, `faults`, `delayed`, `latency_ms`, and every metric of the policy that counts.
    pub counts: Map<String, Value>,
}

impl Receipt {
    pub(super) fn new(state: &str, why: &str, at_ms: i64) -> Self {
        Self { pid: std::process::id(), program: program(), state: state.into(), why: why.into(), at_ms, counts: Map::new() }
    }

    /// As it stands in its file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "pid": self.pid,
            "program": self.program,
            "state": self.state,
            "why": self.why,
            "at": shown(self.at_ms),
            "counts": self.counts,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            pid: u32::try_from(value.get("pid")?.as_u64()?).ok()?,
            program: word("program")?,
            state: word("state")?,
            why: word("why")?,
            at_ms: word("at")?.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
            counts: value.get("counts")?.as_object()?.clone(),
        })
    }

    /// A count, 0 where there is none.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Leaves it beside the control file. One that cannot be written is missed by the report alone.
    pub(super) fn write(&self, place: &Place, entry: &str) {
        let dir = place.receipts(entry);
        let path = dir.join(format!("{}-{:08x}.json", self.pid, *NONCE));
        let _ = place.check().and_then(|()| make_private(&dir)).map(|()| put(&path, &format!("{}\n", self.to_json()), false));
    }
}

/// The name of the program, without its folder.
fn program() -> String {
    let first = std::env::args_os().next().unwrap_or_default();
    Path::new(&first).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The receipts of an entry, by process. What cannot be read is left out.
#[must_use]
pub fn receipts(place: &Place, entry: &str) -> Vec<Receipt> {
    if place.check().is_err() {
        return Vec::new();
    }
    let files = std::fs::read_dir(place.receipts(entry)).into_iter().flatten().flatten().map(|file| file.path());
    let mut found: Vec<Receipt> = files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .filter_map(|path| Receipt::parse(&text_of(system::open_options().read(true).open(path).ok()?).ok()?))
        .collect();
    found.sort_by_key(|receipt| (receipt.at_ms, receipt.pid));
    found
}

/// Keeps an entry beside its receipts, for the report: it may be gone from the file by then. One that cannot be kept is missed there alone.
pub fn keep_entry(place: &Place, entry: &Entry) {
    let dir = place.receipts(&entry.id);
    let _ = place.check().and_then(|()| make_private(&dir)).map(|()| put(&dir.join("entry"), &format!("{}\n", entry.to_json()), false));
}

/// The entry that was kept beside its receipts.
#[must_use]
pub fn entry_of(place: &Place, id: &str) -> Option<Value> {
    place.check().ok()?;
    serde_json::from_str(&text_of(system::open_options().read(true).open(place.receipts(id).join("entry")).ok()?).ok()?).ok()
}

/// The entry of this kind that was kept last, and of this policy, if one is named.
#[must_use]
pub fn latest(place: &Place, kind: &str, policy: Option<&str>) -> Option<Value> {
    let folders = std::fs::read_dir(place.dir().join("receipts")).into_iter().flatten().flatten();
    let kept = folders.filter_map(|folder| entry_of(place, folder.file_name().to_str()?));
    let fits = |entry: &Value| entry["kind"] == kind && policy.is_none_or(|policy| entry["policy"] == policy);
    // Instants in one form sort as text.
    kept.filter(fits).max_by_key(|entry| entry["at"].as_str().unwrap_or_default().to_owned())
}

/// Removes the receipts of entries that ended long ago.
pub(super) fn sweep(place: &Place) {
    let folders = std::fs::read_dir(place.dir().join("receipts")).into_iter().flatten().flatten();
    let is_old = |at: SystemTime| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT);
    for folder in folders.filter(|folder| folder.metadata().and_then(|found| found.modified()).is_ok_and(is_old)) {
        let _ = std::fs::remove_dir_all(folder.path());
    }
}
