//! How the workers of a server share the requests of all clients. One worker leads: it looks for
//! the next request. The other workers handle requests, or wait to lead.
//!
//! ```text
//!   next(deadline)
//!     1  take the leadership: from this worker, if it is the only one; otherwise from the leader
//!        slot, or wait there until another worker offers it
//!     2  find the next request (segment/fan_in.rs), copy it to the buffer, pass it
//!        its client has gone?             find the next one
//!        no request?                      spin and park, as every receiver does
//!     3  keep the leadership if this is the only worker; otherwise put it into the leader slot and
//!        wake a worker that waits
//!     4  return the request and the address of its response
//!
//!   answer(address, response)
//!     1  lock the lane of responses to that client
//!     2  the slot epoch has changed?      the client has gone: return
//!     3  write the response with the tag of the request; wake the client if it sleeps
//! ```

use crate::error::channel::{RecvError, SendError};
use crate::error::{Operation, Result};
use crate::format::layout::{cursor, record};
use crate::lane::Step;
use crate::lane::lossless::{LosslessWriter, begin_cursor};
use crate::lane::ring::RingGeometry;
use crate::name::Name;
use crate::os::{ProcessIdentity, Validity, ValidityBackend};
use crate::segment::fan_in::FanIn;
use crate::segment::options::Common;
use crate::segment::participant::Notifier;
use crate::segment::roster::WakeTarget;
use crate::segment::{Geometry, Head, Owned};
use crate::sync::{AtomicUsize, Fixed, Ordering, RingWindowMut, WindowMut};
use crate::wait::source::{Signals, Wait};
use crate::wait::spin::{Deadline, Inbox, Pace, receive};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

/// The address to which the response to a request goes.
#[derive(Clone, Copy, Debug)]
pub struct ResponseAddress {
    slot: usize,
    tag: u32,
    /// The slot epoch of the client that has sent the request.
    slot_epoch: u32,
}

/// A worker of a server, for messages of any type.
pub struct Serving {
    /// The leadership, as long as this is the only worker.
    leadership: Cell<Option<Box<Leadership>>>,
    /// The waker that this worker has left in the leader slot, since another worker has the
    /// leadership.
    waker: Option<Waker>,
    buffer: Box<[u8]>,
    pub shared: Arc<Shared>,
}

/// The leadership: the requests of all clients. One worker at a time has it.
#[derive(Debug)]
struct Leadership {
    fan_in: FanIn,
    /// How many requests there can be in all lanes.
    most: u64,
    pace: Pace,
}

/// The place for the leadership while no worker has it.
#[derive(Debug)]
struct LeaderSlot {
    leadership: Option<Box<Leadership>>,
    /// How many threads wait for the leadership.
    waiting: usize,
    /// The wakers of the workers that wait for other things too.
    wakers: Vec<Waker>,
}

/// The part of a server that all its workers share.
pub struct Shared {
    leader_slot: Mutex<LeaderSlot>,
    next: Condvar,
    outlets: Box<[Mutex<Outlet>]>,
    ring: RingGeometry,
    /// The number of workers; responders do not count.
    workers: AtomicUsize,
    validity: Validity,
    // Declared last, so that it is dropped last: it holds the name.
    pub segment: Owned,
}

/// The lane of responses to one client, and the means to wake that client.
struct Outlet {
    /// The lane, from the first response on.
    lane: Option<Responses>,
    notifier: Notifier,
}

type Responses = LosslessWriter<RingWindowMut, WindowMut<Head>, WindowMut<Fixed<{ cursor::LEN }>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state is never left half-updated, so lock poisoning is ignored.
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

    /// Returns the process of the client that waits for a response, as its slot says.
    // layout: L251
    pub fn peer(&self, address: ResponseAddress) -> Option<ProcessIdentity> {
        let client = self.segment.roster().sender(address.slot)?;
        (client.slot_epoch == address.slot_epoch).then_some(client.identity)
    }

    // layout: L144 L152 L153
    pub fn answer(
        &self,
        address: ResponseAddress,
        response: Option<&[u8]>,
    ) -> Result<(), SendError> {
        self.validity.check()?;
        let max = self.segment.geometry.max();
        let len = response.map_or(0, <[u8]>::len);
        if len > max {
            return Err(SendError::TooLong { len, max });
        }

        let mut outlet = lock(&self.outlets[address.slot]);
        let outlet = &mut *outlet;
        // The client that asked has gone, and another client has the slot, or will have it. A
        // response that is written at the moment of that change has a number that the other client
        // does not use.
        if outlet.notifier.roster().slot_epoch(address.slot) != address.slot_epoch {
            return Ok(());
        }

        let (bytes, tag) = match response {
            Some(bytes) => (bytes, address.tag),
            None => (&[][..], address.tag | record::UNANSWERED),
        };

        let lane = match &mut outlet.lane {
            Some(lane) => lane,
            none => none.insert(responses(&self.segment, self.ring, address.slot, false)?),
        };
        if !lane.try_send_tagged(bytes, tag) {
            return Err(SendError::Full);
        }
        outlet.notifier.wake(WakeTarget::Slot(address.slot));
        Ok(())
    }
}

