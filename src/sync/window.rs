//! Windows: ranges of shared memory that are accessed as words and bytes, by offset. Every access
//! is checked against the range, so code with a window cannot access memory outside the range.
//!
//! Code over [`Words`] runs over mapped memory, over a heap buffer and, in tests, over the atomics
//! of a model checker.

use super::{
    AtomicU32, AtomicU64, IN, OUT, Ordering, atomic_u32, atomic_u64, compiler_fence_full,
    copy_past_caches, copy_quickly, fence, read_cell,
};
use std::fmt;
use std::sync::Arc;

/// Memory that may be read. Offsets count bytes. The offset of a word is a multiple of its size.
pub(crate) trait Words {
    /// Loads a word. Everything that the writer stored before the word is visible afterwards.
    fn load32(&self, at: usize) -> u32;
    /// Loads a counter. Everything that the writer stored before the counter is visible afterwards.
    /// On 32-bit targets the counter is read in halves.
    fn load64(&self, at: usize) -> u64;
    /// Loads the upper half of the eight bytes at an offset that is a multiple of 8. Everything
    /// that the writer stored before this half is visible afterwards.
    fn load_upper32(&self, at: usize) -> u32 {
        (self.load64(at) >> 32) as u32
    }
    /// Copies bytes out in any order. The caller finds out by other means whether the bytes are
    /// whole.
    fn copy_out(&self, at: usize, to: &mut [u8]);
    /// Keeps loads after this call from being done before it.
    fn acquire(&self);
    /// Keeps loads after this call from being done before it, and stores before this call from
    /// being done after it. All threads see the calls of `full` in one order.
    fn full(&self);
    /// Tells the processor that this thread polls.
    fn relax(&self) {
        std::hint::spin_loop();
    }
}

/// Memory that only this side writes.
pub(crate) trait WordsMut: Words {
    fn store32(&self, at: usize, value: u32);
    /// Stores the upper half of the eight bytes at an offset that is a multiple of 8.
    fn store_upper32(&self, at: usize, value: u32) {
        self.copy_in(at + 4, &value.to_le_bytes());
    }
    /// Stores a word. Everything that was stored earlier is visible to a thread that loads the
    /// word.
    fn publish32(&self, at: usize, value: u32);
    fn store64(&self, at: usize, value: u64);
    /// Stores a counter. Everything that was stored earlier is visible to a thread that loads the
    /// counter.
    fn publish64(&self, at: usize, value: u64);
    /// Copies bytes in, in any order.
    fn copy_in(&self, at: usize, from: &[u8]);
    /// Copies bytes in: first all bytes except the first `first` bytes, past the caches if the
    /// reader is far away, and then the first `first` bytes.
    fn copy_in_tail_first(&self, at: usize, from: &[u8], first: usize, _far: bool) {
        let (first, rest) = from.split_at(from.len().min(first));
        self.copy_in(at + first.len(), rest);
        self.copy_in(at, first);
    }
    /// Keeps stores before this call from being done after it.
    fn release(&self);
}

/// Memory that several sides write. Each caller names the access that its own access pairs with. An
/// `order` is at least acquire and release, as the layout demands. Only mutations pass weaker
/// orders, and only to the model checker.
pub(crate) trait Shared: WordsMut {
    /// Loads a counter, and orders nothing.
    fn peek64(&self, at: usize) -> u64;
    /// Replaces a word if it has the value `from`. Returns whether it had this value.
    fn replace32(&self, at: usize, from: u32, to: u32, order: Ordering) -> bool;
    /// Replaces a counter if it has the value `from`. Returns whether it had this value.
    fn replace64(&self, at: usize, from: u64, to: u64, order: Ordering) -> bool;
    fn add32(&self, at: usize, count: u32, order: Ordering);
    fn set_bits64(&self, at: usize, bits: u64, order: Ordering);
    fn clear_bits64(&self, at: usize, bits: u64, order: Ordering);
    /// Keeps the compiler from swapping a store before this call and a load after it. The processor
    /// may still swap the two.
    fn keep_order(&self);
}

