//! A process is killed at a random moment: while it joins, works or leaves. The other processes
//! continue.

use super::*;
use crate::common::start;
use crate::messages::restart::{comes, eventually_created};
use shmkit::{CallError, Client, Reader, Server, Writer};
use std::sync::atomic::AtomicBool;
use std::thread::scope;

/// The longest wait of each surviving process. A death is noticed in much less time.
const LONG: Duration = Duration::from_secs(600);
const KINDS: [&str; 8] = [
    "sender",
    "receiver",
    "publisher",
    "subscriber",
    "writer",
    "reader",
    "client",
    "server",
];
const MAX: usize = LONGEST as usize;
/// The sender number of the endpoint that follows a killed one.
const NEXT: u64 = 2;

fn kills() -> u64 {
    match std::env::var_os("SHMKIT_TEST_LONG") {
        Some(_) => 1000,
        None => 64,
    }
}

pub fn victim(kind: &str, name: &str) {
    let words = Words::of(name);
    say("ready");
    hear();
    let mut n = 0;
    let mut next = || {
        n += 1;
        words.begun(0).store(n, SeqCst);
        message(0, n - 1, MAX)
    };
    let done = || words.done(0).store(words.begun(0).load(SeqCst), SeqCst);
    match kind {
        "sender" => loop {
            let mut sender = Sender::open(name).unwrap();
            for _ in 0..5 {
                sender.send(&next()).unwrap();
                done();
            }
        },
        "receiver" => loop {
            let mut receiver =
                eventually_created(|| Receiver::options().max_message(LONGEST).create(name));
            (0..5).for_each(|_| comes(receiver.recv_timeout(LONG).unwrap(), MAX, &words));
        },
        "publisher" => {
            let mut publisher = topic(name, Delivery::Lossless);
            loop {
                publisher.send(&next()).unwrap();
                done();
            }
        }
        "subscriber" => loop {
            let mut subscriber = subscriber(name, Start::New);
            (0..5).for_each(|_| assert_eq!(whole(subscriber.recv().unwrap(), MAX).0, 0));
        },
        "writer" => {
            let mut writer = Writer::options().max_value(LONGEST).create(name).unwrap();
            loop {
                writer.set(&next()).unwrap();
                done();
            }
        }
        "reader" => loop {
            let mut reader = Reader::open(name).unwrap();
            (0..5).for_each(|_| assert_eq!(whole(reader.get().unwrap(), MAX).0, 0));
        },
        "client" => loop {
            let mut client = Client::open(name).unwrap();
            (0..5).for_each(|_| ask(&mut client, &next()).unwrap());
        },
        "server" => {
            let mut server = Server::options().max_message(LONGEST).create(name).unwrap();
            loop {
                answer(&mut server);
            }
        }
        other => panic!("no {other}"),
    }
}

fn ask(client: &mut Client, request: &[u8]) -> Result<(), CallError> {
    let response = client.call_timeout(request, LONG)?;
    assert_eq!(response, request);
    Ok(())
}

fn answer(server: &mut Server) -> (u64, u64) {
    let request = server.recv_timeout(LONG).unwrap();
    let bytes = request.bytes().to_vec();
    request.respond(&bytes).unwrap();
    whole(&bytes, MAX)
}

/// A child that is killed after a delay.
struct Doomed {
    child: TestChild,
    after: Duration,
}

impl Doomed {
    fn begin(&mut self) {
        self.child.tell("go");
    }

    fn die(self) {
        std::thread::sleep(self.after);
        self.child.kill();
    }
}

fn sender(name: &str, words: &Words, mut doomed: Doomed) {
    let options = Receiver::options().capacity(CAPACITY).max_message(LONGEST);
    let mut receiver = options.senders(1).create(name).unwrap();
    let mut inbox = Inbox::new(MAX);
    scope(|scope| {
        scope.spawn(|| {
            while inbox.of(NEXT) == 0 {
                match receiver.recv_timeout(LONG) {
                    Ok(bytes) => inbox.take(bytes),
                    Err(error) => assert!(matches!(error, RecvError::Disconnected(_)), "{error}"),
                }
            }
        });
        doomed.begin();
        doomed.die();
        let mut next = Sender::open(name).unwrap();
        next.send_timeout(&message(NEXT, 0, MAX), LONG).unwrap();
    });
    words.agree(0, inbox.of(0));
}

