//! The serving end of calls: many clients, and workers that share the load.

mod request;

use crate::access::Access;
use crate::error::channel::{RecvError, SendError};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{MAX_IN_FLIGHT, SLOTS, cursor, record};
use crate::lane::Step;
use crate::lane::lossless::{LosslessWriter, begin_cursor};
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::fan_in::FanIn;
use crate::segment::participant::Notifier;
use crate::segment::{Geometry, Head, Owned};
use crate::sync::{AtomicUsize, Fixed, Ordering, Round, WindowMut};
use crate::wait::source::{Signals, Wait, Waitable};
use crate::wait::spin::{self, Deadline, Inbox, Pace};
pub(crate) use request::ResponseAddress;
pub use request::{Request, Responder};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The longest request and response where nothing is said of them.
const MAX_MESSAGE: u64 = 16 << 10;

/// How to create a server; see [`Server::options`].
#[derive(Clone, Debug)]
pub struct ServerOptions {
    max_message: Option<u64>,
    in_flight: usize,
    clients: usize,
    access: Access,
    prefault: bool,
    layouts: Vec<Layout>,
}

impl ServerOptions {
    /// The longest request and the longest response in bytes (16384). With
    /// [layouts](ServerOptions::layouts) it is the size of the longer layout, and a shorter
    /// `max_message` is refused.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> ServerOptions {
        self.max_message = Some(bytes);
        self
    }

    /// How many calls of a client can be open at a time, 1 to 1024 (8), rounded up to a power
    /// of two. A client has memory for so many of the longest requests and as many responses,
    /// so that the server never waits for room.
    #[must_use]
    pub fn in_flight(mut self, calls: usize) -> ServerOptions {
        self.in_flight = calls;
        self
    }

    /// How many clients there can be at a time, 1 to 63 (16).
    ///
    /// Each has memory of its own, for requests and for responses: twice what
    /// [`in_flight`](ServerOptions::in_flight) and two more of the longest messages take, rounded up
    /// to a power of two. The server allocates all of it when it is created. So 63 clients with 64
    /// open calls of 1 MiB take 16 GiB of `/dev/shm`, or of the commit limit of Windows.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> ServerOptions {
        self.clients = clients;
        self
    }

    /// Who may call: [`Access::SameUser`] or [`Access::Sddl`]. The other presets let
    /// others see that the server is there, and not call.
    #[must_use]
    pub fn access(mut self, access: Access) -> ServerOptions {
        self.access = access;
        self
    }

    /// Touches all memory now, so that no call has to.
    #[must_use]
    pub fn prefault(mut self, on: bool) -> ServerOptions {
        self.prefault = on;
        self
    }

    /// What every request is made of, and every response, which is told to those who open the
    /// name. For who learns it when the program runs; others use
    /// [`typed::Server`](crate::typed::Server). It sets the longest message too; a
    /// shorter [`max_message`](ServerOptions::max_message) is refused.
    #[must_use]
    pub fn layouts(mut self, request: Layout, response: Layout) -> ServerOptions {
        self.layouts = vec![request, response];
        self
    }

    /// Creates the server.
    ///
    /// # Errors
    ///
    /// As [`Server::create`]; [`ErrorKind::InvalidArgument`] for measures or layouts that
    /// cannot be.
    pub fn create(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Server> {
        Server::make(self, &Name::checked(name)?)
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
pub struct Server {
    /// The leadership, as long as this is the only worker.
    leadership: Cell<Option<Box<Leadership>>>,
    /// Left where the leadership is, since another worker has it.
    waker: Option<Waker>,
    buffer: Box<[u8]>,
    shared: Arc<Shared>,
}

/// Where requests come in; one worker at a time has it.
#[derive(Debug)]
struct Leadership {
    fan_in: FanIn,
    /// How many requests there can be in all lanes.
    most: u64,
    pace: Pace,
}

/// The leadership, where no worker has it.
#[derive(Debug)]
struct LeaderSlot {
    leadership: Option<Box<Leadership>>,
    /// How many threads wait for it,
    waiting: usize,
    /// and who waits for other things too.
    wakers: Vec<Waker>,
}

/// What all workers use.
struct Shared {
    leader_slot: Mutex<LeaderSlot>,
    next: Condvar,
    outlets: Box<[Mutex<Outlet>]>,
    /// How many workers there are; responders are none.
    workers: AtomicUsize,
    validity: Validity,
    // Declared last, and so let go last: it has the name.
    segment: Owned,
}

/// Where the responses to one client go out.
struct Outlet {
    lane: LosslessWriter<WindowMut<Round>, WindowMut<Head>, WindowMut<Fixed<{ cursor::LEN }>>>,
    notifier: Notifier,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked had a whole one in hand.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wait_to_lead(&self, deadline: Deadline) -> Option<Box<Leadership>> {
        let mut leader_slot = lock(&self.leader_slot);
        loop {
            if let Some(leadership) = leader_slot.leadership.take() {
                return Some(leadership);
            }
            let left = match deadline.instant_or(()).ok()? {
                Some(at) => Some(at.checked_duration_since(Instant::now())?),
                None => None,
            };
            leader_slot.waiting += 1;
            leader_slot = match left {
                None => self
                    .next
                    .wait(leader_slot)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.next.wait_timeout(leader_slot, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            leader_slot.waiting -= 1;
        }
    }

    fn offer_leadership(&self, leadership: Box<Leadership>) {
        let mut leader_slot = lock(&self.leader_slot);
        leader_slot.leadership = Some(leadership);
        let is_awaited = leader_slot.waiting > 0;
        let wakers = std::mem::take(&mut leader_slot.wakers);
        drop(leader_slot);
        if is_awaited {
            self.next.notify_one();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    // layout: L144 L152 L153
    fn answer(
        &self,
        address: ResponseAddress,
        response: Option<&[u8]>,
    ) -> std::result::Result<(), SendError> {
        self.validity.check()?;
        let max = self.segment.geometry.ring_geometry.max();
        let len = response.map_or(0, <[u8]>::len);
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        let mut outlet = lock(&self.outlets[address.slot]);
        let outlet = &mut *outlet;
        // Whoever asked has gone, and another client is there, or will be. What is answered in
        // the moment of that change bears a number that is none of the other's.
        if outlet.notifier.roster().slot_epoch(address.slot) != address.slot_epoch {
            return Ok(());
        }
        let (bytes, tag) = match response {
            Some(bytes) => (bytes, address.tag),
            None => (&[][..], address.tag | record::UNANSWERED),
        };
        if !outlet.lane.try_send_tagged(bytes, tag) {
            return Err(SendError::Full);
        }
        outlet.notifier.wake(1 << address.slot);
        Ok(())
    }
}

impl Drop for Shared {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

impl Server {
    /// Creates a server for the programs of this user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] where the name is held, with the
    /// process that owns it; [`ErrorKind::InvalidName`] where it leaves no room for the
    /// names of what stands beside it, 26 characters longer; otherwise as
    /// [`Section::create_new`](crate::Section::create_new).
    pub fn create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Server> {
        Server::options().create(name)
    }

    /// Other ways to create one.
    #[must_use]
    pub fn options() -> ServerOptions {
        ServerOptions {
            max_message: None,
            in_flight: 8,
            clients: 16,
            access: Access::SameUser,
            prefault: false,
            layouts: Vec::new(),
        }
    }

    fn make(options: &ServerOptions, name: &Name) -> Result<Server> {
        let refuse = |meaning: String| {
            let kind = ErrorKind::InvalidArgument;
            Err(Error::new(kind, Operation::Create, name, meaning))
        };
        if !(1..=SLOTS).contains(&options.clients) {
            return refuse(format!("there can be 1 to {SLOTS} clients"));
        }
        if !(1..=MAX_IN_FLIGHT).contains(&options.in_flight) {
            return refuse(format!("1 to {MAX_IN_FLIGHT} calls can be open at a time"));
        }
        let in_flight = options.in_flight.next_power_of_two();
        let longest = Geometry::longest(options.max_message, &options.layouts, name.as_str())?;
        let geometry = Geometry::of_calls(
            options.clients,
            longest.unwrap_or(MAX_MESSAGE),
            in_flight,
            name.as_str(),
        )?;
        let (mut segment, participant) =
            Owned::create(name, geometry, &options.access, &options.layouts)?;
        let outlet = |slot| Server::outlet(&segment, slot, options.prefault).map(Mutex::new);
        let outlets = (0..options.clients).map(outlet).collect::<Result<_>>()?;
        let leadership = Leadership {
            fan_in: FanIn::new(&segment, participant, options.prefault)?,
            // layout: L181
            most: geometry.ring_geometry.bytes() / record::ALIGN as u64 * options.clients as u64,
            pace: Pace::default(),
        };
        // Calls of those before it have ended with them.
        // layout: L163
        segment.publish(&mut segment.older()?);
        let leader_slot = LeaderSlot {
            leadership: Some(Box::new(leadership)),
            waiting: 0,
            wakers: Vec::new(),
        };
        Ok(Server::worker(Arc::new(Shared {
            leader_slot: Mutex::new(leader_slot),
            next: Condvar::new(),
            outlets,
            workers: AtomicUsize::new(0),
            validity: Validity::new(),
            segment,
        })))
    }

    /// Stores where the client of this slot begins to read, before anybody can be that client.
    // layout: L046
    fn outlet(segment: &Owned, slot: usize, prefault: bool) -> Result<Outlet> {
        let lane = segment.responses_mut(slot, prefault)?;
        let cursor = segment.roster().cursor(slot);
        let ring_geometry = segment.geometry.ring_geometry;
        begin_cursor(&cursor, ring_geometry);
        Ok(Outlet {
            lane: LosslessWriter::new(lane.ring, lane.head, cursor, ring_geometry),
            notifier: segment.notifier().afresh(),
        })
    }

    fn worker(shared: Arc<Shared>) -> Server {
        // Relaxed: it counts, and tells of nothing else.
        shared.workers.fetch_add(1, Ordering::Relaxed);
        Server {
            leadership: Cell::new(None),
            waker: None,
            buffer: vec![0; shared.segment.geometry.ring_geometry.max()].into_boxed_slice(),
            shared,
        }
    }

    /// The name it was created by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.shared.segment.name()
    }

    /// The number of the name's generation: another one after each restart.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.shared.segment.generation
    }

    /// The longest request and the longest response in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.shared.segment.geometry.ring_geometry.max()
    }

    /// The next request, if there is one and no other worker waits for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Server::recv).
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<Request<'_>, RecvError> {
        self.recv_within(Deadline::Now)
    }

    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// [`RecvError::Corrupt`] where a client wrote what is no request; the next call goes on
    /// without it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<Request<'_>, RecvError> {
        self.recv_within(Deadline::Never)
    }

    /// Waits for the next request, at most this long.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`]; otherwise as [`recv`](Server::recv).
    pub fn recv_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<Request<'_>, RecvError> {
        self.recv_within(Deadline::within(timeout))
    }

    #[inline]
    fn recv_within(&mut self, deadline: Deadline) -> std::result::Result<Request<'_>, RecvError> {
        let (len, address) = self.next(deadline)?;
        Ok(self.request(len, address))
    }

    /// What was found last.
    pub(crate) fn request(&self, len: usize, address: ResponseAddress) -> Request<'_> {
        Request {
            bytes: &self.buffer[..len],
            shared: &self.shared,
            address,
        }
    }

    /// Finds the next request.
    #[inline]
    pub(crate) fn next(
        &mut self,
        deadline: Deadline,
    ) -> std::result::Result<(usize, ResponseAddress), RecvError> {
        let leadership = match self.leadership.take() {
            Some(leadership) => Some(leadership),
            None => {
                // Before a lock that another thread of the parent may have had.
                self.shared.validity.check()?;
                self.shared.wait_to_lead(deadline)
            }
        };
        let mut leadership = leadership.ok_or(match deadline {
            Deadline::Now => RecvError::Empty,
            _ => RecvError::Timeout,
        })?;
        let mut visit = Leading {
            leadership: &mut leadership,
            buffer: &mut self.buffer,
            address: None,
        };
        let found = visit.next(deadline);
        let address = visit.address;
        self.stop_leading(leadership);
        Ok((found?, address.expect("what was found has a address")))
    }

    /// Others are to have it, where there are any.
    #[inline]
    fn stop_leading(&self, leadership: Box<Leadership>) {
        match Arc::strong_count(&self.shared) {
            1 => self.leadership.set(Some(leadership)),
            _ => self.shared.offer_leadership(leadership),
        }
    }
}

