//! The serving end of calls: many clients, and workers that share the load.

mod request;

use crate::access::Access;
use crate::error::channel::{RecvError, SendError};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Layout;
use crate::format::layout::{MAX_IN_FLIGHT, SLOTS, cursor, record};
use crate::lane::Step;
use crate::lane::lossless::{GatedWriter, begin_cursor};
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::fan_in::Intake;
use crate::segment::participant::Bells;
use crate::segment::{Head, Measures, Owned};
use crate::sync::{AtomicUsize, Fixed, Ordering, Round, WindowMut};
use crate::wait::source::{Signals, Wait, Waitable};
use crate::wait::spin::{self, Inbox, Pace, Patience};
pub(crate) use request::Ticket;
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
    pub fn create<N>(&self, name: N) -> Result<Server>
    where
        N: TryInto<Name>,
        Error: From<N::Error>,
    {
        Server::make(self, &name.try_into()?)
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
    /// The desk, as long as this is the only worker.
    mine: Cell<Option<Box<Desk>>>,
    /// Left where the desk is, since another worker has it.
    left: Option<Waker>,
    buffer: Box<[u8]>,
    shared: Arc<Shared>,
}

/// Where requests come in; one worker at a time has it.
#[derive(Debug)]
struct Desk {
    intake: Intake,
    /// How many requests there can be in all lanes.
    most: u64,
    pace: Pace,
}

/// The desk, where no worker has it.
#[derive(Debug)]
struct Turn {
    desk: Option<Box<Desk>>,
    /// How many threads wait for it,
    waiting: usize,
    /// and who waits for other things too.
    wakers: Vec<Waker>,
}