fn receiver(name: &str, words: &Words, mut doomed: Doomed) {
    // The sender keeps the name in use from the beginning.
    let first = Receiver::options().max_message(LONGEST).create(name);
    let mut sender = Sender::open(name).unwrap();
    drop(first);
    doomed.begin();
    let stop = AtomicBool::new(false);
    let mut sent = 0;
    scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                match sender.send_timeout(&message(0, sent, MAX), 10 * MOMENT) {
                    Ok(()) => sent += 1,
                    Err(SendError::Disconnected(_) | SendError::Timeout) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        doomed.die();
        stop.store(true, SeqCst);
    });
    let mut next = eventually_created(|| Receiver::create(name));
    sender.send_timeout(&message(0, sent, MAX), LONG).unwrap();
    while words.begun(0).load(SeqCst) <= sent {
        comes(next.recv_timeout(LONG).unwrap(), MAX, words);
    }
    // At most the message that the killed receiver was handling is lost.
    assert!(words.done(0).load(SeqCst) <= 1);
}

fn publisher(name: &str, words: &Words, mut doomed: Doomed) {
    doomed.begin();
    let open = || Subscriber::options().start(Start::Oldest).open(name).ok();
    let died = AtomicBool::new(false);
    let listener = scope(|scope| {
        let listening = scope.spawn(|| {
            let mut listener = loop {
                match open() {
                    Some(listener) => break listener,
                    // The publisher died before its topic existed.
                    None if died.load(SeqCst) => return None,
                    None => std::thread::yield_now(),
                }
            };
            // Before this subscriber joined, the publisher waited for no subscriber.
            let mut next = listener.next_number();
            let end = loop {
                match listener.recv_timeout(LONG) {
                    Ok(bytes) => assert_eq!(whole(bytes, MAX).1, next),
                    Err(end) => break end,
                }
                next += 1;
            };
            assert_eq!(format!("{end:?}"), "Disconnected(Died)");
            words.agree(0, next);
            Some(listener)
        });
        doomed.die();
        died.store(true, SeqCst);
        listening.join().unwrap()
    });
    let mut next = eventually_created(|| Publisher::create(name));
    for mut listener in listener.into_iter().chain(open()) {
        next.send(b"next").unwrap();
        assert!(
            listener.generation() == next.generation()
                || listener.wait_for_publisher(LONG).unwrap()
        );
        assert_eq!(listener.recv_timeout(LONG).unwrap(), b"next");
    }
}

fn subscribers(name: &str, _: &Words, mut doomed: Doomed) {
    let mut publisher = topic(name, Delivery::Lossless);
    let mut stable = subscriber(name, Start::Oldest);
    let stop = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            let mut seen = Seen::default();
            let end = seen.take_all(&mut stable);
            assert_eq!(format!("{end:?}"), "Disconnected(Closed)");
            assert_eq!(seen.missed, 0);
        });
        let publishing = scope.spawn(|| {
            let mut more = 0;
            while more < 1000 {
                more += u32::from(stop.load(SeqCst));
                let next = message(0, publisher.sent(), MAX);
                publisher.send_timeout(&next, LONG).unwrap();
            }
            publisher
        });
        doomed.begin();
        doomed.die();
        stop.store(true, SeqCst);
        drop(publishing.join().unwrap());
    });
}

fn writer(name: &str, words: &Words, mut doomed: Doomed) {
    doomed.begin();
    let died = AtomicBool::new(false);
    let newest = |reader: &mut Reader| reader.get().map_or(0, |value| whole(value, MAX).1 + 1);
    let reader = scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = None;
            let mut last = 0;
            while !died.load(SeqCst) {
                reader = reader.or_else(|| Reader::open(name).ok());
                let now = reader.as_mut().map_or(0, newest);
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
            reader
        });
        doomed.die();
        died.store(true, SeqCst);
        reading.join().unwrap()
    });
    let mut next = eventually_created(|| Writer::options().max_value(LONGEST).create(name));
    if let Some(mut reader) = reader {
        words.agree(0, newest(&mut reader));
    }
    next.set(&message(0, 7, MAX)).unwrap();
    assert_eq!(newest(&mut Reader::open(name).unwrap()), 8);
}

