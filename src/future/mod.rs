//! Waiting in a task instead of a thread.

use crate::calls::calling::Calling;
use crate::calls::client::{Client, response};
use crate::calls::pending::Call;
use crate::calls::request::Request;
use crate::calls::server::Server;
use crate::error::Result;
use crate::error::channel::{CallError, RecvError, SendError};
use crate::format::payload::{self, Payload};
use crate::lane::Step;
use crate::object::event::Event;
use crate::object::process::Process;
use crate::object::wait_handle::WaitHandle;
use crate::os::LONGEST_SLEEP;
use crate::queue::receiver::Receiver;
use crate::queue::sender::Sender;
use crate::queue::sending::Room;
use crate::topic::publisher::Publisher;
use crate::topic::publishing::Held;
use crate::topic::subscriber::Subscriber;
use crate::values::reader::Reader;
use crate::wait::reactor::{self, Notice, Registrations, What};
use crate::wait::source::{AsWait, Signals, Wait};
use crate::wait::spin::FIRST_PARK;
use crate::wait::spin::{Deadline, Inbox};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// An endpoint, an event, a wait handle or a process whose waits are futures, for any executor.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-async-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Async, Client, Server};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let mut server = Async::new(Server::create(name)?);
/// let mut client = Async::new(Client::open(name)?);
///
/// tokio::spawn(async move {
///     while let Ok(request) = server.recv().await {
///         let _ = request.respond(b"101.5");
///     }
/// });
/// assert_eq!(client.call(b"ABCD").await?, b"101.5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A waiting future does not poll, with one exception: an observer (a subscriber or reader without
/// a slot) polls every 1 to 10 ms.
///
/// There is no thread for each future. One thread waits for up to 62 signals on Windows, and for up
/// to 127 signals on Linux. An endpoint has two or more signals: its parker, and the process of
/// each peer that it watches.
///
/// A future can be dropped at any time, and no message or signal is lost: the next call receives
/// what came meanwhile. To limit a wait, use the timer of the executor (`tokio::time::timeout`).
///
/// A future of [`Server`]'s `recv` is the leader of all workers of the server while it waits.
/// Another worker becomes the leader when the future has a request or is dropped. So do not keep
/// such a future without polling it.
///
/// A message takes about two wake-ups to reach a task: it first wakes the thread that waits for
/// signals, and this thread wakes the task. A thread that sleeps in [`recv`](crate::Receiver::recv)
/// needs one wake-up, and polls for a while before it sleeps; a task does not poll first. If the
/// delay of a message matters, use a thread that calls `recv`.
#[derive(Debug)]
pub struct Async<T> {
    /// The registration of the wait for `endpoint`. This field is here and not in the waiting
    /// future, so that the next wait can end the wait of a future that was leaked (`mem::forget`).
    registration: Option<Registration>,
    endpoint: T,
}

impl<T> Async<T> {
    /// Wraps an endpoint or object, so that its waits are futures.
    pub fn new(endpoint: T) -> Async<T> {
        Async {
            registration: None,
            endpoint,
        }
    }

    /// Returns the wrapped endpoint or object.
    pub fn get_ref(&self) -> &T {
        &self.endpoint
    }
}

impl<T: Endpoint> Async<T> {
    /// Returns the wrapped endpoint or object, for calls that do not wait.
    pub fn get_mut(&mut self) -> &mut T {
        end_leaked(&mut self.registration, |has_come| {
            self.endpoint.end_wait(has_come)
        });
        &mut self.endpoint
    }

    /// Unwraps the endpoint or object.
    pub fn into_inner(mut self) -> T {
        end_leaked(&mut self.registration, |has_come| {
            self.endpoint.end_wait(has_come)
        });
        self.endpoint
    }
}

mod sealed {
    /// An endpoint or object for which a task can wait.
    pub trait Endpoint {
        /// Ends the wait of a future that was leaked. `has_come` says whether a signal has come.
        fn end_wait(&mut self, has_come: bool);
    }
}

use sealed::Endpoint;

impl<E: AsWait> Endpoint for E {
    fn end_wait(&mut self, has_come: bool) {
        end_wait(self.as_wait(), has_come);
    }
}

impl<M: Payload + ?Sized> Endpoint for Sender<M> {
    fn end_wait(&mut self, has_come: bool) {
        end_wait(&mut Room::of(&mut self.core, 0), has_come);
    }
}

impl<M: Payload + ?Sized> Endpoint for Publisher<M> {
    fn end_wait(&mut self, has_come: bool) {
        end_wait(&mut Held::of(&mut self.core, 0, None), has_come);
    }
}

