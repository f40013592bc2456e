//! A view of a section: bounds-checked copies in and out, and atomic cells.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{self, Protection, SectionBackend, ViewBackend};
use crate::sync::{self, AtomicU32, AtomicU64, ReadCell, Window, WindowMut};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The mode of a [`Mapping`]: [`ReadOnly`], [`ReadWrite`] or [`CopyOnWrite`].
pub trait Mode: sealed::Sealed {}

/// A [`Mode`] that allows writes.
pub trait Writable: Mode {}

/// Allows loads only; the processor refuses stores.
#[derive(Clone, Copy, Debug)]
pub enum ReadOnly {}

/// Allows loads, and stores that every process with the section sees.
#[derive(Clone, Copy, Debug)]
pub enum ReadWrite {}

/// Allows loads, and stores that only this view sees: the first store to a page gives this view a
/// copy of the page. Other pages still show what other processes write.
#[derive(Clone, Copy, Debug)]
pub enum CopyOnWrite {}

mod sealed {
    use crate::os::Protection;

    pub trait Sealed {
        #[doc(hidden)]
        const PROTECTION: Protection;
    }

    impl Sealed for super::ReadOnly {
        const PROTECTION: Protection = Protection::ReadOnly;
    }

    impl Sealed for super::ReadWrite {
        const PROTECTION: Protection = Protection::ReadWrite;
    }

    impl Sealed for super::CopyOnWrite {
        const PROTECTION: Protection = Protection::CopyOnWrite;
    }
}

impl Mode for ReadOnly {}
impl Mode for ReadWrite {}
impl Mode for CopyOnWrite {}
impl Writable for ReadWrite {}
impl Writable for CopyOnWrite {}

/// A view of a section, or of a range of it, in this process.
///
/// Other processes may write the same bytes at any moment. So the bytes are copied in and out, or
/// used through atomic cells; there is no slice of them. Offsets count bytes from the start of the
/// view. A view holds its section: as long as the view lives, the name of the section can be
/// opened.
///
/// A view is `Send` and `Sync`. A copy is not a snapshot: each aligned machine word in it is whole,
/// but the words may be from different moments. Writer and reader need a rule that makes copies
/// whole. An example is a sequence word, which is odd while its one writer writes:
///
/// ```
/// # let name = format!("Local\\shmkit-doc-sequence-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::{Mapping, ReadWrite, Section};
/// use std::sync::atomic::{Ordering, fence};
///
/// fn publish(view: &Mapping<ReadWrite>, prices: &[f64; 8]) -> shmkit::Result<()> {
///     let sequence = view.atomic_u32(0)?;
///     let number = sequence.load(Ordering::Relaxed);
///     sequence.store(number.wrapping_add(1), Ordering::Relaxed);
///     fence(Ordering::Release); // no price is seen before the odd number
///     view.write_value(64, prices)?;
///     sequence.store(number.wrapping_add(2), Ordering::Release);
///     Ok(())
/// }
///
/// /// `None` while the writer writes: try again.
/// fn snapshot(view: &Mapping) -> shmkit::Result<Option<[f64; 8]>> {
///     let sequence = view.cell_u32(0)?;
///     let before = sequence.load();
///     let prices = view.read_value(64)?;
///     fence(Ordering::Acquire); // the second load comes after the prices
///     let whole = before % 2 == 0 && sequence.load() == before;
///     Ok(whole.then_some(prices))
/// }
///
/// let section = Section::create_new(name, 4096)?;
/// publish(&section.map_rw(..)?, &[101.5; 8])?;
/// assert_eq!(snapshot(&Section::open(name)?.map(..)?)?, Some([101.5; 8]));
/// # Ok::<(), shmkit::Error>(())
/// ```
///
/// ```
/// # let name = format!("Local\\shmkit-doc-mapping-{}", std::process::id());
/// # let name = name.as_str();
/// use shmkit::Section;
///
/// let section = Section::create_new(name, 4096)?;
/// let view = section.map_rw(..)?;
/// view.write_value(8, &1.5f64)?;
/// assert_eq!(view.read_value::<f64>(8)?, 1.5);
/// assert!(view.read_value::<f64>(4089).is_err());
/// # Ok::<(), shmkit::Error>(())
/// ```
// layout: L018 L220
pub struct Mapping<M: Mode = ReadOnly> {
    // Declared before the section, so the view is unmapped before the section is closed.
    view: os::View,
    /// Keeps the name alive; "a file mapping object does not close until all references to it are
    /// released" (CreateFileMappingW), but its name is gone after the last handle is closed.
    section: Arc<os::Section>,
    subject: Arc<str>,
    mode: PhantomData<M>,
}

