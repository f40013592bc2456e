//! Waiting for several things at once.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{self, GateBackend, MOST_SIGNALS, Woken, deadline_after, deadline_within};
use crate::wait::reactor::{self, Notice, What};
use crate::wait::source::{Signals, Waitable};
use crate::wait::spin::{Deadline, FIRST_PARK, Spin};
use std::fmt;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// What a thread that has windows waits for; see [`WaitSet::wait_or_input`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The one with this index is ready.
    Source(usize),
    /// There are messages for windows of this thread.
    Input,
    /// Nothing was in time.
    TimedOut,
}

/// Waits for the first of several things, takes no processor time while it does, and lets
/// each have its turn.
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
/// What to wait for is given anew each time, and is free in between. That something is ready is
/// reason to ask it, and may rarely turn out to be nothing. Of several that are ready, the one is
/// told that comes first behind the one that was told before: none waits for ever, in whatever
/// order they are given.
///
/// A call of the system takes 62 things on Windows and 127 on Linux, where a receiver with its
/// event and the deaths of its senders counts as several. Of more than that, the rest is waited for by threads that this
/// starts, one for so many.
pub struct WaitSet {
    /// Where to look first.
    next: usize,
    /// Whether messages to windows have their turn.
    input_is_next: bool,
    /// Wakes us; made by the first wait.
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
    /// One that has waited for nothing yet.
    #[must_use]
    pub fn new() -> WaitSet {
        WaitSet {
            next: 0,
            input_is_next: false,
            gate: None,
        }
    }

    /// Waits until one is ready, and says which.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) where there is none;
    /// [`System`](crate::ErrorKind::System) where the system refuses to wait for one of them,
    /// or has no thread left.
    pub fn wait(&mut self, sources: &mut [&mut dyn Waitable]) -> Result<usize> {
        match self.wait_for(sources, Deadline::Never, false)? {
            Ready::Source(index) => Ok(index),
            Ready::Input | Ready::TimedOut => unreachable!("neither was asked for"),
        }
    }

    /// Waits until one is ready, at most this long, and says which; `None`: none was.
    ///
    /// # Errors
    ///
    /// As [`wait`](WaitSet::wait).
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

    /// Which one is ready now, if any is.
    ///
    /// # Errors
    ///
    /// As [`wait`](WaitSet::wait).
    pub fn try_wait(&mut self, sources: &mut [&mut dyn Waitable]) -> Result<Option<usize>> {
        match self.wait_for(sources, Deadline::Now, false)? {
            Ready::Source(index) => Ok(Some(index)),
            Ready::Input | Ready::TimedOut => Ok(None),
        }
    }

    /// For a thread that has windows: waits until one is ready, or there are messages for one
    /// of its windows, at most `timeout` where there is one. What is ready goes before messages
    /// in one call, and after them in the next, so neither keeps the other waiting.
    ///
    /// ```no_run
    /// use shmkit::{Ready, Subscriber, WaitSet};
    /// # fn dispatch_all_messages() -> bool { true }
    ///
    /// let mut ticks = Subscriber::open("Local\\Ticks")?;
    /// let mut set = WaitSet::new();
    /// loop {
    ///     match set.wait_or_input(&mut [&mut ticks], None)? {
    ///         // PeekMessage with PM_REMOVE until there is none, TranslateMessage, DispatchMessage.
    ///         Ready::Input => if !dispatch_all_messages() { break },
    ///         Ready::Source(_) => while let Ok(tick) = ticks.try_recv() {
    ///             println!("{} bytes", tick.len());
    ///         },
    ///         Ready::TimedOut => unreachable!("it was given no time"),
    ///     }
    /// }
    /// # Ok::<(), shmkit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`wait`](WaitSet::wait).
    ///
    /// # Platform notes
    ///
    /// This is `MsgWaitForMultipleObjectsEx` with all kinds of input, also such as was seen and
    /// left in the queue. On Linux there are no such messages, and it waits for the rest.
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

    /// The first that is ready, of those behind the one that was told last.
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

    /// Sleeps until there is reason to ask, and says which is ready where that is known.
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
                    // Each has to hear of its own, which nobody sends again.
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

/// Who has the first signal.
const GATE: usize = usize::MAX;

/// Those that somebody sleeps on, until this is dropped.
struct Asleep<'a, 'b> {
    sources: Sources<'a, 'b>,
    /// How many were told so.
    registered: usize,
    /// Whose each signal is.
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
        // Who waits for what one before it has goes first, and so is not woken by us.
        for source in self.sources[..self.registered].iter_mut().rev() {
            source.as_wait().deregister();
        }
    }
}

/// Waits for any number of signals, of which the first is that of the gate, and says which have
/// come; none where the time has.
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
    // What comes until these are gone has come.
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
    fn news_missed_by_the_first_look_is_found_after_the_first_park() {
        let (began, deadline) = (Instant::now(), Duration::from_secs(10));
        let found = WaitSet::new().wait_timeout(&mut [&mut Silent::default()], deadline);
        assert_eq!(found.unwrap(), Some(0));
        assert!(began.elapsed() < deadline, "it was found too late");
    }
}
