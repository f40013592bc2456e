//! Mapped memory.

use super::error::explain;
use super::no_fork;
use crate::error::{Operation, Result};
use crate::os::{Protection, ViewBackend};
use crate::sync::{self, AtomicU8, AtomicU32, AtomicU64};
use rustix::mm::{
    Advice, MapFlags, MsyncFlags, ProtFlags, madvise, mmap, mmap_anonymous, msync, munmap,
};
use std::ffi::c_void;
use std::os::fd::BorrowedFd;

/// Makes a page that reads as zero in every child that is forked from this process; `None` where
/// the system makes no such page. The page is never unmapped.
pub(super) fn wiped_page<const LEN: usize>() -> Option<&'static [AtomicU8; LEN]> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: "If addr is NULL, then the kernel chooses the (page-aligned) address at which to
    // create the mapping" (mmap(2)). MAP_FIXED, which "forcibly removes preexisting mappings", is
    // not set. So no memory that is in use changes.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), LEN, protection, flags) }.ok()?;

    // SAFETY: the range is the one that was just mapped, and no reference to it exists. The advice
    // changes no byte of this process: "Zero memory on fork, child only" (MADV_WIPEONFORK,
    // asm-generic/mman-common.h).
    if unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) }.is_err() {
        // SAFETY: munmap "deletes the mappings for the specified address range" (munmap(2)). The
        // range is the one that was just mapped, and no reference to it exists.
        let _ = unsafe { munmap(page, LEN) };
        return None;
    }

    // SAFETY: the mapping has at least LEN bytes, readable and writable, and is never unmapped, so
    // it is valid for 'static. Its "contents are initialized to zero" (MAP_ANONYMOUS, mmap(2)),
    // which is a valid `AtomicU8`, and an `AtomicU8` has the size of a byte and needs no alignment.
    // Nothing but this reference accesses the pages. The kernel gives a child zeros before any code
    // of the child runs, so no load of the child races with these zeros.
    Some(unsafe { &*page.cast::<[AtomicU8; LEN]>() })
}

/// A page of a file that no code accesses, and that a child of a fork does not get. It keeps the
/// open file description of the file.
#[derive(Debug)]
pub(super) struct UnforkedPage {
    base: *mut c_void,
    process: (u32, u32),
}

// SAFETY: a page belongs to the process and to no thread: any thread may unmap it. No method
// accesses its bytes.
unsafe impl Send for UnforkedPage {}
// SAFETY: no method changes the page or accesses its bytes.
unsafe impl Sync for UnforkedPage {}

impl UnforkedPage {
    const LEN: usize = 1;

    pub fn map(file: BorrowedFd<'_>) -> rustix::io::Result<UnforkedPage> {
        let (protection, flags) = (ProtFlags::empty(), MapFlags::SHARED);
        // SAFETY: "If addr is NULL, then the kernel chooses the (page-aligned) address at which to
        // create the mapping" (mmap(2)). MAP_FIXED, which "forcibly removes preexisting mappings",
        // is not set. So no memory that is in use changes.
        let base = unsafe { mmap(std::ptr::null_mut(), Self::LEN, protection, flags, file, 0) }?;
        let page = UnforkedPage {
            base,
            process: no_fork::process(),
        };
        // SAFETY: the range is the one that was just mapped, to which no reference exists. "Do not
        // make the pages in this range available to the child after a fork(2)" (MADV_DONTFORK,
        // madvise(2)) changes no byte.
        unsafe { madvise(base, Self::LEN, Advice::LinuxDontFork) }?;
        Ok(page)
    }
}

impl Drop for UnforkedPage {
    // layout: L243
    fn drop(&mut self) {
        // A child of a fork has no such page, and may have another mapping at this address.
        if self.process == no_fork::process() {
            // SAFETY: munmap "deletes the mappings for the specified address range" (munmap(2)): the
            // range that `map` mapped in this process, which this value owns, and to which no
            // reference exists.
            let done = unsafe { munmap(self.base, Self::LEN) };
            debug_assert!(done.is_ok(), "munmap of our own page: {done:?}");
        }
    }
}

/// A view of any range: the mapping behind it starts at a page boundary.
#[derive(Debug)]
pub(crate) struct View {
    base: *mut u8,
    mapped: usize,
    lead: usize,
    protection: Protection,
    subject: String,
}

// SAFETY: a view owns its mapping, which belongs to the process and to no thread: any thread may
// access it and unmap it. The methods of a view access its bytes through `sync` only, whose
// accesses may race with those of another thread.
unsafe impl Send for View {}
// SAFETY: no method changes the view itself, and the methods access its bytes through `sync` only,
// whose accesses may race with those of another thread.
unsafe impl Sync for View {}

impl View {
    // layout: L193
    pub(super) fn new(
        file: BorrowedFd<'_>,
        protection: Protection,
        offset: u64,
        len: usize,
        subject: String,
    ) -> Result<View> {
        let (prot, flags) = match protection {
            Protection::ReadOnly => (ProtFlags::READ, MapFlags::SHARED),
            Protection::ReadWrite => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
            Protection::CopyOnWrite => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE),
        };

