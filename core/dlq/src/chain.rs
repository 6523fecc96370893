//! What happens to a letter that its store does not take. Nothing here raises: the caller has an error of its own to tell.
//!
//! | step | when | the letter is |
//! |---|---|---|
//! | `store` | always first | durable |
//! | `second` | a second store is given | durable, elsewhere |
//! | `memory` | there is room in memory | tried again by a thread, and once more when the process ends |
//! | `log` | nothing else is left | lost, but for the line that the caller logs |
//!
//! A failure of a letter that is being redriven is added to that letter, which lies in its store, so it knows no second one.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::letter::{Parcel, Way};
use crate::limits::Dropped;
use crate::queue::books_of;
use crate::registry::default_store_url;
use crate::{DlqError, Queue, RecordId, ring, time};

/// What became of a letter.
pub(crate) struct Sent {
    pub(crate) id: RecordId,
    step: &'static str,
    dropped: Dropped,
    /// Why not in its store.
    cause: Option<&'static str>,
    /// What nobody took: for a log, and for a hook.
    lost: Option<Lost>,
    /// Why it is not sealed though it should be, and therefore bare.
    unsealed: Option<String>,
}

/// A letter that no step took.
pub(crate) struct Lost {
    line: String,
    letter: Value,
}

impl Lost {
    pub(crate) fn of(parcel: &Parcel) -> Self {
        let letter = parcel.letter().and_then(|text| serde_json::from_str(&text).ok());
        Self { line: parcel.line(), letter: letter.unwrap_or_default() }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"line": self.line, "letter": self.letter})
    }
}

impl Sent {
    fn by(id: RecordId, step: &'static str, cause: Option<&'static str>) -> Self {
        Self { id, step, dropped: Dropped::default(), cause, lost: None, unsealed: None }
    }

    /// As the bindings read it.
    pub(crate) fn json(&self) -> String {
        json!({
            "id": self.id.to_string(),
            "step": self.step,
            "dropped": self.dropped.full,
            "expired": self.dropped.expired,
            "cause": self.cause,
            "lost": self.lost.as_ref().map(Lost::json),
            "unsealed": self.unsealed,
        })
        .to_string()
    }
}

/// Where a letter belongs: an open queue, or the place of one that could not be opened.
#[derive(Clone)]
pub(crate) enum Target {
    Open(Queue),
    Place(String, String),
}

impl Target {
    pub(crate) fn deliver(&self, parcel: &Parcel) -> Result<(RecordId, Dropped), DlqError> {
        match self {
            Self::Open(queue) => queue.deliver(parcel, &parcel.step()),
            Self::Place(queue, url) => Queue::open(queue, url)?.deliver(parcel, &parcel.step()),
        }
    }

    pub(crate) fn lost(&self) {
        match self {
            Self::Open(queue) => queue.books().lost.fetch_add(1, Ordering::Relaxed),
            Self::Place(queue, url) => books_of(queue, url).lost.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// Sends a letter along the chain, as [`Queue::write`] does, for a queue whose store could not be opened.
///
/// # Errors
/// `config.invalid` for a malformed letter; without `chain` in it, why the store cannot be opened.
pub fn write_closed(queue: &str, store_url: &str, letter_json: &str) -> Result<String, DlqError> {
    // Without even a default the opening of the queue says so.
    let url = if store_url.is_empty() { default_store_url().unwrap_or_default() } else { store_url.to_owned() };
    let target = Target::Place(queue.to_owned(), url);
    send(&target, queue, letter_json, time::wall_ms()).map(|sent| sent.json())
}

pub(crate) fn send(target: &Target, queue: &str, letter_json: &str, now: i64) -> Result<Sent, DlqError> {
    let sent = Parcel::parse(queue, letter_json, now).and_then(|(parcel, way)| {
        let sent = along(target, queue, parcel, &way)?;
        Ok(Sent { unsealed: way.unsealed, ..sent })
    });
    if sent.as_ref().map_or(true, |sent| sent.lost.is_some()) {
        target.lost();
    }
    sent
}

fn along(target: &Target, queue: &str, mut parcel: Parcel, way: &Way) -> Result<Sent, DlqError> {
    let id = parcel.refailed.as_ref().map_or(parcel.record.id, |refailed| refailed.id);
    if !way.waits {
        match ring::offer(target, parcel) {
            Ok(()) => return Ok(Sent::by(id, "queued", None)),
            // Too many are under way already: this caller waits after all.
            Err(back) => parcel = *back,
        }
    }
    let cause = match target.deliver(&parcel) {
        Ok((id, dropped)) => return Ok(Sent { dropped, ..Sent::by(id, "store", None) }),
        Err(why) if !way.chain => return Err(why),
        Err(why) => Some(why.code),
    };
    if let Some(url) = way.second_store.as_deref().filter(|_| parcel.refailed.is_none()) {
        let taken = Queue::open(queue, url).and_then(|second| second.append(&parcel, &parcel.step()));
        if let Ok(id) = taken {
            return Ok(Sent::by(id, "second", cause));
        }
    }
    // A store that there is not will not come back.
    let is_hopeless = matches!(cause, Some("store.unsupported" | "config.invalid"));
    let kept = if is_hopeless { Err(Box::new(parcel)) } else { ring::offer(target, parcel) };
    match kept {
        Ok(()) => Ok(Sent::by(id, "memory", cause)),
        Err(parcel) => Ok(Sent { lost: Some(Lost::of(&parcel)), ..Sent::by(id, "log", cause) }),
    }
}
