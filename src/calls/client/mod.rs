//! The calling end: requests to a server, and the responses to them.

mod call;
mod connection;

use crate::access::Owner;
use crate::error::channel::{CallError, DisconnectReason, Fault};
use crate::error::{Error, Result};
use crate::format::describe::Layout;
use crate::format::layout::{OWNER, control, cursor, record};
use crate::lane::Step;
use crate::name::Name;
use crate::os::{ValidityBackend, deadline_after};
use crate::segment::owner_monitor::{self, Reattach};
use crate::segment::participant::Participant;
use crate::segment::{Found, HowToJoin};
use crate::sync::{AtomicBool, Ordering, WordsMut};
use crate::wait::source::{Signals, Wait, Waitable};
use crate::wait::spin::{Deadline, Spin};
pub use call::Call;
use call::{PendingCall, State};
use connection::Connection;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to open a server's name; see [`Client::options`].
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    how: HowToJoin,
}

impl ClientOptions {
    /// Call only a server that belongs to this owner.
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> ClientOptions {
        self.how.owner = Some(owner);
        self
    }

    /// Waits so long for a server that is not there yet (not at all). It looks again every
    /// few milliseconds.
    #[must_use]
    pub fn wait(mut self, deadline: Duration) -> ClientOptions {
        self.how.wait = deadline;
        self
    }

    /// Only one that takes such requests, and answers so.
    pub(crate) fn expect_layouts(mut self, request: Layout, response: Layout) -> ClientOptions {
        self.how.layouts = vec![request, response];
        self
    }

    /// Opens the name.
    ///
    /// # Errors
    ///
    /// As [`Client::open`], and [`ErrorKind::WrongOwner`](crate::ErrorKind::WrongOwner).
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Client> {
        let connection =
            self.how
                .join(&Name::checked(name)?, control::kind::RPC, Connection::join)?;
        Ok(Client::new(connection))
    }
}

/// A calling end. See [`Server`](crate::Server).
///
/// It is `Send`, and not shared: each thread opens its own.
pub struct Client {
    connection: Connection,
    calls: Vec<PendingCall>,
    /// Where to look for a place for the next one.
    next: usize,
}

