//! The client of calls.

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

/// How to open a server's name; see [`Client::options`].
pub type ClientOptions<Q = [u8], R = [u8]> = OpenOptions<Client<Q, R>>;

impl ClientOptions {
    /// Makes each request a value of the first type, and each response one of the second.
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

/// A calling end. See [`Server`](crate::Server).
///
/// It is `Send`, and not shared: each thread opens its own.
pub struct Client<Q: Payload + ?Sized = [u8], R: Payload + ?Sized = [u8]> {
    pub(crate) core: Calling,
    messages: PhantomData<fn(&Q, &R)>,
}

/// The response that these bytes are.
#[inline(always)]
pub(crate) fn response<R: Payload + ?Sized>(
    bytes: &[u8],
) -> std::result::Result<R::Received<'_>, CallError> {
    R::received(bytes).ok_or(CallError::Corrupt)
}

impl Client {
    /// Opens a server's name to call it with bytes. It never creates one.
    ///
    /// # Errors
    ///
    /// The errors of [`ClientOptions::open`](OpenOptions::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Client> {
        Client::options().open(name)
    }

    /// Returns the options to open a server's name with.
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

    /// Returns the length of the longest request and of the longest response, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.max_message()
    }

    /// Returns how many calls can be open at a time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Returns the number of the server's generation. It changes with each restart.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found().generation
    }

    /// Waits for the next server, at most this long, and goes on with it; returns whether there is
    /// one. Calls that the server before it has not answered have ended with it.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](OpenOptions::open), where there is a server that this client cannot use.
    pub fn wait_for_server(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// Sends a request, and waits for the response.
    ///
    /// # Errors
    ///
    /// [`CallError::Disconnected`] at once where the server closes or dies, after every response that
    /// it had sent; [`CallError::Unanswered`] where the server drops the request;
    /// [`CallError::TooLong`] where the request is longer than [`max_message`](Client::max_message);
    /// [`CallError::Full`] where all calls that can be open are begun and held;
    /// [`CallError::Corrupt`] where the server wrote no valid response, or an untyped server sent a
    /// response of another length than the type has.
    #[inline]
    pub fn call(&mut self, request: &Q) -> std::result::Result<R::Received<'_>, CallError> {
        response::<R>(self.core.call(request.bytes(), Deadline::Never)?)
    }

    /// Sends a request, and waits for the response at most this long.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] where no response came in time; otherwise the errors of
    /// [`call`](Client::call).
    pub fn call_timeout(
        &mut self,
        request: &Q,
        timeout: Duration,
    ) -> std::result::Result<R::Received<'_>, CallError> {
        response::<R>(self.core.call(request.bytes(), Deadline::within(timeout))?)
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
    pub fn send(&mut self, request: &Q) -> std::result::Result<Call, CallError> {
        self.core.send(request.bytes(), Deadline::Never)
    }

    /// Sends a request without waiting, as [`send`](Client::send) does.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] where all calls that can be open are; otherwise the errors of
    /// [`send`](Client::send).
    pub fn try_send(&mut self, request: &Q) -> std::result::Result<Call, CallError> {
        self.core.send(request.bytes(), Deadline::Now)
    }

    /// Returns the response to a call if it is there, without waiting. The response is kept until the
    /// call is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::Empty`] where there is no response yet; otherwise the errors of
    /// [`recv`](Client::recv). A client that never waits learns of the death of the server after 4096
    /// calls without a response at the latest.
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn try_recv(&mut self, call: &Call) -> std::result::Result<R::Received<'_>, CallError> {
        response::<R>(self.core.recv(call, Deadline::Now)?)
    }

    /// Waits for the response to a call. The response is kept until the call is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::Disconnected`], [`CallError::Unanswered`] and [`CallError::Corrupt`], for the
    /// reasons of [`call`](Client::call).
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn recv(&mut self, call: &Call) -> std::result::Result<R::Received<'_>, CallError> {
        response::<R>(self.core.recv(call, Deadline::Never)?)
    }

    /// Waits for the response to a call, at most this long.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] where no response came in time: the program can wait for it again;
    /// otherwise the errors of [`recv`](Client::recv).
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn recv_timeout(
        &mut self,
        call: &Call,
        timeout: Duration,
    ) -> std::result::Result<R::Received<'_>, CallError> {
        response::<R>(self.core.recv(call, Deadline::within(timeout))?)
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> fmt::Debug for Client<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

/// A client is ready for calls that were begun by [`Client::send`].
impl<Q: Payload + ?Sized, R: Payload + ?Sized> Waitable for Client<Q, R> {}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> AsWait for Client<Q, R> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        &mut self.core
    }
}
