//! Policy files and policies, told to people.

use std::path::{Path, PathBuf};

use seawall_runtime::explain::{Checked, check_file, explain as explained};
use serde_json::{Value, json};

use crate::dlq::{DONE, Ended, Failed};
use crate::{Console, Done, page};

/// Whether a file is sound. A mistake in it is a finding, as is what the lint finds.
pub(crate) fn check(file: &Path, json: bool, console: &mut Console<'_>) -> Ended {
    let path = file.to_string_lossy();
    let checked = match check_file(&path) {
        Ok(checked) => checked,
        Err(why) => {
            if json {
                writeln!(console.out, "{}", why.to_json())?;
            } else {
                writeln!(console.out, "{why}")?;
            }
            return Ok(Done::Exit(1));
        }
    };
    for one in &checked {
        if json {
            let worst = json!({"ms": one.worst.ms, "unbounded": one.worst.unbounded, "calls": one.worst.calls, "lines": one.worst.lines});
            let told = json!({"env": one.env, "policy": one.policy, "findings": one.findings, "worst_case": worst});
            writeln!(console.out, "{told}")?;
        } else {
            tell(one, console)?;
        }
    }
    let findings: usize = checked.iter().map(|one| one.findings.len()).sum();
    if !json {
        writeln!(console.out, "{path}: {} policies checked, {findings} findings", checked.len())?;
    }
    Ok(Done::Exit(u8::from(findings > 0)))
}

fn tell(one: &Checked, console: &mut Console<'_>) -> Result<(), Failed> {
    let env = one.env.as_ref().map(|env| format!(" in {env}")).unwrap_or_default();
    let bound = one.worst.ms.map_or_else(|| format!("no bound: {}", one.worst.unbounded.unwrap_or("")), |ms| format!("at most {ms} ms"));
    writeln!(console.out, "{}{env}: {bound}; {} calls below at worst", one.policy, one.worst.calls)?;
    findings(&one.findings, console)
}

fn findings(found: &[Value], console: &mut Console<'_>) -> Result<(), Failed> {
    for finding in found {
        let [code, path, message] = ["code", "path", "message"].map(|name| page::cell(&finding[name]));
        writeln!(console.out, "  {code} ({path}): {message}")?;
        for line in finding["lines"].as_array().into_iter().flatten() {
            writeln!(console.out, "    {}", page::cell(line))?;
        }
    }
    Ok(())
}

/// Where the numbers of a policy come from.
pub(crate) fn explain(policy: &str, file: Option<PathBuf>, env: Option<String>, json: bool, console: &mut Console<'_>) -> Ended {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = file.map(|file| file.to_string_lossy().into_owned()).or_else(|| given("SEAWALL_CONFIG"));
    let env = env.or_else(|| given("SEAWALL_ENV"));
    let told = explained(policy, file.as_deref(), env.as_deref())?;
    if json {
        writeln!(console.out, "{}", told.to_json(policy))?;
        return DONE;
    }
    writeln!(console.out, "{policy}: {} > the call", told.order.join(" > "))?;
    let rows: Vec<Vec<String>> = told.rows.iter().map(|row| vec![row.path.clone(), page::cell(&row.value), row.origin.clone()]).collect();
    page::table(&["OPTION", "VALUE", "FROM"], &rows, console)?;
    writeln!(console.out, "at worst")?;
    told.worst.lines.iter().try_for_each(|line| writeln!(console.out, "  {line}"))?;
    if !told.findings.is_empty() {
        writeln!(console.out, "findings")?;
        findings(&told.findings, console)?;
    }
    DONE
}
