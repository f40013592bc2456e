//! Processes, with identities that no later process has: whether a process is alive, and waiting
//! for its end.

use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{
    self, HowToCreate, LOOK_BACK, MutexBackend, PerProcess, ProcessBackend, ProcessIdentity,
    RawObject,
};
use crate::wait::source::{Signals, Wait, Waitable};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

impl ProcessIdentity {
    /// Returns the identity of this process.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported): `/proc` is missing (Linux).
    pub fn current() -> Result<ProcessIdentity> {
        os::Process::current()
    }

    /// Returns the identity of the process that has this number now.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound): no process has this number, or the process has
    ///   ended and its parent has not asked for its exit status yet.
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied): the process may not be opened, and the
    ///   system does not list it (Windows).
    pub fn of(pid: u32) -> Result<ProcessIdentity> {
        os::Process::identify(pid)
    }

    /// Returns the number of the process. Another process may get the same number after this
    /// process has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the process is alive.
    ///
    /// # Errors
    ///
    /// The errors of [`watch`](ProcessIdentity::watch).
    pub fn is_alive(&self) -> Result<bool> {
        Ok(!self.watch()?.has_ended()?)
    }

    /// Returns the path of the program; `None` if the process has ended, or if the system does not
    /// say.
    #[must_use]
    pub fn image(&self) -> Option<String> {
        let image = os::Process::image(self.pid);
        // Another process may have the number by now.
        image.filter(|_| os::Process::identify(self.pid).is_ok_and(|now| now == *self))
    }

    /// Returns the user of the process: `DOMAIN\name (SID)` on Windows, `name (uid N)` on Linux.
    /// Returns `None` if the process has ended, or if the system does not say.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        let user = os::Process::user(self.pid);
        // Another process may have the number by now.
        user.filter(|_| os::Process::identify(self.pid).is_ok_and(|now| now == *self))
    }

    /// Returns the time at which the process was started; `None` if the system does not say.
    ///
    /// # Platform notes
    ///
    /// On Linux the time is counted in hundredths of a second from the start of the system. The
    /// system reports its start in whole seconds.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        os::Process::started(self.start)
    }

    /// Watches the process. A process that has ended is not an error: the returned [`Process`]
    /// reports the end.
    ///
    /// # Errors
    ///
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied): the process may not be opened, for
    ///   example the process of a service or of another user; see [`Liveness`].
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): the process lives in another pid namespace
    ///   or, on Windows, the identity was written on another system.
    pub fn watch(&self) -> Result<Process> {
        let os = os::Process::watch(*self)?;
        Ok(Process { os })
    }

    /// Returns the identity as two words for shared memory: the start time, then pid and namespace.
    ///
    /// ```
    /// use shmkit::ProcessIdentity;
    ///
    /// let me = ProcessIdentity::current()?;
    /// assert_eq!(ProcessIdentity::from_words(me.to_words()), me);
    /// assert!(me.is_alive()?);
    /// # Ok::<(), shmkit::Error>(())
    /// ```
    #[must_use]
    pub fn to_words(&self) -> [u64; 2] {
        [
            self.start,
            u64::from(self.space) << 32 | u64::from(self.pid),
        ]
    }

    /// Makes an identity of the words that [`to_words`](ProcessIdentity::to_words) returned. Other
    /// words make an identity too. Mostly it is the identity of no process, or of another
    /// namespace; [`watch`](ProcessIdentity::watch) refuses an identity of another namespace.
    #[must_use]
    pub fn from_words(words: [u64; 2]) -> ProcessIdentity {
        ProcessIdentity {
            pid: words[1] as u32,
            space: (words[1] >> 32) as u32,
            start: words[0],
        }
    }
}

/// A watched process, which reports whether the process has ended and can wait for the end.
///
/// A `Process` belongs to one process, even if another process gets the same number later.
#[derive(Debug)]
pub struct Process {
    os: os::Process,
}