impl<M: Mode> Mapping<M> {
    pub(crate) const PROTECTION: Protection = M::PROTECTION;

    pub(crate) fn new(view: os::View, section: Arc<os::Section>, subject: Arc<str>) -> Mapping<M> {
        Mapping {
            view,
            section,
            subject,
            mode: PhantomData,
        }
    }

    /// Returns the length of the view in bytes, which is never zero.
    #[expect(clippy::len_without_is_empty, reason = "a view is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.view.len()
    }

    /// Returns the address of the first byte, which is valid as long as this view lives.
    ///
    /// # Platform notes
    ///
    /// Accesses through the pointer race with other processes. An access to a shrunken file
    /// (Linux) or to uncommitted memory (Windows) faults.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.view.as_ptr().cast_const()
    }

    /// Copies `to.len()` bytes out, beginning at `offset`.
    ///
    /// # Errors
    ///
    /// Nothing is copied in case of an error.
    ///
    /// - [`ErrorKind::OutOfBounds`]: the range reaches beyond the view.
    /// - [`ErrorKind::NotCommitted`]: a part of the range is reserved and not committed
    ///   (Windows).
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        let from = self.at(Operation::Read, offset, to.len())?;
        // SAFETY: valid: `at` checked that the bytes lie in the view, which is mapped as long as
        // `self.view` lives, and are committed. shared: the section's bytes have no other address
        // in this process than those of views, whose accesses all go through `sync`; `as_ptr`
        // leaves it to its caller's unsafe code to do the same.
        unsafe { sync::copy_out(from, to) };
        Ok(())
    }

    /// Copies a value of plain data out, beginning at `offset`. The offset need not be aligned. For
    /// a struct of your own, derive `FromBytes` with the crate `zerocopy` 0.8 and its feature
    /// `derive`.
    ///
    /// # Errors
    ///
    /// The errors of [`read`](Mapping::read).
    pub fn read_value<T: FromBytes>(&self, offset: usize) -> Result<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: `write_bytes` sets all `size_of::<T>()` bytes of `value` in their place, padding
        // too. (`MaybeUninit::zeroed` does not: padding bytes "are *not* preserved when the
        // `MaybeUninit<T>` value is returned from this function".) So the slice has "`len`
        // consecutive properly initialized values of type `T`" (slice::from_raw_parts_mut) of `u8`,
        // which need no alignment, and `value` is not used while the slice is.
        let bytes = unsafe {
            value.as_mut_ptr().write_bytes(0, 1);
            std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>())
        };
        self.read(offset, bytes)?;
        // SAFETY: `read` returned `Ok`, so it has written every byte of `value`, and each byte was
        // initialized before. A type is `FromBytes` if any initialized bytes are a valid value.
        Ok(unsafe { value.assume_init() })
    }

    /// Returns the `u32` at `offset`, for polling a word that another process stores.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidArgument`]: the word is not aligned to 4.
    /// - The errors of [`read`](Mapping::read).
    pub fn cell_u32(&self, offset: usize) -> Result<ReadCell<'_, u32>> {
        let at = self.aligned(Operation::Read, offset, 4)?;
        // SAFETY: `aligned` checked that the 4 bytes lie in the view, are committed, and have an
        // address that is a multiple of 4. The view is mapped as long as `self`, which the cell
        // borrows. All accesses of this process to the section go through `sync`.
        Ok(unsafe { sync::read_cell(at.cast_const().cast()) })
    }

    /// Returns the `u64` at `offset`, for polling a word that another process stores.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidArgument`]: the word is not aligned to 8.
    /// - The errors of [`read`](Mapping::read).
    pub fn cell_u64(&self, offset: usize) -> Result<ReadCell<'_, u64>> {
        let at = self.aligned(Operation::Read, offset, 8)?;
        // SAFETY: `aligned` checked that the 8 bytes lie in the view, are committed, and have an
        // address that is a multiple of 8. The view is mapped as long as `self`, which the cell
        // borrows. All accesses of this process to the section go through `sync`.
        Ok(unsafe { sync::read_cell(at.cast_const().cast()) })
    }

    /// Returns a part of the view as words, which keep the view alive. `offset` and `len` are
    /// multiples of 8.
    ///
    /// # Errors
    ///
    /// The errors of [`cell_u64`](Mapping::cell_u64).
    pub(crate) fn window(self: &Arc<Self>, offset: usize, len: usize) -> Result<Window>
    where
        M: Send + Sync + 'static,
    {
        let at = self.aligned_range(Operation::Read, offset, len)?;
        // SAFETY: `aligned_range` checked that the bytes lie in the view and are committed. The
        // view is mapped, and so readable, as long as this `Mapping`, which the window keeps by the
        // `Arc`. All accesses of this process to the section go through `sync`.
        Ok(unsafe { Window::new(at.cast_const(), len, Arc::clone(self) as _) })
    }

    fn aligned_range(&self, operation: Operation, offset: usize, len: usize) -> Result<*mut u8> {
        self.aligned(operation, offset, 8)?;
        self.at(operation, offset, len)
    }

    /// Faults in all committed pages of the view, so that later accesses do not fault.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSpace`]: there is not enough memory.
    ///
    /// # Platform notes
    ///
    /// On Linux this commits the reserved pages of the view too, since a page gets memory when it
    /// is accessed: map no more than you committed.
    pub fn prefault(&self) -> Result<()> {
        self.view.prefault()
    }

    /// Returns the address of a range that lies in the view and is committed.
    fn at(&self, operation: Operation, offset: usize, len: usize) -> Result<*mut u8> {
        let size = self.view.len();
        if offset > size || len > size - offset {
            let meaning = format!("{len} bytes at {offset} reach beyond a view of {size} bytes");
            return Err(self.error(ErrorKind::OutOfBounds, operation, meaning));
        }
        if !self.view.is_committed(offset, len) {
            let meaning = format!("the {len} bytes at {offset} are reserved, and not committed");
            let error = self.error(ErrorKind::NotCommitted, operation, meaning);
            return Err(error.with_advice("commit them first (Section::commit)"));
        }
        Ok(self.view.as_ptr().wrapping_add(offset))
    }

    fn aligned(&self, operation: Operation, offset: usize, len: usize) -> Result<*mut u8> {
        let at = self.at(operation, offset, len)?;
        if !(at as usize).is_multiple_of(len) {
            let meaning = format!(
                "the address of the {len} bytes at {offset} is not a multiple of {len} (the offset \
                 of the view counts too)"
            );
            let error = self.error(ErrorKind::InvalidArgument, operation, meaning);
            return Err(error.with_advice("copy the bytes instead, or start the view elsewhere"));
        }
        Ok(at)
    }

    fn error(&self, kind: ErrorKind, operation: Operation, meaning: String) -> Error {
        Error::new(kind, operation, &self.subject, meaning)
    }
}

