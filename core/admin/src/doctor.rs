//! What is wrong with the surroundings, or soon will be: variables, the control file, the policy file, the store of letters.

use std::path::Path;

use seawall_dlq::{Finding, default_store_url, store_at};
use seawall_runtime::control::{Book, Entry, Kind, Place, receipts};
use seawall_runtime::explain::check_file;

use crate::dlq::Ended;
use crate::{Console, Done, page};

pub(crate) fn run(json: bool, console: &mut Console<'_>) -> Ended {
    let mut found = Vec::new();
    variables(&mut found);
    control(&mut found);
    policy_file(&mut found);
    store(&mut found);
    page::findings(&found, json, console)?;
    Ok(Done::Exit(u8::from(!found.is_empty())))
}

fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn note(found: &mut Vec<Finding>, place: impl Into<String>, message: impl Into<String>) {
    found.push(Finding { place: place.into(), message: message.into() });
}

fn variables(found: &mut Vec<Finding>) {
    if let Some(value) = given("SEAWALL_CHAOS").filter(|value| value != "allow") {
        note(found, "SEAWALL_CHAOS", format!("is {value:?} and arms nothing; only \"allow\" does"));
    }
    if let Some(value) = given("SEAWALL_CONTROL").filter(|value| value != "off") {
        note(found, "SEAWALL_CONTROL", format!("is {value:?} and changes nothing; only \"off\" does"));
    }
    if given("SEAWALL_ENV").is_some() && given("SEAWALL_CONFIG").is_none() {
        note(found, "SEAWALL_ENV", "names an environment, and SEAWALL_CONFIG no file that has one");
    }
}

fn control(found: &mut Vec<Finding>) {
    let place = Place::of_host();
    let path = place.file().display().to_string();
    match Book::read(&place) {
        Err(why) => note(found, path, format!("{why}; processes keep what they had before")),
        Ok(book) => {
            for entry in book.entries.iter().filter(|entry| entry.left_ms() > 0) {
                note(found, format!("{path}: {}", entry.id), standing(&place, entry));
            }
        }
    }
}

/// What is in force by hand is to be seen to: somebody may have forgotten it.
fn standing(place: &Place, entry: &Entry) -> String {
    let what = match entry.kind {
        Kind::Chaos(_) => "chaos on",
        Kind::Isolate => "holds open the circuit of",
        Kind::Reset => "resets the circuit of",
    };
    let answered = receipts(place, &entry.id);
    let until = page::cell(&entry.to_json()["until"]);
    let refused = answered.iter().find(|receipt| receipt.state == "refused").map(|receipt| format!("; refused: {}", receipt.why));
    let by = format!("{what} {} until {until}, by {}: {}", entry.policy, entry.author, entry.reason);
    format!("{by}; {} processes have answered{}", answered.len(), refused.unwrap_or_default())
}

fn policy_file(found: &mut Vec<Finding>) {
    let Some(path) = given("SEAWALL_CONFIG") else { return };
    match check_file(&path) {
        Err(why) => note(found, "SEAWALL_CONFIG", why.to_string()),
        Ok(checked) => {
            for one in checked {
                for finding in &one.findings {
                    let env = one.env.as_ref().map(|env| format!("env.{env}.")).unwrap_or_default();
                    let place = format!("{path}: {env}policy.{}.{}", one.policy, page::cell(&finding["path"]));
                    note(found, place, page::cell(&finding["message"]));
                }
            }
            if let Some(env) = given("SEAWALL_ENV").filter(|env| !names_env(&path, env)) {
                note(found, "SEAWALL_ENV", format!("{path} has no environment {env:?}"));
            }
        }
    }
}

fn names_env(path: &str, env: &str) -> bool {
    seawall_runtime::explain::environments(path).is_ok_and(|names| names.iter().any(|name| name == env))
}

/// Looks at a store that is there; the default one is made by the first letter.
fn store(found: &mut Vec<Finding>) {
    let url = match default_store_url() {
        Ok(url) => url,
        Err(why) => return note(found, "store", why.message),
    };
    let is_there = url.strip_prefix("sqlite:///").is_none_or(|folder| Path::new(folder).is_dir());
    if !is_there {
        return;
    }
    match store_at(&url).and_then(|store| store.doctor()) {
        Ok(more) => found.extend(more),
        Err(why) => note(found, "store", why.message),
    }
}
