//! Checks that the documents match the repository.

use super::source::{everything, files, none, root, text_of};
use std::path::Path;

const MAX_README_LINES: usize = 200;

#[test]
fn workspace_has_one_undocumented_program() {
    let cli = text_of("cli/Cargo.toml");
    assert_eq!(text_of("Cargo.toml").matches("[[bin]]").count(), 0);
    assert_eq!(cli.matches("[[bin]]").count(), 1);
    // The documentation of the program would overwrite that of the library.
    assert!(cli.contains("doc = false"));
    assert!(!root().join("src/main.rs").exists() && !root().join("src/bin").exists());
}

#[test]
fn readme_is_short() {
    let readme = text_of("README.md");
    assert!(readme.lines().count() < MAX_README_LINES);
}

/// The readme shows the code that the tests run.
#[test]
fn readme_quick_start_matches_examples() {
    let readme = text_of("README.md");
    for example in ["message_server", "message_consumer"] {
        let text = text_of(&format!("examples/{example}.rs"));
        let (_, code) = text.split_once("\n\n").unwrap();
        assert!(readme.contains(&format!("```rust\n{code}```")), "{example}");
    }
}

/// docs/platform.md names for each promise the tests that show it.
#[test]
fn tests_named_in_documents_exist() {
    let all: String = everything().into_iter().map(|source| source.text).collect();
    let page = text_of("docs/platform.md");
    let mut named = 0;
    let mut broken = Vec::new();
    let promises = page.split("## What differs").next().unwrap();
    for row in promises.lines().filter(|line| line.starts_with("| ")) {
        let Some(cell) = row.trim_end_matches(" |").rsplit(" | ").next() else {
            continue;
        };
        for test in cell.split('`').skip(1).step_by(2) {
            named += 1;
            if !all.contains(&format!("fn {test}(")) {
                broken.push(format!("no test is named {test}"));
            }
        }
    }
    none(broken);
    assert!(named > 20, "the table names {named} tests only");
}

/// Returns the pages that describe the repository as it is. The changelog also has what has gone.
pub fn pages() -> Vec<String> {
    let mut pages = files("docs", "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "measure/README.md"].map(String::from));
    pages
}

/// Checks that a law on pages finds no fault in the first pages, and one fault in each other page.
pub fn finds_planted(faults: impl Fn(&str) -> usize, fine: &[&str], planted: &[&str]) {
    for page in fine {
        assert_eq!(faults(page), 0, "{page}");
    }
    for page in planted {
        assert_eq!(faults(page), 1, "{page}");
    }
}

/// Returns the targets of the links of a page, with their lines. Code is left out.
pub fn links(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (n, line) in page.lines().enumerate() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            // An odd number of backquotes: the text before is code that has not ended.
            let in_code = line[..line.len() - after.len()].matches('`').count() % 2 == 1;
            rest = after;
            if let (false, Some((target, _))) = (in_code, after.split_once(')')) {
                found.push((n + 1, target));
            }
        }
    }
    found
}

/// Returns the anchor of a heading: lower case, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let kept: String = heading.chars().filter(is_kept).collect();
    kept.to_lowercase().replace(' ', "-")
}

fn has_anchor(page: &str, wanted: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let mut texts = headings.map(|line| line.trim_start_matches('#').trim());
    texts.any(|text| anchor(text) == wanted)
}

/// Returns the links of a page to files and headings that do not exist.
fn broken_links(path: &str, page: &str) -> Vec<String> {
    let folder = Path::new(path).parent().expect("a file");
    let mut broken = Vec::new();
    for (line, target) in links(page) {
        if target.contains("://") {
            continue;
        }
        let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
        let linked = folder.join(file);
        let text = if file.is_empty() {
            page.to_string()
        } else if !root().join(&linked).exists() {
            broken.push(format!("{path}:{line}: no file {target}"));
            continue;
        } else if file.ends_with(".md") {
            text_of(linked.to_str().expect("a path in UTF-8"))
        } else {
            continue;
        };
        if !wanted.is_empty() && !has_anchor(&text, wanted) {
            broken.push(format!("{path}:{line}: no heading {target}"));
        }
    }
    broken
}

#[test]
fn document_links_have_existing_targets() {
    let mut pages = pages();
    pages.push("CHANGELOG.md".to_string());
    let mut count = 0;
    let mut broken = Vec::new();
    for path in pages {
        let page = text_of(&path);
        count += links(&page).len();
        broken.extend(broken_links(&path, &page));
    }
    none(broken);
    assert!(count > 100, "found {count} links only");
}

#[test]
fn broken_links_are_found() {
    let broken = |page: &str| broken_links("docs/planted.md", page).len();
    let fine = [
        "[a](layout.md)",
        "[a](layout.md#joining-and-leaving) and [b](../README.md)",
        "[a](../src/lib.rs), [b](../src/)",
        "[a](https://example.org/nothing.md)",
        "## The Linux `lifetime`, here\n[a](#the-linux-lifetime-here)",
        "`[a](nothing.md)`",
        "```rust\nx[0](nothing)\n```",
    ];
    let planted = [
        "[a](nothing.md)",
        "fine: [a](layout.md), not fine: [b](src/lib.rs)",
        "`code` and [`code`](../src/nothing.rs)",
        "[a](layout.md#nothing)",
        "[a](#nothing)",
        "```\n[a](nothing.md)\n```\n[a](nothing.md)",
        "| a | [b](nothing.md) |",
    ];
    finds_planted(broken, &fine, &planted);
    let told = broken_links("docs/planted.md", "\n[a](nothing.md)");
    assert_eq!(told, ["docs/planted.md:2: no file nothing.md"]);
}
