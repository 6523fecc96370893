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
    Dlq(Dlq),
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
