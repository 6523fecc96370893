//! The lines of a transcript, in an order that does not depend on who ran first.

/// Lines of the step under way and of those before.
#[derive(Default)]
pub(crate) struct Transcript {
    done: Vec<String>,
    step: Vec<(usize, Vec<String>)>,
    waits: Vec<String>,
}

impl Transcript {
    /// A wait was asked for; it goes with the next line.
    pub(crate) fn wait(&mut self, ms: i64) {
        self.waits.push(format!("wait {ms}"));
    }

    /// A line of the call that was started as number `place`.
    pub(crate) fn line(&mut self, place: usize, line: String) {
        let mut lines = std::mem::take(&mut self.waits);
        lines.push(line);
        self.step.push((place, lines));
    }

    /// Everything is at rest: sorts what came since.
    pub(crate) fn rest(&mut self) {
        self.step.sort_by_key(|(place, _)| *place);
        self.done.extend(self.step.drain(..).flat_map(|(_, lines)| lines));
        self.done.append(&mut self.waits);
    }

    /// A line after the calls.
    pub(crate) fn after(&mut self, line: String) {
        self.done.push(line);
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.done
    }
}
