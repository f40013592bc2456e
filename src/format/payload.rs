//! The payload of a message: bytes, or a value of one type.

use crate::error::channel::RecvError;
use crate::format::describe::{Described, Layout};

/// The type of the messages of an endpoint: bytes (`[u8]`), or one [`Described`] type.
///
/// Each endpoint has the type of its messages as a parameter, for example `Receiver<M>`. The type
/// is `[u8]` unless the options choose another type:
///
/// ```
/// # let name = format!("Local\\shmkit-doc-typed-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Publisher, Subscriber};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[repr(C)]
/// #[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
/// struct Tick {
///     price: f64,
///     volume: u32,
///     symbol: [u8; 4],
/// }
///
/// shmkit::describe! { Tick { price: f64, volume: u32, symbol: [u8; 4] } }
///
/// // The server.
/// let mut ticks = Publisher::options().typed::<Tick>().create(name)?;
/// ticks.send(&Tick { price: 101.5, volume: 3, symbol: *b"ABCD" })?;
///
/// // A consumer.
/// let mut subscriber = Subscriber::options().typed::<Tick>().open(name)?;
/// assert_eq!(subscriber.recv()?.price, 101.5);
///
/// // A consumer that was compiled with another struct.
/// #[repr(C)]
/// #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// struct Rate {
///     price: f32,
///     volume: u32,
/// }
///
/// shmkit::describe! { Rate { price: f32, volume: u32 } }
///
/// let error = Subscriber::options().typed::<Rate>().open(name).unwrap_err();
/// assert_eq!(error.kind(), shmkit::ErrorKind::WrongType);
/// let why = "price is f64[1] at 0 there and f32[1] at 0 here";
/// assert!(error.to_string().contains(why));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The owner of a name writes the layout of its type into shared memory, with the names of the
/// fields. An endpoint of another type cannot open the name: the error
/// [`WrongType`](crate::ErrorKind::WrongType) contains the first field that differs. An endpoint of
/// bytes can open every name. [`inspect::segment_info`](crate::inspect::segment_info) returns the
/// layout.
///
/// Only `[u8]` and the [`Described`] types implement this trait.
pub trait Payload: sealed::Sealed {
    /// The type that a receiving call returns: `&[u8]`, in a buffer that the next call reuses, or
    /// the value itself.
    type Received<'a>;

    /// Returns the bytes of the message in memory.
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];

    /// Returns whether a message of this length can be a value of the type.
    #[doc(hidden)]
    fn fits(len: usize) -> bool;

    /// Converts the bytes of a received message; `None` if their length is not the size of the
    /// type.
    #[doc(hidden)]
    fn received(bytes: &[u8]) -> Option<Self::Received<'_>>;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for [u8] {}

    impl<T: super::Described> Sealed for T {}
}

impl Payload for [u8] {
    type Received<'a> = &'a [u8];

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline(always)]
    fn fits(_len: usize) -> bool {
        true
    }

    #[inline(always)]
    fn received(bytes: &[u8]) -> Option<&[u8]> {
        Some(bytes)
    }
}

impl<T: Described> Payload for T {
    type Received<'a> = T;

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    // layout: L042
    #[inline(always)]
    fn fits(len: usize) -> bool {
        len == size_of::<T>()
    }

    // layout: L042
    #[inline(always)]
    fn received(bytes: &[u8]) -> Option<T> {
        T::read_from_bytes(bytes).ok()
    }
}

/// Returns the layouts of a pattern whose messages have one type.
pub(crate) fn layouts<T: Described>() -> Vec<Layout> {
    vec![Layout::of::<T>()]
}

/// Converts the bytes of a received message.
///
/// # Errors
///
/// [`RecvError::Corrupt`] if their length is not the size of the type.
#[inline(always)]
pub(crate) fn received<M: Payload + ?Sized>(bytes: &[u8]) -> Result<M::Received<'_>, RecvError> {
    M::received(bytes).ok_or(RecvError::Corrupt)
}

/// Passes each message that `drain` finds to `each`, and returns the number of messages.
///
/// # Errors
///
/// [`RecvError::Corrupt`] if the length of a message is not the size of the type, after all other
/// messages were passed on; and each error of `drain`.
pub(crate) fn drain<M: Payload + ?Sized>(
    mut each: impl FnMut(M::Received<'_>),
    drain: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<usize, RecvError>,
) -> Result<usize, RecvError> {
    let mut corrupt = Ok(());
    let count = drain(&mut |message| match M::received(message) {
        Some(message) => each(message),
        None => corrupt = Err(RecvError::Corrupt),
    })?;
    corrupt.map(|()| count)
}