impl<M: Writable> Mapping<M> {
    /// Copies bytes in, beginning at `offset`.
    ///
    /// # Errors
    ///
    /// The errors of [`read`](Mapping::read). Nothing is written in case of an error.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        let to = self.at(Operation::Write, offset, from.len())?;
        // SAFETY: valid: `at` checked that the bytes lie in the view, which is mapped as long as
        // `self.view` lives, and are committed. `M` is `Writable`, so the view was mapped for
        // reading and writing (`Mode::PROTECTION`). shared: the section's bytes have no other
        // address in this process than those of views, whose accesses all go through `sync`.
        unsafe { sync::copy_in(from, to) };
        Ok(())
    }

    /// Copies a value of plain data in, beginning at `offset`. The offset need not be aligned. For
    /// a struct of your own, derive `IntoBytes` and `Immutable` with the crate `zerocopy` 0.8 and
    /// its feature `derive`.
    ///
    /// # Errors
    ///
    /// The errors of [`write`](Mapping::write).
    pub fn write_value<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result<()> {
        self.write(offset, value.as_bytes())
    }

    /// Returns the address of the first byte, for stores; see [`as_ptr`](Mapping::as_ptr).
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.view.as_ptr()
    }
}

impl Mapping<ReadWrite> {
    /// Returns the `u32` at `offset`, as an atomic that every process with the section shares.
    ///
    /// Use words of one size only at one place: atomic accesses of different sizes that race inside
    /// one process are undefined behavior. A copy over the word while it is in use may leave any
    /// value there.
    ///
    /// # Errors
    ///
    /// The errors of [`cell_u32`](Mapping::cell_u32).
    pub fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32> {
        let at = self.aligned(Operation::Write, offset, 4)?;
        // SAFETY: `aligned` checked that the 4 bytes lie in the view, are committed, and have an
        // address that is a multiple of 4. A `Mapping<ReadWrite>` is mapped for reading and writing
        // as long as `self`, which the reference borrows. All accesses of this process to the
        // section go through `sync`. The user has to make sure that the accesses have one size, as
        // the documentation of this function says: no type shows it.
        Ok(unsafe { sync::atomic_u32(at.cast()) })
    }