/// The memory of a ring of any length.
pub(crate) trait RingWords {
    type Whole: Words;
    type Round: Words;
    /// Returns the whole ring. An offset beyond the ring is refused.
    fn whole(&self) -> &Self::Whole;
    /// Returns a window in which each offset is taken modulo the length. The window is the whole ring
    /// if the length of the ring is a power of two, and otherwise the beginning of the ring.
    fn round(&self) -> &Self::Round;
}

/// The memory of a ring that only this side writes.
pub(crate) trait RingWordsMut: RingWords<Whole: WordsMut, Round: WordsMut> {}

impl<R: RingWords<Whole: WordsMut, Round: WordsMut>> RingWordsMut for R {}

/// A ring as two windows; see [`RingWords`].
#[derive(Clone, Debug)]
pub(crate) struct Ring<W, R> {
    whole: W,
    round: R,
}

/// A ring that is only read.
pub(crate) type RingWindow = Ring<Window, Window<Round>>;
/// A ring that is read and written.
pub(crate) type RingWindowMut = Ring<WindowMut, WindowMut<Round>>;

impl<W: Words, R: Words> Ring<W, R> {
    /// Makes the ring of other windows than those of mapped memory.
    #[cfg(test)]
    pub fn of(whole: W, round: R) -> Ring<W, R> {
        Ring { whole, round }
    }
}

impl<W: Words, R: Words> RingWords for Ring<W, R> {
    type Whole = W;
    type Round = R;

    #[inline(always)]
    fn whole(&self) -> &W {
        &self.whole
    }

    #[inline(always)]
    fn round(&self) -> &R {
        &self.round
    }
}

/// The length of a window, and the check that keeps each access inside the window.
///
/// # Safety
///
/// Every window has a length, which is a multiple of 8. `word`, for a `size` of 4 or 8, returns a
/// multiple of `size` that is at most the length less `size`. `range` returns an offset that is at
/// most the length less `len`. Both panic if there is no such offset.
pub(crate) unsafe trait Extent: Copy {
    fn word(self, at: usize, size: usize) -> usize;
    fn range(self, at: usize, len: usize) -> usize;
}

/// Any length that is a multiple of 8. Each access is compared with the length. Only
/// [`Window::new`] creates this value, and checks the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Any(usize);

// SAFETY: `word` returns a multiple of `size` below the length. The length is a multiple of 8, and
// so of `size`, so the greatest such multiple is the length less `size`. `range` returns `at` if
// `at` is at most the length and `len` is at most the length less `at`.
unsafe impl Extent for Any {
    #[inline(always)]
    fn word(self, at: usize, size: usize) -> usize {
        debug_assert!(at.is_multiple_of(size));
        let at = at & !(size - 1);
        assert!(at < self.0, "a word beyond its window");
        at
    }

    #[inline(always)]
    fn range(self, at: usize, len: usize) -> usize {
        let inside = self.0.checked_sub(at).is_some_and(|left| len <= left);
        assert!(inside, "a range beyond its window");
        at
    }
}

/// A length that is known at compile time. So the compiler can decide whether a word at a fixed
/// offset lies inside the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed<const LEN: usize>;

// SAFETY: `word` is that of `Any(LEN)`, whose length has to be a multiple of 8; this is checked
// when `word` is compiled. `range` is that of `Any(LEN)`, which holds for every length.
unsafe impl<const LEN: usize> Extent for Fixed<LEN> {
    #[inline(always)]
    fn word(self, at: usize, size: usize) -> usize {
        const { assert!(LEN.is_multiple_of(8)) };
        Any(LEN).word(at, size)
    }

    #[inline(always)]
    fn range(self, at: usize, len: usize) -> usize {
        Any(LEN).range(at, len)
    }
}

/// A length that is known to be at least `MIN`, and a multiple of 8. So the compiler can decide whether
/// a word at a fixed offset below `MIN` lies inside the window. Only [`Window::at_least`] creates this
/// value, and checks the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtLeast<const MIN: usize>(usize);

// SAFETY: an access that ends at `MIN` or before lies inside the window, whose length is at least
// `MIN`: `word` returns what `Fixed<MIN>` returns. For every other access both functions are those of
// `Any` with the length of the window.
unsafe impl<const MIN: usize> Extent for AtLeast<MIN> {
    #[inline(always)]
    fn word(self, at: usize, size: usize) -> usize {
        match at < MIN {
            true => Fixed::<MIN>.word(at, size),
            false => Any(self.0).word(at, size),
        }
    }

