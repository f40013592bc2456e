//! Waiting for several wait sources at once.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{self, GateBackend, MOST_SIGNALS, Woken, deadline_after, deadline_within};
use crate::wait::reactor::{self, Notice, What};
use crate::wait::source::{Signals, Waitable};
use crate::wait::spin::{Deadline, FIRST_PARK, Spin};
use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// The result of a wait by a thread that has windows; see [`WaitSet::wait_or_input`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The wait source with this index is ready.
    Source(usize),
    /// There are messages for windows of this thread.
    Input,
    /// No source was ready, and no window message came, before the timeout.
    TimedOut,
}

/// A set that waits for the first of several wait sources, and gives each source its turn. A
/// sleeping wait takes no processor time.
///
/// ```
/// # let stem = format!("Local\\shmkit-doc-set-{}", std::process::id());
/// # let (orders, ticks) = (format!("{stem}-a"), format!("{stem}-b"));
/// use shmkit::{Publisher, RecvError, Receiver, Sender, Subscriber, WaitSet};
///
/// let mut orders = Receiver::create(&*orders)?;
/// # let mut sender = Sender::open(orders.name().as_str())?;
/// # let mut publisher = Publisher::create(&*ticks)?;
/// let mut ticks = Subscriber::open(&*ticks)?;
/// # sender.send(b"17 pieces")?;
/// # publisher.send(b"101.5")?;
///
/// let mut set = WaitSet::new();
/// # let mut seen = 0;
/// loop {
///     match set.wait(&mut [&mut orders, &mut ticks])? {
///         0 => match orders.try_recv() {
///             Ok(order) => assert_eq!(order, b"17 pieces"),
///             Err(RecvError::Empty) => {}
///             Err(error) => return Err(error.into()),
///         },
///         _ => match ticks.try_recv() {
///             Ok(tick) => assert_eq!(tick, b"101.5"),
///             Err(RecvError::Empty) => {}
///             Err(error) => return Err(error.into()),
///         },
///     }
/// #   seen += 1;
/// #   if seen == 2 { return Ok(()); }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The caller passes the wait sources anew to each call, and can use them between two calls. A
/// ready source is a reason to ask that source with its `try_…` call; in rare cases that call finds
/// nothing. If several sources are ready, the set reports the first ready source behind the source
/// that it reported last. So no source waits for ever, in any order of the sources.
///
/// One system call waits for 62 signals on Windows and for 127 signals on Linux. A wait source can
/// have several signals: a receiver has its parker and the deaths of its senders. If there are more
/// signals, the set starts threads that wait for the rest, each for that number of signals.
pub struct WaitSet {
    /// The index of the source to ask first.
    next: usize,
    /// Whether window messages go before sources in the next call.
    input_is_next: bool,
    /// Wakes this set. The first wait makes the gate.
    gate: Option<Arc<Gate>>,
}

#[derive(Debug)]
struct Gate(os::Gate);

impl Wake for Gate {
    fn wake(self: Arc<Gate>) {
        self.0.open();
    }
}

type Sources<'a, 'b> = &'a mut [&'b mut dyn Waitable];

impl WaitSet {
    /// Makes a set that has not waited yet.
    #[must_use]
    pub fn new() -> WaitSet {
        WaitSet {
            next: 0,
            input_is_next: false,
            gate: None,
        }
    }

    /// Blocks until a source is ready, and returns its index.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if `sources` is empty;
    /// [`System`](crate::ErrorKind::System) if the system refuses to wait for a source, or starts
    /// no thread.
    pub fn wait(&mut self, sources: &mut [&mut dyn Waitable]) -> Result<usize> {
        match self.wait_for(sources, Deadline::Never, false)? {
            Ready::Source(index) => Ok(index),
            Ready::Input | Ready::TimedOut => unreachable!("the wait had no input and no timeout"),
        }
    }

    /// Blocks until a source is ready, and returns its index; `None` if no source is ready before
    /// the timeout.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](WaitSet::wait).
    pub fn wait_timeout(
        &mut self,
        sources: &mut [&mut dyn Waitable],
        timeout: Duration,
    ) -> Result<Option<usize>> {
        match self.wait_for(sources, Deadline::within(timeout), false)? {
            Ready::Source(index) => Ok(Some(index)),
            Ready::Input | Ready::TimedOut => Ok(None),
        }
    }

    /// Returns the index of a source that is ready now, or `None` if no source is ready. This call
    /// does not block.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](WaitSet::wait).
    pub fn try_wait(&mut self, sources: &mut [&mut dyn Waitable]) -> Result<Option<usize>> {
        match self.wait_for(sources, Deadline::Now, false)? {
            Ready::Source(index) => Ok(Some(index)),
            Ready::Input | Ready::TimedOut => Ok(None),
        }
    }

