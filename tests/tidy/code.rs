//! Checks which code may be in which file, and how long files and functions may be.

use super::planted;
use super::source::{Source, everything, fault, library, none, sources, text_of};
use super::tokens::Path;
use std::collections::BTreeSet;

/// Every file of the library that may contain `unsafe`, and why.
const UNSAFE: [(&str, &str); 21] = [
    ("src/sync/", "atomics over memory that peers write"),
    (
        "src/object/mapping.rs",
        "calls sync with ranges that it checked, and makes windows of them",
    ),
    ("src/lane/claim.rs", "a slice, on the caller's promise"),
    ("src/lane/in_place.rs", "a slice, on the caller's promise"),
    (
        "src/queue/message_ref.rs",
        "a slice, on the caller's promise",
    ),
    ("src/topic/topic_ref.rs", "a slice, on the caller's promise"),
    (
        "src/values/value_ref.rs",
        "a slice, on the caller's promise",
    ),
    ("src/os/linux/view.rs", "mmap and related calls"),
    ("src/os/linux/record_lock.rs", "fcntl"),
    ("src/os/linux/no_fork.rs", "pthread_atfork"),
    ("src/os/linux/folder.rs", "getauxval"),
    ("src/os/windows/ntdll.rs", "native calls, looked up by name"),
    (
        "src/os/windows/call.rs",
        "calls on named objects, waits, processes",
    ),
    ("src/os/windows/win32.rs", "one call that was looked up"),
    (
        "src/os/windows/nt_rules",
        "the calls of win32.rs, stricter, for tests",
    ),
    ("src/os/windows/access/token.rs", "what this process is"),
    (
        "src/os/windows/access/descriptor.rs",
        "owners and access lists",
    ),
    ("src/os/windows/access/account.rs", "names of accounts"),
    ("src/os/windows/view.rs", "MapViewOfFile and related calls"),
    (
        "cli/src/platform.rs",
        "a message box, the number of the code page, and job objects",
    ),
    (
        "measure/src/clock.rs",
        "the counter of the processor, and whether it counts evenly",
    ),
];

const MAX_FILE_LINES: usize = 700;
const MAX_FUNCTION_LINES: usize = 70;

/// Returns the faults that a law finds in all files.
fn faults(sources: &[Source], law: fn(&Source) -> Vec<String>) -> Vec<String> {
    sources.iter().flat_map(law).collect()
}

fn begins(path: &Path, with: &[&str]) -> bool {
    path.segments.len() >= with.len() && path.segments.iter().zip(with).all(|(is, want)| is == want)
}

/// Returns whether the path contains the words one behind the other.
fn contains(path: &Path, words: &[&str]) -> bool {
    path.segments.windows(words.len()).any(|some| some == words)
}

fn words_of_systems(source: &Source) -> Vec<String> {
    if source.path.starts_with("src/os/") {
        return Vec::new();
    }
    let tokens = source.tokens();
    let conditions = [
        "windows",
        "unix",
        "target_os",
        "target_family",
        "target_env",
    ];
    // Code for tests only is not shipped.
    let shipped = |words: &&(Vec<String>, usize)| !words.0.join(" ").starts_with("all test");
    let tested = tokens.conditions.iter().filter(shipped);
    let tested = tested.filter_map(|(words, line)| {
        let word = words.iter().find(|word| conditions.contains(&&***word))?;
        Some(fault(source, *line, &format!("tests for {word}")))
    });
    let is_of_system = |path: &&Path| {
        ["windows_sys", "rustix", "libc"]
            .iter()
            .any(|name| begins(path, &[name]))
            || contains(path, &["std", "os"])
    };
    let used = tokens.paths.iter().filter(is_of_system);
    let used = used.map(|path| fault(source, path.line, &path.segments.join("::")));
    tested.chain(used).collect()
}

#[test]
fn system_specific_code_stays_under_os() {
    none(faults(&library(), words_of_systems));
}

