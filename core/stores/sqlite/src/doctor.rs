//! What somebody should see to before letters depend on it.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use seawall_dlq::{DlqError, Finding, log};

use crate::row::failed;

/// Less free space than this is too little: a segment takes as much.
const FREE: u64 = 64 << 20;

fn finding(place: &Path, message: impl Into<String>) -> Finding {
    Finding { place: place.display().to_string(), message: message.into() }
}

/// The directory and what lies in it. What cannot be looked at is a finding too.
pub(crate) fn files(directory: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(mode(directory));
    found.extend(space(directory));
    found.extend(damaged(&directory.join("log")));
    match log::segments(directory) {
        Ok(segments) => found.extend(segments.iter().filter_map(|path| unreadable(path))),
        Err(why) => found.push(finding(directory, why.message)),
    }
    found
}

/// The tables. Reads all of them.
pub(crate) fn tables(db: &Connection) -> Result<Vec<Finding>, DlqError> {
    let mut statement = db.prepare("PRAGMA quick_check(10)").map_err(failed)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    let told: Vec<String> = rows.collect::<Result<_, _>>().map_err(failed)?;
    let broken = told.into_iter().filter(|line| line != "ok");
    Ok(broken
        .map(|line| Finding {
            place: crate::schema::FILE.into(),
            message: format!("{line}; export what can be read and import it into a new store"),
        })
        .collect())
}

#[cfg(unix)]
fn mode(directory: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(directory).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| finding(directory, format!("others may look into it (mode {mode:o}); chmod 700 would be right")))
}

#[cfg(not(unix))]
fn mode(_directory: &Path) -> Option<Finding> {
    None
}

/// Free space, and whether the file system is one on which neither locks nor SQLite's WAL can be trusted.
#[cfg(target_os = "linux")]
fn space(directory: &Path) -> Vec<Finding> {
    const REMOTE: [(u64, &str); 4] = [(0x6969, "NFS"), (0x517b, "SMB"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB2")];
    let Ok(system) = rustix::fs::statfs(directory) else { return Vec::new() };
    let mut found = Vec::new();
    let free = available(&system);
    if free < FREE {
        found.push(finding(directory, format!("{} MiB are free; {} at least would be right", free >> 20, FREE >> 20)));
    }
    let kind = u64::try_from(system.f_type).unwrap_or(0) & u64::from(u32::MAX);
    if let Some((_, name)) = REMOTE.iter().find(|(number, _)| *number == kind) {
        found.push(finding(directory, format!("lies on {name}, whose locks do not hold between machines; a local disk would be right")));
    }
    found
}

#[cfg(target_os = "linux")]
fn available(system: &rustix::fs::StatFs) -> u64 {
    system.f_bavail.saturating_mul(u64::try_from(system.f_bsize).unwrap_or(0))
}

/// The bytes that are free for this user, if the system tells.
#[cfg(target_os = "linux")]
pub(crate) fn free(directory: &Path) -> Option<u64> {
    rustix::fs::statfs(directory).ok().map(|system| available(&system))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn free(_directory: &Path) -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn space(_directory: &Path) -> Vec<Finding> {
    Vec::new()
}

fn damaged(folder: &Path) -> Vec<Finding> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let broken = entries.filter(|path| path.extension().is_some_and(|ending| ending == "damaged"));
    broken
        .map(|path| {
            let size = fs::metadata(&path).map_or(0, |file| file.len());
            finding(&path, format!("{size} bytes of a segment that were no letter: a process died in mid-write, or the disk changed them; look, then remove it"))
        })
        .collect()
}

fn unreadable(path: &Path) -> Option<Finding> {
    match log::Segment::open(path).and_then(|segment| {
        segment.map_or(Ok(()), |segment| {
            segment.read(0, usize::MAX).and_then(|read| if read.is_last { Ok(()) } else { segment.read(read.next, 1).map(drop) })
        })
    }) {
        Ok(()) => None,
        Err(why) => Some(finding(path, why.message)),
    }
}
