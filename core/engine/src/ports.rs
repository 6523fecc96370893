//! Ports: how an isolate counts its own successes without a call into Rust.
//!
//! | who | writes | when |
//! |---|---|---|
//! | the isolate | a lane of its own, `EVEN` or `ODD` by the gate's generation | a success, while it has credit |
//! | Rust | the gate: `GENERATION`, `CREDIT` | after every transition and judgement |
//!
//! Rust drains every port before it judges, transitions or takes a snapshot. Credit is 0 whenever a success could change a decision, so
//! then the isolate asks. Lanes only ever grow, wrapping; what was drained is remembered on Rust's side.

use crate::sync::{AtomicU32, Ordering};

use crate::policy::breaker::Cell;
use crate::table::layout::port as at;

/// One isolate's words, and what Rust has drained of its lanes.
pub struct Port<'a> {
    /// The shared words.
    pub words: &'a [AtomicU32],
    /// Of each lane, what has been counted.
    pub drained: &'a [AtomicU32; 2],
}

impl Port<'_> {
    /// Counts what the isolate has written since the last drain. Only what was written in the breaker's present generation votes.
    pub fn drain(&self, cell: &Cell<'_>, now: u64) {
        // Acquire pairs with the isolate's store: its lane is read no older than the gate that let it count.
        let gate = self.words[at::GENERATION].load(Ordering::Acquire);
        for lane in [at::EVEN, at::ODD] {
            let written = self.words[lane].load(Ordering::Acquire);
            let before = self.drained[lane].swap(written, Ordering::AcqRel);
            let successes = written.wrapping_sub(before);
            if gate as usize & 1 == lane && cell.closed_generation() == Some(gate) {
                cell.record_successes(gate, successes, now);
            }
        }
    }

    /// Opens the gate for the present generation if no success can change a decision there, else shuts it.
    pub fn rewrite_gate(&self, cell: &Cell<'_>, now: u64, credit: u32) {
        let quiet = cell.counts(now).failures == 0;
        let credit = if quiet && cell.closed_generation().is_some() { credit } else { 0 };
        // Credit is shut first and given last, so that no success is counted under a generation that the gate does not show.
        self.words[at::CREDIT].store(0, Ordering::Release);
        self.words[at::GENERATION].store(cell.closed_generation().unwrap_or(u32::MAX), Ordering::Release);
        self.words[at::CREDIT].store(credit, Ordering::Release);
    }
}
