//! `seawall events`: lines of JSON from many processes as one story, with the letters that belong to it.
//!
//! A line is whatever a process logs as JSON: the events of this library, and the application's own lines, which carry the same correlation id
//! if its logger was told to. Of each the instant is read from `time` or `timestamp`: RFC 3339, or milliseconds since 1970.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_dlq::{Queue, default_store_url, store_at};
use serde_json::{Map, Value, json};

use crate::args::Events;
use crate::dlq::Failed;
use crate::{Console, Done, page};

/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The most letters of one queue.
const LETTERS: usize = 1_000;
/// The longest line; what is longer is no event.
const LINE: usize = 1 << 20;

/// One line of the story.
struct Told {
    /// Milliseconds since 1970; what tells no time comes first.
    at: i64,
    source: String,
    record: Map<String, Value>,
}

pub(crate) fn run(asked: Events, console: &mut Console<'_>) -> Result<Done, Failed> {
    let corr = asked.corr.as_deref();
    let mut told = Vec::new();
    let mut tails = Vec::new();
    for path in &asked.files {
        let mut tail = Tail::open(path)?;
        told.extend(tail.read(corr)?);
        tails.push(tail);
    }
    if asked.files.is_empty() {
        told.extend(lines(&mut *console.input, "-", corr)?);
    }
    if let Some(corr) = corr {
        told.extend(letters(asked.store.as_deref(), corr)?);
    }
    // Of one instant each source keeps its order.
    told.sort_by_key(|one| one.at);
    let is_empty = told.is_empty();
    write(&told, asked.json, console)?;
    if asked.follow {
        return follow(&mut tails, corr, asked.json, console);
    }
    if let (true, Some(corr)) = (is_empty, corr) {
        return Err(Failed { code: 1, message: format!("nothing has the correlation id {}", page::cell(&corr.into())) });
    }
    Ok(Done::Exit(0))
}

/// Until the reader has enough.
fn follow(tails: &mut [Tail], corr: Option<&str>, json: bool, console: &mut Console<'_>) -> Result<Done, Failed> {
    loop {
        let mut told = Vec::new();
        for tail in tails.iter_mut() {
            told.extend(tail.read(corr)?);
        }
        told.sort_by_key(|one| one.at);
        if write(&told, json, console).and_then(|()| console.out.flush()).is_err() {
            return Ok(Done::Exit(0));
        }
        std::thread::sleep(LOOK);
    }
}

/// A file, and how far it was read.
struct Tail {
    path: PathBuf,
    file: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Tail {
    fn open(path: &Path) -> Result<Self, Failed> {
        let file = File::open(path).map_err(|why| Failed { code: 2, message: format!("{}: {why}", path.display()) })?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), rest: Vec::new() })
    }

    /// What was written since the last time. A file that became shorter is read anew.
    fn read(&mut self, corr: Option<&str>) -> io::Result<Vec<Told>> {
        let seen = self.file.stream_position()?;
        if self.file.get_ref().metadata()?.len() < seen {
            self.file.seek(SeekFrom::Start(0))?;
            self.rest.clear();
        }
        let mut more = std::mem::take(&mut self.rest);
        self.file.read_to_end(&mut more)?;
        let end = more.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        self.rest = more.split_off(end);
        lines(&mut more.as_slice(), &self.path.display().to_string(), corr)
    }
}

fn lines(input: &mut (impl BufRead + ?Sized), source: &str, corr: Option<&str>) -> io::Result<Vec<Told>> {
    let mut told = Vec::new();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if line.len() <= LINE
            && let Ok(Value::Object(record)) = serde_json::from_slice(&line)
            && corr.is_none_or(|corr| record.get("correlation_id").and_then(Value::as_str) == Some(corr))
        {
            let at = record.get("time").or_else(|| record.get("timestamp")).and_then(instant).unwrap_or(i64::MIN);
            told.push(Told { at, source: source.to_owned(), record });
        }
        line.clear();
    }
    Ok(told)
}

fn instant(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        other => other.as_i64().or_else(|| other.as_f64().map(|ms| ms as i64)),
    }
}