impl Process {
    /// Watches the process that announced itself by a [`Liveness`] of this name: the process that
    /// has the mutex of this name.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound): the process has ended, or never announced
    ///   itself.
    /// - The other errors of [`Mutex::open`](crate::Mutex::open).
    pub fn by_liveness(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Process> {
        let name = Name::checked(name)?;
        let mutex = os::Mutex::open_to_watch(&name)?;
        let os = mutex.watch_owner()?;
        if os.wait(Some(Duration::ZERO))? {
            // Other watchers may still hold the mutex.
            let meaning = "the process with this liveness mutex has ended";
            let error = Error::new(ErrorKind::NotFound, Operation::Watch, &name, meaning);
            return Err(error.with_advice("wait until it is started again"));
        }
        Ok(Process { os })
    }

    /// Returns the process of a participant, which ends when the participant does.
    pub(crate) fn of_participant(os: os::Process) -> Process {
        Process { os }
    }

    /// Adds the end of the process to the signals that a sleeper waits for. If the system has no
    /// descriptor or thread left to report the end, the sleeper wakes up soon and checks.
    pub(crate) fn add_to(&self, signals: &mut Signals) {
        match self.os.signal() {
            Ok(signal) => signals.add(signal),
            Err(_) => signals.look_again_in(LOOK_BACK),
        }
    }

    /// Returns whether the process has ended.
    ///
    /// # Errors
    ///
    /// [`System`](crate::ErrorKind::System): the system refuses the call. No cause is known.
    pub fn has_ended(&self) -> Result<bool> {
        self.os.wait(Some(Duration::ZERO))
    }

    /// Returns the signal of the end of the process.
    pub(crate) fn signal(&self) -> Result<os::Signal> {
        self.os.signal()
    }

    /// Returns whether the process is known to have ended. Unless `asks`, the system is asked only if
    /// it may have reported the end, since asking takes longer.
    pub(crate) fn is_known_to_have_ended(&self, asks: bool) -> bool {
        (asks || self.os.may_have_ended()) && matches!(self.has_ended(), Ok(true))
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    ///
    /// The errors of [`has_ended`](Process::has_ended).
    pub fn wait(&self) -> Result<()> {
        while !self.os.wait(None)? {}
        Ok(())
    }

    /// Waits until the process has ended, at most for `timeout`. Returns whether the process has
    /// ended.
    ///
    /// # Errors
    ///
    /// The errors of [`has_ended`](Process::has_ended).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.os.wait(Some(timeout))
    }

    /// Returns the handle or descriptor, for waits that this crate does not have: a process handle,
    /// the handle of a liveness mutex, or a pidfd, which can be polled. If the mutex ends a wait,
    /// the waiting thread has the mutex: release the mutex at once, since other processes watch it
    /// too. The handle is valid as long as `self`, and must not be closed. Returns `None` if the
    /// process had ended before it was watched.
    #[must_use]
    pub fn as_raw(&self) -> Option<RawObject> {
        self.os.raw()
    }

    pub(crate) fn os(&self) -> &os::Process {
        &self.os
    }
}

impl Waitable for Process {}

impl Wait for Process {
    fn has_news(&mut self) -> bool {
        false
    }

    fn ask(&mut self) -> Result<bool> {
        self.has_ended()
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        self.add_to(signals);
        Ok(())
    }

    fn deregister(&mut self) {}

