//! The adaptive limit before simulated servers: `capacity` workers, each busy for a while per attempt, and callers who take every slot.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use seawall_engine::chance::{Purpose, Source};
use seawall_engine::policy::adaptive_limit::{AdaptiveLimit, Sample};
use seawall_engine::table::layout::adaptive_limit::WORDS;
use seawall_engine::time::{MS, SECOND};

const US: u64 = 1_000;

/// A server at one moment.
#[derive(Clone, Copy)]
struct Server {
    capacity: u64,
    /// How long an attempt takes a worker, in microseconds.
    took_us: u64,
    /// How much that varies, in per cent either way.
    noise: u64,
    /// Callers who want a slot.
    callers: u64,
}

const QUIET: Server = Server { capacity: 20, took_us: 50_000, noise: 0, callers: u64::MAX };

struct Simulation {
    limit: AdaptiveLimit,
    words: Vec<AtomicU64>,
    now: u64,
    draws: u64,
}

impl Simulation {
    fn new(min: u32, max: u32) -> Self {
        Self { limit: AdaptiveLimit { min, max }, words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), now: 0, draws: 0 }
    }

    /// One second; gives the limit after it.
    fn second(&mut self, server: Server) -> u32 {
        let end = self.now + SECOND;
        while self.now < end {
            let in_flight = u64::from(self.limit.limit(&self.words)).min(server.callers);
            let busy = in_flight.min(server.capacity);
            let took_us = server.took_us * in_flight.max(server.capacity) / server.capacity;
            self.draws += 1;
            let chance = Source::new(7, "noise").draw(Purpose::Backoff, self.draws, 1) % (2 * server.noise + 1);
            let took_us = took_us * (100 - server.noise + chance) / 100;
            // Workers end one after the other.
            self.now += server.took_us * US / busy;
            self.limit.observe(&self.words, self.now, Sample::Took(took_us * US), in_flight as u32);
        }
        self.limit.limit(&self.words)
    }

    fn run(&mut self, seconds: usize, server: Server) -> Vec<u32> {
        (0..seconds).map(|_| self.second(server)).collect()
    }
}

fn range(limits: &[u32]) -> Range<u32> {
    limits.iter().copied().min().unwrap_or(0)..limits.iter().copied().max().unwrap_or(0)
}

#[test]
fn it_settles_near_the_capacity_from_below_and_from_above() {
    for (capacity, noise) in [(4, 0), (20, 0), (20, 20), (100, 0), (100, 20), (400, 0)] {
        let limits = Simulation::new(1, 512).run(600, Server { capacity, noise, ..QUIET });
        let seen = range(&limits[300..]);
        println!("capacity {capacity}, noise {noise} %: {seen:?}");
        let capacity = capacity as u32;
        assert!(seen.start >= capacity - capacity / 4 - 1 && seen.end <= capacity + capacity / 4 + 5, "capacity {capacity}: {seen:?}");
    }
}

#[test]
fn it_follows_a_capacity_that_changes() {
    let mut simulation = Simulation::new(1, 512);
    for capacity in [40, 10, 80] {
        let seen = range(&simulation.run(400, Server { capacity, ..QUIET })[300..]);
        println!("capacity {capacity}: {seen:?}");
        let capacity = capacity as u32;
        assert!(seen.start >= capacity / 2 && seen.end <= capacity * 2, "capacity {capacity}: {seen:?}");
    }
}

#[test]
fn it_does_not_starve_a_server_that_became_slower_by_itself() {
    let mut simulation = Simulation::new(1, 512);
    simulation.run(200, QUIET);
    let limits = simulation.run(400, Server { took_us: 150_000, ..QUIET });
    println!("slower: {:?} {:?}", &limits[..40], range(&limits[200..]));
    assert!(range(&limits[200..]).start >= 14, "{:?}", range(&limits[200..]));
}

#[test]
fn it_does_not_grow_where_nobody_asks_for_more() {
    let mut simulation = Simulation::new(1, 512);
    let limits = simulation.run(100, Server { callers: 6, ..QUIET });
    assert_eq!(range(&limits), 16..16);
}

#[test]
fn it_stays_within_its_bounds() {
    assert_eq!(range(&Simulation::new(30, 40).run(100, Server { capacity: 400, ..QUIET })).end, 40);
    // It tries one more now and then.
    assert_eq!(range(&Simulation::new(30, 40).run(100, Server { capacity: 2, ..QUIET })[50..]), 30..31);
}

#[test]
fn drops_lower_it_by_a_tenth_a_window_and_cancelled_calls_by_nothing() {
    let (limit, words): (_, Vec<AtomicU64>) = (AdaptiveLimit { min: 1, max: 512 }, (0..WORDS).map(|_| AtomicU64::new(0)).collect());
    let mut seen = Vec::new();
    for tick in 0..60 {
        seen.extend(limit.observe(&words, tick * SECOND / 10, Sample::Dropped, 16).map(|change| change.to));
    }
    assert_eq!(seen, [14, 12, 10, 9, 8]);
}

#[test]
fn a_window_lasts_a_second_from_its_first_attempt_also_at_the_clock_s_zero() {
    let (limit, words): (_, Vec<AtomicU64>) = (AdaptiveLimit { min: 1, max: 512 }, (0..WORDS).map(|_| AtomicU64::new(0)).collect());
    let end = |now| limit.observe(&words, now, Sample::Took(MS), 16).map(|change| change.to);
    for now in [0; 9].into_iter().chain([1, SECOND - 1]) {
        assert_eq!(end(now), None);
    }
    assert_eq!(end(SECOND), Some(17));
}
