//! Which store serves which URL. `memory:` is built in; a store crate adds its scheme once per process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::{DeadLetterStore, DlqError, MemoryStore};

type Opener = fn(&str) -> Result<Arc<dyn DeadLetterStore>, DlqError>;

static OPENERS: LazyLock<Mutex<HashMap<String, Opener>>> = LazyLock::new(Mutex::default);
static MEMORY: LazyLock<Arc<MemoryStore>> = LazyLock::new(Arc::default);

/// Serves URLs of a scheme (without the colon) by an opener, which gets the whole URL. Registering again replaces.
pub fn register_store(scheme: &str, opener: Opener) {
    OPENERS.lock().insert(scheme.to_owned(), opener);
}

/// The store at a URL; `memory:` is one per process.
///
/// # Errors
/// `store.unsupported` for a scheme that nobody registered, and whatever the store's own opener says.
pub fn store_at(url: &str) -> Result<Arc<dyn DeadLetterStore>, DlqError> {
    if url == "memory:" {
        return Ok(MEMORY.clone());
    }
    let scheme = url.split(':').next().filter(|_| url.contains(':')).unwrap_or_default();
    let opener = OPENERS.lock().get(scheme).copied();
    if let Some(opener) = opener {
        return opener(url);
    }
    let mut known: Vec<String> = OPENERS.lock().keys().map(|scheme| format!("'{scheme}://…'")).collect();
    known.sort_unstable();
    known.push("'memory:'".into());
    // The URL may carry a password, so only its scheme is repeated.
    let what = if scheme.is_empty() { "a URL without a scheme".to_owned() } else { format!("'{scheme}:'") };
    Err(DlqError::unsupported(format!(
        "store: no dead-letter store for {what}; there are {} ('sqlite:///dir' is a directory below the current one, 'sqlite:////dir' an absolute one)",
        known.join(" and ")
    )))
}

/// The store of a queue for which none was named: `$SEAWALL_STORE`, else a directory `dlq` in `$SEAWALL_DIR`, else in
/// `seawall` below the user's state directory.
///
/// # Errors
/// `config.invalid` if the environment names no directory to keep letters in.
pub fn default_store_url() -> Result<String, DlqError> {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(url) = given("SEAWALL_STORE") {
        return Ok(url);
    }
    let base = given("SEAWALL_DIR")
        .or_else(|| given("XDG_STATE_HOME").map(|state| format!("{state}/seawall")))
        .or_else(|| given("HOME").map(|home| format!("{home}/.local/state/seawall")))
        .ok_or_else(|| {
            DlqError::invalid(
                "store: none given and no home directory known; give a store such as 'sqlite:///letters' or set SEAWALL_STORE",
            )
        })?;
    Ok(format!("sqlite:///{base}/dlq"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_told_what_there_is_without_its_secrets() {
        let Err(error) = store_at("kafka://ada:hunter2@host/topic") else { panic!("there is no such store") };
        assert_eq!(error.code, "store.unsupported");
        assert!(error.message.contains("'kafka:'") && error.message.contains("'memory:'") && !error.message.contains("hunter2"), "{error}");
        assert_eq!(store_at("letters").err().map(|error| error.code), Some("store.unsupported"));
    }
}
