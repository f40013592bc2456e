//! The reader of values, and the options to open values.

use super::reading::Reading;
use super::value_ref::ValueRef;
use crate::error::channel::{GetError, RecvError};
use crate::error::{Error, Result};
use crate::format::describe::Described;
use crate::format::payload::{self, Payload};
use crate::lane::in_place::Source;
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Options to open values; see [`Reader::options`].
pub type ReaderOptions<M = [u8]> = OpenOptions<Reader<M>>;

/// Options that only a reader has.
#[derive(Clone, Debug, Default)]
pub struct ReaderChoices {
    observer: bool,
}

impl<M: Payload + ?Sized> OpenOptions<Reader<M>> {
    /// Sets whether the reader is an observer, which takes no slot (default: off).
    ///
    /// There can be any number of observers. An observer stores nothing in shared memory, and so it
    /// cannot make the writer leave a value alone while it reads. No process wakes an observer: it
    /// polls each millisecond for 100 ms after the last change, and then each 10 ms.
    #[must_use]
    pub fn observer(mut self, on: bool) -> ReaderOptions<M> {
        self.choices.observer = on;
        self
    }
}

impl ReaderOptions {
    /// Makes each value a value of the type `T`.
    #[must_use]
    pub fn typed<T: Described>(self) -> ReaderOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Open for Reader<M> {
    type Choices = ReaderChoices;

    fn open_with(options: &ReaderOptions<M>, name: &Name) -> Result<Reader<M>> {
        Ok(Reader {
            core: Reading::open(&options.how, options.choices.observer, name)?,
            messages: PhantomData,
        })
    }
}

/// A reader of values; see [`Writer`](crate::Writer).
///
/// A reader maps the values read-only, so it cannot damage them. There can be any number of
/// readers.
///
/// # Platform notes
///
/// If the writer's [`Access`](crate::Access) lets a program only read, as a program of another
/// user, the reader is an observer; see [`observer`](OpenOptions::observer). A reader that finds all
/// slots taken is an observer too.
pub struct Reader<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Reading,
    messages: PhantomData<fn(&M)>,
}

impl Reader {
    /// Opens values of any type, to read them as bytes. The call never creates values.
    ///
    /// # Errors
    ///
    /// The errors of [`ReaderOptions::open`](OpenOptions::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Reader> {
        Reader::options().open(name)
    }

    /// Returns the options to open values.
    #[must_use]
    pub fn options() -> ReaderOptions {
        ReaderOptions::default()
    }
}

