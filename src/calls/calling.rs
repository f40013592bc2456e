//! How a client begins calls, and assigns responses to them.
//!
//! ```text
//!   begin(request, deadline)
//!     1  this process was forked?              return Forked
//!        the server has ended, or END is set?  join the next server, or return Disconnected
//!        DRAINING is set?                      return Disconnected
//!        longer than the longest message?      return TooLong
//!     2  find a place among the calls that can be open
//!          none is free: take responses until one is free, or return Full
//!     3  number = how many calls were begun << bits | place
//!        store the count in NUMBER of the cursor
//!        send the request with the number as its tag; wake the server if it sleeps
//!
//!   poll, while a program waits for a call
//!     1  take each response, and assign it to the call with its number
//!     2  DRAINING is new?                      the calls that the server has not received are lost
//!     3  END, or the server is dead?           take the responses once more;
//!                                              then all calls without a response are lost
//! ```

use super::connection::Connection;
use super::pending::{Call, PendingCall, State};
use crate::error::Result;
use crate::error::channel::{CallError, DisconnectReason, Fault};
use crate::format::layout::{cursor, record};
use crate::lane::Step;
use crate::name::Name;
use crate::os::ValidityBackend;
use crate::segment::geometry::CALLS;
use crate::segment::owner_monitor::Reattach;
use crate::segment::participant::Participant;
use crate::segment::roster::WakeTarget;
use crate::segment::{Found, HowToJoin};
use crate::sync::{AtomicBool, Ordering, WordsMut};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A client, for messages of any type.
pub struct Calling {
    pub(super) connection: Connection,
    calls: Vec<PendingCall>,
    /// The index at which the search for a free place begins.
    next: usize,
}

impl Calling {
    pub fn open(how: &HowToJoin, name: &Name) -> Result<Calling> {
        how.join(name, CALLS, Connection::join).map(Calling::new)
    }

    fn new(connection: Connection) -> Calling {
        let mut client = Calling {
            connection,
            calls: Vec::new(),
            next: 0,
        };
        client.make_places();
        client
    }

    /// Creates a place for each call that can be open.
    fn make_places(&mut self) {
        let count = self.connection.in_flight().max(self.calls.len());
        self.calls.resize_with(count, || PendingCall {
            state: State::Free,
            number: 0,
            position: 0,
            response: Vec::new(),
            is_told: false,
            held: Arc::new(AtomicBool::new(false)),
        });
    }

    pub fn found(&self) -> &Found {
        &self.connection.found
    }

    pub fn in_flight(&self) -> usize {
        self.connection.in_flight()
    }

    pub fn max_message(&self) -> usize {
        self.connection.found.geometry.max()
    }

    /// Sends a request, and waits for the response.
    #[inline]
    pub fn call(&mut self, request: &[u8], deadline: Deadline) -> Result<&[u8], CallError> {
        let index = self.begin(request, deadline)?;
        self.wait(index, deadline)?;
        self.response(index)
    }

    /// Sends a request, without waiting for the response.
    pub fn send(&mut self, request: &[u8], deadline: Deadline) -> Result<Call, CallError> {
        let index = self.begin(request, deadline)?;
        Ok(self.hand_out(index))
    }

    /// Waits for the response to a call that was sent.
    pub fn recv(&mut self, call: &Call, deadline: Deadline) -> Result<&[u8], CallError> {
        let index = self.index(call);
        self.wait(index, deadline)?;
        self.response(index)
    }

    fn hand_out(&self, index: usize) -> Call {
        let pending = &self.calls[index];
        // Relaxed: the word says nothing about other memory.
        pending.held.store(true, Ordering::Relaxed);
        Call {
            index,
            held: Arc::clone(&pending.held),
        }
    }

    pub fn index(&self, call: &Call) -> usize {
        let own = self.calls.get(call.index);
        let is_own = own.is_some_and(|pending| Arc::ptr_eq(&pending.held, &call.held));
        assert!(is_own, "a call of another client");
        call.index
    }

