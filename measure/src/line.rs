//! The floor: a cache line that two processes send to and fro. No message can be faster.

use crate::{Result, Times};
use shmkit::{Mapping, Process, ReadWrite, Section};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SIZE: u64 = 4096;

/// The offset of the word that both processes write.
const WORD: usize = 0;

/// The value of the word before the first trip and after the last trip.
const REST: u64 = 0;

/// The value of the word by which the first process ends the trips.
const OVER: u64 = u64::MAX;

/// How many times a process finds the word unchanged before it checks whether the other process is
/// alive.
const LOOKS: u32 = 1 << 16;

/// How a process polls the line. A measurement should poll the line in the same way as the messages
/// that it compares with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Reads again at once, as a loop of `try_recv` does.
    Tight,
    /// Tells the processor at each look that it polls, as `recv` does. If the two processors are
    /// halves of one core, trips take less time.
    Hinted,
}

/// A cache line that two processes share.
///
/// One process calls [`Line::serve`] while the other process calls [`Line::answer`]. Both can
/// repeat that.
#[derive(Debug)]
pub struct Line {
    memory: Mapping<ReadWrite>,
    polling: Polling,
}

impl Line {
    /// Creates a section with this name, which contains the line.
    ///
    /// # Errors
    ///
    /// The errors of [`Section::create_new`] and [`Section::map_rw`].
    pub fn create(name: &str, polling: Polling) -> shmkit::Result<Line> {
        let memory = Section::create_new(name, SIZE)?.map_rw(..)?;
        Ok(Line { memory, polling })
    }

    /// Opens the line that the other process created.
    ///
    /// # Errors
    ///
    /// The errors of [`Section::open_rw`] and [`Section::map_rw`].
    pub fn open(name: &str, polling: Polling) -> shmkit::Result<Line> {
        let memory = Section::open_rw(name)?.map_rw(..)?;
        Ok(Line { memory, polling })
    }

    /// Sends the line and waits until the line is back, again and again for `time`. Returns how
    /// long each trip took. Both sides poll.
    ///
    /// # Errors
    ///
    /// An error if `peer` has ended, or if the system cannot tell whether it has.
    pub fn serve(&self, time: Duration, peer: &Process) -> Result<Times> {
        let word = self.word()?;
        let mut number = REST;
        let mut times = Times::new();
        times.take(time, || {
            // Pairs with the load in `next`, in the other process.
            word.store(number + 1, Ordering::Release);
            number = self.next(word, number + 1, peer)?;
            Ok(())
        })?;

        // Relaxed: no other memory has to become visible with this store.
        word.store(OVER, Ordering::Relaxed);
        self.next(word, OVER, peer)?;
        Ok(times)
    }

    /// Sends the line back until [`Line::serve`] ends in the other process.
    ///
    /// # Errors
    ///
    /// An error if `peer` has ended, or if the system cannot tell whether it has.
    pub fn answer(&self, peer: &Process) -> Result<()> {
        let word = self.word()?;
        let mut number = REST;
        loop {
            number = self.next(word, number, peer)?;
            if number == OVER {
                // Pairs with the load in `next`, in the other process, which may begin again.
                word.store(REST, Ordering::Release);
                return Ok(());
            }
            number += 1;
            // Pairs with the load in `next`, in the other process.
            word.store(number, Ordering::Release);
        }
    }

    /// Waits until the other process has written the word, and returns its value. The caller looks
    /// the word up once, since a lookup would take a few nanoseconds of each trip.
    #[inline(always)]
    fn next(&self, word: &AtomicU64, last: u64, peer: &Process) -> Result<u64> {
        loop {
            for _ in 0..LOOKS {
                // Pairs with the stores above.
                let number = word.load(Ordering::Acquire);
                if number != last {
                    return Ok(number);
                }
                if self.polling == Polling::Hinted {
                    std::hint::spin_loop();
                }
            }
            if peer.has_ended()? {
                return Err("the other process has ended".into());
            }
        }
    }

    fn word(&self) -> Result<&AtomicU64> {
        Ok(self.memory.atomic_u64(WORD)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmkit::ProcessIdentity;

    #[test]
    fn line_can_be_served_twice() {
        let name = format!("shmkit-test-line-{}", std::process::id());
        let here = Line::create(&name, Polling::Hinted).unwrap();
        let there = Line::open(&name, Polling::Tight).unwrap();
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        let me = &me.watch().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2).for_each(|_| there.answer(me).unwrap()));
            for _ in 0..2 {
                let times = here.serve(Duration::from_millis(5), me).unwrap();
                assert!(times.count() > 0 && times.percentile(0.5) > 0.0);
            }
        });
    }
}