/// What all workers use.
struct Shared {
    turn: Mutex<Turn>,
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
    lane: GatedWriter<WindowMut<Round>, WindowMut<Head>, WindowMut<Fixed<{ cursor::LEN }>>>,
    bells: Bells,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked had a whole one in hand.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn take_desk(&self, patience: Patience) -> Option<Box<Desk>> {
        let mut turn = lock(&self.turn);
        loop {
            if let Some(desk) = turn.desk.take() {
                return Some(desk);
            }
            let left = match patience.moment(()).ok()? {
                Some(at) => Some(at.checked_duration_since(Instant::now())?),
                None => None,
            };
            turn.waiting += 1;
            turn = match left {
                None => self.next.wait(turn).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.next.wait_timeout(turn, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            turn.waiting -= 1;
        }
    }

    fn give_desk(&self, desk: Box<Desk>) {
        let mut turn = lock(&self.turn);
        turn.desk = Some(desk);
        let is_awaited = turn.waiting > 0;
        let wakers = std::mem::take(&mut turn.wakers);
        drop(turn);
        if is_awaited {
            self.next.notify_one();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    // layout: L144 L152 L153
    fn answer(
        &self,
        ticket: Ticket,
        response: Option<&[u8]>,
    ) -> std::result::Result<(), SendError> {
        self.validity.check()?;
        let max = self.segment.measures.shape.max();
        let len = response.map_or(0, <[u8]>::len);
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        let mut outlet = lock(&self.outlets[ticket.slot]);
        let outlet = &mut *outlet;
        // Whoever asked has gone, and another client is there, or will be. What is answered in
        // the moment of that change bears a number that is none of the other's.
        if outlet.bells.roster().tenancy(ticket.slot) != ticket.tenancy {
            return Ok(());
        }
        let (bytes, tag) = match response {
            Some(bytes) => (bytes, ticket.tag),
            None => (&[][..], ticket.tag | record::UNANSWERED),
        };
        if !outlet.lane.try_send_tagged(bytes, tag) {
            return Err(SendError::Full);
        }
        outlet.bells.wake(1 << ticket.slot);
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
    pub fn create<N>(name: N) -> Result<Server>
    where
        N: TryInto<Name>,
        Error: From<N::Error>,
    {
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
        let longest = Measures::longest(options.max_message, &options.layouts, name.as_str())?;
        let measures = Measures::of_calls(
            options.clients,
            longest.unwrap_or(MAX_MESSAGE),
            in_flight,
            name.as_str(),
        )?;
        let (mut segment, seat) = Owned::create(name, measures, &options.access, &options.layouts)?;
        let outlet = |slot| Server::outlet(&segment, slot, options.prefault).map(Mutex::new);
        let outlets = (0..options.clients).map(outlet).collect::<Result<_>>()?;
        let desk = Desk {
            intake: Intake::new(&segment, seat, options.prefault)?,
            // layout: L181
            most: measures.shape.bytes() / record::ALIGN as u64 * options.clients as u64,
            pace: Pace::default(),
        };
        // Calls of those before it have ended with them.
        // layout: L163
        segment.publish(&mut segment.older()?);
        let turn = Turn {
            desk: Some(Box::new(desk)),
            waiting: 0,
            wakers: Vec::new(),
        };
        Ok(Server::worker(Arc::new(Shared {
            turn: Mutex::new(turn),
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
        let shape = segment.measures.shape;
        begin_cursor(&cursor, shape);
        Ok(Outlet {
            lane: GatedWriter::new(lane.ring, lane.head, cursor, shape),
            bells: segment.bells().afresh(),
        })
    }

    fn worker(shared: Arc<Shared>) -> Server {
        // Relaxed: it counts, and tells of nothing else.
        shared.workers.fetch_add(1, Ordering::Relaxed);
        Server {
            mine: Cell::new(None),
            left: None,
            buffer: vec![0; shared.segment.measures.shape.max()].into_boxed_slice(),
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
        self.shared.segment.measures.shape.max()
    }

    /// The next request, if there is one and no other worker waits for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; otherwise as [`recv`](Server::recv).
    #[inline]
    pub fn try_recv(&mut self) -> std::result::Result<Request<'_>, RecvError> {
        self.recv_within(Patience::None)
    }

    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// [`RecvError::Corrupt`] where a client wrote what is no request; the next call goes on
    /// without it.
    #[inline]
    pub fn recv(&mut self) -> std::result::Result<Request<'_>, RecvError> {
        self.recv_within(Patience::Forever)
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
        self.recv_within(Patience::within(timeout))
    }

    #[inline]
    fn recv_within(&mut self, patience: Patience) -> std::result::Result<Request<'_>, RecvError> {
        let (len, ticket) = self.next(patience)?;
        Ok(self.request(len, ticket))
    }

    /// What was found last.
    pub(crate) fn request(&self, len: usize, ticket: Ticket) -> Request<'_> {
        Request {
            bytes: &self.buffer[..len],
            shared: &self.shared,
            ticket,
        }
    }

    /// Finds the next request.
    #[inline]
    pub(crate) fn next(
        &mut self,
        patience: Patience,
    ) -> std::result::Result<(usize, Ticket), RecvError> {
        let desk = match self.mine.take() {
            Some(desk) => Some(desk),
            None => {
                // Before a lock that another thread of the parent may have had.
                self.shared.validity.check()?;
                self.shared.take_desk(patience)
            }
        };
        let mut desk = desk.ok_or(match patience {
            Patience::None => RecvError::Empty,
            _ => RecvError::Timeout,
        })?;
        let mut visit = Visit {
            desk: &mut desk,
            buffer: &mut self.buffer,
            ticket: None,
        };
        let found = visit.next(patience);
        let ticket = visit.ticket;
        self.leave_desk(desk);
        Ok((found?, ticket.expect("what was found has a ticket")))
    }

    /// Others are to have it, where there are any.
    #[inline]
    fn leave_desk(&self, desk: Box<Desk>) {
        match Arc::strong_count(&self.shared) {
            1 => self.mine.set(Some(desk)),
            _ => self.shared.give_desk(desk),
        }
    }
}

impl Clone for Server {
    /// A further worker.
    fn clone(&self) -> Server {
        // Both are to have it in turn from now on.
        if let Some(desk) = self.mine.take() {
            self.shared.give_desk(desk);
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
        if let Some(desk) = self.mine.take() {
            self.shared.give_desk(desk);
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

/// Whoever waits for requests has the desk meanwhile, or waits for it.
impl Waitable for Server {}

impl Wait for Server {
    fn has_news(&mut self) -> bool {
        // Before a lock that another thread of the parent may have had.
        if self.shared.validity.is_faulty() {
            return true;
        }
        match self.mine.get_mut() {
            Some(desk) => desk.intake.has_news(),
            None => {
                let mut turn = lock(&self.shared.turn);
                turn.desk
                    .as_mut()
                    .is_some_and(|desk| desk.intake.has_news())
            }
        }
    }

    fn lie_down(&mut self, signals: &mut Signals) -> Result<()> {
        let told = self.shared.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, self.name()))?;
        if self.mine.get_mut().is_none() {
            let mut turn = lock(&self.shared.turn);
            match turn.desk.take() {
                Some(desk) => self.mine.set(Some(desk)),
                None => {
                    turn.wakers.push(signals.waker.clone());
                    self.left = Some(signals.waker.clone());
                }
            }
        }
        match self.mine.get_mut() {
            Some(desk) => desk.intake.lie_down(signals),
            None => Ok(()),
        }
    }

    fn get_up(&mut self) {
        if self.shared.validity.is_forked() {
            return;
        }
        if let Some(left) = self.left.take() {
            let mut turn = lock(&self.shared.turn);
            turn.wakers.retain(|waker| !waker.will_wake(&left));
        }
        if let Some(mut desk) = self.mine.take() {
            desk.intake.get_up();
            self.leave_desk(desk);
        }
    }

    fn woken(&mut self) -> Result<bool> {
        if let Some(desk) = self.mine.get_mut() {
            desk.intake.look_who_is_alive();
        }
        Ok(self.has_news())
    }
}

/// A worker at the desk.
struct Visit<'a> {
    desk: &'a mut Desk,
    buffer: &'a mut [u8],
    /// Of the request that was found.
    ticket: Option<Ticket>,
}

impl Visit<'_> {
    fn next(&mut self, patience: Patience) -> std::result::Result<usize, RecvError> {
        if let Some(len) = self.glance() {
            return Ok(len);
        }
        match patience.moment(()) {
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
        let intake = &mut self.desk.intake;
        let sender = intake.sender();
        if let Some(tenancy) = sender {
            intake.copy(0, &mut self.buffer[..len]);
            self.ticket = Some(Ticket {
                slot: intake.turn(),
                tag: intake.tag() & !record::UNANSWERED,
                tenancy,
            });
        }
        intake.pass();
        sender.is_some()
    }
}

impl Inbox for Visit<'_> {
    #[inline]
    fn glance(&mut self) -> Option<usize> {
        let len = self.desk.intake.find_quickly()?;
        self.take(len).then_some(len)
    }

    fn poll(&mut self) -> Step {
        // More do not stand in a ring at a time: one that leads in a circle has no end.
        let mut left = self.desk.most;
        loop {
            match self.desk.intake.find() {
                Step::Message(len) if !self.take(len) => {}
                step => return step,
            }
            left -= 1;
            if left == 0 {
                return self.desk.intake.give_up();
            }
        }
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.desk.pace
    }

    /// That all clients have gone is no news to a server.
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.desk.intake.check() {
            return Some(fault.into());
        }
        matches!(step, Step::Corrupt).then_some(RecvError::Corrupt)
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.desk.intake.sleep(&mut [], until)
    }
}
