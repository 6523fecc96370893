//! Who waits for which ticket, where every isolate of JavaScript has an event loop of its own and all share the policies' state.
//!
//! | who | does | what becomes of the ticket |
//! |---|---|---|
//! | the isolate of a call that was queued | parks it | it is that isolate's; was it woken already, the isolate is told so at once |
//! | whoever frees a slot | wakes it | its own isolate resumes the call itself; another one finds it in its mailbox, whose bell rings if it was empty |
//! | an isolate whose bell rang | takes | all that its mailbox holds |
//! | the isolate of a call that is over | forgets it | nobody's |
//! | an isolate that ends | closes its mailbox | all of its own are nobody's, and the calls are ended after |
//!
//! A call has its place in the engine's queue a moment before its ticket is parked here, so a wake may be first: it is remembered. A wake is a
//! hint and never the answer, which stays in the engine's list, so one too many does no harm. One that was sent to an isolate that is
//! ending is not lost either: that isolate's calls are ended, and what they were granted is handed on then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::op::Op;

/// Makes an isolate take what its mailbox holds, some time later and on its own thread. May be called on any thread.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

/// Wakes that came first are few and stay for a moment; what is left of those whose call ended in that moment is pushed out.
const MOST_EARLY: usize = 1024;

#[derive(Default)]
struct Mailbox {
    tickets: Vec<u64>,
    bell: Option<Bell>,
}

struct Table {
    latest: u32,
    open: BTreeMap<u32, Mailbox>,
    parked: BTreeMap<u64, u32>,
    early: VecDeque<u64>,
}

/// The mailboxes of all isolates of a process. Isolates have numbers from 1; 0 is nobody.
pub struct Mailboxes(Mutex<Table>);

impl Default for Mailboxes {
    fn default() -> Self {
        Self::new()
    }
}

impl Mailboxes {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Table { latest: 0, open: BTreeMap::new(), parked: BTreeMap::new(), early: VecDeque::new() }))
    }

    /// Opens the mailbox of an isolate that has begun; gives its number.
    #[must_use]
    pub fn open(&self) -> u32 {
        let mut table = self.0.lock();
        // In its lifetime no process begins so many.
        table.latest = table.latest.wrapping_add(1).max(1);
        let isolate = table.latest;
        table.open.insert(isolate, Mailbox::default());
        isolate
    }

    /// How many isolates there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().open.len()
    }

    /// Gives an isolate its bell, which rings at once if something is there.
    pub fn hang(&self, isolate: u32, bell: Bell) {
        let rings = self.0.lock().open.get_mut(&isolate).is_some_and(|mailbox| {
            mailbox.bell = Some(Arc::clone(&bell));
            !mailbox.tickets.is_empty()
        });
        if rings {
            bell();
        }
    }

    /// The ticket is this isolate's. True if it was woken already.
    #[must_use]
    pub fn park(&self, ticket: u64, isolate: u32) -> bool {
        let mut table = self.0.lock();
        if table.remembers(ticket) {
            return true;
        }
        if table.open.contains_key(&isolate) {
            table.parked.insert(ticket, isolate);
        }
        false
    }

    /// Wakes whoever parked with the ticket, for isolate `by`. True if that is `by` itself, which has to resume the call.
    #[must_use]
    pub fn wake(&self, ticket: u64, by: u32) -> bool {
        let bell = {
            let mut table = self.0.lock();
            let Some(isolate) = table.parked.remove(&ticket) else {
                table.remember(ticket);
                return false;
            };
            if isolate == by {
                return true;
            }
            table.open.get_mut(&isolate).and_then(|mailbox| mailbox.deliver(ticket))
        };
        // Outside of the lock: it takes locks of the host's.
        if let Some(bell) = bell {
            bell();
        }
        false
    }

    /// Does what the outputs of a call of isolate `by` ask for in parking and waking, and leaves in them what that isolate has to do itself.
    /// `ticket` is the one that the call parked with last.
    pub fn post(&self, by: u32, ticket: &mut Option<u64>, ops: &mut Vec<Op>) {
        let mut is_awake = false;
        ops.retain(|op| {
            if let Some(parked) = op.parks() {
                // Parked again, as whoever looks after slots that lapse: a wake that came in between counts.
                if let Some(before) = ticket.replace(parked).filter(|before| *before != parked) {
                    self.forget(before);
                }
                is_awake = self.park(parked, by);
            }
            op.wakes().is_none_or(|ticket| self.wake(ticket, by))
        });
        ops.extend(ticket.filter(|_| is_awake).map(Op::wake));
    }

    /// Empties the mailbox of an isolate.
    #[must_use]
    pub fn take(&self, isolate: u32) -> Vec<u64> {
        self.0.lock().open.get_mut(&isolate).map(|mailbox| std::mem::take(&mut mailbox.tickets)).unwrap_or_default()
    }

    /// The call of the ticket is over.
    pub fn forget(&self, ticket: u64) {
        let mut table = self.0.lock();
        if table.parked.remove(&ticket).is_none() {
            table.remembers(ticket);
        }
    }

    /// The isolate ends: nothing of it waits any more. Its calls are to be ended after this.
    pub fn close(&self, isolate: u32) {
        let closed = {
            let mut table = self.0.lock();
            table.parked.retain(|_, owner| *owner != isolate);
            table.open.remove(&isolate)
        };
        // Outside of the lock, for the same reason.
        drop(closed);
    }
}

impl Mailbox {
    /// The bell, if it has to ring: whoever finds something in the mailbox knows that it has rung.
    fn deliver(&mut self, ticket: u64) -> Option<Bell> {
        self.tickets.push(ticket);
        self.bell.clone().filter(|_| self.tickets.len() == 1)
    }
}

impl Table {
    fn remember(&mut self, ticket: u64) {
        if self.early.len() == MOST_EARLY {
            self.early.pop_front();
        }
        self.early.push_back(ticket);
    }

    /// Whether the ticket was woken before it was parked; it is remembered no longer.
    fn remembers(&mut self, ticket: u64) -> bool {
        let place = self.early.iter().rposition(|early| *early == ticket);
        place.and_then(|place| self.early.remove(place)).is_some()
    }
}
