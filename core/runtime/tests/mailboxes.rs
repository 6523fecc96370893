//! Mailboxes of isolates: threads play the isolates, each with an event loop of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;

use seawall_runtime::{Call, Ended, Mailboxes, Op, Policy, resolve};

const START: u8 = 0;
const FINISH: u8 = 9;

fn bell_of(mailboxes: &Mailboxes, isolate: u32) -> Arc<AtomicU64> {
    let rings = Arc::new(AtomicU64::new(0));
    let rung = Arc::clone(&rings);
    mailboxes.hang(isolate, Arc::new(move || _ = rung.fetch_add(1, Ordering::SeqCst)));
    rings
}

#[test]
fn a_wake_of_ones_own_is_for_oneself_and_another_ones_rings() {
    let mailboxes = Mailboxes::new();
    let (one, two) = (mailboxes.open(), mailboxes.open());
    let rings = bell_of(&mailboxes, one);
    assert!(!mailboxes.park(7, one) && !mailboxes.park(8, one) && !mailboxes.park(9, one));
    assert!(mailboxes.wake(7, one), "its own");
    assert!(!mailboxes.wake(8, two) && !mailboxes.wake(9, two));
    assert_eq!(rings.load(Ordering::SeqCst), 1, "once for all that is found there");
    assert_eq!(mailboxes.take(one), [8, 9]);
    assert!(mailboxes.take(one).is_empty());
}

#[test]
fn a_wake_that_is_first_is_remembered_until_its_ticket_is_forgotten() {
    let mailboxes = Mailboxes::new();
    let (one, two) = (mailboxes.open(), mailboxes.open());
    assert!(!mailboxes.wake(7, two) && !mailboxes.wake(8, two));
    assert!(mailboxes.park(7, one), "woken already");
    mailboxes.forget(8);
    assert!(!mailboxes.park(8, one));
}

#[test]
fn what_was_woken_before_the_bell_hangs_rings_it() {
    let mailboxes = Mailboxes::new();
    let isolate = mailboxes.open();
    assert!(!mailboxes.park(7, isolate));
    assert!(!mailboxes.wake(7, 0));
    assert_eq!(bell_of(&mailboxes, isolate).load(Ordering::SeqCst), 1);
    assert_eq!(mailboxes.take(isolate), [7]);
}

#[test]
fn a_closed_mailbox_takes_nothing() {
    let mailboxes = Mailboxes::new();
    let (one, two) = (mailboxes.open(), mailboxes.open());
    let rings = bell_of(&mailboxes, one);
    assert!(!mailboxes.park(7, one) && !mailboxes.park(8, two));
    mailboxes.close(one);
    assert_eq!(mailboxes.count(), 1);
    assert!(!mailboxes.wake(7, two));
    assert!(!mailboxes.park(9, one) && !mailboxes.wake(9, two), "an isolate that has ended parks nothing");
    assert_eq!(rings.load(Ordering::SeqCst), 0);
    assert!(mailboxes.wake(8, two), "the others are as they were");
}

/// A call of an isolate, as a binding holds it.
struct Held {
    call: Call,
    ticket: Option<u64>,
}

/// One isolate with its loop: calls that it has begun, by number, and those of them that run.
struct Isolate<'a> {
    mailboxes: &'a Mailboxes,
    number: u32,
    rung: Receiver<()>,
    calls: HashMap<u64, Held>,
    running: Vec<u64>,
    passed: &'a AtomicU64,
}

impl<'a> Isolate<'a> {
    fn new(mailboxes: &'a Mailboxes, passed: &'a AtomicU64) -> Self {
        let (ring, rung): (Sender<()>, Receiver<()>) = channel();
        let number = mailboxes.open();
        // Nobody hears it any more once the isolate has ended.
        mailboxes.hang(number, Arc::new(move || _ = ring.send(())));
        Self { mailboxes, number, rung, calls: HashMap::new(), running: Vec::new(), passed }
    }

    fn perform(&mut self, number: u64, mut ops: Vec<Op>) {
        let held = self.calls.get_mut(&number).expect("a call of this isolate");
        self.mailboxes.post(self.number, &mut held.ticket, &mut ops);
        for op in ops {
            match op.code {
                START => self.running.push(number),
                FINISH => {
                    let done = self.calls.remove(&number).expect("a call of this isolate");
                    done.ticket.into_iter().for_each(|ticket| self.mailboxes.forget(ticket));
                    self.passed.fetch_add(1, Ordering::Relaxed);
                }
                _ => op.wakes().into_iter().for_each(|ticket| self.resume(ticket)),
            }
        }
    }

