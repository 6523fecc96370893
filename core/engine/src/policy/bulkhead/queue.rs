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
#[derive(Debug)]
pub struct WaitList {
    last: u64,
    waiting: VecDeque<u64>,
    answered: Vec<(u64, Place)>,
    /// Slots that work holds which was cut: by what number, and until when.
    lent: Vec<(u64, u64)>,
    next_lapse: u64,
}

impl Default for WaitList {
    fn default() -> Self {
        Self { last: 0, waiting: VecDeque::new(), answered: Vec::new(), lent: Vec::new(), next_lapse: u64::MAX }
    }
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
        self.lent.clear();
        self.look_ahead();
    }

    /// The longest waiter.
    pub(super) fn first(&self) -> Option<u64> {
        self.waiting.front().copied()
    }

    /// When the next slot lapses that work holds which was cut, in nanoseconds; `u64::MAX` if there is none.
    #[must_use]
    pub fn next_lapse(&self) -> u64 {
        self.next_lapse
    }

    fn look_ahead(&mut self) {
        self.next_lapse = self.lent.iter().map(|(_, until)| *until).min().unwrap_or(u64::MAX);
    }

    pub(super) fn lend(&mut self, until: u64) -> u64 {
        self.last += 1;
        self.lent.push((self.last, until));
        self.next_lapse = self.next_lapse.min(until);
        self.last
    }

    /// Whether the slot had not lapsed.
    pub(super) fn give_back(&mut self, number: u64) -> bool {
        let Some(at) = self.lent.iter().position(|(lent, _)| *lent == number) else { return seeded(Fault::LapseForgotten) };
        self.lent.swap_remove(at);
        self.look_ahead();
        true
    }

    /// Forgets the slots that have lapsed, and says how many.
    pub(super) fn take_lapsed(&mut self, now: u64) -> usize {
        let before = self.lent.len();
        self.lent.retain(|(_, until)| *until > now);
        self.look_ahead();
        before - self.lent.len()
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
