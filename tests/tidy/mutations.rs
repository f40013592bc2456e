//! Checks that the list of mutations matches the code, since `ci/mutations`, which makes them,
//! takes long.

use super::source::{Source, none, sources, text_of};
use std::collections::BTreeSet;
use toml::{Table, Value};

const LIST: &str = "tests/mutations.toml";

fn text<'a>(mutation: &'a Table, key: &str) -> Option<&'a str> {
    mutation.get(key).and_then(Value::as_str)
}

/// Returns whether the library has this module: a file, a folder, or `mod name {` in such a file.
fn has_module(files: &[Source], path: &str) -> bool {
    let is_file = |path: &str| {
        let names = [format!("src/{path}.rs"), format!("src/{path}/mod.rs")];
        files.iter().find(|file| names.contains(&file.path))
    };
    let path = path.replace("::", "/");
    let inline = path.rsplit_once('/').and_then(|(outside, name)| {
        is_file(outside).map(|file| file.text.contains(&format!("mod {name} {{")))
    });
    is_file(&path).is_some() || inline == Some(true)
}

/// Returns what is wrong with a mutation. `read` returns the text of a file; `files` are the
/// sources.
fn faults(mutation: &Table, read: impl Fn(&str) -> String, files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let (Some(file), Some(from), Some(to)) = (
        text(mutation, "file"),
        text(mutation, "from"),
        text(mutation, "to"),
    ) else {
        return vec!["it needs file, from and to".to_string()];
    };
    let count = read(file).matches(from).count();
    if count != 1 {
        faults.push(format!("its text stands {count} times in {file}"));
    }
    if from == to {
        faults.push("it changes nothing".to_string());
    }
    match (text(mutation, "test"), text(mutation, "equivalent")) {
        (Some(test), None) => {
            let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
            let is_there = |file: &Source| file.text.contains(&format!("fn {name}("));
            if !name.is_empty() && !files.iter().any(is_there) {
                faults.push(format!("there is no test {test}"));
            }
            if mutation.get("suite").is_none() && !has_module(files, module) {
                faults.push(format!("the library has no module {module}"));
            }
        }
        (None, Some(_)) => {}
        _ => faults.push("it needs a test, or the reason why it changes nothing".to_string()),
    }
    faults
}

#[test]
fn each_listed_mutation_matches_the_code() {
    let list: Table = text_of(LIST).parse().unwrap();
    let files = sources(&["src", "tests"]);

    let (mut broken, mut known) = (Vec::new(), BTreeSet::new());
    for mutation in list["mutation"].as_array().unwrap() {
        let mutation = mutation.as_table().unwrap();
        let what = text(mutation, "what").unwrap();
        if !known.insert(what) {
            broken.push(format!("{what}: stands twice in {LIST}"));
        }
        let faults = faults(mutation, text_of, &files);
        broken.extend(faults.iter().map(|fault| format!("{what}: {fault}")));
    }
    none(broken);
}

#[test]
fn planted_mutation_faults_are_found() {
    let faults = |toml: &str| {
        let mutation: Table = toml.parse().unwrap();
        let read = |_: &str| "a();\nb();\nb();\n".to_string();
        let files = [Source::new("src/x/mod.rs", "mod tests {\nfn it_fails() {")];
        faults(&mutation, read, &files).join("; ")
    };
    let good = "file = 'x'\nfrom = 'a();'\nto = ''\n";
    assert_eq!(faults(&format!("{good}test = 'x::it_fails'")), "");
    assert_eq!(faults(&format!("{good}test = 'x::'")), "");
    assert_eq!(faults(&format!("{good}equivalent = 'because'")), "");
    assert!(faults(good).contains("needs a test"));
    assert!(faults(&format!("{good}test = 'x::it_passes'")).contains("no test"));
    assert_eq!(faults(&format!("{good}test = 'x::tests::it_fails'")), "");
    assert!(faults(&format!("{good}test = 'y::it_fails'")).contains("no module y"));
    assert!(faults(&format!("{good}test = 'x::y::it_fails'")).contains("no module x::y"));
    assert_eq!(
        faults(&format!("{good}suite = 'contract'\ntest = 'y::it_fails'")),
        ""
    );
    assert!(faults("file = 'x'").contains("needs file"));

    let twice = "file = 'x'\nfrom = 'b();'\nto = 'b();'\nequivalent = 'because'";
    let found = faults(twice);
    assert!(found.contains("2 times") && found.contains("changes nothing"));
}
