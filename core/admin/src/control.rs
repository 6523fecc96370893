//! What the commands that write the control file share.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use seawall_runtime::ConfigError;
use seawall_runtime::config::parse_duration;
use seawall_runtime::control::{Book, Entry, Place, edit, keep_entry, receipts};

use crate::args::Who;
use crate::dlq::Failed;

/// How long processes are given to answer: four looks of theirs.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);

/// Milliseconds of `--for`.
pub(crate) fn life_ms(text: &str) -> Result<i64, Failed> {
    let ms = parse_duration(text).map_err(|why| ConfigError::new("--for", why.message))?;
    Ok(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Who asks.
pub(crate) fn author(who: &Who) -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    who.author.clone().or(user).unwrap_or_else(|| "unknown".to_owned())
}

/// Puts an entry into the file, in the place of those that `replaces` names.
pub(crate) fn add(place: &Place, entry: &Entry, replaces: impl Fn(&Entry) -> bool) -> Result<(), Failed> {
    // What is wrong with the entry is wrong with what was typed.
    entry.check().map_err(|why| match why.path.as_str() {
        "until" => {
            ConfigError::new("--for", "must be longer than 0, and 24 hours (chaos) or 7 days (circuits) at most: nothing is for ever")
        }
        _ => why,
    })?;
    change(place, |book| {
        book.entries.retain(|other| !replaces(other));
        book.entries.push(entry.clone());
    })?;
    keep_entry(place, entry);
    Ok(())
}

/// Changes the file.
pub(crate) fn change<T>(place: &Place, change: impl FnOnce(&mut Book) -> T) -> Result<T, Failed> {
    edit(place, |book| Ok(change(book))).map_err(|why| Failed { code: 1, message: why.to_string() })
}

/// What the file says; nothing where there is none.
pub(crate) fn read(place: &Place) -> Result<Book, Failed> {
    Book::read(place).map_err(|why| Failed { code: 1, message: why.to_string() })
}

/// How many processes are in which state about an entry, once they had time to answer.
pub(crate) fn answers(place: &Place, id: &str, no_wait: bool) -> BTreeMap<String, u64> {
    if !no_wait {
        wait(|| false);
    }
    let mut states = BTreeMap::new();
    for receipt in receipts(place, id) {
        *states.entry(receipt.state).or_default() += 1;
    }
    states
}

/// Waits until `is_done`, at most as long as processes are given to answer.
pub(crate) fn wait(is_done: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until && !is_done() {
        std::thread::sleep(LOOK);
    }
}

/// The states for people.
pub(crate) fn shown(states: &BTreeMap<String, u64>) -> String {
    if states.is_empty() {
        return "no process has answered: none of this user uses the policy, or none has looked yet".to_owned();
    }
    let each: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    format!("processes: {}", each.join(", "))
}
