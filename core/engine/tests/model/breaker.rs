//! The circuit breaker, plainly.

use seawall_engine::chance::{Purpose, Source, share};
use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Breaker, Counts, State, Window};
use seawall_engine::step::Transition;
use seawall_engine::time::MS;

/// A closed breaker's outcome.
struct Outcome {
    at: u64,
    failed: bool,
    first: bool,
}

/// A half-open slot's lease, and how it ended: given back, or with a vote at a millisecond.
struct Trial {
    deadline_ms: u64,
    end: End,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Held,
    GivenBack,
    Voted { failed: bool, at_ms: u64 },
}

/// What an admission gave: which trial of which generation, if any.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    generation: u32,
    trial: Option<usize>,
    counts: bool,
}

impl Ticket {
    pub fn is_trial(self) -> bool {
        self.trial.is_some()
    }
}

/// What a rejection says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct No {
    pub state: State,
    pub generation: u32,
    pub retry_after_ms: Option<u64>,
}

pub struct Model {
    options: Breaker,
    source: Source,
    state: State,
    generation: u32,
    until_ms: Option<u64>,
    outcomes: Vec<Outcome>,
    trials: Vec<Trial>,
    rejected: u64,
    /// n, the breaks in a row, and since when the circuit is closed.
    breaks: u32,
    closed_since_ms: u64,
    lapses: u32,
    pub frozen: (u32, u32),
    /// The last transition of the input being played.
    pub moved: Option<Transition>,
    pub lapsed: bool,
}

impl Model {
    pub fn new(options: Breaker, source: Source) -> Self {
        Self {
            options,
            source,
            state: State::Closed,
            generation: 0,
            until_ms: None,
            outcomes: Vec::new(),
            trials: Vec::new(),
            rejected: 0,
            breaks: 0,
            closed_since_ms: 0,
            lapses: 0,
            frozen: (0, 0),
            moved: None,
            lapsed: false,
        }
    }

    /// Every transition and every override starts an empty window, streak and set of trials.
    fn go(&mut self, to: State, until_ms: Option<u64>, now_ms: u64, counts: (u32, u32), break_ms: u64) {
        if self.state == State::Closed && now_ms.saturating_sub(self.closed_since_ms) >= self.options.reset_after_ms && to != State::Open {
            self.breaks = 0;
        }
        let from = self.state;
        self.state = to;
        self.generation += 1;
        self.until_ms = until_ms;
        self.outcomes.clear();
        self.trials.clear();
        self.rejected = 0;
        if to == State::Closed {
            self.closed_since_ms = now_ms;
            self.lapses = 0;
            if from != State::HalfOpen {
                self.breaks = 0;
            }
        }
        self.moved = Some(Transition { from, to, generation: self.generation, total: counts.0, failures: counts.1, slow: 0, break_ms });
    }

    fn breaks_before(&self, from_ms: u64) -> u32 {
        let calm = self.state == State::Closed && from_ms - self.closed_since_ms >= self.options.reset_after_ms;
        if calm { 0 } else { self.breaks }
    }

    /// Cap first, jitter second; a server's wait only lengthens, and is then spread upwards only.
    fn next_break_ms(&self, from_ms: u64, server_ms: u64) -> u64 {
        let mut whole = self.options.break_ms;
        for _ in 0..self.breaks_before(from_ms) {
            whole = (whole * 2).min(self.options.max_break_ms);
        }
        let server = server_ms.min(self.options.max_break_ms);
        let draw = self.source.draw(Purpose::Break, u64::from(self.generation), 0);
        let spread = whole.max(server) * u64::from(self.options.break_jitter) / 10_000;
        if server > whole { server + share(draw, spread + 1) } else { whole - spread + share(draw, 2 * spread + 1) }
    }

    fn open(&mut self, from_ms: u64, server_ms: u64, counts: (u32, u32)) {
        let length = self.next_break_ms(from_ms, server_ms);
        self.breaks = self.breaks_before(from_ms) + 1;
        self.frozen = counts;
        self.go(State::Open, Some(from_ms + length), from_ms, counts, length);
    }

