//! The other runners, each a process that answers vectors line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::Deserialize;

/// How long a runner may take for one vector before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a runner says of a vector.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Its lines.
    Transcript(Vec<String>),
    /// It could not play it.
    Error(String),
    /// The vector does not apply to this driver.
    Skipped(String),
}

/// One runner.
pub(super) struct Runner {
    pub(super) name: &'static str,
    command: Vec<String>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Runner {
    /// The three languages' runners of the repository at `root`.
    pub(super) fn all(root: &Path) -> Vec<Self> {
        let at = |path: &str| root.join(path).display().to_string();
        let python = at(".venv/bin/python");
        let runner = |name, command: Vec<String>| Self { name, command, process: None };
        vec![
            runner("sync Python", vec![python.clone(), at("tests/conformance/python/run_sync.py"), "--stdin".into()]),
            runner("asyncio", vec![python, at("tests/conformance/python/run_async.py"), "--stdin".into()]),
            runner("Node", vec!["node".into(), at("tests/conformance/node/run.mjs"), "--stdin".into()]),
        ]
    }

    fn process(&mut self) -> Result<&mut Process, String> {
        if self.process.is_none() {
            self.process = Some(Process::start(&self.command).map_err(|error| format!("{}: {error}", self.command.join(" ")))?);
        }
        self.process.as_mut().ok_or_else(|| "there is no process".into())
    }

    /// Hands over a vector, one line of JSON.
    pub(super) fn ask(&mut self, line: &str) {
        if let Ok(process) = self.process() {
            // A runner that has died is noticed when its answer is read.
            let _ = writeln!(process.input, "{line}").and_then(|()| process.input.flush());
        }
    }

    /// The answer to what was asked. A runner that hangs or dies is started anew for the next vector.
    pub(super) fn answer(&mut self) -> Answer {
        let line = match self.process() {
            Ok(process) => process.answers.recv_timeout(PATIENCE).map_err(|error| format!("no answer: {error}")),
            Err(error) => Err(error),
        };
        match line.and_then(|line| serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))) {
            Ok(answer) => answer,
            Err(error) => {
                self.stop();
                Answer::Error(error)
            }
        }
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Process {
    fn start(command: &[String]) -> std::io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or_else(|| std::io::Error::other("an empty command"))?;
        let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or_else(|| std::io::Error::other("no input"))?;
        let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
        let (send, answers) = channel();
        std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Ok(Self { child, input, answers })
    }
}