#[test]
fn planted_system_dependence_is_found() {
    for path in [
        "rustix",
        "windows_sys::Win32",
        "libc::c_int",
        "std::os::fd",
        "std::os",
    ] {
        planted::path_is_found(words_of_systems, "src/a.rs", path);
    }
    planted::is_found(words_of_systems, "src/a.rs", "cfg!(windows)");
    planted::is_found(
        words_of_systems,
        "src/a.rs",
        "cfg!(all(x, not(target_os = \"linux\")))",
    );
    planted::is_found(words_of_systems, "src/a.rs", "{ #[cfg(unix)] let x = 1; }");
    planted::is_found(
        words_of_systems,
        "src/a.rs",
        "{ #[cfg_attr(any(unix), x)] let x = 1; }",
    );
}

fn atomics(source: &Source) -> Vec<String> {
    if source.path.starts_with("src/sync/") {
        return Vec::new();
    }
    let tokens = source.tokens();
    let is_atomic = |path: &&Path| contains(path, &["sync", "atomic"]);
    let found = tokens.paths.iter().filter(is_atomic);
    found
        .map(|path| fault(source, path.line, &path.segments.join("::")))
        .collect()
}

#[test]
fn library_uses_atomics_through_sync_only() {
    none(faults(&library(), atomics));
}

#[test]
fn planted_atomic_outside_sync_is_found() {
    for path in ["std::sync::atomic", "core::sync::atomic::AtomicU64"] {
        planted::path_is_found(atomics, "src/a.rs", path);
    }
    let brace = Source::new(
        "src/a.rs",
        "use std::{fmt, sync::{Arc, atomic::{AtomicU8, fence}}};",
    );
    assert_eq!(atomics(&brace).len(), 2);
}

/// Returns the row of the list that allows `unsafe` in a file.
fn allowed_unsafe(source: &Source) -> Option<&'static str> {
    let row = UNSAFE
        .iter()
        .find(|(path, _)| source.path.starts_with(path));
    row.map(|(path, _)| *path)
}

fn uses_of_unsafe(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let found = tokens
        .paths
        .iter()
        .filter(|path| contains(path, &["unsafe"]));
    found
        .map(|path| fault(source, path.line, "unsafe is not allowed here"))
        .collect()
}

#[test]
fn unsafe_appears_only_in_listed_files() {
    let all = sources(&["src", "cli/src", "measure/src"]);
    let (allowed, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|source| allowed_unsafe(source).is_some());
    none(faults(&others, uses_of_unsafe));
    let used: BTreeSet<_> = allowed
        .iter()
        .filter(|source| !uses_of_unsafe(source).is_empty())
        .filter_map(allowed_unsafe)
        .collect();
    let idle = UNSAFE.iter().filter(|(path, _)| !used.contains(path));
    let idle: Vec<_> = idle
        .map(|(path, _)| format!("{path}: no unsafe any more"))
        .collect();
    none(idle);
}

#[test]
fn planted_unsafe_is_found_everywhere() {
    planted::is_found(uses_of_unsafe, "src/a.rs", "unsafe { x() }");
    for item in [
        "unsafe fn f() {}",
        "unsafe impl A for B {}",
        "unsafe trait A {}",
    ] {
        planted::is_found(uses_of_unsafe, "src/a.rs", &format!("{{ {item} }}"));
    }
    planted::is_found(
        uses_of_unsafe,
        "src/a.rs",
        "{ #[unsafe(no_mangle)] fn f() {} }",
    );
    assert_eq!(allowed_unsafe(&Source::new("src/a.rs", "")), None);
    assert_eq!(
        allowed_unsafe(&Source::new("src/sync/copy.rs", "")),
        Some("src/sync/")
    );
}

/// Calls that NT's rules concern: `win32.rs` offers them, or `nt_rules.rs` in its place. Each entry
/// is a part of their names.
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

/// The files that offer the calls that NT's rules concern: one of the two is compiled.
const CALLS: [&str; 2] = ["src/os/windows/win32.rs", "src/os/windows/nt_rules.rs"];

