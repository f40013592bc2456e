//! How the workers of a server share the requests of all clients: one of them leads, which means that
//! it looks for the next request, and the others handle requests or wait to lead.

use crate::error::channel::{RecvError, SendError};
use crate::error::{Operation, Result};
use crate::format::layout::{cursor, record};
use crate::lane::Step;
use crate::lane::lossless::{LosslessWriter, begin_cursor};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::{Validity, ValidityBackend};
use crate::segment::fan_in::FanIn;
use crate::segment::options::Common;
use crate::segment::participant::Notifier;
use crate::segment::{Geometry, Head, Owned};
use crate::sync::{AtomicUsize, Fixed, Ordering, Round, WindowMut};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Inbox, Pace};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

/// Where the response to a request goes.
#[derive(Clone, Copy, Debug)]
pub struct ResponseAddress {
    slot: usize,
    tag: u32,
    /// Which occupant of the slot is to have the response.
    slot_epoch: u32,
}

/// A worker of a server, whatever its messages are.
pub struct Serving {
    /// The leadership, as long as this is the only worker.
    leadership: Cell<Option<Box<Leadership>>>,
    /// Left where the leadership is, since another worker has it.
    waker: Option<Waker>,
    buffer: Box<[u8]>,
    pub shared: Arc<Shared>,
}

/// Where requests come in; one worker at a time has it.
#[derive(Debug)]
struct Leadership {
    fan_in: FanIn,
    /// How many requests there can be in all lanes.
    most: u64,
    pace: Pace,
}

/// The leadership, where no worker has it.
#[derive(Debug)]
struct LeaderSlot {
    leadership: Option<Box<Leadership>>,
    /// How many threads wait for it,
    waiting: usize,
    /// and who waits for other things too.
    wakers: Vec<Waker>,
}

/// What all workers use.
pub struct Shared {
    leader_slot: Mutex<LeaderSlot>,
    next: Condvar,
    outlets: Box<[Mutex<Outlet>]>,
    /// How many workers there are; responders are none.
    workers: AtomicUsize,
    validity: Validity,
    // Declared last, and so let go last: it has the name.
    pub segment: Owned,
}

