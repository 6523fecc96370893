//! The keys under which letters are sealed, and where they come from.
//!
//! A text of keys has one key per line, or several with commas between: `id:key`, the key being 32 bytes as base64 or as hexadecimal
//! digits. The first one writes, all of them read, so that a new key is put in front and an old one stays for as long as letters need it.
//! A key without an id gets one from its own digest. Lines that begin with `#` are remarks.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use parking_lot::Mutex;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::hmac;
use sha2::{Digest, Sha256};

use crate::DlqError;

const KEY_BYTES: usize = 32;
/// The longest id of a key, in bytes.
const ID_BYTES: usize = 64;
/// Where readers look that were told of no other source.
const VARIABLE: &str = "SEAWALL_KEYS";
/// What keys given by code are called here.
const HELD: &str = "held:";

/// Base64 of either alphabet, padded or not.
const LOOSE: GeneralPurposeConfig = general_purpose::PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LOOSE);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LOOSE);

/// One key, ready for use.
pub(crate) struct Key {
    pub(crate) id: String,
    /// Wraps the keys of letters.
    pub(crate) wrap: LessSafeKey,
    /// Tells equal payloads, to whoever has the key.
    pub(crate) digest: hmac::Key,
}

/// Keys, the writing one first.
pub(crate) struct Keys(Vec<Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Keys({})", self.names())
    }
}

impl Keys {
    /// Reads a text of keys. No error repeats any of it but ids.
    fn parse(text: &str, place: &str) -> Result<Self, DlqError> {
        let mut keys: Vec<Key> = Vec::new();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        for entry in lines.flat_map(|line| line.split(',')).map(str::trim).filter(|entry| !entry.is_empty()) {
            let key = Key::parse(entry).ok_or_else(|| {
                let number = keys.len() + 1;
                DlqError::invalid(format!(
                    "encrypt: key {number} of {place} is none; write 'id:key', the key 32 bytes as base64, which `openssl rand -base64 32` gives"
                ))
            })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(DlqError::invalid(format!("encrypt: {place} has two keys of the id '{}'; every key needs its own", key.id)));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(DlqError::invalid(format!("encrypt: there is no key in {place}; write one as 'id:key'")));
        }
        Ok(Self(keys))
    }

    /// The key that writes.
    pub(crate) fn writing(&self) -> &Key {
        &self.0[0]
    }

    /// The key of an id.
    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The ids, for errors.
    pub(crate) fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|key| format!("'{}'", key.id)).collect();
        names.join(", ")
    }
}

impl Key {
    fn parse(entry: &str) -> Option<Self> {
        let (id, encoded) = entry.rsplit_once(':').map_or((None, entry), |(id, key)| (Some(id.trim()), key.trim()));
        let bytes = decode(encoded)?;
        let id = match id {
            Some(id) if id.is_empty() || id.len() > ID_BYTES || id.chars().any(char::is_control) => return None,
            Some(id) => id.to_owned(),
            None => Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
        };
        let wrap = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?);
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"seawall letter digest 1");
        Some(Self { id, wrap, digest: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) })
    }
}

fn decode(encoded: &str) -> Option<[u8; KEY_BYTES]> {
    let hexadecimal = || {
        let digits: Option<Vec<u8>> = encoded.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        digits.map(|digits| digits.chunks(2).map(|pair| pair.iter().fold(0, |all, digit| all << 4 | digit)).collect::<Vec<u8>>())
    };
    let bytes = if encoded.len() == 2 * KEY_BYTES {
        hexadecimal()
    } else {
        STANDARD.decode(encoded).ok().or_else(|| URL_SAFE.decode(encoded).ok())
    };
    bytes?.try_into().ok()
}

/// Keys that were read, and what they were read from.
struct Read {
    keys: Arc<Keys>,
    /// Of a file: it is read again when it has changed.
    version: Option<(SystemTime, u64)>,
}

