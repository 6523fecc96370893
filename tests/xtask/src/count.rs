//! How many vectors there are of each folder of tests/vectors.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use seawall_engine::table::options::STRATEGIES;
use serde_json::Value;

/// A table of them: the strategies in their order, then the rest, then the sum.
pub fn render(vectors: &Path) -> Result<String, String> {
    let mut folders: Vec<String> = list(vectors)?.into_iter().filter(|name| vectors.join(name).is_dir()).collect();
    folders.sort_by_key(|name| (STRATEGIES.iter().position(|strategy| strategy == name).unwrap_or(usize::MAX), name.clone()));
    let mut text = "| folder | files | vectors |\n|---|---|---|\n".to_owned();
    let (mut all_files, mut all) = (0, 0);
    for folder in folders {
        let files: Vec<String> = list(&vectors.join(&folder))?.into_iter().filter(|name| name.ends_with(".json")).collect();
        let sum = files.iter().map(|name| of_file(&vectors.join(&folder).join(name))).sum::<Result<usize, String>>()?;
        let _ = writeln!(text, "| [`{folder}`](../../tests/vectors/{folder}) | {} | {sum} |", files.len());
        all_files += files.len();
        all += sum;
    }
    let _ = writeln!(text, "| together | {all_files} | {all} |");
    Ok(text)
}

fn list(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// One vector, a list of them, or `cases`.
fn of_file(path: &Path) -> Result<usize, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(count(&value))
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(vectors) => vectors.iter().map(count).sum(),
        Value::Object(vector) => vector.get("cases").and_then(Value::as_array).map_or(1, Vec::len),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::count;
    use serde_json::json;

    #[test]
    fn a_file_holds_one_vector_or_a_list_or_cases() {
        assert_eq!(count(&json!({ "title": "one" })), 1);
        assert_eq!(count(&json!([{ "title": "one" }, { "cases": [{}, {}] }])), 3);
    }
}
