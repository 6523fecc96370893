//! A policy file that is watched: what a look tells of, and what it lets pass. Real files, and no clock: only looks count.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use seawall_runtime::{Policy, Watch, load, reset_all, resolve};
use serde_json::{Value, json};

/// A folder of its own, gone with it; the registry is the process's own, so tests take turns.
struct Folder {
    path: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Folder {
    fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reset_all(Some(1));
        let path = std::env::temp_dir().join(format!("seawall-watch-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a temporary folder");
        Self { path, _turn: turn }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).expect("a temporary file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn attempts(count: u32) -> String {
    format!("[policy.pay]\nretry = {{ max_attempts = {count} }}\n")
}

fn watched(path: &Path) -> (Watch, Arc<Policy>) {
    let path = path.to_str().expect("UTF-8");
    let watch = Watch::new(path, None);
    load(path, None, 0).expect("a good file");
    (watch, resolve(&json!({"name": "pay", "dialect": "python", "parts": {}}).to_string()).expect("in the file"))
}

/// The events of so many looks.
fn told(watch: &mut Watch, looks: u32) -> Vec<Value> {
    let mut found = Vec::new();
    for _ in 0..looks {
        if watch.look() {
            found.extend(watch.take(0).events.iter().map(|text| serde_json::from_str::<Value>(text).expect("JSON")));
        }
    }
    found
}

fn names(told: &[Value]) -> Vec<&str> {
    told.iter().filter_map(|event| event["event"].as_str()).collect()
}

fn in_force(policy: &Policy) -> Value {
    serde_json::from_str::<Value>(&policy.info()).expect("JSON")["parts"]["retry"]["max_attempts"].clone()
}

const RELOADED: [&str; 2] = ["config.loaded", "config.reloaded"];

#[test]
fn nothing_is_told_of_a_file_that_stays() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, _) = watched(&path);
    assert_eq!(told(&mut watch, 3), Vec::<Value>::new());
    folder.write("seawall.toml", &attempts(2));
    assert_eq!(told(&mut watch, 3), Vec::<Value>::new(), "written again, the same");
}

#[test]
fn a_change_is_taken_once_it_has_settled() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, pay) = watched(&path);
    folder.write("seawall.toml", "[policy.pay]\nretry = { max_att");
    assert!(!watch.look(), "somebody may still be writing");
    folder.write("seawall.toml", &format!("{}# and a word\n", attempts(5)));
    assert!(!watch.look(), "and was");
    assert_eq!(names(&told(&mut watch, 3)), RELOADED);
    assert_eq!(in_force(&pay), 5);
}

#[test]
fn a_young_file_is_read_although_its_marks_stay() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, pay) = watched(&path);
    let modified = fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
    folder.write("seawall.toml", &attempts(3));
    fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("the time before");
    assert_eq!(names(&told(&mut watch, 1)), RELOADED, "the same size, the same time, the same file");
    assert_eq!(in_force(&pay), 3);
}

#[test]
fn another_file_renamed_over_it_is_seen() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, pay) = watched(&path);
    fs::rename(folder.write("seawall.toml.new", &attempts(4)), &path).expect("one file system");
    assert_eq!(names(&told(&mut watch, 2)), RELOADED);
    assert_eq!(in_force(&pay), 4);
}

#[cfg(unix)]
#[test]
fn a_link_that_is_moved_to_another_folder_is_seen() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    for (name, count) in [("one", 2), ("two", 6)] {
        fs::create_dir(folder.path.join(name)).expect("a folder");
        folder.write(&format!("{name}/seawall.toml"), &attempts(count));
    }
    symlink("one", folder.path.join("data")).expect("a link");
    symlink("data/seawall.toml", folder.path.join("seawall.toml")).expect("a link");
    let (mut watch, pay) = watched(&folder.path.join("seawall.toml"));
    symlink("two", folder.path.join("data.new")).expect("a link");
    fs::rename(folder.path.join("data.new"), folder.path.join("data")).expect("one file system");
    assert_eq!(names(&told(&mut watch, 2)), RELOADED);
    assert_eq!(in_force(&pay), 6);
}

#[test]
fn a_bad_file_is_refused_once_with_its_place_and_a_good_one_taken_after_it() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, pay) = watched(&path);
    for _ in 0..2 {
        folder.write("seawall.toml", "[policy.pay]\nretry = { max_atempts = 3 }\n");
        let told = told(&mut watch, 3);
        let Some(event) = told.first() else { break };
        assert_eq!((told.len(), &event["event"]), (1, &json!("config.refused")));
        let reason = event["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("policy.pay.retry.max_atempts") && reason.contains("`max_attempts`"), "{reason}");
    }
    assert_eq!((told(&mut watch, 3).len(), in_force(&pay)), (0, json!(2)), "once, though it was written twice");
    folder.write("seawall.toml", &attempts(7));
    assert_eq!(names(&told(&mut watch, 3)), RELOADED);
    assert_eq!(in_force(&pay), 7);
}

#[test]
fn what_code_and_a_watched_file_make_together_is_validated() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", "[policy.pay]\ntimeout = { total = \"20s\" }\n");
    let mut watch = Watch::new(path.to_str().expect("UTF-8"), None);
    let spec = json!({"name": "pay", "dialect": "python", "parts": {"timeout": {"attempt": "2s", "total": "10s"}}});
    let pay = resolve(&spec.to_string()).expect("valid");
    folder.write("seawall.toml", "[policy.pay]\ntimeout = { total = \"1s\" }\n");
    let told = told(&mut watch, 2);
    assert_eq!(names(&told), ["config.refused"]);
    assert!(told[0]["reason"].as_str().is_some_and(|reason| reason.contains("pay.timeout.attempt")), "{}", told[0]);
    assert!(pay.info().contains("10s"), "{}", pay.info());
}

#[test]
fn a_file_that_is_gone_keeps_what_is_in_force_until_it_returns() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, pay) = watched(&path);
    fs::remove_file(&path).expect("there");
    assert_eq!((told(&mut watch, 3).len(), in_force(&pay)), (0, json!(2)));
    fs::create_dir(&path).expect("a folder in its place");
    assert_eq!(told(&mut watch, 3).len(), 0, "no regular file");
    fs::remove_dir(&path).expect("empty");
    folder.write("seawall.toml", &attempts(2));
    assert_eq!(told(&mut watch, 3).len(), 0, "it is as it was");
    folder.write("seawall.toml", &attempts(8));
    assert_eq!(names(&told(&mut watch, 3)), RELOADED);
    assert_eq!(in_force(&pay), 8);
}

#[test]
fn a_file_that_is_not_text_is_refused() {
    let folder = Folder::new();
    let path = folder.write("seawall.toml", &attempts(2));
    let (mut watch, pay) = watched(&path);
    fs::write(&path, [0xff, 0xfe]).expect("a temporary file");
    let told = told(&mut watch, 3);
    assert_eq!(names(&told), ["config.refused"]);
    assert!(told[0]["reason"].as_str().is_some_and(|reason| reason.contains("cannot be read")), "{}", told[0]);
    assert_eq!(in_force(&pay), 2);
}
