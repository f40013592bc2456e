//! One subscriber of the demo: a process that reports what it has received so far, in lines of JSON
//! on its standard output.

use crate::input::ends::Ends;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::{RecvError, Subscriber};
use std::time::{Duration, Instant, SystemTime};

/// The time between two reports.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// Returns a message of the demo: its number, the time at which it was sent, and a price.
pub fn message(number: u64) -> String {
    let price = 100.0 + (number as f64 / 500.0).sin();
    format!("{number} {} EUR {price:.2}", clock())
}

pub fn run(topic: &str, pause_micros: u64) -> Outcome {
    let ends = Ends::watch(None).map_err(Failure::Other)?;
    let mut subscriber = Subscriber::open(topic)?;

    let mut seen = Seen::default();
    seen.tell(0)?;
    let mut told = Instant::now();
    let mut pause = Duration::from_micros(pause_micros);

    while ends.now().is_none() {
        match subscriber.recv_timeout(TELL_EVERY) {
            Ok(message) => seen.message(message)?,
            Err(RecvError::Lagged(missed)) => seen.missed += missed,
            Err(RecvError::Timeout) => {}
            Err(RecvError::Disconnected(_)) => break,
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(pause);
        if seen.received == 1 || told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            seen.tell(subscriber.behind())?;
            // The rest is received without pauses, since the user waits for the end.
            if !pause.is_zero() && shmkit::inspect::segment_info(topic)?.closed {
                pause = Duration::ZERO;
            }
        }
    }

    seen.tell(0)?;
    Ok(())
}

#[derive(Default)]
struct Seen {
    first: Option<u64>,
    last: u64,
    received: u64,
    missed: u64,
    /// The delays of the messages since the last report.
    delays: Vec<u64>,
}

impl Seen {
    /// Counts a message, and checks its number: it follows the last message, or as many numbers are
    /// left out as messages were missed.
    fn message(&mut self, message: &[u8]) -> Outcome {
        let text = String::from_utf8_lossy(message);
        let mut words = text.split(' ').map(str::parse::<u64>);
        let (Some(Ok(number)), Some(Ok(sent))) = (words.next(), words.next()) else {
            return Err(Failure::Other(format!(
                "{text:?} is not a message of the demo"
            )));
        };

        let first = *self.first.get_or_insert(number);
        if number != first + self.received + self.missed {
            let last = self.last;
            return Err(Failure::Other(format!(
                "message {number} came after {last}"
            )));
        }

        self.received += 1;
        self.last = number;
        self.delays.push(clock().saturating_sub(sent));
        Ok(())
    }

    fn tell(&mut self, behind: u64) -> std::io::Result<()> {
        let middle = self.delays.len() / 2;
        self.delays.sort_unstable();
        output::json(&json!({
            "first": self.first,
            "received": self.received,
            "missed": self.missed,
            "behind": behind,
            "delay": self.delays.get(middle),
        }))?;
        self.delays.clear();
        Ok(())
    }
}

/// Returns the wall-clock time in nanoseconds, which all processes share.
fn clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
