//! Sealing a letter: envelope encryption of what it says, so that a store, a log or a backup tells nothing but how a call failed.
//!
//! Each part is encrypted by AES-256-GCM under a key of its own, which is encrypted under one of the owner's [`Keys`] and lies beside it. So
//! every part stands for itself: a store merges letters, adds failures and exports without any key.
//!
//! | part | sealed | beside it in the clear |
//! |---|---|---|
//! | the letter | payload, headers, the places that were redacted | ids, queue, state, times, policy, key, origin, content type |
//! | its error | message, stack, causes, frames, further fields | type, code, whether it is retryable, fingerprint |
//! | an attempt | message, further fields | number, time, outcome, type, durations |
//!
//! What is authenticated with a part is which part it is, and of the letter its id and content type, of an error its type and fingerprint.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rmpv::Value;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failure::{Cause, Failure, Frame};
use crate::keys::Keys;
use crate::record::{Extra, SEALED_SCHEMA};
use crate::{Attempt, DlqError, Record};

const KEY_BYTES: usize = 32;
/// Of a digest that only tells equal payloads apart from others.
const DIGEST_BYTES: usize = 16;
/// What says nothing about the call's data stays readable in an attempt.
const CLEAR: [&str; 3] = ["error_type", "duration_ms", "delay_ms"];

/// An encrypted part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seal {
    /// The id of the owner's key.
    #[serde(rename = "k")]
    pub key: String,
    /// The part's own key, encrypted under that: a nonce, the key, a tag.
    #[serde(rename = "w")]
    wrapped: Bytes,
    /// The part, encrypted under its own key with a nonce of zeros, which that key sees once; a tag.
    #[serde(rename = "d")]
    data: Bytes,
    /// Of the letter: a keyed digest of its payload, by which failures of the same work are told.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    digest: Option<Bytes>,
    /// What a newer writer added.
    #[serde(flatten)]
    extra: Extra,
}

/// Bytes; base64 where the format has none.
#[derive(Debug, Clone, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.serialize_str(&STANDARD.encode(&self.0)) } else { to.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // By what is there: a buffered value cannot tell what format it came from.
        match Value::deserialize(from)? {
            Value::Binary(bytes) => Ok(Self(bytes)),
            Value::String(text) => STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom("expected bytes, or base64")),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    headers: BTreeMap<String, Value>,
    places: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Said {
    message: Option<String>,
    #[serde(default)]
    stack: Option<String>,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    frames: Vec<Frame>,
    #[serde(default)]
    extra: Extra,
}

fn body_about(record: &Record) -> Vec<u8> {
    [b"seawall letter 1 body\0", record.id.as_bytes().as_slice(), record.content_type.as_bytes()].concat()
}

fn error_about(error: &Failure) -> Vec<u8> {
    [b"seawall letter 1 error\0", error.kind.as_bytes(), b"\0", error.fingerprint.as_bytes()].concat()
}

const ATTEMPT_ABOUT: &[u8] = b"seawall letter 1 attempt\0";

fn broken() -> DlqError {
    DlqError::failed("letter: cannot be encrypted: the system gives no random numbers")
}

fn bare_key(bytes: &[u8]) -> Result<LessSafeKey, DlqError> {
    UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new).map_err(|_| broken())
}

impl Seal {
    fn close(keys: &Keys, part: &impl Serialize, about: &[u8]) -> Result<Self, DlqError> {
        let (random, writing) = (SystemRandom::new(), keys.writing());
        let (mut own, mut nonce) = ([0; KEY_BYTES], [0; NONCE_LEN]);
        random.fill(&mut own).and_then(|()| random.fill(&mut nonce)).map_err(|_| broken())?;
        let mut data = rmp_serde::to_vec_named(part).map_err(|why| DlqError::failed(format!("letter: cannot be encoded: {why}")))?;
        bare_key(&own)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; NONCE_LEN]), Aad::from(about), &mut data)
            .map_err(|_| broken())?;
        let mut wrapped = own.to_vec();
        let name = Aad::from(writing.id.as_bytes());
        writing.wrap.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), name, &mut wrapped).map_err(|_| broken())?;
        let wrapped = Bytes([nonce.as_slice(), &wrapped].concat());
        Ok(Self { key: writing.id.clone(), wrapped, data: Bytes(data), digest: None, extra: Extra::new() })
    }

    fn open<T: DeserializeOwned>(&self, keys: Option<&Keys>, about: &[u8]) -> Result<T, String> {
        let id = &self.key;
        let keys =
            keys.ok_or_else(|| format!("it is encrypted under key '{id}', and no keys were given; give them by encrypt or SEAWALL_KEYS"))?;
        let key = keys.find(id).ok_or_else(|| {
            format!("it is encrypted under key '{id}', which is not among those given ({}); give that one too", keys.names())
        })?;
        let wrong = || format!("key '{id}' does not open it: the key given by that id is another one, or the letter was tampered with");
        let (nonce, wrapped) = self.wrapped.0.split_first_chunk::<NONCE_LEN>().ok_or_else(wrong)?;
        let mut own = wrapped.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let own = key.wrap.open_in_place(nonce, Aad::from(id.as_bytes()), &mut own).map_err(|_| wrong())?;
        let own = bare_key(own).map_err(|_| wrong())?;
        let mut data = self.data.0.clone();
        let data = own.open_in_place(Nonce::assume_unique_for_key([0; NONCE_LEN]), Aad::from(about), &mut data).map_err(|_| wrong())?;
        rmp_serde::from_slice(data).map_err(|why| format!("what key '{id}' opens cannot be read: {why}"))
    }

    /// How long the encrypted part is, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.data.0.len()
    }

    /// Whether the payloads are equal, as far as their writer could tell.
    pub(crate) fn same_payload(&self, other: &Self) -> bool {
        self.key == other.key && self.digest.is_some() && self.digest == other.digest
    }
}