    fn resume(&mut self, ticket: u64) {
        let found = self.calls.iter().find(|(_, held)| held.ticket == Some(ticket)).map(|(number, _)| *number);
        let Some(number) = found else { return };
        let ops = self.calls.get_mut(&number).expect("just found").call.granted(0);
        self.perform(number, ops);
    }

    fn begin(&mut self, policy: &Arc<Policy>, number: u64) {
        let mut call = Call::new(policy, None, "id", 0, -1, 0).expect("no key");
        let ops = call.start(0);
        self.calls.insert(number, Held { call, ticket: None });
        self.perform(number, ops);
    }

    /// One turn of the loop: ends what runs, else waits for the bell.
    fn turn(&mut self) {
        if let Some(number) = self.running.pop() {
            let success = Ended { attempt: 1, kind: 0, bits: 0, status: 0, retry_after_ms: -1, error_type: "" };
            let ops = self.calls.get_mut(&number).expect("it runs").call.ended(0, success);
            return self.perform(number, ops);
        }
        if !self.calls.is_empty() {
            self.rung.recv().expect("the mailbox is open");
        }
        for ticket in self.mailboxes.take(self.number) {
            self.resume(ticket);
        }
    }

    /// It is terminated in the middle of everything.
    fn end(self) {
        self.mailboxes.close(self.number);
        for mut held in self.calls.into_values() {
            let tickets = held.call.abandon(0);
            held.ticket.into_iter().for_each(|ticket| self.mailboxes.forget(ticket));
            assert!(tickets.into_iter().all(|ticket| !self.mailboxes.wake(ticket, 0)), "nobody is none of these");
        }
    }
}

#[test]
fn isolates_queue_and_are_terminated_under_load_and_no_wake_is_lost() {
    const STEADY: u64 = 3;
    const CALLS: u64 = 2_000;
    const AT_ONCE: usize = 4;
    let policy = resolve(r#"{"dialect":"node","parts":{"bulkhead":{"max_concurrent":2,"max_queue":1000}}}"#).expect("valid");
    let mailboxes = Mailboxes::new();
    let (passed, others) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Barrier::new(STEADY as usize + 2);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // These make their calls, and every one of them has to go through: a wake that is lost shows as a test that never ends.
        let steady = (0..STEADY).map(|_| {
            scope.spawn(|| {
                let mut isolate = Isolate::new(&mailboxes, &passed);
                start.wait();
                for number in 0..CALLS {
                    isolate.begin(&policy, number);
                    while isolate.calls.len() >= AT_ONCE {
                        isolate.turn();
                    }
                }
                while !isolate.calls.is_empty() {
                    isolate.turn();
                }
                isolate.end();
            })
        });
        let steady = steady.collect::<Vec<_>>();
        // These end with calls queued, granted and running.
        for at_once in [3, 7] {
            let (mailboxes, others, policy, start, is_over) = (&mailboxes, &others, &policy, &start, &is_over);
            scope.spawn(move || {
                start.wait();
                while !is_over.load(Ordering::Relaxed) {
                    let mut isolate = Isolate::new(mailboxes, others);
                    (0..at_once).for_each(|number| isolate.begin(policy, number));
                    if !isolate.running.is_empty() {
                        isolate.turn();
                    }
                    isolate.end();
                }
            });
        }
        steady.into_iter().for_each(|thread| thread.join().expect("every call goes through"));
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(passed.load(Ordering::Relaxed), STEADY * CALLS);
    assert_eq!(mailboxes.count(), 0);
    let snapshot = policy.snapshot(None, 0);
    assert!(snapshot.contains(r#""in_flight":0"#) && snapshot.contains(r#""queued":0"#), "{snapshot}");
}

#[test]
fn a_wake_between_two_parks_of_one_ticket_counts() {
    let mailboxes = Mailboxes::new();
    let (one, two) = (mailboxes.open(), mailboxes.open());
    let park = || vec![Op { code: 4, args: [7, 0, 0, 0], record: None }];
    let (mut ticket, mut ops) = (None, park());
    mailboxes.post(one, &mut ticket, &mut ops);
    assert!(!mailboxes.wake(7, two) && !mailboxes.wake(7, two), "to look at a slot that may lapse, and for the slot");
    let mut ops = park();
    mailboxes.post(one, &mut ticket, &mut ops);
    assert_eq!(ops.last().and_then(Op::wakes), Some(7));
}
