//! The documents say what is there.

use super::source::{everything, none, root, text_of};

const MAX_README_LINES: usize = 200;

#[test]
fn there_is_one_program_and_it_is_undocumented() {
    let cli = text_of("cli/Cargo.toml");
    assert_eq!(text_of("Cargo.toml").matches("[[bin]]").count(), 0);
    assert_eq!(cli.matches("[[bin]]").count(), 1);
    // Its documentation would land where the library's stands.
    assert!(cli.contains("doc = false"));
    assert!(!root().join("src/main.rs").exists() && !root().join("src/bin").exists());
}

#[test]
fn the_readme_is_short() {
    let readme = text_of("README.md");
    assert!(readme.lines().count() < MAX_README_LINES);
}

/// What the readme shows is what the tests run.
#[test]
fn the_quick_start_is_the_examples() {
    let readme = text_of("README.md");
    for example in ["message_server", "message_consumer"] {
        let text = text_of(&format!("examples/{example}.rs"));
        let (_, code) = text.split_once("\n\n").unwrap();
        assert!(readme.contains(&format!("```rust\n{code}```")), "{example}");
    }
}

/// docs/platform.md says for each promise which tests show it.
#[test]
fn tests_that_the_documents_name_exist() {
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
