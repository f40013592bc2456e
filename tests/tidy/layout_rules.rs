//! Finds the code and the tests that keep each rule of `docs/layout.md`.
//!
//! A comment line of [`MARK`] and numbers says that the item below it keeps these rules: code in
//! the library, a test everywhere else. The file `tests/layout-exceptions.txt` lists the rules that
//! have no code or no test, with reasons. The report is `layout-rules.md` in the folder of the
//! build.

use super::source::{Source, none, sources, text_of};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

const DOCUMENT: &str = "docs/layout.md";
const EXCEPTIONS: &str = "tests/layout-exceptions.txt";
const MARK: &str = "// layout:";

/// The number of words of a rule that the report shows.
const WORDS: usize = 10;

/// What keeps a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Code,
    Test,
}

impl By {
    const BOTH: [By; 2] = [By::Code, By::Test];

    fn name(self) -> &'static str {
        match self {
            By::Code => "code",
            By::Test => "test",
        }
    }
}

/// An annotation.
#[derive(Debug)]
struct Place {
    path: String,
    line: usize,
    /// The function or item.
    name: String,
    by: By,
    rules: Vec<String>,
}

/// What the document, the annotations and the list of exceptions say.
#[derive(Debug, Default)]
struct Findings {
    /// The first words of each rule.
    rules: BTreeMap<String, String>,
    places: Vec<Place>,
    exceptions: BTreeMap<(String, By), String>,
    broken: Vec<String>,
}

