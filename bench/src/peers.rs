//! Other ways to carry messages, compared with shmkit in the same repetition.

use crate::direct;
use crate::link::{Queues, Spinning};
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{answer, ask, consume, produce};
use shmkit::Receiver;
use shmkit_measure::{Inbox, Message, Outbox, Result, ends};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const EACH: Duration = Duration::from_millis(12);
pub const SIZE: usize = 64;

pub fn entries() -> Vec<Entry> {
    vec![
        Entry {
            name: "pipe",
            rows: &const { against(direct::PIPE) },
            make: |pair| {
                let (reader, writer) = direct::pipe(pair);
                Peer::boxed(pair, Bytes::new(reader), Bytes::new(writer))
            },
        },
        Entry {
            name: "tcp",
            rows: &const { against("TCP") },
            make: |pair| {
                let socket = tcp(pair);
                let other = socket.try_clone().unwrap();
                Peer::boxed(pair, Bytes::new(socket), Bytes::new(other))
            },
        },
        #[cfg(target_os = "linux")]
        Entry {
            name: "unix-socket",
            rows: &const { against("Unix socket") },
            make: |pair| {
                let socket = direct::socket(pair);
                let other = socket.try_clone().unwrap();
                Peer::boxed(pair, Bytes::new(socket), Bytes::new(other))
            },
        },
        #[cfg(feature = "peers")]
        Entry {
            name: "iceoryx2",
            rows: &const { against("iceoryx2") },
            make: |pair| {
                let (inbox, outbox) = crate::iceoryx::ports(pair);
                Peer::boxed(pair, inbox, outbox)
            },
        },
        #[cfg(all(feature = "peers", target_os = "linux"))]
        Entry {
            name: "shmem-ipc",
            rows: &const { against("shmem-ipc") },
            make: |pair| {
                let (inbox, outbox) = crate::shmem::ends(pair);
                Peer::boxed(pair, inbox, outbox)
            },
        },
    ]
}

const fn against(peer: &'static str) -> [Row; 2] {
    [
        Row {
            what: "round trip, 64 B, p50",
            against: peer,
            unit: "ns",
            bound: Bound::None,
            place: Place::Near,
        },
        Row {
            what: "stream, 64 B",
            against: peer,
            unit: "M/s",
            bound: Bound::None,
            place: Place::Near,
        },
    ]
}

struct Peer<I, O> {
    queues: Queues,
    inbox: I,
    outbox: O,
}

impl<I: Inbox + 'static, O: Outbox + 'static> Peer<I, O> {
    fn boxed(pair: &Pair, inbox: I, outbox: O) -> Box<dyn Scenario> {
        Box::new(Peer {
            queues: Queues::new(pair, Receiver::options()),
            inbox,
            outbox,
        })
    }
}

impl<I: Inbox, O: Outbox> Scenario for Peer<I, O> {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        let ours = ask(outbox, &mut Spinning(inbox), SIZE, EACH);
        let theirs = ask(&mut self.outbox, &mut self.inbox, SIZE, EACH);
        let trips = Found::new(ours.percentile(0.5), theirs.percentile(0.5));
        pair.meet();
        produce(outbox, SIZE, EACH);
        let ours = pair.told();
        produce(&mut self.outbox, SIZE, EACH);
        let theirs = pair.told();
        vec![trips, Found::new(ours, theirs)]
    }

    fn there(&mut self, pair: &Pair) {
        let Queues { inbox, outbox } = &mut self.queues;
        pair.meet();
        answer(outbox, &mut Spinning(inbox), SIZE);
        answer(&mut self.outbox, &mut self.inbox, SIZE);
        pair.meet();
        pair.tell(consume(&mut Spinning(inbox), SIZE, ends));
        pair.tell(consume(&mut self.inbox, SIZE, ends));
    }
}

/// A stream of bytes, with one call for each message on each side.
struct Bytes<S> {
    stream: S,
    buffer: [u8; SIZE],
}

impl<S> Bytes<S> {
    fn new(stream: S) -> Bytes<S> {
        Bytes {
            stream,
            buffer: [0; SIZE],
        }
    }
}

impl<S: Write> Outbox for Bytes<S> {
    fn send(&mut self, message: Message<'_>) -> Result<()> {
        Ok(self.stream.write_all(message.body())?)
    }
}

impl<S: Read> Inbox for Bytes<S> {
    fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.stream.read_exact(&mut self.buffer)?;
        Ok(look(&self.buffer))
    }
}

fn tcp(pair: &Pair) -> TcpStream {
    let socket = if pair.is_here() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        pair.tell(f64::from(listener.local_addr().unwrap().port()));
        listener.accept().unwrap().0
    } else {
        let port = pair.told() as u16;
        TcpStream::connect(("127.0.0.1", port)).unwrap()
    };
    socket.set_nodelay(true).unwrap();
    socket
}