    #[inline(always)]
    fn range(self, at: usize, len: usize) -> usize {
        Any(self.0).range(at, len)
    }
}

/// A length that is a power of two and at least 8. Each offset is taken modulo the length, so every
/// offset lies inside the window. Only [`Window::round`] creates this value, for a window that has at
/// least this length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    len: usize,
    /// `len - 8`: the bits of an offset, without the three bits inside an aligned word of 8 bytes.
    mask: usize,
}

// SAFETY: the window has at least `len` bytes (`Window::round`). `len` is a power of two, so
// `len - 8` has the bits of `len - 1` except the lowest three. `word` returns a multiple of 8, and so
// of `size`, that is at most `len - 8`. `range` returns an `at` below `len`, and asserts that its own
// length is at most `len` less `at`.
unsafe impl Extent for Round {
    #[inline(always)]
    fn word(self, at: usize, _size: usize) -> usize {
        debug_assert!(at.is_multiple_of(8));
        at & self.mask
    }

    #[inline(always)]
    fn range(self, at: usize, len: usize) -> usize {
        let at = at & (self.len - 1);
        assert!(len <= self.len - at, "a range beyond its window");
        at
    }
}

/// A range of shared memory that is only read.
#[derive(Clone)]
pub(crate) struct Window<E = Any> {
    base: *mut u8,
    extent: E,
    keep: Arc<dyn Send + Sync>,
}

// SAFETY: `base` is the address of memory that `keep` keeps, whichever thread has the window (the
// promise of `Window::new`'s caller). Its bytes are accessed by atomics, which "are safe to share
// between threads" (std::sync::atomic), and by copies that another thread may race with (`copy`).
// `keep` is `Send`, and an extent is a number.
unsafe impl<E> Send for Window<E> {}
// SAFETY: no method changes the window itself. All accesses to the memory behind `base` may race
// with those of another thread: they are atomic, or copies that another thread may race with
// (`copy`). `keep` is `Sync`, and an extent is a number.
unsafe impl<E> Sync for Window<E> {}

impl Window {
    /// Creates a window of `len` bytes from `base` on. Panics if `base` or `len` is not a multiple
    /// of 8.
    ///
    /// # Safety
    ///
    /// The bytes are readable as long as `keep` or a clone of it lives. Meanwhile they are changed
    /// by another process or through `sync` only: each word by atomic accesses of one size, and by
    /// copies.
    pub unsafe fn new(base: *const u8, len: usize, keep: Arc<dyn Send + Sync>) -> Window {
        assert!((base as usize).is_multiple_of(8) && len.is_multiple_of(8));
        Window {
            base: base.cast_mut(),
            extent: Any(len),
            keep,
        }
    }

    /// Returns the whole window; its length must be at least `MIN`.
    pub fn at_least<const MIN: usize>(self) -> Window<AtLeast<MIN>> {
        let len = self.extent.0;
        assert!(len >= MIN && len.is_multiple_of(8));
        Window {
            base: self.base,
            extent: AtLeast(len),
            keep: self.keep,
        }
    }

    /// Returns the beginning of the window in which each offset is taken modulo the length: the
    /// greatest power of two that the window has. The window has at least 8 bytes.
    pub fn round(self) -> Window<Round> {
        let whole = self.extent.0;
        assert!(whole >= 8);
        let len = 1 << whole.ilog2();
        Window {
            base: self.base,
            extent: Round { len, mask: len - 8 },
            keep: self.keep,
        }
    }

    /// Returns the whole window as a ring of at least 8 bytes.
    pub fn ring(self) -> RingWindow {
        Ring {
            round: self.clone().round(),
            whole: self,
        }
    }
}

impl<E: Extent> Window<E> {
    /// Returns a part of the window.
    pub fn part<const LEN: usize>(&self, at: usize) -> Window<Fixed<LEN>> {
        // Keeps the words of the part aligned as the words of the whole window are.
        assert!(at.is_multiple_of(8));
        Window {
            base: self.base.wrapping_add(self.extent.range(at, LEN)),
            extent: Fixed,
            keep: Arc::clone(&self.keep),
        }
    }

