//! Removes from a report the names of users, machines and domains, the home folders, and the parts
//! of SIDs that identify a person.

use shmkit::inspect::Finding;
use std::path::Path;

const USER: &str = "<user>";
const MACHINE: &str = "<machine>";
const HOME: &str = "<home>";
const ACCOUNT: &str = "<account>";

/// The words to replace, and their replacements.
#[derive(Debug, Default)]
pub struct Mask {
    /// The words in order of their length, longest first: a home folder contains the name of its
    /// user.
    words: Vec<(String, &'static str)>,
}

impl Mask {
    /// Creates a mask for this user and this machine, from the environment and from the finding
    /// about the account.
    pub fn of(findings: &[Finding]) -> Mask {
        let variable = |name: &&str| std::env::var(name).ok();
        let users = ["USER", "LOGNAME", "USERNAME"];
        let mut users: Vec<_> = users.iter().filter_map(variable).collect();

        let machines = [
            "HOSTNAME",
            "COMPUTERNAME",
            "USERDOMAIN",
            "USERDNSDOMAIN",
            "USERDOMAIN_ROAMINGPROFILE",
        ];
        let mut machines: Vec<_> = machines.iter().filter_map(variable).collect();
        machines.extend(std::fs::read_to_string("/proc/sys/kernel/hostname").ok());

        let accounts = findings.iter().filter(|one| one.topic == "account");
        for account in accounts.filter_map(|one| one.says.split_once(" (")) {
            match account.0.split_once('\\') {
                Some((domain, user)) => {
                    machines.push(domain.to_string());
                    users.push(user.to_string());
                }
                None => users.push(account.0.to_string()),
            }
        }

        let homes = ["HOME", "USERPROFILE"];
        let homes: Vec<_> = homes.iter().filter_map(variable).collect();
        Mask::new(users, machines, homes)
    }

    fn new(users: Vec<String>, machines: Vec<String>, homes: Vec<String>) -> Mask {
        let mut mask = Mask::default();
        let first_labels = machines.iter().filter_map(|name| name.split_once('.'));
        let first_labels: Vec<_> = first_labels.map(|(label, _)| label.to_string()).collect();
        // A root folder as home folder would mask every path.
        let homes = homes.into_iter();
        let homes = homes.filter(|home| Path::new(home).parent().is_some());
        let homes = homes.map(|home| home.trim_end_matches(['/', '\\']).to_string());
        mask.add(homes, HOME);
        mask.add(users, USER);
        mask.add(machines, MACHINE);
        mask.add(first_labels, MACHINE);
        mask.words.sort_by_key(|(word, _)| usize::MAX - word.len());
        mask
    }

    fn add(&mut self, words: impl IntoIterator<Item = String>, by: &'static str) {
        let words = words.into_iter().map(|word| word.trim().to_string());
        let words = words.filter(|word| !word.is_empty());
        self.words.extend(words.map(|word| (word, by)));
    }

    /// Returns the text with all private parts replaced.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (word, by) in &self.words {
            text = without_word(&text, word, by);
        }
        text = without_homes(&text);
        for mark in [" (S-1-5-21-", " (S-1-12-1-", " (uid "] {
            text = without_account(&text, mark);
        }
        without_sids(&text)
    }
}

/// Returns whether a word begins or ends next to this character.
fn ends_word(c: Option<char>) -> bool {
    c.is_none_or(|c| !c.is_alphanumeric() && c != '_')
}

/// Returns whether a text begins with a word. On Windows, capitals do not count.
fn begins_with(text: &str, word: &str) -> bool {
    let head = text.get(..word.len());
    head.is_some_and(|head| head == word || cfg!(windows) && head.eq_ignore_ascii_case(word))
}