fn reader(name: &str, _: &Words, mut doomed: Doomed) {
    let mut writer = Writer::options().max_value(LONGEST).create(name).unwrap();
    let mut other = Reader::open(name).unwrap();
    let stop = AtomicBool::new(false);
    let mut set = move |n| {
        let value = message(0, n, MAX);
        writer.set(&value).unwrap();
        assert_eq!(other.get().unwrap(), value);
    };
    set(0);
    scope(|scope| {
        scope.spawn(|| {
            let mut numbers = 1..;
            while !stop.load(SeqCst) {
                numbers.by_ref().take(1000).for_each(&mut set);
            }
        });
        doomed.begin();
        doomed.die();
        stop.store(true, SeqCst);
    });
}

fn client(name: &str, words: &Words, mut doomed: Doomed) {
    let options = Server::options().max_message(LONGEST).clients(1);
    let mut server = options.create(name).unwrap();
    let mut asked = 0;
    scope(|scope| {
        scope.spawn(|| {
            loop {
                match answer(&mut server) {
                    (NEXT, 9) => break,
                    (NEXT, _) => {}
                    (_, n) => {
                        assert!(n >= asked, "request {n} came again");
                        asked = n + 1;
                    }
                }
            }
        });
        doomed.begin();
        doomed.die();
        let mut next = Client::open(name).unwrap();
        (0..10).for_each(|n| ask(&mut next, &message(NEXT, n, MAX)).unwrap());
    });
    assert!(asked <= words.begun(0).load(SeqCst));
}

fn server(name: &str, _: &Words, mut doomed: Doomed) {
    doomed.begin();
    let died = AtomicBool::new(false);
    let client = scope(|scope| {
        let calling = scope.spawn(|| {
            let mut client = loop {
                match Client::open(name) {
                    Ok(client) => break client,
                    Err(_) if died.load(SeqCst) => return None,
                    Err(_) => std::thread::yield_now(),
                }
            };
            for n in 0.. {
                match ask(&mut client, &message(0, n, MAX)) {
                    Ok(()) => {}
                    Err(CallError::Disconnected(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            Some(client)
        });
        doomed.die();
        died.store(true, SeqCst);
        calling.join().unwrap()
    });
    let options = Server::options().max_message(LONGEST);
    let mut next = eventually_created(|| options.create(name));
    for mut client in client.into_iter().chain(Client::open(name)) {
        scope(|scope| {
            let there = client.generation() == next.generation();
            assert!(there || client.wait_for_server(LONG).unwrap());
            scope.spawn(|| ask(&mut client, &message(NEXT, 0, MAX)).unwrap());
            assert_eq!(answer(&mut next), (NEXT, 0));
        });
    }
}

#[test]
fn peers_survive_endpoint_killed_at_random() {
    let (mut test, name) = start("moments");
    let mut random = Random::new();
    for round in 0..kills() / KINDS.len() as u64 {
        test.once_more();
        let name = |kind: u64| format!("{name}-{round}-{kind}");
        let all = children(&mut test, KINDS.len() as u64, |kind| {
            TestChild::spawn("messages/moment", &[KINDS[kind as usize], &name(kind)])
        });
        for (kind, mut child) in (0..).zip(all) {
            child.expect("ready");
            let name = &*name(kind);
            let words = Words::of(name);
            let check = [
                sender,
                receiver,
                publisher,
                subscribers,
                writer,
                reader,
                client,
                server,
            ];
            // A child is at work after about 3 ms.
            let after = Duration::from_micros(random.below(8000));
            check[kind as usize](name, &words, Doomed { child, after });
        }
    }
    let (kills, roles) = (kills(), KINDS.len());
    println!("{kills} kills at random moments, of {roles} roles in turn, all survived");
    // Removes the stale files that the killed processes left.
    test.alone(shmkit::inspect::clean).unwrap();
}
