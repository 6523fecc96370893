//! The log: letters are durable here before anything else happens to them.
//!
//! Each process appends to segments of its own in the folder `log` of a store's directory, so that no lock is shared between writers and a
//! stuck process delays nobody. A store moves the letters from here into its index, whenever it likes, and must do so before it answers
//! questions.
//!
//! | what happens | what is left | who repairs it |
//! |---|---|---|
//! | the writer dies in mid-write | a frame without its end; nobody was promised it | the reader sets its bytes aside |
//! | the disk is full, or fails | nothing more in this segment | the next letter opens another |
//! | the writer forks | the child opens segments of its own | |
//! | the directory is removed | a file that nobody finds | the next letter makes it again |
//! | a byte changes on the disk | a frame whose checksum differs | the reader sets it aside and finds the next |
//!
//! The format is `docs/spec/letters.md`.

mod frame;
mod reader;
mod segment;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use frame::Frame;
pub use reader::{Segment, Stretch, segments};

use crate::per_process::PerProcess;
use crate::{DlqError, Record, Write};
use segment::{FOLDER, failed};
use writer::Writer;

/// The end of a log at which letters come in.
pub struct Log {
    directory: PathBuf,
    writers: PerProcess<Writer>,
}

impl Log {
    /// The log in a store's directory. Nothing is made before the first letter.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), writers: PerProcess::default() }
    }

    /// Appends letters. They are written, and with [`Durability::Fsync`](crate::Durability) durable, when this returns.
    ///
    /// # Errors
    /// `store.busy` if the disk took longer than `write.by` over other threads' letters, `store.full` without space, `store.failed` else.
    pub fn append(&self, batch: &[Record], write: &Write) -> Result<(), DlqError> {
        let mut frames = Vec::new();
        for record in batch {
            frame::write(&mut frames, &record.to_bytes()?, write.now, write.within_retry)?;
        }
        self.writers.get()?.append(|| self.folder(), &frames, write.durability, write.by)
    }

    /// Closes this process's segment, once whoever writes is done. The next letter opens another.
    pub fn close(&self) {
        if let Ok(writer) = self.writers.get() {
            writer.close();
        }
    }

    /// The folder of the segments, made if it is not there.
    fn folder(&self) -> Result<PathBuf, DlqError> {
        let folder = self.directory.join(FOLDER);
        if !folder.is_dir() {
            make_folder(&folder)
                .and_then(|()| segment::sync_folder(&self.directory))
                .map_err(|why| failed("cannot make", &folder, &why))?;
        }
        Ok(folder)
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Makes the names of a store's segments, and of what lies beside them, durable.
///
/// # Errors
/// What the file system says.
pub fn sync_folder(directory: &Path) -> io::Result<()> {
    segment::sync_folder(&directory.join(FOLDER))
}
