//! Which crate of ours may depend on which.

use crate::Tally;
use crate::graph;

/// Every arrow that may exist: from a crate to those it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("seawall-engine", &[]),
    ("seawall-runtime", &["seawall-engine"]),
    ("seawall-dlq", &["seawall-engine"]),
    ("seawall-store-postgres", &["seawall-dlq"]),
    ("seawall-store-redis", &["seawall-dlq"]),
    ("seawall-store-sqlite", &["seawall-dlq"]),
    ("seawall-admin", &["seawall-runtime", "seawall-dlq"]),
    (
        "seawall",
        &["seawall-engine", "seawall-runtime", "seawall-dlq", "seawall-store-postgres", "seawall-store-redis", "seawall-store-sqlite"],
    ),
    (
        "seawall-python",
        &[
            "seawall-admin",
            "seawall",
            "seawall-engine",
            "seawall-runtime",
            "seawall-dlq",
            "seawall-store-postgres",
            "seawall-store-redis",
            "seawall-store-sqlite",
        ],
    ),
    (
        "seawall-node",
        &[
            "seawall-admin",
            "seawall",
            "seawall-engine",
            "seawall-runtime",
            "seawall-dlq",
            "seawall-store-postgres",
            "seawall-store-redis",
            "seawall-store-sqlite",
        ],
    ),
    ("seawall-testkit", &["seawall", "seawall-engine", "seawall-runtime", "seawall-dlq", "seawall-store-sqlite"]),
    ("xtask", &["seawall-engine"]),
];

/// Prints each arrow between crates of ours; one that is not listed fails the check.
pub fn check() -> Result<Tally, String> {
    let packages = graph::packages()?;
    let members: Vec<&str> = packages.iter().filter(|package| package.member).map(|package| package.name.as_str()).collect();
    let mut all_listed = true;
    for package in packages.iter().filter(|package| package.member) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            println!("{}: not in the list of crates in tests/xtask/src/arrows.rs", package.name);
            all_listed = false;
            continue;
        };
        for dependency in package.dependencies.iter().filter(|name| members.contains(&name.as_str())) {
            let listed = allowed.contains(&dependency.as_str());
            println!("{} -> {dependency}{}", package.name, if listed { "" } else { "   NOT ALLOWED" });
            all_listed &= listed;
        }
    }
    let mut tally = Tally::default();
    tally.add(all_listed);
    Ok(tally)
}
