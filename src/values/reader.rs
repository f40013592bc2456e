//! The reader of values.

use super::reading::Reading;
use crate::error::channel::RecvError;
use crate::error::{Error, Result};
use crate::format::describe::Described;
use crate::format::payload::{self, Payload};
use crate::name::Name;
use crate::segment::options::{Open, OpenOptions};
use crate::segment::owner_monitor::wait_for_next;
use crate::wait::source::{AsWait, Wait, Waitable};
use crate::wait::spin::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How to open values; see [`Reader::options`].
pub type ReaderOptions<M = [u8]> = OpenOptions<Reader<M>>;

impl ReaderOptions {
    /// Makes each value one of this type.
    #[must_use]
    pub fn typed<T: Described>(self) -> ReaderOptions<T> {
        self.with(payload::layouts::<T>())
    }
}

impl<M: Payload + ?Sized> Open for Reader<M> {
    type Choices = ();

    fn open_with(options: &ReaderOptions<M>, name: &Name) -> Result<Reader<M>> {
        Ok(Reader {
            core: Reading::open(&options.how, name)?,
            messages: PhantomData,
        })
    }
}

/// A reading end of latest values. See [`Writer`](crate::Writer).
///
/// It maps the values read-only, so that it can do no harm to anybody, and there can be any
/// number of them.
///
/// # Platform notes
///
/// A program that the writer's [`Access`](crate::Access) lets only look, that of another
/// user, is no participant, and neither is the sixty-fourth: it cannot ask the writer to leave
/// a value alone while it reads, nobody sees it, and where nothing changes it looks again each
/// millisecond.
pub struct Reader<M: Payload + ?Sized = [u8]> {
    pub(crate) core: Reading,
    messages: PhantomData<fn(&M)>,
}

impl Reader {
    /// Opens values of any type to read them as bytes. It never creates them.
    ///
    /// # Errors
    ///
    /// The errors of [`ReaderOptions::open`](OpenOptions::open).
    pub fn open(name: impl TryInto<Name, Error: Into<Error>>) -> Result<Reader> {
        Reader::options().open(name)
    }

    /// Returns the options to open values with.
    #[must_use]
    pub fn options() -> ReaderOptions {
        ReaderOptions::default()
    }
}

impl<M: Payload + ?Sized> Reader<M> {
    /// The name they were opened by.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.core.found.name
    }

    /// The longest value in bytes.
    #[must_use]
    pub fn max_value(&self) -> usize {
        self.core.values.table_geometry().max()
    }

    /// The names of the values; where there is one value, it is empty.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.core.names
    }

    /// The index of the value with that name. It stays the same, also where another writer follows
    /// whose table has more values or another order. Values that were not there when the values
    /// were opened are seen by a reader that is opened later.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.core.indices.get(name).copied()
    }

    /// The newest value, the first one of a table.
    ///
    /// The writer is not waited for, and need not be alive. Where another writer has followed, the
    /// value is that of the new one.
    ///
    /// # Errors
    ///
    /// [`RecvError::System`] where another writer has followed and does not let us in, or lacks one
    /// of the names; [`RecvError::Empty`] where none was set yet; [`RecvError::Busy`] where it changed each
    /// of 64 times that it was read. A participant then has the writer leave it alone for a
    /// moment, and tries as often again.
    #[inline]
    pub fn get(&mut self) -> std::result::Result<M::Received<'_>, RecvError> {
        self.get_at(0)
    }

    /// Reads the newest value of a table, by its index.
    ///
    /// # Errors
    ///
    /// The errors of [`get`](Reader::get).
    ///
    /// # Panics
    ///
    /// Where there is no value with that index.
    #[inline]
    pub fn get_at(&mut self, index: usize) -> std::result::Result<M::Received<'_>, RecvError> {
        let len = self.core.get_at(index)?;
        M::received(self.core.value(len)).ok_or(RecvError::Corrupt)
    }

    /// A number that grows each time that this value is set; 0: it was not set yet.
    ///
    /// # Panics
    ///
    /// Where there is no value with that index.
    #[must_use]
    pub fn version(&self, index: usize) -> u64 {
        self.core.values.number(self.core.place(index))
    }

    /// The index of a value that changed since it was opened or this was last asked, if there
    /// is one. A value that changed several times may come several times; after more than a
    /// thousand changes every value comes once.
    ///
    /// # Errors
    ///
    /// [`RecvError::Empty`]; [`RecvError::Disconnected`] when the writer has gone, and all
    /// changes were told.
    pub fn try_change(&mut self) -> std::result::Result<usize, RecvError> {
        self.core.change(Deadline::Now)
    }

    /// Waits for a value to change, and returns its index. A value that was set before the reader was
    /// opened is there ([`get`](Reader::get)), and is no change.
    ///
    /// # Errors
    ///
    /// The errors of [`try_change`](Reader::try_change).
    pub fn wait_change(&mut self) -> std::result::Result<usize, RecvError> {
        self.core.change(Deadline::Never)
    }

    /// Waits for a value to change, at most this long, and returns its index.
    ///
    /// # Errors
    ///
    /// [`RecvError::Timeout`] where no value changed in time; otherwise the errors of
    /// [`try_change`](Reader::try_change).
    pub fn wait_change_timeout(
        &mut self,
        timeout: Duration,
    ) -> std::result::Result<usize, RecvError> {
        self.core.change(Deadline::within(timeout))
    }

    /// Waits for the next writer, at most this long; says whether there is one. The values of
    /// the one before are there until then, and go over where they fit.
    ///
    /// # Errors
    ///
    /// As [`open`](Reader::open), where there is one that does not let us in.
    pub fn wait_for_writer(&mut self, timeout: Duration) -> Result<bool> {
        wait_for_next(&mut self.core, timeout)
    }

    /// The number of its generation: another one with each writer that follows, and each time
    /// that one changes its measures.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.core.found.generation
    }

    /// Returns the same reader for values of bytes.
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