    /// Blocks until a source is ready, or until there are messages for a window of this thread. The
    /// wait ends after `timeout`; `None` means no timeout.
    ///
    /// If a call has reported a source, the next call reports window messages first; otherwise
    /// sources go first. So neither keeps the other waiting. If `sources` is empty, this call waits
    /// for window messages alone.
    ///
    /// ```no_run
    /// use shmkit::{Ready, Subscriber, WaitSet};
    /// # fn dispatch_all_messages() -> bool { true }
    ///
    /// let mut ticks = Subscriber::open("Local\\Ticks")?;
    /// let mut set = WaitSet::new();
    /// loop {
    ///     match set.wait_or_input(&mut [&mut ticks], None)? {
    ///         // PeekMessage with PM_REMOVE until it finds none, TranslateMessage, DispatchMessage.
    ///         Ready::Input => if !dispatch_all_messages() { break },
    ///         Ready::Source(_) => while let Ok(tick) = ticks.try_recv() {
    ///             println!("{} bytes", tick.len());
    ///         },
    ///         Ready::TimedOut => unreachable!("there is no timeout"),
    ///     }
    /// }
    /// # Ok::<(), shmkit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System) if the system refuses to wait for a source, or starts
    /// no thread.
    ///
    /// # Platform notes
    ///
    /// On Windows this is `MsgWaitForMultipleObjectsEx` with all kinds of input, and also with
    /// input that the thread has seen and left in the queue. On Linux there are no window messages,
    /// and the call waits for the sources alone.
    pub fn wait_or_input(
        &mut self,
        sources: &mut [&mut dyn Waitable],
        timeout: Option<Duration>,
    ) -> Result<Ready> {
        self.wait_for(sources, Deadline::until(deadline_after(timeout)), true)
    }

    fn wait_for(
        &mut self,
        sources: Sources<'_, '_>,
        deadline: Deadline,
        input: bool,
    ) -> Result<Ready> {
        if sources.is_empty() && !input {
            let kind = ErrorKind::InvalidArgument;
            let meaning = "there is nothing to wait for";
            return Err(Error::new(kind, Operation::Wait, &"a wait set", meaning));
        }
        if input && std::mem::take(&mut self.input_is_next) {
            let gate = [self.gate()?.0.signal()];
            if os::wait_any(&gate, Some(Instant::now()), true)? == Woken::Input {
                return Ok(Ready::Input);
            }
        }
        let ready = self.wait_in_turn(sources, deadline, input)?;
        self.input_is_next = matches!(ready, Ready::Source(_));
        Ok(ready)
    }

    fn wait_in_turn(
        &mut self,
        sources: Sources<'_, '_>,
        deadline: Deadline,
        input: bool,
    ) -> Result<Ready> {
        if let Some(index) = self.ask(sources)? {
            return Ok(Ready::Source(index));
        }

        let Ok(until) = deadline.instant_or(()) else {
            return Ok(Ready::TimedOut);
        };

        let mut spin = Spin::new(until);
        while !input && spin.again() {
            if let Some(index) = self.first(sources.len(), |n| sources[n].as_wait().has_news()) {
                return Ok(Ready::Source(index));
            }
        }

        loop {
            let ready = self.sleep(sources, until, input)?;
            if let Some(ready) = ready {
                return Ok(ready);
            }
            if let Some(index) = self.ask(sources)? {
                return Ok(Ready::Source(index));
            }
            if until.is_some_and(|at| Instant::now() >= at) {
                return Ok(Ready::TimedOut);
            }
        }
    }

    fn gate(&mut self) -> Result<Arc<Gate>> {
        let gate = match self.gate.take() {
            Some(gate) => gate,
            None => Arc::new(Gate(os::Gate::new()?)),
        };
        Ok(Arc::clone(self.gate.insert(gate)))
    }

    /// Asks the sources, and returns the index of the first ready source behind the source that was
    /// reported last.
    fn ask(&mut self, sources: Sources<'_, '_>) -> Result<Option<usize>> {
        let mut refused = None;
        let found = self.first(sources.len(), |n| {
            let asked = sources[n].as_wait().ask();
            asked.unwrap_or_else(|error| {
                refused = Some(error);
                true
            })
        });
        refused.map_or(Ok(found), Err)
    }

    fn first(&mut self, count: usize, mut is_ready: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut turns = (0..count).map(|n| (self.next + n) % count);
        let found = turns.find(|n| is_ready(*n))?;
        self.next = found + 1;
        Some(found)
    }