/// Splits the number from the beginning of a text: `[L061] A record …`.
fn number(text: &str) -> Option<(&str, &str)> {
    let (number, rest) = text.strip_prefix('[')?.split_once(']')?;
    is_number(number).then_some((number, rest))
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('L').unwrap_or_default();
    digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Findings {
    fn of(page: &str, sources: &[Source], exceptions: &str) -> Findings {
        let mut found = Findings::default();
        found.read_rules(page);
        let modules: Vec<String> = sources.iter().flat_map(test_modules).collect();
        for source in sources {
            let is_test = !source.path.starts_with("src/")
                || modules.iter().any(|module| is_in(&source.path, module));
            found.read_places(source, is_test);
        }
        found.read_exceptions(exceptions);
        found.compare();
        found
    }

    /// Reads the rules. A rule begins with a number at the beginning of a paragraph or of a list
    /// item.
    fn read_rules(&mut self, page: &str) {
        let lines: Vec<&str> = page.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let begins = n == 0 || lines[n - 1].is_empty();
            let text = match line.strip_prefix("- ") {
                Some(item) => item,
                None if begins => line,
                None => continue,
            };
            let Some((number, rest)) = number(text) else {
                continue;
            };
            let ends = |line: &&&str| line.is_empty() || line.starts_with("- ");
            let below = lines[n + 1..].iter().take_while(|line| !ends(line));
            let all = std::iter::once(&rest).chain(below);
            let words = all.flat_map(|line| line.split_whitespace());
            let words: Vec<&str> = words.take(WORDS).collect();
            let before = self.rules.insert(number.to_string(), words.join(" "));
            if before.is_some() {
                let said = format!("{DOCUMENT}:{}: {number} is used twice", n + 1);
                self.broken.push(said);
            }
        }
        let named = page.split('[').skip(1).filter_map(|text| text.get(..4));
        for number in named.filter(|word| is_number(word)) {
            if !self.rules.contains_key(number) {
                let said = format!("{DOCUMENT}: {number} is named and stands nowhere");
                self.broken.push(said);
            }
        }
    }

    fn read_places(&mut self, source: &Source, is_test: bool) {
        let lines: Vec<&str> = source.text.lines().collect();
        let tests_from = lines.windows(2).position(begins_tests);
        for (n, line) in lines.iter().enumerate() {
            let at = format!("{}:{}", source.path, n + 1);
            let Some(numbers) = line.trim_start().strip_prefix(MARK) else {
                if is_nearly_a_mark(line) {
                    self.broken.push(format!("{at}: not as in `{MARK} L123`"));
                }
                continue;
            };
            let rules: Vec<String> = numbers.split_whitespace().map(str::to_string).collect();
            if rules.is_empty() {
                self.broken.push(format!("{at}: no number"));
            }
            for rule in rules.iter().filter(|rule| !self.rules.contains_key(*rule)) {
                let said = format!("{at}: {rule} is no rule of {DOCUMENT}");
                self.broken.push(said);
            }
            let in_tests = is_test || tests_from.is_some_and(|from| n > from);
            self.places.push(Place {
                path: source.path.clone(),
                line: n + 1,
                name: named(&lines, n),
                by: [By::Code, By::Test][usize::from(in_tests)],
                rules,
            });
        }
    }

    /// Reads lines such as `L123 code: the reason`.
    fn read_exceptions(&mut self, text: &str) {
        let lines = text.lines().enumerate();
        for (n, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let at = format!("{EXCEPTIONS}:{}", n + 1);
            let (head, reason) = line.split_once(": ").unwrap_or((line, ""));
            let (rule, by) = head.split_once(' ').unwrap_or((head, ""));
            let by = By::BOTH.into_iter().find(|one| one.name() == by);
            let (Some(by), false) = (by, reason.trim().is_empty()) else {
                let said = format!("{at}: not as in `L123 code: the reason`: {line}");
                self.broken.push(said);
                continue;
            };
            if !self.rules.contains_key(rule) {
                let said = format!("{at}: {rule} is no rule of {DOCUMENT}");
                self.broken.push(said);
            }
            let key = (rule.to_string(), by);
            if self.exceptions.insert(key, reason.to_string()).is_some() {
                let said = format!("{at}: {rule} {} is listed twice", by.name());
                self.broken.push(said);
            }
        }
    }

    fn compare(&mut self) {
        for rule in self.rules.keys() {
            for by in By::BOTH {
                let excepted = self.exceptions.contains_key(&(rule.clone(), by));
                let kept = self.of_rule(rule, by).next().is_some();
                let said = match (kept, excepted) {
                    (false, false) => format!("{rule} has no {}", by.name()),
                    (true, true) => format!("{rule} has {}: needs no exception", by.name()),
                    _ => continue,
                };
                self.broken.push(said);
            }
        }
    }

    fn of_rule<'a>(&'a self, rule: &'a str, by: By) -> impl Iterator<Item = &'a Place> {
        let all = self.places.iter().filter(move |place| place.by == by);
        all.filter(move |place| place.rules.iter().any(|one| one == rule))
    }

    fn count(&self, by: By) -> usize {
        self.places.iter().filter(|place| place.by == by).count()
    }

    fn report(&self) -> String {
        let mut page = format!(
            "# What keeps the rules of {DOCUMENT}\n\n{}\n\n",
            self.summary()
        );
        page.push_str("| rule | begins | code | test |\n|---|---|---|---|\n");
        for (rule, words) in &self.rules {
            let [code, test] = By::BOTH.map(|by| {
                let kept: Vec<String> = self.of_rule(rule, by).map(Place::shown).collect();
                match self.exceptions.get(&(rule.clone(), by)) {
                    Some(reason) => format!("none: {reason}"),
                    None => kept.join("<br>"),
                }
            });
            let words = words.replace('|', "\\|");
            writeln!(page, "| {rule} | {words} … | {code} | {test} |").unwrap();
        }
        page
    }

    fn summary(&self) -> String {
        format!(
            "{} rules, kept by {} places of code and {} of tests, with {} exceptions.",
            self.rules.len(),
            self.count(By::Code),
            self.count(By::Test),
            self.exceptions.len()
        )
    }
}

impl Place {
    fn shown(&self) -> String {
        format!("`{}` ({}:{})", self.name, self.path, self.line)
    }
}

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim_start();
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    line.starts_with("#[cfg(") && words.into_iter().any(|word| word == "test")
}

/// Returns whether the two lines are `#[cfg(test)]` and the beginning of a module.
fn begins_tests(pair: &[&str]) -> bool {
    is_test_attribute(pair[0]) && pair[1].starts_with("mod ") && pair[1].ends_with('{')
}

/// Returns the files of the modules that are compiled for tests only, without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs");
    let folder = match path.rsplit_once('/') {
        Some((folder, "mod" | "lib")) => folder,
        _ => path,
    };
    let lines: Vec<&str> = source.text.lines().collect();
    let modules = lines.windows(2).filter(|pair| is_test_attribute(pair[0]));
    let declared = modules.map(|pair| pair[1].trim_start_matches("pub(crate) "));
    let names = declared.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// Returns whether a line has a comment that was meant to be an annotation.
