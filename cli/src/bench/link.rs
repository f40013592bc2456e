//! What carries messages: every transport by the same two calls.

use shmkit::{Receiver, Sender};
use std::error::Error;
use std::io::{BufReader, Read, Write};

/// Fails in more ways than one would care to tell apart: what failed is said as it is.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long the length is that streams need in front of each message.
const HEADER: usize = 4;

/// How much of a stream is read at a time, so that short messages share a call.
const READ_AHEAD: usize = 64 << 10;

/// A message, with its length in front: one buffer, and so one call, for streams too.
pub struct Message(Vec<u8>);

impl Message {
    /// # Panics
    ///
    /// Never for what a queue takes, which is far less than 4 GiB.
    pub fn new(len: usize) -> Message {
        let header = u32::try_from(len).expect("a queue takes less");
        let mut frame = vec![0; HEADER + len];
        frame[..HEADER].copy_from_slice(&header.to_le_bytes());
        Message(frame)
    }

    /// What says that nothing more comes: a message without content.
    pub fn end() -> Message {
        Message::new(0)
    }

    /// Writes its number at both ends, as much of it as a byte holds.
    #[inline]
    pub fn mark(&mut self, number: u64) {
        let mark = number as u8;
        self.0[HEADER] = mark;
        if let Some(last) = self.0.last_mut() {
            *last = mark;
        }
    }

    #[inline]
    pub fn body(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    fn frame(&self) -> &[u8] {
        &self.0
    }
}

/// A way to the other process, and back.
pub trait Link {
    fn send(&mut self, message: &Message) -> Result<()>;

    /// Waits for the next message.
    fn receive(&mut self) -> Result<&[u8]>;
}

/// Shared memory: a queue in each direction.
pub struct Queues {
    pub inbox: Receiver,
    pub outbox: Sender,
}

impl Link for Queues {
    #[inline]
    fn send(&mut self, message: &Message) -> Result<()> {
        Ok(self.outbox.send(message.body())?)
    }

    #[inline]
    fn receive(&mut self) -> Result<&[u8]> {
        Ok(self.inbox.recv()?)
    }
}

/// Bytes in order: a pipe or a socket.
pub struct Stream {
    reader: BufReader<Box<dyn Read>>,
    writer: Box<dyn Write>,
    buffer: Vec<u8>,
}

impl Stream {
    pub fn new(reader: impl Read + 'static, writer: impl Write + 'static) -> Stream {
        Stream {
            reader: BufReader::with_capacity(READ_AHEAD, Box::new(reader)),
            writer: Box::new(writer),
            buffer: Vec::new(),
        }
    }
}

impl Link for Stream {
    fn send(&mut self, message: &Message) -> Result<()> {
        Ok(self.writer.write_all(message.frame())?)
    }

    fn receive(&mut self) -> Result<&[u8]> {
        let mut header = [0; HEADER];
        self.reader.read_exact(&mut header)?;
        let len = u32::from_le_bytes(header) as usize;
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let message = &mut self.buffer[..len];
        self.reader.read_exact(message)?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_bounds_in_a_stream() {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader, writer);
        let mut message = Message::new(3);
        message.mark(0x107);
        stream.send(&message).unwrap();
        stream.send(&Message::end()).unwrap();
        assert_eq!(stream.receive().unwrap(), [7, 0, 7]);
        assert!(stream.receive().unwrap().is_empty());
    }
}
