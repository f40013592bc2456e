//! A publisher and its subscribers, beside the naive model of a topic.

use super::*;

#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    /// The message is announced and not yet sent.
    Announce(usize),
    Send(usize),
    Start(usize, Begin),
    Receive(usize),
    /// The publisher dies, and another one continues the lane.
    Succeed,
}

pub(super) struct Audience {
    ring_geometry: RingGeometry,
    writer: Publisher,
    all: Vec<Vec<u8>>,
    announced: Option<Vec<u8>>,
    readers: Vec<Subscriber>,
    /// Whether each reader has lagged and received no message since then.
    lagged: [bool; READERS],
    memory: Memory,
}

impl Audience {
    pub(super) fn new(ring_geometry: RingGeometry) -> Audience {
        let memory = Memory::of(ring_geometry);
        Audience {
            ring_geometry: memory.ring_geometry,
            writer: memory.publisher(),
            all: Vec::new(),
            announced: None,
            readers: (0..READERS).map(|_| memory.subscriber()).collect(),
            lagged: [false; READERS],
            memory,
        }
    }

    /// Returns the number of the first message that is kept in any case: how many of the last messages
    /// are kept follows from the longest message.
    fn first_kept(&self) -> u64 {
        let record = takes(self.ring_geometry.max(), self.ring_geometry);
        let bytes = self.ring_geometry.bytes();
        let keep = match bytes.is_power_of_two() {
            true => (bytes / 8 * 3 / record).saturating_sub(3),
            false => bytes / record - 2,
        };
        (self.all.len() as u64).saturating_sub(keep)
    }

    /// Receives all messages that are kept, as a subscriber that joins.
    fn join_late(&self) {
        let mut reader = self.memory.subscriber();
        assert!(reader.begin(Begin::Oldest));
        assert!(reader.number() <= self.first_kept());
        let mut to = vec![0; self.ring_geometry.max()];
        for number in reader.number()..self.all.len() as u64 {
            let text = &self.all[number as usize];
            assert_eq!(look(&mut reader, &mut to), Step::Message(text.len()));
            assert_eq!(to[..text.len()], *text);
            assert_eq!(reader.stamp().is_some(), self.ring_geometry.is_stamped());
        }
        assert_eq!(look(&mut reader, &mut to), Step::Nothing);
    }

    pub(super) fn act(&mut self, act: Topic) {
        match act {
            Topic::Announce(len) => self.announce(len),
            Topic::Send(len) => {
                self.announce(len);
                let text = self.announced.take().unwrap();
                if !self.writer.send_quickly(&text) {
                    self.writer.send(&text);
                }
                self.all.push(text);
                assert_eq!(self.writer.sent(), self.all.len() as u64);
            }
            Topic::Start(index, begin) => self.start(index, begin),
            Topic::Receive(index) => drop(self.receive(index)),
            Topic::Succeed => {
                let (sent, reserved) = (self.writer.sent(), self.writer.reserved());
                self.announced = None;
                self.writer = self.memory.next_publisher();
                let next = (self.writer.sent(), self.writer.reserved());
                assert_eq!(next, (sent, reserved));
            }
        }
        self.join_late();
    }

    fn announce(&mut self, len: usize) {
        if self.announced.is_none() {
            let text = message(self.all.len() as u64, len);
            if let Some(position) = self.writer.lacks(len) {
                self.writer.announce(position);
            }
            assert_eq!(self.writer.lacks(len), None);
            self.announced = Some(text);
        }
    }

    fn start(&mut self, index: usize, begin: Begin) {
        let sent = self.all.len() as u64;
        self.lagged[index] = false;
        let reader = &mut self.readers[index];
        assert!(reader.begin(begin));
        assert_eq!(reader.sent(), sent);
        let number = reader.number();
        match begin {
            Begin::Next => assert_eq!(number, sent),
            Begin::Last => assert_eq!(number, sent.saturating_sub(1)),
            Begin::Oldest if self.writer.reserved() <= self.ring_geometry.bytes() => {
                assert_eq!(number, 0)
            }
            Begin::Oldest => assert!(number <= sent),
        }
        // A subscriber can receive the message with which it begins.
        let there = !matches!(self.receive(index), Step::Lagged(_));
        assert!(there, "began with a message that is gone");
    }

    fn receive(&mut self, index: usize) -> Step {
        let sent = self.all.len() as u64;
        let reader = &mut self.readers[index];
        let (before, position) = (reader.number(), reader.position());
        let mut to = vec![0; self.ring_geometry.max()];
        let step = look(reader, &mut to);
        let after = reader.number();
        match step {
            Step::Message(len) => {
                assert_eq!(to[..len], self.all[before as usize]);
                assert_eq!(after, before + 1);
                self.lagged[index] = false;
            }
            Step::Lagged(missed) => {
                assert_eq!(after, before + missed);
                assert!(missed > 0 && after <= sent);
                assert!(position + self.ring_geometry.bytes() < self.writer.reserved());
                let first_kept = self.first_kept();
                assert!(before < first_kept);
                // A reader that lags again at once continues further ahead.
                assert!(after <= first_kept || self.lagged[index]);
                self.lagged[index] = true;
            }
            Step::Nothing => assert_eq!((before, after), (sent, sent)),
            Step::Overtaken | Step::Corrupt => panic!("a valid lane is refused"),
        }
        step
    }

    pub(super) fn drain(&mut self, index: usize) {
        let mut lagged = false;
        loop {
            match self.receive(index) {
                Step::Nothing => break,
                // The publisher sends nothing meanwhile, so the subscriber lags at most once.
                Step::Lagged(_) => assert!(!std::mem::replace(&mut lagged, true)),
                _ => {}
            }
        }
    }
}

/// Sends each sequence of five messages of some lengths in rings that keep one and two messages.
// layout: L281 L282 L285
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn every_length_sequence_keeps_last_messages() {
    // The records take 8, 48, 96, 104 and 192 bytes: half of the longest, and a little more.
    const LENS: [usize; 5] = [0, 40, 88, 89, 184];
    for records in [3, 4] {
        let ring_geometry = RingGeometry::new(records * 192, 184).unwrap();
        for sequence in 0..LENS.len().pow(5) {
            let mut audience = Audience::new(ring_geometry);
            let mut rest = sequence;
            for _ in 0..5 {
                let len = LENS[rest % LENS.len()];
                audience.act(Topic::Announce(len));
                audience.act(Topic::Send(len));
                rest /= LENS.len();
            }
        }
    }
}

/// The first of 15 messages is short, and the next mark before it is far away.
// layout: L282 L285
#[test]
#[cfg_attr(miri, ignore = "atomics of different sizes in one place")]
fn short_messages_between_long_ones_are_kept() {
    let mut audience = Audience::new(RingGeometry::new(17 * 64, 56).unwrap());
    for len in [&[56][..], &[0; 9], &[56; 14]].concat() {
        audience.act(Topic::Send(len));
    }
    assert_eq!(audience.first_kept(), 9);
    // The record needs a pad of 56 bytes.
    audience.act(Topic::Announce(56));
}
