//! The verbs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use seawall_dlq::{DlqError, Queue, Redrive, default_store_url, store_at};
use seawall_runtime::ConfigError;
use serde_json::{Value, json};

use crate::args::{Dlq, Verb};
use crate::filter::Filter;
use crate::{Console, Done, page};

/// Letters read at once.
const PAGE: usize = 1000;

/// Why a command ends early, and the code to exit with.
pub(crate) struct Failed {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl From<DlqError> for Failed {
    fn from(why: DlqError) -> Self {
        // What the user typed is wrong, or what he found is.
        Self { code: if why.code == "config.invalid" { 2 } else { 1 }, message: why.message }
    }
}

impl From<ConfigError> for Failed {
    fn from(why: ConfigError) -> Self {
        Self { code: 2, message: why.to_string() }
    }
}

impl From<io::Error> for Failed {
    fn from(why: io::Error) -> Self {
        Self { code: 1, message: why.to_string() }
    }
}

pub(crate) type Ended = Result<Done, Failed>;

pub(crate) const DONE: Ended = Ok(Done::Exit(0));

/// Where, and how to say it.
struct At {
    store: String,
    keys: Option<String>,
    json: bool,
}

impl At {
    fn queue(&self, name: &str) -> Result<Queue, Failed> {
        let queue = Queue::open(name, &self.store)?;
        Ok(match &self.keys {
            Some(source) => queue.with_keys(source)?,
            None => queue,
        })
    }
}

pub(crate) fn run(dlq: Dlq, console: &mut Console<'_>) -> Ended {
    let store = dlq.store.map_or_else(default_store_url, Ok)?;
    let at = At { store, keys: dlq.keys, json: dlq.json };
    match dlq.verb {
        Verb::Ls { queue: None, .. } => queues(&at, console),
        Verb::Ls { queue: Some(queue), filter, limit, after } => letters(&at, &queue, filter, limit, after.as_deref(), console),
        Verb::Groups { queue, filter } => groups(&at, &queue, filter, console),
        Verb::Show { queue, id } => show(&at, &queue, &id, console),
        Verb::Jobs { queue, pause, cancel } => jobs(&at, &queue, pause.as_deref(), cancel.as_deref(), console),
        Verb::Park { queue, filter, all } => park(&at, &queue, filter, all, console),
        Verb::Purge { queue, filter, all, dry_run, confirm } => purge(&at, &queue, &filter.text(), all, dry_run, confirm, console),
        Verb::Export { queue, filter, output } => export(&at, &queue, &filter.text(), output.as_deref(), console),
        Verb::Import { queue, file } => import(&at, &queue, file, console),
        Verb::Stats { queue } => stats(&at, &queue, console),
        Verb::Doctor => doctor(&at, console),
        redrive => begin_redrive(&at, redrive, console),
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn queues(at: &At, console: &mut Console<'_>) -> Ended {
    let mut rows = Vec::new();
    for name in store_at(&at.store)?.queues()? {
        let mut stats = parse(&at.queue(&name)?.stats()?);
        stats["queue"] = name.into();
        rows.push(stats);
    }
    page::queues(&rows, at.json, console)?;
    DONE
}

fn letters(at: &At, queue: &str, filter: Filter, limit: usize, after: Option<&str>, console: &mut Console<'_>) -> Ended {
    let found = parse(&at.queue(queue)?.peek(&filter.text(), limit, after)?);
    page::letters(found.as_array().map_or(&[], Vec::as_slice), at.json, console)?;
    DONE
}

fn groups(at: &At, queue: &str, filter: Filter, console: &mut Console<'_>) -> Ended {
    let found = parse(&at.queue(queue)?.groups(&filter.text())?);
    page::groups(found.as_array().map_or(&[], Vec::as_slice), at.json, console)?;
    DONE
}

fn show(at: &At, queue: &str, id: &str, console: &mut Console<'_>) -> Ended {
    let letter = at.queue(queue)?.get(id)?;
    let letter = letter.ok_or_else(|| Failed { code: 1, message: format!("queue '{queue}' has no letter {id}") })?;
    page::letter(&parse(&letter), at.json, console)?;
    DONE
}

fn park(at: &At, queue: &str, filter: Filter, all: bool, console: &mut Console<'_>) -> Ended {
    let filter = filter.json();
    let is_all = filter.as_object().is_none_or(serde_json::Map::is_empty);
    if is_all != all {
        return Err(Failed { code: 2, message: "park: give either a filter or --all".into() });
    }
    let parked = parse(&at.queue(queue)?.park(&filter.to_string())?);
    page::count(&parked, "parked", at.json, console)?;
    DONE
}

fn purge(at: &At, queue: &str, filter: &str, all: bool, dry_run: bool, confirm: Option<String>, console: &mut Console<'_>) -> Ended {
    let letters = at.queue(queue)?;
    // Says what is wrong with the filter before anything is asked.
    let would = parse(&letters.purge(filter, all, true)?);
    if dry_run {
        page::count(&would, "purged", at.json, console)?;
        return DONE;
    }
    let said = match confirm {
        Some(said) => said,
        None => {
            write!(console.err, "{} letters of queue '{queue}' will be gone for good. The queue's name again: ", would["purged"])?;
            console.err.flush()?;
            let mut said = String::new();
            console.input.read_line(&mut said)?;
            said
        }
    };
    if said.trim() != queue {
        return Err(Failed { code: 1, message: format!("purge: that is not '{queue}'; nothing was removed") });
    }
    page::count(&parse(&letters.purge(filter, all, false)?), "purged", at.json, console)?;
    DONE
}

fn export(at: &At, queue: &str, filter: &str, output: Option<&Path>, console: &mut Console<'_>) -> Ended {
    let letters = at.queue(queue)?;
    let mut file = match output {
        Some(path) => Some(BufWriter::new(create(path)?)),
        None => None,
    };
    let (mut count, mut after) = (0_u64, None);
    loop {
        let (lines, last) = letters.export(filter, PAGE, after.as_deref())?;
        for line in &lines {
            match &mut file {
                Some(file) => writeln!(file, "{line}")?,
                None => writeln!(console.out, "{line}")?,
            }
        }
        count += lines.len() as u64;
        if lines.len() < PAGE {
            break;
        }
        after = last;
    }
    if let Some(mut file) = file {
        file.flush()?;
        file.get_ref().sync_all()?;
    }
    writeln!(console.err, "{count} letters exported")?;
    DONE
}

/// A file for nobody else: letters hold payloads.
fn create(path: &Path) -> Result<File, Failed> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|why| Failed { code: 1, message: format!("cannot write '{}': {why}", path.display()) })
}

fn import(at: &At, queue: &str, file: Option<PathBuf>, console: &mut Console<'_>) -> Ended {
    let letters = at.queue(queue)?;
    let mut count = 0_u64;
    let mut take = |number: usize, line: &str| -> Result<(), Failed> {
        if !line.trim().is_empty() {
            letters.import(line).map_err(|why| {
                let Failed { code, message } = why.into();
                Failed { code, message: format!("line {}: {message}; the {count} before it are in", number + 1) }
            })?;
            count += 1;
        }
        Ok(())
    };
    match file {
        Some(path) => {
            let file = File::open(&path).map_err(|why| Failed { code: 1, message: format!("cannot read '{}': {why}", path.display()) })?;
            for (number, line) in BufReader::new(file).lines().enumerate() {
                take(number, &line?)?;
            }
        }
        None => {
            for (number, line) in console.input.lines().enumerate() {
                take(number, &line?)?;
            }
        }
    }
    writeln!(console.err, "{count} letters imported")?;
    DONE
}

fn stats(at: &At, queue: &str, console: &mut Console<'_>) -> Ended {
    page::stats(&parse(&at.queue(queue)?.stats()?), at.json, console)?;
    DONE
}

fn doctor(at: &At, console: &mut Console<'_>) -> Ended {
    let found = store_at(&at.store)?.doctor()?;
    page::findings(&found, at.json, console)?;
    Ok(Done::Exit(u8::from(!found.is_empty())))
}

fn jobs(at: &At, queue: &str, pause: Option<&str>, cancel: Option<&str>, console: &mut Console<'_>) -> Ended {
    let letters = at.queue(queue)?;
    let halted = match (pause, cancel) {
        (Some(job), _) => letters.pause(job)?,
        (None, Some(job)) => letters.cancel(job)?,
        (None, None) => {
            let found = parse(&letters.jobs()?);
            page::jobs(found.as_array().map_or(&[], Vec::as_slice), at.json, console)?;
            return DONE;
        }
    };
    if !halted {
        return Err(Failed { code: 1, message: "jobs: it has ended".into() });
    }
    page::count(&json!({"halted": 1}), "halted", at.json, console)?;
    DONE
}

/// The letters that are left of a job.
fn remaining(letters: &Queue, id: &str) -> Result<u64, Failed> {
    let found = parse(&letters.jobs()?);
    let job = found.as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == id));
    let job = job.ok_or_else(|| Failed { code: 2, message: format!("redrive: queue '{}' has no job {id}", letters.name()) })?;
    Ok(job["remaining"].as_u64().unwrap_or(0))
}

