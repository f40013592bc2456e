//! How the endpoints of all patterns are created and opened.

use crate::access::{Access, Owner};
use crate::error::{Error, Result};
use crate::format::describe::Layout;
use crate::name::Name;
use crate::segment::HowToJoin;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// An endpoint that owns a name.
pub trait Create: Sized {
    /// What only this kind of endpoint lets a program choose.
    type Choices: Clone + fmt::Debug;

    #[doc(hidden)]
    fn create_with(options: &CreateOptions<Self>, name: &Name) -> Result<Self>;
}

/// An endpoint that opens a name.
pub trait Open: Sized {
    /// What only this kind of endpoint lets a program choose.
    type Choices: Clone + fmt::Debug + Default;

    #[doc(hidden)]
    fn open_with(options: &OpenOptions<Self>, name: &Name) -> Result<Self>;
}

/// What every endpoint that owns a name lets a program choose.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub capacity: u64,
    pub max_message: Option<u64>,
    pub access: Access,
    pub prefault: bool,
    /// Of typed messages; none of bytes.
    pub layouts: Vec<Layout>,
}

/// How to create a queue, a topic, values or a server of calls.
///
/// It is [`QueueOptions`](crate::QueueOptions), [`TopicOptions`](crate::TopicOptions),
/// [`ValuesOptions`](crate::ValuesOptions) or [`ServerOptions`](crate::ServerOptions), from
/// `options()` of the endpoint that creates.
pub struct CreateOptions<E: Create> {
    pub(crate) common: Common,
    pub(crate) choices: E::Choices,
    endpoint: PhantomData<fn() -> E>,
}

impl<E: Create> CreateOptions<E> {
    pub(crate) fn new(capacity: u64, choices: E::Choices) -> CreateOptions<E> {
        CreateOptions {
            common: Common {
                capacity,
                max_message: None,
                access: Access::SameUser,
                prefault: false,
                layouts: Vec::new(),
            },
            choices,
            endpoint: PhantomData,
        }
    }

    /// The same options for messages with these layouts.
    pub(crate) fn with<T: Create<Choices = E::Choices>>(
        mut self,
        layouts: Vec<Layout>,
    ) -> CreateOptions<T> {
        self.common.layouts = layouts;
        CreateOptions {
            common: self.common,
            choices: self.choices,
            endpoint: PhantomData,
        }
    }

    /// Sets who may open the name ([`Access::SameUser`]).
    ///
    /// [`Access::SameUser`] and [`Access::Sddl`] let other programs take part. The presets for more
    /// users let them read: they subscribe to a topic and read values, and they only see that a queue
    /// or a server is there.
    #[must_use]
    pub fn access(mut self, access: Access) -> CreateOptions<E> {
        self.common.access = access;
        self
    }

    /// Touches all memory when it is created, so that no message pays for a page fault (off).
    #[must_use]
    pub fn prefault(mut self, on: bool) -> CreateOptions<E> {
        self.common.prefault = on;
        self
    }

    /// Creates the endpoint, which owns the name.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) where the name is taken, with the process that
    /// owns it; [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for sizes, counts or layouts
    /// that cannot be; [`InvalidName`](crate::ErrorKind::InvalidName) where the name leaves no space
    /// for the names of the objects beside it, which are 26 characters longer; otherwise the errors of
    /// [`Section::create_new`](crate::Section::create_new).
    pub fn create(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<E> {
        E::create_with(self, &Name::checked(name)?)
    }
}

impl<E: Create> Clone for CreateOptions<E> {
    fn clone(&self) -> CreateOptions<E> {
        CreateOptions {
            common: self.common.clone(),
            choices: self.choices.clone(),
            endpoint: PhantomData,
        }
    }
}

impl<E: Create> fmt::Debug for CreateOptions<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateOptions")
            .field("common", &self.common)
            .field("choices", &self.choices)
            .finish()
    }
}

/// How to open a queue, a topic, values or a server of calls.
///
/// It is [`SenderOptions`](crate::SenderOptions), [`SubscriberOptions`](crate::SubscriberOptions),
/// [`ReaderOptions`](crate::ReaderOptions) or [`ClientOptions`](crate::ClientOptions), from
/// `options()` of the endpoint that opens.
pub struct OpenOptions<E: Open> {
    pub(crate) how: HowToJoin,
    pub(crate) choices: E::Choices,
    endpoint: PhantomData<fn() -> E>,
}

impl<E: Open> OpenOptions<E> {
    /// The same options for messages with these layouts.
    pub(crate) fn with<T: Open<Choices = E::Choices>>(
        mut self,
        layouts: Vec<Layout>,
    ) -> OpenOptions<T> {
        self.how.layouts = layouts;
        OpenOptions {
            how: self.how,
            choices: self.choices,
            endpoint: PhantomData,
        }
    }

    /// Refuses a name that belongs to another user (any user may own it).
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> OpenOptions<E> {
        self.how.owner = Some(owner);
        self
    }

    /// Waits at most this long for an owner that has not created the name yet (not at all). It looks
    /// again every few milliseconds.
    #[must_use]
    pub fn wait(mut self, timeout: Duration) -> OpenOptions<E> {
        self.how.wait = timeout;
        self
    }

    /// Opens the name. It never creates one.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) where no process has created the name;
    /// [`WrongKind`](crate::ErrorKind::WrongKind) where the name belongs to another pattern or object;
    /// [`WrongType`](crate::ErrorKind::WrongType) where its messages are of another type;
    /// [`WrongOwner`](crate::ErrorKind::WrongOwner) where it belongs to another user than expected;
    /// [`Busy`](crate::ErrorKind::Busy) where all slots are taken, or the name is not ready after a
    /// second; [`WrongVersion`](crate::ErrorKind::WrongVersion) where a newer format is in use;
    /// otherwise the errors of [`Section::open`](crate::Section::open).
    pub fn open(&self, name: impl TryInto<Name, Error: Into<Error>>) -> Result<E> {
        E::open_with(self, &Name::checked(name)?)
    }
}

impl<E: Open> Default for OpenOptions<E> {
    fn default() -> OpenOptions<E> {
        OpenOptions {
            how: HowToJoin::default(),
            choices: E::Choices::default(),
            endpoint: PhantomData,
        }
    }
}

impl<E: Open> Clone for OpenOptions<E> {
    fn clone(&self) -> OpenOptions<E> {
        OpenOptions {
            how: self.how.clone(),
            choices: self.choices.clone(),
            endpoint: PhantomData,
        }
    }
}

impl<E: Open> fmt::Debug for OpenOptions<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("how", &self.how)
            .field("choices", &self.choices)
            .finish()
    }
}
