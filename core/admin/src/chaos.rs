//! Experiments by the control file.

use seawall_runtime::ConfigError;
use seawall_runtime::control::{Entry, Kind, Place, draw_seed, entry_of, latest, receipts, report};
use serde_json::{Map, Value, json};

use crate::args::{Chaos, ChaosOn, ChaosVerb};
use crate::control::{add, answers, author, change, life_ms, read, shown, wait};
use crate::dlq::{DONE, Ended, Failed};
use crate::{Console, page};

pub(crate) fn run(chaos: Chaos, console: &mut Console<'_>) -> Ended {
    let place = Place::of_host();
    match chaos.verb {
        ChaosVerb::On(on) => begin(&place, &on, chaos.json, console),
        ChaosVerb::Ls => list(&place, chaos.json, console),
        ChaosVerb::Off { target, no_wait, .. } => end(&place, target.as_deref(), no_wait, chaos.json, console),
        ChaosVerb::Report { target } => tell(&place, target.as_deref(), chaos.json, console),
    }
}

fn begin(place: &Place, on: &ChaosOn, json: bool, console: &mut Console<'_>) -> Ended {
    let options = options(on)?;
    let seed = options["seed"].clone();
    let entry = Entry::new(Kind::Chaos(options), &on.policy, &author(&on.who), &on.reason, life_ms(&on.life)?);
    add(place, &entry, |_| false)?;
    let states = answers(place, &entry.id, on.who.no_wait);
    let made = entry.to_json();
    if json {
        let told = json!({"id": entry.id, "policy": entry.policy, "until": made["until"], "seed": seed, "processes": states});
        writeln!(console.out, "{told}")?;
    } else {
        writeln!(console.out, "{} on {} until {}, seed {seed}", entry.id, entry.policy, page::cell(&made["until"]))?;
        writeln!(console.out, "{}", shown(&states))?;
    }
    DONE
}

/// The options of the experiment, as a policy file has them.
fn options(on: &ChaosOn) -> Result<Map<String, Value>, Failed> {
    let rate = on.error.as_ref().or(on.rate.as_ref());
    let Some(rate) = rate else {
        return Err(ConfigError::new("chaos on", "give --error SHARE, or --latency DURATION with --rate SHARE").into());
    };
    if on.rate.is_some() && on.latency.is_none() {
        return Err(ConfigError::new("--rate", "is the share of attempts that --latency delays: give that too").into());
    }
    let seed = on.seed.unwrap_or_else(draw_seed);
    let mut options = Map::new();
    options.insert("rate".into(), rate.as_str().into());
    options.insert("seed".into(), seed.into());
    options.insert("max_share".into(), on.max_share.as_str().into());
    if on.error.is_some() {
        options.insert("fault".into(), 1.into());
    }
    for (name, value) in [("latency", &on.latency), ("window", &on.window)] {
        options.extend(value.as_ref().map(|value| (name.to_owned(), value.as_str().into())));
    }
    options.extend(abort(on).map(|abort| ("abort_when".to_owned(), abort)));
    Ok(options)
}

fn abort(on: &ChaosOn) -> Option<Value> {
    let mut abort = Map::new();
    if !on.no_abort {
        abort.insert("failure_ratio".into(), on.abort_at.as_str().into());
    }
    if let Some(watched) = &on.abort_when_open {
        abort.insert("breaker".into(), "open".into());
        if !watched.is_empty() {
            abort.insert("policy".into(), watched.as_str().into());
        }
    }
    if abort.is_empty() { None } else { Some(Value::Object(abort)) }
}

fn is_chaos(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::Chaos(_))
}

fn is_meant(entry: &Entry, target: Option<&str>) -> bool {
    is_chaos(entry) && target.is_none_or(|target| entry.policy == target || entry.id == target)
}

fn list(place: &Place, json: bool, console: &mut Console<'_>) -> Ended {
    let book = read(place)?;
    let rows: Vec<Value> = book.entries.iter().filter(|entry| is_chaos(entry)).map(|entry| row(place, entry)).collect();
    if json {
        page::lines(&rows, console)?;
        return DONE;
    }
    let names = ["id", "policy", "state", "struck", "attempts", "until", "author", "reason"];
    let cells: Vec<Vec<String>> = rows.iter().map(|row| names.map(|name| page::cell(&row[name])).to_vec()).collect();
    page::table(&["EXPERIMENT", "POLICY", "STATE", "STRUCK", "ATTEMPTS", "UNTIL", "AUTHOR", "REASON"], &cells, console)?;
    DONE
}

fn row(place: &Place, entry: &Entry) -> Value {
    let told = report(&receipts(place, &entry.id));
    let state = match &entry.ended {
        Some(ended) => format!("ended by {}", ended.why),
        None if entry.left_ms() == 0 => "expired".to_owned(),
        None => "on".to_owned(),
    };
    let mut row = entry.to_json();
    row["state"] = state.into();
    row["processes"] = json!(told.processes);
    row["struck"] = told.count("struck").into();
    row["attempts"] = told.count("attempts").into();
    row
}

fn end(place: &Place, target: Option<&str>, no_wait: bool, json: bool, console: &mut Console<'_>) -> Ended {
    let taken = change(place, |book| {
        let (taken, left) = std::mem::take(&mut book.entries).into_iter().partition(|entry| is_meant(entry, target));
        book.entries = left;
        let taken: Vec<Entry> = taken;
        taken
    })?;
    if taken.is_empty() {
        let what = target.map_or_else(|| "there is no experiment".to_owned(), |target| format!("there is no experiment on '{target}'"));
        return Err(Failed { code: 1, message: what });
    }
    if !no_wait {
        wait(|| taken.iter().all(|entry| receipts(place, &entry.id).iter().all(|receipt| receipt.state != "running")));
    }
    for entry in &taken {
        say(place, &entry.to_json(), json, console)?;
    }
    DONE
}

fn tell(place: &Place, target: Option<&str>, json: bool, console: &mut Console<'_>) -> Ended {
    let found = target.and_then(|target| entry_of(place, target)).or_else(|| latest(place, "chaos", target));
    match found {
        Some(entry) => say(place, &entry, json, console),
        None => Err(Failed { code: 1, message: "no such experiment is on record".into() }),
    }
}

/// The report of one experiment.
fn say(place: &Place, entry: &Value, json: bool, console: &mut Console<'_>) -> Ended {
    let id = entry["id"].as_str().unwrap_or_default();
    let told = report(&receipts(place, id));
    if json {
        let mut whole = told.to_json();
        whole["experiment"] = entry.clone();
        writeln!(console.out, "{whole}")?;
        return DONE;
    }
    let [policy, author, reason, at] = ["policy", "author", "reason", "at"].map(|name| page::cell(&entry[name]));
    writeln!(console.out, "{id} on {policy}, from {at}, by {author}: {reason}")?;
    let options: Vec<String> =
        entry["options"].as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", page::cell(value))).collect();
    writeln!(console.out, "options     {}", options.join(", "))?;
    told.lines().iter().try_for_each(|line| writeln!(console.out, "{line}"))?;
    DONE
}
