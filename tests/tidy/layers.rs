//! Checks which modules each module may use.

use super::source::{Source, fault, library, none};
use super::tokens::{Path, Tokens};
use std::collections::{BTreeMap, BTreeSet};

/// The rank of each module. A module is a folder, or a file at the root. A module uses modules of
/// lower rank only, and none of its own rank.
const RANKS: &[(&str, u32)] = &[
    ("error", 0),
    ("access", 1),
    ("name", 1),
    ("sync", 1),
    ("format", 2),
    ("lane", 3),
    ("slots", 3),
    ("os", 3),
    ("wait", 4),
    ("object", 5),
    ("segment", 6),
    ("calls", 7),
    ("queue", 7),
    ("topic", 7),
    ("values", 7),
    ("inspect", 8),
    ("future", 9),
    ("models", 10),
];

fn rank(ranks: &[(&str, u32)], module: &str) -> Option<u32> {
    let row = ranks.iter().find(|(name, _)| *name == module);
    row.map(|(_, rank)| *rank)
}

/// Returns `a::b` for `src/a/b.rs` and for `src/a/b/mod.rs`, and an empty path for `src/lib.rs`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").expect("a file of the library");
    let inside = inside.trim_end_matches(".rs");
    let mut names: Vec<String> = inside.split('/').map(str::to_string).collect();
    if names
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        names.pop();
    }
    names
}

/// The files of the library, and what each imports.
struct Library {
    files: Vec<File>,
    /// The full path of each name that a module imports, by module and name.
    imports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
}

struct File {
    path: String,
    module: Vec<String>,
    tokens: Tokens,
}

impl Library {
    fn new(sources: &[Source]) -> Library {
        let file = |source: &Source| File {
            path: source.path.clone(),
            module: module_of(&source.path),
            tokens: source.tokens(),
        };
        let mut library = Library {
            files: sources.iter().map(file).collect(),
            imports: BTreeMap::new(),
        };
        for file in &library.files {
            let mut imports = BTreeMap::new();
            let all = file.tokens.paths.iter();
            for path in all.filter(|path| path.is_use && path.depth == 0) {
                let name = path.renamed.as_ref().or(path.segments.last());
                if let (Some(name), Some(is)) = (name, library.absolute(&file.module, path)) {
                    imports.insert(name.clone(), is);
                }
            }
            library.imports.insert(file.module.clone(), imports);
        }
        library
    }

    fn is_module(&self, names: &[String]) -> bool {
        self.files.iter().any(|file| file.module == names)
    }

    /// Returns a path from the root of the crate; `None` for a path into another crate or into the
    /// same file.
    fn absolute(&self, module: &[String], path: &Path) -> Option<Vec<String>> {
        let inner = std::iter::repeat_n("{}".to_string(), path.depth);
        let mut names: Vec<String> = module.iter().cloned().chain(inner).collect();
        let mut rest = &path.segments[..];
        match rest.first()?.as_str() {
            "crate" => names.clear(),
            "self" => {}
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    names.pop()?;
                    rest = &rest[1..];
                }
                rest = &path.segments[path.segments.len() - rest.len() - 1..];
            }
            child => {
                names.push(child.to_string());
                if !self.is_module(&names) {
                    return None;
                }
            }
        }
        names.extend(rest[1..].iter().cloned());
        (!names.iter().any(|name| name == "{}")).then_some(names)
    }

    /// Returns the module that defines what an absolute path names, through all imports.
    fn home(&self, mut path: Vec<String>) -> Vec<String> {
        // An import may name another import, and so on. Without a circle it is never this many.
        for _ in 0..8 {
            let mut module = path.clone();
            while !module.is_empty() && !self.is_module(&module) {
                module.pop();
            }
            let Some(name) = path.get(module.len()) else {
                return module;
            };
            let import = self.imports.get(&module).and_then(|all| all.get(name));
            match import {
                Some(import) if *import != path => {
                    let rest = path.split_off(module.len() + 1);
                    path = import.iter().cloned().chain(rest).collect();
                }
                _ => return module,
            }
        }
        Vec::new()
    }

    /// Returns each other module of this crate that a file uses, with the line of the first use.
    fn used(&self, file: &File) -> BTreeMap<Vec<String>, usize> {
        let mut used = BTreeMap::new();
        for path in &file.tokens.paths {
            if let Some(absolute) = self.absolute(&file.module, path) {
                let home = self.home(absolute);
                if home != file.module {
                    used.entry(home).or_insert(path.line);
                }
            }
        }
        used
    }
}

fn upward_imports(sources: &[Source], ranks: &[(&str, u32)]) -> Vec<String> {
    let library = Library::new(sources);
    let mut faults = Vec::new();
    for (source, file) in sources.iter().zip(&library.files) {
        let Some(own) = file.module.first() else {
            continue;
        };
        let Some(own_rank) = rank(ranks, own) else {
            faults.push(fault(source, 1, &format!("{own} has no rank")));
            continue;
        };
        for (used, line) in library.used(file) {
            let Some(used) = used.first().filter(|used| *used != own) else {
                continue;
            };
            if rank(ranks, used).is_none_or(|used| used >= own_rank) {
                faults.push(fault(source, line, &format!("{own} may not use {used}")));
            }
        }
    }
    faults
}

