//! Finds names that look as if they belong together.

use crate::names::object::base_of;
use shmkit::Name;
use shmkit::inspect::Listed;

/// The characters that separate the words of a name.
const BETWEEN: [char; 4] = ['.', '_', '-', '~'];

/// Returns the listed objects that belong to `name`, without the object `name` itself.
pub fn of(name: &Name, listed: Vec<Listed>) -> Vec<Listed> {
    let is_itself = |other: &Listed| {
        Name::new(&other.name).is_ok_and(|n| n.base() == name.base() && n.scope() == name.scope())
    };
    let base = name.base();
    listed
        .into_iter()
        .filter(|other| !is_itself(other) && related(base, base_of(&other.name)))
        .collect()
}

/// Returns the name of the queue, topic, values or calls to which an object with this name belongs;
/// `None` if the name does not look like one of their sections, events or mutexes.
pub fn whole_of(name: &str) -> Option<&str> {
    let (whole, part) = name.rsplit_once('~')?;
    let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    let is_part = match part.split_once('-') {
        Some(("control" | "roster" | "lanes" | "alive", generation)) => is_hex(generation),
        Some(("wake" | "live", words)) => {
            words.split('-').count() == 3 && words.split('-').all(is_hex)
        }
        _ => false,
    };
    (is_part && !base_of(whole).is_empty()).then_some(whole)
}

fn related(a: &str, b: &str) -> bool {
    // A POSIX object's name begins with a slash.
    let (a, b) = (a.trim_start_matches('/'), b.trim_start_matches('/'));
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return false;
    }
    let stems = stem(a).zip(stem(b));
    long.starts_with(short)
        || long.strip_suffix(short).is_some_and(is_front)
        || stems.is_some_and(|(a, b)| a == b)
}

/// Returns whether this is a word with a separator behind it.
fn is_front(text: &str) -> bool {
    text.strip_suffix(BETWEEN).is_some_and(is_word)
}

/// Returns the part in front of the last word and its separator.
fn stem(base: &str) -> Option<&str> {
    let (stem, word) = base.rsplit_once(BETWEEN)?;
    (!stem.is_empty() && is_word(word)).then_some(stem)
}

fn is_word(text: &str) -> bool {
    text.starts_with(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companion_name_yields_segment_name() {
        for part in [
            "control-00000001",
            "lanes-0000000f",
            "wake-3ff-1a2b-9c",
            "live-3ff-1a2b-9c",
        ] {
            let name = format!("Local\\a~b~{part}");
            assert_eq!(whole_of(&name), Some("Local\\a~b"), "{part}");
        }
        for name in [
            "Local\\~roster-00000001",
            "a~roster",
            "a~lanes-",
            "a~wake-1-2",
            "a",
            "a~b",
        ] {
            assert_eq!(whole_of(name), None, "{name}");
        }
    }

    #[test]
    fn names_with_common_stem_are_related() {
        for (a, b) in [
            ("Foo", "FooMutex"),
            ("Foo", "Foo_Event"),
            ("Foo", "Access_Foo"),
            ("Foo.event", "Foo.mutex"),
            ("a-b~Event", "a-b~Mutex"),
            ("Foo", "Foo"),
            ("/foo", "foo.lock"),
        ] {
            assert!(related(a, b) && related(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("Foo", "foo_Event"),
            ("Foo", "MyFoo"),
            ("Foo", "Bar_"),
            ("Foo-1", "Foo-2"),
            ("FooEvent", "FooMutex"),
            ("/", "Foo"),
            ("_a", "_b"),
        ] {
            assert!(!related(a, b) && !related(b, a), "{a} {b}");
        }
    }
}
