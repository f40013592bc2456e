//! Waiting in a task, and not in a thread.

mod typed;

use crate::calls::client::{Call, Client};
use crate::calls::server::{Request, ResponseAddress, Server};
use crate::error::Result;
use crate::error::channel::{CallError, RecvError, SendError};
use crate::lane::Step;
use crate::object::event::Event;
use crate::object::process::Process;
use crate::object::wait_handle::WaitHandle;
use crate::os::LONGEST_SLEEP;
use crate::queue::receiver::Receiver;
use crate::queue::sender::{Room, Sender};
use crate::topic::publisher::{Held, Publisher};
use crate::topic::subscriber::Subscriber;
use crate::values::reader::Reader;
use crate::wait::reactor::{self, Notice, Registrations, What};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::FIRST_PARK;
use crate::wait::spin::{Deadline, Inbox};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// An end, an event or a process whose waits are futures, for any executor.
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
/// Nothing is polled (but that an end which the owner lets only look, without a place among
/// those who take part, looks each millisecond), and there is no thread for each: one for 62
/// things on Windows and for 127 on Linux that are waited for at a time, an end counting as two or
/// more (its event, and the process of the other side). Each of these futures can be dropped at
/// any time, and nothing is lost: what has come meanwhile is had by the next. To wait for a limited
/// time, let the executor do it (`tokio::time::timeout`).
///
/// One that waits in [`Server`]'s `recv` has the turn of all its workers, and gives it to another when it
/// has a request or is dropped: do not keep one that is not polled.
///
/// A message that wakes a task wakes that thread first, so it takes about two wake-ups to
/// arrive where a thread that sleeps in [`recv`](crate::Receiver::recv) takes one, and it does not poll for a
/// while first as that does. What has to be fast has a thread of its own.
#[derive(Debug)]
pub struct Async<T> {
    /// How `end` is waited for. It stands here and not in the future that waits, so that the next
    /// wait ends that of a future which was leaked (`mem::forget`).
    registration: Option<Registration>,
    endpoint: T,
}

impl<T> Async<T> {
    /// Lets its waits be futures.
    pub fn new(endpoint: T) -> Async<T> {
        Async {
            registration: None,
            endpoint,
        }
    }

    /// What it was made of.
    pub fn get_ref(&self) -> &T {
        &self.endpoint
    }
}

impl<T: Endpoint> Async<T> {
    /// What it was made of, for all that does not wait.
    pub fn get_mut(&mut self) -> &mut T {
        end_leaked(&mut self.registration, |has_come| {
            self.endpoint.end_wait(has_come)
        });
        &mut self.endpoint
    }

    /// Returns what it was made of.
    pub fn into_inner(mut self) -> T {
        end_leaked(&mut self.registration, |has_come| {
            self.endpoint.end_wait(has_come)
        });
        self.endpoint
    }
}

mod sealed {
    /// What can be waited for in a task.
    pub trait Endpoint {
        /// Ends the wait of a future that was leaked, for which a signal has come or not.
        fn end_wait(&mut self, has_come: bool);
    }
}

use sealed::Endpoint;

macro_rules! endpoint {
    ($({$($of:ident),*} $type:ty, |$endpoint:ident| $wait:expr;)+) => {$(
        impl<$($of: crate::Described),*> Endpoint for $type {
            fn end_wait(&mut self, has_come: bool) {
                let $endpoint = self;
                end_wait(&mut $wait, has_come);
            }
        }
    )+};
}

endpoint! {
    {} Receiver, |endpoint| *endpoint;
    {} Subscriber, |endpoint| *endpoint;
    {} Reader, |endpoint| *endpoint;
    {} Server, |endpoint| *endpoint;
    {} Client, |endpoint| *endpoint;
    {} Event, |endpoint| *endpoint;
    {} WaitHandle, |endpoint| *endpoint;
    {} Process, |endpoint| *endpoint;
    {} Sender, |endpoint| Room::of(endpoint, 0);
    {} Publisher, |endpoint| Held::of(endpoint, 0, None);
    {T} crate::typed::Receiver<T>, |endpoint| *endpoint.endpoint_mut();
    {T} crate::typed::Subscriber<T>, |endpoint| *endpoint.endpoint_mut();
    {T} crate::typed::Reader<T>, |endpoint| *endpoint.endpoint_mut();
    {Q, R} crate::typed::Server<Q, R>, |endpoint| *endpoint.endpoint_mut();
    {Q, R} crate::typed::Client<Q, R>, |endpoint| *endpoint.endpoint_mut();
    {T} crate::typed::Sender<T>, |endpoint| Room::of(endpoint.endpoint_mut(), 0);
    {T} crate::typed::Publisher<T>, |endpoint| Held::of(endpoint.endpoint_mut(), 0, None);
}

