//! The parts of documentation pages that come from the tables: what stands between `<!-- generated: WORDS -->` and
//! `<!-- end of generated -->`. All else on a page is written by hand and left as it is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use seawall_engine::table::options::STRATEGIES;
use seawall_engine::table::transitions::TRANSITIONS;

use crate::graph::root;
use crate::{count, markdown, topics};

const START: &str = "<!-- generated: ";
const START_END: &str = " -->\n";
const END: &str = "<!-- end of generated -->";

/// The pages with generated parts: every page of a strategy, the index over them, and the guide's.
pub fn render() -> Result<Vec<(String, String)>, String> {
    let strategies = STRATEGIES.iter().map(|strategy| format!("docs/policies/{strategy}.md"));
    let index = "docs/policies/README.md".to_owned();
    strategies.chain([index]).chain(guide()?).map(page).collect()
}

/// The pages of docs/guide, in the order of their names.
fn guide() -> Result<Vec<String>, String> {
    let folder = root().join("docs/guide");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut names: Vec<String> = pages.filter_map(|path: PathBuf| Some(format!("docs/guide/{}", path.file_name()?.to_str()?))).collect();
    names.sort();
    Ok(names)
}

/// One page as it should be.
fn page(name: String) -> Result<(String, String), String> {
    let text = fs::read_to_string(root().join(&name)).map_err(|error| format!("{name}: {error}"))?;
    let filled = fill(&text, part).map_err(|message| format!("{name}: {message}"))?;
    Ok((name, filled))
}

/// A page with every generated part written anew by `part`, which is given the words of its marker.
fn fill(page: &str, part: impl Fn(&[&str]) -> Result<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(START) {
        let (words, after) = after.split_once(START_END).ok_or("a marker has no end")?;
        let (_, after) = after.split_once(END).ok_or_else(|| format!("what is generated for `{words}` has no end"))?;
        let words_of_it: Vec<&str> = words.split(' ').collect();
        let _ = write!(filled, "{before}{START}{words}{START_END}\n{}\n{END}", part(&words_of_it)?);
        rest = after;
    }
    Ok(filled + rest)
}

/// What a marker asks for.
fn part(words: &[&str]) -> Result<String, String> {
    match *words {
        ["options", strategy] if strategy == "*" || STRATEGIES.contains(&strategy) => Ok(markdown::option_rows(strategy)),
        ["events", topic] => Ok(markdown::event_rows(|name| topics::matches(topics::of(topic).events, name))),
        ["errors", topic] => Ok(markdown::error_rows(|code| topics::matches(topics::of(topic).codes, code))),
        ["metrics", topic] => Ok(markdown::metric_rows(|name| topics::matches(topics::of(topic).metrics, name))),
        ["reasons"] => Ok(markdown::reason_rows()),
        ["diagram", machine] => diagram(machine),
        ["vectors"] => count::render(Path::new(&root()).join("tests/vectors").as_path()),
        _ => Err(format!("nothing is known to be generated for `{}`", words.join(" "))),
    }
}

