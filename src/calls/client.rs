//! The client of calls, and the options to open a server's name.

use super::calling::Calling;
use super::pending::Call;
use crate::error::channel::CallError;
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::format::payload::Payload;
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Options to open a server's name; see [`Client::options`].
pub type ClientOptions<Q = [u8], R = [u8]> = OpenOptions<Client<Q, R>>;

impl ClientOptions {
    /// Makes each request a value of the type `Q`, and each response a value of the type `R`.
    #[must_use]
    pub fn typed<Q: Described, R: Described>(self) -> ClientOptions<Q, R> {
        self.with(vec![Layout::of::<Q>(), Layout::of::<R>()])
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Open for Client<Q, R> {
    type Choices = ();

    fn open_with(options: &ClientOptions<Q, R>, name: &Name) -> Result<Client<Q, R>> {
        Ok(Client {
            core: Calling::open(&options.how, name)?,
            messages: PhantomData,
        })
    }
}

/// A client of a server of calls; see [`Server`](crate::Server).
///
/// A client is `Send`, and is not shared between threads: each thread opens a client of its own.
pub struct Client<Q: Payload + ?Sized = [u8], R: Payload + ?Sized = [u8]> {
    pub(crate) core: Calling,
    messages: PhantomData<fn(&Q, &R)>,
}

/// Converts the bytes of a response.
#[inline(always)]
pub(crate) fn response<R: Payload + ?Sized>(bytes: &[u8]) -> Result<R::Received<'_>, CallError> {
    R::received(bytes).ok_or(CallError::Corrupt)
}

impl Client {
    /// Opens a server's name, to call the server with bytes. The call never creates the name.
    ///
    /// # Errors
    ///
    /// The errors of [`ClientOptions::open`](OpenOptions::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Client> {
        Client::options().open(name)
    }

    /// Returns the options to open a server's name.
    #[must_use]
    pub fn options() -> ClientOptions {
        ClientOptions::default()
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Client<Q, R> {
    /// Returns the name by which the server was opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found().name
    }

    /// Returns the length of the longest request and of the longest response in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.max_message()
    }

    /// Returns how many calls of this client can be open at a time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Returns the number of the server's generation to which this client is attached. The number
    /// changes with each restart of the server.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found().generation
    }

    /// Opens another client for another thread: with the same name, type and expected owner. The clone
    /// has a slot of its own, so the call can fail.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](OpenOptions::open).
    pub fn try_clone(&self) -> Result<Client<Q, R>> {
        let found = self.core.found();
        Ok(Client {
            core: Calling::open(&found.how(), &found.name)?,
            messages: PhantomData,
        })
    }

    /// Waits for the next server for at most `timeout`, and reattaches to it. Returns whether there
    /// is a next server. The calls that the last server has not answered are lost.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](OpenOptions::open), if there is a server that this client cannot use.
    pub fn wait_for_server(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// Sends a request, waits for the response, and returns the response.
    ///
    /// # Errors
    ///
    /// - [`CallError::Disconnected`] as soon as the server closes or dies. A response that it has
    ///   sent before is returned.
    /// - [`CallError::Unanswered`] if the server drops the request without an answer.
    /// - [`CallError::TooLong`] if the request is longer than [`max_message`](Client::max_message).
    /// - [`CallError::Full`] if all calls that can be open were begun and are held.
    /// - [`CallError::Corrupt`] if the server wrote an invalid response, or if an untyped server
    ///   sent a response whose length is not the length of the type.
    /// - [`CallError::Forked`] in a process that was forked from the process that opened the
    ///   client.
    /// - [`CallError::System`] if the system refuses to let the call wait, or if the client cannot
    ///   reattach to the next server.
    #[inline]
    pub fn call(&mut self, request: &Q) -> Result<R::Received<'_>, CallError> {
        response::<R>(self.core.call(request.bytes(), Deadline::Never)?)
    }

    /// Sends a request, waits for the response for at most `timeout`, and returns the response.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if no response came in time; otherwise the errors of
    /// [`call`](Client::call).
    pub fn call_timeout(
        &mut self,
        request: &Q,
        timeout: Duration,
    ) -> Result<R::Received<'_>, CallError> {
        response::<R>(self.core.call(request.bytes(), Deadline::within(timeout))?)
    }

    /// Sends a request, without waiting for the response. [`recv`](Client::recv) returns the
    /// response. Several calls can be open at a time, and are answered in any order.
    ///
    /// If all calls that can be open are open, `send` waits for the response to a call that was
    /// dropped. If this client is dropped, the server may skip a request that it has not begun to
    /// handle.
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
    /// [`CallError::Full`] if all calls that can be open are held; otherwise
    /// [`CallError::Disconnected`], [`CallError::TooLong`], [`CallError::Corrupt`],
    /// [`CallError::Forked`] and [`CallError::System`], for the reasons of [`call`](Client::call).
    pub fn send(&mut self, request: &Q) -> Result<Call, CallError> {
        self.core.send(request.bytes(), Deadline::Never)
    }

    /// Sends a request, without waiting for space or for the response. [`recv`](Client::recv)
    /// returns the response.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] if all calls that can be open are open; otherwise the errors of
    /// [`send`](Client::send).
    pub fn try_send(&mut self, request: &Q) -> Result<Call, CallError> {
        self.core.send(request.bytes(), Deadline::Now)
    }

    /// Returns the response to a call if the response is there, without waiting. The response is
    /// kept until the call is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::Empty`] if there is no response yet; otherwise the errors of
    /// [`recv`](Client::recv). A client that never waits notices the death of the server after at
    /// most 4096 calls without a response.
    ///
    /// # Panics
    ///
    /// Panics if the call was begun by another client.
    pub fn try_recv(&mut self, call: &Call) -> Result<R::Received<'_>, CallError> {
        response::<R>(self.core.recv(call, Deadline::Now)?)
    }

    /// Waits for the response to a call, and returns the response. The response is kept until the
    /// call is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::Disconnected`], [`CallError::Unanswered`], [`CallError::Corrupt`],
    /// [`CallError::Forked`] and [`CallError::System`], for the reasons of [`call`](Client::call).
    ///
    /// # Panics
    ///
    /// Panics if the call was begun by another client.
    pub fn recv(&mut self, call: &Call) -> Result<R::Received<'_>, CallError> {
        response::<R>(self.core.recv(call, Deadline::Never)?)
    }

    /// Waits for the response to a call for at most `timeout`, and returns the response.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if no response came in time; the program can wait for the response
    /// again. Otherwise the errors of [`recv`](Client::recv).
    ///
    /// # Panics
    ///
    /// Panics if the call was begun by another client.
    pub fn recv_timeout(
        &mut self,
        call: &Call,
        timeout: Duration,
    ) -> Result<R::Received<'_>, CallError> {
        response::<R>(self.core.recv(call, Deadline::within(timeout))?)
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> fmt::Debug for Client<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

/// A client is ready for the calls that [`Client::send`] has begun, and for no others.
impl<Q: Payload + ?Sized, R: Payload + ?Sized> Waitable for Client<Q, R> {}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> AsWait for Client<Q, R> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        &mut self.core
    }
}