    /// Returns the response to a call that is over, or the reason why there is none.
    pub fn response(&mut self, index: usize) -> Result<&[u8], CallError> {
        let pending = &mut self.calls[index];
        pending.is_told = true;
        match pending.state {
            State::Answered => Ok(&pending.response),
            State::Lost(how) => Err(CallError::Disconnected(how)),
            _ => Err(CallError::Unanswered),
        }
    }

    /// Begins a call, and returns the index of its place.
    // layout: L141 L146
    #[inline]
    pub fn begin(&mut self, request: &[u8], deadline: Deadline) -> Result<usize, CallError> {
        self.check()?;
        if self.connection.end.is_some() || self.connection.found.is_ended() {
            self.go_on()?;
        }
        self.connection.expect_server()?;

        let (len, max) = (request.len(), self.max_message());
        if len > max {
            return Err(CallError::TooLong { len, max });
        }

        let index = match self.place() {
            Some(index) => index,
            None => self.wait_for_place(deadline)?,
        };

        let connection = &mut self.connection;
        connection.begun = connection.begun.wrapping_add(1);
        let bits = connection.in_flight().trailing_zeros();
        let number = (connection.begun as u32) << bits | index as u32;
        let pending = &mut self.calls[index];
        pending.number = number & !record::UNANSWERED;
        // Stored before the request is sent, for the next occupant of the slot: that client must
        // not mistake the response for its own.
        connection.cursor.store64(cursor::NUMBER, connection.begun);
        let number = pending.number;
        pending.position = connection.requests.position();

        while !self.connection.requests.try_send_tagged(request, number) {
            // There is no space only if an earlier client of this slot has left requests.
            self.wait_for_room(len, deadline)?;
            self.connection.expect_server()?;
            self.calls[index].position = self.connection.requests.position();
        }
        self.calls[index].state = State::Asked;
        self.calls[index].is_told = false;
        self.next = index;
        let Connection {
            participant, found, ..
        } = &mut self.connection;
        if participant.has_to_tell_owner() {
            participant.tell_news(&found.control);
            participant.wake(WakeTarget::Owner);
        }
        Ok(index)
    }

    // layout: L147
    #[cold]
    fn wait_for_room(&mut self, len: usize, deadline: Deadline) -> Result<(), CallError> {
        let until = deadline.instant_or(CallError::Full)?;
        let Connection {
            requests,
            owner_monitor,
            participant,
            found,
            ..
        } = &mut self.connection;
        participant.wake(WakeTarget::Owner);
        let mut ready = || requests.has_room(len) || found.is_draining();

        let mut spin = Spin::new(until);
        while spin.again() {
            if ready() {
                return Ok(());
            }
        }

        if owner_monitor.look(found) {
            let how = owner_monitor.tell().unwrap_or(DisconnectReason::Closed);
            self.lose_all(how);
            return Err(CallError::Disconnected(how));
        }
        if until.is_some_and(|at| Instant::now() >= at) {
            return Err(CallError::Timeout);
        }
        owner_monitor.sleep(found, Some(participant), 0, ready, until)?;
        Ok(())
    }

    /// Returns an error if this process was forked from the process that opened the client.
    #[inline(always)]
    fn check(&self) -> Result<(), CallError> {
        match self.connection.participant.validity.check() {
            Err(Fault::Forked) => Err(CallError::Forked),
            // A client owns no name.
            Ok(()) | Err(Fault::NameLost) => Ok(()),
        }
    }

    /// Reattaches to the next server, or returns an error if there is none. The calls that the last
    /// server has not answered are lost.
    #[cold]
    fn go_on(&mut self) -> Result<(), CallError> {
        let how = self.leave();
        match self.reattach()? {
            true => Ok(()),
            false => Err(CallError::Disconnected(how)),
        }
    }

    /// Takes the responses that the server has sent, and returns why the server is gone.
    // layout: L150
    fn leave(&mut self) -> DisconnectReason {
        let said = self.connection.found.reason();
        let how = self
            .connection
            .end
            .or(said)
            .unwrap_or(DisconnectReason::Died);
        // An invalid response is no response either.
        let _ = self.take_all();
        self.lose_all(how);
        how
    }

