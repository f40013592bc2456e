//! The floor: a cache line that goes to and fro between the two processes, which no
//! message can outrun.

use super::link::Result;
use super::measure::{Times, Trips};
use quanta::Clock;
use shmkit::{Mapping, Process, ReadWrite, Section};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SIZE: u64 = 4096;

/// Where the line is, and what it holds when the game is over.
const BALL: usize = 0;
const OVER: u64 = u64::MAX;

/// How many looks in vain go between two questions whether the other process is alive.
const LOOKS: u32 = 1 << 16;

/// The memory of the line; whoever sends it first makes it.
pub struct Court(Mapping<ReadWrite>);

impl Court {
    pub fn create(name: &str) -> shmkit::Result<Court> {
        Ok(Court(Section::create_new(name, SIZE)?.map_rw(..)?))
    }

    pub fn open(name: &str) -> shmkit::Result<Court> {
        Ok(Court(Section::open_rw(name)?.map_rw(..)?))
    }

    fn ball(&self) -> Result<&AtomicU64> {
        Ok(self.0.atomic_u64(BALL)?)
    }

    /// Sends the line, odd, and waits until it is back, even: so long.
    pub fn serve(&self, time: Duration, peer: &Process, clock: &Clock) -> Result<Trips> {
        let ball = self.ball()?;
        let mut number = 0;
        let trip = || {
            // Pairs with the load in `next`, there.
            ball.store(number + 1, Ordering::Release);
            number = next(ball, number + 1, peer)?;
            Ok(())
        };
        let mut times = Times::new(clock)?;
        times.take(time, trip)?;
        ball.store(OVER, Ordering::Relaxed);
        Ok(times.trips())
    }

    /// Sends it back until the game is over.
    pub fn back(&self, peer: &Process) -> Result<()> {
        let ball = self.ball()?;
        let mut number = 0;
        loop {
            number = next(ball, number, peer)?;
            if number == OVER {
                return Ok(());
            }
            number += 1;
            // Pairs with the load in `next`, on the other side.
            ball.store(number, Ordering::Release);
        }
    }
}

/// Waits until the other one has written.
fn next(ball: &AtomicU64, last: u64, peer: &Process) -> Result<u64> {
    loop {
        for _ in 0..LOOKS {
            // Pairs with the stores above.
            let number = ball.load(Ordering::Acquire);
            if number != last {
                return Ok(number);
            }
            std::hint::spin_loop();
        }
        if peer.has_ended()? {
            return Err("the other process has ended".into());
        }
    }
}
