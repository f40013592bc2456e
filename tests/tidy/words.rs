//! Words that this code base does not use.
//!
//! `tests/words.txt` lists the words, each with what to write instead. A word counts in every
//! place: in a comment, a text, a document, and as a part of an identifier (`seat_of`, `SeatOf`,
//! `SEATS`).

use super::source::{files, none, text_of};

const LIST: &str = "tests/words.txt";

/// A row of the list.
struct Banned {
    /// One word, or several that follow each other.
    words: Vec<String>,
    instead: String,
}

fn read_list(text: &str) -> Vec<Banned> {
    let rows = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &str| {
        let (words, instead) = line
            .split_once(": ")
            .expect("`word: what to write instead`");
        Banned {
            words: words.split(' ').map(str::to_string).collect(),
            instead: instead.to_string(),
        }
    };
    rows.map(row).collect()
}

/// Returns the words of a line in lower case. An identifier is split into its words.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut last = ' ';
    let mut is_file = false;
    let chars: Vec<char> = line.chars().collect();
    for (n, &c) in chars.iter().enumerate() {
        let next_is_small = chars.get(n + 1).is_some_and(|c| c.is_lowercase());
        let begins_hump =
            c.is_uppercase() && (last.is_lowercase() || last.is_uppercase() && next_is_small);
        if !c.is_alphabetic() || begins_hump {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            // The name of a file does not count: `/run/systemd/seats`.
            is_file = c == '/' && last.is_alphabetic();
        }
        if c.is_alphabetic() && !is_file {
            word.extend(c.to_lowercase());
        }
        last = c;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Returns whether `words` contains the banned words in their order, also in the plural.
fn stands(banned: &[String], words: &[String]) -> bool {
    let is = |word: &String, banned: &String| {
        word == banned || word.strip_suffix('s').is_some_and(|word| word == banned)
    };
    words.windows(banned.len()).any(|some| {
        some.iter()
            .zip(banned)
            .all(|(word, banned)| is(word, banned))
    })
}

fn faults(path: &str, text: &str, list: &[Banned]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last: Vec<String> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = words(line);
        for banned in list {
            // Banned words may begin at the end of the line before.
            let kept = last.len().saturating_sub(banned.words.len() - 1);
            let with_last: Vec<String> = last[kept..].iter().chain(&line).cloned().collect();
            if stands(&banned.words, &with_last) {
                let (is, instead) = (banned.words.join(" "), &banned.instead);
                faults.push(format!("{path}:{}: not \"{is}\" but {instead}", n + 1));
            }
        }
        last = line;
    }
    faults
}

#[test]
fn banned_words_appear_nowhere() {
    let list = read_list(&text_of(LIST));
    let mut paths = vec!["README.md".to_string(), "CONTRIBUTING.md".to_string()];
    paths.retain(|path| super::source::root().join(path).exists());
    for folder in [
        "src",
        "cli",
        "measure",
        "examples",
        "tests",
        "docs",
        "bench/src",
    ] {
        for extension in ["rs", "md", "toml", "cpp", "c"] {
            paths.extend(files(folder, extension));
        }
    }
    assert!(paths.len() > 150, "{} files", paths.len());
    // This file contains banned words as examples.
    paths.retain(|path| path != "tests/tidy/words.rs");
    none(
        paths
            .iter()
            .flat_map(|path| faults(path, &text_of(path), &list))
            .collect(),
    );
}

#[test]
fn planted_banned_word_is_found_everywhere() {
    let list = read_list("# A comment.\nseat: slot\nthe house: the project\n");
    for text in [
        "// A seat.",
        "/// Two\n/// seats.",
        "f(); // seat",
        "/* Seat */",
        "//! The seat's owner",
        "let seat = 1;",
        "fn take_seat() {}",
        "struct SeatOf;",
        "struct MySeats;",
        "const MAX_SEATS: u8 = 1;",
        "let x = \"no seat\";",
        "#[doc = \"seat\"] mod x;",
        "macro_rules! seat { () => {} }",
        "#[cfg(test)] mod tests { fn seat_is_taken() {} }",
        "| a | `seat` |",
        "The laws of the house.",
        "// laws of the\n// house",
        "seat2.take()",
        "HTTPSeat",
    ] {
        assert_eq!(faults("a.rs", text, &list).len(), 1, "{text}");
    }
    for text in [
        "// He seated it.",
        "let seating = 1;",
        "the\n\nhouse",
        "/run/x/seats",
        "the big house",
    ] {
        assert_eq!(faults("a.rs", text, &list), [""; 0], "{text}");
    }
}