    /// Sleeps until there is reason to ask, and returns the ready source if the wake-up names one.
    fn sleep(
        &mut self,
        sources: Sources<'_, '_>,
        until: Option<Instant>,
        input: bool,
    ) -> Result<Option<Ready>> {
        let gate = self.gate()?;
        let mut signals = Signals::new(Waker::from(Arc::clone(&gate)));
        signals.add(gate.0.signal());

        let mut asleep = Asleep {
            owners: vec![GATE],
            registered: 0,
            sources,
        };
        let slept = asleep.sleep(&mut signals, until, input);
        let owners = std::mem::take(&mut asleep.owners);
        drop(asleep);

        let mut found = None;
        let mut refused = None;
        for woken in slept? {
            match woken {
                Woken::Input => found = found.or(Some(Ready::Input)),
                Woken::Signal(n) if owners[n] != GATE => {
                    // Each source has to learn of its own signal, which is not sent again.
                    match sources[owners[n]].as_wait().woken() {
                        Ok(true) if matches!(found, Some(Ready::Source(_))) => {}
                        Ok(true) => found = Some(Ready::Source(owners[n])),
                        Ok(false) => {}
                        Err(error) => refused = Some(error),
                    }
                }
                Woken::Signal(_) | Woken::TimedOut => {}
            }
        }
        if let Some(Ready::Source(source)) = found {
            self.next = source + 1;
        }

        match (found, refused) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }
}

/// The owner of the first signal, which is not a source.
const GATE: usize = usize::MAX;

/// The sources on which a thread sleeps. Dropping this deregisters them.
struct Asleep<'a, 'b> {
    sources: Sources<'a, 'b>,
    /// The number of registered sources.
    registered: usize,
    /// The index of the source that each signal belongs to, or [`GATE`].
    owners: Vec<usize>,
}

impl Asleep<'_, '_> {
    fn sleep(
        &mut self,
        signals: &mut Signals,
        until: Option<Instant>,
        input: bool,
    ) -> Result<Vec<Woken>> {
        for (n, source) in self.sources.iter_mut().enumerate() {
            self.registered = n + 1;
            source.as_wait().register(signals)?;
            self.owners.resize(signals.list.len(), n);
        }

        let until = match signals.again {
            Some(again) => deadline_within(again, until),
            None => until,
        };
        if self.have_news() {
            return Ok(Vec::new());
        }
        let first = deadline_within(FIRST_PARK, until);
        let woken = wait_any(signals, first, input)?;
        if !woken.is_empty() || self.have_news() || first == until {
            return Ok(woken);
        }

        wait_any(signals, until, input)
    }

    fn have_news(&mut self) -> bool {
        let mut sources = self.sources.iter_mut();
        sources.any(|source| source.as_wait().has_news())
    }
}

impl Drop for Asleep<'_, '_> {
    fn drop(&mut self) {
        // In reverse: a source may wait for something that an earlier source has. The later source
        // goes first, so that deregistering the earlier source does not wake it.
        for source in self.sources[..self.registered].iter_mut().rev() {
            source.as_wait().deregister();
        }
    }
}

/// Waits for any number of signals, and returns the signals that have come; none if the time has
/// come. The first signal is the signal of the gate.
fn wait_any(signals: &Signals, until: Option<Instant>, input: bool) -> Result<Vec<Woken>> {
    let wait = |list: &[os::Signal]| {
        Ok(match os::wait_any(list, until, input)? {
            Woken::TimedOut => Vec::new(),
            woken => vec![woken],
        })
    };
    if signals.list.len() <= MOST_SIGNALS {
        return wait(&signals.list);
    }

    let (direct, rest) = signals.list.split_at(MOST_SIGNALS);
    let notice = |_| Notice::new(&signals.waker);
    let told: Vec<Arc<Notice>> = rest.iter().map(notice).collect();
    let whats = rest.iter().map(|signal| What::Signal(signal.clone()));
    let registrations = reactor::register(whats.zip(told.iter().map(Arc::clone)))?;

    let waited = wait(direct);
    // A signal that comes before this drop returns is in a notice, and counts.
    drop(registrations);

    let (mut woken, mut refused) = match waited {
        Ok(woken) => (woken, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    for (notice, n) in told.iter().zip(MOST_SIGNALS..) {
        match notice.has_come() {
            Ok(true) => woken.push(Woken::Signal(n)),
            Ok(false) => {}
            Err(error) => refused = Some(error),
        }
    }

    match refused {
        Some(error) if woken.is_empty() => Err(error),
        _ => Ok(woken),
    }
}

impl Default for WaitSet {
    fn default() -> WaitSet {
        WaitSet::new()
    }
}

impl fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitSet").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::source::silent::Silent;

    impl Waitable for Silent {}

    #[test]
    fn wait_set_finds_news_after_missed_wakeup() {
        let (began, deadline) = (Instant::now(), Duration::from_secs(10));
        let found = WaitSet::new().wait_timeout(&mut [&mut Silent::default()], deadline);
        assert_eq!(found.unwrap(), Some(0));
        assert!(began.elapsed() < deadline, "the news was found too late");
    }
}
