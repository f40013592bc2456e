//! Tests have short names, and what selects tests by name selects some.

use super::documents::pages;
use super::source::{Source, everything, none, text_of};
use regex_lite::Regex;

/// The greatest number of words in the name of a test.
const MAX_WORDS: usize = 7;

/// The folders that have the root of a test program or a crate.
const ROOTS: [&str; 9] = [
    "src/",
    "tests/contract/",
    "tests/linux/",
    "tests/windows/",
    "tests/deaths/",
    "tests/tidy/",
    "cli/src/",
    "cli/tests/program/",
    "measure/src/",
];

/// The names of the tests of a file, each with the text in front of it.
fn tests(source: &Source) -> Vec<(&str, &str)> {
    let text = &source.text;
    let marks = text.match_indices("#[test]").map(|(at, _)| at);
    let names = marks.filter_map(|at| {
        let (_, behind) = text[at..].split_once("fn ")?;
        Some((behind.split('(').next()?, &text[..at]))
    });
    names.collect()
}

/// The paths of the tests of a file, as a test program prints them.
fn paths(source: &Source) -> Vec<String> {
    let Some(file) = ROOTS.iter().find_map(|root| source.path.strip_prefix(root)) else {
        return Vec::new();
    };
    let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let is_root = ["lib", "main", "contract", "deaths"].contains(&file);
    let module = match is_root {
        true => String::new(),
        false => file.replace('/', "::") + "::",
    };
    let path = |(name, before): (&str, &str)| {
        let inline = before.rsplit_once("\nmod ").map(|(_, inline)| inline);
        let inline = inline.and_then(|inline| inline.split_once(" {"));
        let inline = inline.filter(|(name, _)| !name.contains(';'));
        let inline = inline.map_or(String::new(), |(name, _)| format!("{name}::"));
        format!("{module}{inline}{name}")
    };
    tests(source).into_iter().map(path).collect()
}

fn too_long(source: &Source) -> Vec<String> {
    let names = tests(source).into_iter().map(|(name, _)| name);
    let long = names.filter(|name| name.split('_').count() > MAX_WORDS);
    long.map(|name| format!("{}: {name}", source.path))
        .collect()
}

/// The expressions that a regular expression with alternatives stands for. A group with `^` is not
/// taken apart.
fn variants(expression: &str) -> Vec<String> {
    let mut groups = expression.match_indices('(').filter_map(|(open, _)| {
        let close = open + expression[open..].find(')')?;
        Some((open, close, &expression[open + 1..close]))
    });
    let Some((open, close, inside)) = groups.find(|(_, _, inside)| !inside.contains('^')) else {
        return vec![expression.to_string()];
    };
    let (before, behind) = (&expression[..open], &expression[close + 1..]);
    let all = inside.split('|').map(|one| [before, one, behind].concat());
    all.flat_map(|one| variants(&one)).collect()
}

/// The filters of a file, as regular expressions: `test(/…/)`, `test(…)`, and the words between
/// `--` and the end of a command.
fn filters(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in page.lines() {
        for behind in line.split("test(").skip(1) {
            let (filter, end) = match behind.strip_prefix('/') {
                Some(filter) => (filter, "/)"),
                None => (behind, ")"),
            };
            let filter = filter.split(end).next().expect("a filter");
            found.extend(variants(filter));
        }
        let runs_tests = line.contains("cargo test") || line.contains("long");
        if let (true, Some((_, words))) = (runs_tests, line.split_once(" -- ")) {
            let words = words.split(";;").next().expect("a command").split(' ');
            let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
            found.extend(words.filter(is_name).map(String::from));
        }
    }
    found
}

/// The words behind `cargo test` in a document that select tests, and not a package or a program.
fn commands(page: &str) -> Vec<String> {
    let commands = page.split("cargo test ").skip(1);
    let commands = commands.filter_map(|behind| behind.split(['`', '\n', '#']).next());
    let words = commands.filter_map(|command| {
        let mut words = command.split_whitespace();
        let mut last = None;
        while let Some(word) = words.next() {
            match word {
                "-p" | "--package" | "--test" | "--features" => last = words.next().and(None),
                flag if flag.starts_with('-') => last = None,
                word => last = Some(word.to_string()),
            }
        }
        last
    });
    words.collect()
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
    let all: Vec<String> = everything().iter().flat_map(paths).collect();
    assert!(all.len() > 800, "{} tests only", all.len());
    let selects = |filter: &str| {
        let expression = Regex::new(filter).expect("a regular expression");
        all.iter().any(|path| expression.is_match(path))
    };

    let mut wanted = Vec::new();
    for file in [".config/nextest.toml", "ci/full", "ci/test"] {
        let found = filters(&text_of(file));
        assert!(!found.is_empty(), "{file}");
        wanted.extend(found.into_iter().map(|filter| (file.to_string(), filter)));
    }
    let skips = "ci/wine/skips";
    let text = text_of(skips);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = lines.filter_map(|line| line.split(' ').nth(1));
    wanted.extend(words.map(|word| (skips.to_string(), word.to_string())));
    for page in pages() {
        let found = commands(&text_of(&page));
        wanted.extend(found.into_iter().map(|word| (page.clone(), word)));
    }

    assert!(wanted.len() > 60, "{} filters only", wanted.len());
    wanted.retain(|(_, filter)| !selects(filter));
    none(
        wanted
            .iter()
            .map(|(file, filter)| format!("{file}: {filter} selects no test"))
            .collect(),
    );
}

#[test]
fn filters_of_all_forms_are_found() {
    let page = "a) long -E 'test(/::(one_two|three_)$/) + test(/(^|::)x::/)' ;;\n\
                b) cargo test -- --ignored four five::six ;;\nc) not test(seven)";
    let found = filters(page);
    assert_eq!(
        found,
        [
            "::one_two$",
            "::three_$",
            "(^|::)x::",
            "four",
            "five::six",
            "seven"
        ]
    );
    let page = "`cargo test -p shmkit-contract one` and `cargo test --lib lane::` and `cargo test`\n\
                cargo test --test tidy two  # comment\n`cargo test --test linux`";
    assert_eq!(commands(page), ["one", "lane::", "two"]);

    let source =
        |path: &str, text: &str| Source::new(path, &text.replace("#test", concat!("#[te", "st]")));
    let inline = source(
        "src/a/b.rs",
        "mod x;\n\nmod tests {\n    #test\n    fn it() {}\n}",
    );
    assert_eq!(paths(&inline), ["a::b::tests::it"]);
    let root = source("tests/linux/main.rs", "mod x;\n#test\nfn it() {}");
    assert_eq!(paths(&root), ["it"]);
}
