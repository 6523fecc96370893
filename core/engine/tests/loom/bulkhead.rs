//! Bulkhead: never more in use than slots, no lost wake, first come first served, and a cancellation that races a grant.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;
use seawall_engine::fault::Fault;
use seawall_engine::policy::bulkhead::{Answer, Bulkhead, Place, WaitList, Waiters};
use seawall_engine::sync::{AtomicU32, AtomicU64, Ordering};

use crate::play::{breaks, holds};

struct Door {
    bulkhead: Bulkhead,
    word: AtomicU64,
    waiters: Locked,
    inside: AtomicU32,
}

struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock().expect("no panic inside"))
    }
}

impl Door {
    fn with_slots(max_concurrent: u32) -> Arc<Self> {
        Arc::new(Self {
            bulkhead: Bulkhead { max_concurrent, max_queue: 2, max_wait_ms: None, adaptive: None },
            word: AtomicU64::new(0),
            waiters: Locked(Mutex::new(WaitList::default())),
            inside: AtomicU32::new(0),
        })
    }

    fn enter(&self) -> Answer {
        self.bulkhead.enter(&self.word, &self.waiters, true)
    }

    fn leave(&self) -> Option<u64> {
        self.bulkhead.leave(&self.word, &self.waiters)
    }

    fn settle(&self, ticket: u64, abandon: bool) -> Place {
        self.bulkhead.settle(&self.word, &self.waiters, ticket, abandon)
    }

    fn load(&self) -> (u32, u32) {
        Bulkhead::load(&self.word)
    }

    /// Works in a slot, alone if there is one slot.
    fn work(&self) {
        assert_eq!(self.inside.fetch_add(1, Ordering::AcqRel), 0, "two in one slot");
        self.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Two calls for one slot. Whoever is parked must find itself woken once the other has left.
fn one_slot() {
    let door = Door::with_slots(1);
    let other = Arc::clone(&door);
    let call = |door: &Door| match door.enter() {
        Answer::Entered => {
            door.work();
            (None, door.leave())
        }
        Answer::Parked(ticket) => (Some(ticket), None),
        Answer::Full => panic!("there is room in the queue"),
    };
    let theirs = thread::spawn(move || call(&other));
    let (my_ticket, my_wake) = call(&door);
    let (their_ticket, their_wake) = theirs.join().expect("no panic");
    let parked = my_ticket.or(their_ticket);
    assert_eq!(parked, my_wake.or(their_wake), "whoever waits is woken");
    if let Some(ticket) = parked {
        assert_eq!(door.settle(ticket, false), Place::Granted);
        door.work();
        assert_eq!(door.leave(), None);
    }
    assert_eq!(door.load(), (0, 0), "every slot and every place came back");
}

#[test]
fn a_slot_has_one_holder_and_no_wake_is_lost() {
    holds("bulkhead, one slot", one_slot);
    breaks("bulkhead, one slot", Fault::EnterLooksFirst, one_slot);
    breaks("bulkhead, one slot", Fault::LeaveLooksFirst, one_slot);
}

/// The holder leaves while the only waiter gives up: it has either left the queue or holds the slot.
fn cancel_against_grant() {
    let door = Door::with_slots(1);
    assert_eq!(door.enter(), Answer::Entered);
    let Answer::Parked(ticket) = door.enter() else { panic!("the slot is taken") };
    let other = Arc::clone(&door);
    let leaving = thread::spawn(move || other.leave());
    let place = door.settle(ticket, true);
    let woken = leaving.join().expect("no panic");
    match place {
        Place::Granted => {
            assert_eq!((woken, door.load()), (Some(ticket), (1, 0)));
            assert_eq!(door.leave(), None);
        }
        Place::Left => assert_eq!(woken, None),
        place => panic!("{place:?}"),
    }
    assert_eq!(door.load(), (0, 0));
}

#[test]
fn a_cancellation_that_races_a_grant_leaks_no_slot() {
    holds("bulkhead, cancellation against grant", cancel_against_grant);
    breaks("bulkhead, cancellation against grant", Fault::GrantForgotten, cancel_against_grant);
}

/// Cut work ends at the moment at which its slot lapses, and another call is inside: one of two slots is freed, once.
fn end_against_lapse() {
    let door = Door::with_slots(2);
    assert_eq!((door.enter(), door.enter()), (Answer::Entered, Answer::Entered));
    let lent = Bulkhead::lend(&door.waiters, 1);
    let other = Arc::clone(&door);
    let ending = thread::spawn(move || other.bulkhead.end_lent(&other.word, &other.waiters, lent));
    door.bulkhead.lapse(&door.word, &door.waiters, 1, |_| panic!("nobody waits"));
    assert_eq!(ending.join().expect("no panic"), None);
    assert_eq!(door.load(), (1, 0), "the other call still holds its slot");
    assert_eq!(door.waiters.next_lapse(), u64::MAX);
}

#[test]
fn a_slot_that_lapses_is_freed_once() {
    holds("bulkhead, end against lapse", end_against_lapse);
    breaks("bulkhead, end against lapse", Fault::LapseForgotten, end_against_lapse);
}

/// Two wait, two leave at once: each waiter is woken once, and a single leave wakes the first.
fn in_order() {
    let door = Door::with_slots(1);
    assert_eq!(door.enter(), Answer::Entered);
    let Answer::Parked(first) = door.enter() else { panic!("the slot is taken") };
    let other = Arc::clone(&door);
    let coming = thread::spawn(move || other.enter());
    let woken = door.leave();
    assert_eq!(woken, Some(first), "first come, first served");
    let Answer::Parked(second) = coming.join().expect("no panic") else { panic!("the slot passed to the first waiter") };
    assert_eq!(door.settle(first, false), Place::Granted);
    assert_eq!(door.settle(second, false), Place::Waiting);
    assert_eq!((door.leave(), door.settle(second, false)), (Some(second), Place::Granted));
    assert_eq!((door.leave(), door.load()), (None, (0, 0)));
}

#[test]
fn waiters_are_served_in_their_order() {
    holds("bulkhead, first come first served", in_order);
    breaks("bulkhead, first come first served", Fault::LastComeFirst, in_order);
}
