//! The bulkhead against a plain queue.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_engine::policy::bulkhead::{Answer, Bulkhead, Place, WaitList, Waiters};

use crate::{Coverage, runner};

#[derive(Default)]
pub struct Locked(Mutex<WaitList>);

impl Waiters for Locked {
    fn with<T>(&self, work: impl FnOnce(&mut WaitList) -> T) -> T {
        work(&mut self.0.lock().expect("no panic under the lock"))
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter {
        may_queue: bool,
    },
    Leave,
    /// The holder of some ticket looks, or leaves the queue.
    Settle {
        which: usize,
        abandon: bool,
    },
    TurnAway,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::bool::weighted(0.9).prop_map(|may_queue| Step::Enter { may_queue }),
        5 => Just(Step::Leave),
        5 => (any::<usize>(), any::<bool>()).prop_map(|(which, abandon)| Step::Settle { which, abandon }),
        1 => Just(Step::TurnAway),
    ]
}

/// Slots held, the queue, and where every ticket stands that was not settled for good.
#[derive(Default)]
struct Model {
    in_use: u32,
    queue: VecDeque<u64>,
    places: Vec<(u64, Place)>,
}

impl Model {
    fn set(&mut self, ticket: u64, place: Place) {
        self.places.iter_mut().filter(|(other, _)| *other == ticket).for_each(|entry| entry.1 = place);
    }

    fn leave(&mut self) -> Option<u64> {
        let next = self.queue.pop_front();
        match next {
            Some(ticket) => self.set(ticket, Place::Granted),
            None => self.in_use -= 1,
        }
        next
    }

    fn settle(&mut self, at: usize, abandon: bool) -> Place {
        let (ticket, place) = self.places[at];
        let place = if place == Place::Waiting && abandon { Place::Left } else { place };
        if place != Place::Waiting {
            self.places.remove(at);
        }
        self.queue.retain(|waiting| *waiting != ticket || place == Place::Waiting);
        place
    }
}

#[test]
fn a_bulkhead_does_what_a_plain_queue_does() {
    let coverage = Coverage::default();
    let result = runner(400).run(&(1..5u32, 0..5u32, vec(step(), 1..150)), |(max_concurrent, max_queue, steps)| {
        let options = Bulkhead { max_concurrent, max_queue, max_wait_ms: None, adaptive: None };
        let (word, waiters) = (AtomicU64::new(0), Locked::default());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Enter { may_queue } => {
                    let free = model.in_use < max_concurrent && model.queue.is_empty();
                    let room = may_queue && model.queue.len() < max_queue as usize;
                    prop_assert_eq!(options.would_refuse(&word, may_queue), !free && !room);
                    match options.enter(&word, &waiters, may_queue) {
                        Answer::Entered if free => model.in_use += 1,
                        Answer::Parked(ticket) if !free && room => {
                            prop_assert!(model.places.iter().all(|(other, _)| *other != ticket), "a ticket twice");
                            model.queue.push_back(ticket);
                            model.places.push((ticket, Place::Waiting));
                        }
                        Answer::Full if !free && !room => coverage.saw("full"),
                        answer => prop_assert!(false, "{answer:?}, free {free}, room {room}"),
                    }
                }
                Step::Leave if model.in_use > 0 => prop_assert_eq!(options.leave(&word, &waiters), model.leave()),
                Step::Settle { which, abandon } if !model.places.is_empty() => {
                    let at = which % model.places.len();
                    let ticket = model.places[at].0;
                    let place = model.settle(at, abandon);
                    prop_assert_eq!(options.settle(&word, &waiters, ticket, abandon), place);
                    coverage.saw(format!("{place:?}"));
                }
                Step::TurnAway => {
                    let mut woken = Vec::new();
                    options.turn_away(&word, &waiters, |ticket| woken.push(ticket));
                    let queue: Vec<_> = model.queue.drain(..).collect();
                    queue.iter().for_each(|ticket| model.set(*ticket, Place::TurnedAway));
                    prop_assert_eq!(woken, queue);
                }
                Step::Leave | Step::Settle { .. } => {}
            }
            prop_assert_eq!(Bulkhead::load(&word), (model.in_use, model.queue.len() as u32));
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["full", "Waiting", "Left", "Granted", "TurnedAway"]);
}
