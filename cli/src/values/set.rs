//! `set`: creates values, and sets them.

use crate::args::Set;
use crate::input::ends::Ends;
use crate::input::source::{self, Line, Source};
use crate::{Failure, Outcome, output};
use shmkit::{SetError, Writer};

pub fn run(args: &Set) -> Outcome {
    let (given, reads_on) = match args.values.split_last() {
        Some((dash, given)) if dash == "-" => (given, true),
        _ => (&args.values[..], false),
    };

    let keys = keys(args, given)?;
    let lines = match reads_on {
        true => true,
        false => match Source::of(given) {
            Some(Source::Lines) => true,
            Some(Source::Given(_)) => false,
            None => {
                return Err(Failure::Other(
                    "no value was given\n  give a VALUE, or - to type values line by line"
                        .to_string(),
                ));
            }
        },
    };

    // The signals are watched before the writer exists, so that no signal ends the program without
    // a clean end of the writer.
    let ends = Ends::watch(args.duration).map_err(Failure::Other)?;
    let mut options = Writer::options()
        .max_value(args.max_value)
        .access(args.access.clone());
    if args.table {
        options = options.names(keys);
    }

    let mut table = Table {
        writer: options.create(&args.name)?,
        keyed: args.table,
    };

    for text in given {
        if !args.table || text.contains('=') {
            table.set(text.as_bytes()).map_err(Failure::Other)?;
        }
    }
    output::remark(&format!(
        "{} is ready; shmkit get reads it",
        output::name(&args.name)
    ));

    let ended = match lines {
        true => table.lines(&ends)?,
        false => None,
    };

    let reason = ended.unwrap_or_else(|| ends.wait());
    // The writer closes, and its readers are notified.
    drop(table);
    output::remark(&format!("{} ended: {reason}", output::name(&args.name)));
    Ok(())
}

/// Returns the keys of a table in the order of the command line, each key once.
fn keys(args: &Set, given: &[String]) -> Result<Vec<String>, Failure> {
    let mut keys: Vec<String> = Vec::new();
    for text in given {
        let key = text.split_once('=').map_or(text.as_str(), |(key, _)| key);
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_string());
        }
    }
    if args.table && keys.is_empty() {
        return Err(Failure::Other(
            "the table has no keys\n  give each key as KEY or KEY=VALUE".to_string(),
        ));
    }
    Ok(keys)
}

struct Table {
    writer: Writer,
    /// Each value is written as KEY=VALUE.
    keyed: bool,
}

impl Table {
    /// Sets the value that a text contains. The error says why the value was not set.
    fn set(&mut self, text: &[u8]) -> Result<(), String> {
        let (index, value) = match self.keyed {
            false => (0, text),
            true => self.parse(text)?,
        };
        self.writer
            .set_at(index, value)
            .map_err(|error| match error {
                SetError::TooLong { len, max } => format!(
                    "a value has {len} bytes; the limit is {max} bytes\n  use --max-value {len}"
                ),
                error => error.to_string(),
            })
    }

    fn parse<'a>(&self, text: &'a [u8]) -> Result<(usize, &'a [u8]), String> {
        let middle = text.iter().position(|byte| *byte == b'=');
        let Some((key, value)) = middle.map(|at| (&text[..at], &text[at + 1..])) else {
            let text = output::foreign(&String::from_utf8_lossy(text));
            return Err(format!("{text} is not of the form KEY=VALUE"));
        };
        let names = self.writer.names().iter();
        let index = names.clone().position(|name| name.as_bytes() == key);
        index.map(|index| (index, value)).ok_or_else(|| {
            let key = output::foreign(&String::from_utf8_lossy(key));
            format!("there is no key {key}\n  the command line must name each key of the table")
        })
    }

    /// Sets the value of each line of standard input. A line that cannot be set is left out.
    fn lines(&mut self, ends: &Ends) -> Result<source::Ended, Failure> {
        let max = self.writer.max_value() + 64;
        let ended = source::each_line(ends, max, |line| {
            let refused = match line {
                Line::Whole(text) => self.set(&text).err(),
                Line::TooLong { number, len } => Some(source::too_long(number, len, max)),
            };
            if let Some(why) = refused {
                output::remark(&format!("{why}; the line is left out"));
            }
            Ok(None)
        })?;

        if ended.is_none() {
            output::remark(&format!(
                "the input has ended; the value stays {}",
                ends.how()
            ));
        }
        Ok(ended)
    }
}