fn is_nearly_a_mark(line: &str) -> bool {
    let comments = line.split("//").skip(1);
    let mut said = comments.map(|comment| comment.trim_start_matches(['/', '!', ' ']));
    said.any(|comment| {
        let numbers = comment.strip_prefix("layout").unwrap_or_default();
        let first = numbers.trim_start_matches([':', ' ']).get(..4);
        first.is_some_and(is_number)
    })
}

fn is_in(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module).unwrap_or_default();
    rest == ".rs" || rest.starts_with('/')
}

/// Returns the name of the item that begins in this line; for an implementation, the whole line.
fn item(line: &str) -> Option<&str> {
    const KINDS: [&str; 9] = [
        "fn", "struct", "enum", "const", "static", "mod", "trait", "type", "impl",
    ];
    let line = line.trim_start();
    let line = line.strip_prefix("pub").map_or(line, |rest| {
        let rest = rest.strip_prefix('(').map_or(rest, |scope| {
            scope.split_once(')').map_or(scope, |(_, rest)| rest)
        });
        rest.trim_start()
    });
    let line = line.trim_start_matches("unsafe ");
    let line = line.strip_prefix("const fn").map_or(line, |_| &line[6..]);
    let (kind, rest) = line.split_once([' ', '<'])?;
    if kind == "impl" {
        return line.strip_suffix(" {");
    }
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_');
    let name = name.into_iter().find(|word| !word.is_empty());
    KINDS.contains(&kind).then_some(name?)
}

/// Returns the name of the item below an annotation, or else of the item that contains it.
fn named(lines: &[&str], at: usize) -> String {
    let is_beside = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    };
    let below = lines[at + 1..].iter().find(|line| !is_beside(line));
    if let Some(name) = below.and_then(|line| item(line)) {
        return name.to_string();
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outside = |line: &&&str| !line.trim().is_empty() && indent(line) < indent(lines[at]);
    let around = lines[..at].iter().rev().filter(outside);
    let name = around.into_iter().find_map(|line| item(line));
    name.unwrap_or("?").to_string()
}

fn findings() -> Findings {
    let sources = sources(&["src", "tests", "cli/tests"]);
    Findings::of(&text_of(DOCUMENT), &sources, &text_of(EXCEPTIONS))
}

/// Returns the path of the report, in the folder of the build.
fn report_path() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.with_file_name("layout-rules.md")
}

#[test]
fn each_layout_rule_has_code_and_test() {
    let found = findings();
    let path = report_path();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, found.report()).unwrap();
    println!("{} See {}", found.summary(), path.display());
    none(found.broken);
}

/// Two rules, the first of which refers to the other.
const PAGE: &str =
    "[L001] A record begins\nat 8, see\n[L002].\n\n- [L002] It ends. [L001] holds.\n";

fn planted(files: &[(&str, &str)], exceptions: &str) -> Findings {
    let source = |(path, text): &(&str, &str)| Source {
        path: path.to_string(),
        text: text.replace("layout=", MARK),
    };
    let sources: Vec<Source> = files.iter().map(source).collect();
    Findings::of(PAGE, &sources, exceptions)
}

const CODE: (&str, &str) = (
    "src/a.rs",
    "layout= L001 L002\n#[inline]\npub(crate) fn a() {\n",
);
const TESTS: (&str, &str) = (
    "tests/a.rs",
    "layout= L001\nlayout= L002\n#[test]\nfn b() {\n",
);

#[test]
fn covered_layout_rules_are_reported() {
    let found = planted(&[CODE, TESTS], "");
    assert_eq!(found.broken, [""; 0]);
    assert_eq!(found.rules["L001"], "A record begins at 8, see [L002].");
    assert!(
        found
            .report()
            .contains("| `a` (src/a.rs:1) | `b` (tests/a.rs:1) |")
    );
    assert!(
        found
            .summary()
            .starts_with("2 rules, kept by 1 places of code and 2 of tests")
    );
}

