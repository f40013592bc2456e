//! Mapped memory.

use super::error::{explain, last};
use super::ntdll;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{Protection, ViewBackend};
use crate::sync::{AtomicU64, Ordering, copy_out};
use std::ops::Range;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::sync::OnceLock;
use windows_sys::Win32::System::Memory::{
    FILE_MAP_COPY, FILE_MAP_READ, FILE_MAP_WRITE, FlushViewOfFile, MEM_COMMIT,
    MEMORY_BASIC_INFORMATION, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_READWRITE,
    UnmapViewOfFile, VirtualAlloc, VirtualQuery,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};

/// A view of any range of a section. The mapping behind the view starts at a multiple of 64 KiB:
/// "The combination of the high and low offsets must specify an offset ... that is a multiple of
/// the allocation granularity" (MapViewOfFile).
#[derive(Debug)]
pub(crate) struct View {
    base: *mut u8,
    lead: usize,
    len: usize,
    subject: String,
    protection: Protection,
    /// Whether parts of the view may be uncommitted, so that the system is asked about them before
    /// an access.
    reserved: bool,
    committed: Committed,
    /// The offset from which on VirtualQuery does not tell what is committed. Under Wine it is that
    /// of the last page of the section: Wine may lose the commit of that page, and gives it memory
    /// when it is touched. On Windows it is `usize::MAX`.
    unknown: usize,
}

/// The range of a section that a view maps, and what the view knows of the section.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub offset: u64,
    pub len: usize,
    pub section_size: u64,
    pub reserved: bool,
}

impl Part {
    /// Returns the value of [`View::unknown`].
    fn unknown(self) -> usize {
        if !ntdll::is_wine() {
            return usize::MAX;
        }
        let last_page = self.section_size.saturating_sub(granularity().0 as u64);
        usize::try_from(last_page.saturating_sub(self.offset)).unwrap_or(usize::MAX)
    }
}

/// The longest run of pages that is known to be committed. "After the pages are committed, they
/// cannot be freed or decommitted" (CreateFileMappingW). So the system need not be asked about this
/// run again. A question takes the system longer the more pages the run has.
#[derive(Debug, Default)]
struct Committed(AtomicU64);

impl Committed {
    /// Returns the first page of the run and the page behind its last, counted from the base of the
    /// view.
    fn run(&self) -> Range<u64> {
        // Relaxed: the run tells nothing about other memory.
        let run = self.0.load(Ordering::Relaxed);
        run >> 32..run & 0xffff_ffff
    }

    fn has(&self, bytes: &Range<usize>) -> bool {
        let (known, pages) = (self.run(), pages_of(bytes));
        known.start <= pages.start && pages.end <= known.end
    }

    fn add(&self, bytes: &Range<usize>) {
        let (known, pages) = (self.run(), pages_of(bytes));
        let is_longer = pages.end - pages.start > known.end.saturating_sub(known.start);
        if is_longer && pages.end <= u64::from(u32::MAX) {
            // Relaxed: the run tells nothing about other memory. Where two threads store at once,
            // both runs are true.
            self.0
                .store(pages.start << 32 | pages.end, Ordering::Relaxed);
        }
    }
}

/// Returns the pages that contain these bytes.
fn pages_of(bytes: &Range<usize>) -> Range<u64> {
    let page = granularity().0;
    (bytes.start / page) as u64..bytes.end.div_ceil(page) as u64
}

// SAFETY: a view owns its mapping, which belongs to the process and to no thread: any thread may
// access it and unmap it. The methods of a view access its bytes through `sync` and `touch` only,
// whose accesses may race with those of another thread.
unsafe impl Send for View {}
// SAFETY: the methods change only one field of a view, `committed`, which is an atomic. They access
// the bytes of the view through `sync` and `touch` only, whose accesses may race with those of
// another thread.
unsafe impl Sync for View {}

