//! `list`: the named sections in reach.

use crate::args::List;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::Listed;
use wildmatch::WildMatch;

pub fn run(args: &List) -> Outcome {
    let mut found = shmkit::list()?;
    if let Some(pattern) = &args.pattern {
        found.retain(|listed| matches(&listed.name, pattern));
    }
    if args.json {
        let rows = found.iter().map(|listed| {
            json!({ "name": listed.name, "kernel_len": listed.len, "owner": listed.owner })
        });
        output::json(&rows.collect())?;
    } else if !found.is_empty() {
        output::line(&table(&found))?;
    } else if args.pattern.is_none() {
        output::remark("no named section is in reach");
    }
    match &args.pattern {
        Some(pattern) if found.is_empty() => Err(Failure::Absent(format!(
            "no named section in reach matches {pattern}"
        ))),
        _ => Ok(()),
    }
}

fn matches(name: &str, pattern: &str) -> bool {
    if pattern.contains(['*', '?']) {
        let pattern = WildMatch::new(pattern);
        let base = name.split_once('\\').map_or(name, |(_, base)| base);
        pattern.matches(name) || pattern.matches(base)
    } else {
        name.contains(pattern)
    }
}

/// The name comes last: it is the one column without a limit.
fn table(found: &[Listed]) -> String {
    let size = |l: &Listed| l.len.map_or("?".to_string(), |n| n.to_string());
    let owner = |l: &Listed| output::name(l.owner.as_deref().unwrap_or("?"));
    let width = |cells: Vec<String>, title: &str| {
        let widest = cells.iter().map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).max(title.len())
    };
    let sizes = width(found.iter().map(size).collect(), "SIZE");
    let owners = width(found.iter().map(owner).collect(), "OWNER");
    let mut lines = vec![format!("{:>sizes$}  {:owners$}  NAME", "SIZE", "OWNER")];
    lines.extend(found.iter().map(|l| {
        let name = output::name(&l.name);
        format!("{:>sizes$}  {:owners$}  {name}", size(l), owner(l))
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_parts_or_globs() {
        assert!(matches("Global\\Prices", "Pri"));
        assert!(matches("Global\\Prices", "Global\\*"));
        assert!(matches("Global\\Prices", "*\\Price?"));
        assert!(matches("Global\\Prices", "Price?"));
        assert!(!matches("Global\\Prices", "rice?"));
        assert!(!matches("Local\\Prices", "Global"));
    }
}
