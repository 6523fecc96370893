//! A segment: one file of frames, written by one process, locked while that lives.
//!
//! A segment comes into its folder whole: it is made under another name, locked, given its head, made durable, and only then renamed. Whoever
//! finds a file that ends in `.seg` and gets its lock knows that nobody will write to it any more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::DlqError;

/// The folder of segments in a store's directory.
pub(super) const FOLDER: &str = "log";
/// How a segment's name ends.
pub(super) const ENDING: &str = "seg";
const UNFINISHED: &str = "new";

/// Eight bytes that say what the file is, and its version; then the writer's id and the segment's number, and a checksum of these.
const MAGIC: [u8; 8] = *b"SWDLLOG\x01";
/// The head's length; the first frame follows.
pub(super) const HEAD: u64 = 32;

/// The first segment of a process.
const SMALLEST: u64 = 4 << 20;
/// Later ones grow up to here.
const LARGEST: u64 = 64 << 20;
/// What a segment takes where there is no room for a whole one.
const SLIVER: u64 = 64 << 10;

/// A segment that is being written.
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    at: u64,
    size: u64,
}

impl Segment {
    /// The `number`th segment of a writer, with room for `bytes` at least. It is durable, its name included.
    pub(super) fn create(folder: &Path, writer: Uuid, number: u32, bytes: usize) -> Result<Self, DlqError> {
        let name = format!("{writer}-{number:06}");
        let (path, unfinished) = (folder.join(&name).with_extension(ENDING), folder.join(&name).with_extension(UNFINISHED));
        let made = Self::make(&unfinished, writer, number, bytes).and_then(|(file, size)| {
            fs::rename(&unfinished, &path)?;
            // Its name must be there after a power cut as its bytes are.
            sync_folder(folder)?;
            Ok(Self { file, path: path.clone(), at: HEAD, size })
        });
        made.map_err(|why| {
            // What is left of it holds no letter.
            let _ = fs::remove_file(&unfinished);
            failed("cannot make", &path, &why)
        })
    }

    fn make(path: &Path, writer: Uuid, number: u32, bytes: usize) -> io::Result<(File, u64)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        file.lock()?;
        let needed = HEAD + bytes as u64;
        let size = reserve(&file, (SMALLEST << number.min(4)).clamp(needed, LARGEST.max(needed)))
            .or_else(|_| reserve(&file, needed.next_multiple_of(SLIVER)))?;
        write_at(&file, &head(writer, number), 0)?;
        file.sync_all()?;
        Ok((file, size))
    }

    /// Whether `bytes` more fit in, and somebody can still find the file.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        self.at + bytes as u64 <= self.size && is_linked(&self.file)
    }

    /// Writes frames behind the others; with `sync` they are durable when this returns. After an error nobody knows what is on the disk, so
    /// nothing may follow in this segment.
    pub(super) fn write(&mut self, frames: &[u8], sync: bool) -> Result<(), DlqError> {
        let written = write_at(&self.file, frames, self.at).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        self.at += frames.len() as u64;
        written.map_err(|why| failed("cannot write to", &self.path, &why))
    }
}

fn head(writer: Uuid, number: u32) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(&MAGIC);
    head[8..24].copy_from_slice(writer.as_bytes());
    head[24..28].copy_from_slice(&number.to_le_bytes());
    let sum = crc32c::crc32c(&head[..28]);
    head[28..32].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Whether a file begins as a segment of this version does.
///
/// # Errors
/// `store.schema` for another version's.
pub(super) fn check_head(bytes: &[u8], path: &Path) -> Result<bool, DlqError> {
    let Some(head) = bytes.get(..HEAD as usize) else { return Ok(false) };
    if head[..7] == MAGIC[..7] && head[7] != MAGIC[7] {
        return Err(DlqError::schema(format!(
            "log: '{}' has version {}, this build reads version {}: use a seawall of that version to read it",
            path.display(),
            head[7],
            MAGIC[7]
        )));
    }
    Ok(head[..8] == MAGIC && crc32c::crc32c(&head[..28]).to_le_bytes() == head[28..32])
}

/// Takes room on the disk, so that a full one is noticed before a letter is written, and a write changes nothing but bytes.
#[cfg(target_os = "linux")]
fn reserve(file: &File, size: u64) -> io::Result<u64> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(size),
        // Not every file system can; then the file is only made long.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(size).map(|()| size),
        Err(why) => Err(why.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(file: &File, size: u64) -> io::Result<u64> {
    file.set_len(size).map(|()| size)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(unix)]
fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|file| file.nlink() > 0)
}

#[cfg(not(unix))]
fn is_linked(_file: &File) -> bool {
    true
}

/// Makes the names in a folder durable.
#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// An error of the file system as ours.
pub(super) fn failed(what: &str, path: &Path, why: &io::Error) -> DlqError {
    let message = format!("log: {what} '{}': {why}", path.display());
    match why.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => DlqError::full(message),
        _ => DlqError::failed(message),
    }
}
