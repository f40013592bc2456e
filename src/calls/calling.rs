//! How a client begins calls, and puts responses to them.

use super::connection::Connection;
use super::pending::{Call, PendingCall, State};
use crate::error::Result;
use crate::error::channel::{CallError, DisconnectReason, Fault};
use crate::format::layout::{OWNER, cursor, record};
use crate::lane::Step;
use crate::name::Name;
use crate::os::ValidityBackend;
use crate::segment::geometry::CALLS;
use crate::segment::owner_monitor::Reattach;
use crate::segment::participant::Participant;
use crate::segment::{Found, HowToJoin};
use crate::sync::{AtomicBool, Ordering, WordsMut};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Spin};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A client, whatever its messages are.
pub struct Calling {
    pub(super) connection: Connection,
    calls: Vec<PendingCall>,
    /// Where to look for a place for the next one.
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

    /// One for each call that can be open.
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
    pub fn call(
        &mut self,
        request: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<&[u8], CallError> {
        let index = self.begin(request, deadline)?;
        self.wait(index, deadline)?;
        self.response(index)
    }

    /// Sends a request, and does not wait for the response.
    pub fn send(
        &mut self,
        request: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<Call, CallError> {
        let index = self.begin(request, deadline)?;
        Ok(self.hand_out(index))
    }

    /// Waits for the response to a call that was sent.
    pub fn recv(
        &mut self,
        call: &Call,
        deadline: Deadline,
    ) -> std::result::Result<&[u8], CallError> {
        let index = self.index(call);
        self.wait(index, deadline)?;
        self.response(index)
    }

    fn hand_out(&self, index: usize) -> Call {
        let pending = &self.calls[index];
        // Relaxed: as above.
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

    /// What a call has come to that is over.
    pub fn response(&mut self, index: usize) -> std::result::Result<&[u8], CallError> {
        let pending = &mut self.calls[index];
        pending.is_told = true;
        match pending.state {
            State::Answered => Ok(&pending.response),
            State::Lost(how) => Err(CallError::Disconnected(how)),
            _ => Err(CallError::Unanswered),
        }
    }

    /// Begins a call, and says which it is.
    // layout: L141 L146
    #[inline]
    pub fn begin(
        &mut self,
        request: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<usize, CallError> {
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
        // For the next occupant, who must not take it for its own: before it is sent.
        connection.cursor.store64(cursor::NUMBER, connection.begun);
        let number = pending.number;
        pending.position = connection.requests.position();
        while !self.connection.requests.try_send_tagged(request, number) {
            // Where an earlier client of this slot has left requests.
            self.wait_for_room(len, deadline)?;
            self.connection.expect_server()?;
            self.calls[index].position = self.connection.requests.position();
        }
        self.calls[index].state = State::Asked;
        self.calls[index].is_told = false;
        self.next = index;
        self.connection.participant.wake(1 << OWNER);
        Ok(index)
    }

    // layout: L147
    #[cold]
    fn wait_for_room(
        &mut self,
        len: usize,
        deadline: Deadline,
    ) -> std::result::Result<(), CallError> {
        let until = deadline.instant_or(CallError::Full)?;
        let Connection {
            requests,
            owner_monitor,
            participant,
            found,
            ..
        } = &mut self.connection;
        participant.wake(1 << OWNER);
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
        owner_monitor.sleep(found, Some(participant), ready, until)?;
        Ok(())
    }

    /// Tells that this process was forked from that of the client.
    #[inline(always)]
    fn check(&self) -> std::result::Result<(), CallError> {
        match self.connection.participant.validity.check() {
            Err(Fault::Forked) => Err(CallError::Forked),
            // A client owns no name.
            Ok(()) | Err(Fault::NameLost) => Ok(()),
        }
    }

    /// Goes on with the next server, where there is one. What the one before has not answered
    /// is lost.
    #[cold]
    fn go_on(&mut self) -> std::result::Result<(), CallError> {
        let how = self.leave();
        match self.reattach()? {
            true => Ok(()),
            false => Err(CallError::Disconnected(how)),
        }
    }

    /// Takes what the server had answered, and says how it has gone.
    // layout: L150
    fn leave(&mut self) -> DisconnectReason {
        let said = self.connection.found.reason();
        let how = self
            .connection
            .end
            .or(said)
            .unwrap_or(DisconnectReason::Died);
        // What makes no sense is no answer either.
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

    /// No response will come.
    fn lose_all(&mut self, how: DisconnectReason) {
        self.connection.end = Some(how);
        let asked = self
            .calls
            .iter_mut()
            .filter(|pending| pending.state == State::Asked);
        asked.for_each(|pending| pending.state = State::Lost(how));
    }

    /// The server will receive no more requests. Those that it has received may be answered.
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

    /// A place that is free, or had a call that is over and of no interest.
    // layout: L142
    #[inline]
    fn place(&self) -> Option<usize> {
        let count = self.in_flight();
        (0..count).map(|n| (self.next + n) % count).find(|index| {
            let pending = &self.calls[*index];
            pending.state != State::Asked && !pending.is_held()
        })
    }

    /// Whether somebody may ask for each of the calls that can be open.
    pub fn is_all_held(&self) -> bool {
        self.calls[..self.in_flight()]
            .iter()
            .all(PendingCall::is_held)
    }

    #[cfg(feature = "async")]
    pub fn has_place_for(&mut self, request: usize) -> bool {
        self.place().is_some() && self.connection.requests.has_room(request)
    }

    /// Whether responses have come, or none will.
    pub fn has_responses(&mut self) -> bool {
        let connection = &mut self.connection;
        connection.has_news()
            || connection.participant.validity.is_faulty()
            || connection.owner_monitor.has_news(&connection.found)
    }

    // layout: L147
    #[cold]
    fn wait_for_place(&mut self, deadline: Deadline) -> std::result::Result<usize, CallError> {
        loop {
            self.take_all()?;
            if let Some(index) = self.place() {
                return Ok(index);
            }
            if self.is_all_held() {
                return Err(CallError::Full);
            }
            let until = deadline.instant_or(CallError::Full)?;
            // A server that receives no more requests answers those that it has, or not: a place
            // that comes free then is of no use.
            let is_over = |client: &Calling| {
                client.place().is_some() || client.connection.found.is_draining()
            };
            self.wait_until(is_over, until)?;
            // There are places, but nobody to ask.
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
    fn wait(&mut self, index: usize, deadline: Deadline) -> std::result::Result<(), CallError> {
        match deadline.instant_or(()) {
            Ok(until) => self.wait_until(|client| client.is_over(index), until),
            Err(()) => match self.poll(|client| client.is_over(index))? {
                true => Ok(()),
                false => Err(CallError::Empty),
            },
        }
    }

    /// Waits until responses have brought this about.
    #[inline]
    fn wait_until(
        &mut self,
        done: impl Fn(&Calling) -> bool,
        until: Option<Instant>,
    ) -> std::result::Result<(), CallError> {
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

    /// Looks whether responses have brought this about.
    // layout: L149 L150
    #[inline]
    pub fn poll(
        &mut self,
        done: impl Fn(&Calling) -> bool,
    ) -> std::result::Result<bool, CallError> {
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
        // What was answered before the end is seen now.
        self.take_all()?;
        let how = self.connection.owner_monitor.tell();
        self.lose_all(
            how.or(self.connection.end)
                .unwrap_or(DisconnectReason::Closed),
        );
        Ok(done(self))
    }

    fn take_all(&mut self) -> std::result::Result<(), CallError> {
        self.take_until(|_| false).map(drop)
    }

    /// Puts responses to their calls until that is brought about; `false` where there are too
    /// few.
    // layout: L181
    #[inline]
    fn take_until(
        &mut self,
        done: impl Fn(&Calling) -> bool,
    ) -> std::result::Result<bool, CallError> {
        // More do not stand in a ring at a time: one that leads in a circle has no end.
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

    /// Puts the next response to its call; `false` where there is none.
    // layout: L148 L185
    #[inline]
    fn take_one(&mut self) -> std::result::Result<bool, CallError> {
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
        // Else it is for an earlier occupant.
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
            .register(Some(&mut connection.participant), signals)
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
