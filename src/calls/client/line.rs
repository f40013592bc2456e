//! What connects a client with a server, for one generation.

use crate::error::channel::{CallError, Departure};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{OWNER, cursor, roster};
use crate::lane::lossless::{GatedReader, GatedWriter};
use crate::segment::owner_monitor::Watch;
use crate::segment::participant::Seat;
use crate::segment::roster::JOINED;
use crate::segment::{Cursor, Found, Head};
use crate::sync::{Fixed, Round, Window, WindowMut, Words};
use std::time::Instant;

type Responses = GatedReader<Window<Round>, WindowMut<Fixed<{ cursor::LEN }>>>;

/// What connects a client with a server.
pub(super) struct Line {
    pub requests: GatedWriter<WindowMut<Round>, WindowMut<Head>, Window<Cursor>>,
    pub responses: Responses,
    pub cursor: WindowMut<Fixed<{ cursor::LEN }>>,
    /// How many calls were begun in this slot.
    pub begun: u64,
    pub watch: Watch,
    /// How it ended.
    pub end: Option<Departure>,
    /// It was seen that the server receives no more requests.
    pub is_draining: bool,
    pub seat: Seat,
    // Declared last, and so let go last.
    pub found: Found,
}

impl Line {
    // layout: L104 L145
    pub fn join(found: Found) -> Result<Line> {
        let watch = Watch::begin(&found)?;
        let measures = found.measures;
        let mut seat = found.take_seat(&found.roster()?, measures.lanes)?;
        let slot = seat.slot();
        let lane = found.lane_mut(slot)?;
        let requests =
            GatedWriter::resume(lane.ring, lane.head, found.cursor(slot), measures.shape);
        let cursor = seat.roster().cursor(slot);
        let lane = found.responses(slot)?;
        let responses = GatedReader::behind_all(lane.ring, cursor.clone(), measures.shape);
        let (Some(requests), Some(mut responses)) = (requests, responses) else {
            let kind = ErrorKind::Corrupt;
            let meaning = "an earlier client left what is no message";
            let error = Error::new(kind, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("restart the server"));
        };
        // There is one lane to look at.
        responses.begin_turn(1 << 60);
        let roster = seat.roster();
        roster.set_beginning(slot, requests.position());
        roster.set_state(slot, roster::state::ACTIVE);
        roster.tell(JOINED);
        // So that it watches us too.
        seat.wake(1 << OWNER);
        Ok(Line {
            requests,
            responses,
            // What the last tenant asked may be answered still, by a number that is not ours.
            begun: cursor.load64(cursor::NUMBER),
            cursor,
            watch,
            end: None,
            is_draining: false,
            seat,
            found,
        })
    }

    pub fn in_flight(&self) -> usize {
        self.found.measures.in_flight
    }

    /// Whether there is something that was not looked at yet.
    pub fn has_news(&self) -> bool {
        has_news(&self.responses, self.is_draining, &self.found)
    }

    /// Sleeps until there is something to look at, or that moment.
    pub fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        let Line {
            responses,
            watch,
            seat,
            found,
            is_draining,
            ..
        } = self;
        let has_news = || has_news(responses, *is_draining, found);
        watch.sleep(found, Some(seat), has_news, until)
    }

    /// Refuses a request that the server would not receive.
    // layout: L102 L146
    pub fn expect_server(&self) -> std::result::Result<(), CallError> {
        match self.found.is_draining() {
            true => Err(CallError::Disconnected(Departure::Closed)),
            false => Ok(()),
        }
    }
}

/// Whether there are responses, or it was not seen yet that the server receives no more requests.
fn has_news(responses: &Responses, is_draining: bool, found: &Found) -> bool {
    !responses.is_empty() || !is_draining && found.is_draining()
}

#[cfg(test)]
mod tests {
    use crate::calls::client::Client;
    use crate::calls::server::Server;

    /// A response to a call of the last client can arrive when the next one has the slot.
    // layout: L145
    #[test]
    fn next_client_in_a_slot_uses_no_number_of_the_last() {
        let name = format!("shmkit-test-line-{}", std::process::id());
        let _server = Server::options().clients(1).create(&*name).unwrap();
        let mut first = Client::open(&*name).unwrap();
        let begun = first.line.begun;
        for _ in 0..3 {
            drop(first.send(b"a call").unwrap());
        }
        drop(first);

        let second = Client::open(&*name).unwrap();
        assert_eq!(second.line.begun, begun + 3);
    }
}