/// The letters of a correlation id, from every queue of the store.
fn letters(store: Option<&str>, corr: &str) -> Result<Vec<Told>, Failed> {
    let url = match store {
        Some(url) => url.to_owned(),
        None => match default_store_url() {
            // Looking makes no store where there is none.
            Ok(url) if url.strip_prefix("sqlite:///").is_none_or(|path| Path::new(path).exists()) => url,
            _ => return Ok(Vec::new()),
        },
    };
    let filter = json!({"correlation_id": corr}).to_string();
    let mut told = Vec::new();
    for name in store_at(&url)?.queues()? {
        let found = Queue::open(&name, &url)?.peek(&filter, LETTERS, None)?;
        let found: Vec<Value> = serde_json::from_str(&found).unwrap_or_default();
        told.extend(found.iter().map(|letter| of_letter(&name, letter)));
    }
    Ok(told)
}

/// A letter as a line. Its payload stays where it is.
fn of_letter(queue: &str, letter: &Value) -> Told {
    let time = &letter["times"]["dead_lettered"];
    let fields = [
        ("time", time.clone()),
        ("event", "letter".into()),
        ("queue", queue.into()),
        ("letter_id", letter["id"].clone()),
        ("state", letter["state"].clone()),
        ("policy", letter["policy"].clone()),
        ("attempts", letter["attempt_count"].clone()),
        ("redrives", letter["redrives"].clone()),
        ("error_type", letter["error"]["type"].clone()),
        ("language", letter["origin"]["language"].clone()),
        ("operation", letter["origin"]["operation"].clone()),
        ("correlation_id", letter["correlation_id"].clone()),
    ];
    let record = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Told { at: instant(time).unwrap_or(i64::MIN), source: format!("dlq:{queue}"), record }
}

fn write(told: &[Told], json: bool, console: &mut Console<'_>) -> io::Result<()> {
    told.iter().try_for_each(|one| {
        if json {
            let mut record = one.record.clone();
            record.insert("source".into(), one.source.as_str().into());
            writeln!(console.out, "{}", Value::Object(record))
        } else {
            writeln!(console.out, "{}", for_people(one))
        }
    })
}

/// Time, source, what happened, and everything else as it is named. No control character gets through.
fn for_people(one: &Told) -> String {
    let of = |names: &[&str]| names.iter().find_map(|name| one.record.get(*name)).map_or_else(|| "-".to_owned(), page::cell);
    let source = one.source.rsplit('/').next().unwrap_or_default();
    let mut line =
        vec![of(&["time", "timestamp"]), page::cell(&source.into()), of(&["severity", "level"]), of(&["event", "message", "msg"])];
    const SAID: [&str; 8] = ["time", "timestamp", "severity", "level", "event", "message", "msg", "correlation_id"];
    let rest = one.record.iter().filter(|(name, value)| !SAID.contains(&name.as_str()) && !value.is_null());
    line.extend(rest.map(|(name, value)| format!("{}={}", page::cell(&name.as_str().into()), page::cell(value))));
    line.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_loggers_write_them() {
        assert_eq!(instant(&"2026-01-02T03:04:05.006Z".into()), Some(1_767_323_045_006));
        assert_eq!(instant(&"2026-01-02T04:04:05.006+01:00".into()), Some(1_767_323_045_006));
        assert_eq!(instant(&1_767_323_045_006i64.into()), Some(1_767_323_045_006));
        assert_eq!(instant(&"yesterday".into()), None);
    }

    #[test]
    fn only_whole_lines_of_the_id_are_told_and_nothing_reaches_the_terminal_raw() {
        let text =
            "{\"event\":\"a\\u001b[2J\",\"correlation_id\":\"x\",\"time\":1}\nno json\n[1]\n{\"event\":\"b\",\"correlation_id\":\"y\"}\n";
        let told = lines(&mut text.as_bytes(), "f", Some("x")).expect("memory can be read");
        assert_eq!(told.iter().map(for_people).collect::<Vec<_>>(), ["1  f  -  a [2J"]);
    }
}