impl<M: Payload + ?Sized> Reader<M> {
    /// Returns the name by which the values were opened.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found.name
    }

    /// Returns the length of the longest value in bytes.
    #[must_use]
    pub fn max_value(&self) -> usize {
        self.core.values.table_geometry().max()
    }

    /// Returns the names of the values. A single value has the empty name.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.core.names
    }

    /// Returns the index of the value with this name. The index stays the same, even if the table
    /// of the next writer has more values or another order. A value that was not in the table when
    /// this reader was opened has no index here; a reader that is opened later has one.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.core.indices.get(name).copied()
    }

    /// Reads the newest value; of a table, the first value.
    ///
    /// The call does not wait for the writer, which need not be alive. If another writer has
    /// followed, the call reads the value of that writer.
    ///
    /// # Errors
    ///
    /// - [`GetError::NotSet`] if the value was not set yet.
    /// - [`GetError::Busy`] if the value changed each of the 64 times that it was read. A reader
    ///   with a slot then holds the value for a moment as [`get_ref`](Reader::get_ref) does, and
    ///   returns this error if that fails too.
    /// - [`GetError::System`] if another writer has followed and this reader cannot join it, or if
    ///   the table of that writer lacks one of the names.
    /// - [`GetError::Corrupt`] if the writer wrote an invalid value, or if an untyped writer set a
    ///   value whose length is not the length of the type.
    /// - [`GetError::Forked`] in a process that was forked from the process that opened the
    ///   reader.
    #[inline]
    pub fn get(&mut self) -> Result<M::Received<'_>, GetError> {
        self.get_at(0)
    }

    /// Reads the newest value at this index of a table.
    ///
    /// # Errors
    ///
    /// The errors of [`get`](Reader::get).
    ///
    /// # Panics
    ///
    /// Panics if there is no value with this index.
    #[inline]
    pub fn get_at(&mut self, index: usize) -> Result<M::Received<'_>, GetError> {
        let len = self.core.get_at(index)?;
        M::received(self.core.value(len)).ok_or(GetError::Corrupt)
    }

    /// Holds the newest value where it is in shared memory, so that it can be read without a copy; of
    /// a table, the first value. The writer goes on, and leaves this value as it is until the reference
    /// is dropped. A value that is needed for a moment is better read by [`get`](Reader::get).
    ///
    /// The readers of one table share a few guards, and each reference has one of them: there are two
    /// guards less than the table has slots for each value, so at least 6 and at most 62. A reader that
    /// is killed gives its guard back.
    ///
    /// # Errors
    ///
    /// - [`GetError::NotSet`] if the value was not set yet.
    /// - [`GetError::Busy`] if all guards are in use, or if the value changed each of the 64 times that
    ///   the reader tried to hold it. The call does not wait.
    /// - The other errors of [`get`](Reader::get).
    ///
    /// ```
    /// # let name = format!("Local\\shmkit-doc-held-{}", std::process::id());
    /// # let name = name.as_str();
    /// use shmkit::{Reader, Writer};
    ///
    /// let mut writer = Writer::create(name)?;
    /// writer.set(b"first")?;
    ///
    /// let mut reader = Reader::open(name)?;
    /// let held = reader.get_ref()?;
    /// for _ in 0..1000 {
    ///     writer.set(b"later")?;
    /// }
    /// assert_eq!(held.to_vec(), b"first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_ref(&mut self) -> Result<ValueRef<'_, M>, GetError> {
        self.get_ref_at(0)
    }

    /// Holds the newest value at this index of a table; see [`get_ref`](Reader::get_ref).
    ///
    /// # Errors
    ///
    /// The errors of [`get_ref`](Reader::get_ref).
    ///
    /// # Panics
    ///
    /// Panics if there is no value with this index.
    pub fn get_ref_at(&mut self, index: usize) -> Result<ValueRef<'_, M>, GetError> {
        let (len, number) = self.core.hold_at(index)?;
        if !M::fits(len) {
            self.core.release();
            return Err(GetError::Corrupt);
        }
        Ok(ValueRef::new(&mut self.core, len, number))
    }

    /// Returns a number that grows each time that the value at this index is set; 0 if the value
    /// was not set yet.
    ///
    /// # Panics
    ///
    /// Panics if there is no value with this index.
    #[must_use]
    pub fn version(&self, index: usize) -> u64 {
        self.core.values.number(self.core.place(index))
    }

    /// Returns the index of a value that changed since the reader was opened or since the last
    /// call, without waiting. A value that changed several times may be returned several times.
    /// After more than a thousand changes, every value is returned once.
    ///
    /// # Errors
    ///
    /// - [`RecvError::Empty`] if no value changed.
    /// - [`RecvError::Disconnected`] when the writer has closed or died and every change was
    ///   returned.
    /// - [`RecvError::System`] if another writer has followed and this reader cannot join it.
    /// - [`RecvError::Forked`] in a process that was forked from the process that opened the
    ///   reader.
    pub fn try_change(&mut self) -> Result<usize, RecvError> {
        self.core.change(Deadline::Now)
    }

    /// Waits for a value to change, and returns its index. A value that was set before the reader
    /// was opened can be read by [`get`](Reader::get), and does not count as a change.
    ///
    /// # Errors
    ///
    /// The errors of [`try_change`](Reader::try_change), except [`RecvError::Empty`].
    pub fn wait_change(&mut self) -> Result<usize, RecvError> {
        self.core.change(Deadline::Never)
    }

    /// Waits for a value to change for at most `timeout`, and returns its index.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`] if no value changed in time; otherwise the errors of
    /// [`try_change`](Reader::try_change), except [`RecvError::Empty`].
    pub fn wait_change_timeout(&mut self, timeout: Duration) -> Result<usize, RecvError> {
        self.core.change(Deadline::within(timeout))
    }

    /// Waits for the next writer for at most `timeout`, and returns whether there is a next writer.
    /// Until then, the values of the last writer can be read. The next writer takes over the values
    /// that fit into its table.
    ///
    /// # Errors
    ///
    /// The errors of [`open`](Reader::open), if there is a writer that this reader cannot use.
    pub fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// Returns the number of the values' generation to which this reader is attached. The number
    /// changes with each writer that follows, and each time that a writer is
    /// [resized](crate::Writer::resize).
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found.generation
    }

    /// Returns this reader as a reader of bytes.
    #[must_use]
    pub fn into_untyped(self) -> Reader {
        Reader {
            core: self.core,
            messages: PhantomData,
        }
    }
}

impl<M: Payload + ?Sized> fmt::Debug for Reader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl<M: Payload + ?Sized> Waitable for Reader<M> {}

impl<M: Payload + ?Sized> AsWait for Reader<M> {
    fn as_wait(&mut self) -> &mut dyn Wait {
        &mut self.core
    }
}