fn begin_redrive(at: &At, verb: Verb, console: &mut Console<'_>) -> Ended {
    let Verb::Redrive { queue, to, filter, limit, all, rate, concurrency, stop_after_failures, dry_run, resume } = verb else {
        return DONE;
    };
    let filter = filter.json();
    if resume.is_some() && filter.as_object().is_some_and(|filter| !filter.is_empty()) {
        return Err(Failed { code: 2, message: "redrive: a job that is gone on with has its filter already".into() });
    }
    let most = if all { Value::Null } else { limit.into() };
    let options = json!({"limit": most, "rate": rate, "stop_after_failures": stop_after_failures, "dry_run": true, "filter": filter});
    let letters = at.queue(&queue)?;
    // Checked here in any case: a mistake is told before a handler is loaded.
    let step = parse(&Redrive::new(&letters, &options.to_string(), 0)?.next(0)?);
    if dry_run {
        return Ok(Done::Exit(page::report(&step["done"], at.json, console)));
    }
    let there = step["done"]["remaining"].as_u64().unwrap_or(0);
    let total = match &resume {
        Some(id) => remaining(&letters, id)?,
        None => most.as_u64().map_or(there, |most| most.min(there)),
    };
    let mut options = options;
    options["dry_run"] = false.into();
    options["job"] = true.into();
    options["resume"] = json!(resume);
    let handler = to.ok_or_else(|| Failed { code: 2, message: format!("redrive: --to is missing; {}", console.handler) })?;
    let request = json!({"queue": queue, "store": at.store, "keys": at.keys, "handler": handler, "concurrency": concurrency, "json": at.json, "total": total, "options": options});
    Ok(Done::Redrive(request.to_string()))
}
