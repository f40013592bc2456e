//! The laws of the house, kept by a test and not by review.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/layout_rules.rs"]
mod layout_rules;
#[path = "tidy/mutations.rs"]
mod mutations;

/// A module uses modules of lower rank only; equals do not know each other.
const RANKS: [(&str, u32); 45] = [
    ("error", 0),
    ("access", 1),
    ("exchange", 1),
    ("layout", 1),
    ("name", 1),
    ("sync", 1),
    ("describe", 2),
    ("lane", 2),
    ("latest", 2),
    ("os", 2),
    ("in_place", 3),
    ("mapping", 3),
    ("options", 3),
    ("reactor", 3),
    ("signals", 3),
    ("handle", 4),
    ("process", 4),
    ("event", 5),
    ("mutex", 5),
    ("roster", 5),
    ("section", 5),
    ("backpressure", 6),
    ("parking", 6),
    ("root", 6),
    ("wait", 6),
    ("seat", 7),
    ("ending", 7),
    ("segment", 8),
    ("crowd", 9),
    ("intake", 9),
    ("watch", 9),
    ("client", 10),
    ("publisher", 10),
    ("reader", 10),
    ("receiver", 10),
    ("sender", 10),
    ("server", 10),
    ("stat", 10),
    ("subscriber", 10),
    ("writer", 10),
    ("doctor", 11),
    ("typed", 11),
    ("asynchronous", 12),
    ("wait_set", 12),
    ("models", 13),
];

/// Every file of the library that may contain `unsafe`, and why.
const UNSAFE: [(&str, &str); 13] = [
    ("src/sync/", "atomics over memory that peers write"),
    (
        "src/mapping.rs",
        "calls sync with ranges that it checked, and makes windows of them",
    ),
    ("src/in_place.rs", "slices, on the caller's promise"),
    ("src/os/linux/view.rs", "mmap and its kin"),
    ("src/os/windows/nt.rs", "native calls, looked up by name"),
    (
        "src/os/windows/call.rs",
        "calls on named objects, waits, processes",
    ),
    ("src/os/windows/win32.rs", "one call that was looked up"),
    (
        "src/os/windows/nt_rules",
        "the calls of win32.rs, stricter, for tests",
    ),
    ("src/os/windows/token.rs", "what this process is"),
    ("src/os/windows/descriptor.rs", "owners and access lists"),
    ("src/os/windows/account.rs", "names of accounts"),
    ("src/os/windows/view.rs", "MapViewOfFile and its kin"),
    (
        "cli/src/platform.rs",
        "a message box, the number of the code page, and job objects",
    ),
];

const MAX_FILE_LINES: usize = 800;
const MAX_FUNCTION_LINES: usize = 70;
const MAX_README_LINES: usize = 200;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Numbered lines without comments, documentation and unit tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        self.text[..end]
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, with the line ends of the repository.
fn text_of(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
    text.replace("\r\n", "\n")
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let path = path.strip_prefix(root()).unwrap();
            let path = path.to_str().unwrap().replace('\\', "/");
            let text = text_of(&path);
            found.push(Source { path, text });
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut found);
    }
    assert!(
        found.len() > folders.len(),
        "found no sources in {folders:?}"
    );
    found
}

fn library() -> Vec<Source> {
    sources(&["src"])
}

fn everything() -> Vec<Source> {
    sources(&[
        "src",
        "tests",
        "examples",
        "cli/src",
        "cli/tests",
        "bench/src",
    ])
}

fn rank(module: &str) -> Option<u32> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// The module of the crate that a file belongs to.
fn module(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs")
}

fn none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn layers_use_lower_layers_only() {
    let mut broken = Vec::new();
    for source in library() {
        let own = module(&source.path);
        if own == "lib" {
            continue;
        }
        let own_rank = rank(own).unwrap_or_else(|| panic!("{own} has no rank: give it one"));
        for (n, line) in source.code() {
            for used in line.split("crate::").skip(1) {
                let used = used.trim_start_matches('{');
                let name = used
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap();
                let Some(used_rank) = rank(name) else {
                    continue;
                };
                if name != own && used_rank >= own_rank {
                    broken.push(format!("{}:{n}: {own} may not use {name}", source.path));
                }
            }
        }
    }
    none(broken);
}

