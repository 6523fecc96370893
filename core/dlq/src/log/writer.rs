//! One process's end of the log: threads hand in frames, and one of them at a time writes for all.
//!
//! Whoever finds nobody writing becomes the leader: it takes all frames handed in so far, writes and syncs them with the lock released, and
//! tells the others. What is handed in meanwhile is the next leader's. So a sync serves all who came during the one before it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};
use uuid::Uuid;

use super::segment::Segment;
use crate::{DlqError, Durability};

type Written = Result<(), DlqError>;

/// A process's writer. It opens its first segment with the first letter.
#[derive(Default)]
pub(super) struct Writer {
    state: Mutex<State>,
    /// Somebody stopped leading.
    turn: Condvar,
}

#[derive(Default)]
struct State {
    /// Frames for the next leader.
    waiting: Vec<u8>,
    /// Whether one of them is to be durable.
    sync: bool,
    /// Where their leader says how it went.
    batch: Arc<OnceLock<Written>>,
    leads: bool,
    segment: Option<Segment>,
    /// This writer's name, drawn with its first segment, and how many segments it has had.
    writer: Option<Uuid>,
    segments: u32,
    /// A buffer to use again.
    spare: Vec<u8>,
}

impl Writer {
    /// Appends frames to a segment in `folder` and waits until they are written, for others' writes no longer than `by`.
    ///
    /// # Errors
    /// `store.busy` after `by`: the frames may still come to be written, nobody vouches for them. `store.full`, `store.failed`.
    pub(super) fn append(
        &self,
        folder: impl Fn() -> Result<PathBuf, DlqError>,
        frames: &[u8],
        durability: Durability,
        by: Instant,
    ) -> Written {
        let mut state = self.state.lock();
        state.waiting.extend_from_slice(frames);
        state.sync |= durability == Durability::Fsync;
        let batch = state.batch.clone();
        loop {
            if let Some(written) = batch.get() {
                return written.clone();
            }
            if !state.leads {
                self.lead(&mut state, &folder);
            } else if self.turn.wait_until(&mut state, by).timed_out() && batch.get().is_none() && state.leads {
                return Err(busy());
            }
        }
    }

    /// Writes all that waits.
    fn lead(&self, state: &mut MutexGuard<'_, State>, folder: &impl Fn() -> Result<PathBuf, DlqError>) {
        let spare = std::mem::take(&mut state.spare);
        let mut frames = std::mem::replace(&mut state.waiting, spare);
        let batch = std::mem::take(&mut state.batch);
        let sync = std::mem::take(&mut state.sync);
        let mut segment = state.segment.take().filter(|segment| segment.takes(frames.len()));
        let (writer, number) = (*state.writer.get_or_insert_with(Uuid::now_v7), state.segments);
        // No number is used twice, not even one whose segment could not be made.
        state.segments += u32::from(segment.is_none());
        state.leads = true;
        let written = MutexGuard::unlocked(state, || {
            let ready = match &mut segment {
                Some(segment) => Ok(segment),
                none => folder().and_then(|folder| Segment::create(&folder, writer, number, frames.len())).map(|made| none.insert(made)),
            };
            ready.and_then(|segment| segment.write(&frames, sync))
        });
        state.leads = false;
        // After an error a new one: what this one holds behind its last durable frame is anybody's guess.
        state.segment = segment.filter(|_| written.is_ok());
        frames.clear();
        frames.shrink_to(KEPT);
        state.spare = frames;
        // Nobody else sets it: a batch has one leader.
        let _ = batch.set(written);
        self.turn.notify_all();
    }

    /// Closes the segment, so that whoever indexes may remove it. The next letter opens another.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        while state.leads {
            self.turn.wait(&mut state);
        }
        state.segment = None;
    }
}

/// The room that a buffer keeps between batches.
const KEPT: usize = 1 << 20;

fn busy() -> DlqError {
    DlqError::busy("log: the disk did not take the letter within the write timeout; give a longer one, or look at the disk")
}
