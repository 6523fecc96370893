//! Which crate of ours may depend on which.

use crate::Tally;
use crate::graph;

/// Every arrow that may exist: from a crate to those it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("seawall-engine", &[]),
    ("seawall-runtime", &["seawall-engine"]),
    ("seawall-dlq", &["seawall-engine"]),
    ("seawall-store-sqlite", &["seawall-dlq"]),
    ("seawall", &["seawall-engine", "seawall-runtime", "seawall-dlq", "seawall-store-sqlite"]),
    ("seawall-python", &["seawall", "seawall-engine", "seawall-runtime", "seawall-dlq", "seawall-store-sqlite"]),
    ("seawall-node", &["seawall", "seawall-engine", "seawall-runtime", "seawall-dlq", "seawall-store-sqlite"]),
    ("seawall-testkit", &["seawall", "seawall-engine", "seawall-runtime", "seawall-dlq", "seawall-store-sqlite"]),
    ("xtask", &["seawall-engine"]),
];

/// Prints each arrow between crates of ours and counts those that are not listed as failures.
pub fn check() -> Result<Tally, String> {
    let packages = graph::packages()?;
    let members: Vec<&str> = packages.iter().filter(|package| package.member).map(|package| package.name.as_str()).collect();
    let mut tally = Tally::default();
    for package in packages.iter().filter(|package| package.member) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            println!("{}: not in the list of crates in tests/xtask/src/arrows.rs", package.name);
            tally.add(false);
            continue;
        };
        let inner = package.dependencies.iter().filter(|name| members.contains(&name.as_str()));
        for dependency in inner {
            let listed = allowed.contains(&dependency.as_str());
            println!("{} -> {dependency}{}", package.name, if listed { "" } else { "   NOT ALLOWED" });
            tally.add(listed);
        }
    }
    Ok(tally)
}
