//! `list`: lists the named objects of this session and of the whole machine.

use crate::args::{List, Wanted};
use crate::names::{companions, object};
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::inspect::{Kind, Listed};
use std::collections::HashSet;
use wildmatch::WildMatch;

pub fn run(args: &List) -> Outcome {
    let mut found = shmkit::inspect::list()?;
    if let Some(pattern) = &args.pattern {
        found.retain(|listed| matches(&listed.name, pattern));
    }
    if !args.all {
        let names: HashSet<String> = found.iter().map(|l| l.name.clone()).collect();
        let is_shown = |whole: &str| names.contains(whole);
        found.retain(|listed| !companions::whole_of(&listed.name).is_some_and(is_shown));
    }

    let all = found.len();
    found.retain(|listed| args.kind.kind().is_none_or(|kind| listed.kind == kind));
    let hint = match all - found.len() {
        0 => "",
        _ => "\n  an object of another kind matches: use --kind all",
    };

    let what = args.kind.kind().map_or("object", object::word);
    if args.json {
        let rows = found.iter().map(|listed| {
            json!({
                "name": listed.name,
                "kind": object::word(listed.kind),
                "kernel_len": listed.len,
                "owner": listed.owner_name(),
            })
        });
        output::json(&rows.collect())?;
    } else if !found.is_empty() {
        output::line(&table(&found, args.kind))?;
    } else if args.pattern.is_none() {
        output::remark(&format!("there is no named {what}"));
    }

    if let Some(folder) = shmkit::inspect::folder().filter(|folder| folder.is_chosen) {
        let path = folder.path.display();
        output::remark(&format!("the objects are in {path} (SHMKIT_DIR)"));
    }

    match &args.pattern {
        Some(pattern) if found.is_empty() => Err(Failure::Absent(format!(
            "no named {what} matches {}{hint}",
            output::name(pattern)
        ))),
        _ => Ok(()),
    }
}

/// Returns whether a text is a pattern for whole names, and not a part of a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Returns whether a pattern matches a whole text.
pub fn matches_whole(text: &str, pattern: &str) -> bool {
    WildMatch::new(pattern).matches(text)
}

fn matches(name: &str, pattern: &str) -> bool {
    if is_pattern(pattern) {
        matches_whole(name, pattern) || matches_whole(object::base_of(name), pattern)
    } else {
        name.contains(pattern)
    }
}

/// Returns the objects as a table. The name is the last column, since its length has no limit.
fn table(found: &[Listed], wanted: Wanted) -> String {
    let mut columns = Vec::new();
    if wanted == Wanted::All {
        let kinds = found.iter().map(|l| object::word(l.kind).to_string());
        columns.push(aligned("KIND", kinds.collect(), false));
    }
    if matches!(wanted, Wanted::All | Wanted::Section) {
        columns.push(aligned("SIZE", found.iter().map(size).collect(), true));
    }

    let owners = found
        .iter()
        .map(|l| output::name(l.owner_name().as_deref().unwrap_or("?")));
    columns.push(aligned("OWNER", owners.collect(), false));
    let names = found.iter().map(|l| output::name(&l.name));
    columns.push([vec!["NAME".to_string()], names.collect()].concat());

    let row = |n: usize| {
        let cells = columns.iter().map(|column| column[n].as_str());
        cells.collect::<Vec<_>>().join("  ")
    };
    (0..=found.len()).map(row).collect::<Vec<_>>().join("\n")
}

/// Returns the size of a section as text; other objects have no size.
fn size(listed: &Listed) -> String {
    match listed.len {
        Some(len) => len.to_string(),
        None if listed.kind == Kind::Section => "?".to_string(),
        None => "-".to_string(),
    }
}

/// Returns a column with its title, in which all cells have the same width.
fn aligned(title: &str, mut cells: Vec<String>, right: bool) -> Vec<String> {
    cells.insert(0, title.to_string());
    let width = cells
        .iter()
        .map(|cell| cell.chars().count())
        .max()
        .unwrap_or(0);
    let pad = |cell: &String| match right {
        true => format!("{cell:>width$}"),
        false => format!("{cell:width$}"),
    };
    cells.iter().map(pad).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_pattern_matches_substring_or_glob() {
        assert!(matches("Global\\Prices", "Pri"));
        assert!(matches("Global\\Prices", "Global\\*"));
        assert!(matches("Global\\Prices", "*\\Price?"));
        assert!(matches("Global\\Prices", "Price?"));
        assert!(!matches("Global\\Prices", "rice?"));
        assert!(!matches("Local\\Prices", "Global"));
    }
}
