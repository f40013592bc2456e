//! Mapped memory.

use super::error::explain;
use crate::error::{Operation, Result};
use crate::os::{Protection, ViewBackend};
use crate::sync::{self, AtomicU8, AtomicU32, AtomicU64};
use rustix::mm::{
    Advice, MapFlags, MsyncFlags, ProtFlags, madvise, mmap, mmap_anonymous, msync, munmap,
};
use std::os::fd::BorrowedFd;

/// Makes a page that reads as zero in every child that is forked from this process; `None` where
/// the system makes none. It is never unmapped.
pub(super) fn wiped_page<const LEN: usize>() -> Option<&'static [AtomicU8; LEN]> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: the kernel chooses the address, so nothing that exists is replaced.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), LEN, protection, flags) }.ok()?;
    // SAFETY: the advice covers the pages mapped above, to which no reference exists yet.
    if unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) }.is_err() {
        // SAFETY: the pages were mapped above, and no reference to them exists.
        let _ = unsafe { munmap(page, LEN) };
        return None;
    }
    // SAFETY: the mapping has LEN bytes and is never unmapped. Zero is a valid `AtomicU8`, which
    // needs no alignment. The kernel gives a child zeros before the child runs, as if another
    // thread had stored them.
    Some(unsafe { &*page.cast::<[AtomicU8; LEN]>() })
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

// SAFETY: a view is an address range that belongs to this value alone; its bytes
// are shared with other processes anyway and are only touched through `sync`.
unsafe impl Send for View {}
// SAFETY: as above; no method changes the view itself.
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
        // SAFETY: the kernel chooses the address, so nothing that exists is replaced.
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

    /// The word at `offset`; of a read-only view it may only be loaded, relaxed.
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len());
        // SAFETY: inside the view, which outlives the reference, and aligned, since
        // the view starts at a page.
        unsafe { sync::atomic_u32(self.as_ptr().wrapping_add(offset).cast()) }
    }

    /// The two words at `offset`, as one, of a view that may be read-only.
    pub(super) fn peek(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len());
        let at = self.as_ptr().wrapping_add(offset).cast_const().cast();
        // SAFETY: inside the view, and aligned, since the view starts at a page.
        unsafe { sync::read_cell::<u64>(at) }.load()
    }

    /// The two words at `offset`, as one.
    pub(super) fn long(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.len());
        // SAFETY: as above.
        unsafe { sync::atomic_u64(self.as_ptr().wrapping_add(offset).cast()) }
    }

    /// Returns when the file behind it has the changes.
    pub(super) fn flush(&self) -> Result<()> {
        // SAFETY: the range is ours; msync changes no byte.
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
        // SAFETY: populating faults pages in and changes no byte.
        let done = unsafe { madvise(self.base.cast(), self.mapped, advice) };
        done.map_err(|e| explain(Operation::Prefault, &self.subject, e))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this base and length, and unmapped once.
        let done = unsafe { munmap(self.base.cast(), self.mapped) };
        debug_assert!(done.is_ok(), "munmap of our own range: {done:?}");
    }
}