    /// Returns the `u64` at `offset`, as an atomic that every process with the section shares; see
    /// [`atomic_u32`](Mapping::atomic_u32).
    ///
    /// # Errors
    ///
    /// The errors of [`cell_u64`](Mapping::cell_u64).
    pub fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64> {
        let at = self.aligned(Operation::Write, offset, 8)?;
        // SAFETY: `aligned` checked that the 8 bytes lie in the view, are committed, and have an
        // address that is a multiple of 8. A `Mapping<ReadWrite>` is mapped for reading and writing
        // as long as `self`, which the reference borrows. All accesses of this process to the
        // section go through `sync`. The user has to make sure that the accesses have one size, as
        // the documentation of `atomic_u32` says: no type shows it.
        Ok(unsafe { sync::atomic_u64(at.cast()) })
    }

    /// Returns a part of the view as writable words, which keep the view alive. `offset` and `len`
    /// are multiples of 8.
    pub(crate) fn window_mut(self: &Arc<Self>, offset: usize, len: usize) -> Result<WindowMut> {
        let at = self.aligned_range(Operation::Write, offset, len)?;
        // SAFETY: `aligned_range` checked that the bytes lie in the view and are committed. A
        // `Mapping<ReadWrite>` is mapped for reading and writing as long as it lives, and the
        // window keeps it by the `Arc`. All accesses of this process to the section go through
        // `sync`.
        Ok(unsafe { WindowMut::new(at, len, Arc::clone(self) as _) })
    }

    /// Writes changes to the file behind a file-backed section, and returns when the file has the
    /// changes. Other processes see every store without a flush. Does nothing for a section in
    /// memory.
    ///
    /// # Platform notes
    ///
    /// A file-backed section that was taken over by
    /// [`Section::from_owned`](crate::Section::from_owned) is flushed to the system's cache only
    /// (Windows).
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NoSpace`]: the file system is full.
    /// - [`ErrorKind::System`]: the disk fails.
    pub fn flush(&self) -> Result<()> {
        self.section.flush(&self.view)
    }
}

impl<M: Mode> fmt::Debug for Mapping<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("section", &self.subject)
            .field("access", &M::PROTECTION)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
