//! Calls whose requests are all of one type, and whose responses are.

use crate::calls::client::{self, Call, ClientOptions};
use crate::calls::server::{self, ServerOptions};
use crate::error::channel::{CallError, RecvError, SendError};
use crate::error::{Error, Result};
use crate::format::describe::{Described, Layout};
use crate::name::Name;
use crate::wait::source::{AsWait, Wait, Waitable};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The serving end of calls with values, which owns their name. See
/// [`Server`](crate::Server).
pub struct Server<Q, R> {
    endpoint: server::Server,
    of: PhantomData<fn(Q) -> R>,
}

impl<Q: Described, R: Described> Server<Q, R> {
    /// Creates a server for the programs of this user.
    ///
    /// # Errors
    ///
    /// As [`Server::create`](crate::Server::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Server<Q, R>> {
        Server::from_options(server::Server::options(), name)
    }

    /// Creates one with these options, and messages of just the types' sizes.
    ///
    /// # Errors
    ///
    /// As [`ServerOptions::create`].
    pub fn from_options(
        options: ServerOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Server<Q, R>> {
        let options = options.layouts(Layout::of::<Q>(), Layout::of::<R>());
        Ok(Server {
            endpoint: options.create(name)?,
            of: PhantomData,
        })
    }

    /// The next request, if there is one and no other worker waits for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Server::recv).
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        Request::of(self.endpoint.try_recv()?)
    }

    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// As [`Server::recv`](crate::Server::recv). [`RecvError::Corrupt`] too where a client
    /// without a type sent a request of another length, which is told that it has no answer;
    /// the next call goes on behind it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        Request::of(self.endpoint.recv()?)
    }

    /// Waits for the next request, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`recv`](Server::recv).
    #[inline]
    pub fn recv_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        Request::of(self.endpoint.recv_timeout(timeout)?)
    }
}

impl<Q, R> Server<Q, R> {
    /// The end without its types, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &server::Server {
        &self.endpoint
    }

    pub(crate) fn endpoint_mut(&mut self) -> &mut server::Server {
        &mut self.endpoint
    }
}

impl<Q, R> Clone for Server<Q, R> {
    /// A further worker.
    fn clone(&self) -> Server<Q, R> {
        Server {
            endpoint: self.endpoint.clone(),
            of: PhantomData,
        }
    }
}

impl<Q, R> fmt::Debug for Server<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A request that a [`Server`] has received. See [`Request`](crate::Request).
pub struct Request<'a, Q, R> {
    value: Q,
    endpoint: server::Request<'a>,
    of: PhantomData<fn(R)>,
}

impl<'a, Q: Described, R: Described> Request<'a, Q, R> {
    #[inline]
    pub(crate) fn of(
        request: server::Request<'a>,
    ) -> std::result::Result<Request<'a, Q, R>, RecvError> {
        Ok(Request {
            value: super::value(Ok(request.bytes()))?,
            endpoint: request,
            of: PhantomData,
        })
    }

    /// What the client has sent.
    #[must_use]
    pub fn value(&self) -> &Q {
        &self.value
    }

    /// Answers it. It is answered when this returns; nobody is waited for.
    ///
    /// # Errors
    ///
    /// As [`Request::respond`](crate::Request::respond).
    #[inline]
    pub fn respond(self, response: &R) -> std::result::Result<(), SendError> {
        self.endpoint.respond(response.as_bytes())
    }

    /// Keeps what is needed to answer it later, from anywhere in this process.
    pub fn defer(self) -> Responder<R> {
        Responder {
            endpoint: self.endpoint.defer(),
            of: PhantomData,
        }
    }
}

impl<Q, R> fmt::Debug for Request<'_, Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// What is needed to answer a request; see [`Responder`](crate::Responder).
#[must_use = "dropped, it fails at the client"]
pub struct Responder<R> {
    endpoint: server::Responder,
    of: PhantomData<fn(R)>,
}

impl<R: Described> Responder<R> {
    /// As [`Request::respond`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn respond(self, response: &R) -> std::result::Result<(), SendError> {
        self.endpoint.respond(response.as_bytes())
    }
}