#[derive(Default)]
struct Known {
    by_source: HashMap<String, Read>,
    held: Vec<Arc<Keys>>,
    /// Texts' digests, so that the same keys are held once.
    places: HashMap<[u8; 32], usize>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// Keeps keys that code gave, and gives the source that stands for them.
///
/// # Errors
/// `config.invalid` if the text holds no keys; the error repeats none of it.
pub fn hold_keys(text: &str) -> Result<String, DlqError> {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut known = KNOWN.lock();
    if let Some(place) = known.places.get(&digest) {
        return Ok(format!("{HELD}{place}"));
    }
    let keys = Arc::new(Keys::parse(text, "what the function gave")?);
    known.held.push(keys);
    let place = known.held.len() - 1;
    known.places.insert(digest, place);
    Ok(format!("{HELD}{place}"))
}

/// The keys of a source: `env:NAME` (read once per process), `file:PATH` (read again when it has changed), or what [`hold_keys`] gave.
pub(crate) fn keys_of(source: &str) -> Result<Arc<Keys>, DlqError> {
    let missing = |what: String| DlqError::invalid(format!("encrypt: {what}"));
    if let Some(place) = source.strip_prefix(HELD) {
        let held = place.parse::<usize>().ok().and_then(|place| KNOWN.lock().held.get(place).cloned());
        return held.ok_or_else(|| missing("no such keys are held".into()));
    }
    let (path, version) = match source.split_once(':') {
        Some(("env", name)) if !name.is_empty() => {
            if let Some(read) = KNOWN.lock().by_source.get(source) {
                return Ok(read.keys.clone());
            }
            let text =
                std::env::var(name).map_err(|_| missing(format!("the environment has no variable {name}; it should hold the keys")))?;
            return Ok(remember(source, Keys::parse(&text, &format!("the variable {name}"))?, None));
        }
        Some(("file", path)) if !path.is_empty() => (path, version(path).map_err(|why| missing(format!("cannot read '{path}': {why}")))?),
        _ => return Err(missing("names no source of keys; give 'env:NAME', 'file:PATH' or a function, never a key itself".into())),
    };
    if let Some(read) = KNOWN.lock().by_source.get(source).filter(|read| read.version == Some(version)) {
        return Ok(read.keys.clone());
    }
    let text = fs::read_to_string(path).map_err(|why| missing(format!("cannot read '{path}': {why}")))?;
    Ok(remember(source, Keys::parse(&text, &format!("'{path}'"))?, Some(version)))
}

fn version(path: &str) -> std::io::Result<(SystemTime, u64)> {
    let about = fs::metadata(path)?;
    Ok((about.modified()?, about.len()))
}

fn remember(source: &str, keys: Keys, version: Option<(SystemTime, u64)>) -> Arc<Keys> {
    let keys = Arc::new(keys);
    KNOWN.lock().by_source.insert(source.to_owned(), Read { keys: keys.clone(), version });
    keys
}

/// The source that readers use who were given none: the variable `SEAWALL_KEYS`, if it is set.
pub(crate) fn default_source() -> Option<String> {
    std::env::var(VARIABLE).is_ok_and(|text| !text.is_empty()).then(|| format!("env:{VARIABLE}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn keys_have_ids_and_the_first_one_writes() {
        let keys = Keys::parse(&format!("# since May\nnew:{ONE},old:{TWO}\n{ONE}"), "it").unwrap();
        assert_eq!((keys.writing().id.as_str(), keys.names()), ("new", "'new', 'old', '630dcd29'".into()));
        assert!(keys.find("old").is_some() && keys.find("older").is_none());
    }

    #[test]
    fn an_error_repeats_no_key() {
        for text in ["", "#", "new:", ":AAEC", "new:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", &format!("a:{ONE},a:{TWO}"), "a:hunter2"]
        {
            let error = Keys::parse(text, "the variable K").unwrap_err();
            assert!(error.code == "config.invalid" && error.message.contains("the variable K"), "{error}");
            assert!(!error.message.contains("AAEC") && !error.message.contains("hunter2"), "{error}");
        }
        let error = keys_of(ONE).unwrap_err();
        assert!(error.message.contains("env:NAME") && !error.message.contains("AAEC"), "{error}");
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let path = std::env::temp_dir().join(format!("seawall-keys-{}", std::process::id()));
        let source = format!("file:{}", path.display());
        assert!(keys_of(&source).unwrap_err().message.contains("cannot read"));
        fs::write(&path, format!("one:{ONE}")).unwrap();
        assert_eq!(keys_of(&source).unwrap().names(), "'one'");
        fs::write(&path, format!("two:{TWO}\none:{ONE}")).unwrap();
        assert_eq!(keys_of(&source).unwrap().names(), "'two', 'one'");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn keys_of_code_are_held_once() {
        let source = hold_keys(&format!("mine:{ONE}")).unwrap();
        assert_eq!(hold_keys(&format!("mine:{ONE}")).unwrap(), source);
        assert_eq!(keys_of(&source).unwrap().names(), "'mine'");
        assert!(hold_keys("nothing").is_err() && keys_of("held:999").is_err());
    }
}
