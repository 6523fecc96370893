//! Reading segments, those that are being written too.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::frame::{self, Found, Frame, MARK};
use super::segment::{ENDING, FOLDER, HEAD, check_head, failed};
use crate::DlqError;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// A segment that somebody wrote, or is writing.
pub struct Segment {
    file: File,
    path: PathBuf,
}

/// What a stretch of a segment holds.
#[derive(Debug, Default)]
pub struct Stretch {
    /// The letters, in the order of writing.
    pub frames: Vec<Frame>,
    /// Where the next stretch begins.
    pub next: u64,
    /// Bytes that are no frames, though frames follow them or nobody will write on: where, and what.
    pub damaged: Vec<(u64, Vec<u8>)>,
    /// Whether nothing follows for now.
    pub is_last: bool,
}

/// The segments in a store's directory, by name. None, if there is no log.
///
/// # Errors
/// `store.failed` if the folder cannot be read.
pub fn segments(directory: &Path) -> Result<Vec<PathBuf>, DlqError> {
    let folder = directory.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(failed("cannot list", &folder, &why)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|why| failed("cannot list", &folder, &why))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Segment {
    /// Opens a segment; none, if somebody has removed it meanwhile.
    ///
    /// # Errors
    /// `store.failed` if it cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>, DlqError> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { file, path: path.to_owned() })),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
            Err(why) => Err(failed("cannot open", path, &why)),
        }
    }

    /// Whether its writer is gone. Then nobody writes to it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self.file.try_lock_shared() {
            // Only a closed file cannot be unlocked.
            Ok(()) => self.file.unlock().is_ok(),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        }
    }

    /// Up to `most` letters from `from` on, zero for the beginning.
    ///
    /// # Errors
    /// `store.schema` for a segment or a letter of a newer build: nothing of it is skipped. `store.failed` if it cannot be read.
    pub fn read(&self, from: u64, most: usize) -> Result<Stretch, DlqError> {
        // Before the bytes are read: what a writer still adds after this is not taken for damage.
        let is_closed = self.is_closed();
        let mut bytes = Bytes { segment: self, at: from, held: Vec::new(), start: 0, is_end: false };
        let mut stretch = Stretch { next: from, ..Stretch::default() };
        if from < HEAD {
            bytes.more(HEAD as usize)?;
            if check_head(bytes.rest(), &self.path)? {
                bytes.skip(HEAD as usize);
            }
        }
        while stretch.frames.len() < most {
            let item = match bytes.next() {
                // A newer build's letter is told to whoever begins there; those before it are not held up.
                Err(why) if why.code == "store.schema" && !stretch.frames.is_empty() => break,
                item => item?,
            };
            match item {
                Item::Frame(frame) => stretch.frames.push(*frame),
                Item::End => {
                    stretch.is_last = true;
                    break;
                }
                Item::Damage(length, is_followed) if is_followed || is_closed => {
                    stretch.damaged.push((bytes.at, bytes.rest()[..length].to_vec()));
                    bytes.skip(length);
                }
                // A frame that is being written.
                Item::Damage(..) => {
                    stretch.is_last = true;
                    break;
                }
            }
        }
        stretch.next = bytes.at;
        Ok(stretch)
    }
}

enum Item {
    Frame(Box<Frame>),
    /// So many bytes that are none, and whether a frame follows.
    Damage(usize, bool),
    End,
}

/// A window that moves over a segment.
struct Bytes<'a> {
    segment: &'a Segment,
    /// Where the window lies in the file.
    at: u64,
    held: Vec<u8>,
    /// Where the window lies in `held`.
    start: usize,
    is_end: bool,
}

impl Bytes<'_> {
    fn rest(&self) -> &[u8] {
        &self.held[self.start..]
    }

    fn skip(&mut self, length: usize) {
        self.start += length;
        self.at += length as u64;
    }

    /// Reads until the window has `length` bytes, or the file ends.
    fn more(&mut self, length: usize) -> Result<(), DlqError> {
        if self.rest().len() < length {
            self.held.drain(..self.start);
            self.start = 0;
        }
        while self.held.len() - self.start < length && !self.is_end {
            let end = self.held.len();
            self.held.resize(end + CHUNK, 0);
            let read = read_at(&self.segment.file, &mut self.held[end..], self.at + (end - self.start) as u64);
            let read = read.map_err(|why| failed("cannot read", &self.segment.path, &why))?;
            self.held.truncate(end + read);
            self.is_end = read == 0;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Item, DlqError> {
        self.more(frame::HEAD)?;
        loop {
            let wanted = match frame::find(self.rest()) {
                Found::Whole(content, length) => {
                    let frame = frame::read(content)?;
                    self.skip(length);
                    return Ok(Item::Frame(Box::new(frame)));
                }
                Found::Nothing => 0,
                Found::Partly(length) => length,
                Found::Damaged => return self.damage(),
            };
            if wanted == 0 && self.rest_is_zero()? {
                return Ok(Item::End);
            }
            if wanted == 0 || self.is_end {
                return self.damage();
            }
            self.more(wanted)?;
        }
    }

    /// Frames are written in order, so zeros are the end, unless bytes were lost. A glance at what comes next tells.
    fn rest_is_zero(&mut self) -> Result<bool, DlqError> {
        self.more(frame::HEAD + GLANCE)?;
        Ok(self.rest().iter().take(frame::HEAD + GLANCE).all(|byte| *byte == 0))
    }

    /// How far the damage goes: to the next whole frame, else to the last byte that is not zero.
    fn damage(&mut self) -> Result<Item, DlqError> {
        self.more(usize::MAX)?;
        let rest = self.rest();
        let mut marks = (1..rest.len()).filter(|at| rest[*at..].starts_with(&MARK));
        if let Some(at) = marks.find(|at| matches!(frame::find(&rest[*at..]), Found::Whole(..))) {
            return Ok(Item::Damage(at, true));
        }
        let length = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Ok(if length == 0 { Item::End } else { Item::Damage(length, false) })
    }
}

/// How far behind an empty place is looked for what should not be there.
const GLANCE: usize = 4096;

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read(bytes)
}
