//! The connection of a client with the server of one generation.

use crate::error::channel::{CallError, DisconnectReason};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::layout::{cursor, roster};
use crate::lane::lossless::{LosslessReader, LosslessWriter};
use crate::lane::ring::RingGeometry;
use crate::segment::owner_monitor::OwnerMonitor;
use crate::segment::participant::Participant;
use crate::segment::roster::{JOINED, WakeTarget};
use crate::segment::{Cursor, Found, Head};
use crate::sync::{Fixed, RingWindow, RingWindowMut, Window, WindowMut, Words};
use std::time::Instant;

type Responses = LosslessReader<RingWindow, WindowMut<Fixed<{ cursor::LEN }>>>;

/// The connection of a client with the server of one generation.
pub(super) struct Connection {
    pub requests: LosslessWriter<RingWindowMut, WindowMut<Head>, Window<Cursor>>,
    pub responses: Responses,
    pub cursor: WindowMut<Fixed<{ cursor::LEN }>>,
    /// How many calls were begun in this slot, by all its occupants.
    pub begun: u64,
    pub owner_monitor: OwnerMonitor,
    /// Why the server is gone, if it is gone.
    pub end: Option<DisconnectReason>,
    /// Whether this client has seen that the server receives no more requests.
    pub is_draining: bool,
    pub participant: Participant,
    // Declared last, so that it is dropped last.
    pub found: Found,
}

impl Connection {
    // layout: L104 L145
    pub fn join(found: Found, ring: RingGeometry) -> Result<Connection> {
        let owner_monitor = OwnerMonitor::begin(&found)?;
        let mut participant = found.take_slot(&found.roster()?)?;
        let slot = participant.slot();

        let lane = found.lane_mut(slot)?;
        let requests = LosslessWriter::resume(lane.ring, lane.head, found.cursor(slot), ring);

        let cursor = participant.roster().cursor(slot);
        let lane = found.responses(slot)?;
        let responses = LosslessReader::behind_all(lane.ring, cursor.clone(), ring);

        let (Some(requests), Some(mut responses)) = (requests, responses) else {
            let kind = ErrorKind::Corrupt;
            let meaning = "an earlier client left an invalid message";
            let error = Error::new(kind, Operation::Open, &found.name, meaning);
            return Err(error.with_advice("restart the server"));
        };
        // There is only one lane to look at.
        responses.begin_turn(1 << 60);

        let roster = participant.roster();
        roster.set_beginning(slot, requests.position());
        roster.set_state(slot, roster::state::ACTIVE);
        roster.tell(JOINED);
        // The owner is woken, so that it watches this process too.
        participant.wake(WakeTarget::Owner);

        Ok(Connection {
            requests,
            responses,
            // A request of the last occupant may still be answered, with a number that this client
            // does not use.
            begun: cursor.load64(cursor::NUMBER),
            cursor,
            owner_monitor,
            end: None,
            is_draining: false,
            participant,
            found,
        })
    }

    pub fn in_flight(&self) -> usize {
        self.found.geometry.in_flight()
    }

    /// Returns whether there is something that this client has not looked at yet.
    pub fn has_news(&self) -> bool {
        has_news(&self.responses, self.is_draining, &self.found)
    }

    /// Sleeps until there is something to look at, or until the deadline.
    pub fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        let Connection {
            responses,
            owner_monitor,
            participant,
            found,
            is_draining,
            ..
        } = self;
        let has_news = || has_news(responses, *is_draining, found);
        owner_monitor.sleep(found, Some(participant), 0, has_news, until)
    }

    /// Returns an error if the server would not receive a request.
    // layout: L102 L146
    pub fn expect_server(&self) -> Result<(), CallError> {
        match self.found.is_draining() {
            true => Err(CallError::Disconnected(DisconnectReason::Closed)),
            false => Ok(()),
        }
    }
}

/// Returns whether there are responses, or whether the client has not seen yet that the server
/// receives no more requests.
fn has_news(responses: &Responses, is_draining: bool, found: &Found) -> bool {
    !responses.is_empty() || !is_draining && found.is_draining()
}
