//! Letters come in, and letters change. Records are read and written here and not by the server, so a change says what it has seen, and is made again if
//! that is no more so.

use seawall_dlq::{Appended, DlqError, Record, RecordId, State, Write};

use crate::connection::Link;
use crate::fault::Fault;
use crate::row::{self, Fields, Stored};
use crate::script::{APPEND, CHANGE};

/// How often others may change a letter meanwhile before we give up.
const TRIES: usize = 50;

/// What to do to a letter.
pub(crate) struct Change {
    pub(crate) state: Option<State>,
    /// An id that means this letter from now on.
    pub(crate) alias: Option<RecordId>,
    /// Its failed call has written its own failure.
    pub(crate) refailed: bool,
}

/// Adds a letter, or its failure to a letter of the same work. One that is known already changes nothing, so this may be done again.
pub(crate) fn append(link: &mut Link, record: &Record, write: &Write) -> Result<Appended, Fault> {
    let fields = row::new(record)?;
    let mut seen = String::new();
    for _ in 0..TRIES {
        let correlation = record.correlation_id.as_ref().filter(|_| write.within_retry);
        let text = |given: Option<&String>| given.cloned().unwrap_or_default().into_bytes();
        let mut values: Fields =
            vec![record.id.to_string().into(), seen.clone().into(), text(record.idempotency_key.as_ref()), text(correlation)];
        values.extend(fields.iter().cloned());
        let mut told: Vec<redis::Value> = link.run(&APPEND, &record.queue, &values)?;
        if told.len() == 1 {
            return Ok(Appended::Stored(record.id));
        }
        let twins = told.split_off(2);
        seen = told.pop().map(redis::from_redis_value).transpose().map_err(unreadable)?.unwrap_or_default();
        let Some((stored, mut letter)) = twin(twins, record, write)? else { continue };
        letter.merge(record);
        let change = Change { state: Some(State::Ready), alias: Some(record.id), refailed: false };
        if self::change(link, &stored, &letter, &change)? {
            return Ok(Appended::Merged(letter.id));
        }
        seen.clear();
    }
    Err(busy())
}

/// The ready letter that a new one is the same work as.
fn twin(twins: Vec<redis::Value>, record: &Record, write: &Write) -> Result<Option<(Stored, Record)>, Fault> {
    for twin in twins {
        let stored: Stored = redis::from_redis_value(twin).map_err(unreadable)?;
        // One that cannot be read or is being redriven keeps out of this.
        if let Ok(found) = stored.record(write.now)
            && found.state == State::Ready
            && found.same_work(record, write.within_retry)
        {
            return Ok(Some((stored, found)));
        }
    }
    Ok(None)
}

/// Writes a letter back that is as it was seen; false if it has changed meanwhile.
pub(crate) fn change(link: &mut Link, seen: &Stored, record: &Record, change: &Change) -> Result<bool, Fault> {
    let state = change.state.map_or(seen.state.as_str(), |state| state.word());
    let alias = change.alias.map(|id| id.to_string()).unwrap_or_default();
    let mut values: Fields = [&seen.id.to_string(), &seen.mark.to_string(), &seen.fence.to_string(), &seen.state, state, &alias, "1"]
        .map(|text: &str| text.as_bytes().to_vec())
        .into();
    values.extend(row::changed(record)?);
    if change.refailed {
        values.extend(["refailed", "1"].map(|text| text.as_bytes().to_vec()));
    }
    link.run(&CHANGE, &record.queue, &values)
}

/// Reads a letter, has it changed and writes it back, until nobody has changed it in between. `work` gives nothing for one that must not be changed.
pub(crate) fn update<T>(
    read: impl Fn(&mut Link) -> Result<Option<Stored>, Fault>,
    link: &mut Link,
    work: impl Fn(&Stored) -> Result<Option<(Record, Change, T)>, DlqError>,
) -> Result<Option<T>, Fault> {
    for _ in 0..TRIES {
        let Some(stored) = read(link)? else { return Ok(None) };
        let Some((record, what, done)) = work(&stored)? else { return Ok(None) };
        if change(link, &stored, &record, &what)? {
            return Ok(Some(done));
        }
    }
    Err(busy())
}

fn busy() -> Fault {
    DlqError::busy("store: others change this letter all the time").into()
}

fn unreadable(why: redis::ParsingError) -> Fault {
    redis::RedisError::from(why).into()
}
