//! Calls: a request, and its response.

use crate::direct::WakeUp;
use crate::pair::Pair;
use crate::repeat::{Bound, Entry, Found, Place, Row, Scenario};
use crate::traffic::{busy_for, stamp, word};
use shmkit::{Client, Server};
use shmkit_measure::{Times, clock};
use std::sync::atomic::Ordering;
use std::time::Duration;

const EACH: Duration = Duration::from_millis(40);
const SIZE: usize = 64;

pub const ENTRIES: [Entry; 2] = [
    Entry {
        name: "call",
        rows: &[
            Row {
                what: "call, 64 B, p50",
                against: "ping-pong, p50",
                unit: "ns",
                bound: Bound::AtMost(2.5, 2.0),
                place: Place::Near,
            },
            Row {
                what: "call, 64 B, p99",
                against: "ping-pong, p99",
                unit: "ns",
                bound: Bound::None,
                place: Place::Near,
            },
        ],
        make: |pair| Box::new(Calls(End::new(pair))),
    },
    Entry {
        name: "parked-call",
        rows: &[Row {
            what: "call, both asleep, p50",
            against: "bare wakes to and fro",
            unit: "ns",
            bound: Bound::AtMost(1.3, 1.15),
            place: Place::Near,
        }],
        make: |pair| {
            Box::new(Parked {
                end: End::new(pair),
                wake_ups: ["there", "back"].map(|tag| WakeUp::new(pair, tag)),
            })
        },
    },
];

/// The endpoint of one process: the client in the first process, the server in the second process.
enum End {
    Client(Box<Client>),
    Server(Box<Server>),
}

impl End {
    fn new(pair: &Pair) -> End {
        let name = pair.name("rpc");
        let name = name.as_str();
        if pair.is_here() {
            pair.meet();
            return End::Client(Box::new(Client::open(name).unwrap()));
        }
        let server = Server::create(name).unwrap();
        pair.meet();
        End::Server(Box::new(server))
    }

    fn client(&mut self) -> &mut Client {
        match self {
            End::Client(client) => client,
            End::Server(_) => unreachable!("the client is here"),
        }
    }

    fn server(&mut self) -> &mut Server {
        match self {
            End::Server(server) => server,
            End::Client(_) => unreachable!("the server is there"),
        }
    }
}

/// The first word of the last request.
const LAST: u64 = u64::MAX;

struct Calls(End);

impl Scenario for Calls {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let client = self.0.client();
        pair.meet();
        let mut times = Times::new();
        let mut request = [0; SIZE];
        let mut number = 0;

        let call = || {
            stamp(&mut request, number);
            assert_eq!(word(client.call(&request)?), number);
            number += 1;
            Ok(())
        };
        times.take(EACH, call).unwrap();

        stamp(&mut request, LAST);
        client.call(&request).unwrap();
        vec![
            Found::percentile(&times, 0.5),
            Found::percentile(&times, 0.99),
        ]
    }

    fn there(&mut self, pair: &Pair) {
        let server = self.0.server();
        pair.meet();
        loop {
            let request = server.recv().unwrap();
            let number = word(request.bytes());
            let response: [u8; SIZE] = request.bytes().try_into().unwrap();
            request.respond(&response).unwrap();
            if number == LAST {
                break;
            }
        }
    }
}

/// Each side sleeps while it waits. The other side is busy meanwhile, and that time is not counted.
struct Parked {
    end: End,
    wake_ups: [WakeUp; 2],
}

const WAKES: usize = 12;
/// After this time a waiter no longer spins, and its first short sleep is over.
const ASLEEP: Duration = Duration::from_millis(3);

impl Scenario for Parked {
    fn here(&mut self, pair: &Pair) -> Vec<Found> {
        let [there, back] = &self.wake_ups;
        let client = self.end.client();
        let (mut ours, mut bare) = (Times::new(), Times::new());
        pair.meet();
        for _ in 0..WAKES {
            busy_for(ASLEEP);
            let start = clock::now();
            let busy = word(client.call(&[0; SIZE]).unwrap());
            ours.record((clock::now() - start).saturating_sub(busy));

            busy_for(ASLEEP);
            let start = clock::now();
            there.ring();
            back.wait();
            let busy = pair.reply().load(Ordering::Relaxed);
            bare.record((clock::now() - start).saturating_sub(busy));
        }
        pair.meet();
        vec![Found::new(ours.percentile(0.5), bare.percentile(0.5))]
    }

    fn there(&mut self, pair: &Pair) {
        let [there, back] = &self.wake_ups;
        let server = self.end.server();
        pair.meet();
        for _ in 0..WAKES {
            let request = server.recv().unwrap();
            let start = clock::now();
            busy_for(ASLEEP);
            let mut response = [0; SIZE];
            stamp(&mut response, clock::now() - start);
            request.respond(&response).unwrap();

            there.wait();
            let start = clock::now();
            busy_for(ASLEEP);
            let busy = clock::now() - start;
            // Relaxed: the wake-up that follows has release order.
            pair.reply().store(busy, Ordering::Relaxed);
            back.ring();
        }
        pair.meet();
    }
}
