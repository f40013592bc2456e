//! What the documents say about the code is found in the code: each function and type stands in the
//! file that the document links to, and each path exists.

use super::documents::{finds_planted, links, pages};
use super::source::{Source, everything, none, root, text_of};
use std::path::Path;

/// The folders and files at the root of the repository that documents name.
const AT_THE_ROOT: [&str; 11] = [
    "src/",
    "tests/",
    "cli/",
    "ci/",
    "docs/",
    "bench/",
    "measure/",
    "examples/",
    ".github/",
    ".config/",
    ".ci/",
];

/// A row of a table, an item of a list or a paragraph, with the number of its first line.
struct Block {
    line: usize,
    text: String,
}

fn is_row(text: &str) -> bool {
    text.starts_with('|')
}

/// The blocks of a page. Code is left out.
fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut is_code = false;
    let mut is_open = false;
    for (n, line) in page.lines().enumerate() {
        let text = line.trim();
        is_code ^= text.starts_with("```");
        let begins = is_row(text) || text.starts_with("- ") || text.starts_with('#');
        if is_code || text.is_empty() || text.starts_with("```") {
            is_open = false;
        } else if is_open && !begins {
            let block = found.last_mut().expect("an open block");
            block.text.push(' ');
            block.text.push_str(text);
        } else {
            found.push(Block {
                line: n + 1,
                text: text.to_string(),
            });
            is_open = !is_row(text);
        }
    }
    found
}

/// The pieces of a text between backquotes, each with the text that follows.
fn code(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('`') {
        let Some((piece, behind)) = after.split_once('`') else {
            break;
        };
        found.push((piece, behind));
        rest = behind;
    }
    found
}

/// The files of Rust to which a text links.
fn linked(folder: &Path, text: &str) -> Vec<String> {
    let targets = links(text).into_iter();
    let targets = targets.map(|(_, target)| folder.join(target));
    let targets = targets.filter(|path| path.extension().is_some_and(|is| is == "rs"));
    let targets = targets.filter(|path| root().join(path).exists());
    targets.map(|path| path.display().to_string()).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|behind| !behind.starts_with(is_word))
}

/// Whether a text of Rust has an item of this name.
fn has_item(text: &str, name: &str) -> bool {
    let items = [
        "fn ", "mod ", "const ", "static ", "struct ", "enum ", "trait ", "type ",
    ];
    let is_item = |item: &str| {
        let mut behind = text.split(item).skip(1);
        behind.any(|behind| starts_with_word(behind, name))
    };
    items.into_iter().any(is_item)
}

/// Whether a text of Rust defines a name: an item, a public field, or a variant of an enum.
fn defines(text: &str, name: &str) -> bool {
    let is_variant = |line: &str| starts_with_word(line.trim_start(), name);
    let is_camel = name.starts_with(char::is_uppercase);
    let is_field = text.contains(&format!("pub {name}:"));
    has_item(text, name) || is_field || is_camel && text.lines().any(is_variant)
}

/// The name of an item of Rust, without its arguments; `None` for other code, and for the words of
/// the layout, which are in capitals.
fn item(piece: &str) -> Option<&str> {
    let name = piece.split(['(', '<']).next().expect("a piece");
    let is_name =
        name.chars().all(|c| is_word(c) || c == ':') && name.starts_with(char::is_alphabetic);
    let last = name.rsplit("::").next().expect("a piece");
    (is_name && last.chars().any(|c| c.is_ascii_lowercase())).then_some(name)
}

/// Whether a name is wanted in the files to which its block links. These names are: the qualified
/// names of a row, the names in a cell with a link, and each name before "in" and a link.
fn is_wanted(block: &str, name: &str, behind: &str) -> bool {
    if !is_row(block) {
        return behind.starts_with(" in [");
    }
    let at = block.len() - behind.len();
    let begin = block[..at].rfind('|').map_or(0, |bar| bar + 1);
    let cell = block[begin..].split('|').next().expect("a cell");
    let is_of_a_type = name.contains("::") && name.starts_with(char::is_uppercase);
    is_of_a_type || cell.contains("](")
}

