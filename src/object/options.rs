//! Options to create or open an object.

use crate::access::{Access, Owner};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::name::Name;
use crate::os::{HowToCreate, HowToOpen};
use std::fmt;
use std::marker::PhantomData;

/// The number of attempts of an `open_or_create` while other processes create and close the name.
const TRIES: u32 = 100;

/// Options to create or open a [`Section`](crate::Section), an [`Event`](crate::Event) or a
/// [`Mutex`](crate::Mutex).
///
/// ```
/// # let name = format!("Local\\shmkit-doc-options-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Access, Owner, Section};
///
/// // 64 GiB of addresses, 1 MiB of memory, for all users to read.
/// let section = Section::options()
///     .reserve(true)
///     .access(Access::UsersReadOnly)
///     .create_new(name, 64 << 30)?;
/// section.commit(0..1 << 20)?;
/// section.map_rw(0..1 << 20)?.write(0, b"hello")?;
///
/// // Elsewhere: only a section of this user, with all the bytes that are going to be read.
/// let section = Section::options()
///     .expect_owner(Owner::Me)
///     .expect_len(4096)
///     .open(name)?;
/// # drop(section);
/// # Ok::<(), shmkit::Error>(())
/// ```
pub struct Options<K> {
    pub(crate) create: HowToCreate,
    pub(crate) open: HowToOpen,
    pub(crate) min_len: u64,
    kind: PhantomData<fn() -> K>,
}

/// Whether an `open_or_create` opened or created the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The object is new.
    Created,
    /// The object existed, and kept its content or state.
    Opened,
}

/// Prints `created` or `opened`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Created => "created",
            Origin::Opened => "opened",
        })
    }
}

impl<K> Options<K> {
    /// Returns the default options: for this user alone, for reading or waiting, not inheritable.
    #[must_use]
    pub fn new() -> Options<K> {
        Options {
            create: HowToCreate::default(),
            open: HowToOpen::default(),
            min_len: 0,
            kind: PhantomData,
        }
    }

    /// Sets the access to a new object.
    #[must_use]
    pub fn access(mut self, access: Access) -> Options<K> {
        self.create.access = access;
        self
    }

    /// Opens only objects of this owner. Fails with [`ErrorKind::WrongOwner`] for an object of
    /// another owner, before a byte of the object is read, and for an object whose owner the system
    /// does not report.
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> Options<K> {
        self.open.owner = Some(owner);
        self
    }

    /// Lets child processes inherit the handle or descriptor (`as_raw`). A child that inherits it
    /// keeps the object alive.
    #[must_use]
    pub fn inheritable(mut self, on: bool) -> Options<K> {
        self.create.inheritable = on;
        self.open.inheritable = on;
        self
    }

    /// Lets the accounts that the access admits beside this user only look at a new object; see
    /// [`HowToCreate`].
    pub(crate) fn only_look(mut self, on: bool) -> Options<K> {
        self.create.only_look = on;
        self
    }

    pub(crate) fn set_write(mut self, on: bool) -> Options<K> {
        self.open.write = on;
        self
    }
}

impl<K> Default for Options<K> {
    fn default() -> Options<K> {
        Options::new()
    }
}

impl<K> Clone for Options<K> {
    fn clone(&self) -> Options<K> {
        Options {
            create: self.create.clone(),
            open: self.open.clone(),
            min_len: self.min_len,
            kind: PhantomData,
        }
    }
}

impl<K> fmt::Debug for Options<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("open", &self.open)
            .field("min_len", &self.min_len)
            .finish()
    }
}

/// Opens an object, or creates it if there is none. Returns which of the two happened.
pub(crate) fn open_or_create<T>(
    name: &Name,
    open: impl Fn() -> Result<T>,
    create: impl Fn() -> Result<T>,
) -> Result<(T, Origin)> {
    for _ in 0..TRIES {
        match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened.map(|object| (object, Origin::Opened)),
        }
        match create() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => return created.map(|object| (object, Origin::Created)),
        }
    }
    let meaning = "other processes keep creating and closing an object of this name";
    Err(Error::new(ErrorKind::Busy, Operation::Open, name, meaning))
}