fn end_wait(endpoint: &mut dyn Wait, has_come: bool) {
    endpoint.deregister();
    if has_come {
        // The endpoint keeps a signal that the wait took.
        let _ = endpoint.woken();
    }
}

/// Ends the wait of a future that was leaked, if there was one. The next wait gets the signals that
/// the registrations took.
fn end_leaked(registration: &mut Option<Registration>, finish: impl FnOnce(bool)) {
    if let Some(registration) = registration.take() {
        drop((registration.signals, registration.timer));
        finish(registration.notice.has_come().unwrap_or(false));
    }
}

/// A wait that looks again after a time in this range lacks a signal, since there are too few
/// descriptors. Such a wait registers anew after each look.
const RENEWED: std::ops::Range<Duration> = Duration::from_millis(50)..LONGEST_SLEEP;

/// A future that is ready when there is reason to ask the endpoint again.
struct Rest<'a, W: Wait> {
    endpoint: &'a mut W,
    registration: &'a mut Option<Registration>,
    /// There was reason at once. The future lets other tasks run before it is ready.
    is_over: bool,
}

/// What wakes a task that sleeps on an endpoint.
#[derive(Debug)]
struct Registration {
    notice: Arc<Notice>,
    /// `None` if there was reason to ask before the task had to sleep.
    signals: Option<Registrations>,
    timer: Option<Registrations>,
    /// The time after which the task looks again if no signal came.
    again: Option<Duration>,
    /// The first sleep, of [`FIRST_PARK`] at most, is over.
    has_parked: bool,
}

fn rest<'a, W: Wait>(
    registration: &'a mut Option<Registration>,
    endpoint: &'a mut W,
) -> Rest<'a, W> {
    end_leaked(registration, |has_come| end_wait(endpoint, has_come));
    Rest {
        endpoint,
        registration,
        is_over: false,
    }
}

fn timer(after: Duration, notice: &Arc<Notice>) -> Result<Option<Registrations>> {
    let what = What::Time(Instant::now() + after);
    reactor::register([(what, Arc::clone(notice))]).map(Some)
}

impl<W: Wait> Rest<'_, W> {
    /// Registers with the endpoint. Returns whether there is reason to ask already.
    fn register(&mut self, waker: &Waker) -> Result<bool> {
        let notice = Notice::new(waker);
        let mut signals = Signals::new(Waker::from(Arc::clone(&notice)));
        let registration = self.registration.insert(Registration {
            notice: Arc::clone(&notice),
            signals: None,
            timer: None,
            again: None,
            has_parked: false,
        });

        self.endpoint.register(&mut signals)?;
        if self.endpoint.has_news() {
            return Ok(true);
        }
        registration.again = signals.again;
        let first = signals
            .again
            .map_or(FIRST_PARK, |again| again.min(FIRST_PARK));

        let whats = signals.list.into_iter().map(What::Signal);
        let noticed = whats.map(|what| (what, Arc::clone(&notice)));
        registration.signals = Some(reactor::register(noticed)?);
        registration.timer = timer(first, &notice)?;
        Ok(false)
    }

    /// Deregisters. Returns whether a signal has come and gives reason to ask.
    fn deregister(&mut self) -> Result<bool> {
        let Some(registration) = self.registration.take() else {
            return Ok(false);
        };
        drop((registration.signals, registration.timer));
        self.endpoint.deregister();
        if registration.notice.has_come()? {
            self.endpoint.woken()
        } else {
            Ok(false)
        }
    }

    /// Asks the system about events that may have had no signal, since there are too few
    /// descriptors. The caller then registers anew. This is called after a time without a signal.
    fn renew(&mut self) -> Result<bool> {
        end_leaked(self.registration, |_| self.endpoint.deregister());
        self.endpoint.woken()
    }

    fn poll_up(&mut self, waker: &Waker) -> Poll<Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }

        if let Some(registration) = &mut self.registration {
            // Before the looks: a signal that comes from now on wakes this task.
            registration.notice.set_waker(waker);
            if registration.notice.has_come()? {
                if self.deregister()? {
                    return Poll::Ready(Ok(()));
                }
            } else if self.endpoint.has_news() {
                return Poll::Ready(self.deregister().map(drop));
            } else if let (true, Some(again)) =
                (registration.notice.take_late(), registration.again)
            {
                // A wait that polls, and a wait that has all its signals, stay
                // registered.
                if !registration.has_parked || !RENEWED.contains(&again) {
                    registration.has_parked = true;
                    registration.timer = timer(again, &registration.notice)?;
                    return Poll::Pending;
                }
                if self.renew()? {
                    return Poll::Ready(Ok(()));
                }
            } else {
                return Poll::Pending;
            }
        }

        if self.register(waker)? {
            self.deregister()?;
            self.is_over = true;
            waker.wake_by_ref();
        }
        Poll::Pending
    }
}

