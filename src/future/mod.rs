//! Waiting in a task, and not in a thread.

mod typed;

use crate::calls::client::{Call, Client};
use crate::calls::server::{Request, Server, Ticket};
use crate::error::Result;
use crate::error::channel::{CallError, RecvError, SendError};
use crate::lane::Step;
use crate::object::event::Event;
use crate::object::process::Process;
use crate::object::wait_handle::Handle;
use crate::os::LONGEST_SLEEP;
use crate::queue::receiver::Receiver;
use crate::queue::sender::{Room, Sender};
use crate::topic::publisher::{Held, Publisher};
use crate::topic::subscriber::Subscriber;
use crate::values::reader::Reader;
use crate::wait::reactor::{self, Notice, Registrations, What};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::FIRST_NAP;
use crate::wait::spin::{Inbox, Patience};
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
    lying: Option<Lying>,
    end: T,
}

impl<T> Async<T> {
    /// Lets its waits be futures.
    pub fn new(end: T) -> Async<T> {
        Async { lying: None, end }
    }

    /// What it was made of.
    pub fn get_ref(&self) -> &T {
        &self.end
    }
}

impl<T: Endpoint> Async<T> {
    /// What it was made of, for all that does not wait.
    pub fn get_mut(&mut self) -> &mut T {
        end_leaked(&mut self.lying, |has_come| self.end.end_wait(has_come));
        &mut self.end
    }

    /// Returns what it was made of.
    pub fn into_inner(mut self) -> T {
        end_leaked(&mut self.lying, |has_come| self.end.end_wait(has_come));
        self.end
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
    ($({$($of:ident),*} $type:ty, |$end:ident| $wait:expr;)+) => {$(
        impl<$($of: crate::Described),*> Endpoint for $type {
            fn end_wait(&mut self, has_come: bool) {
                let $end = self;
                end_wait(&mut $wait, has_come);
            }
        }
    )+};
}

endpoint! {
    {} Receiver, |end| *end;
    {} Subscriber, |end| *end;
    {} Reader, |end| *end;
    {} Server, |end| *end;
    {} Client, |end| *end;
    {} Event, |end| *end;
    {} Handle, |end| *end;
    {} Process, |end| *end;
    {} Sender, |end| Room::of(end, 0);
    {} Publisher, |end| Held::of(end, 0, None);
    {T} crate::typed::Receiver<T>, |end| *end.end_mut();
    {T} crate::typed::Subscriber<T>, |end| *end.end_mut();
    {T} crate::typed::Reader<T>, |end| *end.end_mut();
    {Q, R} crate::typed::Server<Q, R>, |end| *end.end_mut();
    {Q, R} crate::typed::Client<Q, R>, |end| *end.end_mut();
    {T} crate::typed::Sender<T>, |end| Room::of(end.end_mut(), 0);
    {T} crate::typed::Publisher<T>, |end| Held::of(end.end_mut(), 0, None);
}

fn end_wait(end: &mut impl Wait, has_come: bool) {
    end.get_up();
    if has_come {
        // What was taken is kept by the end.
        let _ = end.woken();
    }
}

/// Ends the wait of a future that was leaked, if there was one: what its registrations have taken is
/// for the next.
fn end_leaked(lying: &mut Option<Lying>, end: impl FnOnce(bool)) {
    if let Some(lying) = lying.take() {
        drop((lying.signals, lying.moment));
        end(lying.notice.has_come().unwrap_or(false));
    }
}

/// A wait that looks again after so long does so since the system tells it nothing, for want of
/// descriptors: it lies down anew then.
const RENEWED: std::ops::Range<Duration> = Duration::from_millis(50)..LONGEST_SLEEP;

/// A rest until there is reason to ask again.
struct Rest<'a, W: Wait> {
    end: &'a mut W,
    lying: &'a mut Option<Lying>,
    /// There was reason at once; it lets others have their turn before it says so.
    is_over: bool,
}

