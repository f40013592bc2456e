//! A publisher and its subscribers, beside the naive model of a topic.

use super::*;

pub(super) struct Audience {
    memory: Memory,
    ring_geometry: RingGeometry,
    writer: Publisher,
    all: Vec<Vec<u8>>,
    announced: Option<Vec<u8>>,
    readers: Vec<Subscriber>,
}

impl Audience {
    pub(super) fn new(bytes: u64, max: usize) -> Audience {
        let memory = Memory::new(bytes, max);
        Audience {
            ring_geometry: memory.ring_geometry,
            writer: memory.publisher(),
            all: Vec::new(),
            announced: None,
            readers: (0..READERS).map(|_| memory.subscriber()).collect(),
            memory,
        }
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
        let reader = &mut self.readers[index];
        let sent = self.all.len() as u64;
        let (before, position) = (reader.number(), reader.position());
        let mut to = vec![0; self.ring_geometry.max()];
        let step = look(reader, &mut to);
        let after = reader.number();
        match step {
            Step::Message(len) => {
                assert_eq!(to[..len], self.all[before as usize]);
                assert_eq!(after, before + 1);
            }
            Step::Lagged(missed) => {
                assert_eq!(after, before + missed);
                assert!(missed > 0 && after <= sent);
                assert!(position + self.ring_geometry.bytes() < self.writer.reserved());
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
