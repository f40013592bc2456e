//! Reads the files that the laws check.

use super::tokens::Tokens;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of Rust.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source {
            path: path.to_string(),
            text: text.to_string(),
        }
    }

    pub fn tokens(&self) -> Tokens {
        Tokens::of(&self.text)
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a file, with the line ends of the repository.
pub fn text_of(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
    text.replace("\r\n", "\n")
}

/// Returns the files below a folder with this extension, sorted.
pub fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<String>) {
    let entries = fs::read_dir(folder).unwrap();
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|is| is == extension) {
            let path = path.strip_prefix(root()).unwrap();
            found.push(path.to_str().unwrap().replace('\\', "/"));
        }
    }
}

pub fn sources(folders: &[&str]) -> Vec<Source> {
    let paths = folders.iter().flat_map(|folder| files(folder, "rs"));
    let found: Vec<_> = paths
        .map(|path| Source::new(&path, &text_of(&path)))
        .collect();
    assert!(
        found.len() > folders.len(),
        "found no sources in {folders:?}"
    );
    found
}

pub fn library() -> Vec<Source> {
    sources(&["src"])
}

pub fn everything() -> Vec<Source> {
    sources(&[
        "src",
        "tests",
        "examples",
        "cli/src",
        "cli/tests",
        "measure/src",
        "bench/src",
    ])
}

/// Fails if a law found faults, and prints them.
pub fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Returns the text of a fault, with its place.
pub fn fault(source: &Source, line: usize, says: &str) -> String {
    format!("{}:{line}: {says}", source.path)
}
