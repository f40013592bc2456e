//! A named mutex, which one thread of all processes has at a time.

use crate::error::{Error, Result};
use crate::name::Name;
use crate::object::options::{Options, Origin, open_or_create};
use crate::os::{self, MutexBackend, ObjectBackend, ObjectInfo, RawObject, Taken};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The options to create or open a [`Mutex`].
pub type MutexOptions = Options<Mutex>;

/// A handle of a named mutex.
///
/// One thread of all processes has the mutex at a time. A thread that has the mutex may lock it
/// again, and then has to unlock it as often. If the owner ends without unlocking the mutex, the
/// next thread that locks it gets [`Locked::Abandoned`]. Waiting takes no processor time.
///
/// The mutex lives until its last handle is dropped or its process ends. Names are given as `&str`
/// or [`Name`]. Mutexes share their names with sections and events.
///
/// ```
/// # let name = format!("Local\\shmkit-doc-mutex-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Locked, Mutex};
///
/// let mutex = Mutex::create_new(name)?;
/// match mutex.lock()? {
///     Locked::Clean(_guard) => println!("ours, until the guard is dropped"),
///     Locked::Abandoned(_guard) => println!("ours, and its last owner died at work"),
/// }
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// # Platform notes
///
/// On Windows a mutex is a mutex of the kernel. On Linux a mutex is a small file in `/dev/shm` that
/// names the thread which has the mutex (`docs/platform.md` says how), and only programs of one pid
/// namespace can share it. On Linux the mutex is not fair: a thread may lock it before a thread
/// that has waited longer.
pub struct Mutex {
    os: os::Mutex,
    name: Name,
}

/// A mutex that this thread has locked.
#[derive(Debug)]
pub enum Locked<'a> {
    /// The last owner unlocked the mutex.
    Clean(MutexGuard<'a>),
    /// The last owner ended without unlocking the mutex: the data that it protects may be half
    /// written. "The state of the persistent data ... is undefined" (Mutex Objects).
    Abandoned(MutexGuard<'a>),
}

impl<'a> Locked<'a> {
    /// Returns the guard, abandoned or not.
    pub fn into_guard(self) -> MutexGuard<'a> {
        match self {
            Locked::Clean(guard) | Locked::Abandoned(guard) => guard,
        }
    }

    /// Returns whether the last owner ended without unlocking the mutex.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Locked::Abandoned(_))
    }
}

/// Unlocks the mutex when it is dropped. The guard stays with the thread that locked the mutex.
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// fn never(guard: shmkit::MutexGuard<'_>) { send(guard) }
/// ```
#[must_use = "the mutex is given back when the guard is dropped"]
pub struct MutexGuard<'a> {
    mutex: &'a Mutex,
    /// Only the thread that locked a mutex can unlock it.
    not_send: PhantomData<*const ()>,
}

impl Drop for MutexGuard<'_> {
    fn drop(&mut self) {
        self.mutex.os.unlock();
    }
}

impl fmt::Debug for MutexGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(&self.mutex.name).finish()
    }
}

impl Mutex {
    /// Creates an unlocked mutex for this user alone.
    ///
    /// # Errors
    ///
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists): a process holds a mutex of this name.
    /// - [`WrongKind`](crate::ErrorKind::WrongKind): the name belongs to a section or an event.
    /// - The other errors of [`Section::create_new`](crate::Section::create_new).
    pub fn create_new(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        Mutex::options().create_new(name)
    }

    /// Opens a mutex. Never creates a mutex.
    ///
    /// # Errors
    ///
    /// The errors of [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        Mutex::options().open(name)
    }

    /// Returns options to create and open mutexes in other ways.
    #[must_use]
    pub fn options() -> MutexOptions {
        MutexOptions::new()
    }

    /// Returns the name by which the mutex was created or opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Locks the mutex, and waits until that is possible.
    ///
    /// # Errors
    ///
    /// - [`AccessDenied`](crate::ErrorKind::AccessDenied): this account may only look at the mutex
    ///   (Linux).
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): the mutex was created in another pid
    ///   namespace (Linux).
    pub fn lock(&self) -> Result<Locked<'_>> {
        loop {
            if let Some(locked) = self.take(None)? {
                return Ok(locked);
            }
        }
    }

    /// Locks the mutex, and waits at most for `timeout`; `None` if the time is over.
    ///
    /// # Errors
    ///
    /// The errors of [`lock`](Mutex::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Locked<'_>>> {
        self.take(Some(timeout))
    }

    /// Locks the mutex if no other thread has it; `None` if another thread has it.
    ///
    /// # Errors
    ///
    /// The errors of [`lock`](Mutex::lock).
    pub fn try_lock(&self) -> Result<Option<Locked<'_>>> {
        self.take(Some(Duration::ZERO))
    }

    /// Returns whether a thread has the mutex at this moment; `None` if the system does not say.
    #[must_use]
    pub fn is_taken(&self) -> Option<bool> {
        self.os.is_taken()
    }

    /// Returns the process whose thread has the mutex; `None` if no thread has it, or if the system
    /// does not say.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        self.os.owner()
    }

    /// Returns the owner, the access list and the path of the mutex.
    #[must_use]
    pub fn info(&self) -> ObjectInfo {
        self.os.info()
    }

    /// Returns the handle or descriptor, for waits and calls that this crate does not have. It is
    /// valid as long as `self`, and must not be closed.
    ///
    /// # Platform notes
    ///
    /// On Linux the descriptor is that of a file, which cannot be polled.
    #[must_use]
    pub fn as_raw(&self) -> RawObject {
        self.os.raw()
    }

    fn take(&self, timeout: Option<Duration>) -> Result<Option<Locked<'_>>> {
        let taken = self.os.lock(timeout)?;
        Ok(taken.map(|taken| {
            let guard = MutexGuard {
                mutex: self,
                not_send: PhantomData,
            };
            match taken {
                Taken::Clean => Locked::Clean(guard),
                Taken::Abandoned => Locked::Abandoned(guard),
            }
        }))
    }
}

impl MutexOptions {
    /// Creates a mutex; see [`Mutex::create_new`].
    ///
    /// # Errors
    ///
    /// The errors of [`Mutex::create_new`].
    pub fn create_new(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        self.create(Name::checked(name)?)
    }

    /// Opens a mutex; see [`Mutex::open`].
    ///
    /// # Errors
    ///
    /// - [`WrongOwner`](crate::ErrorKind::WrongOwner): the mutex does not belong to the expected
    ///   owner.
    /// - The errors of [`Mutex::open`].
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        self.open_named(Name::checked(name)?)
    }

    /// Opens a mutex, or creates a mutex. Returns which of the two happened.
    ///
    /// # Errors
    ///
    /// The errors of [`create_new`](Options::create_new) and [`open`](Options::open).
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
    ) -> Result<(Mutex, Origin)> {
        let name = Name::checked(name)?;
        open_or_create(
            &name,
            || self.open_named(name.clone()),
            || self.create(name.clone()),
        )
    }

    fn create(&self, name: Name) -> Result<Mutex> {
        let os = os::Mutex::create(&name, false, &self.create)?;
        Ok(Mutex { os, name })
    }

    fn open_named(&self, name: Name) -> Result<Mutex> {
        let os = os::Mutex::open(&name, &self.open)?;
        Ok(Mutex { os, name })
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("name", &self.name)
            .field("owner", &self.owner())
            .finish_non_exhaustive()
    }
}
