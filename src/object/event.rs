//! A named event: something that happened, for whoever waits for it.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::object::options::{Options, Origin, open_or_create};
use crate::object::process::Process;
use crate::os::{self, EventBackend, ObjectBackend, ObjectInfo, RawObject, Reset, Wake};
use crate::wait::source::{Kept, Signals, Wait, Waitable};
use std::fmt;
use std::time::Duration;

/// How to create or open an [`Event`].
pub type EventOptions = Options<Event>;

/// A handle of a named event.
///
/// An event is signaled or not. [`set`](Event::set) signals it, and a wait ends when
/// it is, at once where it is already. [`Reset`] says what takes the signal away: an
/// auto-reset event wakes one waiter a signal, and setting it again before anybody
/// took the signal has no effect; a manual-reset event wakes all until
/// [`reset`](Event::reset).
///
/// It lives, with its state, until its last handle is dropped or the process ends.
/// Waiting takes no processor time. Names are given as `&str` or [`Name`], and shared
/// with sections and mutexes.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-event-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Event, Reset};
/// use std::time::Duration;
///
/// // The publisher.
/// let updated = Event::create_new(name, Reset::Auto)?;
/// updated.set()?;
///
/// // A consumer, in any other process. It can wait, and not set.
/// let updated = Event::open(name)?;
/// assert!(updated.wait_timeout(Duration::from_secs(1))?);
/// assert!(!updated.try_wait()?, "the signal was taken");
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// # Platform notes
///
/// On Windows this is an event of the kernel. On Linux it is a small file in
/// `/dev/shm` with a futex word in it (`docs/platform.md` says where). There a
/// program that may wait for an auto-reset event may write its file, and so
/// could set it by other means.
pub struct Event {
    os: os::Event,
    name: Name,
    /// Its signal was taken for a wait that it ended, and nobody has asked for it yet.
    kept: Kept,
}

impl Event {
    /// Creates an event that is not signaled, for this user alone.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) where anybody holds an event
    /// of this name, [`WrongKind`](crate::ErrorKind::WrongKind) where it is a section
    /// or a mutex; otherwise as [`Section::create_new`](crate::Section::create_new).
    pub fn create_new(name: impl TryInto<Name, Error: Into<Error>>, reset: Reset) -> Result<Event> {
        Event::options().create_new(name, reset)
    }

