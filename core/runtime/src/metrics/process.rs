//! Metrics of the process: what runs here, its policy files, and what others add.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use parking_lot::Mutex;

use super::Sample;

static LANGUAGE: OnceLock<(&str, String)> = OnceLock::new();

/// Says once which language the process is written in, and what runs it: what metrics are labelled with.
pub fn set_language(language: &'static str, runtime: String) {
    // Whoever comes second, as a module that is loaded again, says the same.
    let _ = LANGUAGE.set((language, runtime));
}

pub(crate) fn language() -> (&'static str, &'static str) {
    LANGUAGE.get().map_or(("rust", ""), |(language, runtime)| (language, runtime))
}

type Source = fn() -> Vec<Sample>;
static SOURCES: LazyLock<Mutex<Vec<Source>>> = LazyLock::new(Mutex::default);

/// Adds what the process counts elsewhere, under names of the table. Asked at each reading; adding the same again changes nothing.
pub fn add_source(source: Source) {
    let mut sources = SOURCES.lock();
    if !sources.iter().any(|known| std::ptr::fn_addr_eq(*known, source)) {
        sources.push(source);
    }
}

// Relaxed: each stands for itself.
static LOADED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);
/// Milliseconds since 1970; 0 if none was loaded.
static LOADED_AT: AtomicU64 = AtomicU64::new(0);

/// A policy file was loaded, or was refused.
pub(crate) fn file_read(loaded: bool) {
    if loaded {
        LOADED.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        LOADED_AT.store(now, Ordering::Relaxed);
    } else {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn forget() {
    [&LOADED, &REFUSED, &LOADED_AT].iter().for_each(|word| word.store(0, Ordering::Relaxed));
}

pub(crate) fn samples() -> Vec<Sample> {
    let read = |word: &AtomicU64| word.load(Ordering::Relaxed) as f64;
    let (_, runtime) = language();
    let mut samples = vec![
        Sample::new("seawall_config_reloads_total", &[("outcome", "success")], read(&LOADED)),
        Sample::new("seawall_config_reloads_total", &[("outcome", "failure")], read(&REFUSED)),
        Sample::new("seawall_build_info", &[("version", env!("CARGO_PKG_VERSION")), ("runtime", runtime)], 1.0),
    ];
    if LOADED_AT.load(Ordering::Relaxed) > 0 {
        samples.push(Sample::new("seawall_config_last_reload_timestamp_seconds", &[], read(&LOADED_AT) / 1_000.0));
    }
    let sources = SOURCES.lock().clone();
    samples.extend(sources.into_iter().flat_map(|source| source()));
    samples
}