impl Drop for Shared {
    // layout: L165
    fn drop(&mut self) {
        self.segment.close();
    }
}

/// Opens the lane of responses to the client in this slot.
#[cold]
fn responses(
    segment: &Owned,
    ring: RingGeometry,
    slot: usize,
    prefault: bool,
) -> Result<Responses> {
    let lane = segment.responses_mut(slot, prefault)?;
    let cursor = segment.roster().cursor(slot);
    Ok(LosslessWriter::new(lane.ring, lane.head, cursor, ring))
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
        // The calls to earlier owners have ended with those owners.
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
            ring,
            workers: AtomicUsize::new(0),
            validity: Validity::new(),
            segment,
        })))
    }

    /// Creates the outlet to the client in this slot. The outlet stores the position at which that
    /// client begins to read, before any client has the slot.
    // layout: L046
    fn outlet(segment: &Owned, ring: RingGeometry, slot: usize, prefault: bool) -> Result<Outlet> {
        begin_cursor(&segment.roster().cursor(slot), ring);
        let lane = prefault.then(|| responses(segment, ring, slot, true));
        Ok(Outlet {
            lane: lane.transpose()?,
            notifier: segment.notifier().afresh(),
        })
    }

    fn worker(shared: Arc<Shared>) -> Serving {
        // Relaxed: the word counts, and says nothing about other memory.
        shared.workers.fetch_add(1, Ordering::Relaxed);
        Serving {
            leadership: Cell::new(None),
            waker: None,
            buffer: vec![0; shared.segment.geometry.max()].into_boxed_slice(),
            shared,
        }
    }

    /// Returns the request of this length that was found last.
    #[inline(always)]
    pub fn received(&self, len: usize) -> &[u8] {
        &self.buffer[..len]
    }

    /// Finds the next request, and returns its length and the address of its response.
    #[inline]
    pub fn next(&mut self, deadline: Deadline) -> Result<(usize, ResponseAddress), RecvError> {
        let leadership = match self.leadership.take() {
            Some(leadership) => Some(leadership),
            None => {
                // The check comes before a lock that another thread of the parent may have held at
                // the fork.
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

    /// Keeps the leadership if there is no other worker and no responder, and offers it to others
    /// otherwise.
    #[inline]
    fn stop_leading(&self, leadership: Box<Leadership>) {
        match Arc::strong_count(&self.shared) {
            1 => self.leadership.set(Some(leadership)),
            _ => self.shared.offer_leadership(leadership),
        }
    }
}

impl Clone for Serving {
    /// Returns a further worker.
    fn clone(&self) -> Serving {
        // Both workers have the leadership in turns from now on.
        if let Some(leadership) = self.leadership.take() {
            self.shared.offer_leadership(leadership);
        }
        Serving::worker(Arc::clone(&self.shared))
    }
}

impl Drop for Serving {
    // layout: L154
    fn drop(&mut self) {
        // In a forked child, another thread of the parent may have held the lock at the fork.
        if self.shared.validity.is_forked() {
            return;
        }
        if let Some(leadership) = self.leadership.take() {
            self.shared.offer_leadership(leadership);
        }
        // Acquire and release: pairs with the same operation of the other workers, so that all
        // their requests are received when the last worker goes.
        let is_last = self.shared.workers.fetch_sub(1, Ordering::AcqRel) == 1;
        // If there is no responder, the drop of the shared part closes the name.
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

/// A worker that waits for requests has the leadership meanwhile, or waits for the leadership.
impl Wait for Serving {
    fn has_news(&mut self) -> bool {
        // The check comes before a lock that another thread of the parent may have held at the
        // fork.
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

/// A worker that has the leadership.
struct Leading<'a> {
    leadership: &'a mut Leadership,
    buffer: &'a mut [u8],
    /// The address of the response to the request that was found.
    address: Option<ResponseAddress>,
}

impl Leading<'_> {
    /// Takes the request that was found; `false` if its client has gone.
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
        // The lanes hold no more requests than this at a time. The limit bounds the walk over a
        // corrupted ring.
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

    fn wait(&mut self, deadline: Deadline) -> Result<usize, RecvError> {
        receive(self, deadline)
    }

    fn pace(&mut self) -> &mut Pace {
        &mut self.leadership.pace
    }

    /// Returns the error of a call that found no request, if there is one. There is no error when
    /// all clients have gone.
    fn no_message(&mut self, step: Step) -> Option<RecvError> {
        if let Err(fault) = self.leadership.fan_in.check() {
            return Some(fault.into());
        }
        if let Some(error) = self.leadership.fan_in.take_failure() {
            return Some(RecvError::System(error));
        }
        matches!(step, Step::Corrupt).then_some(RecvError::Corrupt)
    }

    fn sleep(&mut self, until: Option<Instant>) -> Result<()> {
        self.leadership.fan_in.sleep(&mut [], until)
    }
}
