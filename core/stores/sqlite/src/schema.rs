//! The directory, the tables and their version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use seawall_dlq::DlqError;

use crate::row::failed;

/// The file in a store's directory.
pub(crate) const FILE: &str = "index.sqlite";
/// The tables' version. It changes when an older build could no longer use them.
const VERSION: i64 = 1;
/// Says that the file is ours, "SWDL" in ASCII.
const APPLICATION: i64 = 0x5357_444c;

/// What tables of this version may lack: how far each segment of the log has been read, indexes that hold all that counting and grouping look at, so
/// that neither reads a record, jobs, and (below) when a letter was archived.
const LATER: &str = "
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
DROP INDEX IF EXISTS letters_by_state;
DROP INDEX IF EXISTS letters_by_group;
CREATE INDEX IF NOT EXISTS letters_in_state ON letters (queue, state, id, lease_until, created, size);
CREATE INDEX IF NOT EXISTS letters_of_group ON letters (queue, fingerprint, id, state, created);
CREATE TABLE IF NOT EXISTS jobs (id BLOB PRIMARY KEY, queue TEXT NOT NULL, version INTEGER NOT NULL, open INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
";

const TABLES: &str = "
CREATE TABLE letters (
  id BLOB NOT NULL UNIQUE,
  queue TEXT NOT NULL,
  mark INTEGER NOT NULL,
  state TEXT NOT NULL,
  created INTEGER NOT NULL,
  fence INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL DEFAULT 0,
  lease_owner TEXT,
  refailed INTEGER NOT NULL DEFAULT 0,
  redrives INTEGER NOT NULL,
  redrivable INTEGER NOT NULL,
  min_reader INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  error_type TEXT NOT NULL,
  error_code TEXT,
  policy TEXT,
  key TEXT,
  correlation_id TEXT,
  operation TEXT,
  idempotency_key TEXT,
  size INTEGER NOT NULL,
  record BLOB NOT NULL
);
CREATE INDEX letters_by_work ON letters (queue, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX letters_by_correlation ON letters (queue, correlation_id) WHERE correlation_id IS NOT NULL;
CREATE TABLE aliases (id BLOB PRIMARY KEY, letter BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX aliases_by_letter ON aliases (letter);
CREATE TABLE marks (latest INTEGER NOT NULL);
INSERT INTO marks VALUES (0);
";

/// Makes the directory and the file, with nobody else's access, and gives the directory's real path.
pub(crate) fn prepare(directory: &Path) -> Result<PathBuf, DlqError> {
    let cannot = |what: &str, why: &io::Error| DlqError::failed(format!("store: {what} '{}': {why}", directory.display()));
    make_directory(directory).map_err(|why| cannot("cannot make the directory", &why))?;
    let real = directory.canonicalize().map_err(|why| cannot("cannot use the directory", &why))?;
    make_file(&real.join(FILE)).map_err(|why| cannot("cannot make a file in", &why))?;
    Ok(real)
}

#[cfg(unix)]
fn make_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // A directory that is there already keeps the mode that somebody gave it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn make_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}

/// SQLite gives its side files the mode of the main one.
#[cfg(unix)]
pub(crate) fn make_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(not(unix))]
pub(crate) fn make_file(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether the tables are there and ours.
///
/// # Errors
/// `store.schema` if they are somebody else's, or of another version.
pub(crate) fn check(connection: &Connection, file: &Path) -> Result<bool, DlqError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(false);
    }
    if application != APPLICATION {
        return Err(DlqError::schema(format!(
            "store: '{}' is a database of another application; give seawall a directory of its own",
            file.display()
        )));
    }
    if version != VERSION {
        return Err(DlqError::schema(format!(
            "store: '{}' has schema version {version}, this build reads and writes version {VERSION}: use a seawall of that version, or another directory",
            file.display()
        )));
    }
    Ok(true)
}

/// Makes the tables, inside the caller's transaction.
pub(crate) fn create(connection: &Connection) -> Result<(), DlqError> {
    connection.execute_batch(TABLES).map_err(failed)?;
    complete(connection)?;
    connection.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    connection.pragma_update(None, "user_version", VERSION).map_err(failed)
}

/// Adds what tables of this version may lack, inside the caller's transaction.
pub(crate) fn complete(connection: &Connection) -> Result<(), DlqError> {
    connection.execute_batch(LATER).map_err(failed)?;
    let has_archived = "SELECT count(*) FROM pragma_table_info('letters') WHERE name = 'archived'";
    let has_archived: bool = connection.query_row(has_archived, [], |row| row.get(0)).map_err(failed)?;
    if has_archived { Ok(()) } else { connection.execute_batch("ALTER TABLE letters ADD COLUMN archived INTEGER").map_err(failed) }
}