    /// The votes of the half-open generation in the order in which they fell, lapses at their deadlines: `(when, failed, lapsed)`.
    fn votes(&self, now_ms: u64) -> Vec<(u64, bool, bool)> {
        let mut votes: Vec<_> = self
            .trials
            .iter()
            .filter_map(|trial| match trial.end {
                End::Voted { failed, at_ms } => Some((at_ms, failed, false)),
                End::Held if trial.deadline_ms <= now_ms => Some((trial.deadline_ms, true, true)),
                End::Held | End::GivenBack => None,
            })
            .collect();
        votes.sort_by_key(|vote| (vote.0, !vote.2));
        votes
    }

    /// The failure with which too few slots are left to close: when it fell, whether it was a lapse, and the counts up to now.
    fn lost(&self, now_ms: u64) -> Option<(u64, bool, (u32, u32))> {
        let spare = (self.options.slots - self.options.successes_to_close) as usize;
        let votes = self.votes(now_ms);
        let failed: Vec<_> = votes.iter().filter(|vote| vote.1).collect();
        failed.get(spare).map(|vote| (vote.0, vote.2, (votes.len() as u32, failed.len() as u32)))
    }

    fn settle_trials(&mut self, now_ms: u64, server_ms: u64) {
        if self.votes(now_ms).iter().filter(|vote| !vote.1).count() >= self.options.successes_to_close as usize {
            self.go(State::Closed, None, now_ms, (0, 0), 0);
        } else if let Some((from_ms, lapse, counts)) = self.lost(now_ms) {
            self.lapsed |= lapse;
            self.lapses += u32::from(lapse);
            self.open(from_ms, server_ms, counts);
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until| now_ms >= until)
    }

    /// Lets everything happen that time has brought about.
    fn notice(&mut self, now_ms: u64) {
        if self.state == State::HalfOpen {
            self.settle_trials(now_ms, 0);
        }
        if matches!(self.state, State::Open | State::Isolated) && self.is_over(now_ms) {
            self.go(State::HalfOpen, None, now_ms, (0, 0), 0);
        } else if self.state == State::Disabled && self.is_over(now_ms) {
            self.go(State::Closed, None, now_ms, (0, 0), 0);
        }
    }

    fn lease_ms(&self) -> u64 {
        let (lease, doubles) = self.options.lease;
        let mut grown = lease;
        for _ in 0..if doubles { self.lapses } else { 0 } {
            grown = (grown * 2).min(lease.max(120_000));
        }
        grown
    }

    pub fn admit(&mut self, now: u64) -> Result<Ticket, No> {
        self.moved = None;
        self.notice(now / MS);
        if let Some(no) = self.no(now) {
            self.rejected += 1;
            return Err(no);
        }
        let trial = (self.state == State::HalfOpen).then(|| {
            let deadline_ms = now.div_ceil(MS) + self.lease_ms();
            self.trials.push(Trial { deadline_ms, end: End::Held });
            self.trials.len() - 1
        });
        Ok(Ticket { generation: self.generation, trial, counts: self.state != State::Disabled })
    }

    /// The rejection that the state as it stands gives, if it gives one.
    fn no(&self, now: u64) -> Option<No> {
        let now_ms = now / MS;
        let left = |until: u64| (until * MS - now).div_ceil(MS);
        let retry_after_ms = match self.state {
            State::Closed | State::Disabled => return None,
            State::Open | State::Isolated => self.until_ms.map(left),
            State::HalfOpen => {
                if self.trials.iter().filter(|trial| trial.end != End::GivenBack).count() < self.options.slots as usize {
                    return None;
                }
                let held = self.trials.iter().filter(|trial| trial.end == End::Held && trial.deadline_ms > now_ms);
                held.map(|trial| left(trial.deadline_ms)).chain([self.options.break_ms]).min()
            }
        };
        Some(No { state: self.state, generation: self.generation, retry_after_ms })
    }

