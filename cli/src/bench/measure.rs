//! Round trips and streams, the same for all that carries messages.

use super::link::{Link, Message, Result};
use hdrhistogram::Histogram;
use quanta::Clock;
use std::time::{Duration, Instant};

/// What goes before each measurement, as a part of its time, and is not counted.
const WARM_UP: u32 = 10;

/// How much is sent between two looks at the clock.
const BURST: usize = 64 << 10;
const MAX_BURST: usize = 64;

/// Longer times, in nanoseconds, are taken for this one; and how exact they are kept.
const LONGEST: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

/// How long round trips took, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Trips {
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

/// Times that are added one by one.
pub struct Times {
    clock: Clock,
    histogram: Histogram<u64>,
}

impl Times {
    pub fn new(clock: &Clock) -> Result<Times> {
        Ok(Times {
            clock: clock.clone(),
            histogram: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
        })
    }

    /// Takes the time of `trip` again and again, for so long.
    ///
    /// Each time begins where the last one ended. A processor may look at its clock before
    /// what stands in front of it is done: so none of the time is lost, and all are the sum.
    pub fn take(&mut self, time: Duration, mut trip: impl FnMut() -> Result<()>) -> Result<()> {
        let begin = self.clock.raw();
        let mut last = begin;
        loop {
            trip()?;
            let now = self.clock.raw();
            let took = self.clock.delta_as_nanos(last, now);
            self.histogram.saturating_record(took);
            if self.clock.delta(begin, now) >= time {
                return Ok(());
            }
            last = now;
        }
    }

    pub fn trips(&self) -> Trips {
        let quantile = |part| self.histogram.value_at_quantile(part);
        Trips {
            count: self.histogram.len(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: self.histogram.max(),
        }
    }
}

/// How many messages came, in which time.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub messages: u64,
    pub time: Duration,
}

impl Flow {
    pub fn messages_per_s(&self) -> f64 {
        self.messages as f64 / self.time.as_secs_f64()
    }
}

/// Sends messages, and waits for each to be answered by another of its size.
pub fn ask(link: &mut impl Link, len: usize, time: Duration, clock: &Clock) -> Result<Trips> {
    let mut message = Message::new(len);
    let mut number = 0;
    let mut trip = || {
        message.mark(number);
        link.send(&message)?;
        check(link.receive()?, len, number)?;
        number += 1;
        Ok(())
    };
    Times::new(clock)?.take(time / WARM_UP, &mut trip)?;
    let mut times = Times::new(clock)?;
    times.take(time, trip)?;
    link.send(&Message::end())?;
    Ok(times.trips())
}

/// Answers until the end is said.
pub fn answer(link: &mut impl Link, len: usize) -> Result<()> {
    let mut message = Message::new(len);
    for number in 0.. {
        let question = link.receive()?;
        if question.is_empty() {
            break;
        }
        check(question, len, number)?;
        message.mark(number);
        link.send(&message)?;
    }
    Ok(())
}

/// Sends as fast as it goes: what is not counted, and then what is.
pub fn produce(link: &mut impl Link, len: usize, time: Duration) -> Result<()> {
    produce_for(link, len, time / WARM_UP)?;
    produce_for(link, len, time)
}

/// The messages are marked some time before they are sent: to copy what was written a
/// moment ago is to wait for the processor's stores, and that would be measured instead.
fn produce_for(link: &mut impl Link, len: usize, time: Duration) -> Result<()> {
    let burst = (BURST / len).clamp(1, MAX_BURST);
    let mut messages: Vec<Message> = (0..burst).map(|_| Message::new(len)).collect();
    let start = Instant::now();
    let mut number = 0;
    loop {
        for message in &mut messages {
            message.mark(number);
            number += 1;
        }
        for message in &messages {
            link.send(message)?;
        }
        if start.elapsed() >= time {
            return link.send(&Message::end());
        }
    }
}

/// Receives what is not counted, and then counts.
pub fn consume(link: &mut impl Link, len: usize) -> Result<Flow> {
    consume_all(link, len)?;
    consume_all(link, len)
}

fn consume_all(link: &mut impl Link, len: usize) -> Result<Flow> {
    let start = Instant::now();
    let mut messages = 0;
    loop {
        let message = link.receive()?;
        if message.is_empty() {
            let time = start.elapsed();
            return Ok(Flow { messages, time });
        }
        check(message, len, messages)?;
        messages += 1;
    }
}

/// Looks at both ends of a message.
#[inline]
fn check(message: &[u8], len: usize, number: u64) -> Result<()> {
    let mark = number as u8;
    let is_marked = message.first() == Some(&mark) && message.last() == Some(&mark);
    if message.len() == len && is_marked {
        return Ok(());
    }
    Err(format!("message {number} of {len} bytes did not arrive as it was sent").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::link::Stream;

    #[test]
    fn a_message_that_changed_on_its_way_is_noticed() {
        for (message, number) in [(&[7, 0, 7][..], 7), (&[0, 1, 0], 256), (&[5], 5)] {
            check(message, message.len(), number).unwrap();
        }
        for (message, number) in [(&[7, 0, 6][..], 7), (&[6, 0, 7], 7), (&[7, 7], 7), (&[], 0)] {
            assert!(check(message, 3, number).is_err(), "{message:?}");
        }
    }

    #[test]
    fn what_is_sent_is_counted_without_the_warm_up() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader, writer);
        for (part, count) in [("warm-up", 3), ("counted", 5)] {
            let mut message = Message::new(16);
            for number in 0..count {
                message.mark(number);
                stream.send(&message).expect(part);
            }
            stream.send(&Message::end()).expect(part);
        }
        assert_eq!(consume(&mut stream, 16).unwrap().messages, 5);
    }
}
