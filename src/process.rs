//! Processes, told apart for good: who is alive, and waiting for a death.

use crate::access::Access;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{
    self, HowToCreate, HowToOpen, MutexBackend, ProcessBackend, ProcessIdentity, RawObject,
};
use crate::signals::{Signals, Wait};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
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
    /// its parent has not asked how; [`AccessDenied`](crate::ErrorKind::AccessDenied) where it may not be opened.
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
    /// namespace (Linux).
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
    /// refuses (Linux).
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
    pub fn by_liveness<N>(name: N) -> Result<Process>
    where
        N: TryInto<Name>,
        Error: From<N::Error>,
    {
        let name = name.try_into()?;
        let mutex = os::Mutex::open(&name, &HowToOpen::default())?;
        let os = mutex.watch_owner()?;
        if os.wait(Some(Duration::ZERO))? {
            // Others that watched it may hold its mutex still.
            let meaning = "the process that announced itself so has ended";
            let error = Error::new(ErrorKind::NotFound, Operation::Watch, &name, meaning);
            return Err(error.with_advice("wait until it is started again"));
        }
        Ok(Process { os })
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
    /// handle, that of a liveness mutex, or a pidfd, which can be polled. It is valid
    /// as long as `self`, and not to be closed. `None` where the process had ended
    /// before it was watched.
    #[must_use]
    pub fn as_raw(&self) -> Option<RawObject> {
        self.os.raw()
    }

    pub(crate) fn os(&self) -> &os::Process {
        &self.os
    }

    /// That it ends.
    pub(crate) fn signal(&self) -> Result<os::Signal> {
        self.os.signal()
    }
}

impl Wait for Process {
    fn has_news(&mut self) -> bool {
        false
    }

    fn ask(&mut self) -> Result<bool> {
        self.has_ended()
    }

    fn lie_down(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.signal()?);
        Ok(())
    }

    fn get_up(&mut self) {}

    fn woken(&mut self) -> Result<bool> {
        self.has_ended()
    }
}

/// A mutex that a thread of this process has as long as it lives, for those who may
/// not open the process: a desktop program and a service, two users.
///
/// ```
/// # let name = format!("Global\\shmkit-doc-liveness-{}", std::process::id());
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
    leave: Option<Sender<()>>,
    holder: Option<JoinHandle<()>>,
}

impl Liveness {
    /// Creates the mutex, and a thread that has it until this is dropped.
    ///
    /// # Errors
    ///
    /// As [`Mutex::create_new`](crate::Mutex::create_new).
    ///
    /// # Panics
    ///
    /// Where no thread is to be had.
    pub fn announce<N>(name: N, access: Access) -> Result<Liveness>
    where
        N: TryInto<Name>,
        Error: From<N::Error>,
    {
        let name = name.try_into()?;
        let (leave, left) = channel::<()>();
        let (tell, told) = channel();
        let thread = std::thread::Builder::new().name("shmkit-liveness".into());
        let holder = thread.spawn(move || {
            let how = HowToCreate {
                access,
                ..HowToCreate::default()
            };
            let made = os::Mutex::create(&name, true, &how);
            let mutex = made.map_err(|error| tell.send(Err(error))).ok();
            if let Some(mutex) = mutex {
                let _ = tell.send(Ok(()));
                // It ends when the other end is dropped.
                let _ = left.recv();
                mutex.unlock();
            }
        });
        let holder = holder.expect("a thread is to be had");
        told.recv().expect("it says one or the other")?;
        Ok(Liveness {
            process: std::process::id(),
            leave: Some(leave),
            holder: Some(holder),
        })
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        drop(self.leave.take());
        // A child that was forked has no such thread to wait for.
        let holder = self.holder.take();
        if let Some(holder) = holder.filter(|_| self.process == std::process::id()) {
            let _ = holder.join();
        }
    }
}
