//! The publisher of a lane of a topic, as the head of the lane says. The publisher stores who it is
//! before its first message, and stores when it closes. A subscriber needs no slot to read this.

use crate::error::publisher_id::PublisherId;
use crate::format::layout::lane;
use crate::sync::{Words, WordsMut};

/// The words of the publisher that has the lane, and of the one before it: number, start time and pid
/// of its process, the position of its first message, and the number of messages before that one.
const NOW: [usize; 5] = [
    lane::PUBLISHER,
    lane::PUBLISHER_START,
    lane::PUBLISHER_PID,
    lane::BEGINNING,
    lane::FIRST,
];
const BEFORE: [usize; 5] = [
    lane::BEFORE,
    lane::BEFORE_START,
    lane::BEFORE_PID,
    lane::BEFORE_BEGINNING,
    lane::BEFORE_FIRST,
];

/// The time in which one publisher has a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    /// The word TENURE, which is even.
    pub count: u64,
    pub id: PublisherId,
    /// The position of the publisher's first message.
    pub beginning: u64,
    /// The number of messages in the lane before the publisher's first one.
    pub first: u64,
    /// The slot epoch of the publisher; 0 if it is not known.
    pub slot_epoch: u32,
    /// Whether the publisher before this one closed in good order.
    pub before_closed: bool,
}

/// Makes the identity of the publisher that takes a lane of a generation. `tenure` is its word TENURE,
/// and `process` are the words of its process.
// layout: L293
pub(crate) fn new_id(generation: u32, lane: usize, tenure: u64, process: [u64; 2]) -> PublisherId {
    let within = (lane as u64) << 22 | (tenure / 2) & ((1 << 22) - 1);
    PublisherId {
        number: u64::from(generation) << 32 | within & u64::from(u32::MAX),
        process,
    }
}

impl Tenure {
    /// Makes the tenure of the publisher that takes a lane now. `id` makes its identity of the word
    /// TENURE.
    pub fn next(
        head: &impl Words,
        id: impl FnOnce(u64) -> PublisherId,
        (beginning, first): (u64, u64),
        slot_epoch: u32,
    ) -> Tenure {
        let settled = head.load64(lane::TENURE) & !1;
        let count = settled.wrapping_add(2);
        Tenure {
            count,
            id: id(count),
            beginning,
            first,
            slot_epoch,
            before_closed: settled == 0 || head.load64(lane::CLOSED) == settled,
        }
    }

    /// Stores that this publisher has the lane. It is called before the publisher's first message,
    /// by the only process that may write the lane.
    // layout: L292
    pub fn begin(&self, head: &impl WordsMut) {
        let before = Tenure::read(head).map(|(before, _)| before);
        head.store64(lane::TENURE, self.count.wrapping_sub(1));
        // Pairs with the fence of `read`: a reader that sees one of the stores below sees TENURE odd
        // or greater.
        head.release();
        store_publisher(head, BEFORE, before.as_ref());
        store_publisher(head, NOW, Some(self));
        let before_that = before.is_some_and(|before| before.before_closed);
        let closed = u64::from(self.before_closed) | u64::from(before_that) << 1;
        head.store64(lane::BEFORE_CLOSED, closed);
        head.store64(lane::SLOT_EPOCH, self.slot_epoch.into());
        // Pairs with the first load of `read`.
        head.publish64(lane::TENURE, self.count);
    }

    /// Stores that this publisher has closed. It sends nothing after that.
    // layout: L294
    pub fn close(&self, head: &impl WordsMut) {
        // Pairs with the load of `has_closed`: the messages before are visible then.
        head.publish64(lane::CLOSED, self.count);
    }