impl View {
    // layout: L221
    pub(super) fn new(
        section: BorrowedHandle<'_>,
        protection: Protection,
        part: Part,
        subject: String,
    ) -> Result<View> {
        let Part { offset, len, .. } = part;
        let access = match protection {
            Protection::ReadOnly => FILE_MAP_READ,
            Protection::ReadWrite => FILE_MAP_READ | FILE_MAP_WRITE,
            Protection::CopyOnWrite => FILE_MAP_COPY,
        };

        let lead = (offset % granularity().1) as usize;
        let start = offset - lead as u64;
        let Some(mapped) = len.checked_add(lead) else {
            let meaning = "the address space of this process is too small";
            return Err(Error::new(
                ErrorKind::NoSpace,
                Operation::Map,
                &subject,
                meaning,
            ));
        };

        let (high, low) = ((start >> 32) as u32, start as u32);
        // SAFETY: `section` is borrowed, so the handle is open during the call. No base address is
        // suggested, as MapViewOfFileEx would, so the system maps at an address that is free, and
        // no memory that is in use changes: "Mapping the file makes the entire mapped virtual
        // address range unavailable to other allocations in the process" (MapViewOfFile).
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), access, high, low, mapped) };
        if view.Value.is_null() {
            return Err(explain(Operation::Map, &subject, last()));
        }

        Ok(View {
            base: view.Value.cast(),
            lead,
            len,
            protection,
            reserved: part.reserved,
            committed: Committed::default(),
            unknown: part.unknown(),
            subject,
        })
    }

    /// Commits the first `len` bytes of the view, for every process.
    ///
    /// Wine 8 forgets a commit that reaches the end of the view, so the last page of the view is
    /// committed by itself; see [`View::unknown`].
    pub(super) fn commit(&self, len: usize) -> Result<()> {
        assert!(len <= self.len, "a commit beyond the view");

        let last_page = if len == self.len {
            len.min(granularity().0)
        } else {
            0
        };
        let rest = len - last_page;

        for (offset, len) in [(0, rest), (rest, last_page)] {
            if len == 0 {
                continue;
            }
            let at = self.as_ptr().wrapping_add(offset).cast_const().cast();
            // SAFETY: the range lies in the view, as was checked above, and the view is mapped as
            // long as `self`. MEM_COMMIT changes no byte of a committed page: "It can commit a page
            // that is already committed". Nothing accesses an uncommitted page yet, and "when the
            // caller later initially accesses the memory, the contents will be zero"
            // (VirtualAlloc).
            let done = unsafe { VirtualAlloc(at, len, MEM_COMMIT, PAGE_READWRITE) };
            if done.is_null() {
                return Err(explain(Operation::Commit, &self.subject, last()));
            }
        }

        Ok(())
    }

    /// Returns how many bytes from `offset` on have the same state, and whether they are committed.
    pub(super) fn run(&self, offset: usize) -> (usize, bool) {
        if offset >= self.unknown {
            return (self.len - offset, true);
        }
        let at = self.as_ptr().wrapping_add(offset);
        let mut info = MEMORY_BASIC_INFORMATION::default();
        let size = size_of::<MEMORY_BASIC_INFORMATION>();
        // SAFETY: VirtualQuery "retrieves information about a range of pages" and changes none; it
        // accepts any address. `info` is writable for `size` bytes, which is its size, and the
        // function writes at most "the size of the buffer" that it is given (VirtualQuery).
        let got = unsafe { VirtualQuery(at.cast_const().cast(), &raw mut info, size) };
        assert_eq!(got, size, "VirtualQuery inside our own view");
        let end = info.BaseAddress as usize + info.RegionSize;
        let len = (end - at as usize).min(self.len.min(self.unknown) - offset);
        (len, info.State == MEM_COMMIT)
    }

    fn is_known_or_asked(&self, offset: usize, len: usize) -> bool {
        if len == 0 {
            return true;
        }

        let start = self.lead + offset;
        if self.committed.has(&(start..start + len)) {
            return true;
        }

        let mut done = 0;
        while done < len {
            let (run, committed) = self.run(offset + done);
            if !committed {
                return false;
            }
            done += run;
        }

        self.committed.add(&(start..start + done));
        true
    }

    /// Returns the size of a section where the system does not tell the size. Maps a view from the
    /// start "to the end of the section", and adds up the lengths of its runs.
    pub(super) fn extent(section: BorrowedHandle<'_>, subject: &str) -> Result<u64> {
        // SAFETY: `section` is borrowed, so the handle is open during the call. No base address is
        // suggested, so the system maps at an address that is free, and no memory that is in use
        // changes: "Mapping the file makes the entire mapped virtual address range unavailable to
        // other allocations in the process" (MapViewOfFile).
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ, 0, 0, 0) };
        if view.Value.is_null() {
            return Err(explain(Operation::Inspect, &subject, last()));
        }

        let mut info = MEMORY_BASIC_INFORMATION::default();
        let size = size_of::<MEMORY_BASIC_INFORMATION>();
        let mut extent = 0;

        loop {
            let at = view.Value.wrapping_byte_add(extent);
            // SAFETY: VirtualQuery "retrieves information about a range of pages" and changes none;
            // it accepts any address. `info` is writable for `size` bytes, which is its size.
            let got = unsafe { VirtualQuery(at.cast_const(), &raw mut info, size) };
            if got != size || info.AllocationBase != view.Value {
                break;
            }
            extent += info.RegionSize;
        }

        // SAFETY: the base "must be identical to the value returned by a previous call to the
        // MapViewOfFile" (UnmapViewOfFile): it is the value that was returned above. This function
        // has not accessed the view, and has given its address to no other code.
        unsafe { UnmapViewOfFile(view) };
        Ok(extent as u64)
    }

    /// Copies bytes out of the view; uncommitted memory reads as zero.
    pub(super) fn copy_out(&self, to: &mut [u8]) {
        assert!(to.len() <= self.len, "a copy beyond the view");

        let mut done = 0;
        while done < to.len() {
            let (len, committed) = self.run(done);
            let len = len.min(to.len() - done);
            let part = &mut to[done..][..len];

            if committed {
                // SAFETY: valid: `done + len <= to.len() <= self.len`, so the bytes lie in the
                // view, which is mapped as long as `self`; `run` found all of them committed, and
                // "after a page from the reserved range is committed, it cannot be freed or
                // decommitted" (MapViewOfFile). shared: all accesses of this process go through
                // `sync`.
                unsafe { copy_out(self.as_ptr().wrapping_add(done), part) };
            } else {
                part.fill(0);
            }

            done += part.len();
        }
    }

    /// Writes the changes of the view to the system's cache of the file.
    pub(super) fn flush(&self) -> Result<()> {
        // SAFETY: `base` is the address at which `new` mapped the view, which lives as long as
        // `self`. FlushViewOfFile "writes to the disk a byte range within a mapped view" and
        // changes none of its bytes; with 0 for the length, "from the base address to the end of
        // the mapping".
        if unsafe { FlushViewOfFile(self.base.cast_const().cast(), 0) } == 0 {
            return Err(explain(Operation::Flush, &self.subject, last()));
        }
        Ok(())
    }
}