    /// Returns the address of a range.
    pub fn bytes(&self, at: usize, len: usize) -> *const u8 {
        self.range(at, len)
    }

    #[inline(always)]
    fn word(&self, at: usize, size: usize) -> *mut u8 {
        self.base.wrapping_add(self.extent.word(at, size))
    }

    #[inline(always)]
    fn range(&self, at: usize, len: usize) -> *mut u8 {
        self.base.wrapping_add(self.extent.range(at, len))
    }
}

impl<E: fmt::Debug> fmt::Debug for Window<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Window").field(&self.extent).finish()
    }
}

// layout: L004 L006
impl<E: Extent> Words for Window<E> {
    #[inline(always)]
    fn load32(&self, at: usize) -> u32 {
        // SAFETY: `Extent::word` keeps the 4 bytes inside the window and their offset a multiple of
        // 4; `base` is a multiple of 8 (`new`, `part`). The caller of `new` promised that the
        // window is readable as long as `keep` lives, which `self` holds, and how it is changed.
        unsafe { read_cell::<u32>(self.word(at, 4).cast()) }.load()
    }

    #[inline(always)]
    fn load64(&self, at: usize) -> u64 {
        // SAFETY: `Extent::word` keeps the 8 bytes inside the window and their offset a multiple of
        // 8; `base` is a multiple of 8 (`new`, `part`). The caller of `new` promised that the
        // window is readable as long as `keep` lives, which `self` holds, and how it is changed.
        unsafe { read_cell::<u64>(self.word(at, 8).cast()) }.load()
    }

    #[inline(always)]
    fn load_upper32(&self, at: usize) -> u32 {
        // SAFETY: `Extent::word` keeps 8 bytes inside the window and their offset a multiple of 8,
        // and these are the last 4 of the 8 bytes; `base` is a multiple of 8 (`new`, `part`). The
        // caller of `new` promised that the window is readable as long as `keep` lives, which
        // `self` holds, and how it is changed.
        unsafe { read_cell::<u32>(self.word(at, 8).wrapping_add(4).cast()) }.load()
    }

    #[inline(always)]
    fn copy_out(&self, at: usize, to: &mut [u8]) {
        let from = self.range(at, to.len());
        // SAFETY: valid: `Extent::range` keeps the bytes inside the window, which the caller of
        // `new` promised to be readable as long as `keep` lives, which `self` holds; `to` is a
        // slice. private: `to` is a unique reference. shared: the promise of `new`'s caller.
        unsafe { copy_quickly::<OUT>(from, to.as_mut_ptr(), to.len()) };
    }

    #[inline(always)]
    fn acquire(&self) {
        // Acquire: pairs with the release store or fence of the thread that wrote the words loaded
        // before.
        fence(Ordering::Acquire);
    }

    #[inline(always)]
    fn full(&self) {
        // SeqCst: pairs with the same fence of the peer. Each side stores its own word before the
        // fence and loads the other side's word after it, so at least one of the two sees the
        // other's store.
        fence(Ordering::SeqCst);
    }
}

/// A range of shared memory that is read and written.
#[derive(Clone, Debug)]
pub(crate) struct WindowMut<E = Any>(Window<E>);

impl WindowMut {
    /// Creates a window of `len` bytes from `base` on. Panics if `base` or `len` is not a multiple
    /// of 8.
    ///
    /// # Safety
    ///
    /// The bytes are readable and writable as long as `keep` or a clone of it lives. Meanwhile they
    /// are changed by another process or through `sync` only: each word by atomic accesses of one
    /// size, and by copies.
    pub unsafe fn new(base: *mut u8, len: usize, keep: Arc<dyn Send + Sync>) -> WindowMut {
        // SAFETY: the caller promises what `Window::new` asks for, and that the bytes are writable.
        WindowMut(unsafe { Window::new(base, len, keep) })
    }

    /// Returns the whole window; its length must be at least `MIN`.
    pub fn at_least<const MIN: usize>(self) -> WindowMut<AtLeast<MIN>> {
        WindowMut(self.0.at_least())
    }