impl<R> fmt::Debug for Responder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// A calling end with values. See [`Client`](crate::Client).
pub struct Client<Q, R> {
    endpoint: client::Client,
    of: PhantomData<fn(Q) -> R>,
}

/// The value that a response is.
#[inline(always)]
pub(crate) fn response<T: Described>(
    response: std::result::Result<&[u8], CallError>,
) -> std::result::Result<T, CallError> {
    T::read_from_bytes(response?).map_err(|_| CallError::Corrupt)
}

impl<Q: Described, R: Described> Client<Q, R> {
    /// Opens a server's name to call it. Never creates one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where its requests or responses
    /// are of another type, with the first field that differs, or of none; otherwise as
    /// [`Client::open`](crate::Client::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Client<Q, R>> {
        Client::from_options(client::Client::options(), name)
    }

    /// Opens one with these options.
    ///
    /// # Errors
    ///
    /// As [`open`](Client::open) and [`ClientOptions::open`].
    pub fn from_options(
        options: ClientOptions,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<Client<Q, R>> {
        let options = options.expect_layouts(Layout::of::<Q>(), Layout::of::<R>());
        Ok(Client {
            endpoint: options.open(name)?,
            of: PhantomData,
        })
    }

    /// Sends a request, and waits for the response.
    ///
    /// # Errors
    ///
    /// As [`Client::call`](crate::Client::call). [`CallError::Corrupt`] where a server
    /// without types sent a response of another length.
    #[inline]
    pub fn call(&mut self, request: &Q) -> std::result::Result<R, CallError> {
        response(self.endpoint.call(request.as_bytes()))
    }

    /// Sends a request, and waits for the response at most this long.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`]; otherwise as [`call`](Client::call).
    pub fn call_timeout(
        &mut self,
        request: &Q,
        timeout: Duration,
    ) -> std::result::Result<R, CallError> {
        response(self.endpoint.call_timeout(request.as_bytes(), timeout))
    }

    /// As [`Client::send`](crate::Client::send).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send(&mut self, request: &Q) -> std::result::Result<Call, CallError> {
        self.endpoint.send(request.as_bytes())
    }

    /// As [`Client::try_send`](crate::Client::try_send).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_send(&mut self, request: &Q) -> std::result::Result<Call, CallError> {
        self.endpoint.try_send(request.as_bytes())
    }

    /// As [`Client::try_recv`](crate::Client::try_recv).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn try_recv(&mut self, call: &Call) -> std::result::Result<R, CallError> {
        response(self.endpoint.try_recv(call))
    }

    /// As [`Client::recv`](crate::Client::recv).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn recv(&mut self, call: &Call) -> std::result::Result<R, CallError> {
        response(self.endpoint.recv(call))
    }

    /// As [`Client::recv_timeout`](crate::Client::recv_timeout).
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub fn recv_timeout(
        &mut self,
        call: &Call,
        timeout: Duration,
    ) -> std::result::Result<R, CallError> {
        response(self.endpoint.recv_timeout(call, timeout))
    }
    /// Waits for the next server, at most this long; see
    /// [`Client::wait_for_server`](crate::Client::wait_for_server).
    ///
    /// # Errors
    ///
    /// As [`open`](Client::open), where there is one that does not let us in.
    pub fn wait_for_server(&mut self, timeout: Duration) -> Result<bool> {
        self.endpoint.wait_for_server(timeout)
    }
}

impl<Q, R> Client<Q, R> {
    /// The end without its types, to be asked.
    #[must_use]
    pub fn as_untyped(&self) -> &client::Client {
        &self.endpoint
    }

    pub(crate) fn endpoint_mut(&mut self) -> &mut client::Client {
        &mut self.endpoint
    }
}

impl<Q, R> fmt::Debug for Client<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl<Q, R> Waitable for Server<Q, R> {}

impl<Q, R> AsWait for Server<Q, R> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self.endpoint_mut()
    }
}

impl<Q, R> Waitable for Client<Q, R> {}

impl<Q, R> AsWait for Client<Q, R> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        self.endpoint_mut()
    }
}