    /// Whether an admission now would be refused.
    pub fn would_refuse(&self, now: u64) -> bool {
        match self.state(now) {
            State::Open | State::Isolated => true,
            State::HalfOpen => self.state == State::HalfOpen && self.lost(now / MS).is_none() && self.no(now).is_some(),
            State::Closed | State::Disabled => false,
        }
    }

    pub fn record(&mut self, ticket: Ticket, verdict: Verdict, first: bool, server_ms: u64, now: u64) {
        self.moved = None;
        if ticket.generation != self.generation || !ticket.counts {
            return;
        }
        let now_ms = now / MS;
        let Some(number) = ticket.trial else { return self.record_closed(verdict, first, server_ms, now) };
        // What lapsed before this result came first.
        self.settle_trials(now_ms, 0);
        if ticket.generation != self.generation {
            return;
        }
        let trial = &mut self.trials[number];
        if trial.end != End::Held || trial.deadline_ms <= now_ms {
            return;
        }
        trial.end = match verdict {
            Verdict::Ignored => End::GivenBack,
            _ => End::Voted { failed: verdict == Verdict::Failure, at_ms: now_ms },
        };
        self.settle_trials(now_ms, server_ms);
    }

    fn record_closed(&mut self, verdict: Verdict, first: bool, server_ms: u64, now: u64) {
        if verdict == Verdict::Ignored {
            return;
        }
        self.outcomes.push(Outcome { at: now, failed: verdict == Verdict::Failure, first });
        let (total, failures) = self.window(now);
        let options = &self.options;
        let enough = total >= options.minimum_throughput;
        let ratio =
            options.failure_ratio.is_some_and(|ratio| enough && u64::from(failures) * 10_000 >= u64::from(ratio) * u64::from(total));
        let explicit = options.consecutive.is_some_and(|limit| self.streak(|_| true) >= limit);
        let quiet = options.quiet_streak.is_some_and(|limit| self.streak(|outcome| outcome.first) >= limit && !enough);
        if ratio || explicit || quiet {
            self.open(now / MS, server_ms, (total, failures));
        }
    }

    fn streak(&self, counts: impl Fn(&Outcome) -> bool) -> u32 {
        self.outcomes.iter().rev().take_while(|outcome| outcome.failed).filter(|outcome| counts(outcome)).count() as u32
    }

    fn window(&self, now: u64) -> (u32, u32) {
        let inside: Vec<_> = match self.options.window {
            Window::Count(size) => self.outcomes.iter().rev().take(size as usize).collect(),
            Window::Time(width) => self.outcomes.iter().filter(|outcome| outcome.at / width + 10 > now / width).collect(),
        };
        (inside.len() as u32, inside.iter().filter(|outcome| outcome.failed).count() as u32)
    }

    pub fn hold(&mut self, state: State, until_ms: Option<u64>, now: u64) {
        self.go(state, until_ms, now / MS, (0, 0), 0);
    }

    pub fn reset(&mut self, now: u64) {
        self.go(State::Closed, None, now / MS, (0, 0), 0);
        self.breaks = 0;
    }

    /// The judged state: expiries and lapses are known to a reader, nothing changes.
    pub fn state(&self, now: u64) -> State {
        let now_ms = now / MS;
        match self.state {
            State::Open | State::Isolated if self.is_over(now_ms) => State::HalfOpen,
            State::Disabled if self.is_over(now_ms) => State::Closed,
            State::HalfOpen => match self.lost(now_ms) {
                Some((from_ms, ..)) if now_ms < from_ms + self.next_break_ms(from_ms, 0) => State::Open,
                _ => State::HalfOpen,
            },
            state => state,
        }
    }

    pub fn counts(&self, now: u64) -> Counts {
        let (total, failures) = self.window(now);
        Counts { total, failures, consecutive_failures: self.streak(|_| true), slow: 0, rejected: self.rejected }
    }
}