    /// Returns the beginning of the window in which each offset is taken modulo the length; see
    /// [`Window::round`].
    pub fn round(self) -> WindowMut<Round> {
        WindowMut(self.0.round())
    }

    /// Returns the whole window as a ring of at least 8 bytes.
    pub fn ring(self) -> RingWindowMut {
        Ring {
            round: self.clone().round(),
            whole: self,
        }
    }
}

impl<E: Extent> WindowMut<E> {
    /// Returns a part of the window.
    pub fn part<const LEN: usize>(&self, at: usize) -> WindowMut<Fixed<LEN>> {
        WindowMut(self.0.part(at))
    }

    /// Returns the address of a range.
    pub fn bytes(&self, at: usize, len: usize) -> *mut u8 {
        self.0.range(at, len)
    }

    /// Returns a word that several sides write.
    #[inline(always)]
    pub fn atomic32(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `Extent::word` keeps the 4 bytes inside the window and their offset a multiple of
        // 4; `base` is a multiple of 8 (`Window::new`, `part`). The caller of `new` promised that
        // the window is readable and writable as long as `keep` lives, which `self` holds and the
        // reference borrows, and how it is changed.
        unsafe { atomic_u32(self.0.word(at, 4).cast()) }
    }

    /// Returns a word that several sides write.
    #[inline(always)]
    pub fn atomic64(&self, at: usize) -> &AtomicU64 {
        // SAFETY: `Extent::word` keeps the 8 bytes inside the window and their offset a multiple of
        // 8; `base` is a multiple of 8 (`Window::new`, `part`). The caller of `new` promised that
        // the window is readable and writable as long as `keep` lives, which `self` holds and the
        // reference borrows, and how it is changed.
        unsafe { atomic_u64(self.0.word(at, 8).cast()) }
    }
}

impl<E: Extent> Words for WindowMut<E> {
    #[inline(always)]
    fn load32(&self, at: usize) -> u32 {
        self.0.load32(at)
    }

    #[inline(always)]
    fn load64(&self, at: usize) -> u64 {
        self.0.load64(at)
    }

    #[inline(always)]
    fn load_upper32(&self, at: usize) -> u32 {
        self.0.load_upper32(at)
    }

    #[inline(always)]
    fn copy_out(&self, at: usize, to: &mut [u8]) {
        self.0.copy_out(at, to);
    }

    #[inline(always)]
    fn acquire(&self) {
        self.0.acquire();
    }

    #[inline(always)]
    fn full(&self) {
        self.0.full();
    }
}

