//! A named mutex: one thread at a time, in all processes.

use crate::error::{Error, Result};
use crate::name::Name;
use crate::object::options::{Options, Origin, open_or_create};
use crate::os::{self, MutexBackend, ObjectBackend, ObjectInfo, RawObject, Taken};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How to create or open a [`Mutex`].
pub type MutexOptions = Options<Mutex>;

/// A handle of a named mutex.
///
/// One thread at a time has it, in all processes; a thread that has it already may
/// take it again, and gives it back as often. When its owner ends without giving it
/// back, it goes to the next who takes it, who is told: [`Locked::Abandoned`]. Waiting
/// takes no processor time.
///
/// It lives until its last handle is dropped or the process ends. Names are given as
/// `&str` or [`Name`], and shared with sections and events.
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
/// On Windows this is a mutex of the kernel. On Linux it is a small file in
/// `/dev/shm` that names the thread which has it (`docs/platform.md` says how), and
/// only programs of one pid namespace can share it. It is not fair on Linux: a thread
/// that comes by may take it before one that waits.
pub struct Mutex {
    os: os::Mutex,
    name: Name,
}

/// A mutex that this thread has taken.
#[derive(Debug)]
pub enum Locked<'a> {
    /// Its last owner gave it back.
    Clean(MutexGuard<'a>),
    /// Its last owner ended without giving it back: what it protects may be half
    /// written. "The state of the persistent data ... is undefined" (Mutex Objects).
    Abandoned(MutexGuard<'a>),
}

impl<'a> Locked<'a> {
    /// The guard, however it came to us.
    pub fn into_guard(self) -> MutexGuard<'a> {
        match self {
            Locked::Clean(guard) | Locked::Abandoned(guard) => guard,
        }
    }

    /// Whether its last owner ended without giving it back.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Locked::Abandoned(_))
    }
}

/// Gives the mutex back when it is dropped. It stays with the thread that took it.
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// fn never(guard: shmkit::MutexGuard<'_>) { send(guard) }
/// ```
#[must_use = "the mutex is given back when the guard is dropped"]
pub struct MutexGuard<'a> {
    mutex: &'a Mutex,
    /// A thread can only give back what it took itself.
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
    /// Creates a mutex that nobody has, for this user alone.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) where anybody holds a mutex
    /// of this name, [`WrongKind`](crate::ErrorKind::WrongKind) where it is a section
    /// or an event; otherwise as [`Section::create_new`](crate::Section::create_new).
    pub fn create_new(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        Mutex::options().create_new(name)
    }

    /// Opens a mutex. Never creates one.
    ///
    /// # Errors
    ///
    /// As [`Section::open`](crate::Section::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        Mutex::options().open(name)
    }

    /// How to create or open, in full.
    #[must_use]
    pub fn options() -> MutexOptions {
        MutexOptions::new()
    }

    /// The name it was created or opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Takes it, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`AccessDenied`](crate::ErrorKind::AccessDenied) where its creator lets this
    /// account look only (Linux); [`Unsupported`](crate::ErrorKind::Unsupported) where
    /// it was created in another pid namespace (Linux).
    pub fn lock(&self) -> Result<Locked<'_>> {
        loop {
            if let Some(locked) = self.take(None)? {
                return Ok(locked);
            }
        }
    }

    /// Takes it, waiting at most this long; `None` where it was not to be had.
    ///
    /// # Errors
    ///
    /// As [`lock`](Mutex::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<Locked<'_>>> {
        self.take(Some(timeout))
    }

    /// Takes it where nobody has it; `None` where somebody does.
    ///
    /// # Errors
    ///
    /// As [`lock`](Mutex::lock).
    pub fn try_lock(&self) -> Result<Option<Locked<'_>>> {
        self.take(Some(Duration::ZERO))
    }

    /// Whether anybody has it at this moment; `None` where the system does not tell.
    #[must_use]
    pub fn is_taken(&self) -> Option<bool> {
        self.os.is_taken()
    }

    /// The process whose thread has it; `None` where nobody has, or the system does
    /// not tell.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        self.os.owner()
    }

    /// To whom it belongs, and who may do what.
    #[must_use]
    pub fn info(&self) -> ObjectInfo {
        self.os.info()
    }

    /// The handle or descriptor, for waits and calls that this crate does not have. It
    /// is valid as long as `self`, and not to be closed.
    ///
    /// # Platform notes
    ///
    /// On Linux it is a file, which cannot be polled.
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
    /// As there.
    pub fn create_new(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        self.create(Name::checked(name)?)
    }

    /// Opens a mutex; see [`Mutex::open`].
    ///
    /// # Errors
    ///
    /// As there, and [`WrongOwner`](crate::ErrorKind::WrongOwner).
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<Mutex> {
        self.open_named(Name::checked(name)?)
    }

    /// Opens a mutex, or creates it, and says which it was.
    ///
    /// # Errors
    ///
    /// As [`create_new`](Options::create_new) and [`open`](Options::open).
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
