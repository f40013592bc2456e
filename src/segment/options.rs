//! The options that the endpoints of all patterns have when they are created and opened.

use crate::access::{Access, Owner};
use crate::error::{Error, Result};
use crate::format::describe::Layout;
use crate::format::layout::DEFAULT_SLOTS;
use crate::name::Name;
use crate::segment::HowToJoin;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// An endpoint that owns a name.
pub trait Create: Sized {
    /// Options that only this kind of endpoint has.
    type Choices: Clone + fmt::Debug;

    #[doc(hidden)]
    fn create_with(options: &CreateOptions<Self>, name: &Name) -> Result<Self>;
}

/// An endpoint that opens a name.
pub trait Open: Sized {
    /// Options that only this kind of endpoint has.
    type Choices: Clone + fmt::Debug + Default;

    #[doc(hidden)]
    fn open_with(options: &OpenOptions<Self>, name: &Name) -> Result<Self>;
}

/// Options that every endpoint that owns a name has.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// The least length of each ring, if the caller has set it (queue, topic).
    pub capacity: Option<u64>,
    pub max_message: Option<u64>,
    pub access: Access,
    pub prefault: bool,
    /// Whether each message has the time at which it was sent (queue, topic).
    pub is_stamped: bool,
    /// The number of subscribers or readers that can have a slot (topic, values).
    pub slots: usize,
    /// The layouts of typed messages; empty for bytes.
    pub layouts: Vec<Layout>,
    /// Whether a generation that waits for its owner must have the same options.
    pub same_options: bool,
}

impl Common {
    /// Returns the same options for an owner that takes a generation which waits for it only if that
    /// generation has these options too.
    pub fn with_same_options(&self) -> Common {
        Common {
            same_options: true,
            ..self.clone()
        }
    }
}

/// Options to create a queue, a topic, values or a server of calls.
///
/// The aliases of this type are [`QueueOptions`](crate::QueueOptions),
/// [`TopicOptions`](crate::TopicOptions), [`ValuesOptions`](crate::ValuesOptions) and
/// [`ServerOptions`](crate::ServerOptions). The method `options()` of the endpoint returns them.
pub struct CreateOptions<E: Create> {
    pub(crate) common: Common,
    pub(crate) choices: E::Choices,
    endpoint: PhantomData<fn() -> E>,
}

impl<E: Create> CreateOptions<E> {
    pub(crate) fn new(choices: E::Choices) -> CreateOptions<E> {
        CreateOptions {
            common: Common {
                capacity: None,
                max_message: None,
                access: Access::SameUser,
                prefault: false,
                is_stamped: false,
                slots: DEFAULT_SLOTS,
                layouts: Vec::new(),
                same_options: false,
            },
            choices,
            endpoint: PhantomData,
        }
    }

    /// Returns the same options for messages with these layouts.
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

    /// Sets which processes may open the name (default: [`Access::SameUser`]).
    ///
    /// [`Access::SameUser`], [`Access::Group`], [`Access::AppContainer`] and [`Access::Sddl`] let other
    /// programs take part. The read-only presets let more users read: they can subscribe to a topic and
    /// read values, and they only see that a queue or a server exists. Only this user can create the
    /// next owner of the name.
    #[must_use]
    pub fn access(mut self, access: Access) -> CreateOptions<E> {
        self.common.access = access;
        self
    }

    /// Sets whether all memory is touched when the endpoint is created, so that no message pays for
    /// a page fault (default: off). A queue and a server of calls then get the memory of all lanes when
    /// they are created.
    #[must_use]
    pub fn prefault(mut self, on: bool) -> CreateOptions<E> {
        self.common.prefault = on;
        self
    }

    /// Creates the endpoint, which owns the name.
    ///
    /// # Errors
    ///
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if the name is taken. The error names
    ///   the process that owns the name.
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for sizes, counts or layouts that
    ///   are not possible.
    /// - [`InvalidName`](crate::ErrorKind::InvalidName) if the name leaves no space for the names
    ///   of its companions, which are 27 characters longer; or if it is a name of `Local\` that a
    ///   group is to use (Linux).
    /// - [`PrivilegeMissing`](crate::ErrorKind::PrivilegeMissing) if this process is not in the group
    ///   that the access names (Linux).
    /// - Otherwise the errors of [`Section::create_new`](crate::Section::create_new).
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

/// Options to open a queue, a topic, values or a server of calls.
///
/// The aliases of this type are [`SenderOptions`](crate::SenderOptions),
/// [`SubscriberOptions`](crate::SubscriberOptions), [`ReaderOptions`](crate::ReaderOptions) and
/// [`ClientOptions`](crate::ClientOptions). The method `options()` of the endpoint returns them.
pub struct OpenOptions<E: Open> {
    pub(crate) how: HowToJoin,
    pub(crate) choices: E::Choices,
    endpoint: PhantomData<fn() -> E>,
}

impl<E: Open> OpenOptions<E> {
    /// Returns the same options for messages with these layouts.
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

    /// Refuses a name that belongs to another user than `owner` (default: any user may own the
    /// name).
    #[must_use]
    pub fn expect_owner(mut self, owner: Owner) -> OpenOptions<E> {
        self.how.owner = Some(owner);
        self
    }

    /// Sets how long `open` waits for an owner that has not created the name yet (default: not at
    /// all). `open` looks again every few milliseconds.
    #[must_use]
    pub fn wait(mut self, timeout: Duration) -> OpenOptions<E> {
        self.how.wait = timeout;
        self
    }

    /// Opens the name. The call never creates a name.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound) if no process has created the name.
    /// - [`WrongKind`](crate::ErrorKind::WrongKind) if the name belongs to another pattern or
    ///   object.
    /// - [`WrongType`](crate::ErrorKind::WrongType) if its messages are of another type.
    /// - [`WrongOwner`](crate::ErrorKind::WrongOwner) if it belongs to another user than expected.
    /// - [`Busy`](crate::ErrorKind::Busy) if all slots are taken, or if the name is not ready after
    ///   a second.
    /// - [`WrongVersion`](crate::ErrorKind::WrongVersion) if a newer format is in use.
    /// - Otherwise the errors of [`Section::open`](crate::Section::open).
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
