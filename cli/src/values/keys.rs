//! Finds the values of a table that a key of the command line stands for.

use crate::inspect::list;
use crate::output;

/// The number of keys that the error about an unknown key names.
const NAMED: usize = 5;

/// The values of a table that are wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    One(usize),
    /// The values that match a pattern, with one flag for each value of the table.
    Some(Vec<bool>),
}

impl Wanted {
    /// Returns the values that `key` stands for: the value with this name, or, if there is no such
    /// value, the values whose names match the pattern `key`. The error names the nearest keys.
    pub fn of(key: Option<&str>, names: &[String]) -> Result<Wanted, String> {
        let Some(key) = key else {
            return Ok(Wanted::All);
        };
        if let Some(index) = names.iter().position(|name| name == key) {
            return Ok(Wanted::One(index));
        }
        if list::is_pattern(key) {
            let flags = names.iter().map(|name| list::matches_whole(name, key));
            let flags: Vec<bool> = flags.collect();
            if flags.contains(&true) {
                return Ok(Wanted::Some(flags));
            }
        }
        Err(suggestion(key, names))
    }

    pub fn has(&self, index: usize) -> bool {
        match self {
            Wanted::All => true,
            Wanted::One(one) => *one == index,
            Wanted::Some(flags) => flags[index],
        }
    }
}

/// Returns a line with the keys that the user may have meant.
fn suggestion(key: &str, names: &[String]) -> String {
    match names {
        [only] if only.is_empty() => "the one value has no key; leave the key out".to_string(),
        few if few.len() <= NAMED => format!("the keys: {}", joined(few)),
        many => {
            let near = joined(&nearest(key, many));
            format!("the nearest of the {} keys: {near}", many.len())
        }
    }
}

fn joined<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(|n| output::name(n.as_ref())).collect();
    names.join(", ")
}

/// Returns the nearest names, nearest first: first the names that contain the key, then the others
/// by the number of changes that make them equal to the key.
fn nearest<'a>(key: &str, names: &'a [String]) -> Vec<&'a str> {
    let plain = key.replace(['*', '?'], "").to_lowercase();
    let far = |name: &&String| {
        let name = name.to_lowercase();
        let contains = !plain.is_empty() && name.contains(&plain);
        (!contains, strsim::osa_distance(&plain, &name))
    };
    let mut names: Vec<&String> = names.iter().collect();
    names.sort_by_cached_key(far);
    names.truncate(NAMED);
    names.into_iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Vec<String> {
        (0..10_000).map(|n| format!("SYM{n:05}")).collect()
    }

    #[test]
    fn key_or_pattern_selects_values() {
        let names = ["a", "ab", "b*"].map(String::from);
        assert_eq!(Wanted::of(None, &names), Ok(Wanted::All));
        assert_eq!(Wanted::of(Some("ab"), &names), Ok(Wanted::One(1)));
        let both = Wanted::Some(vec![true, true, false]);
        assert_eq!(Wanted::of(Some("a*"), &names), Ok(both));
        assert_eq!(Wanted::of(Some("b*"), &names), Ok(Wanted::One(2)));
        assert!(Wanted::of(Some("A*"), &names).is_err());
        assert!(Wanted::of(Some(""), &names).is_err());
    }

    #[test]
    fn suggestion_lists_nearest_keys() {
        let names = symbols();
        let told = suggestion("SYM10000", &names);
        assert!(told.contains("of the 10000 keys: "), "{told}");
        assert_eq!(told.matches("SYM").count(), 5, "{told}");
        assert_eq!(nearest("sym0420", &names)[0], "SYM04200");
        assert_eq!(nearest("4711", &names)[0], "SYM04711");
        assert_eq!(nearest("SYM4711", &names)[0], "SYM04711");
        let few = ["x\n".to_string(), "y".to_string()];
        assert_eq!(suggestion("z", &few), "the keys: x\\n, y");
        assert!(suggestion("z", &[String::new()]).contains("has no key"));
    }
}
