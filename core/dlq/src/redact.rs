//! Secrets out, before a letter reaches any store or log. By names in payloads and headers; in messages by `name=value` too.

use rmpv::Value;

use crate::redact_json;
use crate::{DlqError, Record};

/// What stands where a secret was.
pub(crate) const BLANK: &str = "[redacted]";

/// A name that contains one of these, letters and digits alone compared, is a secret's.
const ANYWHERE: [&str; 9] = ["authorization", "cookie", "password", "passwd", "passphrase", "secret", "cardnumber", "creditcard", "apikey"];
/// Only at the end: `access_token` is a secret, `tokens_used` is a count.
const AT_END: [&str; 1] = ["token"];

/// The built-in names, plus those of the policy.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    names: Vec<String>,
    /// JSON pointers into the payload.
    pub(crate) pointers: Vec<String>,
}

impl Rules {
    /// `more`: names (compared like the built-in ones), or pointers into the payload, which start with a slash.
    pub(crate) fn new(more: &[String]) -> Result<Self, DlqError> {
        let mut rules = Self::default();
        for (place, rule) in more.iter().enumerate() {
            let name = plain(rule);
            if rule.starts_with('/') {
                rules.pointers.push(rule.clone());
            } else if name.is_empty() {
                return Err(DlqError::invalid(format!(
                    "redact[{place}]: '{rule}' names nothing; write a name such as 'iban' or a JSON pointer such as '/card/pan'"
                )));
            } else {
                rules.names.push(name);
            }
        }
        Ok(rules)
    }

    /// Whether a key of this name holds a secret.
    pub(crate) fn secret(&self, name: &str) -> bool {
        let name = plain(name);
        ANYWHERE.iter().any(|part| name.contains(part))
            || AT_END.iter().any(|part| name.ends_with(part))
            || self.names.iter().any(|part| name.contains(part.as_str()))
    }

    /// Blanks the record's secrets and notes where they were.
    pub(crate) fn apply(&self, record: &mut Record) {
        let mut places = Vec::new();
        self.payload(record, &mut places);
        for (name, value) in &mut record.headers {
            if self.secret(name) {
                *value = Value::from(BLANK);
                places.push(format!("/headers/{}", redact_json::escape(name)));
            } else {
                self.value(value, &format!("/headers/{}", redact_json::escape(name)), &mut places);
            }
        }
        self.failure(&mut record.error, &mut places);
        for (place, attempt) in record.attempts.iter_mut().enumerate() {
            self.attempt(attempt, place, &mut places);
        }
        record.redaction.places = places;
    }

    /// Blanks the secrets of an error.
    pub(crate) fn failure(&self, error: &mut crate::Failure, places: &mut Vec<String>) {
        self.text(&mut error.message, "/error/message", places);
        if let Some(stack) = &mut error.stack {
            self.text(stack, "/error/stack", places);
        }
        for (nth, cause) in error.causes.iter_mut().enumerate() {
            self.text(&mut cause.message, &format!("/error/causes/{nth}/message"), places);
            self.extra(&mut cause.extra, &format!("/error/causes/{nth}"), places);
        }
        self.extra(&mut error.extra, "/error", places);
    }

    /// Blanks the secrets of an attempt.
    pub(crate) fn attempt(&self, attempt: &mut crate::Attempt, nth: usize, places: &mut Vec<String>) {
        if let Some(message) = &mut attempt.message {
            self.text(message, &format!("/attempts/{nth}/message"), places);
        }
        self.extra(&mut attempt.extra, &format!("/attempts/{nth}"), places);
    }

    fn payload(&self, record: &mut Record, places: &mut Vec<String>) {
        let json = is_json(&record.content_type);
        let text = json || record.content_type.starts_with("text/") || record.content_type.contains("form-urlencoded");
        if !text {
            return;
        }
        let Ok(body) = std::str::from_utf8(&record.payload) else { return };
        if json {
            if let Some((clean, found)) = redact_json::clean(body, self) {
                places.extend(found.into_iter().map(|place| format!("/payload{place}")));
                record.payload = clean.into_bytes();
            }
        } else if let Some(clean) = self.clean_text(body) {
            places.push("/payload".into());
            record.payload = clean.into_bytes();
        }
    }

    fn extra(&self, extra: &mut crate::record::Extra, at: &str, places: &mut Vec<String>) {
        for (name, value) in extra {
            let place = format!("{at}/{}", redact_json::escape(name));
            if self.secret(name) && !matches!(value, Value::Nil | Value::Boolean(_)) {
                *value = Value::from(BLANK);
                places.push(place);
            } else {
                self.value(value, &place, places);
            }
        }
    }

    fn value(&self, value: &mut Value, at: &str, places: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                if let Some(clean) = text.as_str().and_then(|text| self.clean_text(text)) {
                    *value = Value::from(clean);
                    places.push(at.to_owned());
                }
            }
            Value::Array(items) => {
                items.iter_mut().enumerate().for_each(|(nth, item)| self.value(item, &format!("{at}/{nth}"), places));
            }
            Value::Map(pairs) => {
                for (name, inner) in pairs {
                    let name = name.as_str().unwrap_or_default().to_owned();
                    let place = format!("{at}/{}", redact_json::escape(&name));
                    if self.secret(&name) && !matches!(inner, Value::Nil | Value::Boolean(_)) {
                        *inner = Value::from(BLANK);
                        places.push(place);
                    } else {
                        self.value(inner, &place, places);
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&self, text: &mut String, place: &str, places: &mut Vec<String>) {
        if let Some(clean) = self.clean_text(text) {
            *text = clean;
            places.push(place.to_owned());
        }
    }
}

/// Whether a payload of this type is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