impl Clone for Server {
    /// A further worker.
    fn clone(&self) -> Server {
        // Both are to have it in turns from now on.
        if let Some(leadership) = self.leadership.take() {
            self.shared.offer_leadership(leadership);
        }
        Server::worker(Arc::clone(&self.shared))
    }
}

impl Drop for Server {
    // layout: L154
    fn drop(&mut self) {
        // In a child that was forked another thread of the parent may have had the lock.
        if self.shared.validity.is_forked() {
            return;
        }
        if let Some(leadership) = self.leadership.take() {
            self.shared.offer_leadership(leadership);
        }
        // Acquire and release: pairs with the same of the other workers, whose requests are
        // received when the last one goes.
        let is_last = self.shared.workers.fetch_sub(1, Ordering::AcqRel) == 1;
        // Where nobody holds a responder the drop of what is shared closes the name.
        if is_last && Arc::strong_count(&self.shared) > 1 {
            self.shared.segment.drain();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", self.name())
            .finish_non_exhaustive()
    }
}

/// Whoever waits for requests has the leadership meanwhile, or waits for it.
impl Waitable for Server {}

impl Wait for Server {
    fn has_news(&mut self) -> bool {
        // Before a lock that another thread of the parent may have had.
        if self.shared.validity.is_faulty() {
            return true;
        }
        match self.leadership.get_mut() {
            Some(leadership) => leadership.fan_in.has_news(),
            None => {
                let mut leader_slot = lock(&self.shared.leader_slot);
                leader_slot
                    .leadership
                    .as_mut()
                    .is_some_and(|leadership| leadership.fan_in.has_news())
            }
        }
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let told = self.shared.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, self.name()))?;
        if self.leadership.get_mut().is_none() {
            let mut leader_slot = lock(&self.shared.leader_slot);
            match leader_slot.leadership.take() {
                Some(leadership) => self.leadership.set(Some(leadership)),
                None => {
                    leader_slot.wakers.push(signals.waker.clone());
                    self.waker = Some(signals.waker.clone());
                }
            }
        }
        match self.leadership.get_mut() {
            Some(leadership) => leadership.fan_in.register(signals),
            None => Ok(()),
        }
    }

    fn deregister(&mut self) {
        if self.shared.validity.is_forked() {
            return;
        }
        if let Some(waker) = self.waker.take() {
            let mut leader_slot = lock(&self.shared.leader_slot);
            leader_slot.wakers.retain(|other| !other.will_wake(&waker));
        }
        if let Some(mut leadership) = self.leadership.take() {
            leadership.fan_in.deregister();
            self.stop_leading(leadership);
        }
    }

    fn woken(&mut self) -> Result<bool> {
        if let Some(leadership) = self.leadership.get_mut() {
            leadership.fan_in.look_for_deaths();
        }
        Ok(self.has_news())
    }
}