#[test]
fn systems_are_told_apart_under_os_only() {
    let mut broken = Vec::new();
    for source in library().iter().filter(|s| !s.path.starts_with("src/os/")) {
        for (n, line) in source.code() {
            let words = [
                "cfg(windows",
                "cfg(unix",
                "target_os",
                "target_family",
                "windows_sys",
                "rustix",
            ];
            if words.iter().any(|word| line.contains(word)) {
                broken.push(format!("{}:{n}: {}", source.path, line.trim()));
            }
        }
    }
    none(broken);
}

#[test]
fn atomics_come_through_sync_only() {
    let mut broken = Vec::new();
    for source in library()
        .iter()
        .filter(|s| !s.path.starts_with("src/sync/"))
    {
        for (n, line) in source.code() {
            if line.contains("sync::atomic::") || line.contains("sync::{atomic") {
                broken.push(format!("{}:{n}: {}", source.path, line.trim()));
            }
        }
    }
    none(broken);
}

#[test]
fn unsafe_stands_where_the_list_says() {
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources(&["src", "cli/src"]) {
        for (n, line) in source.code() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if !words.into_iter().any(|word| word == "unsafe") {
                continue;
            }
            match UNSAFE
                .iter()
                .find(|(path, _)| source.path.starts_with(path))
            {
                Some((path, _)) => drop(used.insert(*path)),
                None => broken.push(format!("{}:{n}: unsafe is not allowed here", source.path)),
            }
        }
    }
    none(broken);
    let idle: Vec<_> = UNSAFE
        .iter()
        .filter(|(path, _)| !used.contains(path))
        .collect();
    assert!(
        idle.is_empty(),
        "no unsafe any more, take off the list: {idle:?}"
    );
}

/// Calls that NT's rules concern: `win32.rs` has them, and `nt_rules.rs` in its place. Part of a name
/// is enough.
const RULED: [&str; 18] = [
    "CreateFileMapping",
    "OpenFileMapping",
    "CreateEvent",
    "OpenEvent",
    "CreateMutex",
    "OpenMutex",
    "Semaphore",
    "WaitableTimer",
    "JobObjectW",
    "OpenProcess",
    "WaitForSingleObject",
    "WaitForMultipleObjects",
    "SignalObjectAndWait",
    "GetTokenInformation",
    "ProcessIdToSessionId",
    "NtCreate",
    "NtOpen",
    "NtWait",
];

/// A call of the system is imported from `windows_sys`, or looked up by its name.
#[test]
fn calls_that_rules_concern_go_through_one_file() {
    let mut broken = Vec::new();
    let layer = ["src/os/windows/win32.rs", "src/os/windows/nt_rules.rs"];
    let files = sources(&["src", "cli/src"]);
    for source in files.iter().filter(|one| !layer.contains(&&*one.path)) {
        for import in source.text.split("use windows_sys::").skip(1) {
            let import = import.split(';').next().unwrap();
            if import.contains(" as ") {
                broken.push(format!(
                    "{}: an import by another name: {import}",
                    source.path
                ));
            }
            for name in import.split(|c: char| !c.is_alphanumeric() && c != '_') {
                // The token of this process, and a job object that has no name.
                let own = ["OpenProcessToken", "CreateJobObjectW"].contains(&name);
                if !own && RULED.iter().any(|ruled| name.contains(ruled)) {
                    broken.push(format!("{}: {name} comes through win32.rs", source.path));
                }
            }
        }
        for (n, line) in source.code() {
            if line.contains("windows_sys::") && !line.trim_start().contains("use windows_sys::") {
                broken.push(format!("{}:{n}: a name that was not imported", source.path));
            }
            let looked_up = line
                .split("c\"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            for name in looked_up.filter(|name| RULED.iter().any(|ruled| name.contains(ruled))) {
                // The first is called by the layer; directories have no rules.
                if !["MsgWaitForMultipleObjectsEx", "NtOpenDirectoryObject"].contains(&name) {
                    broken.push(format!(
                        "{}:{n}: {name} comes through win32.rs",
                        source.path
                    ));
                }
            }
        }
    }
    none(broken);
    let offers = |path: &str| {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let names = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let ruled = names.filter(|name| RULED.iter().any(|ruled| name.contains(ruled)));
        ruled.map(str::to_string).collect::<BTreeSet<_>>()
    };
    let [plain, strict] = layer.map(offers);
    let missing: Vec<_> = plain.difference(&strict).collect();
    assert!(
        missing.is_empty() && plain.len() > 10,
        "{missing:?} have no rules"
    );
}

