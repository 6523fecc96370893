//! The crate graph, as `cargo metadata` tells it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path.pop();
    path
}

/// One package of the lock file.
pub struct Package {
    pub name: String,
    pub version: String,
    /// Whether it is one of ours.
    pub member: bool,
    /// The Rust version it asks for, if it says.
    pub rust_version: Option<String>,
    /// What it depends on outside of its tests.
    pub dependencies: Vec<String>,
}

/// Every locked package, ours included.
pub fn packages() -> Result<Vec<Package>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cargo metadata did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata is no JSON: {error}"))?;
    let members: Vec<&str> = list(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
    Ok(list(&metadata["packages"]).map(|package| read(package, &members)).collect())
}

fn read(package: &Value, members: &[&str]) -> Package {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    // Dependencies of tests are free: only what ships is judged.
    let shipped = |dependency: &&Value| dependency["kind"].as_str() != Some("dev");
    Package {
        name: text("name"),
        version: text("version"),
        member: members.contains(&text("id").as_str()),
        rust_version: package["rust_version"].as_str().map(str::to_owned),
        dependencies: list(&package["dependencies"])
            .filter(shipped)
            .filter_map(|dependency| dependency["name"].as_str())
            .map(str::to_owned)
            .collect(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
