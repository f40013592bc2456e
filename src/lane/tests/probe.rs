//! Windows for tests that count the accesses through them.

use crate::sync::{Ring, WindowMut, Words, WordsMut};
use std::cell::Cell;
use std::rc::Rc;

/// A window that counts its accesses. Only the first `stores` stores arrive, as those of a writer
/// that dies. More than `loads` loads panic, as those of a reader in an endless loop.
#[derive(Clone)]
pub(super) struct Probe {
    window: Rc<dyn WordsMut>,
    pub stores: Rc<Cell<usize>>,
    pub loads: Rc<Cell<usize>>,
}

impl Probe {
    /// Makes a probe of a window.
    pub fn new(window: &WindowMut, stores: usize) -> Probe {
        Probe {
            window: Rc::new(window.clone()),
            stores: Rc::new(Cell::new(stores)),
            loads: Rc::new(Cell::new(usize::MAX)),
        }
    }

    /// Makes a probe of a ring of the same endpoint, with the same counts.
    pub fn ring(&self, window: &WindowMut) -> Ring<Probe, Probe> {
        let round = Probe {
            window: Rc::new(window.clone().round()),
            ..self.clone()
        };
        Ring::of(self.with(window), round)
    }

    /// Makes a probe of another window of the same endpoint, with the same counts.
    pub fn with(&self, window: &WindowMut) -> Probe {
        Probe {
            window: Rc::new(window.clone()),
            ..self.clone()
        }
    }

    fn look(&self) {
        let left = self.loads.get().checked_sub(1);
        self.loads.set(left.expect("loads without end"));
    }

    fn lives(&self) -> bool {
        let left = self.stores.get();
        self.stores.set(left.saturating_sub(1));
        left > 0
    }
}

impl Words for Probe {
    fn full(&self) {
        self.window.full();
    }

    fn load32(&self, at: usize) -> u32 {
        self.look();
        self.window.load32(at)
    }

    fn load64(&self, at: usize) -> u64 {
        self.look();
        self.window.load64(at)
    }

    fn load_upper32(&self, at: usize) -> u32 {
        self.look();
        self.window.load_upper32(at)
    }

    fn copy_out(&self, at: usize, to: &mut [u8]) {
        self.window.copy_out(at, to);
    }

    fn acquire(&self) {
        self.window.acquire();
    }
}

impl WordsMut for Probe {
    fn store_upper32(&self, at: usize, value: u32) {
        if self.lives() {
            self.window.store_upper32(at, value);
        }
    }

    fn store32(&self, at: usize, value: u32) {
        if self.lives() {
            self.window.store32(at, value);
        }
    }

    fn publish32(&self, at: usize, value: u32) {
        if self.lives() {
            self.window.publish32(at, value);
        }
    }

    fn store64(&self, at: usize, value: u64) {
        if self.lives() {
            self.window.store64(at, value);
        }
    }

    fn publish64(&self, at: usize, value: u64) {
        if self.lives() {
            self.window.publish64(at, value);
        }
    }

    fn copy_in(&self, at: usize, from: &[u8]) {
        // A writer may also die in the middle of a copy.
        let (half, rest) = from.split_at(from.len() / 16 * 8);
        if self.lives() {
            self.window.copy_in(at, half);
        }
        if self.lives() {
            self.window.copy_in(at + half.len(), rest);
        }
    }

    fn release(&self) {
        self.window.release();
    }
}