    fn woken(&mut self) -> Result<bool> {
        self.has_ended()
    }
}

/// A mutex that a thread of this process has as long as the thread lives. By this mutex, programs
/// that may not open this process can watch it: for example a desktop program that watches a
/// service, or programs of two users.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-liveness-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Access, Liveness, Process};
///
/// // The service.
/// let alive = Liveness::announce(name, Access::InteractiveReadOnly)?;
///
/// // A program of any user.
/// let service = Process::by_liveness(name)?;
/// assert!(!service.has_ended()?);
/// drop(alive);
/// assert!(service.has_ended()? || cfg!(unix), "on Linux, when the process ends");
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// # Platform notes
///
/// On Windows the watcher waits for the mutex, so dropping the `Liveness` looks like the end of the
/// process. On Linux the mutex only names the process, and the watcher waits for the process.
#[derive(Debug)]
pub struct Liveness {
    process: u32,
    number: u64,
    /// The channel to the thread that has the mutex. The thread ends when the last sender is gone.
    orders: Arc<Sender<Order>>,
}

/// An order to the thread that has the mutexes of all [`Liveness`] of this process.
#[derive(Debug)]
enum Order {
    Hold {
        name: Name,
        access: Access,
        answer: Sender<Result<u64>>,
    },
    Release {
        number: u64,
        answer: Sender<()>,
    },
}

/// Returns the channel to the thread of this process that has the mutexes; starts the thread first
/// if there is none.
fn holder(name: &Name) -> Result<Arc<Sender<Order>>> {
    static HOLDER: PerProcess<Mutex<Weak<Sender<Order>>>> = PerProcess::new();
    let holder = HOLDER.get_or_init(Mutex::default);
    let mut known = holder.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = known.upgrade() {
        return Ok(orders);
    }
    let (give, orders) = channel();
    let thread = std::thread::Builder::new().name("shmkit-liveness".into());
    if let Err(error) = thread.spawn(move || hold(&orders)) {
        return Err(no_thread(name, error.raw_os_error()));
    }
    let orders = Arc::new(give);
    *known = Arc::downgrade(&orders);
    Ok(orders)
}

fn no_thread(name: &Name, code: Option<i32>) -> Error {
    let meaning = "no thread can be started to hold it";
    let error = Error::new(ErrorKind::NoSpace, Operation::Create, name, meaning)
        .with_advice("end other threads, or raise the limit of threads");
    match code {
        Some(code) => error.with_code(code),
        None => error,
    }
}

fn hold(orders: &Receiver<Order>) {
    let mut held = HashMap::new();
    let mut next = 0;

    for order in orders {
        match order {
            Order::Hold {
                name,
                access,
                answer,
            } => {
                let how = HowToCreate {
                    access,
                    ..HowToCreate::default()
                };
                let made = os::Mutex::create(&name, true, &how).map(|mutex| {
                    next += 1;
                    held.insert(next, mutex);
                    next
                });
                let _ = answer.send(made);
            }
            Order::Release { number, answer } => {
                if let Some(mutex) = held.remove(&number) {
                    mutex.unlock();
                }
                let _ = answer.send(());
            }
        }
    }
}

impl Liveness {
    /// Creates a mutex that a thread of this process has until this `Liveness` is dropped. One
    /// thread has the mutexes of all `Liveness` values of the process.
    ///
    /// # Errors
    ///
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): the system has no thread left.
    /// - The errors of [`Mutex::create_new`](crate::Mutex::create_new).
    pub fn announce(
        name: impl TryInto<Name, Error: Into<Error>>,
        access: Access,
    ) -> Result<Liveness> {
        let name = Name::checked(name)?;
        let orders = holder(&name)?;
        let (answer, told) = channel();
        let order = Order::Hold {
            name: name.clone(),
            access,
            answer,
        };
        let sent = orders.send(order).ok();
        let made = sent.and_then(|()| told.recv().ok());
        Ok(Liveness {
            process: std::process::id(),
            number: made.unwrap_or_else(|| Err(no_thread(&name, None)))?,
            orders,
        })
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        /// Bounds the wait: at the end of a process its threads may be gone, and the mutexes with
        /// them.
        const LIMIT: Duration = Duration::from_secs(1);
        // A forked child has no such thread.
        if self.process != std::process::id() {
            return;
        }
        let (answer, told) = channel();
        let number = self.number;
        if self.orders.send(Order::Release { number, answer }).is_ok() {
            let _ = told.recv_timeout(LIMIT);
        }
    }
}
