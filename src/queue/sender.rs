//! The sender of a queue, and the options to open a queue.

use super::batch::Batch;
use super::receiver::{QueueOptions, Receiver};
use super::sending::Sending;
use crate::error::channel::SendError;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::format::describe::Described;
use crate::format::payload::{self, Payload};
use crate::lane::claim::Claim;
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::spin::Deadline;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Options to open a queue for sending; see [`Sender::options`].
pub type SenderOptions<M = [u8]> = OpenOptions<Sender<M>>;

/// Options that only a sender has.
#[derive(Clone, Debug, Default)]
pub struct SenderChoices {
    source: Option<u64>,
}

impl<M: Payload + ?Sized> OpenOptions<Sender<M>> {
    /// Opens the sender with a source key (default: none). Its messages can have numbers
    /// ([`send_numbered`](Sender::send_numbered)), and the next sender with the key reads the number
    /// of the last of them ([`last_number`](Sender::last_number)). There is one sender with a key at
    /// a time: [`open`](OpenOptions::open) fails with [`Busy`](crate::ErrorKind::Busy) while another
    /// one is there. 0 is no key.
    ///
    /// A key takes one of the [`senders`](crate::QueueOptions::senders) of the queue from its first
    /// number on, for as long as the queue exists, also while there is no sender with the key. The
    /// numbers survive the senders and the receiver. They are gone when all processes have left the
    /// queue. A process that may send to the queue can also store wrong keys and numbers.
    #[must_use]
    pub fn source(mut self, key: u64) -> SenderOptions<M> {
        self.choices.source = Some(key);
        self
    }
}

impl SenderOptions {
    /// Makes each message a value of the type `T`.
    #[must_use]
    pub fn typed<T: Described>(self) -> SenderOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> OpenOptions<Sender<M>> {
    /// Opens the queue, or creates it with these options if no process has created it. The receiver
    /// can come later: the messages stay in the lane of the sender until then, and a sender whose
    /// lane is full waits. Senders are not disconnected meanwhile.
    ///
    /// The first [receiver](crate::Receiver::open_or_create) takes the queue. It receives the messages
    /// that were sent before, also those of senders that have closed, as long as one process has the
    /// queue open. A queue whose receiver has closed or died counts as one that no process has
    /// created.
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-first-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Receiver, Sender};
    ///
    /// let options = Receiver::options().max_message(100);
    /// let mut sender = Sender::options().open_or_create(name, &options)?;
    /// sender.send(b"sent before there is a receiver")?;
    ///
    /// let mut receiver = options.open_or_create(name)?;
    /// assert_eq!(receiver.recv()?, b"sent before there is a receiver");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`WrongOptions`](crate::ErrorKind::WrongOptions) if the queue has other options. The error
    ///   names the first difference.
    /// - Otherwise the errors of [`open`](OpenOptions::open) but `NotFound`, and those of
    ///   [`QueueOptions::create`](crate::QueueOptions::create).
    pub fn open_or_create(
        &self,
        name: impl TryInto<Name, Error: Into<Error>>,
        options: &QueueOptions<M>,
    ) -> Result<Sender<M>> {
        let name = Name::checked(name)?;
        Ok(Sender {
            core: {
                let (source, wanted) = (self.source_key(&name)?, options.wanted(&name)?);
                Sending::open_or_create(&self.how, &name, source, &wanted)?
            },
            messages: PhantomData,
        })
    }

    /// Returns the source key, if the caller gave one.
    fn source_key(&self, name: &Name) -> Result<Option<u64>> {
        match self.choices.source {
            Some(0) => {
                let (kind, meaning) = (ErrorKind::InvalidArgument, "0 is no source key");
                let error = Error::new(kind, Operation::Open, name, meaning);
                Err(error.with_advice("use any other number"))
            }
            source => Ok(source),
        }
    }
}

impl<M: Payload + ?Sized> Open for Sender<M> {
    type Choices = SenderChoices;

    fn open_with(options: &SenderOptions<M>, name: &Name) -> Result<Sender<M>> {
        Ok(Sender {
            core: Sending::open(&options.how, name, options.source_key(name)?)?,
            messages: PhantomData,
        })
    }
}

