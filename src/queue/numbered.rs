//! How a sender sends messages with source numbers.

use super::sending::Sending;
use crate::error::channel::SendError;
use crate::wait::spin::Deadline;

impl Sending {
    /// Returns the number of the last message with a number that a sender with this key has sent.
    pub fn last_number(&self) -> Option<u64> {
        let connection = &self.connection;
        let source = connection.source.as_ref()?;
        source.last(connection.lane.committed())
    }

    /// Sends a message with a source number, and waits for space until the deadline. With `hold` the
    /// message is added to a batch. Returns whether the messages that were added before are sent.
    pub fn send_numbered(
        &mut self,
        number: u64,
        message: &[u8],
        (deadline, hold): (Deadline, bool),
    ) -> Result<bool, SendError> {
        let mut has_sent = false;
        loop {
            self.check(message.len())?;
            if let Some(place) = self.connection.lane.admit(message.len()) {
                self.note_number(place, number)?;
                self.connection.lane.write_at(place, message, hold);
                if !hold {
                    self.sent();
                }
                return Ok(has_sent);
            }
            has_sent = true;
            self.wait_or_refuse(message.len(), deadline)?;
        }
    }
}
