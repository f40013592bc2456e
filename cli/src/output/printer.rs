//! Prints messages and values, one on each line.

use crate::output;
use crate::output::record;
use serde_json::{Value, json};
use shmkit::Layout;
use std::io::{BufWriter, IsTerminal, Stdout, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints messages and values to standard output. Lines may stay in a buffer until
/// [`flush`](Printer::flush).
#[derive(Debug)]
pub struct Printer {
    out: BufWriter<Stdout>,
    json: bool,
    terminal: bool,
    /// The type of the messages, if they have one.
    layout: Option<Layout>,
    /// Whether the messages have time stamps.
    has_times: bool,
    /// The number of messages that are still wanted; `None` if there is no limit.
    left: Option<u64>,
}

impl Printer {
    pub fn new(json: bool, count: Option<u64>) -> Printer {
        let out = std::io::stdout();
        Printer {
            terminal: out.is_terminal(),
            out: BufWriter::new(out),
            json,
            layout: None,
            has_times: false,
            left: count,
        }
    }

    /// Sets the type of the messages.
    pub fn of(mut self, layout: Option<Layout>) -> Printer {
        self.layout = layout;
        self
    }

    /// Sets whether the messages have time stamps.
    pub fn with_times(mut self, has_times: bool) -> Printer {
        self.has_times = has_times;
        self
    }

    /// Returns whether each message is printed with its time stamp.
    pub fn shows_times(&self) -> bool {
        self.json && self.has_times
    }

    /// Prints a message, and as JSON also the time at which it was sent.
    pub fn sent_at(&mut self, message: &[u8], at: Option<SystemTime>) -> std::io::Result<()> {
        self.value_at("", message, at)
    }

    /// Returns whether as many messages were printed as were wanted.
    pub fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints a message.
    ///
    /// A message that has a type is printed as its fields. Any other message goes unchanged to a
    /// file or pipe. A terminal gets it as text with escaped control characters, since the terminal
    /// would obey them.
    pub fn message(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.value("", message)
    }

    /// Prints a message that is the whole output of the command. If its text ends with a line feed,
    /// the line feed is not doubled.
    pub fn only(&mut self, message: &[u8]) -> std::io::Result<()> {
        let is_text = !self.json && self.layout.is_none();
        let line = message.strip_suffix(b"\n").filter(|_| is_text);
        self.message(line.unwrap_or(message))
    }

    /// Prints a value, with its key unless the key is empty. See [`message`](Printer::message) for
    /// the form.
    pub fn value(&mut self, key: &str, value: &[u8]) -> std::io::Result<()> {
        self.value_at(key, value, None)
    }

    fn value_at(&mut self, key: &str, value: &[u8], at: Option<SystemTime>) -> std::io::Result<()> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        let layout = self.layout.as_ref();
        if self.json {
            let values = layout.and_then(|layout| record::json(layout, value));
            let mut json = values.unwrap_or_else(|| as_json(value));
            if !key.is_empty() {
                json["key"] = key.into();
            }
            if let Some(since) = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
                json["sent_at_ns"] = (since.as_nanos() as u64).into();
            }
            return self.json_line(&json);
        }

        if let Some(text) = layout.and_then(|layout| record::text(layout, value)) {
            // The fields of a struct have names of their own.
            let between = match layout.is_some_and(record::is_plain) {
                true => "=",
                false => ": ",
            };
            let key = match key {
                "" => String::new(),
                key => format!("{}{between}", output::foreign(key)),
            };
            return self.line(format!("{key}{text}").into_bytes());
        }

        let message = match key {
            "" => value.to_vec(),
            key => [key.as_bytes(), b"=", value].concat(),
        };
        self.line(match self.terminal {
            true => output::foreign(&String::from_utf8_lossy(&message)).into_bytes(),
            false => message,
        })
    }

    /// Prints the number of missed messages: on standard error, or as JSON among the messages.
    pub fn missed(&mut self, missed: u64) -> std::io::Result<()> {
        if self.json {
            return self.json_line(&json!({ "missed": missed }));
        }
        self.flush()?;
        output::remark(&match missed {
            1 => "missed 1 message".to_string(),
            n => format!("missed {n} messages"),
        });
        Ok(())
    }

    pub fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    fn json_line(&mut self, value: &Value) -> std::io::Result<()> {
        self.line(output::json_text(value).into_bytes())
    }

    /// Writes a line and its end at once, so that the buffer is never flushed in the middle of a
    /// line.
    fn line(&mut self, mut line: Vec<u8>) -> std::io::Result<()> {
        line.push(b'\n');
        self.out.write_all(&line)
    }
}

fn as_json(message: &[u8]) -> Value {
    match std::str::from_utf8(message) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "hex": hex::encode(message) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_text_message_becomes_hex_in_json() {
        assert_eq!(as_json("é\n".as_bytes()), json!({ "text": "é\n" }));
        assert_eq!(as_json(b"\xff\0"), json!({ "hex": "ff00" }));
    }
}