/// A state diagram of a machine: the rows that change its state, one arrow for all between the same two. What leaves the state as it is
/// stands in docs/spec/transitions.md.
fn diagram(machine: &str) -> Result<String, String> {
    let rows: Vec<_> = TRANSITIONS.iter().filter(|row| row.machine() == machine && row.from != row.to).collect();
    if rows.is_empty() {
        return Err(format!("no machine `{machine}` changes its state"));
    }
    let mut arrows: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for row in rows {
        let label = row.id.rsplit('.').next().unwrap_or(row.id).replace('_', " ");
        match arrows.iter_mut().find(|(from, to, _)| (*from, *to) == (row.from, row.to)) {
            Some((_, _, labels)) => labels.push(label),
            None => arrows.push((row.from, row.to, vec![label])),
        }
    }
    let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
    for (from, to, labels) in arrows {
        let _ = writeln!(text, "    {from} --> {to}: {}", labels.join(", "));
    }
    Ok(text + "```\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_engine::table::{errors::ERRORS, errors::REASONS, events::EVENTS, metrics::METRICS, options::OPTIONS};

    /// The sections of a strategy's page, in this order; what it is for stands above them.
    const TEMPLATE: &[&str] =
        &["Use", "Options", "States", "Events, errors, metrics", "With other strategies", "When not to use it", "Pitfalls"];

    fn pages() -> Vec<(String, String)> {
        render().expect("every page can be rendered")
    }

    #[test]
    fn every_strategy_has_a_page_with_the_sections_of_the_template_in_order() {
        for (name, text) in pages().iter().take(STRATEGIES.len()) {
            let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(sections, TEMPLATE, "{name}");
            let story = text.split("\n## ").next().unwrap_or_default().lines().filter(|line| !line.trim().is_empty()).count();
            assert!(text.starts_with("# ") && story > 1, "{name} does not say what it is for");
            let use_of_it = text.split("## Options").next().unwrap_or_default();
            for block in ["```python run\n", "```ts run\n"] {
                assert!(use_of_it.contains(block), "{name}: no {block}");
            }
            let bare = text.split("\n## ").find(|section| section.split_once('\n').is_some_and(|(_, body)| body.trim().is_empty()));
            assert_eq!(bare, None, "{name}: a section is empty");
        }
    }

    #[test]
    fn every_row_of_the_table_is_on_a_page() {
        let all: String = pages().into_iter().map(|(_, text)| text).collect();
        let page_of = |strategy: &str| pages().into_iter().find(|(name, _)| name.ends_with(&format!("policies/{strategy}.md")));
        for row in OPTIONS.iter().filter(|row| row.strategy != "*") {
            let (name, text) = page_of(row.strategy).expect("every strategy has a page");
            assert!(text.contains(&format!("\n| `{}` | ", row.name)), "{name} has no row of `{}`", row.name);
        }
        let names = OPTIONS.iter().map(|row| row.name).chain(EVENTS.iter().map(|row| row.name));
        let names = names.chain(ERRORS.iter().map(|row| row.code)).chain(METRICS.iter().map(|row| row.name));
        for name in names.chain(REASONS.iter().map(|(name, _)| *name)) {
            assert!(all.contains(&format!("\n| `{name}` | ")), "no page has a row of `{name}`");
        }
    }

    #[test]
    fn every_topic_is_asked_for_and_every_pattern_names_something() {
        let all: String = pages().into_iter().map(|(_, text)| text).collect();
        for topic in topics::TOPICS {
            for (kind, patterns) in [("events", topic.events), ("errors", topic.codes), ("metrics", topic.metrics)] {
                let asked = all.contains(&format!("{START}{kind} {}{START_END}", topic.name));
                assert_eq!(asked, !patterns.is_empty(), "{kind} of {}", topic.name);
            }
            for (patterns, names) in [
                (topic.events, EVENTS.iter().map(|row| row.name).collect::<Vec<_>>()),
                (topic.codes, ERRORS.iter().map(|row| row.code).collect()),
                (topic.metrics, METRICS.iter().map(|row| row.name).collect()),
            ] {
                let idle = patterns.iter().find(|pattern| !names.iter().any(|name| topics::matches(&[pattern], name)));
                assert_eq!(idle, None, "of {} names nothing", topic.name);
            }
        }
    }

    #[test]
    fn every_rust_block_is_compiled_with_the_crate() {
        let tested = fs::read_to_string(root().join("core/src/pages.rs")).expect("core/src/pages.rs");
        for (name, text) in pages() {
            let named = tested.contains(&format!("\"../../{name}\""));
            assert_eq!(named, text.contains("\n```rust"), "{name}: pages with Rust are named in core/src/pages.rs, others are not");
        }
    }

    #[test]
    fn only_what_is_marked_is_written() {
        let asked = |words: &[&str]| Ok(words.join("+") + "\n");
        let page = "above\n<!-- generated: a b -->\nold\n<!-- end of generated -->\nbelow";
        let wanted = "above\n<!-- generated: a b -->\n\na+b\n\n<!-- end of generated -->\nbelow";
        assert_eq!(fill(page, asked).as_deref(), Ok(wanted));
        assert_eq!(fill(wanted, asked).as_deref(), Ok(wanted));
        assert!(fill("<!-- generated: a -->\n", asked).is_err());
        assert!(part(&["nothing"]).is_err());
    }
}