/// Seals a whole record.
pub(crate) fn close(record: &mut Record, keys: &Keys) -> Result<(), DlqError> {
    error(&mut record.error, keys)?;
    // What was tried is among the attempts already.
    record.error.brief = None;
    record.attempts.iter_mut().try_for_each(|one| attempt(one, keys))?;
    let about = body_about(record);
    let body = Body {
        payload: std::mem::take(&mut record.payload),
        headers: std::mem::take(&mut record.headers),
        places: std::mem::take(&mut record.redaction.places),
    };
    let digest = hmac::sign(&keys.writing().digest, &body.payload).as_ref()[..DIGEST_BYTES].to_vec();
    record.seal = Some(Seal { digest: Some(Bytes(digest)), ..Seal::close(keys, &body, &about)? });
    // A reader that knows no seals must not deliver it.
    (record.v, record.min) = (record.v.max(SEALED_SCHEMA), record.min.max(SEALED_SCHEMA));
    Ok(())
}

/// Seals an error, and what an attempt keeps of it.
pub(crate) fn error(error: &mut Failure, keys: &Keys) -> Result<(), DlqError> {
    let said = Said {
        message: Some(std::mem::take(&mut error.message)),
        stack: error.stack.take(),
        causes: std::mem::take(&mut error.causes),
        frames: std::mem::take(&mut error.frames),
        extra: std::mem::take(&mut error.extra),
    };
    let mut brief = Attempt { message: said.message.clone(), ..Attempt::default() };
    brief.cut(1);
    attempt(&mut brief, keys)?;
    error.brief = brief.seal;
    error.seal = Some(Seal::close(keys, &said, &error_about(error))?);
    Ok(())
}

fn attempt(attempt: &mut Attempt, keys: &Keys) -> Result<(), DlqError> {
    let extra: Extra = std::mem::take(&mut attempt.extra);
    let (clear, extra): (Extra, Extra) = extra.into_iter().partition(|(name, _)| CLEAR.contains(&name.as_str()));
    attempt.extra = clear;
    if attempt.message.is_none() && extra.is_empty() {
        return Ok(());
    }
    let said = Said { message: attempt.message.take(), stack: None, causes: Vec::new(), frames: Vec::new(), extra };
    attempt.seal = Some(Seal::close(keys, &said, ATTEMPT_ABOUT)?);
    Ok(())
}

/// What keeps no more than how the call failed: for a letter that was to be sealed when there was no key.
pub(crate) fn strip(record: &mut Record) {
    record.payload = b"null".to_vec();
    record.content_type = "application/json".into();
    record.redrivable = false;
    record.headers.clear();
    record.redaction.places.clear();
    record.redaction.failed = true;
    strip_error(&mut record.error);
    for attempt in &mut record.attempts {
        attempt.message = None;
        attempt.extra.retain(|name, _| CLEAR.contains(&name.as_str()));
    }
}

pub(crate) fn strip_error(error: &mut Failure) {
    let Failure { kind, code, retryable, fingerprint, fingerprint_version, .. } = std::mem::take(error);
    *error = Failure { kind, code, retryable, fingerprint, fingerprint_version, ..Failure::default() };
}

/// A record as its owner may read it.
pub(crate) struct Opened {
    pub(crate) record: Record,
    /// The id of the key that it was written under.
    pub(crate) key: Option<String>,
    /// Why some of it stays closed.
    pub(crate) locked: Option<String>,
}

/// Opens what the keys open.
pub(crate) fn open(mut record: Record, keys: Option<&Keys>) -> Opened {
    let (mut key, mut locked) = (None, None);
    if let Some(seal) = record.seal.take() {
        key = Some(seal.key.clone());
        match seal.open::<Body>(keys, &body_about(&record)) {
            Ok(body) => {
                record.payload = body.payload;
                record.headers = body.headers;
                record.redaction.places.extend(body.places);
            }
            Err(why) => {
                locked = Some(why);
                record.seal = Some(seal);
            }
        }
    }
    let closed = open_error(&mut record.error, keys, &mut key);
    locked = locked.or(closed);
    for attempt in &mut record.attempts {
        let Some(seal) = attempt.seal.take() else { continue };
        key = key.or_else(|| Some(seal.key.clone()));
        match seal.open::<Said>(keys, ATTEMPT_ABOUT) {
            Ok(said) => {
                attempt.message = said.message;
                attempt.extra.extend(said.extra);
            }
            Err(why) => locked = locked.or(Some(why)),
        }
    }
    Opened { record, key, locked }
}

/// Opens an error; why it stays closed, if it does.
pub(crate) fn open_error(error: &mut Failure, keys: Option<&Keys>, key: &mut Option<String>) -> Option<String> {
    let seal = error.seal.take()?;
    key.get_or_insert_with(|| seal.key.clone());
    match seal.open::<Said>(keys, &error_about(error)) {
        Ok(said) => {
            error.message = said.message.unwrap_or_default();
            (error.stack, error.causes, error.frames) = (said.stack, said.causes, said.frames);
            error.extra.extend(said.extra);
            None
        }
        Err(why) => Some(why),
    }
}