    /// Opens an event for waiting. Never creates one.
    ///
    /// # Errors
    ///
    /// As [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Event> {
        Event::options().open(name)
    }

    /// Opens an event for waiting, setting and resetting. Never creates one.
    ///
    /// # Errors
    ///
    /// As [`Section::open`](crate::Section::open).
    pub fn open_rw(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Event> {
        Event::options().write(true).open(name)
    }

    /// How to create or open, in full.
    #[must_use]
    pub fn options() -> EventOptions {
        EventOptions::new()
    }

    /// The name it was created or opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Signals it. All who wait at this moment for a manual-reset event are woken, also
    /// where it is reset at once.
    ///
    /// # Errors
    ///
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) where it was opened for waiting.
    pub fn set(&self) -> Result<()> {
        self.check_writable()?;
        self.os.set()
    }

    /// Takes the signal away, if there is one.
    ///
    /// # Errors
    ///
    /// As [`set`](Event::set).
    pub fn reset(&self) -> Result<()> {
        self.check_writable()?;
        self.kept.take();
        self.os.reset()
    }

    /// Waits until it is signaled.
    ///
    /// # Errors
    ///
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) for an auto-reset event that its
    /// creator lets this account look at only (Linux).
    pub fn wait(&self) -> Result<()> {
        self.wait_for(&[], None).map(|_| ())
    }

    /// Waits until it is signaled, at most this long, and says whether it was.
    ///
    /// # Errors
    ///
    /// As [`wait`](Event::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        Ok(self.wait_for(&[], Some(timeout))? == Wake::Signaled)
    }

    /// Whether it is signaled now. An auto-reset event then is no longer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Event::wait).
    pub fn try_wait(&self) -> Result<bool> {
        self.wait_timeout(Duration::ZERO)
    }

    /// Waits until it is signaled or a process has ended, at most `timeout` where
    /// there is one. A signal goes before a death.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-death-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Event, ProcessIdentity, Reset, Wake};
    /// use std::time::Duration;
    ///
    /// # fn publisher() -> shmkit::Result<ProcessIdentity> { ProcessIdentity::current() }
    /// let updated = Event::create_new(name, Reset::Auto)?;
    /// let publisher = publisher()?.watch()?;
    /// match updated.wait_or_death(&publisher, Some(Duration::from_millis(1)))? {
    ///     Wake::Signaled => println!("news"),
    ///     Wake::PeerDied => println!("there will be no news"),
    ///     Wake::TimedOut => println!("no news yet"),
    /// }
    /// # Ok::<(), shmkit::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`wait`](Event::wait), and [`System`](crate::ErrorKind::System) where no thread or
    /// descriptor is to be had.
    ///
    /// # Platform notes
    ///
    /// On Linux the first such wait starts a thread that learns of deaths, one for the
    /// whole process.
    pub fn wait_or_death(&self, peer: &Process, timeout: Option<Duration>) -> Result<Wake> {
        self.wait_for(&[peer.os()], timeout)
    }

    fn wait_for(&self, peers: &[&os::Process], timeout: Option<Duration>) -> Result<Wake> {
        match self.kept.take() {
            true => Ok(Wake::Signaled),
            false => self.os.wait(peers, timeout),
        }
    }

    /// What takes its signal away; `None` where the system does not tell.
    #[must_use]
    pub fn reset_mode(&self) -> Option<Reset> {
        self.os.reset_mode()
    }

    /// Whether it is signaled at this moment, without taking the signal; `None` where
    /// the system does not tell.
    #[must_use]
    pub fn is_set(&self) -> Option<bool> {
        match self.kept.is_there() {
            true => Some(true),
            false => self.os.is_set(),
        }
    }

    /// Whether it was opened for setting.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.os.writable()
    }

    /// Who owns it, and who may do what.
    #[must_use]
    pub fn info(&self) -> ObjectInfo {
        self.os.info()
    }

    /// The handle or descriptor, for waits and calls that this crate does not have. It
    /// is valid as long as `self`, and not to be closed.
    ///
    /// # Platform notes
    ///
    /// On Windows it goes into `WaitForMultipleObjects` and its kin. On Linux it is a
    /// file with a futex word, which cannot be polled.
    #[must_use]
    pub fn as_raw(&self) -> RawObject {
        self.os.raw()
    }

    fn check_writable(&self) -> Result<()> {
        if self.os.writable() {
            return Ok(());
        }
        let meaning = "it was opened for waiting only";
        let kind = ErrorKind::ReadOnly;
        let error = Error::new(kind, Operation::Signal, &self.name, meaning);
        Err(error.with_advice("open it for setting (open_rw, EventOptions::write)"))
    }
}

impl Waitable for Event {}

impl Wait for Event {
    fn has_news(&mut self) -> bool {
        self.kept.is_there()
    }

    fn ask(&mut self) -> Result<bool> {
        let is_set = self.try_wait()?;
        if is_set {
            self.kept.keep();
        }
        Ok(is_set)
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        signals.add(self.os.signal()?);
        Ok(())
    }

    fn deregister(&mut self) {}

    fn woken(&mut self) -> Result<bool> {
        self.kept.keep();
        Ok(true)
    }
}

impl EventOptions {
    /// Open for setting and resetting too. What was created can always be set.
    #[must_use]
    pub fn write(self, on: bool) -> EventOptions {
        self.set_write(on)
    }

    /// Creates an event; see [`Event::create_new`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn create_new(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
        reset: Reset,
    ) -> Result<Event> {
        self.create(Name::checked(name)?, reset)
    }

    /// Opens an event; see [`Event::open`].
    ///
    /// # Errors
    ///
    /// As there, and [`WrongOwner`](crate::ErrorKind::WrongOwner).
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Event> {
        self.open_named(Name::checked(name)?)
    }

    /// Opens an event for setting, or creates it, and says which it was. An event that
    /// existed keeps its own way to be reset.
    ///
    /// # Errors
    ///
    /// As [`create_new`](Options::create_new) and [`open`](Options::open).
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
        reset: Reset,
    ) -> Result<(Event, Origin)> {
        let name = Name::checked(name)?;
        let options = self.clone().write(true);
        open_or_create(
            &name,
            || options.open_named(name.clone()),
            || options.create(name.clone(), reset),
        )
    }

    fn create(&self, name: Name, reset: Reset) -> Result<Event> {
        let os = os::Event::create(&name, reset, &self.create)?;
        Ok(Event {
            os,
            name,
            kept: Kept::default(),
        })
    }

    fn open_named(&self, name: Name) -> Result<Event> {
        let os = os::Event::open(&name, &self.open)?;
        Ok(Event {
            os,
            name,
            kept: Kept::default(),
        })
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name)
            .field("reset", &self.reset_mode())
            .field("set", &self.is_set())
            .finish_non_exhaustive()
    }
}
