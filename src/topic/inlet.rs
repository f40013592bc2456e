//! A lane of a topic, as one subscriber reads it, and the publisher of the lane, as the subscriber
//! has seen it.
//!
//! The messages of a lane come from one publisher after another. The subscriber learns who sends from
//! the head of the lane (`lane/tenure.rs`). It reports that a publisher is gone when it has received
//! all messages of that publisher, and before it receives the first message of the next one.

use crate::error::Result;
use crate::error::channel::DisconnectReason;
use crate::error::publisher_id::PublisherId;
use crate::lane::lossy::LossyReader;
use crate::lane::tenure::Tenure;
use crate::object::process::Process;
use crate::os::ProcessIdentity;
use crate::segment::Head;
use crate::segment::participant::Participant;
use crate::sync::{RingWindow, Window};

pub(super) type Lane = LossyReader<RingWindow, Window<Head>>;

impl PublisherId {
    /// Returns the process of the publisher.
    #[must_use]
    pub fn process(&self) -> ProcessIdentity {
        ProcessIdentity::from_words(self.process)
    }
}

/// A publisher that is gone, and how.
pub(super) type Gone = (PublisherId, DisconnectReason);

/// A lane of a topic, and the publisher that has sent the messages at the subscriber's position.
pub(super) struct Inlet {
    pub lane: Lane,
    /// The number of the lane.
    pub number: usize,
    /// The position that was last stored in ROOM.
    pub freed: u64,
    /// The word TENURE at the last look.
    seen: u64,
    publisher: Option<Tenure>,
    /// Whether the messages at the subscriber's position may be of another publisher, which has come
    /// and gone since the last look.
    is_uncertain: bool,
    /// The publishers whose messages begin behind the subscriber's position: at most the one that has
    /// the lane now and the one before it.
    next: Vec<Tenure>,
    /// The watched process of the publisher.
    process: Option<Process>,
    has_died: bool,
    /// The number of missed messages in front of the subscriber's position that were not reported yet.
    missed: u64,
    /// Whether the end of the publisher was reported.
    is_told: bool,
    /// Whether the records of the lane are invalid.
    pub is_damaged: bool,
}

impl Inlet {
    pub fn new(lane: Lane, number: usize) -> Inlet {
        Inlet {
            lane,
            number,
            freed: 0,
            seen: 0,
            publisher: None,
            is_uncertain: false,
            next: Vec::new(),
            process: None,
            has_died: false,
            missed: 0,
            is_told: false,
            is_damaged: false,
        }
    }

    /// Returns the publisher of the message that was received last, or of the messages that were missed
    /// last.
    pub fn publisher(&self) -> Option<PublisherId> {
        let publisher = self.publisher.as_ref().filter(|_| !self.is_uncertain);
        publisher.map(|tenure| tenure.id)
    }

    /// Returns the publisher that has the lane now.
    pub fn publisher_now(&self) -> Option<PublisherId> {
        Tenure::read(self.lane.head()).map(|(tenure, _)| tenure.id)
    }

    /// Returns whether the publisher may send, as far as was seen.
    pub fn may_be_alive(&self) -> bool {
        self.next.is_empty() && !self.is_told && !self.is_over()
    }

    /// Returns whether there is a message, or a number of missed messages to report.
    pub fn may_have_message(&self) -> bool {
        !self.is_damaged && (self.missed > 0 || self.lane.has_news())
    }

    /// Returns whether this publisher has the lane now.
    pub fn has(&self, publisher: PublisherId) -> bool {
        self.publisher_now() == Some(publisher)
    }

    /// Notes that the subscriber has missed messages, and which publishers may have sent them.
    pub fn miss(&mut self, missed: u64) {
        self.missed += missed;
        self.see_publishers();
    }

    /// Returns the number of missed messages of the publisher that are to be reported. The messages of
    /// other publishers are reported after its end.
    pub fn take_missed(&mut self) -> u64 {
        let missed_from = self.lane.number().saturating_sub(self.missed);
        let next = self.next.first();
        let next = next.filter(|next| self.lane.position() >= next.beginning);
        let of_publisher = next.map(|next| next.first.saturating_sub(missed_from));
        let of_publisher = of_publisher.unwrap_or(u64::MAX).min(self.missed);
        self.missed -= of_publisher;
        of_publisher
    }

    /// Notes which publisher sends at the subscriber's position. Returns the publisher before it, if
    /// its end was not reported yet. It is called before a message is received, and after the message
    /// was seen.
    // layout: L297
    pub fn look_at_publisher(&mut self) -> Option<Gone> {
        let word = Tenure::word(self.lane.head());
        if word != self.seen {
            self.see_publishers();
        }
        loop {
            let position = self.lane.position();
            let next = *self
                .next
                .first()
                .filter(|next| position >= next.beginning)?;
            self.next.remove(0);
            self.is_uncertain = false;
            let before = self.publisher.replace(next);
            let is_told = std::mem::take(&mut self.is_told);
            (self.process, self.has_died) = (None, false);
            if let Some(before) = before.filter(|_| !is_told) {
                // Only the next publisher knows how this one has ended. The subscriber may have missed
                // others.
                let died = !next.before_closed && next.count == before.count.wrapping_add(2);
                let how = match died {
                    true => DisconnectReason::Died,
                    false => DisconnectReason::Closed,
                };
                return Some((before.id, how));
            }
            if self.missed > 0 {
                // What was missed of this publisher is reported first.
                return None;
            }
        }
    }