/// What wakes it while it lies down.
#[derive(Debug)]
struct Lying {
    notice: Arc<Notice>,
    /// Nothing, where there was reason before it had to be woken.
    signals: Option<Registrations>,
    moment: Option<Registrations>,
    again: Option<Duration>,
    /// The first nap is over.
    has_napped: bool,
}

fn rest<'a, W: Wait>(lying: &'a mut Option<Lying>, end: &'a mut W) -> Rest<'a, W> {
    end_leaked(lying, |has_come| end_wait(end, has_come));
    Rest {
        end,
        lying,
        is_over: false,
    }
}

fn moment(after: Duration, notice: &Arc<Notice>) -> Result<Option<Registrations>> {
    let what = What::Moment(Instant::now() + after);
    reactor::register([(what, Arc::clone(notice))]).map(Some)
}

impl<W: Wait> Rest<'_, W> {
    /// Whether there is reason to ask already.
    fn lie_down(&mut self, waker: &Waker) -> Result<bool> {
        let notice = Notice::new(waker);
        let mut signals = Signals::new(Waker::from(Arc::clone(&notice)));
        let lying = self.lying.insert(Lying {
            notice: Arc::clone(&notice),
            signals: None,
            moment: None,
            again: None,
            has_napped: false,
        });
        self.end.lie_down(&mut signals)?;
        if self.end.has_news() {
            return Ok(true);
        }
        lying.again = signals.again;
        let first = signals
            .again
            .map_or(FIRST_NAP, |again| again.min(FIRST_NAP));
        let whats = signals.list.into_iter().map(What::Signal);
        let noticed = whats.map(|what| (what, Arc::clone(&notice)));
        lying.signals = Some(reactor::register(noticed)?);
        lying.moment = moment(first, &notice)?;
        Ok(false)
    }

    /// Whether a signal has come, and there is reason to ask.
    fn get_up(&mut self) -> Result<bool> {
        let Some(lying) = self.lying.take() else {
            return Ok(false);
        };
        drop((lying.signals, lying.moment));
        self.end.get_up();
        match lying.notice.has_come()? {
            true => self.end.woken(),
            false => Ok(false),
        }
    }

    /// After a time without a signal: asks the system for what may have told nothing, for want of
    /// descriptors. It then lies down anew.
    fn renew(&mut self) -> Result<bool> {
        end_leaked(self.lying, |_| self.end.get_up());
        self.end.woken()
    }

    fn poll_up(&mut self, waker: &Waker) -> Poll<Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        if let Some(lying) = &mut self.lying {
            // Before the looks: what comes from now on wakes us.
            lying.notice.set_waker(waker);
            if lying.notice.has_come()? {
                if self.get_up()? {
                    return Poll::Ready(Ok(()));
                }
            } else if self.end.has_news() {
                return Poll::Ready(self.get_up().map(drop));
            } else if let (true, Some(again)) = (lying.notice.take_late(), lying.again) {
                // Those that look each millisecond, and those that a signal will wake, only look.
                if !lying.has_napped || !RENEWED.contains(&again) {
                    lying.has_napped = true;
                    lying.moment = moment(again, &lying.notice)?;
                    return Poll::Pending;
                }
                if self.renew()? {
                    return Poll::Ready(Ok(()));
                }
            } else {
                return Poll::Pending;
            }
        }
        if self.lie_down(waker)? {
            self.get_up()?;
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
        let _ = self.get_up();
    }
}

/// The length of the next message.
async fn receive<E: Inbox + Wait>(
    lying: &mut Option<Lying>,
    end: &mut E,
) -> std::result::Result<usize, RecvError> {
    loop {
        match Inbox::look(end) {
            Step::Message(len) => return Ok(len),
            other => end.no_message(other).map_or(Ok(()), Err)?,
        }
        rest(lying, end).await?;
    }
}

impl Async<Receiver> {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    pub async fn recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        let len = receive(&mut self.lying, &mut self.end).await?;
        Ok(self.end.received(len))
    }
}

