//! The order of the waiters, and the answers that wait to be fetched.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::fault::{Fault, seeded};

/// Where the holder of a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Still in the queue.
    Waiting,
    /// It was in the queue and has left it.
    Left,
    /// It holds a slot.
    Granted,
    /// It was turned away.
    TurnedAway,
}

/// Tickets in their order. A wake is only a hint; the answer stays here until the holder fetches it.
#[derive(Debug, Default)]
pub struct WaitList {
    last: u64,
    waiting: VecDeque<u64>,
    answered: Vec<(u64, Place)>,
}

impl WaitList {
    /// A list whose tickets start after `base`, so that the tickets of several lists differ.
    #[must_use]
    pub fn starting_at(base: u64) -> Self {
        Self { last: base, ..Self::default() }
    }

    /// Drops everybody in it: nobody of them waits any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.answered.clear();
    }

    pub(super) fn push(&mut self) -> u64 {
        self.last += 1;
        self.waiting.push_back(self.last);
        self.last
    }

    pub(super) fn grant_first(&mut self) -> Option<u64> {
        let ticket = if seeded(Fault::LastComeFirst) { self.waiting.pop_back() } else { self.waiting.pop_front() }?;
        self.answered.push((ticket, Place::Granted));
        Some(ticket)
    }

    pub(super) fn turn_away_all(&mut self) -> Vec<u64> {
        let tickets: Vec<u64> = self.waiting.drain(..).collect();
        self.answered.extend(tickets.iter().map(|ticket| (*ticket, Place::TurnedAway)));
        tickets
    }

    pub(super) fn settle(&mut self, ticket: u64, abandon: bool) -> Place {
        if let Some(at) = self.answered.iter().position(|(answered, _)| *answered == ticket) {
            let place = self.answered.swap_remove(at).1;
            return if abandon && seeded(Fault::GrantForgotten) { Place::TurnedAway } else { place };
        }
        match self.waiting.iter().position(|waiting| *waiting == ticket) {
            Some(at) if abandon => {
                self.waiting.remove(at);
                Place::Left
            }
            Some(_) => Place::Waiting,
            // Neither waiting nor answered: it was settled before. Saying so keeps a doubled input harmless.
            None => Place::TurnedAway,
        }
    }
}