impl Client {
    /// Opens a server's name to call it. Never creates one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where there is none,
    /// [`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind) where it is something else,
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where it has as many clients as it allows or is not
    /// ready after a second, [`ErrorKind::WrongVersion`](crate::ErrorKind::WrongVersion);
    /// otherwise as [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Client> {
        Client::options().open(name)
    }

    /// Other ways to open one.
    #[must_use]
    pub fn options() -> ClientOptions {
        ClientOptions::default()
    }

    fn new(connection: Connection) -> Client {
        let mut client = Client {
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

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.connection.found.name
    }

    /// The longest request and the longest response in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.connection.found.geometry.ring_geometry.max()
    }

    /// How many calls can be open at a time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.connection.in_flight()
    }

    /// The number of the server's generation: another one after each restart.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.connection.found.generation
    }

    /// Waits for the next server, at most this long, and goes on with it; says whether there
    /// is one. Calls that the one before has not answered have ended with it.
    ///
    /// # Errors
    ///
    /// As [`open`](Client::open), where there is one that does not let us in.
    pub fn wait_for_server(&mut self, timeout: Duration) -> Result<bool> {
        owner_monitor::wait_for_next(self, timeout)
    }

    /// Sends a request, and waits for the response.
    ///
    /// # Errors
    ///
    /// [`CallError::Disconnected`] at once where the server has gone or goes: what it had
    /// answered before is received still. [`CallError::Unanswered`], [`CallError::TooLong`],
    /// [`CallError::Full`] where all calls that can be open are begun and held.
    #[inline]
    pub fn call(&mut self, request: &[u8]) -> std::result::Result<&[u8], CallError> {
        self.call_until(request, None)
    }

    /// Sends a request, and waits for the response at most this long.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`]; otherwise as [`call`](Client::call).
    pub fn call_timeout(
        &mut self,
        request: &[u8],
        timeout: Duration,
    ) -> std::result::Result<&[u8], CallError> {
        self.call_until(request, deadline_after(Some(timeout)))
    }

    #[inline]
    fn call_until(
        &mut self,
        request: &[u8],
        until: Option<Instant>,
    ) -> std::result::Result<&[u8], CallError> {
        let index = self.begin(request, Deadline::until(until))?;
        self.wait(index, until)?;
        self.response(index)
    }

    /// Sends a request, and does not wait for the response: several calls can be open at a
    /// time, and are answered in any order. The response is had by [`recv`](Client::recv).
    ///
    /// Where all calls that can be open are, it waits for the response to one that was
    /// dropped. A request that the server has not begun when this client is dropped may be left
    /// out.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-send-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Client, Server};
    ///
    /// let mut server = Server::create(name)?;
    /// let mut client = Client::open(name)?;
    ///
    /// let first = client.send(b"1")?;
    /// let second = client.send(b"2")?;
    /// let one = server.recv()?.defer();
    /// server.recv()?.respond(b"two")?;
    /// one.respond(b"one")?;
    ///
    /// assert_eq!(client.recv(&first)?, b"one");
    /// assert_eq!(client.recv(&second)?, b"two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] where all calls that can be open are held;
    /// [`CallError::Disconnected`], [`CallError::TooLong`].
    pub fn send(&mut self, request: &[u8]) -> std::result::Result<Call, CallError> {
        let index = self.begin(request, Deadline::Never)?;
        Ok(self.hand_out(index))
    }

    /// As [`send`](Client::send), but never waits.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] where all calls that can be open are; otherwise as
    /// [`send`](Client::send).
    pub fn try_send(&mut self, request: &[u8]) -> std::result::Result<Call, CallError> {
        let index = self.begin(request, Deadline::Now)?;
        Ok(self.hand_out(index))
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

    /// The response to a call, if it is there. It is kept until the call is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::Empty`]; otherwise as [`recv`](Client::recv). Who never waits learns of
    /// the server's death after 4096 looks in vain at the latest.
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn try_recv(&mut self, call: &Call) -> std::result::Result<&[u8], CallError> {
        let index = self.index(call);
        match self.poll(|client| client.is_over(index))? {
            true => self.response(index),
            false => Err(CallError::Empty),
        }
    }

    /// Waits for the response to a call. It is kept until the call is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::Disconnected`], [`CallError::Unanswered`], as [`call`](Client::call).
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn recv(&mut self, call: &Call) -> std::result::Result<&[u8], CallError> {
        self.recv_until(call, None)
    }

    /// Waits for the response to a call, at most this long.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`]: it can be waited for again; otherwise as
    /// [`recv`](Client::recv).
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn recv_timeout(
        &mut self,
        call: &Call,
        timeout: Duration,
    ) -> std::result::Result<&[u8], CallError> {
        self.recv_until(call, deadline_after(Some(timeout)))
    }

    fn recv_until(
        &mut self,
        call: &Call,
        until: Option<Instant>,
    ) -> std::result::Result<&[u8], CallError> {
        let index = self.index(call);
        self.wait(index, until)?;
        self.response(index)
    }

    pub(crate) fn index(&self, call: &Call) -> usize {
        let own = self.calls.get(call.index);
        let is_own = own.is_some_and(|pending| Arc::ptr_eq(&pending.held, &call.held));
        assert!(is_own, "a call of another client");
        call.index
    }

    /// What a call has come to that is over.
    pub(crate) fn response(&mut self, index: usize) -> std::result::Result<&[u8], CallError> {
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
    pub(crate) fn begin(
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
        let Some(connection) = self.connection.found.follow(Connection::join)? else {
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
    pub(crate) fn is_all_held(&self) -> bool {
        self.calls[..self.in_flight()]
            .iter()
            .all(PendingCall::is_held)
    }

    #[cfg(feature = "async")]
    pub(crate) fn has_place_for(&mut self, request: usize) -> bool {
        self.place().is_some() && self.connection.requests.has_room(request)
    }

    /// Whether responses have come, or none will.
    pub(crate) fn has_responses(&mut self) -> bool {
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
            let is_over =
                |client: &Client| client.place().is_some() || client.connection.found.is_draining();
            self.wait_until(is_over, until)?;
            // There are places, but nobody to ask.
            if let Some(how) = self.connection.end {
                return Err(CallError::Disconnected(how));
            }
            self.connection.expect_server()?;
        }
    }

    #[inline]
    pub(crate) fn is_over(&self, index: usize) -> bool {
        self.calls[index].state != State::Asked
    }

    /// Waits until a call is over.
    #[inline]
    fn wait(&mut self, index: usize, until: Option<Instant>) -> std::result::Result<(), CallError> {
        self.wait_until(|client| client.is_over(index), until)
    }

    /// Waits until responses have brought this about.
    #[inline]
    fn wait_until(
        &mut self,
        done: impl Fn(&Client) -> bool,
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
    pub(crate) fn poll(
        &mut self,
        done: impl Fn(&Client) -> bool,
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
        done: impl Fn(&Client) -> bool,
    ) -> std::result::Result<bool, CallError> {
        // More do not stand in a ring at a time: one that leads in a circle has no end.
        let most = self.connection.found.geometry.ring_geometry.bytes() / record::ALIGN as u64;
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

impl Reattach for Client {
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

/// Only for calls that were begun by [`Client::send`]: of others there is nothing to be had.
impl Waitable for Client {}

impl Wait for Client {
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

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", self.name())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
