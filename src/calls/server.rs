//! The server of calls.

use super::request::Request;
use super::serving::Serving;
use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Described, Layout};
use crate::format::layout::{MAX_IN_FLIGHT, SLOTS};
use crate::format::payload::Payload;
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::segment::Geometry;
use crate::segment::options::{Create, CreateOptions};
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The longest request and response where the options do not say.
const MAX_MESSAGE: u64 = 16 << 10;

/// How to create a server of calls; see [`Server::options`].
pub type ServerOptions<Q = [u8], R = [u8]> = CreateOptions<Server<Q, R>>;

/// What only a server lets a program choose.
#[derive(Clone, Debug)]
pub struct ServerChoices {
    in_flight: usize,
    clients: usize,
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> CreateOptions<Server<Q, R>> {
    /// The longest request and the longest response in bytes (16384). With
    /// [layouts](ServerOptions::layouts) it is the size of the longer layout, and a shorter
    /// `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> ServerOptions<Q, R> {
        self.common.max_message = Some(bytes);
        self
    }

    /// How many calls of a client can be open at a time, 1 to 1024 (8), rounded up to a power
    /// of two. A client has memory for so many of the longest requests and as many responses,
    /// so that the server never waits for room.
    #[must_use]
    pub fn in_flight(mut self, calls: usize) -> ServerOptions<Q, R> {
        self.choices.in_flight = calls;
        self
    }

    /// How many clients there can be at a time, 1 to 63 (16).
    ///
    /// Each has memory of its own, for requests and for responses: twice what
    /// [`in_flight`](ServerOptions::in_flight) and two more of the longest messages take, rounded up
    /// to a power of two. The server allocates all of it when it is created. So 63 clients with 64
    /// open calls of 1 MiB take 16 GiB of `/dev/shm`, or of the commit limit of Windows.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> ServerOptions<Q, R> {
        self.choices.clients = clients;
        self
    }

    /// How many clients there can be, how many calls of each, and the ring of each.
    fn sizes(&self, name: &Name) -> Result<(usize, usize, RingGeometry)> {
        let refuse = |meaning: String| {
            let kind = ErrorKind::InvalidArgument;
            Err(Error::new(kind, Operation::Create, name, meaning))
        };
        let ServerChoices { in_flight, clients } = self.choices;
        if !(1..=SLOTS).contains(&clients) {
            return refuse(format!("there can be 1 to {SLOTS} clients"));
        }
        if !(1..=MAX_IN_FLIGHT).contains(&in_flight) {
            return refuse(format!("1 to {MAX_IN_FLIGHT} calls can be open at a time"));
        }
        let (common, subject) = (&self.common, name.as_str());
        let longest = Geometry::longest(common.max_message, &common.layouts, subject)?;
        let longest = longest.unwrap_or(MAX_MESSAGE);
        let in_flight = in_flight.next_power_of_two();
        let ring = Geometry::ring_of_calls(longest, in_flight, subject)?;
        Ok((clients, in_flight, ring))
    }
}

impl ServerOptions {
    /// Tells the layouts of each request and of each response to the programs that open the name. It is
    /// for programs that learn the layouts when they run; others use [`typed`](ServerOptions::typed).
    /// They set the longest message too; a shorter [`max_message`](ServerOptions::max_message) is
    /// refused.
    #[must_use]
    pub fn layouts(mut self, request: Layout, response: Layout) -> ServerOptions {
        self.common.layouts = vec![request, response];
        self
    }

    /// Makes each request a value of the first type, and each response one of the second.
    #[must_use]
    pub fn typed<Q: Described, R: Described>(self) -> ServerOptions<Q, R> {
        self.with(vec![Layout::of::<Q>(), Layout::of::<R>()])
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Create for Server<Q, R> {
    type Choices = ServerChoices;

    fn create_with(options: &ServerOptions<Q, R>, name: &Name) -> Result<Server<Q, R>> {
        Ok(Server {
            core: Serving::create(&options.common, options.sizes(name)?, name)?,
            messages: PhantomData,
        })
    }
}

/// The serving end of calls, which owns their name.
///
/// Each request that a [`Client`](crate::Client) has sent reaches one worker once, in each
/// client's order, and each response its call. A server never waits for room, and a client that goes
/// costs the server nothing: what it had asked is left out from when its end is noticed.
///
/// It is a handle. A clone of it is a further worker, for a thread of its own; all of them
/// share the load, and the last one to go closes the name. A worker is woken for each request
/// that another is about to handle, so they pay where handling takes longer than a wake-up,
/// some tens of microseconds; what is shorter is served fastest by one.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-server-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Client, Server};
///
/// // One program.
/// let mut server = Server::create(name)?;
/// let serving = std::thread::spawn(move || {
///     let request = server.recv().unwrap();
///     let answer = request.bytes().to_ascii_uppercase();
///     request.respond(&answer).unwrap();
/// });
///
/// // Another one.
/// let mut client = Client::open(name)?;
/// assert_eq!(client.call(b"shout")?, b"SHOUT");
/// # serving.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A request is copied out of shared memory before it is handed out, into memory of the
/// worker that the next call uses again.
pub struct Server<Q: Payload + ?Sized = [u8], R: Payload + ?Sized = [u8]> {
    pub(crate) core: Serving,
    messages: PhantomData<fn(&Q, &R)>,
}

impl Server {
    /// Creates a server of calls in bytes for the programs of this user.
    ///
    /// # Errors
    ///
    /// The errors of [`ServerOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Server> {
        Server::options().create(name)
    }

    /// Returns the options to create a server with.
    #[must_use]
    pub fn options() -> ServerOptions {
        let (in_flight, clients) = (8, 16);
        CreateOptions::new(0, ServerChoices { in_flight, clients })
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Server<Q, R> {
    /// Returns the name by which the server was created.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.shared.segment.name()
    }

    /// Returns the number of the generation. It changes with each restart.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.shared.segment.generation
    }

    /// Returns the length of the longest request and of the longest response, in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.shared.segment.geometry.max()
    }

    /// Receives the next request if there is one and no other worker waits for it, without waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`] where there is no request; otherwise the errors of [`recv`](Server::recv).
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        self.recv_within(Deadline::Now)
    }

    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// [`RecvError::Corrupt`] where a client wrote no valid request, or an untyped client sent a
    /// request of another length than the type has: that call ends as
    /// [`Unanswered`](crate::CallError::Unanswered), and the next call of this goes on behind it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        self.recv_within(Deadline::Never)
    }

    /// Waits for the next request, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`] where no request came in time; otherwise the errors of
    /// [`recv`](Server::recv).
    pub fn recv_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        self.recv_within(Deadline::within(timeout))
    }

    #[inline]
    fn recv_within(
        &mut self,
        deadline: Deadline,
    ) -> std::result::Result<Request<'_, Q, R>, RecvError> {
        let (len, address) = self.core.next(deadline)?;
        Request::new(&self.core, len, address)
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Clone for Server<Q, R> {
    /// Returns a further worker.
    fn clone(&self) -> Server<Q, R> {
        Server {
            core: self.core.clone(),
            messages: PhantomData,
        }
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> fmt::Debug for Server<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Waitable for Server<Q, R> {}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> AsWait for Server<Q, R> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        &mut self.core
    }
}