/// A worker at the leadership.
struct Leading<'a> {
    leadership: &'a mut Leadership,
    buffer: &'a mut [u8],
    /// Of the request that was found.
    address: Option<ResponseAddress>,
}

impl Leading<'_> {
    fn next(&mut self, deadline: Deadline) -> std::result::Result<usize, RecvError> {
        if let Some(len) = self.glance() {
            return Ok(len);
        }
        match deadline.instant_or(()) {
            Ok(until) => spin::receive(self, until),
            Err(()) => match self.poll() {
                Step::Message(len) => Ok(len),
                other => Err(self.no_message(other).unwrap_or(RecvError::Empty)),
            },
        }
    }

    /// Takes the request that was found, unless nobody waits for the response.
    // layout: L151 L185
    #[inline]
    fn take(&mut self, len: usize) -> bool {
        let fan_in = &mut self.leadership.fan_in;
        let sender = fan_in.sender();
        if let Some(slot_epoch) = sender {
            fan_in.copy(0, &mut self.buffer[..len]);
            self.address = Some(ResponseAddress {
                slot: fan_in.turn(),
                tag: fan_in.tag() & !record::UNANSWERED,
                slot_epoch,
            });
        }
        fan_in.pass();
        sender.is_some()
    }
}

impl Inbox for Leading<'_> {
    #[inline]
    fn glance(&mut self) -> Option<usize> {
        let len = self.leadership.fan_in.find_quickly()?;
        self.take(len).then_some(len)
    }

    fn poll(&mut self) -> Step {
        // More do not stand in a ring at a time: one that leads in a circle has no end.
        let mut left = self.leadership.most;
        loop {
            match self.leadership.fan_in.find() {
                Step::Message(len) if !self.take(len) => {}
                step => return step,
            }
            left -= 1;
            if left == 0 {
                return self.leadership.fan_in.give_up();
            }
        }
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.leadership.pace
    }

    /// That all clients have gone is no news to a server.
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.leadership.fan_in.check() {
            return Some(fault.into());
        }
        matches!(step, Step::Corrupt).then_some(RecvError::Corrupt)
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.leadership.fan_in.sleep(&mut [], until)
    }
}
