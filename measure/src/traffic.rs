//! Round trips and streams, the same for every `Outbox` and `Inbox`.

use crate::message::{LAST, ends, is_last};
use crate::{Burst, Inbox, Outbox, Result, Times, clock};
use std::time::Duration;

/// The greatest number of bytes, and of messages, that are numbered before they are sent. That many
/// stay in the first-level cache.
const BURST: usize = 16 << 10;
const MAX_BURST: usize = 64;

/// How many messages arrived, and in which time.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The number of messages that arrived after the first message.
    pub messages: u64,
    /// The time from the arrival of the first message to the arrival of the last message.
    pub time: Duration,
}

impl Flow {
    /// Returns how many messages arrived in a second.
    pub fn messages_per_s(&self) -> f64 {
        self.messages as f64 / self.time.as_secs_f64()
    }
}

/// Sends messages of `len` bytes for `time`, at least one, and waits for the answer to each
/// message. Returns how long each round trip took. The other process calls [`answer`].
///
/// # Errors
///
/// The errors of the two endpoints, and an error if an answer does not have the number of its
/// message.
#[inline(always)]
pub fn ask(
    outbox: &mut impl Outbox,
    inbox: &mut impl Inbox,
    len: usize,
    time: Duration,
) -> Result<Times> {
    let mut message = Burst::new(len, 1);
    let mut times = Times::new();
    let mut trip = |number| {
        message.number(number);
        outbox.send(message.first())?;
        inbox.receive(|answer| is_last(answer, len, number, ends(answer)))?
    };

    let mut number = 0;
    times.take(time, || {
        let is_over = trip(number)?;
        number += 1;
        match is_over {
            true => Err("the other process answers no more".into()),
            false => Ok(()),
        }
    })?;
    trip(LAST)?;
    Ok(times)
}

/// Answers each message of [`ask`] by a message of the same length, up to the last message.
///
/// # Errors
///
/// The errors of the two endpoints, and an error if a message does not have the next number.
#[inline(always)]
pub fn answer(outbox: &mut impl Outbox, inbox: &mut impl Inbox, len: usize) -> Result<()> {
    let mut message = Burst::new(len, 1);
    let mut number = 0;
    loop {
        // The answer is numbered before the question arrives, since a message that was numbered
        // just now takes longer to send.
        message.number(number);
        let look = |question: &[u8]| is_last(question, len, number, ends(question));
        if inbox.receive(look)?? {
            message.number(LAST);
            return outbox.send(message.first());
        }
        outbox.send(message.first())?;
        number += 1;
    }
}

/// Sends messages of `len` bytes for `time`, at least one, as fast as possible. The other process
/// calls [`consume`].
///
/// Messages are numbered some time before they are sent. A copy of bytes that narrower stores have
/// just written waits until all earlier stores are done, and this wait would be measured instead.
///
/// # Errors
///
/// The errors of the endpoint.
#[inline(always)]
pub fn produce(outbox: &mut impl Outbox, len: usize, time: Duration) -> Result<()> {
    let count = (BURST / len.max(1)).clamp(1, MAX_BURST);
    let mut burst = Burst::new(len, count);
    let duration = clock::ticks(time);
    let start = clock::now();

    let mut number = 0;
    loop {
        number = burst.number(number);
        for message in burst.messages() {
            outbox.send(message)?;
        }
        if clock::now().saturating_sub(start) >= duration {
            break;
        }
    }

    burst.number(LAST);
    outbox.send(burst.first())?;
    outbox.flush()
}

/// Receives the messages of [`produce`], up to the last message, and measures how fast they arrive.
///
/// `look` reads each message and returns the sum of its two numbers: [`ends`] reads nothing else.
///
/// # Errors
///
/// The errors of the endpoint, and an error if a message does not have the next number.
#[inline(always)]
pub fn consume(
    inbox: &mut impl Inbox,
    len: usize,
    mut look: impl FnMut(&[u8]) -> u64,
) -> Result<Flow> {
    let mut next =
        |number| inbox.receive(|message| is_last(message, len, number, look(message)))?;
    if next(0)? {
        return Err("the other process sent no message".into());
    }
    let start = clock::now();
    let mut messages = 1;
    while !next(messages)? {
        messages += 1;
    }
    // Without the first message, and with the last message, there are as many messages as numbers.
    let time = clock::ns(clock::now().saturating_sub(start));
    let time = Duration::from_nanos(time as u64);
    Ok(Flow { messages, time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmkit::{Receiver, Sender};

    fn queue(name: &str) -> (Sender, Receiver) {
        let name = format!("shmkit-test-{name}-{}", std::process::id());
        let inbox = Receiver::create(name.as_str()).unwrap();
        (Sender::open(name.as_str()).unwrap(), inbox)
    }

    const TIME: Duration = Duration::from_millis(5);

    #[test]
    fn ask_and_answer_complete_round_trips() {
        let (mut to, mut there) = queue("questions");
        let (mut back, mut here) = queue("answers");
        for len in [1, 56] {
            std::thread::scope(|scope| {
                scope.spawn(|| answer(&mut back, &mut there, len).unwrap());
                let times = ask(&mut to, &mut here, len, TIME).unwrap();
                assert!(times.count() > 0);
            });
        }
    }

    #[test]
    fn stream_counts_whole_bursts() {
        let (mut outbox, mut inbox) = queue("stream");
        for (len, time) in [(1, TIME), (4096, Duration::ZERO)] {
            let flow = std::thread::scope(|scope| {
                scope.spawn(|| produce(&mut outbox, len, time).unwrap());
                consume(&mut inbox, len, ends).unwrap()
            });
            let burst = if len == 1 { 64 } else { 4 };
            assert!(flow.messages > 0 && flow.messages % burst == 0, "{flow:?}");
            assert!(flow.messages_per_s().is_finite());
        }
    }

    #[test]
    fn missing_stream_message_is_reported() {
        let (mut outbox, mut inbox) = queue("missing");
        let mut message = Burst::new(64, 1);
        for number in [0, 2] {
            message.number(number);
            Outbox::send(&mut outbox, message.first()).unwrap();
        }
        let error = consume(&mut inbox, 64, ends).unwrap_err();
        assert!(
            error.to_string().contains("message 1 of 64 bytes"),
            "{error}"
        );
    }
}