impl<W: Wait> Future for Rest<'_, W> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_up(context.waker())
    }
}

impl<W: Wait> Drop for Rest<'_, W> {
    fn drop(&mut self) {
        // The endpoint keeps a signal that the wait took.
        let _ = self.deregister();
    }
}

/// Waits for the next message, and returns its length.
async fn receive<E: Inbox + Wait>(
    registration: &mut Option<Registration>,
    endpoint: &mut E,
) -> Result<usize, RecvError> {
    loop {
        match Inbox::look(endpoint) {
            Step::Message(len) => return Ok(len),
            other => endpoint.no_message(other).map_or(Ok(()), Err)?,
        }
        rest(registration, endpoint).await?;
    }
}

impl<M: Payload + ?Sized> Async<Receiver<M>> {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// The errors of [`Receiver::recv`].
    pub async fn recv(&mut self) -> Result<M::Received<'_>, RecvError> {
        let core = &mut self.endpoint.core;
        let len = receive(&mut self.registration, core).await?;
        payload::received::<M>(core.received(len))
    }
}

impl<M: Payload + ?Sized> Async<Subscriber<M>> {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// The errors of [`Subscriber::recv`].
    pub async fn recv(&mut self) -> Result<M::Received<'_>, RecvError> {
        let core = &mut self.endpoint.core;
        let len = receive(&mut self.registration, core).await?;
        payload::received::<M>(core.received(len))
    }
}

impl<M: Payload + ?Sized> Async<Reader<M>> {
    /// Waits for a value to change, and returns its index.
    ///
    /// # Errors
    ///
    /// The errors of [`Reader::wait_change`].
    pub async fn wait_change(&mut self) -> Result<usize, RecvError> {
        loop {
            match self.endpoint.try_change() {
                Err(RecvError::Empty) => {
                    rest(&mut self.registration, &mut self.endpoint.core).await?;
                }
                changed => return changed,
            }
        }
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Async<Server<Q, R>> {
    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// The errors of [`Server::recv`].
    pub async fn recv(&mut self) -> Result<Request<'_, Q, R>, RecvError> {
        let core = &mut self.endpoint.core;
        let (len, address) = loop {
            match core.next(Deadline::Now) {
                Err(RecvError::Empty) => rest(&mut self.registration, core).await?,
                found => break found?,
            }
        };
        Request::new(core, len, address)
    }
}

impl<Q: Payload + ?Sized, R: Payload + ?Sized> Async<Client<Q, R>> {
    /// Sends a request, and waits for the response. If the future is dropped before the response
    /// has come, the response is dropped too.
    ///
    /// # Errors
    ///
    /// The errors of [`Client::call`].
    pub async fn call(&mut self, request: &Q) -> Result<R::Received<'_>, CallError> {
        let (registration, client) = (&mut self.registration, &mut self.endpoint.core);
        let index = begin(registration, client, request.bytes()).await?;
        response::<R>(answer(registration, client, index).await?)
    }

    /// Waits for the response to a call.
    ///
    /// # Errors
    ///
    /// The errors of [`Client::recv`].
    ///
    /// # Panics
    ///
    /// Panics if the call belongs to another client.
    pub async fn recv(&mut self, call: &Call) -> Result<R::Received<'_>, CallError> {
        let client = &mut self.endpoint.core;
        let index = client.index(call);
        response::<R>(answer(&mut self.registration, client, index).await?)
    }
}

/// Begins a call once there is space for it, and returns its index.
async fn begin(
    registration: &mut Option<Registration>,
    client: &mut Calling,
    request: &[u8],
) -> Result<usize, CallError> {
    loop {
        match client.begin(request, Deadline::Now) {
            Err(CallError::Full) if !client.is_all_held() => {
                let request = Some(request.len());
                rest(registration, &mut Caller { client, request }).await?;
                // A response makes room; an error says that there will be no room.
                client.poll(|_| false)?;
            }
            begun => return begun,
        }
    }
}

/// Waits until a call is over, and returns its response.
async fn answer<'a>(
    registration: &mut Option<Registration>,
    client: &'a mut Calling,
    index: usize,
) -> Result<&'a [u8], CallError> {
    while !client.poll(|client| client.is_over(index))? {
        let request = None;
        rest(registration, &mut Caller { client, request }).await?;
    }
    client.response(index)
}