    /// Returns whether there are missed messages to report.
    pub fn has_missed(&self) -> bool {
        self.missed > 0
    }

    /// Notes which publishers have come since the last look. The head of the lane knows the last two.
    fn see_publishers(&mut self) {
        let Some((now, before)) = Tenure::read(self.lane.head()) else {
            return;
        };
        if now.count == self.seen {
            return;
        }
        // Whether this publisher is the next one after the last that was seen.
        let follows = |tenure: &Tenure| tenure.count == self.seen.wrapping_add(2);
        if self.seen != 0 && !follows(&now) && !before.as_ref().is_some_and(follows) {
            // It is not known where the messages of the last one that was seen end.
            self.next.clear();
            self.is_uncertain = true;
        }
        self.next
            .extend(before.filter(|before| before.count != self.seen));
        self.next.push(now);
        self.seen = now.count;
    }

    /// Returns whether the publisher is known to have ended, and the end was not reported yet.
    fn is_over(&self) -> bool {
        let has_closed = |one: &Tenure| one.has_closed(self.lane.head());
        !self.is_told && (self.has_died || self.publisher.as_ref().is_some_and(has_closed))
    }

    /// Returns the publisher if it has ended, all its messages were received, and its end was not
    /// reported yet. It is called after a look that found no message.
    // layout: L298
    pub fn take_gone(&mut self) -> Option<Gone> {
        // The messages that were sent before the end are visible now.
        if !self.is_over() || self.may_have_message() {
            return None;
        }
        let publisher = self.publisher.as_ref()?;
        self.is_told = true;
        let how = match publisher.has_closed(self.lane.head()) {
            true => DisconnectReason::Closed,
            false => DisconnectReason::Died,
        };
        Some((publisher.id, how))
    }

    /// Notes that the end of the publisher was reported, or need not be reported. Returns the
    /// publisher if the end was not reported before.
    pub fn tell(&mut self) -> Option<PublisherId> {
        let was_told = std::mem::replace(&mut self.is_told, true);
        self.publisher().filter(|_| !was_told)
    }

    /// Returns whether the lane has a publisher that is not known to have ended.
    pub fn has_publisher(&self) -> bool {
        match Tenure::read(self.lane.head()) {
            None => Tenure::word(self.lane.head()) != 0,
            Some((now, _)) => {
                let has_died = self.has_died && self.publisher == Some(now);
                !has_died && !now.has_closed(self.lane.head())
            }
        }
    }

    /// Returns whether no publisher has the lane, as far as was seen, and the end of the last one was
    /// reported.
    pub fn is_done(&self) -> bool {
        !self.may_have_message()
            && self.next.is_empty()
            && (self.publisher.is_none() || self.is_told)
    }

    /// Returns whether there is a message, or something about the publisher to report.
    // layout: L090
    pub fn has_news(&self) -> bool {
        let word = Tenure::word(self.lane.head());
        let is_new = || word != self.seen && Tenure::read(self.lane.head()).is_some();
        self.may_have_message() || self.is_over() || is_new()
    }

    /// Returns the process to watch, if the publisher may be alive.
    pub fn watched(&self) -> Option<&Process> {
        self.process.as_ref().filter(|_| !self.is_told)
    }

    /// Finds out whether the publisher, which is not the owner, has died. `asks` says whether to ask the
    /// system even if it has reported nothing. Returns `false` if the system would not report the end
    /// of the publisher.
    // layout: L298
    pub fn look_for_death(&mut self, me: Option<&Participant>, asks: bool) -> bool {
        let Some(publisher) = self.publisher.filter(|_| !self.is_told && !self.has_died) else {
            return true;
        };
        if self.process.is_none() {
            match watch(&publisher, self.number, me) {
                Ok(Some(process)) => self.process = Some(process),
                Ok(None) => self.has_died = true,
                // The system cannot tell, so the publisher counts as alive.
                Err(_) => return false,
            }
        }
        let has_ended = |one: &Process| one.is_known_to_have_ended(asks);
        self.has_died |= self.process.as_ref().is_some_and(has_ended);
        true
    }
}

/// Watches a publisher that has a slot; `None` if it has ended. An observer knows its process only.
fn watch(publisher: &Tenure, lane: usize, me: Option<&Participant>) -> Result<Option<Process>> {
    let Some(me) = me else {
        return match publisher.id.process().watch() {
            Err(error) if error.kind() == crate::ErrorKind::NotFound => Ok(None),
            watched => watched.map(Some),
        };
    };
    let slot = lane - 1;
    let is_there = || me.roster().slot_epoch(slot) == publisher.slot_epoch;
    if !is_there() {
        return Ok(None);
    }
    let watched = me.kernel().watch(slot)?;
    // Another publisher may have taken the slot meanwhile.
    Ok(watched.filter(|_| is_there()))
}