impl Async<Subscriber> {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// As [`Subscriber::recv`].
    pub async fn recv(&mut self) -> std::result::Result<&[u8], RecvError> {
        let len = receive(&mut self.lying, &mut self.end).await?;
        Ok(self.end.received(len))
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
            match self.end.try_change() {
                Err(RecvError::Empty) => rest(&mut self.lying, &mut self.end).await?,
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
        let (len, ticket) = find(&mut self.lying, &mut self.end).await?;
        Ok(self.end.request(len, ticket))
    }
}

async fn find(
    lying: &mut Option<Lying>,
    server: &mut Server,
) -> std::result::Result<(usize, Ticket), RecvError> {
    loop {
        match server.next(Patience::None) {
            Err(RecvError::Empty) => rest(lying, server).await?,
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
        call(&mut self.lying, &mut self.end, request).await
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
        let index = self.end.index(call);
        answer(&mut self.lying, &mut self.end, index).await
    }
}

async fn call<'a>(
    lying: &mut Option<Lying>,
    client: &'a mut Client,
    request: &[u8],
) -> std::result::Result<&'a [u8], CallError> {
    let index = loop {
        match client.begin(request, Patience::None) {
            Err(CallError::Full) if !client.is_all_held() => {
                let request = Some(request.len());
                rest(lying, &mut Caller { client, request }).await?;
                // What has come makes room, or says that nothing will.
                client.poll(|_| false)?;
            }
            begun => break begun?,
        }
    };
    answer(lying, client, index).await
}

async fn answer<'a>(
    lying: &mut Option<Lying>,
    client: &'a mut Client,
    index: usize,
) -> std::result::Result<&'a [u8], CallError> {
    while !client.poll(|client| client.is_over(index))? {
        let request = None;
        rest(lying, &mut Caller { client, request }).await?;
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

    fn lie_down(&mut self, signals: &mut Signals) -> Result<()> {
        self.client.lie_down(signals)
    }

    fn get_up(&mut self) {
        self.client.get_up();
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
        send(&mut self.lying, &mut self.end, message).await
    }
}

async fn send(
    lying: &mut Option<Lying>,
    sender: &mut Sender,
    message: &[u8],
) -> std::result::Result<(), SendError> {
    loop {
        match sender.try_send(message) {
            Err(SendError::Full) => rest(lying, &mut Room::of(sender, message.len())).await?,
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
        publish(&mut self.lying, &mut self.end, message).await
    }
}

async fn publish(
    lying: &mut Option<Lying>,
    publisher: &mut Publisher,
    message: &[u8],
) -> std::result::Result<(), SendError> {
    let mut since = None;
    loop {
        match publisher.write(message, Patience::None, &mut since) {
            Err(SendError::Full) => {
                rest(lying, &mut Held::of(publisher, message.len(), since)).await?;
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
        while !self.end.try_wait()? {
            rest(&mut self.lying, &mut self.end).await?;
        }
        Ok(())
    }
}

impl Async<Handle> {
    /// Waits until it is signaled, or can be read.
    ///
    /// # Errors
    ///
    /// As [`Handle::try_wait`].
    pub async fn wait(&mut self) -> Result<()> {
        while !self.end.try_wait()? {
            rest(&mut self.lying, &mut self.end).await?;
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
        while !self.end.has_ended()? {
            rest(&mut self.lying, &mut self.end).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::source::silent::Silent;

    #[test]
    fn what_the_first_look_misses_is_found_after_the_first_nap() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap().block_on(async {
            let (mut lying, mut end) = (None, Silent::default());
            let (began, patience) = (Instant::now(), Duration::from_secs(10));
            let resting = rest(&mut lying, &mut end);
            let rested = tokio::time::timeout(patience, resting).await;
            rested.expect("it rests for ever").unwrap();
            assert!(began.elapsed() < patience, "it was found too late");
        });
    }
}