/// Where the responses to one client go out.
struct Outlet {
    lane: LosslessWriter<WindowMut<Round>, WindowMut<Head>, WindowMut<Fixed<{ cursor::LEN }>>>,
    notifier: Notifier,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked had a whole one in hand.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wait_to_lead(&self, deadline: Deadline) -> Option<Box<Leadership>> {
        let mut leader_slot = lock(&self.leader_slot);
        loop {
            if let Some(leadership) = leader_slot.leadership.take() {
                return Some(leadership);
            }
            let left = match deadline.instant_or(()).ok()? {
                Some(at) => Some(at.checked_duration_since(Instant::now())?),
                None => None,
            };
            leader_slot.waiting += 1;
            leader_slot = match left {
                None => self
                    .next
                    .wait(leader_slot)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.next.wait_timeout(leader_slot, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            leader_slot.waiting -= 1;
        }
    }

    fn offer_leadership(&self, leadership: Box<Leadership>) {
        let mut leader_slot = lock(&self.leader_slot);
        leader_slot.leadership = Some(leadership);
        let is_awaited = leader_slot.waiting > 0;
        let wakers = std::mem::take(&mut leader_slot.wakers);
        drop(leader_slot);
        if is_awaited {
            self.next.notify_one();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    // layout: L144 L152 L153
    pub fn answer(
        &self,
        address: ResponseAddress,
        response: Option<&[u8]>,
    ) -> std::result::Result<(), SendError> {
        self.validity.check()?;
        let max = self.segment.geometry.max();
        let len = response.map_or(0, <[u8]>::len);
        if len > max {
            return Err(SendError::TooLong { len, max });
        }
        let mut outlet = lock(&self.outlets[address.slot]);
        let outlet = &mut *outlet;
        // Whoever asked has gone, and another client is there, or will be. What is answered in
        // the moment of that change bears a number that is none of the other's.
        if outlet.notifier.roster().slot_epoch(address.slot) != address.slot_epoch {
            return Ok(());
        }
        let (bytes, tag) = match response {
            Some(bytes) => (bytes, address.tag),
            None => (&[][..], address.tag | record::UNANSWERED),
        };
        if !outlet.lane.try_send_tagged(bytes, tag) {
            return Err(SendError::Full);
        }
        outlet.notifier.wake(1 << address.slot);
        Ok(())
    }
}

impl Drop for Shared {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

impl Serving {
    pub fn create(
        common: &Common,
        (clients, in_flight, ring): (usize, usize, RingGeometry),
        name: &Name,
    ) -> Result<Serving> {
        let geometry = Geometry::Calls {
            clients,
            in_flight,
            ring,
        };
        let (mut segment, participant) =
            Owned::create(name, geometry, &common.access, &common.layouts)?;
        let outlet = |slot| Serving::outlet(&segment, ring, slot, common.prefault).map(Mutex::new);
        let outlets = (0..clients).map(outlet).collect::<Result<_>>()?;
        let leadership = Leadership {
            fan_in: FanIn::new(&segment, ring, participant, common.prefault)?,
            // layout: L181
            most: ring.bytes() / record::ALIGN as u64 * clients as u64,
            pace: Pace::default(),
        };
        // Calls of those before it have ended with them.
        // layout: L163
        segment.publish(&mut segment.older()?);
        let leader_slot = LeaderSlot {
            leadership: Some(Box::new(leadership)),
            waiting: 0,
            wakers: Vec::new(),
        };
        Ok(Serving::worker(Arc::new(Shared {
            leader_slot: Mutex::new(leader_slot),
            next: Condvar::new(),
            outlets,
            workers: AtomicUsize::new(0),
            validity: Validity::new(),
            segment,
        })))
    }

    /// Stores where the client of this slot begins to read, before anybody can be that client.
    // layout: L046
    fn outlet(segment: &Owned, ring: RingGeometry, slot: usize, prefault: bool) -> Result<Outlet> {
        let lane = segment.responses_mut(slot, prefault)?;
        let cursor = segment.roster().cursor(slot);
        begin_cursor(&cursor, ring);
        Ok(Outlet {
            lane: LosslessWriter::new(lane.ring, lane.head, cursor, ring),
            notifier: segment.notifier().afresh(),
        })
    }

    fn worker(shared: Arc<Shared>) -> Serving {
        // Relaxed: it counts, and tells of nothing else.
        shared.workers.fetch_add(1, Ordering::Relaxed);
        Serving {
            leadership: Cell::new(None),
            waker: None,
            buffer: vec![0; shared.segment.geometry.max()].into_boxed_slice(),
            shared,
        }
    }

    /// The request that was found last, of this length.
    #[inline(always)]
    pub fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Finds the next request.
    #[inline]
    pub fn next(
        &mut self,
        deadline: Deadline,
    ) -> std::result::Result<(usize, ResponseAddress), RecvError> {
        let leadership = match self.leadership.take() {
            Some(leadership) => Some(leadership),
            None => {
                // Before a lock that another thread of the parent may have had.
                self.shared.validity.check()?;
                self.shared.wait_to_lead(deadline)
            }
        };
        let mut leadership = leadership.ok_or(match deadline {
            Deadline::Now => RecvError::Empty,
            _ => RecvError::Timeout,
        })?;
        let mut leading = Leading {
            leadership: &mut leadership,
            buffer: &mut self.buffer,
            address: None,
        };
        let found = leading.receive(deadline);
        let address = leading.address;
        self.stop_leading(leadership);
        Ok((
            found?,
            address.expect("a request that was found has an address"),
        ))
    }

    /// Others are to have it, where there are any.
    #[inline]
    fn stop_leading(&self, leadership: Box<Leadership>) {
        match Arc::strong_count(&self.shared) {
            1 => self.leadership.set(Some(leadership)),
            _ => self.shared.offer_leadership(leadership),
        }
    }
}

impl Clone for Serving {
    /// A further worker.
    fn clone(&self) -> Serving {
        // Both are to have it in turns from now on.
        if let Some(leadership) = self.leadership.take() {
            self.shared.offer_leadership(leadership);
        }
        Serving::worker(Arc::clone(&self.shared))
    }
}

impl Drop for Serving {
    // layout: L154
    fn drop(&mut self) {
        // In a child that was forked another thread of the parent may have had the lock.
        if self.shared.validity.is_forked() {
            return;
        }
        if let Some(leadership) = self.leadership.take() {
            self.shared.offer_leadership(leadership);
        }
        // Acquire and release: pairs with the same of the other workers, whose requests are
        // received when the last one goes.
        let is_last = self.shared.workers.fetch_sub(1, Ordering::AcqRel) == 1;
        // Where nobody holds a responder the drop of what is shared closes the name.
        if is_last && Arc::strong_count(&self.shared) > 1 {
            self.shared.segment.drain();
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", self.shared.segment.name())
            .finish_non_exhaustive()
    }
}

/// A worker that waits for requests has the leadership meanwhile, or waits for it.
impl Wait for Serving {
    fn has_news(&mut self) -> bool {
        // Before a lock that another thread of the parent may have had.
        if self.shared.validity.is_faulty() {
            return true;
        }
        match self.leadership.get_mut() {
            Some(leadership) => leadership.fan_in.has_news(),
            None => {
                let mut leader_slot = lock(&self.shared.leader_slot);
                leader_slot
                    .leadership
                    .as_mut()
                    .is_some_and(|leadership| leadership.fan_in.has_news())
            }
        }
    }

    fn register(&mut self, signals: &mut Signals) -> Result<()> {
        let told = self.shared.validity.check();
        told.map_err(|fault| fault.error(Operation::Wait, self.shared.segment.name()))?;
        if self.leadership.get_mut().is_none() {
            let mut leader_slot = lock(&self.shared.leader_slot);
            match leader_slot.leadership.take() {
                Some(leadership) => self.leadership.set(Some(leadership)),
                None => {
                    leader_slot.wakers.push(signals.waker.clone());
                    self.waker = Some(signals.waker.clone());
                }
            }
        }
        match self.leadership.get_mut() {
            Some(leadership) => leadership.fan_in.register(signals),
            None => Ok(()),
        }
    }

    fn deregister(&mut self) {
        if self.shared.validity.is_forked() {
            return;
        }
        if let Some(waker) = self.waker.take() {
            let mut leader_slot = lock(&self.shared.leader_slot);
            leader_slot.wakers.retain(|other| !other.will_wake(&waker));
        }
        if let Some(mut leadership) = self.leadership.take() {
            leadership.fan_in.deregister();
            self.stop_leading(leadership);
        }
    }

    fn woken(&mut self) -> Result<bool> {
        if let Some(leadership) = self.leadership.get_mut() {
            leadership.fan_in.look_for_deaths();
        }
        Ok(self.has_news())
    }
}

/// A worker at the leadership.
struct Leading<'a> {
    leadership: &'a mut Leadership,
    buffer: &'a mut [u8],
    /// Of the request that was found.
    address: Option<ResponseAddress>,
}

impl Leading<'_> {
    /// Takes the request that was found, unless nobody waits for the response.
    // layout: L151 L185
    #[inline]
    fn take(&mut self, len: usize) -> bool {
        let fan_in = &mut self.leadership.fan_in;
        let sender = fan_in.sender();
        if let Some(slot_epoch) = sender {
            fan_in.copy(0, &mut self.buffer[..len]);
            self.address = Some(ResponseAddress {
                slot: fan_in.turn(),
                tag: fan_in.tag() & !record::UNANSWERED,
                slot_epoch,
            });
        }
        fan_in.pass();
        sender.is_some()
    }
}

impl Inbox for Leading<'_> {
    #[inline]
    fn glance(&mut self) -> Option<usize> {
        let len = self.leadership.fan_in.find_quickly()?;
        self.take(len).then_some(len)
    }

    fn poll(&mut self) -> Step {
        // More do not stand in a ring at a time: one that leads in a circle has no end.
        let mut left = self.leadership.most;
        loop {
            match self.leadership.fan_in.find() {
                Step::Message(len) if !self.take(len) => {}
                step => return step,
            }
            left -= 1;
            if left == 0 {
                return self.leadership.fan_in.give_up();
            }
        }
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.leadership.pace
    }

    /// That all clients have gone is no news to a server.
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.leadership.fan_in.check() {
            return Some(fault.into());
        }
        matches!(step, Step::Corrupt).then_some(RecvError::Corrupt)
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.leadership.fan_in.sleep(&mut [], until)
    }
}