    /// Returns the publisher of a lane, and the one before it if that is known; `None` if there was no
    /// publisher yet, or if it changes at this moment.
    // layout: L295
    pub fn read(head: &impl Words) -> Option<(Tenure, Option<Tenure>)> {
        // Pairs with the last store of `begin`.
        let count = head.load64(lane::TENURE);
        if count == 0 || count & 1 != 0 {
            return None;
        }
        let closed = head.load64(lane::BEFORE_CLOSED);
        let (id, beginning, first) = publisher_at(head, NOW);
        let now = Tenure {
            count,
            id,
            beginning,
            first,
            slot_epoch: head.load64(lane::SLOT_EPOCH) as u32,
            before_closed: closed & 1 != 0,
        };
        let (id, beginning, first) = publisher_at(head, BEFORE);
        let before = Tenure {
            count: count.wrapping_sub(2),
            id,
            beginning,
            first,
            slot_epoch: 0,
            before_closed: closed & 2 != 0,
        };
        // Pairs with the fence of `begin`.
        head.acquire();
        let is_whole = head.load64(lane::TENURE) == count;
        let before = Some(before).filter(|before| before.id.number != 0);
        is_whole.then_some((now, before))
    }

    /// Returns the word TENURE of a lane.
    pub fn word(head: &impl Words) -> u64 {
        // Pairs with the last store of `begin`.
        head.load64(lane::TENURE)
    }

    /// Returns whether this publisher has closed in good order. The messages that it has sent are
    /// visible then.
    pub fn has_closed(&self, head: &impl Words) -> bool {
        // Pairs with the store of `close`.
        head.load64(lane::CLOSED) == self.count
    }
}

/// Stores a publisher in these words of the head, or zeros if no publisher is known.
fn store_publisher(head: &impl WordsMut, words: [usize; 5], publisher: Option<&Tenure>) {
    let values = publisher.map_or([0; 5], |publisher| {
        let [start, pid] = publisher.id.process;
        let (beginning, first) = (publisher.beginning, publisher.first);
        [publisher.id.number, start, pid, beginning, first]
    });
    for (at, value) in words.into_iter().zip(values) {
        head.store64(at, value);
    }
}

/// Returns the publisher in these words of the head, the position of its first message, and the number
/// of messages before that one.
fn publisher_at(head: &impl Words, words: [usize; 5]) -> (PublisherId, u64, u64) {
    let [number, start, pid, beginning, first] = words.map(|at| head.load64(at));
    let process = [start, pid];
    (PublisherId { number, process }, beginning, first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{WindowMut, heap};

    fn next(head: &impl Words, start: u64) -> Tenure {
        let id = |count| new_id(3, 5, count, [start, 7 << 32 | 9]);
        Tenure::next(head, id, (64 * start, start), 11)
    }

    fn before(tenure: Tenure) -> Option<Tenure> {
        Some(Tenure {
            slot_epoch: 0,
            ..tenure
        })
    }

    // layout: L292 L293 L294 L295
    #[test]
    fn lane_reports_publisher_and_its_end() {
        let head: WindowMut = heap::window(lane::HEAD);
        assert!(Tenure::read(&head).is_none());
        let first = next(&head, 1);
        first.begin(&head);
        assert_eq!(Tenure::read(&head), Some((first, None)));
        assert_eq!(first.id.number(), 3 << 32 | 5 << 22 | 1);
        assert!(first.before_closed && !first.has_closed(&head));

        // The next publisher says that this one has not closed.
        let second = next(&head, 2);
        second.begin(&head);
        assert_eq!(Tenure::read(&head), Some((second, before(first))));
        assert!(!second.before_closed && second.id != first.id);
        second.close(&head);
        assert!(second.has_closed(&head) && !first.has_closed(&head));
        assert!(next(&head, 3).before_closed);

        // A publisher has died while it took the lane.
        head.store64(lane::TENURE, second.count + 1);
        assert!(Tenure::read(&head).is_none());
        let third = next(&head, 3);
        assert!(third.count == second.count + 2 && third.before_closed);
        third.begin(&head);
        assert_eq!(Tenure::read(&head), Some((third, None)));
    }
}
