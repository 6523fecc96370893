//! The steps of streams: a callee yields an item, its consumer holds it, asks for the next, or stops.

use seawall_engine::time::MS;
use seawall_runtime::Call;

use crate::player::{Player, Running};
use crate::vector::Step;

/// What a player knows of a stream.
#[derive(Default)]
pub(crate) struct Stream {
    /// How many items the consumer has had.
    items: u32,
    /// The attempt that they come from, 0 before the first.
    pub(crate) chosen: u32,
    /// Whether the consumer holds an item.
    pub(crate) holds: bool,
    /// Whether the consumer stops.
    pub(crate) stops: bool,
}

impl Running {
    /// Whether the callee of this attempt parks before an item that the consumer waits for.
    fn yields(&self, attempt: u32) -> bool {
        let lost = self.is_over || self.stream.chosen != 0 && self.stream.chosen != attempt;
        !lost && !self.cut.contains(&attempt) && self.open.contains(&attempt)
    }
}

impl Player<'_> {
    /// The attempts of streams that may yield an item.
    pub(crate) fn yielding(&self) -> Vec<(String, u32)> {
        let open = if self.is_stream { self.open() } else { Vec::new() };
        open.into_iter().filter(|(name, attempt)| self.calls.get(name).is_some_and(|running| running.yields(*attempt))).collect()
    }

    /// The consumers of streams that hold an item.
    pub(crate) fn holding(&self) -> Vec<String> {
        self.calls.iter().filter(|(_, running)| running.stream.holds).map(|(name, _)| name.clone()).collect()
    }

    /// Plays a step of a stream; `None` if it is another.
    pub(crate) fn stream_step(&mut self, step: &Step) -> Option<Result<(), String>> {
        let (name, kind) = match (&step.item, &step.ask, &step.stop) {
            (Some(name), ..) => return Some(self.item(name, step)),
            (_, Some(name), _) => (name, Call::asked as fn(&mut Call, u64, u32) -> Vec<_>),
            (.., Some(name)) => (name, Call::stopped as fn(&mut Call, u64, u32) -> Vec<_>),
            _ => return None,
        };
        Some(self.turn(name, kind, step.stop.is_some()))
    }

    fn turn(&mut self, name: &str, input: fn(&mut Call, u64, u32) -> Vec<seawall_runtime::Op>, stops: bool) -> Result<(), String> {
        let running = self.running(name)?;
        running.stream.stops = stops;
        running.stream.holds = false;
        let attempt = running.stream.chosen;
        self.drive(name, |call, now| input(call, now, attempt))
    }

    fn item(&mut self, name: &str, step: &Step) -> Result<(), String> {
        let running = self.running(name)?;
        let attempt = step.attempt.unwrap_or(running.latest);
        if !running.yields(attempt) {
            return Ok(());
        }
        running.stream.chosen = attempt;
        self.drive(name, |call, now| call.item(now, attempt))?;
        self.show_item(name)?;
        if step.hold == Some(true) {
            self.running(name)?.stream.holds = true;
            return Ok(());
        }
        self.turn(name, Call::asked, false)
    }

    /// The consumer gets an item.
    pub(crate) fn show_item(&mut self, name: &str) -> Result<(), String> {
        let at = self.now / MS;
        let running = self.running(name)?;
        running.stream.items += 1;
        let (place, number) = (running.place, running.stream.items);
        self.transcript.line(place, format!("@{at} {name} item {number}"));
        Ok(())
    }
}
