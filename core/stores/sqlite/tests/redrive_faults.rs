//! The kernel says no at the Nth call, anywhere in the life of a redrive: each ends in a clear error or in a settled letter, and nothing is lost. By
//! `strace`, which is looked for on the path. And a directory that belongs to somebody else.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod scratch;

use std::path::Path;
use std::process::{Command, Stdio};

use scratch::Scratch;
use seawall_dlq::{DeadLetterStore, DlqError, Query, Queue, Redrive, State};

const DIRECTORY: &str = "SEAWALL_TEST_DIRECTORY";
const LETTERS: u64 = 8;

fn queue(directory: &Path) -> Result<Queue, DlqError> {
    Ok(Queue::on(seawall_store_sqlite::open(directory)?, "orders", || 0))
}

/// Redrives what is there; how many answers were taken.
fn redrive(directory: &Path) -> Result<u64, DlqError> {
    let redrive = Redrive::new(&queue(directory)?, r#"{"limit": null}"#, 0)?;
    let mut token = 0;
    while redrive.next(0)?.contains("deliver") {
        token += 1;
        redrive.delivered(token, true, None, 0)?;
        println!("settled");
    }
    Ok(token)
}

/// Not a test of its own: the process whose kernel fails.
#[test]
#[ignore = "started by the tests below"]
fn redriver() {
    if let Err(why) = redrive(Path::new(&std::env::var(DIRECTORY).unwrap())) {
        println!("ended by {}", why.code);
    }
}

fn victim(directory: &Path, before: &mut Command) -> std::io::Result<String> {
    let run = before
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "redriver", "--ignored", "--nocapture", "--test-threads", "1"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .output()?;
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Ok(String::from_utf8(run.stdout).unwrap())
}

#[test]
fn a_call_that_fails_anywhere_in_a_redrive_loses_nothing() {
    let (mut runs, mut ended) = (0, 0);
    for fault in ["fsync:error=EIO", "fdatasync:error=EIO", "pwrite64:error=ENOSPC", "pwrite64:error=EIO", "ftruncate:error=EIO"] {
        for nth in [1, 2, 3, 5, 8, 13, 21] {
            let scratch = Scratch::new("redrive-fault");
            let letters = queue(scratch.path()).unwrap();
            for n in 0..LETTERS {
                letters.put(&format!(r#"{{"payload": {n}, "durability": "os"}}"#)).unwrap();
            }
            let mut strace = Command::new("strace");
            strace.args(["-f", "-o", "/dev/null", "-e", &format!("inject={fault}:when={nth}")]);
            let Ok(said) = victim(scratch.path(), &mut strace) else {
                println!("SKIPPED: strace is not on the path; install it to see what failing calls do");
                return;
            };
            let settled = said.matches("settled").count() as u64;
            runs += 1;
            ended += u32::from(said.contains("ended by"));
            assert!(settled == LETTERS || said.contains("ended by store."), "{fault} {nth}: {said}");
            let store = seawall_store_sqlite::open(scratch.path()).unwrap();
            let archived = store.count(&Query::in_state("orders", State::Archived), 0).unwrap();
            assert!(archived >= settled, "{fault} {nth}: {settled} settled, {archived} archived: {said}");
            assert_eq!(store.count(&Query::all("orders"), 0).unwrap(), LETTERS, "{fault} {nth}: {said}");
            // An hour later, when what died with its lease may be delivered again.
            let later = Queue::on(store.clone(), "orders", || 3_600_000);
            let rest = Redrive::new(&later, r#"{"limit": null}"#, 0).unwrap();
            let mut token = 0;
            while rest.next(0).unwrap().contains("deliver") {
                token += 1;
                assert!(rest.delivered(token, true, None, 0).unwrap());
            }
            assert_eq!(store.count(&Query::in_state("orders", State::Archived), 0).unwrap(), LETTERS, "{fault} {nth}");
        }
    }
    println!("{runs} redrives with a failing call, {ended} ended by it, 0 letters lost");
    assert!(ended > 0, "some must strike");
}

#[test]
fn a_directory_of_another_owner_says_so_by_name() {
    let scratch = Scratch::new("owner");
    queue(scratch.path()).unwrap().put(r#"{"payload": 1}"#).unwrap();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    // Only root may become somebody else, and what is built must be theirs to read.
    let is_possible = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .arg("--list")
        .output()
        .is_ok_and(|run| run.status.success());
    if !is_possible {
        println!("SKIPPED: this user cannot become another one");
        return;
    }
    let said = victim(scratch.path(), &mut other).unwrap();
    assert!(said.contains("ended by store.failed"), "{said}");
    assert_eq!(queue(scratch.path()).unwrap().stats().unwrap().matches(r#""ready":1"#).count(), 1);
}
