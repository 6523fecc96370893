//! The circuit breaker, plainly.

use seawall_engine::chance::{Purpose, Source, share};
use seawall_engine::outcome::Verdict;
use seawall_engine::policy::breaker::{Ask, Breaker, Counts, State, Sums, Vote, Window};
use seawall_engine::step::Transition;
use seawall_engine::table::layout::breaker::WATCHED;
use seawall_engine::time::MS;

use crate::breaker_shares::Shares;

/// A closed breaker's outcome in its window.
struct Outcome {
    at: u64,
    failed: bool,
    slow: bool,
}

/// An attempt that ended in a closed breaker: what a streak is made of.
struct Ending {
    failed: bool,
    first: bool,
}

/// A watched call: when it began, the outcome that it has become in flight, and whether it runs.
struct Flight {
    began: u64,
    outcome: Option<usize>,
    runs: bool,
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
    flight: Option<usize>,
    began: u64,
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
    endings: Vec<Ending>,
    flights: Vec<Flight>,
    shares: Shares,
    trials: Vec<Trial>,
    rejected: u64,
    /// n, the breaks in a row, and since when the circuit is closed.
    breaks: u32,
    closed_since_ms: u64,
    lapses: u32,
    pub frozen: Sums,
    /// The last transition of the input being played.
    pub moved: Option<Transition>,
    /// What it was about, for those who count what was reached.
    pub notes: Vec<&'static str>,
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
            endings: Vec::new(),
            flights: Vec::new(),
            shares: Shares::default(),
            trials: Vec::new(),
            rejected: 0,
            breaks: 0,
            closed_since_ms: 0,
            lapses: 0,
            frozen: Sums::default(),
            moved: None,
            notes: Vec::new(),
        }
    }

    /// Every transition and every override starts an empty window, streak and set of trials.
    fn go(&mut self, to: State, until_ms: Option<u64>, now_ms: u64, counts: Sums, break_ms: u64) {
        if self.state == State::Closed && now_ms.saturating_sub(self.closed_since_ms) >= self.options.reset_after_ms && to != State::Open {
            self.breaks = 0;
        }
        let from = self.state;
        self.state = to;
        self.generation += 1;
        self.until_ms = until_ms;
        self.outcomes.clear();
        self.endings.clear();
        self.flights.clear();
        self.shares.renew((to == State::Closed).then_some(now_ms));
        self.trials.clear();
        self.rejected = 0;
        if to == State::Closed {
            self.closed_since_ms = now_ms;
            self.lapses = 0;
            if from != State::HalfOpen {
                self.breaks = 0;
            }
        }
        let Sums { total, failures, slow } = counts;
        self.moved = Some(Transition { from, to, generation: self.generation, total, failures, slow, break_ms });
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

    fn open(&mut self, from_ms: u64, server_ms: u64, counts: Sums) {
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
    fn lost(&self, now_ms: u64) -> Option<(u64, bool, Sums)> {
        let spare = (self.options.slots - self.options.successes_to_close) as usize;
        let votes = self.votes(now_ms);
        let failed: Vec<_> = votes.iter().filter(|vote| vote.1).collect();
        let counts = Sums { total: votes.len() as u32, failures: failed.len() as u32, slow: 0 };
        failed.get(spare).map(|vote| (vote.0, vote.2, counts))
    }

    fn settle_trials(&mut self, now_ms: u64, server_ms: u64) {
        if self.votes(now_ms).iter().filter(|vote| !vote.1).count() >= self.options.successes_to_close as usize {
            self.go(State::Closed, None, now_ms, Sums::default(), 0);
        } else if let Some((from_ms, lapse, counts)) = self.lost(now_ms) {
            if lapse {
                self.notes.push("a lapse opened");
            }
            self.lapses += u32::from(lapse);
            self.open(from_ms, server_ms, counts);
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until| now_ms >= until)
    }

    /// Lets everything happen that time has brought about.
    fn notice(&mut self, now: u64) {
        let now_ms = now / MS;
        self.settle(now);
        if matches!(self.state, State::Open | State::Isolated) && self.is_over(now_ms) {
            self.go(State::HalfOpen, None, now_ms, Sums::default(), 0);
        } else if self.state == State::Disabled && self.is_over(now_ms) {
            self.go(State::Closed, None, now_ms, Sums::default(), 0);
        }
    }

    /// Lets leases lapse, and calls in flight become slow.
    pub fn settle(&mut self, now: u64) {
        match self.state {
            State::HalfOpen => self.settle_trials(now / MS, 0),
            State::Closed => self.see_flights(now),
            State::Open | State::Isolated | State::Disabled => {}
        }
    }

    /// Every watched call that has become slow enters the window now, as slow and not failed; the streak stays, and the rules are judged.
    fn see_flights(&mut self, now: u64) {
        let Some((limit, _)) = self.options.slow else { return };
        let late = |flight: &Flight| flight.runs && flight.outcome.is_none() && now - flight.began > limit;
        let late: Vec<_> = (0..self.flights.len()).filter(|number| late(&self.flights[*number])).collect();
        for number in &late {
            self.flights[*number].outcome = Some(self.outcomes.len());
            self.outcomes.push(Outcome { at: now, failed: false, slow: true });
            self.notes.push("slow in flight");
        }
        if !late.is_empty() && self.judge(0, now) {
            self.notes.push("slow in flight opened");
        }
    }

    /// Calls beyond the table's room are not watched.
    fn watch(&mut self, ask: Ask, now: u64) -> Option<usize> {
        let is_watched = ask.watched && self.options.slow.is_some() && self.flights.iter().filter(|flight| flight.runs).count() < WATCHED;
        is_watched.then(|| {
            self.flights.push(Flight { began: now, outcome: None, runs: true });
            self.flights.len() - 1
        })
    }

    fn lease_ms(&self) -> u64 {
        let (lease, doubles) = self.options.lease;
        let mut grown = lease;
        for _ in 0..if doubles { self.lapses } else { 0 } {
            grown = (grown * 2).min(lease.max(120_000));
        }
        grown
    }

    pub fn admit(&mut self, ask: Ask, now: u64) -> Result<Ticket, No> {
        self.moved = None;
        self.notice(now);
        if self.state == State::Closed {
            self.notes.extend(self.shares.turn_away(&self.options, self.source, ask, now));
        }
        let no = self.no(ask, now);
        if self.state == State::Closed {
            self.shares.request(now);
        }
        if let Some(no) = no {
            self.rejected += 1;
            return Err(no);
        }
        let trial = (self.state == State::HalfOpen).then(|| {
            let deadline_ms = now.div_ceil(MS) + self.lease_ms();
            self.trials.push(Trial { deadline_ms, end: End::Held });
            self.trials.len() - 1
        });
        let flight = if self.state == State::Closed { self.watch(ask, now) } else { None };
        Ok(Ticket { generation: self.generation, trial, flight, began: now, counts: self.state != State::Disabled })
    }

    /// The rejection that the state as it stands gives, if it gives one.
    fn no(&self, ask: Ask, now: u64) -> Option<No> {
        let now_ms = now / MS;
        let left = |until: u64| (until * MS - now).div_ceil(MS);
        let retry_after_ms = match self.state {
            State::Disabled => return None,
            State::Closed => {
                self.shares.turn_away(&self.options, self.source, ask, now)?;
                None
            }
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
    pub fn would_refuse(&self, ask: Ask, now: u64) -> bool {
        match self.state(now) {
            State::Open | State::Isolated => true,
            State::HalfOpen => self.state == State::HalfOpen && self.lost(now / MS).is_none() && self.no(ask, now).is_some(),
            State::Closed => self.state == State::Closed && self.no(ask, now).is_some(),
            State::Disabled => false,
        }
    }

    pub fn record(&mut self, ticket: Ticket, vote: Vote, now: u64) {
        self.moved = None;
        if ticket.generation != self.generation || !ticket.counts {
            return;
        }
        let now_ms = now / MS;
        let Some(number) = ticket.trial else { return self.record_closed(ticket, vote, now) };
        // What lapsed before this result came first.
        self.settle_trials(now_ms, 0);
        if ticket.generation != self.generation {
            return;
        }
        let trial = &mut self.trials[number];
        if trial.end != End::Held || trial.deadline_ms <= now_ms {
            return;
        }
        trial.end = match vote.verdict {
            Verdict::Ignored => End::GivenBack,
            verdict => End::Voted { failed: verdict == Verdict::Failure, at_ms: now_ms },
        };
        self.settle_trials(now_ms, vote.server_ms);
    }

    fn record_closed(&mut self, ticket: Ticket, vote: Vote, now: u64) {
        let failed = vote.verdict == Verdict::Failure;
        if !failed {
            self.shares.accept(now);
        }
        let flight = ticket.flight.map(|number| &mut self.flights[number]);
        let seen = flight.and_then(|flight| {
            flight.runs = false;
            flight.outcome
        });
        // Calls that became slow before now come first; if they open the circuit, this result is stale.
        self.see_flights(now);
        if ticket.generation != self.generation || vote.verdict == Verdict::Ignored {
            return;
        }
        self.endings.push(Ending { failed, first: vote.is_first });
        match seen {
            Some(_) if !failed => return,
            Some(outcome) => {
                self.notes.push("slow in flight failed");
                self.outcomes[outcome].failed = true;
            }
            None => {
                let slow = self.options.slow.is_some_and(|(limit, _)| now - ticket.began > limit);
                self.notes.extend(slow.then_some("slow at the end"));
                self.outcomes.push(Outcome { at: now, failed, slow });
            }
        }
        self.judge(vote.server_ms, now);
    }

    /// Opens if a rule holds. A circuit that throttles never does.
    fn judge(&mut self, server_ms: u64, now: u64) -> bool {
        let counts = self.window(now);
        let options = &self.options;
        let enough = counts.total >= options.minimum_throughput;
        let share = |part: u32, ratio: u32| enough && u64::from(part) * 10_000 >= u64::from(ratio) * u64::from(counts.total);
        let ratio = options.failure_ratio.is_some_and(|ratio| share(counts.failures, ratio));
        let slow = options.slow.is_some_and(|(_, ratio)| share(counts.slow, ratio));
        let explicit = options.consecutive.is_some_and(|limit| self.streak(|_| true) >= limit);
        let quiet = options.quiet_streak.is_some_and(|limit| self.streak(|ending| ending.first) >= limit && !enough);
        let opens = !options.throttle && (ratio || slow || explicit || quiet);
        if opens {
            self.notes.extend((slow && !ratio && !explicit && !quiet).then_some("slow calls opened"));
            self.open(now / MS, server_ms, counts);
        }
        opens
    }

    fn streak(&self, counts: impl Fn(&Ending) -> bool) -> u32 {
        self.endings.iter().rev().take_while(|ending| ending.failed).filter(|ending| counts(ending)).count() as u32
    }

    fn window(&self, now: u64) -> Sums {
        let inside: Vec<_> = match self.options.window {
            Window::Count(size) => self.outcomes.iter().rev().take(size as usize).collect(),
            Window::Time(width) => self.outcomes.iter().filter(|outcome| outcome.at / width + 10 > now / width).collect(),
        };
        let count = |is_it: fn(&Outcome) -> bool| inside.iter().filter(|outcome| is_it(outcome)).count() as u32;
        Sums { total: inside.len() as u32, failures: count(|outcome| outcome.failed), slow: count(|outcome| outcome.slow) }
    }

    pub fn hold(&mut self, state: State, until_ms: Option<u64>, now: u64) {
        self.go(state, until_ms, now / MS, Sums::default(), 0);
    }

    pub fn reset(&mut self, now: u64) {
        self.go(State::Closed, None, now / MS, Sums::default(), 0);
        self.breaks = 0;
        self.shares.renew(None);
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
        let Sums { total, failures, slow } = self.window(now);
        Counts { total, failures, slow, consecutive_failures: self.streak(|_| true), rejected: self.rejected }
    }
}
