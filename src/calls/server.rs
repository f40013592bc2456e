//! The server of calls, and the options to create a server.

use super::request::Request;
use super::serving::Serving;
use crate::error::channel::RecvError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::{Described, Layout};
use crate::format::layout::{DEFAULT_SLOTS, MAX_IN_FLIGHT};
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

/// The length of the longest request and response, unless the options set it.
const MAX_MESSAGE: u64 = 16 << 10;

/// Options to create a server of calls; see [`Server::options`].
pub type ServerOptions<Q = [u8], R = [u8]> = CreateOptions<Server<Q, R>>;

/// Options that only a server has.
#[derive(Clone, Debug)]
pub struct ServerChoices {
    in_flight: usize,
    clients: usize,
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> CreateOptions<Server<Q, R>> {
    /// Sets the length of the longest request and of the longest response in bytes (default:
    /// 16384). With [layouts](ServerOptions::layouts), the longest message has the size of the
    /// longer layout, and a shorter `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> ServerOptions<Q, R> {
        self.common.max_message = Some(bytes);
        self
    }

    /// Sets how many calls of one client can be open at a time, 1 to 1024 (default: 8). The number
    /// is rounded up to a power of two. Each client has memory for this number of the longest
    /// requests and for as many responses, so the server never waits for space.
    #[must_use]
    pub fn in_flight(mut self, calls: usize) -> ServerOptions<Q, R> {
        self.choices.in_flight = calls;
        self
    }

    /// Sets how many clients there can be at a time, 1 to 1023 (default: 63).
    ///
    /// Each client has memory of its own, once for requests and once for responses. Each of the two
    /// has space for [`in_flight`](ServerOptions::in_flight) and two more of the longest messages,
    /// and an eighth more, rounded up to a power of two if these messages have less than 64 KiB. So 63
    /// clients with 64 open calls of 1 MiB take 9.3 GiB of `/dev/shm`, or of the commit limit of Windows. The memory of a client is allocated when it
    /// opens the name: if there is no memory, that call fails with
    /// [`NoSpace`](crate::ErrorKind::NoSpace), and no other endpoint notices.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> ServerOptions<Q, R> {
        self.choices.clients = clients;
        self
    }

    /// Returns how many clients there can be, how many calls of each client can be open, and the
    /// geometry of their rings.
    fn sizes(&self, name: &Name) -> Result<(usize, usize, RingGeometry)> {
        let refuse = |meaning: String| {
            let kind = ErrorKind::InvalidArgument;
            Err(Error::new(kind, Operation::Create, name, meaning))
        };

        let ServerChoices { in_flight, clients } = self.choices;
        Geometry::check_slots(clients, "clients", name.as_str())?;
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
    /// Sets the layout of each request and of each response, which the programs that open the name
    /// can read. This method is for programs that learn the layouts when they run; other programs
    /// use [`typed`](ServerOptions::typed). The layouts also set the longest message; a shorter
    /// [`max_message`](ServerOptions::max_message) is refused.
    #[must_use]
    pub fn layouts(mut self, request: Layout, response: Layout) -> ServerOptions {
        self.common.layouts = vec![request, response];
        self
    }

    /// Makes each request a value of the type `Q`, and each response a value of the type `R`.
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

/// The server of calls, which owns its name.
///
/// One worker receives each request of each [`Client`](crate::Client) once. The requests of one
/// client are received in the order in which they were sent, and each response reaches its call. A
/// server never waits for space. A client that leaves costs the server nothing: the server skips
/// the requests of that client as soon as it notices that the client has left.
///
/// A `Server` is a handle. A clone is a further worker, for a thread of its own. All workers share
/// the load, and the last worker that is dropped closes the name. For each request that a worker is
/// about to handle, another worker is woken. So several workers are faster only if handling takes
/// longer than a wake-up, which takes some tens of microseconds. One worker serves shorter requests
/// fastest.
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
/// // Another program.
/// let mut client = Client::open(name)?;
/// assert_eq!(client.call(b"shout")?, b"SHOUT");
/// # serving.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The server copies a request out of shared memory before it returns the request. The copy is in a
/// buffer of the worker, which the next call uses again.
pub struct Server<Q: Payload + ?Sized = [u8], R: Payload + ?Sized = [u8]> {
    pub(crate) core: Serving,
    messages: PhantomData<fn(&Q, &R)>,
}

impl Server {
    /// Creates a server of calls in bytes that the programs of this user can open.
    ///
    /// # Errors
    ///
    /// The errors of [`ServerOptions::create`](CreateOptions::create).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Server> {
        Server::options().create(name)
    }

    /// Returns the options to create a server.
    #[must_use]
    pub fn options() -> ServerOptions {
        let (in_flight, clients) = (8, DEFAULT_SLOTS);
        CreateOptions::new(ServerChoices { in_flight, clients })
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Server<Q, R> {
    /// Returns the name by which the server was created.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.core.shared.segment.name()
    }

    /// Returns the number of the server's generation. The number changes with each restart.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.shared.segment.generation
    }

    /// Returns the length of the longest request and of the longest response in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.shared.segment.geometry.max()
    }

    /// Receives the next request if there is a request and no other worker waits for it, without
    /// waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`] if there is no request, or if another worker waits for the next
    /// request; otherwise the errors of [`recv`](Server::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<Request<'_, Q, R>, RecvError> {
        self.recv_within(Deadline::Now)
    }

    /// Waits for the next request, and returns it.
    ///
    /// # Errors
    ///
    /// - [`RecvError::Corrupt`] if a client wrote an invalid record; the next call continues with
    ///   the other clients. Also if an untyped client sent a request whose length is not the length
    ///   of the type: its call fails with [`Unanswered`](crate::CallError::Unanswered), and the
    ///   next call of `recv` continues behind the request.
    /// - [`RecvError::Forked`] in a process that was forked from the process that created the
    ///   server.
    /// - [`RecvError::NameLost`] once, if the name of the server was removed (Linux).
    /// - [`RecvError::System`] if the system refuses to let the call wait.
    #[inline]
    pub fn recv(&mut self) -> Result<Request<'_, Q, R>, RecvError> {
        self.recv_within(Deadline::Never)
    }

    /// Waits for the next request for at most `timeout`, and returns it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`] if no request came in time; otherwise the errors of
    /// [`recv`](Server::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Request<'_, Q, R>, RecvError> {
        self.recv_within(Deadline::within(timeout))
    }

    #[inline]
    fn recv_within(&mut self, deadline: Deadline) -> Result<Request<'_, Q, R>, RecvError> {
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
