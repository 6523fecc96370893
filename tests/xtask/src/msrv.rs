//! No locked crate may ask for a newer Rust than the workspace promises.

use crate::Tally;
use crate::graph;

/// Compares the `rust-version` of every locked crate with that of the workspace, crates that declare none passing.
pub fn check() -> Result<Tally, String> {
    let packages = graph::packages()?;
    let own = packages.iter().find(|package| package.name == "xtask").and_then(|package| package.rust_version.clone());
    let own = own.ok_or("the workspace declares no rust-version")?;
    let limit = parse(&own).ok_or_else(|| format!("rust-version {own} is no version"))?;
    let mut tally = Tally::default();
    let newer: Vec<_> = packages.iter().filter(|package| asks_for_more(package, limit)).collect();
    for package in &newer {
        let declared = package.rust_version.as_deref().unwrap_or_default();
        println!("{} {} asks for Rust {declared}, the workspace promises {own}", package.name, package.version);
    }
    println!("{} locked crates looked at", packages.len());
    tally.add(newer.is_empty());
    Ok(tally)
}

fn asks_for_more(package: &graph::Package, limit: (u32, u32, u32)) -> bool {
    package.rust_version.as_deref().is_some_and(|declared| parse(declared).is_none_or(|version| version > limit))
}

fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    let major = parts.next()?.ok()?;
    let minor = parts.next().unwrap_or(Ok(0)).ok()?;
    let patch = parts.next().unwrap_or(Ok(0)).ok()?;
    Some((major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        assert!(parse("1.9") < parse("1.89"));
        assert_eq!(parse("1.89"), parse("1.89.0"));
        assert!(parse("1.89.1") > parse("1.89"));
        assert_eq!(parse("nightly"), None);
    }
}