fn is_ruled(name: &str) -> bool {
    RULED.iter().any(|ruled| name.contains(ruled))
}

/// Finds calls that NT's rules concern outside these files. A call of the system is imported from
/// `windows_sys`, or looked up by its name.
fn ruled_calls(source: &Source) -> Vec<String> {
    if CALLS.contains(&&*source.path) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let mut faults = Vec::new();
    for path in tokens
        .paths
        .iter()
        .filter(|path| begins(path, &["windows_sys"]))
    {
        let name = path.segments.last().unwrap();
        // Exceptions: the token of this process, and a job object without a name.
        let own = ["OpenProcessToken", "CreateJobObjectW"].contains(&&**name);
        let says = if !path.is_use {
            "a name that was not imported".to_string()
        } else if path.renamed.is_some() || name == "*" {
            format!("an import by another name: {name}")
        } else if is_ruled(name) && !own {
            format!("{name} comes through win32.rs")
        } else {
            continue;
        };
        faults.push(fault(source, path.line, &says));
    }
    for (text, line) in &tokens.literals {
        // Exceptions: the layer itself calls the first, and the rules do not concern directories.
        let own = ["MsgWaitForMultipleObjectsEx", "NtOpenDirectoryObject"];
        let name = text
            .strip_prefix("c\"")
            .map(|name| name.trim_end_matches('"'));
        if let Some(name) = name.filter(|name| is_ruled(name) && !own.contains(name)) {
            faults.push(fault(
                source,
                *line,
                &format!("{name} comes through win32.rs"),
            ));
        }
    }
    faults
}

#[test]
fn calls_under_nt_rules_use_win32_file() {
    none(faults(
        &sources(&["src", "cli/src", "measure/src"]),
        ruled_calls,
    ));
    let offers = |path: &str| {
        let text = text_of(path);
        let names = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let ruled = names.filter(|name| is_ruled(name));
        ruled.map(str::to_string).collect::<BTreeSet<_>>()
    };
    let [plain, strict] = CALLS.map(offers);
    let missing: Vec<_> = plain.difference(&strict).collect();
    assert!(
        missing.is_empty() && plain.len() > 10,
        "{missing:?} have no rules"
    );
}

#[test]
fn planted_call_bypassing_rules_is_found() {
    let path = "windows_sys::Win32::System::Threading";
    for name in ["OpenProcess", "CreateMutexExW", "WaitForSingleObject"] {
        planted::path_is_found(ruled_calls, "src/a.rs", &format!("{path}::{name}"));
    }
    planted::is_found(ruled_calls, "src/a.rs", "get(c\"NtCreateSection\")");
    planted::is_found(
        ruled_calls,
        "src/a.rs",
        "windows_sys::Win32::Foundation::CloseHandle(x)",
    );
    let faults = |text: &str| ruled_calls(&Source::new("src/a.rs", text)).len();
    assert_eq!(
        faults(&format!(
            "use {path}::{{Sleep as OpenProcess, OpenProcessToken}};"
        )),
        1
    );
    assert_eq!(faults(&format!("use {path}::*;")), 1);
    assert_eq!(
        faults(&format!("use {path}::{{OpenProcessToken, Sleep}};")),
        0
    );
    assert_eq!(
        ruled_calls(&Source::new(CALLS[0], &format!("use {path}::OpenProcess;"))).len(),
        0
    );
}

