//! The tables and their version.

use seawall_dlq::{DlqError, Durability};

use crate::connection::Connection;
use crate::fault::Fault;

/// The tables' version. It changes when an older build could no longer use them.
const VERSION: i64 = 1;
/// One process at a time makes the tables: "seawall" as a number.
const LOCK: &str = "SELECT pg_advisory_xact_lock(32484500247735404)";

/// Marks come from a sequence, so that writers need not wait for each other. One may be given before an earlier one is committed; a redrive's bound
/// then takes in letters that were being written when it began, and never one that was begun later.
const TABLES: &str = "
CREATE TABLE seawall_letters (
  id UUID PRIMARY KEY,
  queue TEXT NOT NULL,
  mark BIGINT NOT NULL,
  state TEXT NOT NULL,
  created BIGINT NOT NULL,
  fence BIGINT NOT NULL DEFAULT 0,
  lease_until BIGINT NOT NULL DEFAULT 0,
  lease_owner TEXT,
  refailed BOOLEAN NOT NULL DEFAULT FALSE,
  redrives BIGINT NOT NULL,
  redrivable BOOLEAN NOT NULL,
  min_reader BIGINT NOT NULL,
  fingerprint TEXT NOT NULL,
  error_type TEXT NOT NULL,
  error_code TEXT,
  policy TEXT,
  key TEXT,
  correlation_id TEXT,
  operation TEXT,
  idempotency_key TEXT,
  size BIGINT NOT NULL,
  archived BIGINT,
  record BYTEA NOT NULL
);
CREATE INDEX seawall_letters_in_state ON seawall_letters (queue, state, id);
CREATE INDEX seawall_letters_of_group ON seawall_letters (queue, fingerprint, id);
CREATE INDEX seawall_letters_by_work ON seawall_letters (queue, hashtextextended(idempotency_key, 0)) WHERE idempotency_key IS NOT NULL;
CREATE INDEX seawall_letters_by_correlation ON seawall_letters (queue, hashtextextended(correlation_id, 0)) WHERE correlation_id IS NOT NULL;
CREATE TABLE seawall_aliases (id UUID PRIMARY KEY, letter UUID NOT NULL REFERENCES seawall_letters ON DELETE CASCADE);
CREATE INDEX seawall_aliases_by_letter ON seawall_aliases (letter);
CREATE TABLE seawall_jobs (id UUID PRIMARY KEY, queue TEXT NOT NULL, version BIGINT NOT NULL, open BOOLEAN NOT NULL, body TEXT NOT NULL);
CREATE INDEX seawall_jobs_of_queue ON seawall_jobs (queue, id);
CREATE SEQUENCE seawall_marks;
CREATE TABLE seawall_schema (version BIGINT NOT NULL);
";

/// Makes sure that the tables are there and of our version.
pub(crate) fn prepare(db: &mut Connection) -> Result<(), Fault> {
    let encoding: String =
        db.row("SELECT current_setting('server_encoding')", &[])?.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    if encoding != "UTF8" {
        return Err(DlqError::schema(format!("store: the database's encoding is {encoding}; seawall needs one of encoding UTF8")).into());
    }
    if is_there(db)? {
        return Ok(());
    }
    db.transact(Durability::Fsync, true, |db| {
        db.batch(LOCK)?;
        // Another process may have made them since.
        if is_there(db)? {
            return Ok(());
        }
        db.batch(TABLES)?;
        db.execute("INSERT INTO seawall_schema (version) VALUES ($1)", &[&VERSION])?;
        Ok(())
    })
}

/// Whether the tables are there.
fn is_there(db: &mut Connection) -> Result<bool, Fault> {
    // Not `to_regclass`: that would repeat what this session knew before it waited for the lock.
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'seawall_schema' AND pg_catalog.pg_table_is_visible(oid))";
    let known = db.row(sql, &[])?;
    if !known.map(|row| row.try_get::<_, bool>(0)).transpose()?.unwrap_or(false) {
        return Ok(false);
    }
    let version: Option<i64> = db.row("SELECT max(version) FROM seawall_schema", &[])?.map(|row| row.try_get(0)).transpose()?.flatten();
    match version {
        Some(VERSION) => Ok(true),
        other => Err(DlqError::schema(format!(
            "store: the tables in this database have version {}, this build reads and writes version {VERSION}: use a seawall of that version, or another database or schema",
            other.map_or_else(|| "none".to_owned(), |version| version.to_string())
        ))
        .into()),
    }
}
