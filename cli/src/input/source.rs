//! The sources of messages: the command line, or the lines of standard input.

use crate::input::ends::Ends;
use crate::{Failure, output};
use std::io::{BufRead, IsTerminal, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The time that a sender waits for space before it looks for a reason to end. A wait set cannot
/// wait for senders and publishers.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The number of lines that are read ahead.
const AHEAD: usize = 64;

/// The reason to end before the last message; `None` if all messages were handled.
pub type Ended = Option<&'static str>;

/// The source of messages.
#[derive(Debug)]
pub enum Source<'a> {
    Given(&'a [String]),
    Lines,
}

/// A line of standard input.
#[derive(Debug)]
pub enum Line {
    /// The bytes of a line that is a message, without the end of the line.
    Whole(Vec<u8>),
    /// The number and the length of a line that is too long for a message.
    TooLong { number: u64, len: u64 },
}

impl Source<'_> {
    /// Returns the source that the arguments of the command line choose. Returns `None` if there
    /// are no arguments and standard input is a terminal: the user may not know that the program
    /// waits for lines.
    pub fn of(messages: &[String]) -> Option<Source<'_>> {
        match messages {
            [dash] if dash == "-" => Some(Source::Lines),
            [] if std::io::stdin().is_terminal() => None,
            [] => Some(Source::Lines),
            given => Some(Source::Given(given)),
        }
    }
}

/// An item from the thread that reads standard input.
enum Input<T> {
    Read(std::io::Result<T>),
    /// The input has ended.
    End,
    /// There is a reason to end.
    Over,
}

/// Starts a thread that reads standard input, since reading can block for ever.
fn reading<T: Send + 'static>(
    ends: &Ends,
    read: impl FnOnce(&SyncSender<Input<T>>) + Send + 'static,
) -> Receiver<Input<T>> {
    let (tell, told) = sync_channel(AHEAD);
    let over = tell.clone();
    // If the channel is full, this item is lost. Then the receiving side is not blocked, and it
    // looks for a reason to end after each line.
    ends.on_end(move || drop(over.try_send(Input::Over)));
    std::thread::spawn(move || {
        read(&tell);
        // The other side may have stopped receiving.
        let _ = tell.send(Input::End);
    });
    told
}

/// Returns the next item, or [`Input::Over`] if the time limit ends first.
fn next<T>(told: &Receiver<Input<T>>, ends: &Ends) -> Input<T> {
    let received = match ends.until() {
        Some(until) => {
            let left = until.saturating_duration_since(Instant::now());
            told.recv_timeout(left).ok()
        }
        None => told.recv().ok(),
    };
    received.unwrap_or(Input::Over)
}

/// Returns all of standard input, or the reason to end before. Reads at most one byte more than
/// `max`.
pub fn all(ends: &Ends, max: usize) -> Result<Result<Vec<u8>, &'static str>, Failure> {
    let told = reading(ends, move |tell| {
        let mut all = Vec::new();
        let input = std::io::stdin().lock();
        let read = input.take(max as u64 + 1).read_to_end(&mut all);
        // The other side may have stopped receiving.
        let _ = tell.send(Input::Read(read.map(|_| all)));
    });

    loop {
        match next(&told, ends) {
            Input::Read(read) => return read.map(Ok).map_err(unreadable),
            Input::End => return Ok(Ok(Vec::new())),
            Input::Over => {}
        }
        if let Some(reason) = ends.now() {
            return Ok(Err(reason));
        }
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::Other(format!("cannot read standard input: {error}"))
}

/// Calls `each` with each line of standard input, without the end of the line, until the input ends
/// or there is a reason to end.
pub fn each_line(
    ends: &Ends,
    max: usize,
    mut each: impl FnMut(Line) -> Result<Ended, Failure>,
) -> Result<Ended, Failure> {
    let told = reading(ends, move |tell| lines(tell, max));
    loop {
        match next(&told, ends) {
            Input::Read(line) => match each(line.map_err(unreadable)?)? {
                None => {}
                ended => return Ok(ended),
            },
            Input::End => return Ok(None),
            Input::Over => {}
        }
        if let Some(reason) = ends.now() {
            return Ok(Some(reason));
        }
    }
}

/// Sends each line of standard input to the channel, up to the first error.
fn lines(tell: &SyncSender<Input<Line>>, max: usize) {
    let mut input = std::io::stdin().lock();
    for number in 1.. {
        let Some(line) = line(&mut input, number, max).transpose() else {
            return;
        };
        let failed = line.is_err();
        if tell.send(Input::Read(line)).is_err() || failed {
            return;
        }
    }
}

/// Reads the next line. Of a line that is too long, only the length is kept.
fn line(input: &mut impl BufRead, number: u64, max: usize) -> std::io::Result<Option<Line>> {
    // Two bytes more for the end of the line.
    let room = max as u64 + 2;
    let mut line = Vec::new();
    if input.by_ref().take(room).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }

    let mut len = line.len() as u64;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        len = line.len() as u64;
    } else if len == room {
        len += skip_line(input)?;
    }

    Ok(Some(match len <= max as u64 {
        true => Line::Whole(line),
        false => Line::TooLong { number, len },
    }))
}

/// Skips the rest of a line, and returns the number of skipped bytes without the end of the line.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let read = input.fill_buf()?;
        let (len, found) = match read.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at, true),
            None => (read.len(), read.is_empty()),
        };
        skipped += len as u64;
        let over = found && !read.is_empty();
        input.consume(len + usize::from(over));
        if found {
            return Ok(skipped);
        }
    }
}

/// Returns the text that says that a line is too long for a message.
pub fn too_long(number: u64, len: u64, max: usize) -> String {
    format!(
        "line {number} has {}; the limit is {max} bytes",
        output::bytes(len)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_lines_drop_terminators_and_report_oversize() {
        let mut input = &b"one\r\n\ntwelve bytes\nfour\nlonger than that by far\nlast"[..];
        let mut read = |number| match line(&mut input, number, 4).unwrap() {
            Some(Line::Whole(line)) => String::from_utf8(line).unwrap(),
            Some(Line::TooLong { number, len }) => format!("{number}: {len}"),
            None => "the end".to_string(),
        };
        let all: Vec<String> = (1..=7).map(&mut read).collect();
        let want = ["one", "", "3: 12", "four", "5: 23", "last", "the end"];
        assert_eq!(all, want);
    }
}
