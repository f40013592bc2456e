//! A connection to the other process, and the work of both processes on a connection.

use shmkit::{Receiver, Sender};
use shmkit_measure::{Flow, Inbox, Message, Outbox, Result, Times};
use shmkit_measure::{answer, ask, consume, ends, produce};
use std::io::{BufReader, Read, Write};
use std::time::Duration;

/// The number of bytes of the length that a stream has in front of each message.
const HEADER: usize = 4;

/// The number of bytes of a stream that are read at a time, so that one call reads many short
/// messages.
const READ_AHEAD: usize = 64 << 10;

/// Each measurement begins with a warm-up, which is not counted. The warm-up takes the time of the
/// measurement divided by this number.
const WARM_UP: u32 = 10;

/// A connection to the other process, in both directions.
pub struct Link<O, I> {
    pub outbox: O,
    pub inbox: I,
}

/// Shared memory: a queue in each direction.
pub type Queues = Link<Sender, Receiver>;

/// A stream of bytes in each direction: a pipe or a socket.
pub type Stream = Link<Writing, Reading>;

impl<O: Outbox, I: Inbox> Link<O, I> {
    /// Measures round trips, and then a stream of messages to this process.
    pub fn measure(&mut self, len: usize, time: Duration) -> Result<(Times, Flow)> {
        ask(&mut self.outbox, &mut self.inbox, len, time / WARM_UP)?;
        let trips = ask(&mut self.outbox, &mut self.inbox, len, time)?;
        consume(&mut self.inbox, len, ends)?;
        Ok((trips, consume(&mut self.inbox, len, ends)?))
    }

    /// Does the part of the second process in [`Link::measure`].
    pub fn serve(&mut self, len: usize, time: Duration) -> Result<()> {
        for _ in 0..2 {
            answer(&mut self.outbox, &mut self.inbox, len)?;
        }
        produce(&mut self.outbox, len, time / WARM_UP)?;
        produce(&mut self.outbox, len, time)
    }
}

impl Stream {
    pub fn new(reader: impl Read + 'static, writer: impl Write + 'static) -> Stream {
        Link {
            outbox: Writing(Box::new(writer)),
            inbox: Reading {
                reader: BufReader::with_capacity(READ_AHEAD, Box::new(reader)),
                buffer: Vec::new(),
            },
        }
    }
}

/// The writing end of a stream.
pub struct Writing(Box<dyn Write>);

impl Outbox for Writing {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        Ok(self.0.write_all(message.frame())?)
    }
}

/// The reading end of a stream.
pub struct Reading {
    reader: BufReader<Box<dyn Read>>,
    buffer: Vec<u8>,
}

impl Inbox for Reading {
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let mut header = [0; HEADER];
        self.reader.read_exact(&mut header)?;
        let len = u32::from_le_bytes(header) as usize;
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let message = &mut self.buffer[..len];
        self.reader.read_exact(message)?;
        Ok(look(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmkit_measure::Burst;

    #[test]
    fn stream_preserves_message_boundaries() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader, writer);
        let mut message = Burst::new(3, 1);
        message.number(7);
        stream.outbox.send(message.first()).unwrap();
        stream.outbox.send(Burst::new(0, 1).first()).unwrap();
        let mut receive = || stream.inbox.receive(<[u8]>::to_vec).unwrap();
        assert_eq!(receive(), [7, 0, 7]);
        assert!(receive().is_empty());
    }

    #[test]
    fn stream_measurement_excludes_warm_up() {
        let stream = || {
            let (reader, writer) = std::io::pipe().unwrap();
            (reader, writer)
        };
        let ((from_here, to_there), (from_there, to_here)) = (stream(), stream());
        let time = Duration::from_millis(10);
        let (times, flow) = std::thread::scope(|scope| {
            scope.spawn(move || Stream::new(from_here, to_here).serve(16, time).unwrap());
            Stream::new(from_there, to_there).measure(16, time).unwrap()
        });
        assert!(times.count() > 0 && flow.messages > 0);
        assert!(flow.time < 5 * time, "{flow:?}");
    }
}
