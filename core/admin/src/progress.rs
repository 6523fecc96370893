//! How far a redrive is, for people: a bar on the standard error, if that is a terminal.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// One redrive a process.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows how many deliveries of a redrive ended well and badly so far. Nothing with `--json`, or where nobody sees it.
pub fn progress(request: &str, ok: u64, failed: u64) {
    let request: Value = serde_json::from_str(request).unwrap_or_default();
    if request["json"] == true {
        return;
    }
    // A bar that panicked is no reason to.
    let Ok(mut bar) = BAR.lock() else { return };
    let total = request["total"].as_u64().unwrap_or(0);
    let bar = bar.get_or_insert_with(|| begin(total));
    bar.set_position(ok + failed);
    bar.set_message(if failed > 0 { format!("{failed} failed") } else { String::new() });
    if ok + failed >= total {
        bar.finish_and_clear();
    }
}

/// Clears the line, so that what is said next has it to itself.
pub(crate) fn clear() {
    if let Ok(Some(bar)) = BAR.lock().map(|mut bar| bar.take()) {
        bar.finish_and_clear();
    }
}

fn begin(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {per_sec} {eta} {msg}");
    let bar = ProgressBar::new(total);
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}
