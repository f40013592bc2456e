//! `send`: sends messages to a queue that a receiver created.

use crate::args::Send;
use crate::input::ends::Ends;
use crate::input::source::{self, Ended, LOOK_EVERY, Line, Source};
use crate::names::open;
use crate::names::open::Sought;
use crate::{Failure, Outcome, output};
use shmkit::{SendError, Sender};
use std::time::{Duration, Instant};

pub fn run(args: &Send) -> Outcome {
    let Some(source) = Source::of(&args.messages) else {
        return Err(Failure::Other(
            "no message was given\n  give a MESSAGE, or - to type messages line by line"
                .to_string(),
        ));
    };

    let mut sender = open_in_time(args)?;
    // A signal then ends the sender in good order, and the receiver does not take the end for a
    // death.
    let ends = Ends::watch(None).map_err(Failure::Other)?;
    let max = sender.max_message();

    let ended = match source {
        Source::Given(messages) => {
            if let Some(long) = messages.iter().find(|message| message.len() > max) {
                let len = long.len();
                return Err(SendError::TooLong { len, max }.into());
            }
            let mut all = messages.iter();
            all.try_fold(None, |ended: Ended, message| match ended {
                None => send(args, &mut sender, &ends, message.as_bytes()),
                ended => Ok(ended),
            })?
        }
        Source::Lines => source::each_line(&ends, max, |line| match line {
            Line::Whole(message) => send(args, &mut sender, &ends, &message),
            Line::TooLong { number, len } => Err(Failure::Other(format!(
                "{}\n  the lines before it were sent",
                source::too_long(number, len, max)
            ))),
        })?,
    };

    match ended {
        Some(reason) => Err(Failure::Other(format!(
            "not all messages were sent: {reason}"
        ))),
        None => Ok(()),
    }
}

/// Opens the queue. With --timeout, waits until the queue exists and has a place for this sender.
fn open_in_time(args: &Send) -> Result<Sender, Failure> {
    let opened = open::in_time(args.timeout, |left| {
        Sender::options().wait(left).open(&args.name)
    });
    opened.map_err(|error| open::explain(&args.name, Sought::Queue, error))
}

fn send(args: &Send, sender: &mut Sender, ends: &Ends, message: &[u8]) -> Result<Ended, Failure> {
    let start = Instant::now();

    loop {
        let left = args.timeout.map(|all| all.saturating_sub(start.elapsed()));
        let wait = left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
        match sender.send_timeout(message, wait) {
            Ok(()) => return Ok(None),
            Err(SendError::Timeout) if left != Some(Duration::ZERO) => match ends.now() {
                None => {}
                ended => return Ok(ended),
            },
            Err(error @ (SendError::Timeout | SendError::Disconnected(_))) => {
                let name = output::name(&args.name);
                return Err(Failure::Absent(format!("{name}: {error}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