    fn reattach(&mut self) -> Result<bool> {
        self.connection.participant.check()?;
        let Some(connection) = self.connection.found.follow(CALLS, Connection::join)? else {
            return Ok(false);
        };
        self.leave();
        self.connection = connection;
        self.next = 0;
        self.make_places();
        Ok(true)
    }

    /// Marks the open calls as lost: no response will come.
    fn lose_all(&mut self, how: DisconnectReason) {
        self.connection.end = Some(how);
        let asked = self
            .calls
            .iter_mut()
            .filter(|pending| pending.state == State::Asked);
        asked.for_each(|pending| pending.state = State::Lost(how));
    }

    /// Marks each open call whose request the server has not received as lost: the server will not
    /// receive the request any more. The other calls may still be answered.
    // layout: L149
    #[cold]
    fn lose_what_was_not_received(&mut self) {
        for pending in &mut self.calls {
            if pending.state == State::Asked
                && !self.connection.requests.has_received(pending.position)
            {
                pending.state = State::Lost(DisconnectReason::Closed);
            }
        }
    }

    /// Returns the index of a place that is free, or of a place whose call is over and not held.
    // layout: L142
    #[inline]
    fn place(&self) -> Option<usize> {
        let count = self.in_flight();
        (0..count).map(|n| (self.next + n) % count).find(|index| {
            let pending = &self.calls[*index];
            pending.state != State::Asked && !pending.is_held()
        })
    }

    /// Returns whether each of the calls that can be open is held by a [`Call`].
    pub fn is_all_held(&self) -> bool {
        self.calls[..self.in_flight()]
            .iter()
            .all(PendingCall::is_held)
    }

    #[cfg(feature = "async")]
    pub fn has_place_for(&mut self, request: usize) -> bool {
        self.place().is_some() && self.connection.requests.has_room(request)
    }

    /// Returns whether there are responses, or whether no more responses will come.
    pub fn has_responses(&mut self) -> bool {
        let connection = &mut self.connection;
        connection.has_news()
            || connection.participant.validity.is_faulty()
            || connection.owner_monitor.has_news(&connection.found)
    }

    // layout: L147
    #[cold]
    fn wait_for_place(&mut self, deadline: Deadline) -> Result<usize, CallError> {
        loop {
            self.take_all()?;
            if let Some(index) = self.place() {
                return Ok(index);
            }
            if self.is_all_held() {
                return Err(CallError::Full);
            }

            let until = deadline.instant_or(CallError::Full)?;
            // A server that drains may answer the requests that it has received. A place that
            // becomes free then is of no use.
            let is_over = |client: &Calling| {
                client.place().is_some() || client.connection.found.is_draining()
            };
            self.wait_until(is_over, until)?;

            // There may be a place now, but there is no server.
            if let Some(how) = self.connection.end {
                return Err(CallError::Disconnected(how));
            }
            self.connection.expect_server()?;
        }
    }

    #[inline]
    pub fn is_over(&self, index: usize) -> bool {
        self.calls[index].state != State::Asked
    }

    /// Waits until a call is over.
    #[inline]
    fn wait(&mut self, index: usize, deadline: Deadline) -> Result<(), CallError> {
        match deadline.instant_or(()) {
            Ok(until) => self.wait_until(|client| client.is_over(index), until),
            Err(()) => match self.poll(|client| client.is_over(index))? {
                true => Ok(()),
                false => Err(CallError::Empty),
            },
        }
    }

    /// Waits until `done` is true, while responses arrive.
    #[inline]
    fn wait_until(
        &mut self,
        done: impl Fn(&Calling) -> bool,
        until: Option<Instant>,
    ) -> Result<(), CallError> {
        loop {
            let mut spin = Spin::new(until);
            loop {
                if self.poll(&done)? {
                    return Ok(());
                }
                if !spin.again() {
                    break;
                }
            }
            if until.is_some_and(|at| Instant::now() >= at) {
                return Err(CallError::Timeout);
            }
            self.connection.sleep(until)?;
        }
    }