/// A sender of a queue; see [`Receiver`](crate::Receiver).
///
/// A sender is `Send`, and is not shared between threads: each thread opens a sender of its own.
pub struct Sender<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Sending,
    messages: PhantomData<fn(&M)>,
}

impl Sender {
    /// Opens a queue with messages of any type, to send bytes to it. The call never creates a
    /// queue.
    ///
    /// # Errors
    ///
    /// The errors of [`SenderOptions::open`](OpenOptions::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Sender> {
        Sender::options().open(name)
    }

    /// Opens a queue of bytes, or creates it if no process has created it; see
    /// [`SenderOptions::open_or_create`].
    ///
    /// # Errors
    ///
    /// The errors of [`SenderOptions::open_or_create`].
    pub fn open_or_create(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Sender> {
        Sender::options().open_or_create(name, &Receiver::options())
    }

    /// Returns the options to open a queue.
    #[must_use]
    pub fn options() -> SenderOptions {
        SenderOptions::default()
    }

    /// Reserves space for a message of `len` bytes in shared memory, and blocks until there is
    /// space. The documentation of [`Receiver::recv_ref`](crate::Receiver::recv_ref) has an
    /// example.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Sender::send).
    #[inline]
    pub fn claim(&mut self, len: usize) -> Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Never)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Reserves space for a message of `len` bytes in shared memory if there is space, without
    /// blocking.
    ///
    /// # Errors
    ///
    /// The errors of [`try_send`](Sender::try_send).
    #[inline]
    pub fn try_claim(&mut self, len: usize) -> Result<Claim<'_>, SendError> {
        let place = self.core.claim(len, Deadline::Now)?;
        Ok(Claim::new(&mut self.core, place, len))
    }

    /// Sends all of these messages, several at a time, and blocks while there is no space. If a
    /// message fails, the messages before it are sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Sender::send).
    pub fn send_all<B: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = B>,
    ) -> Result<(), SendError> {
        let mut batch = self.batch();
        for message in messages {
            batch.send(message.as_ref())?;
        }
        Ok(())
    }
}

impl<T: Described> Sender<T> {
    /// Sends all of these values, several at a time, and blocks while there is no space. If a value
    /// fails, the values before it are sent.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Sender::send).
    pub fn send_all<B: Borrow<T>>(
        &mut self,
        values: impl IntoIterator<Item = B>,
    ) -> Result<(), SendError> {
        let mut batch = self.batch();
        for value in values {
            batch.send(value.borrow())?;
        }
        Ok(())
    }
}