#[test]
fn each_ordering_names_its_partner() {
    let mut broken = Vec::new();
    for source in sources(&["src", "cli/src"]) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (n, line) in source.code() {
            let strong = ["Acquire", "Release", "AcqRel", "SeqCst"];
            if !strong
                .iter()
                .any(|o| line.contains(&format!("Ordering::{o}")))
            {
                continue;
            }
            let above = &lines[n.saturating_sub(8)..n];
            if !above.iter().any(|l| l.contains("airs with")) {
                broken.push(format!("{}:{n}: pairs with what?", source.path));
            }
        }
    }
    none(broken);
}

#[test]
fn files_and_functions_are_short() {
    let mut broken = Vec::new();
    for source in everything() {
        let lines: Vec<&str> = source.text.lines().collect();
        if lines.len() > MAX_FILE_LINES {
            broken.push(format!("{}: {} lines", source.path, lines.len()));
        }
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_function = [
                "fn ",
                "pub fn ",
                "pub(super) fn ",
                "pub(crate) fn ",
                "unsafe fn ",
            ]
            .iter()
            .any(|form| head.starts_with(form));
            if !is_function || head.ends_with(';') || head.ends_with('}') {
                continue;
            }
            // rustfmt puts the closing brace where the function began.
            let close = format!("{}}}", " ".repeat(indent));
            let len = lines[start..].iter().position(|l| *l == close).unwrap_or(0);
            if len > MAX_FUNCTION_LINES {
                broken.push(format!("{}:{}: {len} lines", source.path, start + 1));
            }
        }
    }
    none(broken);
}

#[test]
fn there_is_one_program_and_it_is_undocumented() {
    let manifest = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let cli = manifest("cli/Cargo.toml");
    assert_eq!(manifest("Cargo.toml").matches("[[bin]]").count(), 0);
    assert_eq!(cli.matches("[[bin]]").count(), 1);
    // Its documentation would land where the library's stands.
    assert!(cli.contains("doc = false"));
    assert!(!root().join("src/main.rs").exists() && !root().join("src/bin").exists());
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() < MAX_README_LINES);
}

/// What the readme shows is what the tests run.
#[test]
fn the_quick_start_is_the_examples() {
    let read = |path: &str| {
        let text = fs::read_to_string(root().join(path)).unwrap();
        text.replace("\r\n", "\n")
    };
    let readme = read("README.md");
    for example in ["message_server", "message_consumer"] {
        let text = read(&format!("examples/{example}.rs"));
        let (_, code) = text.split_once("\n\n").unwrap();
        assert!(readme.contains(&format!("```rust\n{code}```")), "{example}");
    }
}

/// docs/platform.md says for each promise which tests show it.
#[test]
fn tests_that_the_documents_name_exist() {
    let all: String = everything().into_iter().map(|source| source.text).collect();
    let page = fs::read_to_string(root().join("docs/platform.md")).unwrap();
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

#[test]
fn nothing_is_left_undone() {
    let marks = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    let mut broken = Vec::new();
    for source in everything().iter().filter(|s| s.path != "tests/tidy.rs") {
        for (n, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                broken.push(format!("{}:{}: {}", source.path, n + 1, line.trim()));
            }
        }
    }
    none(broken);
}