// layout: L004 L006
impl<E: Extent> WordsMut for WindowMut<E> {
    #[inline(always)]
    fn store32(&self, at: usize, value: u32) {
        self.atomic32(at).store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    fn store_upper32(&self, at: usize, value: u32) {
        // SAFETY: `Extent::word` keeps 8 bytes inside the window and their offset a multiple of 8,
        // and these are the last 4 of the 8 bytes; `base` is a multiple of 8 (`Window::new`,
        // `part`). The caller of `new` promised that the window is readable and writable as long as
        // `keep` lives, which `self` holds, and how it is changed.
        let word = unsafe { atomic_u32(self.0.word(at, 8).wrapping_add(4).cast()) };
        word.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    fn publish32(&self, at: usize, value: u32) {
        // Release: pairs with the acquire of `load32` in the peer.
        self.atomic32(at).store(value, Ordering::Release);
    }

    #[inline(always)]
    fn store64(&self, at: usize, value: u64) {
        self.atomic64(at).store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    fn publish64(&self, at: usize, value: u64) {
        // Release: pairs with the acquire of `load64` in the peer.
        self.atomic64(at).store(value, Ordering::Release);
    }

    #[inline(always)]
    fn copy_in(&self, at: usize, from: &[u8]) {
        let to = self.0.range(at, from.len());
        // SAFETY: valid: `Extent::range` keeps the bytes inside the window, which the caller of
        // `new` promised to be writable as long as `keep` lives, which `self` holds; `from` is a
        // slice. private: `from` is a shared reference, so nothing changes it. shared: the promise
        // of `new`'s caller.
        unsafe { copy_quickly::<IN>(from.as_ptr(), to, from.len()) };
    }

    #[inline(always)]
    fn copy_in_tail_first(&self, at: usize, from: &[u8], first: usize, far: bool) {
        let to = self.0.range(at, from.len());
        let len = from.len().min(first);

        // SAFETY: valid: `Extent::range` keeps `from.len()` bytes inside the window, which the
        // caller of `new` promised to be writable as long as `keep` lives, which `self` holds. The
        // parts are those of `from` at the same offsets: `len` bytes, `lines` bytes behind them,
        // and the rest; so `add` stays inside one mapping. private: `from` is a shared reference,
        // so nothing changes it. shared: the promise of `new`'s caller. `copy_past_caches` gets a
        // `behind` that is aligned to 64, and `lines` is a multiple of 64.
        unsafe {
            if len < from.len() {
                let (mut rest, mut behind) = (&from[len..], to.add(len));
                if far && (behind as usize).is_multiple_of(64) {
                    let lines = rest.len() / 64 * 64;
                    copy_past_caches(rest.as_ptr(), behind, lines);
                    (rest, behind) = (&rest[lines..], behind.add(lines));
                }
                copy_quickly::<IN>(rest.as_ptr(), behind, rest.len());
            }
            copy_quickly::<IN>(from.as_ptr(), to, len);
        }
    }

    #[inline(always)]
    fn release(&self) {
        // Release: pairs with the acquire fence of a reader that loads a word stored after this
        // fence.
        fence(Ordering::Release);
    }
}

/// Checks that an atomic operation on shared memory may have this order.
// layout: L006
#[inline(always)]
fn check(order: Ordering) {
    // At least acquire and release. Each caller says what its access pairs with.
    debug_assert!(
        matches!(order, Ordering::AcqRel | Ordering::SeqCst),
        "an atomic operation with {order:?}"
    );
}

impl<E: Extent> Shared for WindowMut<E> {
    #[inline(always)]
    fn peek64(&self, at: usize) -> u64 {
        self.atomic64(at).load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn replace32(&self, at: usize, from: u32, to: u32, order: Ordering) -> bool {
        check(order);
        // Relaxed: the caller concludes nothing from a word that was not replaced.
        let word = self.atomic32(at);
        word.compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    fn replace64(&self, at: usize, from: u64, to: u64, order: Ordering) -> bool {
        check(order);
        // Relaxed: the caller concludes nothing from a word that was not replaced.
        let word = self.atomic64(at);
        word.compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    fn add32(&self, at: usize, count: u32, order: Ordering) {
        check(order);
        self.atomic32(at).fetch_add(count, order);
    }

    #[inline(always)]
    fn set_bits64(&self, at: usize, bits: u64, order: Ordering) {
        check(order);
        self.atomic64(at).fetch_or(bits, order);
    }

    #[inline(always)]
    fn clear_bits64(&self, at: usize, bits: u64, order: Ordering) {
        check(order);
        self.atomic64(at).fetch_and(!bits, order);
    }

    #[inline(always)]
    fn keep_order(&self) {
        compiler_fence_full();
    }
}

/// Memory of this process alone, for tests.
#[cfg(test)]
pub(crate) mod heap {
    use super::*;
    use std::cell::UnsafeCell;

    #[repr(align(128))]
    struct Line(#[allow(dead_code)] UnsafeCell<[u8; 128]>);

    struct Heap(Vec<Line>);

    // SAFETY: nothing but the window below uses the lines, and all its accesses go through `sync`.
    unsafe impl Sync for Heap {}

    /// Returns a window of zero bytes.
    pub(crate) fn window(len: usize) -> WindowMut {
        let lines = (0..len.div_ceil(128)).map(|_| Line(UnsafeCell::new([0; 128])));
        let heap = Arc::new(Heap(lines.collect()));
        let base = heap.0.as_ptr().cast_mut().cast();
        // SAFETY: the lines have at least `len` bytes, are `UnsafeCell`s, which may be written
        // behind a shared reference, and live as long as `heap`, which the window keeps. Only
        // windows use them.
        unsafe { WindowMut::new(base, len, heap) }
    }

    /// Returns the same memory, for reading.
    pub(crate) fn reading<E: Extent>(window: &WindowMut<E>) -> Window<E> {
        window.0.clone()
    }
}