impl<M: Payload + ?Sized> Sender<M> {
    /// Returns the name by which the queue was opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found().name
    }

    /// Returns the length of the longest message in bytes.
    #[must_use]
    pub fn max_message(&self) -> usize {
        self.core.max_message()
    }

    /// Returns the number of the queue's generation to which this sender is attached. The number
    /// changes with each receiver that follows, and each time that a receiver is
    /// [resized](crate::Receiver::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found().generation
    }

    /// Opens another sender for another thread: with the same name, type and expected owner. The clone
    /// has a slot of its own, so the call can fail. It has no source
    /// key.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](OpenOptions::open).
    pub fn try_clone(&self) -> Result<Sender<M>> {
        let found = self.core.found();
        Ok(Sender {
            core: Sending::open(&found.how(), &found.name, None)?,
            messages: PhantomData,
        })
    }

    /// Waits for the next receiver for at most `timeout`, and reattaches to it. Returns whether
    /// there is a next receiver. The next receiver also receives the messages that were sent to the
    /// receiver before it and were not received.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](OpenOptions::open), if there is a receiver that this sender cannot
    /// use.
    pub fn wait_for_receiver(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// Sends a message if there is space, without blocking. The message is visible to the receiver
    /// when `try_send` returns.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if there is no space; otherwise the errors of [`send`](Sender::send).
    #[inline]
    pub fn try_send(&mut self, message: &M) -> Result<(), SendError> {
        self.core.send(message.bytes(), Deadline::Now)
    }

    /// Sends a message, and blocks until there is space. The message is visible to the receiver
    /// when `send` returns. A receiver that dies later may not have received the message.
    ///
    /// # Errors
    ///
    /// - [`SendError::Disconnected`] if the receiver has closed or died and there is no next
    ///   receiver. If the receiver closed, the next call returns the error. If it died, a call
    ///   returns the error at the latest when the lane is full. The message of that call was not
    ///   sent. The messages that were sent before stay for the next receiver as long as any process
    ///   holds the queue.
    /// - [`SendError::TooLong`] if the message is longer than [`max_message`](Sender::max_message).
    /// - [`SendError::Forked`] in a process that was forked from the process that opened the
    ///   sender.
    /// - [`SendError::System`] if the system refuses to let the call wait, or if the sender cannot
    ///   reattach to the next receiver.
    #[inline]
    pub fn send(&mut self, message: &M) -> Result<(), SendError> {
        self.core.send(message.bytes(), Deadline::Never)
    }

    /// Sends a message, and blocks for at most `timeout` while there is no space.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`] if there was no space in time; otherwise the errors of
    /// [`send`](Sender::send).
    pub fn send_timeout(&mut self, message: &M, timeout: Duration) -> Result<(), SendError> {
        self.core.send(message.bytes(), Deadline::within(timeout))
    }

    /// Returns the number of the last message with a number that was sent with the
    /// [source key](SenderOptions::source) of this sender, by this sender or an earlier one. Returns
    /// `None` if there was no such message, or if the sender has no key.
    #[must_use]
    pub fn last_number(&self) -> Option<u64> {
        self.core.last_number()
    }

    /// Sends a message with a source number if there is space, without blocking; see
    /// [`send_numbered`](Sender::send_numbered).
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if there is no space; otherwise the errors of
    /// [`send_numbered`](Sender::send_numbered).
    pub fn try_send_numbered(&mut self, number: u64, message: &M) -> Result<(), SendError> {
        self.number_until(number, message, Deadline::Now)
    }

    /// Sends a message with a source number, and blocks until there is space. One store makes the
    /// message visible to the receiver and the number the [last one](Sender::last_number), so that a
    /// process which dies at any moment has done both or none. The number means what the caller
    /// wants: it may be a position in a file, and need not be greater than the number before. The
    /// receiver does not see it. A message without a number leaves the last number as it is.
    ///
    /// # Errors
    ///
    /// [`SendError::NoSource`] if the sender was opened without a
    /// [source key](SenderOptions::source); otherwise the errors of [`send`](Sender::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = format!("demo-source-{}", std::process::id());
    /// let mut receiver = shmkit::Receiver::create(&*name)?;
    /// let open = || shmkit::Sender::options().source(7).open(&*name);
    /// let mut sender = open()?;
    /// sender.send_numbered(41, b"line 41")?;
    /// drop(sender);
    ///
    /// // A later process goes on behind line 41.
    /// assert_eq!(open()?.last_number(), Some(41));
    /// assert_eq!(receiver.recv()?, b"line 41");
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_numbered(&mut self, number: u64, message: &M) -> Result<(), SendError> {
        self.number_until(number, message, Deadline::Never)
    }

    /// Sends a message with a source number, and blocks for at most `timeout` while there is no space;
    /// see [`send_numbered`](Sender::send_numbered).
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`] if there was no space in time; otherwise the errors of
    /// [`send_numbered`](Sender::send_numbered).
    pub fn send_numbered_timeout(
        &mut self,
        number: u64,
        message: &M,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.number_until(number, message, Deadline::within(timeout))
    }

    fn number_until(
        &mut self,
        number: u64,
        message: &M,
        deadline: Deadline,
    ) -> Result<(), SendError> {
        let sent = self
            .core
            .send_numbered(number, message.bytes(), (deadline, false));
        sent.map(drop)
    }

    /// Begins a batch. Its messages are sent together when it is flushed or dropped, with a single
    /// wake-up if the receiver sleeps. If the receiver does not sleep, a batch does not make short
    /// messages faster.
    #[must_use]
    pub fn batch(&mut self) -> Batch<'_, M> {
        Batch::new(&mut self.core)
    }

    /// Returns this sender as a sender of bytes, which sends messages of any length.
    #[must_use]
    pub fn into_untyped(self) -> Sender {
        Sender {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