#[test]
fn planted_annotation_faults_are_found() {
    let said = |files: &[(&str, &str)], exceptions: &str| planted(files, exceptions).broken;
    let unknown = ("src/c.rs", "fn c() {\n    layout= L003\n    c();\n}\n");
    let is = ["src/c.rs:2: L003 is no rule of docs/layout.md"];
    assert_eq!(said(&[CODE, TESTS, unknown], ""), is);
    let empty = ("src/c.rs", "layout=\nfn c() {}\n");
    assert_eq!(said(&[CODE, TESTS, empty], ""), ["src/c.rs:1: no number"]);
    for comment in [
        "c(); // PAGE: L001",
        "//PAGE: L001",
        "/// PAGE: L001",
        "// PAGE L001",
    ] {
        let line = comment.replace("PAGE", "layout");
        let found = said(&[CODE, TESTS, ("src/c.rs", &line)], "");
        let is = format!("src/c.rs:1: not as in `{MARK} L123`");
        assert_eq!(found, [is], "{line}");
    }
    assert_eq!(said(&[CODE], ""), ["L001 has no test", "L002 has no test"]);
    assert_eq!(said(&[TESTS], ""), ["L001 has no code", "L002 has no code"]);
    let twice = Findings::of(
        "- [L001] a\n- [L001] b [L009]\n",
        &[],
        "L001 code: x\nL001 test: y",
    );
    let is = [
        "docs/layout.md:2: L001 is used twice",
        "docs/layout.md: L009 is named and stands nowhere",
    ];
    assert_eq!(twice.broken, is);
}

#[test]
fn planted_exception_faults_are_found() {
    let said = |exceptions: &str| planted(&[CODE, TESTS], exceptions).broken;
    assert_eq!(said("# none\n\n"), [""; 0]);
    assert_eq!(
        said("L001 code: a\n"),
        ["L001 has code: needs no exception"]
    );
    assert_eq!(
        said("L002 test: a\n"),
        ["L002 has test: needs no exception"]
    );
    let unknown = "tests/layout-exceptions.txt:1: L003 is no rule of docs/layout.md";
    assert_eq!(said("L003 test: a"), [unknown]);
    for wrong in [
        "L001",
        "L001 code",
        "L001 code: ",
        "L001 codes: a",
        "L001: a",
    ] {
        let is =
            format!("tests/layout-exceptions.txt:1: not as in `L123 code: the reason`: {wrong}");
        assert_eq!(said(wrong), [is]);
    }
    let missing = planted(&[TESTS], "L001 code: a\nL001 code: b\nL002 code: c\n");
    let twice = ["tests/layout-exceptions.txt:2: L001 code is listed twice"];
    assert_eq!(missing.broken, twice);
}

#[test]
fn test_annotations_are_distinguished_from_code() {
    let by = |files: &[(&str, &str)]| {
        let found = planted(files, "");
        let last = found.places.last().unwrap();
        (last.by, last.name.clone())
    };
    let is = |by: By, name: &str| (by, name.to_string());
    assert_eq!(by(&[CODE]), is(By::Code, "a"));
    assert_eq!(by(&[TESTS]), is(By::Test, "b"));
    let text =
        "impl X {\n    fn d(&self) {\n        let x = 1;\n        layout= L001\n        x();\n";
    assert_eq!(by(&[("src/d.rs", text)]), is(By::Code, "d"));
    let text = "layout= L001\nimpl<A> X<A> for Y {\n";
    assert_eq!(
        by(&[("src/d.rs", text)]),
        is(By::Code, "impl<A> X<A> for Y")
    );
    let unit =
        "fn e() {}\n#[cfg(test)]\nmod tests {\n    layout= L001\n    #[test]\n    fn f() {\n";
    assert_eq!(by(&[("src/e.rs", unit)]), is(By::Test, "f"));
    let parent = "#[cfg(all(test, not(miri)))]\nmod model;\nmod other;\n";
    let text = "layout= L001\nconst fn g() {\n";
    for (path, kept) in [
        ("src/lane/model.rs", By::Test),
        ("src/lane/model/deep.rs", By::Test),
        ("src/lane/models.rs", By::Code),
        ("src/lane/other.rs", By::Code),
    ] {
        let files = [("src/lane/mod.rs", parent), (path, text)];
        assert_eq!(by(&files), is(kept, "g"), "{path}");
    }
}
