//! Rounds: every row runs once in each, in an order that turns, so that what disturbs the machine disturbs all rows alike.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// What a batch of one row lasts, in nanoseconds: less than a slice of the scheduler, so that most batches run undisturbed.
const BATCH_NS: f64 = 500_000.0;

type Work = Box<dyn Fn(u64) + Sync>;

struct Row {
    group: &'static str,
    name: &'static str,
    threads: usize,
    work: Work,
    calls: u64,
    samples: Vec<f64>,
}

/// One row's result, in nanoseconds per call.
pub struct Measured {
    pub group: &'static str,
    pub name: &'static str,
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

pub struct Suite {
    rows: Vec<Row>,
    only: String,
}

/// What every row calls: a function that nobody sees through.
#[inline(never)]
pub fn callee(argument: u64) -> Result<u64, Failed> {
    Ok(black_box(argument))
}

/// The callee's error.
#[derive(Debug)]
pub struct Failed;

impl Suite {
    pub fn new(only: &str) -> Self {
        Self { rows: Vec::new(), only: only.to_owned() }
    }

    /// A row whose one call is `call`, made by `threads` threads at once.
    pub fn row<R>(&mut self, group: &'static str, name: &'static str, threads: usize, call: impl Fn(u64) -> R + Sync + 'static) {
        if !group.contains(&self.only) {
            return;
        }
        let work: Work = Box::new(move |calls| {
            for number in 0..calls {
                black_box(call(number));
            }
        });
        self.rows.push(Row { group, name, threads, work, calls: 1_000, samples: Vec::new() });
    }

    pub fn run(mut self, rounds: usize) -> Vec<Measured> {
        for row in &mut self.rows {
            row.calibrate();
        }
        let count = self.rows.len();
        for round in 0..rounds {
            for place in 0..count {
                let row = &mut self.rows[(place + round) % count];
                let ns = row.once();
                row.samples.push(ns);
            }
        }
        self.rows.into_iter().map(Row::measured).collect()
    }
}

impl Row {
    fn calibrate(&mut self) {
        while (self.once() * self.calls as f64) < BATCH_NS / 4.0 {
            self.calls *= 4;
        }
        self.calls = ((BATCH_NS / self.once()) as u64).max(100);
    }

    /// Nanoseconds per call: with several threads, those of the slowest, which all begin together.
    fn once(&self) -> f64 {
        let timed = || {
            let begun = Instant::now();
            (self.work)(self.calls);
            begun.elapsed().as_nanos() as f64 / self.calls as f64
        };
        if self.threads == 1 {
            return timed();
        }
        let gate = Barrier::new(self.threads);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|_| {
                    scope.spawn(|| {
                        gate.wait();
                        timed()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).fold(0.0, f64::max)
        })
    }

    fn measured(mut self) -> Measured {
        self.samples.sort_by(f64::total_cmp);
        let at = |share: f64| self.samples[((self.samples.len() - 1) as f64 * share).round() as usize];
        Measured { group: self.group, name: self.name, median: at(0.5), low: at(0.1), high: at(0.9) }
    }
}

pub fn print(measured: &[Measured]) {
    let mut groups: Vec<&str> = measured.iter().map(|row| row.group).collect();
    groups.dedup();
    groups.sort_unstable();
    groups.dedup();
    println!("{:<48} {:>9} {:>9} {:>9}", "ns per call", "p10", "median", "p90");
    for group in groups {
        println!("{group}");
        for row in measured.iter().filter(|row| row.group == group) {
            println!("  {:<46} {:>9.1} {:>9.1} {:>9.1}", row.name, row.low, row.median, row.high);
        }
    }
}
