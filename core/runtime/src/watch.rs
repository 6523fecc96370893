//! A policy file that is watched. Whoever has a timer asks it to look, about twice a second; it tells when there is something to take.
//!
//! | what a look sees                             | what it does                                                |
//! |----------------------------------------------|-------------------------------------------------------------|
//! | nothing, or no regular file                  | nothing: what is in force stays                             |
//! | other marks than the look before             | waits for the next look: somebody may still be writing      |
//! | the marks of what was read last              | nothing, unless the file is young: see [`Mark::is_young`]   |
//! | settled marks, the content that was read last| nothing: it was taken, or refused, already                  |
//! | settled marks, another content               | tells that there is something to take                       |
//!
//! Links are followed at every look. So a file that an editor replaces by renaming another over it is seen as well as a folder of
//! Kubernetes, whose link is moved to another folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::registry::{self, Loaded};

/// A file is young for longer than any file system takes between two times of change that it can tell apart.
const YOUNG: Duration = Duration::from_secs(3);

/// A watched policy file. Cheap to clone, for a look waits for a disk and what keeps it may not want to wait.
#[derive(Clone, Debug)]
pub struct Watch {
    path: String,
    // Whole, for the process may move to another folder.
    place: PathBuf,
    env: Option<String>,
    before: Option<Mark>,
    read: Option<Mark>,
    content: Option<Content>,
}

/// The text, or why there is none.
type Content = Result<Arc<str>, String>;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    modified: Option<SystemTime>,
    size: u64,
    file: (u64, u64),
}

impl Watch {
    /// Watches `path` from its present state on. Make it before the file is loaded, or a change in between goes unseen.
    #[must_use]
    pub fn new(path: &str, env: Option<&str>) -> Self {
        let place = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let read = Mark::of(&place);
        let content = read.and_then(|_| content_of(&place));
        Self { path: path.to_owned(), place, env: env.map(str::to_owned), before: read, read, content }
    }

    /// Whether the file has another content than the one read last. Waits for the disk.
    #[must_use]
    pub fn look(&mut self) -> bool {
        let mark = Mark::of(&self.place);
        let is_settled = std::mem::replace(&mut self.before, mark) == mark;
        let Some(mark) = mark.filter(|mark| is_settled && (self.read != Some(*mark) || mark.is_young())) else { return false };
        let Some(content) = content_of(&self.place) else { return false };
        self.read = Some(mark);
        let content = Some(content);
        let is_other = self.content != content;
        self.content = content;
        is_other
    }

    /// Loads what the last look read. Nobody is there to raise an error to, so a bad file is refused by an event.
    #[must_use]
    pub fn take(&self, now: u64) -> Loaded {
        let Some(content) = &self.content else { return Loaded::default() };
        registry::reload(&self.path, content.as_deref().map_err(String::as_str), self.env.as_deref(), now)
    }
}

/// Nothing for a file that has gone meanwhile.
fn content_of(place: &Path) -> Option<Content> {
    match std::fs::read_to_string(place) {
        Ok(text) => Some(Ok(text.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(format!("cannot be read: {error}"))),
    }
}

impl Mark {
    /// Nothing where there is no regular file; a pipe would block whoever reads it.
    pub(crate) fn of(place: &Path) -> Option<Self> {
        let found = std::fs::metadata(place).ok().filter(std::fs::Metadata::is_file)?;
        #[cfg(unix)]
        let file = (std::os::unix::fs::MetadataExt::dev(&found), std::os::unix::fs::MetadataExt::ino(&found));
        #[cfg(not(unix))]
        let file = (0, 0);
        Some(Self { modified: found.modified().ok(), size: found.len(), file })
    }

    /// Times of change are coarse: what is written twice within one tick, the size unchanged, has the same marks. So a file that
    /// changed a moment ago, or in the future, is read again.
    pub(crate) fn is_young(&self) -> bool {
        self.modified.is_none_or(|modified| SystemTime::now().duration_since(modified).map_or(true, |age| age < YOUNG))
    }
}
