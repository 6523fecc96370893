//! Forms that the languages write differently, read as one.

use serde::{Deserialize, Deserializer, de::Error};

use crate::time;

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Int(i64),
    Float(f64),
    Text(String),
    Lines(Vec<String>),
}

/// A text, or a number as a text.
pub(crate) fn code<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Loose>::deserialize(from)? {
        None => None,
        Some(Loose::Int(number)) => Some(number.to_string()),
        Some(Loose::Float(number)) => Some(number.to_string()),
        Some(Loose::Text(text)) => Some(text),
        Some(Loose::Lines(_)) => return Err(D::Error::custom("code: must be a text or a number")),
    })
}

/// A text, or lines to join.
pub(crate) fn lines<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Loose>::deserialize(from)? {
        None => None,
        Some(Loose::Text(text)) => Some(text),
        Some(Loose::Lines(lines)) => Some(lines.join("\n")),
        Some(_) => return Err(D::Error::custom("stack: must be a text or a list of lines")),
    })
}

/// A count; the store numbers attempts itself, so anything else reads as nothing.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Ok(match Option::<Loose>::deserialize(from)? {
        Some(Loose::Int(number)) => u64::try_from(number).unwrap_or_default(),
        _ => 0,
    })
}

/// Milliseconds since 1970, or an RFC 3339 text.
pub(crate) fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Ok(match Option::<Loose>::deserialize(from)? {
        None => None,
        Some(Loose::Int(ms)) => Some(ms),
        Some(Loose::Float(ms)) => Some(ms as i64),
        Some(Loose::Text(text)) => Some(time::parse_instant(&text).ok_or_else(|| {
            D::Error::custom(format!("time: '{text}' is neither milliseconds since 1970 nor an instant such as '2026-11-24T12:00:00Z'"))
        })?),
        Some(Loose::Lines(_)) => return Err(D::Error::custom("time: must be milliseconds since 1970 or an RFC 3339 text")),
    })
}