/// Finds files that use each other, directly or through other files. A module and its children
/// count as one.
fn cycles(sources: &[Source]) -> Vec<String> {
    let library = Library::new(sources);
    let mut uses: BTreeMap<&[String], BTreeSet<Vec<String>>> = BTreeMap::new();
    for file in &library.files {
        let is_family =
            |used: &Vec<String>| used.starts_with(&file.module) || file.module.starts_with(used);
        let used = library.used(file).into_keys();
        let used = used.filter(|used| !is_family(used)).collect();
        uses.insert(&file.module, used);
    }
    let mut faults = Vec::new();
    for file in library.files.iter().filter(|file| !file.module.is_empty()) {
        let mut reached = BTreeSet::new();
        let mut next: Vec<Vec<String>> = uses[&file.module[..]].iter().cloned().collect();
        while let Some(module) = next.pop() {
            if let Some(more) = uses.get(&module[..])
                && reached.insert(module)
            {
                next.extend(more.iter().cloned());
            }
        }
        if reached.contains(&file.module) {
            let via = uses[&file.module[..]].iter().map(|one| one.join("::"));
            let via: Vec<String> = via.collect();
            faults.push(format!("{}: leads to itself, by one of {via:?}", file.path));
        }
    }
    faults
}

#[test]
fn layers_use_lower_layers_only() {
    none(upward_imports(&library(), RANKS));
}

#[test]
fn modules_have_no_import_cycles() {
    none(cycles(&library()));
}

/// The most modules that a reader can keep in mind.
const MAX_MODULES: usize = 23;

#[test]
fn each_rank_has_a_module() {
    let sources = library();
    let modules: BTreeSet<String> = sources
        .iter()
        .filter_map(|source| module_of(&source.path).into_iter().next())
        .collect();
    assert!(modules.len() <= MAX_MODULES, "{} modules", modules.len());
    for (module, _) in RANKS {
        assert!(
            modules.contains(*module),
            "{module} has a rank and does not exist"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    /// Returns a library that has this file, and others to use.
    fn beside(source: &Source) -> Vec<Source> {
        let others = [
            ("src/lib.rs", "pub use queue::Sender as Renamed;"),
            (
                "src/queue/mod.rs",
                "mod sender; pub(crate) use sender::Sender; pub(crate) struct A;",
            ),
            ("src/queue/sender.rs", "pub(crate) struct Sender;"),
            ("src/name.rs", "pub struct Name;"),
        ];
        let mut sources: Vec<Source> = others
            .iter()
            .filter(|(path, _)| *path != source.path)
            .map(|(path, text)| Source::new(path, text))
            .collect();
        sources.insert(0, Source::new(&source.path, &source.text));
        sources
    }

    fn law(source: &Source) -> Vec<String> {
        upward_imports(&beside(source), &[("name", 0), ("lane", 1), ("queue", 2)])
    }

    #[test]
    fn planted_upward_import_is_found_everywhere() {
        for path in ["crate::queue", "crate::queue::Sender", "crate::Renamed"] {
            planted::path_is_found(law, "src/name.rs", path);
            planted::path_is_found(law, "src/lane/ring.rs", path);
        }
        let found = |path: &str, text: &str| !law(&Source::new(path, text)).is_empty();
        assert!(found(
            "src/name.rs",
            "use crate::{lane::{self, ring}, queue::*};"
        ));
        assert!(found(
            "src/name.rs",
            "use crate::{fmt, queue::{Sender as S, A}};"
        ));
        assert!(found("src/name.rs", "use super::queue::Sender;"));
        assert!(found("src/lane/ring.rs", "use super::super::queue::A;"));
        assert!(found(
            "src/lane/ring.rs",
            "mod a { use super::super::super::queue::A; }"
        ));
        assert!(!found(
            "src/lane/ring.rs",
            "mod a { use super::super::queue; }"
        ));
        assert!(!found("src/queue/receiver.rs", "use crate::name::Name;"));
        assert!(found("src/nobody.rs", "use crate::name::Name;"));
    }

    #[test]
    fn planted_import_cycle_is_found() {
        let two = |a: &str, b: &str| {
            let files = [
                ("src/lib.rs", ""),
                ("src/os/mod.rs", "mod a; mod b; mod c; use b::B; use a::A;"),
                ("src/os/a.rs", a),
                ("src/os/b.rs", b),
                ("src/os/c.rs", "use super::a::A;"),
            ];
            cycles(&files.map(|(path, text)| Source::new(path, text))).len()
        };
        assert_eq!(two("struct A;", "use super::a;"), 0);
        assert_eq!(two("use super::b::B;", "use super::a::A;"), 2);
        assert_eq!(two("use super::B;", "fn f() { m!(crate::os::A) }"), 2);
        assert_eq!(two("use super::B;", "use super::c::C;"), 3);
    }
}