/// Finds orderings without a comment that names their partner. The comment is in the lines above,
/// or at the end of the same line.
fn orderings_alone(source: &Source) -> Vec<String> {
    const STRONG: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];
    const ABOVE: usize = 8;
    let lines: Vec<&str> = source.text.lines().collect();
    let tokens = source.tokens();
    let is_strong = |path: &&Path| STRONG.iter().any(|one| contains(path, &["Ordering", one]));
    let is_glob = |path: &&Path| contains(path, &["Ordering", "*"]);
    let (imports, uses): (Vec<_>, Vec<_>) = tokens
        .paths
        .iter()
        .filter(|path| is_strong(path) || is_glob(path))
        .partition(|path| path.is_use);
    let imported = imports
        .iter()
        .map(|path| fault(source, path.line, "write Ordering::X in full"));
    let is_alone = |path: &&&Path| {
        let above = &lines[path.line.saturating_sub(ABOVE)..path.line];
        !above.iter().any(|line| line.contains("airs with"))
    };
    let alone = uses.iter().filter(is_alone);
    let alone = alone.map(|path| fault(source, path.line, "pairs with what?"));
    imported.chain(alone).collect()
}

#[test]
fn each_ordering_names_its_partner() {
    none(faults(
        &sources(&["src", "cli/src", "measure/src"]),
        orderings_alone,
    ));
}

#[test]
fn planted_ordering_without_partner_is_found() {
    for ordering in [
        "Ordering::Acquire",
        "atomic::Ordering::AcqRel",
        "Ordering::SeqCst",
    ] {
        planted::is_found(orderings_alone, "src/a.rs", &format!("x.load({ordering})"));
    }
    let faults = |text: &str| orderings_alone(&Source::new("src/a.rs", text)).len();
    assert_eq!(faults("// Pairs with y.\nx.load(Ordering::Release)"), 0);
    assert_eq!(faults("use a::Ordering::{Acquire, Relaxed};"), 1);
    assert_eq!(faults("use a::Ordering::Acquire as Other;"), 1);
    assert_eq!(faults("fn f() { use a::Ordering::*; }"), 1);
}

fn too_long(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_FILE_LINES {
        faults.push(format!("{}: {lines} lines", source.path));
    }
    let functions = source.tokens().functions;
    for function in functions
        .iter()
        .filter(|one| one.lines > MAX_FUNCTION_LINES)
    {
        let says = format!("{} has {} lines", function.name, function.lines);
        faults.push(fault(source, function.line, &says));
    }
    faults
}

#[test]
fn files_and_functions_are_short() {
    none(faults(&everything(), too_long));
}

#[test]
fn planted_long_file_or_function_is_found() {
    let long = "g();\n".repeat(MAX_FUNCTION_LINES);
    planted::is_found(
        too_long,
        "src/a.rs",
        &format!("{{ fn long() {{\n{long}}} }}"),
    );
    let file = "\n".repeat(MAX_FILE_LINES + 1);
    assert_eq!(too_long(&Source::new("src/a.rs", &file)).len(), 1);
    assert_eq!(too_long(&Source::new("src/a.rs", &file[1..])).len(), 0);
}

/// Finds marks of unfinished work.
fn undone(source: &Source) -> Vec<String> {
    let marks = [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
    ];
    let tokens = source.tokens();
    let mut faults = Vec::new();
    for path in &tokens.paths {
        let last = path.segments.last().unwrap();
        if ["todo", "unimplemented", "dbg"].contains(&&**last) {
            faults.push(fault(source, path.line, last));
        }
    }
    for (n, line) in source.text.lines().enumerate() {
        if marks.iter().any(|mark| line.contains(mark)) {
            faults.push(fault(source, n + 1, line.trim()));
        }
    }
    faults
}

#[test]
fn code_has_no_unfinished_work_marks() {
    none(faults(&everything(), undone));
}

#[test]
fn planted_unfinished_work_is_found() {
    for macros in ["todo!()", "std::unimplemented!(\"x\")", "dbg!(x)"] {
        planted::is_found(undone, "src/a.rs", macros);
    }
    for mark in [concat!("FIX", "ME"), concat!("TO", "DO")] {
        for comment in ["// MARK: x", "/// MARK", "f(); // x (MARK)", "/* MARK */"] {
            let text = comment.replace("MARK", mark);
            assert_eq!(undone(&Source::new("src/a.rs", &text)).len(), 1, "{text}");
        }
    }
}
