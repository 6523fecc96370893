//! Circuits by the control file.

use seawall_runtime::control::{Entry, Kind, Place, receipts, report};
use serde_json::{Value, json};

use crate::args::{Breaker, BreakerVerb, Who};
use crate::control::{add, answers, author, life_ms, read, shown};
use crate::dlq::{DONE, Ended};
use crate::{Console, page};

/// What is asked of whom.
struct Asked {
    kind: Kind,
    policy: String,
    key: Option<String>,
    life: String,
    reason: String,
    who: Who,
}

pub(crate) fn run(breaker: Breaker, console: &mut Console<'_>) -> Ended {
    let place = Place::of_host();
    let asked = match breaker.verb {
        BreakerVerb::Ls => return list(&place, breaker.json, console),
        BreakerVerb::Isolate { policy, key, life, reason, who } => Asked { kind: Kind::Isolate, policy, key, life, reason, who },
        BreakerVerb::Reset { policy, key, life, reason, who } => Asked { kind: Kind::Reset, policy, key, life, reason, who },
    };
    ask(&place, asked, breaker.json, console)
}

/// The latest word about a circuit is the one that counts: what was asked of it before is taken out.
fn ask(place: &Place, asked: Asked, json: bool, console: &mut Console<'_>) -> Ended {
    let mut entry = Entry::new(asked.kind, &asked.policy, &author(&asked.who), &asked.reason, life_ms(&asked.life)?);
    entry.key = asked.key;
    let same = |other: &Entry| !matches!(other.kind, Kind::Chaos(_)) && other.policy == entry.policy && other.key == entry.key;
    add(place, &entry, same)?;
    let states = answers(place, &entry.id, asked.who.no_wait);
    let until = entry.to_json()["until"].clone();
    if json {
        writeln!(
            console.out,
            "{}",
            json!({"id": entry.id, "policy": entry.policy, "key": entry.key, "until": until, "processes": states})
        )?;
    } else {
        let key = entry.key.as_ref().map(|key| format!(" (key {key})")).unwrap_or_default();
        writeln!(console.out, "{} of {}{key} until {}", entry.id, entry.policy, page::cell(&until))?;
        writeln!(console.out, "{}", shown(&states))?;
    }
    DONE
}

fn list(place: &Place, json: bool, console: &mut Console<'_>) -> Ended {
    let book = read(place)?;
    let row = |entry: &Entry| {
        let mut row = entry.to_json();
        row["processes"] = json!(report(&receipts(place, &entry.id)).processes);
        row
    };
    let held = book.entries.iter().filter(|entry| !matches!(entry.kind, Kind::Chaos(_)) && entry.left_ms() > 0);
    let rows: Vec<Value> = held.map(row).collect();
    if json {
        page::lines(&rows, console)?;
        return DONE;
    }
    let names = ["id", "policy", "key", "until", "author", "reason"];
    let cells: Vec<Vec<String>> = rows.iter().map(|row| names.map(|name| page::cell(&row[name])).to_vec()).collect();
    page::table(&["ENTRY", "POLICY", "KEY", "UNTIL", "AUTHOR", "REASON"], &cells, console)?;
    DONE
}
