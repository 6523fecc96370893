//! Ports: how an isolate counts its own successes without a call into Rust.
//!
//! | who | writes | when |
//! |---|---|---|
//! | the isolate | a lane of its own, `EVEN` or `ODD` by its call's generation | a success, while it has credit in that generation |
//! | Rust | the gate: `GENERATION`, `CREDIT` | after every transition and judgement, and when the port is removed |
//!
//! Rust drains every port before it judges, transitions or takes a snapshot. Credit is 0 whenever a success could change a decision, so
//! then the isolate asks. Looking at the gate and writing the lane are two steps, between which a whole generation can pass: therefore the
//! lane names the generation that its count belongs to, in the same word. What was drained is remembered on Rust's side.
//!
//! A port is removed in two steps. [`Port::shut`] ends its credit for good; once the isolate has seen that, or has ended, it writes no
//! more, and [`Port::detach`] counts what is left.

use crate::fault::{Fault, seeded};
use crate::policy::breaker::Cell;
use crate::sync::{AtomicU32, Ordering};
use crate::table::layout::port as at;

/// One isolate's words, and what Rust knows of them.
#[derive(Clone, Copy)]
pub struct Port<'a> {
    /// The shared words.
    pub words: &'a [AtomicU32],
    /// Rust's side.
    pub behind: &'a Behind,
}

/// What Rust remembers of a port, out of the isolate's reach.
#[derive(Debug)]
pub struct Behind {
    /// Of each lane, the word that has been counted.
    drained: [AtomicU32; 2],
    /// 1 once the port is being removed: its gate stays shut.
    removed: AtomicU32,
}

impl Default for Behind {
    fn default() -> Self {
        Self { drained: [AtomicU32::new(0), AtomicU32::new(0)], removed: AtomicU32::new(0) }
    }
}

const COUNT: u32 = (1 << 24) - 1;

/// `generation:8 | count:24`, the count wrapping and beginning at 0 in each generation.
fn lane_tag(generation: u32) -> u32 {
    generation << 24
}

/// The lane's word after one more success in `generation`.
#[must_use]
pub fn counted(lane: u32, generation: u32) -> u32 {
    let count = if lane & !COUNT == lane_tag(generation) { lane & COUNT } else { 0 };
    lane_tag(generation) | (count.wrapping_add(1) & COUNT)
}

/// The isolate's part, as its JavaScript plays it: counts a success of a call that began in `generation`, if the gate still shows that and
/// gives credit; else false, and the isolate asks.
pub fn count_success(words: &[AtomicU32], generation: u32) -> bool {
    // Acquire, and the generation last: it was shown no earlier than the credit that belongs to it was given.
    if words[at::CREDIT].load(Ordering::Acquire) == 0 || words[at::GENERATION].load(Ordering::Acquire) != generation {
        return false;
    }
    let lane = &words[generation as usize & 1];
    // Nobody else writes this word. Release: whoever drains it sees what the call did.
    lane.store(counted(lane.load(Ordering::Relaxed), generation), Ordering::Release);
    true
}

impl Port<'_> {
    /// Counts what the isolate has written since the last drain. Only what was written in the breaker's present generation votes.
    pub fn drain(&self, cell: &Cell<'_>, now: u64) {
        let Some(generation) = cell.closed_generation() else { return };
        let lane = generation as usize & 1;
        let (drained, written) = (&self.behind.drained[lane], &self.words[at::EVEN + lane]);
        // Acquire: the lane is read no older than the drain that left `before`, so of two drains neither counts backwards. AcqRel on the
        // exchange: each success is taken by exactly one of them.
        let mut before = drained.load(Ordering::Acquire);
        let written = loop {
            let written = written.load(Ordering::Acquire);
            if seeded(Fault::DrainByLoadAndStore) {
                drained.store(written, Ordering::Release);
                break written;
            }
            match drained.compare_exchange(before, written, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break written,
                Err(seen) => before = seen,
            }
        };
        let begun = if before & !COUNT == written & !COUNT { before & COUNT } else { 0 };
        if written & !COUNT == lane_tag(generation) || seeded(Fault::LaneOfAnyGeneration) {
            cell.record_successes(generation, (written & COUNT).wrapping_sub(begun) & COUNT, now);
        }
    }

    /// Opens the gate for the present generation if no success can change a decision there, else shuts it.
    pub fn rewrite_gate(&self, cell: &Cell<'_>, now: u64, credit: u32) {
        // Looked at again after writing: of two that write the gate at once the later one then leaves what the state asks for, even if it
        // decided before the other's transition.
        let mut wanted = self.gate(cell, now, credit);
        loop {
            // Credit is shut first and given last, so that no success is counted under a generation that the gate does not show. SeqCst:
            // the gate is written before the state is looked at again, and whoever changes the state writes the gate after. Exchanged
            // rather than stored, so that two writers of a word are in one order whatever else they wrote.
            self.words[at::CREDIT].swap(0, Ordering::SeqCst);
            self.words[at::GENERATION].swap(wanted.0, Ordering::SeqCst);
            self.words[at::CREDIT].swap(wanted.1, Ordering::SeqCst);
            let seen = self.gate(cell, now, credit);
            if seen == wanted || seeded(Fault::GateWrittenOnce) {
                return;
            }
            wanted = seen;
        }
    }

    /// The generation and the credit that the gate is to show.
    fn gate(&self, cell: &Cell<'_>, now: u64, credit: u32) -> (u32, u32) {
        let shut = (u32::MAX, 0);
        if self.behind.removed.load(Ordering::SeqCst) != 0 {
            return shut;
        }
        let Some(generation) = cell.closed_generation() else { return shut };
        let is_quiet = cell.counts(now).failures == 0;
        (generation, if is_quiet { credit } else { 0 })
    }

    /// Begins the removal: no credit from now on, whoever else rewrites the gate.
    pub fn shut(&self, cell: &Cell<'_>, now: u64) {
        self.behind.removed.swap(1, Ordering::SeqCst);
        self.rewrite_gate(cell, now, 0);
    }

    /// Ends the removal, after [`Port::shut`], once the isolate has seen the gate shut or has ended: a last drain. From here on the words
    /// may be given up.
    pub fn detach(self, cell: &Cell<'_>, now: u64) {
        if !seeded(Fault::RemovedWithoutDrain) {
            self.drain(cell, now);
        }
    }
}
