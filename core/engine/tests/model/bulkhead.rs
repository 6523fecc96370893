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
    /// A call in a slot is cut; its work may hold it for so long.
    Lend {
        patience: u64,
    },
    /// Some of the cut work ends.
    EndLent {
        which: usize,
    },
    /// Time moves on, and lapses are looked for.
    Pass {
        time: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::bool::weighted(0.9).prop_map(|may_queue| Step::Enter { may_queue }),
        5 => Just(Step::Leave),
        5 => (any::<usize>(), any::<bool>()).prop_map(|(which, abandon)| Step::Settle { which, abandon }),
        1 => Just(Step::TurnAway),
        2 => (1..9u64).prop_map(|patience| Step::Lend { patience }),
        2 => any::<usize>().prop_map(|which| Step::EndLent { which }),
        2 => (0..4u64).prop_map(|time| Step::Pass { time }),
    ]
}

/// Slots held, the queue, and where every ticket stands that was not settled for good.
#[derive(Default)]
struct Model {
    in_use: u32,
    queue: VecDeque<u64>,
    places: Vec<(u64, Place)>,
    now: u64,
    /// Cut work that has not ended: its number, and until when it holds its slot; no moment, once that lapsed.
    lent: Vec<(u64, Option<u64>)>,
}

impl Model {
    /// Slots that calls hold which were not cut.
    fn plain(&self) -> usize {
        self.in_use as usize - self.lent.iter().filter(|(_, until)| until.is_some()).count()
    }

    fn next_lapse(&self) -> u64 {
        self.lent.iter().filter_map(|(_, until)| *until).min().unwrap_or(u64::MAX)
    }

    fn pass(&mut self, time: u64) -> Vec<u64> {
        self.now += time;
        let now = self.now;
        let due = self.lent.iter_mut().filter(|(_, until)| until.is_some_and(|until| until <= now));
        let lapsed = due.map(|(_, until)| *until = None).count();
        (0..lapsed).filter_map(|_| self.leave()).collect()
    }

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
                Step::Leave if model.plain() > 0 => prop_assert_eq!(options.leave(&word, &waiters), model.leave()),
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
                Step::Lend { patience } if model.plain() > 0 => {
                    let until = model.now + patience;
                    model.lent.push((Bulkhead::lend(&waiters, until), Some(until)));
                    let heir = if model.queue.is_empty() { None } else { model.queue.front().copied() };
                    prop_assert_eq!(Bulkhead::heir(&word, &waiters), heir);
                }
                Step::EndLent { which } if !model.lent.is_empty() => {
                    let (number, until) = model.lent.remove(which % model.lent.len());
                    let woken = until.and_then(|_| model.leave());
                    prop_assert_eq!(options.end_lent(&word, &waiters, number), woken);
                    coverage.saw(if until.is_some() { "ended" } else { "lapsed" });
                }
                Step::Pass { time } => {
                    let mut woken = Vec::new();
                    let expected = model.pass(time);
                    options.lapse(&word, &waiters, model.now, |ticket| woken.push(ticket));
                    prop_assert_eq!(woken, expected);
                }
                Step::Leave | Step::Settle { .. } | Step::Lend { .. } | Step::EndLent { .. } => {}
            }
            prop_assert_eq!(waiters.next_lapse(), model.next_lapse());
            prop_assert_eq!(Bulkhead::load(&word), (model.in_use, model.queue.len() as u32));
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    coverage.assert_all(&["full", "Waiting", "Left", "Granted", "TurnedAway", "ended", "lapsed"]);
}
