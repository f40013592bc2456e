//! Tests have short names, and what selects tests by name selects some.

use super::source::{Source, everything, none, text_of};

/// The greatest number of words in the name of a test.
const MAX_WORDS: usize = 7;

/// The names of the tests of a file.
fn tests(source: &Source) -> Vec<&str> {
    let behind = source.text.split("#[test]").skip(1);
    let names = behind.filter_map(|behind| behind.split_once("fn ").map(|(_, name)| name));
    names.filter_map(|name| name.split('(').next()).collect()
}

fn too_long(source: &Source) -> Vec<String> {
    let names = tests(source).into_iter();
    let long = names.filter(|name| name.split('_').count() > MAX_WORDS);
    long.map(|name| format!("{}: {name}", source.path))
        .collect()
}

/// The words of a filter that stand for names of tests or modules: at least two words with an
/// underscore between.
fn names_in(filter: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = filter.split(move |c| !is_name(c));
    names.filter(|name| name.trim_matches('_').contains('_'))
}

/// The filters of a file: what stands between `test(/` and `/)`, or between `--` and the end of a
/// command.
fn filters(page: &str) -> Vec<&str> {
    let regular = page.split("test(/").skip(1);
    let regular = regular.filter_map(|behind| behind.split("/)").next());
    let words = page.lines().filter_map(|line| line.split_once(" -- "));
    let words = words.filter_map(|(_, behind)| behind.split(";;").next());
    regular.chain(words).collect()
}

/// Whether a path of modules, and the test behind it if there is one, exists.
fn is_test(all: &[Source], path: &str) -> bool {
    let (module, test) = path.rsplit_once("::").expect("a module");
    let file = format!("/{}.rs", module.replace("::", "/"));
    let mut files = all.iter().filter(|source| source.path.ends_with(&file));
    files.any(|source| test.is_empty() || tests(source).contains(&test))
}

#[test]
fn test_names_have_at_most_seven_words() {
    none(everything().iter().flat_map(too_long).collect());

    let planted = |name: &str| {
        Source::new(
            "x",
            &["#[test", "]\n#[ignore]\nfn ", name, "() {}"].concat(),
        )
    };
    assert_eq!(too_long(&planted("a_b_c_d_e_f_g_h")).len(), 1);
    assert_eq!(too_long(&planted("a_b_c_d_e_f_g")).len(), 0);
}

#[test]
fn test_filters_select_existing_tests() {
    let all = everything();
    let tests: Vec<&str> = all.iter().flat_map(tests).collect();
    let exists = |name: &&str| {
        let file = format!("/{name}.rs");
        tests.iter().any(|test| test.contains(*name))
            || all.iter().any(|source| source.path.ends_with(&file))
    };

    let settings = text_of(".config/nextest.toml");
    let parts = text_of("ci/full");
    let skips = text_of("ci/wine/skips");
    let skipped = skips.lines().filter(|line| !line.starts_with('#'));
    let skipped = skipped.filter_map(|line| line.split(' ').nth(1));
    let filters = filters(&settings).into_iter().chain(filters(&parts));
    let names: Vec<&str> = filters.flat_map(names_in).collect();

    assert!(names.len() > 20, "{} names only", names.len());
    assert!(!is_test(&all, "peers::nothing") && !is_test(&all, "nothing::"));
    let lost = names.into_iter().filter(|name| !exists(name));
    let lost = lost.map(|name| format!("no test has {name} in its name"));
    let misplaced = skipped.filter(|path| !is_test(&all, path));
    let misplaced = misplaced.map(|path| format!("there is no test {path}"));
    none(lost.chain(misplaced).collect());
}

#[test]
fn filters_of_all_forms_are_found() {
    let page =
        "a) long -E 'test(/::(one_two|three_)$/) + test(/^x::/)' ;;\nb) cargo test -- four_five ;;";
    let names: Vec<&str> = filters(page).into_iter().flat_map(names_in).collect();
    assert_eq!(names, ["one_two", "four_five"]);
}
