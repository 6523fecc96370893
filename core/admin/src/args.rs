//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::filter::Filter;

/// Resilience for Python and Node: look after it from the shell.
#[derive(Parser)]
#[command(name = "seawall", version, disable_help_subcommand = true)]
pub(crate) struct Seawall {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Dead letters: failed calls on record.
    Dlq(Box<Dlq>),
    /// What processes logged as JSON lines, in order of time: all of it, or what has one correlation id.
    Events(Events),
    /// Prometheus text of the dead letters in a store. What calls count is in their own processes: `metrics()` tells it there.
    Metrics {
        /// Where letters are kept; default as for dlq.
        #[arg(long, value_name = "URL")]
        store: Option<String>,
        /// As OpenMetrics text.
        #[arg(long, conflicts_with = "json")]
        openmetrics: bool,
        /// Say it in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Chaos in every process of this host that was started with SEAWALL_CHAOS=allow.
    Chaos(Chaos),
    /// Circuits of every process of this host.
    Breaker(Breaker),
    /// A policy file: whether it is sound, and what its policies may cost at worst.
    Check {
        file: PathBuf,
        /// Say it in JSON.
        #[arg(long)]
        json: bool,
    },
    /// A policy: the order of its strategies, and where each number comes from.
    Explain {
        policy: String,
        /// The policy file; default $SEAWALL_CONFIG.
        #[arg(long)]
        file: Option<PathBuf>,
        /// The environment whose tables go over the rest; default $SEAWALL_ENV.
        #[arg(long)]
        env: Option<String>,
        /// Code that defines policies, to be imported first: a module of Python, a file of JavaScript.
        #[arg(long, value_name = "CODE")]
        import: Option<String>,
        /// Say it in JSON.
        #[arg(long)]
        json: bool,
    },
    /// What is wrong with the surroundings of Seawall on this host: variables, control file, policy file, stores.
    Doctor {
        /// Say it in JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct Chaos {
    /// Say it in JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: ChaosVerb,
}

#[derive(Subcommand)]
pub(crate) enum ChaosVerb {
    /// Begin an experiment.
    On(Box<ChaosOn>),
    /// Experiments, and how far they are.
    Ls,
    /// End experiments, and say what they did.
    Off {
        /// Of this policy, or the experiment of this id.
        #[arg(value_name = "POLICY", required_unless_present = "all")]
        target: Option<String>,
        /// Every one.
        #[arg(long, conflicts_with = "target")]
        all: bool,
        /// Do not wait for what the processes say.
        #[arg(long)]
        no_wait: bool,
    },
    /// What an experiment did: what was injected, what each strategy did, what users felt.
    Report {
        /// Of this policy, or the experiment of this id; default: the latest.
        #[arg(value_name = "POLICY")]
        target: Option<String>,
    },
}

#[derive(Args)]
pub(crate) struct ChaosOn {
    /// The name of the policy.
    pub(crate) policy: String,
    /// The share of attempts that fail, such as 30%.
    #[arg(long, value_name = "SHARE")]
    pub(crate) error: Option<String>,
    /// How late the attempts struck are, such as 200ms..800ms; with --error they fail after that.
    #[arg(long, value_name = "DURATION")]
    pub(crate) latency: Option<String>,
    /// The share of attempts that are late, where none is to fail.
    #[arg(long, value_name = "SHARE", conflicts_with = "error")]
    pub(crate) rate: Option<String>,
    /// For how long, 24h at most.
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) life: String,
    /// The same seed has the same victims; default: one is drawn, and said.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// When it strikes: "2m every 10m", or "Mon-Fri 09:00-17:00 Europe/Berlin".
    #[arg(long)]
    pub(crate) window: Option<String>,
    /// The most that is struck of any 100 attempts in a row.
    #[arg(long, value_name = "SHARE", default_value = "50%")]
    pub(crate) max_share: String,
    /// End it everywhere when a circuit opens: the policy's own, or that of another policy.
    #[arg(long, value_name = "POLICY", num_args = 0..=1, default_missing_value = "")]
    pub(crate) abort_when_open: Option<String>,
    /// End it everywhere when so large a share of the last 50 calls of a process failed.
    #[arg(long, value_name = "SHARE", default_value = "50%")]
    pub(crate) abort_at: String,
    /// Let it go on whatever share of calls fails.
    #[arg(long, conflicts_with = "abort_at")]
    pub(crate) no_abort: bool,
    #[command(flatten)]
    pub(crate) who: Who,
    /// Why.
    #[arg(long, default_value = "game day")]
    pub(crate) reason: String,
}

#[derive(Args)]
pub(crate) struct Who {
    /// Who asks; default: the user.
    #[arg(long)]
    pub(crate) author: Option<String>,
    /// Do not wait for what the processes say.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Args)]
pub(crate) struct Breaker {
    /// Say it in JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: BreakerVerb,
}

#[derive(Subcommand)]
pub(crate) enum BreakerVerb {
    /// What is held open, or was reset of late.
    Ls,
    /// Hold a circuit open.
    Isolate {
        policy: String,
        /// Of this key, where the policy has keys.
        #[arg(long)]
        key: Option<String>,
        /// For how long, seven days at most.
        #[arg(long = "for", value_name = "DURATION")]
        life: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        who: Who,
    },
    /// Close a circuit, and let go of what is held open.
    Reset {
        policy: String,
        /// Of this key, where the policy has keys.
        #[arg(long)]
        key: Option<String>,
        /// For how long processes may take it up.
        #[arg(long = "for", value_name = "DURATION", default_value = "1m")]
        life: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        who: Who,
    },
}

/// What to read, and of what.
#[derive(Args)]
pub(crate) struct Events {
    /// Files of JSON lines; default: the standard input.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only what has this correlation id, and the letters that have it.
    #[arg(long, value_name = "ID")]
    pub(crate) corr: Option<String>,
    /// Go on with what is written to the files from now on.
    #[arg(long, short, requires = "files")]
    pub(crate) follow: bool,
    /// Where letters are kept; default as for dlq.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Say it in JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Dlq {
    /// Where letters are kept, such as sqlite:////var/lib/shop/letters; default $SEAWALL_STORE, else below the user's state directory.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Where the keys of encrypted letters are: env:NAME or file:PATH; default the variable SEAWALL_KEYS.
    #[arg(long, global = true, value_name = "SOURCE")]
    pub(crate) keys: Option<String>,
    /// Say it in JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// The queues and their counts; of one queue its letters, newest first.
    Ls {
        queue: Option<String>,
        #[command(flatten)]
        filter: Filter,
        /// The most letters.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Go on after this letter, the last one seen.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Failures that are the same failure, largest first.
    Groups {
        queue: String,
        #[command(flatten)]
        filter: Filter,
    },
    /// One letter, whole.
    Show { queue: String, id: String },
    /// Deliver letters again.
    Redrive {
        queue: String,
        /// What delivers them.
        #[arg(long, value_name = "FUNCTION", required_unless_present = "dry_run")]
        to: Option<String>,
        #[command(flatten)]
        filter: Filter,
        /// The most letters.
        #[arg(long, default_value_t = 100, conflicts_with = "all")]
        limit: u64,
        /// Every letter that matches.
        #[arg(long)]
        all: bool,
        /// The most deliveries in a while, such as 10/s.
        #[arg(long)]
        rate: Option<String>,
        /// Deliveries at once.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        concurrency: u32,
        /// Stop after so many failures in this run.
        #[arg(long, default_value_t = 10)]
        stop_after_failures: u64,
        /// Only say what would be delivered.
        #[arg(long)]
        dry_run: bool,
        /// Go on with a job, by the options that it was begun with.
        #[arg(long, value_name = "JOB", conflicts_with_all = ["limit", "all", "rate", "stop_after_failures", "dry_run"])]
        resume: Option<String>,
    },
    /// Redrives on record, newest first; pause one, or cancel it.
    Jobs {
        queue: String,
        /// Pause it after the deliveries under way; `redrive --resume` goes on with it.
        #[arg(long, value_name = "JOB", conflicts_with = "cancel")]
        pause: Option<String>,
        /// Cancel it for good, after the deliveries under way.
        #[arg(long, value_name = "JOB")]
        cancel: Option<String>,
    },
    /// Set ready letters aside, so that bulk redrives pass them by.
    Park {
        queue: String,
        #[command(flatten)]
        filter: Filter,
        /// Every ready letter.
        #[arg(long)]
        all: bool,
    },
    /// Remove letters for good. Asks for the queue's name.
    Purge {
        queue: String,
        #[command(flatten)]
        filter: Filter,
        /// Every letter, in any state.
        #[arg(long)]
        all: bool,
        /// Only say how many.
        #[arg(long)]
        dry_run: bool,
        /// The queue's name again, instead of being asked for it.
        #[arg(long, value_name = "QUEUE")]
        confirm: Option<String>,
    },
    /// Letters as lines of JSON, oldest state included.
    Export {
        queue: String,
        #[command(flatten)]
        filter: Filter,
        /// Where to; default: the standard output.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Takes exported lines into a queue; what is there already stays as it is.
    Import {
        queue: String,
        /// Where from; default: the standard input.
        file: Option<PathBuf>,
    },
    /// A queue's numbers.
    Stats { queue: String },
    /// What is wrong with the store, or soon will be.
    Doctor,
}