fn end_wait(endpoint: &mut impl Wait, has_come: bool) {
    endpoint.deregister();
    if has_come {
        // What was taken is kept by the end.
        let _ = endpoint.woken();
    }
}

/// Ends the wait of a future that was leaked, if there was one: what its registrations have taken is
/// for the next.
fn end_leaked(registration: &mut Option<Registration>, finish: impl FnOnce(bool)) {
    if let Some(registration) = registration.take() {
        drop((registration.signals, registration.timer));
        finish(registration.notice.has_come().unwrap_or(false));
    }
}

/// A wait that looks again after so long does so since the system tells it nothing, for want of
/// descriptors: it lies down anew then.
const RENEWED: std::ops::Range<Duration> = Duration::from_millis(50)..LONGEST_SLEEP;

/// A rest until there is reason to ask again.
struct Rest<'a, W: Wait> {
    endpoint: &'a mut W,
    registration: &'a mut Option<Registration>,
    /// There was reason at once; it lets others have their turn before it says so.
    is_over: bool,
}

/// What wakes it while it lies down.
#[derive(Debug)]
struct Registration {
    notice: Arc<Notice>,
    /// Nothing, where there was reason before it had to be woken.
    signals: Option<Registrations>,
    timer: Option<Registrations>,
    again: Option<Duration>,
    /// The first nap is over.
    has_napped: bool,
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
    /// Whether there is reason to ask already.
    fn register(&mut self, waker: &Waker) -> Result<bool> {
        let notice = Notice::new(waker);
        let mut signals = Signals::new(Waker::from(Arc::clone(&notice)));
        let registration = self.registration.insert(Registration {
            notice: Arc::clone(&notice),
            signals: None,
            timer: None,
            again: None,
            has_napped: false,
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

    /// Whether a signal has come, and there is reason to ask.
    fn deregister(&mut self) -> Result<bool> {
        let Some(registration) = self.registration.take() else {
            return Ok(false);
        };
        drop((registration.signals, registration.timer));
        self.endpoint.deregister();
        match registration.notice.has_come()? {
            true => self.endpoint.woken(),
            false => Ok(false),
        }
    }

    /// After a time without a signal: asks the system for what may have told nothing, for want of
    /// descriptors. It then lies down anew.
    fn renew(&mut self) -> Result<bool> {
        end_leaked(self.registration, |_| self.endpoint.deregister());
        self.endpoint.woken()
    }

    fn poll_up(&mut self, waker: &Waker) -> Poll<Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        if let Some(registration) = &mut self.registration {
            // Before the looks: what comes from now on wakes us.
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
                // Those that look each millisecond, and those that a signal will wake, only look.
                if !registration.has_napped || !RENEWED.contains(&again) {
                    registration.has_napped = true;
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
        // What was taken is kept by the end.
        let _ = self.deregister();
    }
}

/// The length of the next message.
async fn receive<E: Inbox + Wait>(
    registration: &mut Option<Registration>,
    endpoint: &mut E,
) -> std::result::Result<usize, RecvError> {
    loop {
        match Inbox::look(endpoint) {
            Step::Message(len) => return Ok(len),
            other => endpoint.no_message(other).map_or(Ok(()), Err)?,
        }
        rest(registration, endpoint).await?;
    }
}

impl Async<Receiver> {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    pub async fn recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        let len = receive(&mut self.registration, &mut self.endpoint).await?;
        Ok(self.endpoint.received(len))
    }
}

impl Async<Subscriber> {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::recv`].
    pub async fn recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        let len = receive(&mut self.registration, &mut self.endpoint).await?;
        Ok(self.endpoint.received(len))
    }
}

impl Async<Reader> {
    /// Waits for a value to change, and says which.
    ///
    /// # Errors
    ///
    /// As [`Reader::wait_change`].
    pub async fn wait_change(&mut self) -> std::result::Result<usize, RecvError> {
        loop {
            match self.endpoint.try_change() {
                Err(RecvError::Empty) => rest(&mut self.registration, &mut self.endpoint).await?,
                changed => return changed,
            }
        }
    }
}

impl Async<Server> {
    /// Waits for the next request.
    ///
    /// # Errors
    ///
    /// As [`Server::recv`].
    pub async fn recv(&mut self) -> std::result::Result<Request<'_>, RecvError> {
        let (len, address) = find(&mut self.registration, &mut self.endpoint).await?;
        Ok(self.endpoint.request(len, address))
    }
}

async fn find(
    registration: &mut Option<Registration>,
    server: &mut Server,
) -> std::result::Result<(usize, ResponseAddress), RecvError> {
    loop {
        match server.next(Deadline::Now) {
            Err(RecvError::Empty) => rest(registration, server).await?,
            found => return found,
        }
    }
}

impl Async<Client> {
    /// Sends a request, and waits for the response. Dropped before that has come, what the
    /// server answers is thrown away.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub async fn call(&mut self, request: &[u8]) -> std::result::Result<&[u8], CallError> {
        call(&mut self.registration, &mut self.endpoint, request).await
    }

    /// Waits for the response to a call.
    ///
    /// # Errors
    ///
    /// As [`Client::recv`].
    ///
    /// # Panics
    ///
    /// With a call of another client.
    pub async fn recv(&mut self, call: &Call) -> std::result::Result<&[u8], CallError> {
        let index = self.endpoint.index(call);
        answer(&mut self.registration, &mut self.endpoint, index).await
    }
}

async fn call<'a>(
    registration: &mut Option<Registration>,
    client: &'a mut Client,
    request: &[u8],
) -> std::result::Result<&'a [u8], CallError> {
    let index = loop {
        match client.begin(request, Deadline::Now) {
            Err(CallError::Full) if !client.is_all_held() => {
                let request = Some(request.len());
                rest(registration, &mut Caller { client, request }).await?;
                // What has come makes room, or says that nothing will.
                client.poll(|_| false)?;
            }
            begun => break begun?,
        }
    };
    answer(registration, client, index).await
}

async fn answer<'a>(
    registration: &mut Option<Registration>,
    client: &'a mut Client,
    index: usize,
) -> std::result::Result<&'a [u8], CallError> {
    while !client.poll(|client| client.is_over(index))? {
        let request = None;
        rest(registration, &mut Caller { client, request }).await?;
    }
    client.response(index)
}

/// A client that waits for a response, or for a place for a request of this length.
struct Caller<'a> {
    client: &'a mut Client,
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

impl Async<Sender> {
    /// Sends a message, and waits for room where there is none. It is sent when this
    /// is done, and not where it was dropped before.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub async fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        send(&mut self.registration, &mut self.endpoint, message).await
    }
}

async fn send(
    registration: &mut Option<Registration>,
    sender: &mut Sender,
    message: &[u8],
) -> std::result::Result<(), SendError> {
    loop {
        match sender.try_send(message) {
            Err(SendError::Full) => {
                rest(registration, &mut Room::of(sender, message.len())).await?
            }
            sent => return sent,
        }
    }
}

impl Async<Publisher> {
    /// Sends a message, and waits for slow subscribers where delivery is lossless. It is sent
    /// when this is done, and not where it was dropped before.
    ///
    /// # Errors
    ///
    /// As [`Publisher::send`].
    pub async fn send(&mut self, message: &[u8]) -> std::result::Result<(), SendError> {
        publish(&mut self.registration, &mut self.endpoint, message).await
    }
}

async fn publish(
    registration: &mut Option<Registration>,
    publisher: &mut Publisher,
    message: &[u8],
) -> std::result::Result<(), SendError> {
    let mut since = None;
    loop {
        match publisher.write(message, Deadline::Now, &mut since) {
            Err(SendError::Full) => {
                rest(registration, &mut Held::of(publisher, message.len(), since)).await?;
            }
            sent => return sent,
        }
    }
}

impl Async<Event> {
    /// Waits until it is signaled.
    ///
    /// # Errors
    ///
    /// As [`Event::wait`].
    pub async fn wait(&mut self) -> Result<()> {
        while !self.endpoint.try_wait()? {
            rest(&mut self.registration, &mut self.endpoint).await?;
        }
        Ok(())
    }
}

impl Async<WaitHandle> {
    /// Waits until it is signaled, or can be read.
    ///
    /// # Errors
    ///
    /// As [`WaitHandle::try_wait`].
    pub async fn wait(&mut self) -> Result<()> {
        while !self.endpoint.try_wait()? {
            rest(&mut self.registration, &mut self.endpoint).await?;
        }
        Ok(())
    }
}

impl Async<Process> {
    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// As [`Process::wait`].
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
    fn news_missed_by_the_first_look_is_found_after_the_first_park() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap().block_on(async {
            let (mut registration, mut endpoint) = (None, Silent::default());
            let (began, deadline) = (Instant::now(), Duration::from_secs(10));
            let resting = rest(&mut registration, &mut endpoint);
            let rested = tokio::time::timeout(deadline, resting).await;
            rested.expect("it rests for ever").unwrap();
            assert!(began.elapsed() < deadline, "it was found too late");
        });
    }
}
