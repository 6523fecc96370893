//! Where the control file lies, and whether what lies there may be trusted.
//!
//! Below the folder of state: `$SEAWALL_DIR`, else the user's state directory, as for letters. What has no home, as some services, takes
//! `$XDG_RUNTIME_DIR`, else a folder of the user's own among the temporary files. A home may be shared by hosts, so the host's name is
//! a part of the path.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than any file of a sane host.
const MOST_BYTES: u64 = 1 << 20;

/// The folder of one host's control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// The one that the processes of this user on this host look at.
    #[must_use]
    pub fn of_host() -> Self {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = given("SEAWALL_DIR")
            .or_else(|| given("XDG_STATE_HOME").map(|state| state.join("seawall")))
            .or_else(|| given("HOME").map(|home| home.join(".local/state/seawall")))
            .or_else(|| given("XDG_RUNTIME_DIR").map(|runtime| runtime.join("seawall")))
            .unwrap_or_else(|| std::env::temp_dir().join(format!("seawall-{}", system::user())));
        // The process may move to another folder.
        let base = std::path::absolute(&base).unwrap_or(base);
        Self::at(base.join("control").join(system::host()))
    }

    /// The one in `dir`.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join("control.json")
    }

    /// The folder of what processes did about one entry.
    pub(super) fn receipts(&self, entry: &str) -> PathBuf {
        self.dir.join("receipts").join(entry)
    }

    /// Makes the folder, for nobody but the user.
    pub(super) fn make(&self) -> Result<(), String> {
        make_private(&self.dir)?;
        self.check()
    }

    /// Why the folder may not be trusted. One that is not there yet may.
    ///
    /// # Errors
    /// In words, for people.
    pub fn check(&self) -> Result<(), String> {
        match std::fs::symlink_metadata(&self.dir) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(why) => Err(format!("{} cannot be looked at: {why}", self.dir.display())),
            Ok(found) if !found.is_dir() => Err(format!("{} is no folder", self.dir.display())),
            Ok(found) => system::check_owner(&self.dir, &found),
        }
    }

    /// The text of the file and what tells this state of it from another; nothing if there is none.
    pub(super) fn read(&self) -> Result<Option<String>, String> {
        self.check()?;
        let path = self.file();
        let shown = path.display();
        let file = match system::open_options().read(true).open(&path) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(format!("{shown} cannot be opened: {why}")),
        };
        let found = file.metadata().map_err(|why| format!("{shown} cannot be looked at: {why}"))?;
        if !found.is_file() {
            return Err(format!("{shown} is no regular file"));
        }
        system::check_owner(&path, &found)?;
        text_of(file).map(Some).map_err(|why| format!("{shown} {why}"))
    }
}

/// At most [`MOST_BYTES`] of a file.
pub(super) fn text_of(file: File) -> Result<String, String> {
    let mut text = String::new();
    match file.take(MOST_BYTES + 1).read_to_string(&mut text) {
        Err(why) => Err(format!("cannot be read: {why}")),
        Ok(_) if text.len() as u64 > MOST_BYTES => Err(format!("is larger than {MOST_BYTES} bytes")),
        Ok(_) => Ok(text),
    }
}

/// A folder for nobody but the user; those above it are made alike where they lack.
pub(super) fn make_private(dir: &Path) -> Result<(), String> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|why| format!("{} cannot be made: {why}", dir.display()))
}

/// Puts `text` in the place of whatever `path` holds, at once: whoever reads finds the old or the new.
///
/// `durable`: waits until it would outlive the machine.
pub(super) fn put(path: &Path, text: &str, durable: bool) -> io::Result<()> {
    use std::io::Write as _;
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    // Left by a process of the same number that ended in between.
    let _ = std::fs::remove_file(&aside);
    let mut options: OpenOptions = system::open_options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create_new(true).open(&aside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| if durable { file.sync_data() } else { Ok(()) })
        .and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written
}

#[cfg(unix)]
pub(super) mod system {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    use super::{Metadata, OpenOptions, Path};

    /// Group's and others' right to write.
    const OTHERS_WRITE: u32 = 0o022;

    /// The number of the user whose rights this process has.
    pub(in super::super) fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// The host's name, as far as it can stand in a path.
    pub(in super::super) fn host() -> String {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        if safe.trim_matches('.').is_empty() { "localhost".to_owned() } else { safe }
    }

    /// Links are not followed, and a pipe blocks nobody.
    pub(in super::super) fn open_options() -> OpenOptions {
        let mut options = OpenOptions::new();
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
        options
    }

    /// Whoever else may write there could hold every circuit open.
    pub(in super::super) fn check_owner(path: &Path, found: &Metadata) -> Result<(), String> {
        let shown = path.display();
        if found.uid() != user() {
            return Err(format!("{shown} belongs to user {}, not to user {} of this process", found.uid(), user()));
        }
        if found.mode() & OTHERS_WRITE != 0 {
            return Err(format!("{shown} may be written by others (mode {:o}); chmod go-w would be right", found.mode() & 0o7777));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
pub(super) mod system {
    use super::{Metadata, OpenOptions, Path};

    pub(in super::super) fn user() -> u32 {
        0
    }

    pub(in super::super) fn host() -> String {
        "localhost".to_owned()
    }

    pub(in super::super) fn open_options() -> OpenOptions {
        OpenOptions::new()
    }

    pub(in super::super) fn check_owner(_: &Path, _: &Metadata) -> Result<(), String> {
        Ok(())
    }
}