    /// Takes the responses that are there, and returns whether `done` is true afterwards.
    // layout: L149 L150
    #[inline]
    pub fn poll(&mut self, done: impl Fn(&Calling) -> bool) -> Result<bool, CallError> {
        if done(self) {
            return Ok(true);
        }
        self.check()?;

        if self.take_until(&done)? {
            return Ok(true);
        }

        if !self.connection.is_draining && self.connection.found.is_draining() {
            self.connection.is_draining = true;
            self.lose_what_was_not_received();
            return Ok(done(self));
        }

        if !self.connection.owner_monitor.look(&self.connection.found) {
            return Ok(false);
        }
        // The responses that were sent before the end are visible now.
        self.take_all()?;
        let how = self.connection.owner_monitor.tell();
        self.lose_all(
            how.or(self.connection.end)
                .unwrap_or(DisconnectReason::Closed),
        );
        Ok(done(self))
    }

    fn take_all(&mut self) -> Result<(), CallError> {
        self.take_until(|_| false).map(drop)
    }

    /// Assigns responses to their calls until `done` is true; `false` if there are too few
    /// responses.
    // layout: L181
    #[inline]
    fn take_until(&mut self, done: impl Fn(&Calling) -> bool) -> Result<bool, CallError> {
        // A ring holds no more records than this at a time. The limit bounds the walk over a
        // corrupted ring.
        let most = self.connection.found.geometry.capacity() / record::ALIGN as u64;
        for _ in 0..most {
            if !self.take_one()? {
                return Ok(false);
            }
            if done(self) {
                return Ok(true);
            }
        }
        Err(CallError::Corrupt)
    }

    /// Assigns the next response to its call; `false` if there is no response.
    // layout: L148 L185
    #[inline]
    fn take_one(&mut self) -> Result<bool, CallError> {
        let in_flight = self.in_flight();
        let responses = &mut self.connection.responses;
        let len = match responses.find_quickly() {
            Some(len) => len,
            None => match responses.find() {
                Step::Message(len) => len,
                Step::Nothing => return Ok(false),
                _ => return Err(CallError::Corrupt),
            },
        };

        let tag = responses.tag();
        let number = tag & !record::UNANSWERED;
        let index = number as usize & (in_flight - 1);
        let pending = &mut self.calls[index];

        // Otherwise the response is for an earlier occupant of the slot.
        if pending.state == State::Asked && pending.number == number {
            pending.state = match tag == number {
                true => State::Answered,
                false => State::Unanswered,
            };
            pending.response.resize(len, 0);
            responses.copy(0, &mut pending.response);
        }
        responses.pass();
        Ok(true)
    }
}

impl Reattach for Calling {
    fn parts(&mut self) -> (&Found, Option<&mut Participant>) {
        (
            &self.connection.found,
            Some(&mut self.connection.participant),
        )
    }

    fn reattach_if_ended(&mut self) -> Result<bool> {
        self.reattach()
    }
}

impl Wait for Calling {
    fn has_news(&mut self) -> bool {
        let mut is_any_open = false;
        for pending in self.calls.iter().filter(|pending| pending.is_held()) {
            match pending.state {
                State::Free => {}
                State::Asked => is_any_open = true,
                State::Answered | State::Unanswered | State::Lost(_) if pending.is_told => {}
                State::Answered | State::Unanswered | State::Lost(_) => return true,
            }
        }
        is_any_open && self.has_responses()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let connection = &mut self.connection;
        connection
            .owner_monitor
            .register(Some(&mut connection.participant), 0, signals)
    }

    fn deregister(&mut self) {
        self.connection.participant.deregister();
    }

    fn woken(&mut self) -> Result<bool> {
        self.connection
            .owner_monitor
            .look_whether_alive(&self.connection.found);
        Ok(self.has_news())
    }
}

impl fmt::Debug for Calling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.found().name)
            .field("generation", &self.found().generation)
            .finish_non_exhaustive()
    }
}
