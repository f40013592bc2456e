//! Messages, one on each line.

use crate::output;
use crate::output::record;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use shmkit::Layout;
use std::io::{BufWriter, IsTerminal, Stdout, Write};

/// Prints what comes. What is printed may be on its way until [`flush`](Printer::flush).
#[derive(Debug)]
pub struct Printer {
    out: BufWriter<Stdout>,
    json: bool,
    terminal: bool,
    /// What the messages are made of, where that is known.
    layout: Option<Layout>,
    /// How many more are wanted.
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
            left: count,
        }
    }

    /// For messages of a type, where there is one.
    pub fn of(mut self, layout: Option<Layout>) -> Printer {
        self.layout = layout;
        self
    }

    /// Whether all that was wanted came.
    pub fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Messages of a type are told by the names of its fields. Others go to a file or pipe as
    /// they are, and to a terminal as text without control characters, which would obey
    /// them.
    pub fn message(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.value("", message)
    }

    /// The same for a message that comes alone: it may have brought the end of its line.
    pub fn only(&mut self, message: &[u8]) -> std::io::Result<()> {
        let is_text = !self.json && self.layout.is_none();
        let line = message.strip_suffix(b"\n").filter(|_| is_text);
        self.message(line.unwrap_or(message))
    }

    /// The same for a value, of that name where it has one.
    pub fn value(&mut self, key: &str, value: &[u8]) -> std::io::Result<()> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        let layout = self.layout.as_ref();
        if self.json {
            let values = layout.and_then(|layout| record::json(layout, value));
            let mut json = values.unwrap_or_else(|| as_json(value));
            if !key.is_empty() {
                json["key"] = key.into();
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

    /// Says how many messages did not come, beside the others.
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

    /// The line and its end are one write, so that what is written to the file never ends within a
    /// line.
    fn line(&mut self, mut line: Vec<u8>) -> std::io::Result<()> {
        line.push(b'\n');
        self.out.write_all(&line)
    }
}

fn as_json(message: &[u8]) -> Value {
    match std::str::from_utf8(message) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "hex": HEXLOWER.encode(message) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_hexadecimal() {
        assert_eq!(as_json("é\n".as_bytes()), json!({ "text": "é\n" }));
        assert_eq!(as_json(b"\xff\0"), json!({ "hex": "ff00" }));
    }
}
