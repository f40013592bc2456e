//! The output of the program, for people and for programs.

pub mod live;
pub mod printer;
pub mod record;
pub mod screen;

use std::io::{IsTerminal, Write};

/// Prints a remark on standard error, apart from the data on standard output.
///
/// The text is one write, since other programs may write to the same file at the same time.
pub fn remark(text: &str) {
    error(&format!("shmkit: {text}\n"));
}

/// Prints a text on standard error, in one write.
pub fn error(text: &str) {
    // A write to standard error can fail, and then there is no place to report the error.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints a line on standard output, in one write.
pub fn line(text: &str) -> std::io::Result<()> {
    let whole = format!("{text}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(whole.as_bytes())?;
    out.flush()
}

/// Prints a text that is not the result of a command: the program continues if no process reads it.
pub fn announce(print: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    match print() {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints a JSON value on one line of standard output.
pub fn json(value: &serde_json::Value) -> std::io::Result<()> {
    line(&json_text(value))
}

/// Returns a value as JSON in which all control characters are escaped. JSON itself requires this
/// of some of them only.
pub fn json_text(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if c.is_control() {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// Returns a text of another program as it may go to standard output. A file or pipe gets the text
/// unchanged. A terminal gets the text with escaped control characters, since it would obey them.
pub fn foreign(text: &str) -> String {
    if std::io::stdout().is_terminal() {
        tame(text, &['\n', '\t'])
    } else {
        text.to_string()
    }
}

/// Returns a name with all control characters escaped, so that the name stays in one line.
pub fn name(text: &str) -> String {
    tame(text, &[])
}

fn tame(text: &str, keep: &[char]) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !keep.contains(&c) {
            tamed.extend(c.escape_default());
        } else {
            tamed.push(c);
        }
    }
    tamed
}

/// Returns a number of bytes as text: the exact number, and a rounded number in a larger unit.
pub fn bytes(len: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| len >> shift > 0) {
        Some((unit, shift)) if len.is_multiple_of(1 << shift) => {
            format!("{len} bytes ({} {unit})", len >> shift)
        }
        Some((unit, shift)) => {
            format!(
                "{len} bytes ({:.1} {unit})",
                len as f64 / (1u64 << shift) as f64
            )
        }
        None if len == 1 => "1 byte".to_string(),
        None => format!("{len} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_escapes_terminal_control_characters() {
        assert_eq!(
            tame("a\x1b[2J\nb\u{9b}c", &['\n']),
            "a\\u{1b}[2J\nb\\u{9b}c"
        );
        assert_eq!(name("a\nb"), "a\\nb");
    }

    #[test]
    fn json_escapes_control_characters_without_loss() {
        let value = serde_json::json!({ "text": "a\x1b\n\u{7f}\u{9b}é" });
        let text = json_text(&value);
        assert!(!text.contains(char::is_control), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    #[test]
    fn sizes_print_as_exact_byte_counts() {
        assert_eq!(bytes(256), "256 bytes");
        assert_eq!(bytes(4096), "4096 bytes (4 KiB)");
        assert_eq!(bytes(1536), "1536 bytes (1.5 KiB)");
    }
}
