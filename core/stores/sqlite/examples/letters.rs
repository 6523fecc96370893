//! What the bench of dead letters runs in Rust: `floor FILE MS`, `append DIRECTORY PRODUCERS MS`, `many DIRECTORY LETTERS`. Tells in JSON.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the bench")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_dlq::{Queue, Redrive};
use seawall_store_sqlite::SqliteStore;

const PAYLOAD: usize = 1024;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    match words[0].as_str() {
        "floor" => floor(Path::new(&words[1]), Duration::from_millis(number(2))),
        "append" => append(Path::new(&words[1]), number(2), Duration::from_millis(number(3))),
        "many" => many(Path::new(&words[1]), number(2)),
        other => panic!("no such bench: {other}"),
    }
}

/// Overwrites 1 KiB after 1 KiB of a file that has its room, and syncs each.
fn floor(path: &Path, time: Duration) {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    file.write_all_at(&vec![1; 8 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let (mut took, began) = (Vec::new(), Instant::now());
    while began.elapsed() < time {
        let at = Instant::now();
        file.write_all_at(&[2; PAYLOAD], (took.len() % 8192 * PAYLOAD) as u64).unwrap();
        file.sync_data().unwrap();
        took.push(at.elapsed());
    }
    tell(took, began.elapsed());
}

fn queue(store: &Arc<SqliteStore>) -> Queue {
    Queue::on(store.clone(), "bench", || 0)
}

fn letter(n: u64) -> String {
    format!(
        r#"{{"payload": {{"n": {n}, "text": "{}"}}, "error": {{"type": "E{}", "message": "no answer"}}}}"#,
        "x".repeat(PAYLOAD - 32),
        n % 20
    )
}

fn append(directory: &Path, producers: u64, time: Duration) {
    let store = seawall_store_sqlite::open(directory).unwrap();
    queue(&store).put(&letter(0)).unwrap();
    let began = Instant::now();
    let threads: Vec<_> = (0..producers)
        .map(|_| {
            let queue = queue(&store);
            std::thread::spawn(move || {
                let mut took = Vec::new();
                while began.elapsed() < time {
                    let at = Instant::now();
                    queue.put(&letter(took.len() as u64)).unwrap();
                    took.push(at.elapsed());
                }
                took
            })
        })
        .collect();
    let took: Vec<Duration> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    tell(took, began.elapsed());
}

fn tell(mut took: Vec<Duration>, time: Duration) {
    took.sort_unstable();
    let (count, p99) = (took.len(), took[took.len() * 99 / 100]);
    println!(
        r#"{{"count": {count}, "per_s": {:.1}, "p99_ms": {:.3}, "max_ms": {:.3}}}"#,
        count as f64 / time.as_secs_f64(),
        p99.as_secs_f64() * 1e3,
        took[count - 1].as_secs_f64() * 1e3,
    );
}

/// The most memory that this process has had, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

fn step(name: &str, work: impl FnOnce()) {
    let began = Instant::now();
    work();
    println!(r#"{{"step": "{name}", "s": {:.3}, "peak_mib": {}}}"#, began.elapsed().as_secs_f64(), peak());
}

/// So many letters: in, browsed, grouped, filtered, and out again.
fn many(directory: &Path, letters: u64) {
    let store = seawall_store_sqlite::open(directory).unwrap();
    let queue = queue(&store);
    step("append, 16 threads", || {
        std::thread::scope(|scope| {
            for part in 0..16 {
                let queue = queue.clone();
                scope.spawn(move || (0..letters / 16).for_each(|n| drop(queue.put(&letter(part + n)).unwrap())));
            }
        });
    });
    step("index the rest", || drop(queue.stats().unwrap()));
    step("newest 50", || drop(queue.peek("", 50, None).unwrap()));
    step("group", || drop(queue.groups("").unwrap()));
    step("filter", || drop(queue.peek(r#"{"error": "E7"}"#, 50, None).unwrap()));
    let redriven = letters.min(100_000);
    step(&format!("redrive {redriven}"), || {
        let options = format!(r#"{{"limit": {redriven}, "job": true, "lease": "1h"}}"#);
        let redrive = Redrive::new(&queue, &options, 0).unwrap();
        let mut token = 0;
        while redrive.next(0).unwrap().contains(r#""deliver""#) {
            token += 1;
            assert!(redrive.delivered(token, true, None, 0).unwrap());
        }
        assert_eq!(token, redriven);
    });
}
