//! The list of weakenings keeps up with the code: `ci/mutations`, which makes them, takes long.

use super::source::{none, sources, text_of};
use std::collections::BTreeSet;
use toml::{Table, Value};

const LIST: &str = "tests/mutations.toml";

fn text<'a>(mutation: &'a Table, key: &str) -> Option<&'a str> {
    mutation.get(key).and_then(Value::as_str)
}

/// What is wrong with a mutation. `read` returns the text of a file; `tests` are the sources.
fn faults(mutation: &Table, read: impl Fn(&str) -> String, tests: &str) -> Vec<String> {
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
            let name = test.rsplit("::").next().unwrap_or_default();
            if !name.is_empty() && !tests.contains(&format!("fn {name}(")) {
                faults.push(format!("there is no test {test}"));
            }
        }
        (None, Some(_)) => {}
        _ => faults.push("it needs a test, or the reason why it changes nothing".to_string()),
    }
    faults
}

#[test]
fn each_mutation_stands_in_the_code() {
    let list: Table = text_of(LIST).parse().unwrap();
    let tests: Vec<String> = sources(&["src", "tests"])
        .into_iter()
        .map(|one| one.text)
        .collect();
    let tests = tests.concat();

    let (mut broken, mut known) = (Vec::new(), BTreeSet::new());
    for mutation in list["mutation"].as_array().unwrap() {
        let mutation = mutation.as_table().unwrap();
        let what = text(mutation, "what").unwrap();
        if !known.insert(what) {
            broken.push(format!("{what}: stands twice in {LIST}"));
        }
        let faults = faults(mutation, text_of, &tests);
        broken.extend(faults.iter().map(|fault| format!("{what}: {fault}")));
    }
    none(broken);
}

#[test]
fn planted_faults_of_a_mutation_are_found() {
    let faults = |toml: &str| {
        let mutation: Table = toml.parse().unwrap();
        let read = |_: &str| "a();\nb();\nb();\n".to_string();
        faults(&mutation, read, "fn it_fails() {").join("; ")
    };
    let good = "file = 'x'\nfrom = 'a();'\nto = ''\n";
    assert_eq!(faults(&format!("{good}test = 'x::it_fails'")), "");
    assert_eq!(faults(&format!("{good}test = 'x::'")), "");
    assert_eq!(faults(&format!("{good}equivalent = 'because'")), "");
    assert!(faults(good).contains("needs a test"));
    assert!(faults(&format!("{good}test = 'x::it_passes'")).contains("no test"));
    assert!(faults("file = 'x'").contains("needs file"));

    let twice = "file = 'x'\nfrom = 'b();'\nto = 'b();'\nequivalent = 'because'";
    let found = faults(twice);
    assert!(found.contains("2 times") && found.contains("changes nothing"));
}