        let page = rustix::param::page_size() as u64;
        let lead = (offset % page) as usize;
        let fail = |errno| explain(Operation::Map, &subject, errno);
        let mapped = len
            .checked_add(lead)
            .ok_or_else(|| fail(rustix::io::Errno::NOMEM))?;

        // SAFETY: "If addr is NULL, then the kernel chooses the (page-aligned) address at which to
        // create the mapping" (mmap(2)). MAP_FIXED, which "forcibly removes preexisting mappings",
        // is not set. So no memory that is in use changes.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                mapped,
                prot,
                flags,
                file,
                offset - lead as u64,
            )
        };
        let base = base.map_err(fail)?.cast();

        Ok(View {
            base,
            mapped,
            lead,
            protection,
            subject,
        })
    }

    /// Returns the address of an aligned word inside the view.
    fn aligned(&self, offset: usize, size: usize) -> *mut u8 {
        let at = self.as_ptr().wrapping_add(offset);
        let is_inside = self
            .len()
            .checked_sub(size)
            .is_some_and(|last| offset <= last);
        assert!(is_inside && (at as usize).is_multiple_of(size));
        at
    }

    /// Returns the word at `offset`. In a read-only view the caller only loads it, relaxed.
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `aligned` checked that the 4 bytes lie in the view and that their address is a
        // multiple of 4. The view is mapped for reading as long as `self`, which the reference
        // borrows. Where it is not mapped for writing, `Event` only loads the word: `State::
        // waited_word`, `Event::set` and `Event::reset` check `may_write`. All accesses of this
        // process go through `sync`; `long` accesses another view, that of a mutex.
        unsafe { sync::atomic_u32(self.aligned(offset, 4).cast()) }
    }

    /// Loads the two words at `offset` as one.
    pub(super) fn peek(&self, offset: usize) -> u64 {
        let at = self.aligned(offset, 8).cast_const().cast();
        // SAFETY: `aligned` checked that the 8 bytes lie in the view and that their address is a
        // multiple of 8. The view is mapped for reading as long as `self`. All accesses of this
        // process go through `sync`.
        unsafe { sync::read_cell::<u64>(at) }.load()
    }

    /// Returns the two words at `offset` as one. The view must be mapped for writing, or this
    /// panics.
    pub(super) fn long(&self, offset: usize) -> &AtomicU64 {
        assert_eq!(self.protection, Protection::ReadWrite);
        // SAFETY: `aligned` checked that the 8 bytes lie in the view and that their address is a
        // multiple of 8. The view is mapped for reading and writing as long as `self`, which the
        // reference borrows. All accesses of this process go through `sync`; the lower half is also
        // given to the kernel to sleep on (`word`), and no thread of this process loads or stores
        // it.
        unsafe { sync::atomic_u64(self.aligned(offset, 8).cast()) }
    }

    /// Waits until the file behind the view has the changes.
    pub(super) fn flush(&self) -> Result<()> {
        // SAFETY: `base` and `mapped` are the range that `new` mapped, which lives as long as
        // `self`. msync "flushes changes made to the in-core copy of a file" (msync(2)), and
        // MS_INVALIDATE is not set: it changes no byte of the mapping.
        let done = unsafe { msync(self.base.cast(), self.mapped, MsyncFlags::SYNC) };
        done.map_err(|e| explain(Operation::Flush, &self.subject, e))
    }
}

impl ViewBackend for View {
    fn as_ptr(&self) -> *mut u8 {
        self.base.wrapping_add(self.lead)
    }

    fn len(&self) -> usize {
        self.mapped - self.lead
    }

    fn is_committed(&self, _offset: usize, _len: usize) -> bool {
        // tmpfs gives a reserved page when it is touched.
        true
    }

    fn prefault(&self) -> Result<()> {
        let advice = match self.protection {
            Protection::ReadWrite => Advice::LinuxPopulateWrite,
            Protection::ReadOnly | Protection::CopyOnWrite => Advice::LinuxPopulateRead,
        };
        // SAFETY: `base` and `mapped` are the range that `new` mapped, which lives as long as
        // `self`. MADV_POPULATE_READ and MADV_POPULATE_WRITE "populate (prefault) page tables
        // readable" and "writable" (asm-generic/mman-common.h): they change no byte.
        let done = unsafe { madvise(self.base.cast(), self.mapped, advice) };
        done.map_err(|e| explain(Operation::Prefault, &self.subject, e))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: munmap "deletes the mappings for the specified address range" (munmap(2)): the
        // range that `new` mapped, which this value owns, and which no other code unmaps. No
        // reference into it lives: those of the methods borrow `self`, and cells, windows and
        // references of a `Mapping` borrow or keep the `Mapping`, which owns this view.
        let done = unsafe { munmap(self.base.cast(), self.mapped) };
        debug_assert!(done.is_ok(), "munmap of our own range: {done:?}");
    }
}