fn without_word(text: &str, word: &str, by: &str) -> String {
    let (mut masked, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let whole = begins_with(rest, word)
            && ends_word(masked.chars().next_back())
            && ends_word(rest[word.len()..].chars().next());
        // A word behind `<` is part of a replacement.
        if whole && !masked.ends_with('<') {
            masked.push_str(by);
            rest = &rest[word.len()..];
        } else {
            masked.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    masked
}

/// Replaces the names of the home folders of all users.
fn without_homes(text: &str) -> String {
    let mut masked = text.to_string();
    for folder in ["/home/", "\\Users\\", "/Users/"] {
        let mut parts = masked.split(folder);
        let mut next = parts.next().unwrap_or_default().to_string();
        for part in parts {
            // The name of a folder inside a path may contain blanks.
            let end = part.find(['/', '\\', '"', '\'', '(', ')', ':', ',', ';']);
            let is_inside = end.is_some_and(|end| part[end..].starts_with(['/', '\\']));
            let end = match (is_inside, part.find(char::is_whitespace)) {
                (false, Some(blank)) => end.map_or(blank, |end| end.min(blank)),
                _ => end.unwrap_or(part.len()),
            };
            next.push_str(folder);
            next.push_str(if end > 0 { USER } else { "" });
            next.push_str(&part[end..]);
        }

        masked = next;
    }
    masked
}

/// Replaces the name in front of the SID or user id of a person, as in `DOMAIN\name (S-1-5-21-…)`.
fn without_account(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut masked = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let place = name_before_end(&masked);
        if !masked[place..].ends_with(USER) && place < masked.len() {
            masked.truncate(place);
            masked.push_str(ACCOUNT);
        }
        masked.push_str(mark);
        masked.push_str(part);
    }
    masked
}

/// Returns the offset of the name at the end of the text. The name begins behind the blank in front
/// of its domain, since a domain has no blanks. Without a domain, the name begins behind the last
/// blank.
fn name_before_end(text: &str) -> usize {
    // The name begins behind these characters, which end what the text says about another account.
    let from = text.rfind([')', ':', ',', ';']).map_or(0, |at| at + 1);
    let before = text[from..].rfind('\\').map_or(text.len(), |at| from + at);
    let blank = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(');
    text[from..before].rfind(blank).map_or(from, |at| {
        let c = text[from + at..].chars().next();
        from + at + c.map_or(0, char::len_utf8)
    })
}

/// Masks the SIDs of machines and domains. Other SIDs stay unchanged.
fn without_sids(text: &str) -> String {
    let (mut masked, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("S-1-") {
        let (before, sid) = rest.split_at(at);
        masked.push_str(before);
        let end = sid[4..]
            .find(|c: char| !c.is_ascii_digit() && c != '-')
            .map_or(sid.len(), |end| end + 4);
        let (sid, behind) = sid.split_at(end);
        masked.push_str(&masked_sid(sid));
        rest = behind;
    }
    masked + rest
}

fn masked_sid(sid: &str) -> String {
    let numbers: Vec<&str> = sid.split('-').skip(2).collect();
    // A SID that is already masked stays unchanged.
    match numbers[..] {
        ["5", "21", ""] | ["12", _, ""] => sid.to_string(),
        ["5", "21", _, _, _, .., last] => format!("S-1-5-21-*-{last}"),
        ["5", "21", _, ..] => "S-1-5-21-*".to_string(),
        ["12", kind, _, ..] => format!("S-1-12-{kind}-*"),
        _ => sid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> Mask {
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
        Mask::new(
            words(&["joe", "", "joe doe"]),
            words(&["DESKTOP-X1", "host.example.org\n"]),
            words(&["/home/joe", "/", "C:\\Users\\joe doe"]),
        )
    }

    #[track_caller]
    fn masks(text: &str, wanted: &str) {
        let masked = mask().apply(text);
        assert_eq!(masked, wanted);
        assert_eq!(mask().apply(&masked), wanted, "masked twice");
    }

    #[test]
    fn mask_hides_sids_except_well_known_ones() {
        masks("S-1-5-21-11-22-33-1001", "S-1-5-21-*-1001");
        masks(
            "O:S-1-5-21-1-2-3-500D:(A;;GA;;;S-1-1-0)",
            "O:S-1-5-21-*-500D:(A;;GA;;;S-1-1-0)",
        );
        masks("S-1-5-21-11-22-33", "S-1-5-21-*");
        masks("S-1-12-1-111-222-333-444.", "S-1-12-1-*.");
        for known in ["S-1-5-18", "S-1-5-32-544", "S-1-1-0", "S-1-16-8192", "S-1-"] {
            masks(known, known);
        }
    }

    #[test]
    fn mask_replaces_current_user_and_machine() {
        masks("joe (uid 1000)", "<user> (uid 1000)");
        masks(
            "joe, and joey; xjoe joe_2 joe-pc",
            "<user>, and joey; xjoe joe_2 <user>-pc",
        );
        masks("on DESKTOP-X1: joe", "on <machine>: <user>");
        masks("host.example.org or host", "<machine> or <machine>");
        masks(
            "DESKTOP-X1\\joe doe (S-1-5-21-1-2-3-1001), elevated",
            "<machine>\\<user> (S-1-5-21-*-1001), elevated",
        );
    }

    #[test]
    fn mask_replaces_user_in_home_paths() {
        masks(
            "/home/joe/x /home/ann/y /home/ann",
            "<home>/x /home/<user>/y /home/<user>",
        );
        masks("(/home/ann) is", "(/home/<user>) is");
        masks("C:\\Users\\joe doe\\a.exe", "<home>\\a.exe");
        masks(
            "D:\\Users\\Ann Lee\\a.exe is",
            "D:\\Users\\<user>\\a.exe is",
        );
        masks("/dev/shm/x, /home/", "/dev/shm/x, /home/");
    }

    #[test]
    fn mask_replaces_other_account_names() {
        masks(
            "it belongs to ann (uid 1001), not",
            "it belongs to <account> (uid 1001), not",
        );
        masks(
            "it belongs to CORP\\Ann Lee (S-1-5-21-4-5-6-1002)",
            "it belongs to <account> (S-1-5-21-*-1002)",
        );
        masks("uid 4711 is nobody", "uid 4711 is nobody");
        masks(
            "NT AUTHORITY\\SYSTEM (S-1-5-18)",
            "NT AUTHORITY\\SYSTEM (S-1-5-18)",
        );
    }

    #[cfg(windows)]
    #[test]
    fn mask_ignores_case_on_windows() {
        masks("desktop-x1\\JOE", "<machine>\\<user>");
    }
}
