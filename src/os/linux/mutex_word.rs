//! The word of a mutex: how it is locked, waited for and unlocked.
//!
//! The code knows atomics and a [`Lock`] by traits alone. It runs over mapped memory and the
//! kernel, and over a model checker's atomics (`models/`).

use super::words::Atomic;
use crate::error::Result;
use crate::os::Taken;
use crate::sync::Ordering;

/// A thread sleeps, and must be woken.
pub(super) const WAITERS: u64 = 1 << 31;
/// The last owner ended without unlocking the mutex.
pub(super) const ABANDONED: u64 = 1 << 30;
/// The bits of the thread id in the lower word.
pub(super) const THREAD: u64 = ABANDONED - 1;

/// A mutex, and the questions to the system about it.
pub(super) trait Lock {
    type Word: Atomic<u64>;
    /// The owner, a thread that may have ended since.
    type Owner;
    fn word(&self) -> &Self::Word;
    /// Returns the owner that the word names; `None` where that thread has ended.
    fn owner(&self, word: u64) -> Result<Option<Self::Owner>>;
    /// Returns whether the owner has ended; `late` marks the last call before a time-out.
    fn has_ended(&self, owner: &Self::Owner, late: bool) -> Result<bool>;
    fn is_late(&self) -> bool;
    /// Sleeps while the lower word has this value and the owner is not known to have ended.
    fn sleep(&self, lower: u32, owner: &Self::Owner) -> Result<()>;
    /// Wakes all sleepers.
    fn wake(&self);

    /// Locks the mutex for a thread that does not have it; `None` where the time is over.
    fn lock(&self, mine: u64) -> Result<Option<Taken>> {
        loop {
            // Relaxed: `take` and the kernel look again.
            let now = self.word().load(Ordering::Relaxed);
            if now & THREAD == 0 {
                if self.take(now, mine) {
                    return Ok(Some(match now & ABANDONED {
                        0 => Taken::Clean,
                        _ => Taken::Abandoned,
                    }));
                }
                continue;
            }

            let late = self.is_late();
            let owner = match self.owner(now)? {
                Some(owner) if !self.has_ended(&owner, late)? => owner,
                _ if self.take(now, mine) => return Ok(Some(Taken::Abandoned)),
                _ => continue,
            };
            if late {
                return Ok(None);
            }

            let marked = now | WAITERS;
            // Relaxed: the bit only tells that a thread sleeps.
            if self.word().replace(now, marked, Ordering::Relaxed) {
                self.sleep(marked as u32, &owner)?;
            }
        }
    }

    /// Changes the word from `now` to the word of this thread.
    fn take(&self, now: u64, mine: u64) -> bool {
        let next = mine | now & WAITERS;
        // Acquire: pairs with the release of `give_back`.
        self.word().replace(now, next, Ordering::Acquire)
    }

    /// Unlocks the mutex where the thread of the word `state` has it, and stores `mark`. Wakes all
    /// sleepers, since a thread that was woken alone may be killed before it can lock the mutex.
    fn give_back(&self, state: u64, mark: u64) {
        let is_ours = |now: u64| now & !WAITERS == state;
        let give = |now| is_ours(now).then_some(mark);
        // Release: pairs with the acquire of `take`.
        let given = self.word().change(Ordering::Release, give);
        if given.is_some_and(|before| before & WAITERS != 0) {
            self.wake();
        }
    }
}