impl ViewBackend for View {
    fn as_ptr(&self) -> *mut u8 {
        self.base.wrapping_add(self.lead)
    }

    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn is_committed(&self, offset: usize, len: usize) -> bool {
        !self.reserved || self.is_known_or_asked(offset, len)
    }

    fn prefault(&self) -> Result<()> {
        let page = granularity().0;

        let mut done = 0;
        while done < self.len {
            let (len, committed) = self.run(done);
            let address = self.as_ptr() as usize + done;
            let first = address.next_multiple_of(page) - address;
            let pages = (first..len).step_by(page).map(|at| done + at);

            for at in std::iter::once(done).chain(pages).filter(|_| committed) {
                let at = self.as_ptr().wrapping_add(at);
                // SAFETY: `at` is the address of a byte below `done + len <= self.len`, so it lies
                // in the view, which is mapped as long as `self`, and in the run that was found
                // committed. A committed page stays committed (MapViewOfFile). Where the byte is
                // touched, the view was mapped for writing. All accesses of this process go through
                // `sync` and `touch`.
                unsafe {
                    match self.protection {
                        // A page that was only read faults again at the first store.
                        Protection::ReadWrite => touch(at),
                        Protection::ReadOnly | Protection::CopyOnWrite => {
                            copy_out(at, &mut [0]);
                        }
                    }
                }
            }
            done += len;
        }

        Ok(())
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS {
            Value: self.base.cast(),
        };
        // SAFETY: the base "must be identical to the value returned by a previous call to the
        // MapViewOfFile" (UnmapViewOfFile): it is the value that `new` was returned, and no other
        // code unmaps it. No reference into the view lives: cells, windows and references of a
        // `Mapping` borrow or keep the `Mapping`, which owns this view.
        let done = unsafe { UnmapViewOfFile(view) };
        debug_assert_ne!(done, 0, "UnmapViewOfFile of our own view");
    }
}

/// Returns the page size and the allocation granularity.
pub(super) fn granularity() -> (usize, u64) {
    let (page, granularity, _) = system();
    (page, granularity)
}

/// Accepts every name: an object can have each name that [`Name`](crate::Name) allows.
pub(crate) fn check_name(_name: &crate::name::Name) -> crate::error::Result<()> {
    Ok(())
}

/// Returns whether the machine has more than one processor.
pub(crate) fn has_several_processors() -> bool {
    system().2 > 1
}

/// Returns the page size, the allocation granularity, and the number of processors.
fn system() -> (usize, u64, u32) {
    static SYSTEM: OnceLock<(usize, u64, u32)> = OnceLock::new();
    *SYSTEM.get_or_init(|| {
        let mut info = SYSTEM_INFO::default();
        // SAFETY: the only parameter is "a pointer to a SYSTEM_INFO structure that receives the
        // information" (GetSystemInfo): `info` is one, and writable.
        unsafe { GetSystemInfo(&raw mut info) };
        (
            info.dwPageSize as usize,
            u64::from(info.dwAllocationGranularity),
            info.dwNumberOfProcessors,
        )
    })
}

/// Writes a byte with the value that the byte has, so that later stores to its page do not fault.
///
/// # Safety
///
/// `at` is readable and writable. During the call, only other processes change the byte, or this
/// process through `sync`.
unsafe fn touch(at: *mut u8) {
    // In assembly, since the compiler removes an atomic operation that changes nothing.
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    // SAFETY: the code reads and writes the byte at `at`, as the caller promises that a foreign
    // function may: "The set of memory locations that assembly code is allowed to read and write
    // are the same as those allowed for an FFI function" (Rust Reference,
    // asm.rules.mem-same-as-ffi). `lock` makes it one operation, so no store of another thread or
    // process is lost. The flags may change, since `preserves_flags` is not set.
    unsafe {
        std::arch::asm!("lock or byte ptr [{}], 0", in(reg) at, options(nostack));
    }

    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    // SAFETY: valid: the caller promises that the byte is readable; the array is a slice of one
    // byte. shared: the caller promises it. (A page that was only read faults again at the first
    // store, which costs time only.)
    unsafe {
        copy_out(at, &mut [0]);
    }
}
