//! Processes, told apart for good: who is alive, and waiting for a death.

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
    /// This process.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) without `/proc` (Linux).
    pub fn current() -> Result<ProcessIdentity> {
        os::Process::current()
    }

    /// The process that has this number now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) where there is none, or it has ended and
    /// its parent has not asked how; [`AccessDenied`](crate::ErrorKind::AccessDenied) where it may
    /// not be opened, and the system does not list it (Windows).
    pub fn of(pid: u32) -> Result<ProcessIdentity> {
        os::Process::identify(pid)
    }

    /// Its number, which another process may get when this one has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is alive.
    ///
    /// # Errors
    ///
    /// As [`watch`](ProcessIdentity::watch).
    pub fn is_alive(&self) -> Result<bool> {
        Ok(!self.watch()?.has_ended()?)
    }

    /// The path of its program; `None` where it has ended, or the system does not tell.
    #[must_use]
    pub fn image(&self) -> Option<String> {
        let image = os::Process::image(self.pid);
        // Not that of the next one with its number.
        image.filter(|_| os::Process::identify(self.pid).is_ok_and(|now| now == *self))
    }

    /// When it was started; `None` where the system does not tell.
    ///
    /// # Platform notes
    ///
    /// On Linux it is counted in hundredths of a second from the start of the system, whose
    /// time is told in whole seconds.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        os::Process::started(self.start)
    }

    /// Watches it. That it has ended already is no error: the [`Process`] then says so.
    ///
    /// # Errors
    ///
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) where it may not be opened: a
    /// service, or another user's; see [`Liveness`].
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where it lives in another pid
    /// namespace or, on Windows, was written on another system.
    pub fn watch(&self) -> Result<Process> {
        let os = os::Process::watch(*self)?;
        Ok(Process { os })
    }

    /// As two words, for shared memory: the start time, then pid and namespace.
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

    /// What [`to_words`](ProcessIdentity::to_words) made. Any words make an identity: of
    /// nobody, mostly, or of another namespace, which [`watch`](ProcessIdentity::watch)
    /// refuses.
    #[must_use]
    pub fn from_words(words: [u64; 2]) -> ProcessIdentity {
        ProcessIdentity {
            pid: words[1] as u32,
            space: (words[1] >> 32) as u32,
            start: words[0],
        }
    }
}

/// A process that is watched: it can be asked whether it has ended, and waited for.
///
/// It is one process for good, also when its number has gone to another one.
#[derive(Debug)]
pub struct Process {
    os: os::Process,
}

impl Process {
    /// The process that announced itself by a [`Liveness`] of this name; in truth,
    /// whoever has the mutex of this name.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) where it has ended, or never announced
    /// itself; otherwise as [`Mutex::open`](crate::Mutex::open).
    pub fn by_liveness(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Process> {
        let name = Name::checked(name)?;
        let mutex = os::Mutex::open_to_watch(&name)?;
        let os = mutex.watch_owner()?;
        if os.wait(Some(Duration::ZERO))? {
            // Others that watched it may hold its mutex still.
            let meaning = "the process that announced itself so has ended";
            let error = Error::new(ErrorKind::NotFound, Operation::Watch, &name, meaning);
            return Err(error.with_advice("wait until it is started again"));
        }
        Ok(Process { os })
    }

    /// Adds the end of the process to what a sleeper waits for. Where this process cannot be told
    /// of it, for want of descriptors or threads, the sleeper looks again before long.
    pub(crate) fn add_to(&self, signals: &mut Signals) {
        match self.os.signal() {
            Ok(signal) => signals.add(signal),
            Err(_) => signals.look_again_in(LOOK_BACK),
        }
    }

    /// Whether it has ended.
    ///
    /// # Errors
    ///
    /// None is known; the system could refuse.
    pub fn has_ended(&self) -> Result<bool> {
        self.os.wait(Some(Duration::ZERO))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// As [`has_ended`](Process::has_ended).
    pub fn wait(&self) -> Result<()> {
        while !self.os.wait(None)? {}
        Ok(())
    }

    /// Waits until it has ended, at most this long, and says whether it has.
    ///
    /// # Errors
    ///
    /// As [`has_ended`](Process::has_ended).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.os.wait(Some(timeout))
    }

    /// The handle or descriptor, for waits that this crate does not have: a process
    /// handle, that of a liveness mutex, or a pidfd, which can be polled. A wait that the mutex
    /// ends takes it: release it at once, since others watch it too. The handle is valid
    /// as long as `self`, and not to be closed. `None` where the process had ended
    /// before it was watched.
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

/// A mutex that a thread of this process has as long as it lives, for those who may
/// not open the process: a desktop program and a service, two users.
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
/// On Windows the wait is for the mutex, so dropping the `Liveness` looks like the end
/// of the process. On Linux the mutex only tells whose process it is, and that is
/// waited for.
#[derive(Debug)]
pub struct Liveness {
    process: u32,
    number: u64,
    /// To the thread that has the mutex. It ends when the last of these is gone.
    orders: Arc<Sender<Order>>,
}

/// What the thread that has the mutexes of all [`Liveness`] of a process is told.
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

/// That thread of this process, which is started where there is none.
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
    let meaning = "there is no thread to be had that would hold it";
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
    /// Creates the mutex, which a thread has until this is dropped: one thread for all of a process.
    ///
    /// # Errors
    ///
    /// As [`Mutex::create_new`](crate::Mutex::create_new), and
    /// [`NoSpace`](crate::ErrorKind::NoSpace) where no thread is to be had.
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
        /// At the end of a process its threads may be gone, and the mutexes with them.
        const LIMIT: Duration = Duration::from_secs(1);
        // A child that was forked has no such thread.
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
