//! The marks that tell whether this process may use an endpoint.
//!
//! An endpoint keeps cursors of its own in private memory. After a fork two processes would use
//! one endpoint with two sets of cursors, and lose or repeat messages. So each endpoint has a
//! byte in a page with `MADV_WIPEONFORK`: "Present the child process with zero-filled memory in
//! this range after a fork(2)" (madvise). The byte is [`VALID`] in the process that made the
//! endpoint, and 0 in all processes that were forked from it.
//!
//! ```text
//!   bytes   1 1 2 1 0 0 ...     one for each endpoint: 0 forked, 1 valid, 2 its name is lost
//!   used    1 1 1 1 0 0 ...     bits in ordinary memory, which a child inherits: the child gives
//!                               the byte of an inherited endpoint to no endpoint of its own
//! ```
//!
//! Where the system refuses the advice, the bytes stand in ordinary memory and say [`UNWIPED`].
//! Then each call asks the system for the number of this process.

use super::poller::Registration;
use super::section::Section;
use super::view::wiped_page;
use crate::error::channel::Fault;
use crate::os::ValidityBackend;
use crate::sync::{AtomicU8, AtomicU64, Ordering};
use std::sync::OnceLock;

const VALID: u8 = 1;
const NAME_LOST: u8 = 2;
/// The value of a valid byte in memory that a fork does not wipe.
const UNWIPED: u8 = 3;
/// The number of endpoints of a process that have a byte of their own.
const COUNT: usize = 4096;

/// The byte of one endpoint.
#[derive(Debug)]
pub(crate) struct Validity {
    /// The registration of an owner's name.
    name: Option<Registration>,
    byte: &'static AtomicU8,
    /// The index of the byte; `None` for the byte that endpoints share when there are too many.
    place: Option<usize>,
    process: u32,
}

struct Pool {
    bytes: &'static [AtomicU8; COUNT],
    used: [AtomicU64; COUNT / 64],
    valid: u8,
}

/// The bytes where the system has no page that a fork wipes.
static ORDINARY: [AtomicU8; COUNT] = [const { AtomicU8::new(UNWIPED) }; COUNT];
/// The byte of all endpoints that have no byte of their own.
static SHARED: AtomicU8 = AtomicU8::new(UNWIPED);

impl Pool {
    fn of_all() -> &'static Pool {
        static POOL: OnceLock<Pool> = OnceLock::new();
        POOL.get_or_init(|| {
            let wiped = wiped_page();
            Pool {
                bytes: wiped.unwrap_or(&ORDINARY),
                used: [const { AtomicU64::new(0) }; COUNT / 64],
                valid: wiped.map_or(UNWIPED, |_| VALID),
            }
        })
    }

    /// Takes a free index.
    fn take(&self) -> Option<usize> {
        for (n, used) in self.used.iter().enumerate() {
            loop {
                // Relaxed: the change below has one winner.
                let free = !used.load(Ordering::Relaxed);
                if free == 0 {
                    break;
                }
                let bit = free & free.wrapping_neg();
                // Acquire: pairs with the release of `drop`, whose store to the byte is seen.
                if used.fetch_or(bit, Ordering::Acquire) & bit == 0 {
                    return Some(n * 64 + bit.trailing_zeros() as usize);
                }
            }
        }
        None
    }
}

/// Marks the name of an owner as lost; the owner reports that at its next call.
fn lose_name(byte: &AtomicU8) {
    // Relaxed: the byte tells of nothing else in memory.
    let _ = byte.compare_exchange(VALID, NAME_LOST, Ordering::Relaxed, Ordering::Relaxed);
}

impl Validity {
    /// Returns whether this process made the endpoint.
    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

impl ValidityBackend for Validity {
    fn new() -> Validity {
        let pool = Pool::of_all();
        let place = pool.take();
        let byte = place.map_or(&SHARED, |place| &pool.bytes[place]);
        if place.is_some() {
            // Relaxed: no other thread looks at it before it gets the endpoint.
            byte.store(pool.valid, Ordering::Relaxed);
        }
        Validity {
            name: None,
            byte,
            place,
            process: std::process::id(),
        }
    }

    fn of_owner(named: &Section) -> Validity {
        let mut validity = Validity::new();
        // A shared byte cannot report the loss of one name.
        if validity.place.is_some() {
            validity.name = Registration::of_name(named, validity.byte, lose_name);
        }
        validity
    }

    #[inline(always)]
    fn is_valid(&self) -> bool {
        // Relaxed: the byte tells of nothing else in memory.
        self.byte.load(Ordering::Relaxed) == VALID
    }

    fn is_forked(&self) -> bool {
        // Relaxed: as in `is_valid`.
        match self.byte.load(Ordering::Relaxed) {
            VALID => false,
            UNWIPED | NAME_LOST => !self.is_of_this_process(),
            _ => true,
        }
    }

    #[cold]
    fn has_fault(&self) -> bool {
        // Relaxed: as in `is_valid`.
        self.is_forked() || self.byte.load(Ordering::Relaxed) == NAME_LOST
    }

    #[cold]
    fn fault(&self) -> Option<Fault> {
        if self.is_forked() {
            return Some(Fault::Forked);
        }
        let valid = Pool::of_all().valid;
        // Relaxed: the byte tells of nothing else in memory.
        let told =
            self.byte
                .compare_exchange(NAME_LOST, valid, Ordering::Relaxed, Ordering::Relaxed);
        told.is_ok().then_some(Fault::NameLost)
    }
}

impl Drop for Validity {
    fn drop(&mut self) {
        // First: the polling thread stores to no byte that was given back.
        self.name = None;
        if let Some(place) = self.place {
            let used = &Pool::of_all().used[place / 64];
            // Release: pairs with the acquire of `take`.
            used.fetch_and(!(1 << (place % 64)), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_get_distinct_validity_bytes() {
        let all: Vec<Validity> = (0..COUNT).map(|_| Validity::new()).collect();
        let mut places: Vec<_> = all.iter().filter_map(|one| one.place).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
        // Other tests of this process may have some of the places.
        assert!(count > COUNT - 64, "{count} places");
        assert!(all.iter().all(|one| one.fault().is_none()));
    }
}
