//! The owner of a segment, as those see it who only read: they learn that it has closed, or
//! died.

use crate::error::Result;
use crate::exchange::Departure;
use crate::process::Process;
use crate::seat::Seat;
use crate::segment::Found;
use crate::wait::look_later;
use std::time::Instant;

/// How many looks in vain go between two questions whether the owner is alive, for those who
/// never sleep.
const LOOKS: u32 = 4096;

#[derive(Debug)]
pub(crate) struct Watch {
    owner: Process,
    idle: u32,
    /// What was seen of the end.
    end: Option<Departure>,
}

impl Watch {
    /// Of an owner that is alive.
    pub fn begin(found: &Found) -> Result<Watch> {
        Ok(Watch {
            owner: found.watch_owner()?,
            idle: 0,
            end: None,
        })
    }

    /// How it ended, as far as can be seen at a glance.
    #[inline]
    pub fn glance(&self, found: &Found) -> Option<Departure> {
        match found.is_closed() {
            true => Some(self.end.unwrap_or(Departure::Closed)),
            false => self.end,
        }
    }

    /// How it ended, as far as was seen.
    #[inline]
    pub fn end(&self) -> Option<Departure> {
        self.end
    }

    /// A look, after one for news that was in vain. What came before the end may be seen only
    /// now.
    pub fn look(&mut self, found: &Found) -> Option<Departure> {
        if self.end.is_none() {
            self.idle = self.idle.wrapping_add(1);
            if found.is_closed() {
                self.end = Some(Departure::Closed);
            } else if self.idle.is_multiple_of(LOOKS) {
                self.look_whether_alive(found);
            }
        }
        self.end
    }

    #[cold]
    fn look_whether_alive(&mut self, found: &Found) {
        if matches!(self.owner.has_ended(), Ok(true)) {
            self.end = Some(match found.is_closed() {
                true => Departure::Closed,
                false => Departure::Died,
            });
        }
    }

    /// Sleeps until there is news, or the end, or that moment. Who has no seat, which is
    /// woken by nobody, looks again in a while.
    #[cold]
    pub fn sleep(
        &mut self,
        found: &Found,
        seat: Option<&mut Seat>,
        has_news: impl Fn() -> bool,
        until: Option<Instant>,
    ) -> Result<()> {
        let ended = match seat {
            Some(seat) => seat.park(|| has_news() || found.is_closed(), &[&self.owner], until)?,
            None => {
                look_later(until);
                self.owner.has_ended()?
            }
        };
        if ended {
            self.look_whether_alive(found);
        }
        Ok(())
    }
}
