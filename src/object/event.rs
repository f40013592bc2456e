//! A named event: a signal for threads that wait, in any process.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::object::options::{Options, Origin, open_or_create};
use crate::object::process::Process;
use crate::os::{self, EventBackend, ObjectBackend, ObjectInfo, RawObject, Reset, Wake};
use crate::wait::source::{Kept, Signals, Wait, Waitable};
use std::fmt;
use std::time::Duration;

/// The options to create or open an [`Event`].
pub type EventOptions = Options<Event>;

/// A handle of a named event.
///
/// An event is signaled or not. [`set`](Event::set) signals the event. A wait ends when the event
/// is signaled, or at once if the event is signaled already. [`Reset`] says what clears the signal.
/// An auto-reset event wakes one waiter for each signal, and setting the event again before a
/// waiter took the signal has no effect. A manual-reset event wakes all waiters until
/// [`reset`](Event::reset).
///
/// The event and its state live until the last handle is dropped or its process ends. Waiting takes
/// no processor time. Names are given as `&str` or [`Name`]. Events share their names with sections
/// and mutexes.
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
/// On Windows an event is an event of the kernel. On Linux an event is a small file in `/dev/shm`
/// with a futex word (`docs/platform.md` says where). On Linux a program that may wait for an
/// auto-reset event may also write the file, and so could set the event by other means.
pub struct Event {
    os: os::Event,
    name: Name,
    /// The signal, if there is one, that a wait has taken and that the caller has not asked for
    /// yet.
    kept: Kept,
}

impl Event {
    /// Creates an event that is not signaled, for this user alone.
    ///
    /// # Errors
    ///
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists): a process holds an event of this name.
    /// - [`WrongKind`](crate::ErrorKind::WrongKind): the name belongs to a section or a mutex.
    /// - The other errors of [`Section::create_new`](crate::Section::create_new).
    pub fn create_new(name: impl TryInto<Name, Error: Into<Error>>, reset: Reset) -> Result<Event> {
        Event::options().create_new(name, reset)
    }

    /// Opens an event for waiting. Never creates an event.
    ///
    /// # Errors
    ///
    /// The errors of [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Event> {
        Event::options().open(name)
    }

    /// Opens an event for waiting, setting and resetting. Never creates an event.
    ///
    /// # Errors
    ///
    /// The errors of [`Section::open`](crate::Section::open).
    pub fn open_rw(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Event> {
        Event::options().write(true).open(name)
    }

    /// Returns options to create and open events in other ways.
    #[must_use]
    pub fn options() -> EventOptions {
        EventOptions::new()
    }

    /// Returns the name by which the event was created or opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Signals the event. All threads that wait at this moment for a manual-reset event are woken,
    /// even if the event is reset at once.
    ///
    /// # Errors
    ///
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly): the event was opened for waiting only.
    pub fn set(&self) -> Result<()> {
        self.check_writable()?;
        self.os.set()
    }

    /// Clears the signal, if there is one.
    ///
    /// # Errors
    ///
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly): the event was opened for waiting only.
    pub fn reset(&self) -> Result<()> {
        self.check_writable()?;
        self.kept.take();
        self.os.reset()
    }

    /// Waits until the event is signaled.
    ///
    /// # Errors
    ///
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied): the event is an auto-reset event that this
    /// account may only look at (Linux).
    pub fn wait(&self) -> Result<()> {
        self.wait_for(&[], None).map(|_| ())
    }

    /// Waits until the event is signaled, at most for `timeout`. Returns whether the event was
    /// signaled.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Event::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        Ok(self.wait_for(&[], Some(timeout))? == Wake::Signaled)
    }

    /// Returns whether the event is signaled now. Takes the signal of an auto-reset event.
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Event::wait).
    pub fn try_wait(&self) -> Result<bool> {
        self.wait_timeout(Duration::ZERO)
    }

    /// Waits until the event is signaled or a process has ended, at most for `timeout` if there is
    /// one. A signal takes precedence over a death.
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
    /// - [`System`](crate::ErrorKind::System): the system has no thread or descriptor left.
    /// - The errors of [`wait`](Event::wait).
    ///
    /// # Platform notes
    ///
    /// On Linux the first such wait of a process starts a thread that watches for the end of
    /// processes.
    pub fn wait_or_death(&self, peer: &Process, timeout: Option<Duration>) -> Result<Wake> {
        self.wait_for(&[peer.os()], timeout)
    }

    fn wait_for(&self, peers: &[&os::Process], timeout: Option<Duration>) -> Result<Wake> {
        if self.kept.take() {
            Ok(Wake::Signaled)
        } else {
            self.os.wait(peers, timeout)
        }
    }

    /// Returns what clears the signal; `None` if the system does not say.
    #[must_use]
    pub fn reset_mode(&self) -> Option<Reset> {
        self.os.reset_mode()
    }

    /// Returns whether the event is signaled at this moment, and does not take the signal; `None`
    /// if the system does not say.
    #[must_use]
    pub fn is_set(&self) -> Option<bool> {
        if self.kept.is_there() {
            Some(true)
        } else {
            self.os.is_set()
        }
    }

    /// Returns whether the event was opened for setting.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.os.writable()
    }

    /// Returns the owner, the access list and the path of the event.
    #[must_use]
    pub fn info(&self) -> ObjectInfo {
        self.os.info()
    }

    /// Returns the handle or descriptor, for waits and calls that this crate does not have. It is
    /// valid as long as `self`, and must not be closed.
    ///
    /// # Platform notes
    ///
    /// On Windows the handle can be passed to `WaitForMultipleObjects` and similar functions. On
    /// Linux the descriptor is that of a file with a futex word, which cannot be polled.
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
    /// Opens events for setting and resetting too. A created event can always be set.
    #[must_use]
    pub fn write(self, on: bool) -> EventOptions {
        self.set_write(on)
    }

    /// Creates an event; see [`Event::create_new`].
    ///
    /// # Errors
    ///
    /// The errors of [`Event::create_new`].
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
    /// - [`WrongOwner`](crate::ErrorKind::WrongOwner): the event does not belong to the expected
    ///   owner.
    /// - The errors of [`Event::open`].
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Event> {
        self.open_named(Name::checked(name)?)
    }

    /// Opens an event for setting, or creates an event. Returns which of the two happened. An event
    /// that existed keeps its own [`Reset`].
    ///
    /// # Errors
    ///
    /// The errors of [`create_new`](Options::create_new) and [`open`](Options::open).
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
