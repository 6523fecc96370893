//! Room that is kept for the day on which the disk is full.
//!
//! Letters that lie in the store must still find their way out of it then, for that is what makes room. So a file holds some: whoever's transaction
//! finds no space removes it and tries once more, and new letters keep out of that room. The next process that opens the store makes it again, once there is plenty.

use std::fs;
use std::path::Path;

use crate::doctor;
use crate::schema::make_file;

/// Twice what SQLite's log grows by between two checkpoints.
const BYTES: u64 = 8 << 20;
/// Where less than this is free the ballast would be what fills the disk.
const PLENTY: u64 = 4 * BYTES;
/// With less than this SQLite cannot even open its files.
pub(crate) const LITTLE: u64 = 256 << 10;
const FILE: &str = "ballast";

/// Makes the file if it is not there and there is plenty of room. A store does without it, too.
pub(crate) fn load(directory: &Path) {
    let path = directory.join(FILE);
    if path.exists() || doctor::free(directory).is_none_or(|free| free < PLENTY) {
        return;
    }
    let made = make_file(&path).and_then(|file| fill(&file));
    if made.is_err() {
        let _ = fs::remove_file(&path);
    }
}

/// Gives its room back; whether there was some.
pub(crate) fn release(directory: &Path) -> bool {
    fs::remove_file(directory.join(FILE)).is_ok()
}

/// Whether its room was given back and is needed still: then neither new letters nor their way into the tables may
/// take it.
pub(crate) fn is_in_use(directory: &Path) -> bool {
    !directory.join(FILE).exists() && is_tight(directory)
}

/// Whether the disk is all but full.
pub(crate) fn is_tight(directory: &Path) -> bool {
    doctor::free(directory).is_some_and(|free| free < 2 * BYTES)
}

#[cfg(target_os = "linux")]
fn fill(file: &fs::File) -> std::io::Result<()> {
    // Blocks that are taken, for an empty file that is only long holds no room.
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, BYTES)?)
}

#[cfg(not(target_os = "linux"))]
fn fill(mut file: &fs::File) -> std::io::Result<()> {
    std::io::Write::write_all(&mut file, &vec![0; BYTES as usize])
}
