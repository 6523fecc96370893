//! A real server for a test, by `tests/servers/serve.py`. Without one the test ends with a line on standard error, or fails where
//! `SEAWALL_REQUIRE_SERVERS=1`.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A server that runs while this lives.
pub struct Server {
    pub url: String,
    /// Whether the test may kill it.
    pub own: bool,
    /// Whom its certificate is from.
    pub authorities: String,
    script: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Starts one, if that can be done here. `words`: its kind, and `tls`.
    pub fn start(words: &[&str]) -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|at| at.join("tests/servers/serve.py"))
            .find(|path| path.exists())
            .unwrap();
        let mut script = Command::new("python3").arg(program).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = script.stdin.take();
        let mut answers = BufReader::new(script.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let Ok(told) = serde_json::from_str::<Value>(&line) else {
            let status = script.wait().unwrap();
            let required = std::env::var("SEAWALL_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
            assert!(status.code() == Some(3) && !required, "no server of {words:?}: {status}");
            eprintln!("SKIPPED: no server of {words:?}");
            return None;
        };
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        Some(Self { url: text("url"), own: told["own"] == true, authorities: text("authorities"), script, orders, answers })
    }

    /// `kill`, `start`, `stop` (it stands still), `go`.
    pub fn tell(&mut self, word: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "ok\n", "{word}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.orders.take());
        let _ = self.script.wait();
    }
}