/// What a page says about the code and is not there.
fn wrong_references(path: &str, page: &str, all: &[Source]) -> Vec<String> {
    let folder = Path::new(path).parent().expect("a file");
    let mut wrong = Vec::new();
    for block in blocks(page) {
        let files = linked(folder, &block.text);
        let texts: Vec<String> = files.iter().map(|file| text_of(file)).collect();
        for (piece, behind) in code(&block.text) {
            let first = piece.split(' ').next().expect("a word");
            if AT_THE_ROOT.iter().any(|at| first.starts_with(at)) && !first.contains('*') {
                if !root().join(first).exists() {
                    wrong.push(format!("{path}:{}: no file {first}", block.line));
                }
                continue;
            }
            let Some(name) = item(piece) else { continue };
            let last = name.rsplit("::").next().expect("a name");
            let is_found = match !texts.is_empty() && is_wanted(&block.text, name, behind) {
                true => texts.iter().any(|text| defines(text, last)),
                false if name.contains("::") => is_defined(name, all),
                false => true,
            };
            if !is_found {
                wrong.push(format!("{path}:{}: {name} is not there", block.line));
            }
        }
    }
    wrong
}

/// Whether `A::b` exists: `b` is defined in a block of `A`, such as `impl A` or `enum A`. A type that
/// no file defines is foreign, and a module is not looked up.
fn is_defined(name: &str, all: &[Source]) -> bool {
    let (of, last) = name.rsplit_once("::").expect("a qualified name");
    let of = of.rsplit("::").next().expect("a name");
    let is_type = of.starts_with(char::is_uppercase);
    if !is_type || !all.iter().any(|source| has_item(&source.text, of)) {
        return true;
    }
    all.iter().any(|source| has_member(&source.text, of, last))
}

/// Whether a block that begins with a line with `of`, at the left margin, defines `last`. The members
/// of an alias are not looked up.
fn has_member(text: &str, of: &str, last: &str) -> bool {
    let names = |line: &str| {
        let words = line.split(|c| !is_word(c));
        words.into_iter().any(|word| word == of)
    };
    let mut is_inside = false;
    let mut found = false;
    let mut block = String::new();
    for line in text.lines() {
        let is_head = line.starts_with(|c: char| c.is_ascii_lowercase()) && names(line);
        let alias = line.strip_prefix("pub type ");
        if alias.is_some_and(|alias| starts_with_word(alias, of)) {
            return true;
        }
        // A block on one line, such as `impl Error for A {}`, defines nothing.
        is_inside |= is_head && !line.ends_with([';', '}']);
        if is_inside {
            block.push_str(line);
            block.push('\n');
        }
        if line.starts_with('}') && is_inside {
            is_inside = false;
            found |= defines(&block, last);
            block.clear();
        }
    }
    found
}

#[test]
fn documents_name_existing_code() {
    let all = everything();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in pages() {
        let page = text_of(&path);
        assert_eq!(
            page.matches("\n```").count() % 2,
            0,
            "{path}: code does not end"
        );
        count += blocks(&page)
            .iter()
            .flat_map(|block| code(&block.text))
            .count();
        wrong.extend(wrong_references(&path, &page, &all));
    }
    none(wrong);
    assert!(count > 1000, "{count} pieces of code only");
}

#[test]
fn wrong_references_are_found() {
    let all = everything();
    let wrong = |page: &str| wrong_references("docs/planted.md", page, &all).len();
    let fine = [
        "| `recv` waits | [spin.rs](../src/wait/spin.rs), `receive` |",
        "| `ReadMe` | `Deadline`, `Inbox::receive` and `ROOM` in [spin.rs](../src/wait/spin.rs) |",
        "| `nothing` | `Nothing` | [spin.rs](../src/wait/spin.rs) | `std::process::nothing` |",
        "The reason is `Closed`; see `DisconnectReason` in [channel](../src/error/channel.rs).",
        "`Sender::send` and `Vec::nothing` and `nothing`, in `src/lib.rs` and `ci/test`",
        "```rust\nno::such(`Sender::nothing`)\n```",
    ];
    let planted = [
        "| a | [spin.rs](../src/wait/spin.rs), `nothing` |",
        "| a | `Nothing` in [spin.rs](../src/wait/spin.rs) | b |",
        "| a | [spin.rs](../src/wait/spin.rs), `Inbox::nothing` |",
        "- a `nothing`\n  in [spin.rs](../src/wait/spin.rs)",
        "| `Sending::send` | [spin.rs](../src/wait/spin.rs) |",
        "`Inbox::receive` in [ring.rs](../src/lane/ring.rs)",
        "a\n`Sender::unheard_of`",
        "`src/nothing.rs`",
        "```\n`src/nothing.rs`\n```\n`src/nothing.rs`",
        "`RecvError::Busy`, which another enum has",
        "`ci/nothing models`",
    ];
    finds_planted(wrong, &fine, &planted);
}
