//! Seawall beside its peers, in one process and in interleaved rounds.
//!
//!     make bench-rust            (ROUNDS=201 ONLY=breaker)
//!
//! Prints the median of each row with its first and ninth tenth, and sets ours against the goals of `budgets.json`. The bare callee is a row too:
//! where its spread is wide, something else had the machine.

mod budget;
mod measure;
mod peers;
mod rows;

use measure::Suite;

fn main() {
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|word| word.parse().ok()).unwrap_or(default);
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut suite = Suite::new(&only);
    rows::all(&mut suite);
    peers::all(&mut suite);
    let measured = suite.run(number("ROUNDS", 201));
    measure::print(&measured);
    budget::compare(&measured);
}
