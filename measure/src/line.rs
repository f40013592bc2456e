//! The floor: a cache line that goes to and fro between two processes, which no message can outrun.

use crate::{Result, Times};
use shmkit::{Mapping, Process, ReadWrite, Section};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SIZE: u64 = 4096;

/// Where the word is that goes to and fro.
const WORD: usize = 0;

/// What the word is before the first trip and after the last one.
const REST: u64 = 0;

/// What the word is when the first process ends the trips.
const OVER: u64 = u64::MAX;

/// How many looks in vain go between two questions whether the other process is alive.
const LOOKS: u32 = 1 << 16;

/// How a process polls the line. It should be how the messages are polled that are compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Reads again at once, as a loop of `try_recv` does.
    Tight,
    /// Tells the processor each time that it polls, as `recv` does. Where the two processors are halves of
    /// one core, trips take less time.
    Hinted,
}

/// A cache line that two processes share.
///
/// One process calls [`Line::serve`], the other one [`Line::answer`], as often as they like.
#[derive(Debug)]
pub struct Line {
    memory: Mapping<ReadWrite>,
    polling: Polling,
}

impl Line {
    /// Creates the section of this name that has the line.
    ///
    /// # Errors
    ///
    /// Those of [`Section::create_new`] and [`Section::map_rw`].
    pub fn create(name: &str, polling: Polling) -> shmkit::Result<Line> {
        let memory = Section::create_new(name, SIZE)?.map_rw(..)?;
        Ok(Line { memory, polling })
    }

    /// Opens the line that the other process created.
    ///
    /// # Errors
    ///
    /// Those of [`Section::open_rw`] and [`Section::map_rw`].
    pub fn open(name: &str, polling: Polling) -> shmkit::Result<Line> {
        let memory = Section::open_rw(name)?.map_rw(..)?;
        Ok(Line { memory, polling })
    }

    /// Sends the line and waits until it is back, again and again for `time`, and returns how long the
    /// trips took. Both sides poll.
    ///
    /// # Errors
    ///
    /// `peer` has ended, or the system does not tell.
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
        // Nothing else is passed on by it.
        word.store(OVER, Ordering::Relaxed);
        self.next(word, OVER, peer)?;
        Ok(times)
    }

    /// Sends the line back until [`Line::serve`] ends there.
    ///
    /// # Errors
    ///
    /// `peer` has ended, or the system does not tell.
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

    /// Waits until the other process has written the word, which is a parameter because it would take a few
    /// nanoseconds of each trip to find.
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
    fn line_serves_twice() {
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