/// A client that waits for a response, or for a place for a request of this length.
struct Caller<'a> {
    client: &'a mut Calling,
    request: Option<usize>,
}

impl Wait for Caller<'_> {
    fn has_news(&mut self) -> bool {
        let has_room = self
            .request
            .is_some_and(|len| self.client.has_place_for(len));
        has_room || self.client.has_responses()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.client.register(signals)
    }

    fn deregister(&mut self) {
        self.client.deregister();
    }

    fn woken(&mut self) -> Result<bool> {
        self.client.woken()?;
        Ok(self.has_news())
    }
}

impl<M: Payload + ?Sized> Async<Sender<M>> {
    /// Sends a message, and waits until there is space. The message is sent when the future is
    /// ready. If the future is dropped before that, the message is not sent.
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::send`].
    pub async fn send(&mut self, message: &M) -> Result<(), SendError> {
        let (message, sender) = (message.bytes(), &mut self.endpoint.core);
        loop {
            match sender.send(message, Deadline::Now) {
                Err(SendError::Full) => {
                    let mut room = Room::of(sender, message.len());
                    rest(&mut self.registration, &mut room).await?;
                }
                sent => return sent,
            }
        }
    }
}

impl<M: Payload + ?Sized> Async<Sender<M>> {
    /// Sends a message with a source number, and waits until there is space; see
    /// [`Sender::send_numbered`]. If the future is dropped before it is ready, the message is not sent.
    ///
    /// # Errors
    ///
    /// The errors of [`Sender::send_numbered`].
    pub async fn send_numbered(&mut self, number: u64, message: &M) -> Result<(), SendError> {
        let (message, sender) = (message.bytes(), &mut self.endpoint.core);
        loop {
            match sender.send_numbered(number, message, (Deadline::Now, false)) {
                Err(SendError::Full) => {
                    let mut room = Room::of(sender, message.len());
                    rest(&mut self.registration, &mut room).await?;
                }
                sent => return sent.map(drop),
            }
        }
    }
}

impl<M: Payload + ?Sized> Async<Publisher<M>> {
    /// Sends a message, and waits for slow subscribers if delivery is lossless. The message is sent
    /// when the future is ready. If the future is dropped before that, the message is not sent.
    ///
    /// # Errors
    ///
    /// The errors of [`Publisher::send`].
    pub async fn send(&mut self, message: &M) -> Result<(), SendError> {
        let (message, publisher) = (message.bytes(), &mut self.endpoint.core);
        let mut since = None;
        loop {
            match publisher.write(message, Deadline::Now, &mut since) {
                Err(SendError::Full) => {
                    let mut held = Held::of(publisher, message.len(), since);
                    rest(&mut self.registration, &mut held).await?;
                }
                sent => return sent,
            }
        }
    }
}

impl Async<Event> {
    /// Waits until the event is signaled.
    ///
    /// # Errors
    ///
    /// The errors of [`Event::wait`].
    pub async fn wait(&mut self) -> Result<()> {
        while !self.endpoint.try_wait()? {
            rest(&mut self.registration, &mut self.endpoint).await?;
        }
        Ok(())
    }
}

impl Async<WaitHandle> {
    /// Waits until the handle is signaled (Windows), or the descriptor can be read (Linux).
    ///
    /// # Errors
    ///
    /// The errors of [`WaitHandle::try_wait`].
    pub async fn wait(&mut self) -> Result<()> {
        while !self.endpoint.try_wait()? {
            rest(&mut self.registration, &mut self.endpoint).await?;
        }
        Ok(())
    }
}

impl Async<Process> {
    /// Waits until the process has ended.
    ///
    /// # Errors
    ///
    /// The errors of [`Process::wait`].
    pub async fn wait(&mut self) -> Result<()> {
        while !self.endpoint.has_ended()? {
            rest(&mut self.registration, &mut self.endpoint).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::source::silent::Silent;

    #[test]
    fn future_completes_after_missed_wakeup() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap().block_on(async {
            let (mut registration, mut endpoint) = (None, Silent::default());
            let (began, deadline) = (Instant::now(), Duration::from_secs(10));
            let resting = rest(&mut registration, &mut endpoint);
            let rested = tokio::time::timeout(deadline, resting).await;
            rested.expect("the future never ends").unwrap();
            assert!(began.elapsed() < deadline, "the news was found too late");
        });
    }
}
