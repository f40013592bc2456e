//! Tests of `WaitSet`, which waits for several wait sources at once, on every system.

use crate::common::{self, eventually, hear, say, start, time_used};
use shmkit::ErrorKind::{InvalidArgument, NotFound};
use shmkit::{
    CallError, Client, DisconnectReason, Event, Process, ProcessIdentity, Publisher, Reader, Ready,
    Receiver, RecvError, Reset, Sender, Server, Subscriber, WaitSet, Waitable, Writer,
};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("publisher", [name]) => be_publisher(name),
        ("server", [name]) => common::answer_nothing(name),
        ("idler", [name, seconds]) => idle(name, seconds.parse().unwrap()),
        ("quiet", [_]) => {
            say("ready");
            while hear().is_some() {}
        }
        other => panic!("no role {other:?}"),
    }
}

fn be_publisher(name: &str) {
    let mut publisher = Publisher::create(name).unwrap();
    say("ready");
    while let Some(line) = hear() {
        publisher.send(line.as_bytes()).unwrap();
    }
}

/// Creates a queue for a few short messages.
fn small(name: &str) -> Receiver {
    let options = Receiver::options()
        .capacity(1024)
        .max_message(64)
        .senders(1);
    options.create(name).unwrap()
}

/// Waits until the owner or another participant of the segment `name` sleeps.
fn until_asleep(name: &str) {
    eventually("a participant sleeps", || common::is_asleep(name, None));
}

/// One wait source of each kind, and a set to wait for them.
struct Ends {
    receiver: Receiver,
    subscriber: Subscriber,
    reader: Reader,
    server: Server,
    client: Client,
    event: Event,
    process: Process,
    set: WaitSet,
}

impl Ends {
    fn ready(&mut self) -> Option<usize> {
        let all: &mut [&mut dyn Waitable] = &mut [
            &mut self.receiver,
            &mut self.subscriber,
            &mut self.reader,
            &mut self.server,
            &mut self.client,
            &mut self.event,
            &mut self.process,
        ];
        self.set.try_wait(all).unwrap()
    }

    /// Consumes what the wait sources report when participants have joined.
    fn clear(&mut self) {
        while let Some(n) = self.ready() {
            match n {
                0 => assert!(matches!(self.receiver.try_recv(), Err(RecvError::Empty))),
                3 => assert!(matches!(self.server.try_recv(), Err(RecvError::Empty))),
                other => panic!("{other} is ready"),
            }
        }
    }
}

#[test]
fn wait_set_reports_each_ready_source() {
    let (mut test, name) = start("each");
    let of = |kind: &str| format!("{name}-{kind}");
    let child = test.child("waiting/quiet", &[&name]);
    let mut publisher = Publisher::create(&*of("topic")).unwrap();
    let mut writer = Writer::create(&*of("value")).unwrap();
    let mut ends = Ends {
        receiver: Receiver::create(&*of("queue")).unwrap(),
        subscriber: Subscriber::open(&*of("topic")).unwrap(),
        reader: Reader::open(&*of("value")).unwrap(),
        server: Server::create(&*of("calls")).unwrap(),
        client: Client::open(&*of("calls")).unwrap(),
        event: Event::create_new(&*of("event"), Reset::Auto).unwrap(),
        process: ProcessIdentity::of(child.id()).unwrap().watch().unwrap(),
        set: WaitSet::new(),
    };
    let mut sender = Sender::open(&*of("queue")).unwrap();
    ends.clear();
    sender.send(b"17 pieces").unwrap();
    assert_eq!(ends.ready(), Some(0));
    assert_eq!(ends.ready(), Some(0), "until received");
    assert_eq!(ends.receiver.try_recv().unwrap(), b"17 pieces");
    assert_eq!(ends.ready(), None);
    publisher.send(b"101.5").unwrap();
    assert_eq!(ends.ready(), Some(1));
    assert_eq!(ends.subscriber.try_recv().unwrap(), b"101.5");
    writer.set(b"20 degrees").unwrap();
    assert_eq!(ends.ready(), Some(2));
    assert_eq!(ends.reader.try_change().unwrap(), 0);
    assert_eq!(ends.ready(), None);
    let call = ends.client.send(b"ABCD").unwrap();
    assert_eq!(ends.ready(), Some(3));
    let request = ends.server.try_recv().unwrap();
    request.respond(b"fine").unwrap();
    assert_eq!(ends.ready(), Some(4));
    assert_eq!(ends.client.try_recv(&call).unwrap(), b"fine");
    assert_eq!(ends.ready(), None, "it was received");
    Event::open_rw(&*of("event")).unwrap().set().unwrap();
    assert_eq!(ends.ready(), Some(5));
    assert_eq!(ends.ready(), Some(5), "until taken");
    child.kill();
    let both = [ends.ready(), ends.ready()];
    assert!(
        both.contains(&Some(5)) && both.contains(&Some(6)),
        "{both:?}"
    );
}

#[test]
fn wait_set_keeps_signal_for_its_event() {
    let (_test, name) = start("signal");
    let mut event = Event::create_new(&*name, Reset::Auto).unwrap();
    let other = Event::open_rw(&*name).unwrap();
    let mut set = WaitSet::new();
    assert_eq!(set.try_wait(&mut [&mut event]).unwrap(), None);
    other.set().unwrap();
    assert_eq!(set.wait(&mut [&mut event]).unwrap(), 0);
    assert!(!other.try_wait().unwrap(), "the wait took it");
    assert_eq!(event.is_set(), Some(true));
    assert!(event.try_wait().unwrap());
    assert!(!event.try_wait().unwrap());
    assert_eq!(set.try_wait(&mut [&mut event]).unwrap(), None);
    other.set().unwrap();
    assert_eq!(set.wait(&mut [&mut event]).unwrap(), 0);
    event.reset().unwrap();
    assert!(!event.try_wait().unwrap(), "the reset took it");
}

#[test]
fn sleeping_wait_set_wakes_for_its_sources() {
    let (mut test, name) = start("woken");
    let of = |kind: &str| format!("{name}-{kind}");
    let mut receiver = Receiver::create(&*of("queue")).unwrap();
    let mut sender = Sender::open(&*of("queue")).unwrap();
    let mut subscriber_of = test.child("waiting/publisher", &[&of("topic")]);
    subscriber_of.expect("ready");
    let mut subscriber = Subscriber::open(&*of("topic")).unwrap();
    let mut server = Server::create(&*of("calls")).unwrap();
    let calls = of("calls");
    let mut event = Event::create_new(&*of("event"), Reset::Auto).unwrap();
    let setter = Event::open_rw(&*of("event")).unwrap();
    let queue = of("queue");
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut set = WaitSet::new();
            loop {
                let all: &mut [&mut dyn Waitable] =
                    &mut [&mut receiver, &mut subscriber, &mut server, &mut event];
                let what = match set.wait(all).unwrap() {
                    0 => match receiver.try_recv() {
                        Ok(message) => String::from_utf8(message.to_vec()).unwrap(),
                        // The receiver saw that a sender has joined, and has no message.
                        Err(RecvError::Empty) => continue,
                        Err(other) => panic!("{other}"),
                    },
                    1 => match subscriber.try_recv() {
                        Ok(message) => String::from_utf8(message.to_vec()).unwrap(),
                        Err(RecvError::Disconnected(how)) => how.to_string(),
                        Err(other) => panic!("{other}"),
                    },
                    2 => match server.try_recv() {
                        Ok(request) => {
                            let bytes = request.bytes().to_vec();
                            request.respond(b"done").unwrap();
                            String::from_utf8(bytes).unwrap()
                        }
                        Err(RecvError::Empty) => continue,
                        Err(other) => panic!("{other}"),
                    },
                    _ => event.try_wait().unwrap().to_string(),
                };
                let is_last = what == "died";
                tell.send(what).unwrap();
                if is_last {
                    return;
                }
            }
        });
        let hear = || told.recv_timeout(LONG).unwrap();
        until_asleep(&queue);
        sender.send(b"order").unwrap();
        assert_eq!(hear(), "order");
        until_asleep(&queue);
        subscriber_of.tell("tick");
        assert_eq!(hear(), "tick");
        until_asleep(&queue);
        let mut client = Client::open(&*calls).unwrap();
        assert_eq!(client.call(b"request").unwrap(), b"done");
        assert_eq!(hear(), "request");
        until_asleep(&queue);
        setter.set().unwrap();
        assert_eq!(hear(), "true");
        until_asleep(&queue);
        subscriber_of.kill();
        assert_eq!(hear(), "died");
        drop(told);
    });
}

#[test]
fn wait_set_reports_publisher_end_once() {
    let (_test, name) = start("end");
    let publisher = Publisher::create(&*name).unwrap();
    let mut subscriber = Subscriber::open(&*name).unwrap();
    let mut set = WaitSet::new();
    assert_eq!(set.try_wait(&mut [&mut subscriber]).unwrap(), None);
    drop(publisher);
    assert_eq!(set.wait(&mut [&mut subscriber]).unwrap(), 0);
    let closed = RecvError::Disconnected(DisconnectReason::Closed).to_string();
    assert_eq!(subscriber.try_recv().unwrap_err().to_string(), closed);
    let moment = Duration::from_millis(20);
    assert_eq!(
        set.wait_timeout(&mut [&mut subscriber], moment).unwrap(),
        None
    );
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut messages = Vec::new();
            while messages.is_empty() {
                set.wait(&mut [&mut subscriber]).unwrap();
                while let Ok(message) = subscriber.try_recv() {
                    messages.push(message.to_vec());
                }
            }
            messages
        });
        let mut next = Publisher::create(&*name).unwrap();
        // A subscriber that reattaches begins with the messages that come after that.
        while !waiter.is_finished() {
            next.send(b"from the next").unwrap();
        }
        assert_eq!(waiter.join().unwrap()[0], b"from the next");
    });
}

fn has_died(response: Result<&[u8], CallError>) -> bool {
    matches!(
        response,
        Err(CallError::Disconnected(DisconnectReason::Died))
    )
}

#[test]
fn killed_server_ends_all_pending_calls() {
    let (mut test, name) = start("call-end");
    let mut child = test.child("waiting/server", &[&name]);
    child.expect("ready");
    let mut client = Client::open(&*name).unwrap();
    let mut set = WaitSet::new();
    let first = client.send(b"1").unwrap();
    let second = client.send(b"2").unwrap();
    child.expect("asked");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            assert_eq!(set.wait(&mut [&mut client]).unwrap(), 0);
            assert!(has_died(client.try_recv(&first)));
            assert_eq!(set.try_wait(&mut [&mut client]).unwrap(), Some(0));
            assert!(has_died(client.try_recv(&second)));
            assert_eq!(set.try_wait(&mut [&mut client]).unwrap(), None);
        });
        until_asleep(&name);
        child.kill();
        waiter.join().unwrap();
    });
}

#[test]
fn wait_set_serves_ready_sources_in_turn() {
    let (_test, name) = start("fair");
    let queues = [format!("{name}-a"), format!("{name}-b")];
    let [mut busy, mut other] = queues.clone().map(|name| Receiver::create(&*name).unwrap());
    let mut senders = queues.map(|name| Sender::open(&*name).unwrap());
    let mut event = Event::create_new(&*name, Reset::Auto).unwrap();
    event.set().unwrap();
    let mut told = [0; 3];
    let mut set = WaitSet::new();
    for _ in 0..300 {
        senders
            .iter_mut()
            .for_each(|sender| sender.send(b"x").unwrap());
        let n = set.wait(&mut [&mut busy, &mut other, &mut event]).unwrap();
        told[n] += 1;
        match n {
            0 => drop(busy.drain(|_| {})),
            1 => drop(other.drain(|_| {})),
            _ => {
                assert!(event.try_wait().unwrap());
                event.set().unwrap();
            }
        }
    }
    assert_eq!(told, [100; 3]);
}

#[test]
fn wait_set_accepts_hundreds_of_sources() {
    const COUNT: usize = 300;
    let (_test, name) = start("many");
    let of = |n: usize| format!("{name}-{n}");
    let make = |n| Event::create_new(&*of(n), Reset::Auto).unwrap();
    let mut events: Vec<Event> = (0..COUNT).map(make).collect();
    let setters: Vec<Event> = (0..COUNT)
        .map(|n| Event::open_rw(&*of(n)).unwrap())
        .collect();
    let mut queue = small(&name);
    let mut sender = Sender::open(&*name).unwrap();
    let mut set = WaitSet::new();
    let mut signals = BTreeMap::new();
    std::thread::scope(|scope| {
        let setting = scope.spawn(|| {
            // Sets the events in an irregular order, several at a time, and each event only after
            // its last signal was taken.
            for round in 0..3 {
                for n in 0..COUNT {
                    setters[n * 7 % COUNT].set().unwrap();
                }
                sender.send(&[round]).unwrap();
                eventually("all signals are taken", || {
                    setters.iter().all(|event| event.is_set() == Some(false))
                });
            }
        });
        let (mut count, mut messages) = (0, 0);
        while count < 3 * COUNT || messages < 3 {
            let mut all: Vec<&mut dyn Waitable> = vec![&mut queue];
            all.extend(events.iter_mut().map(|event| event as &mut dyn Waitable));
            match set.wait_timeout(&mut all, LONG).unwrap().expect("in time") {
                0 => messages += queue.drain(|_| {}).unwrap(),
                n => {
                    assert!(events[n - 1].try_wait().unwrap());
                    *signals.entry(n - 1).or_insert(0) += 1;
                    count += 1;
                }
            }
        }
        setting.join().unwrap();
    });
    assert!(signals.len() == COUNT && signals.values().all(|times| *times == 3));
}

#[test]
fn blocking_receive_wakes_after_wait_set_timeout() {
    let (_test, name) = start("after");
    let make = |n| Event::create_new(format!("{name}-{n}"), Reset::Auto).unwrap();
    let mut events: Vec<Event> = (0..150).map(make).collect();
    let mut queue = small(&name);
    let mut sender = Sender::open(&*name).unwrap();
    assert!(matches!(queue.try_recv(), Err(RecvError::Empty)));
    let mut set = WaitSet::new();
    for _ in 0..20 {
        let mut all: Vec<&mut dyn Waitable> = Vec::new();
        all.extend(events.iter_mut().map(|event| event as &mut dyn Waitable));
        all.push(&mut queue);
        let moment = Duration::from_millis(5);
        assert_eq!(set.wait_timeout(&mut all, moment).unwrap(), None);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.recv_timeout(LONG).unwrap().to_vec());
            until_asleep(&name);
            // Waits until the first park of 1 ms is over, after which the receiver looks by itself.
            std::thread::sleep(moment);
            sender.send(b"x").unwrap();
            assert_eq!(waiter.join().unwrap(), b"x");
        });
    }
}

#[test]
fn workers_wait_for_calls_and_stop_events() {
    const CALLS: usize = 200;
    let (_test, name) = start("workers");
    let server = Server::create(&*name).unwrap();
    let mut stops: Vec<Event> = Vec::new();
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for n in 0..3 {
            let stop = format!("{name}-stop-{n}");
            stops.push(Event::create_new(&*stop, Reset::Manual).unwrap());
            let mut stop = Event::open(&*stop).unwrap();
            let mut server = server.clone();
            workers.push(scope.spawn(move || {
                let mut set = WaitSet::new();
                let mut served = 0;
                loop {
                    match set.wait(&mut [&mut server, &mut stop]).unwrap() {
                        0 => match server.try_recv() {
                            Ok(request) => {
                                served += 1;
                                let bytes = request.bytes().to_vec();
                                request.respond(&bytes).unwrap();
                            }
                            Err(RecvError::Empty) => {}
                            Err(other) => panic!("{other}"),
                        },
                        _ => return served,
                    }
                }
            }));
        }
        let mut client = Client::open(&*name).unwrap();
        for n in 0..CALLS {
            let request = n.to_le_bytes();
            assert_eq!(client.call_timeout(&request, LONG).unwrap(), request);
            // One worker ends, and the others receive the rest of the requests.
            if n == CALLS / 2 {
                stops[0].set().unwrap();
            }
        }
        stops.iter().for_each(|stop| stop.set().unwrap());
        let served: usize = workers.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(served, CALLS);
    });
}

#[test]
fn wait_set_times_out_and_requires_sources() {
    let (_test, name) = start("time");
    let mut queue = small(&name);
    let mut set = WaitSet::new();
    let moment = Duration::from_millis(5);
    assert_eq!(set.wait_timeout(&mut [&mut queue], moment).unwrap(), None);
    assert_eq!(
        set.wait_or_input(&mut [], Some(moment)).unwrap(),
        Ready::TimedOut
    );
    common::refused(InvalidArgument, set.wait(&mut []));
    common::refused(InvalidArgument, set.wait_timeout(&mut [], moment));
}

/// Waits for `seconds` for a hundred wait sources of all kinds, and tells the parent the processor
/// time.
fn idle(name: &str, seconds: u64) {
    let all = |kind: &str| {
        (0..20)
            .map(|n| format!("{name}-{kind}-{n}"))
            .collect::<Vec<_>>()
    };
    // Two workers of one server, one of which has to wait to become the leader.
    let mut worker = Server::create(format!("{name}-workers")).unwrap();
    let mut other = worker.clone();
    let mut queues: Vec<_> = all("queue").iter().map(|name| small(name)).collect();
    let _senders: Vec<_> = all("queue")
        .iter()
        .map(|name| Sender::open(&**name))
        .collect();
    let _topics: Vec<_> = all("topic")
        .iter()
        .map(|name| Publisher::create(&**name))
        .collect();
    let open = |name: &String| Subscriber::open(&**name).unwrap();
    let mut subscribers: Vec<_> = all("topic").iter().map(open).collect();
    let _writers: Vec<_> = all("value")
        .iter()
        .map(|name| Writer::create(&**name))
        .collect();
    let mut readers: Vec<_> = all("value")
        .iter()
        .map(|name| Reader::open(&**name).unwrap())
        .collect();
    let mut servers: Vec<_> = all("calls")
        .iter()
        .map(|name| Server::create(&**name).unwrap())
        .collect();
    let create = |name: &String| Event::create_new(&**name, Reset::Auto).unwrap();
    let mut events: Vec<_> = all("event").iter().map(create).collect();
    // The receivers see that the senders have joined.
    queues
        .iter_mut()
        .for_each(|queue| assert_eq!(queue.drain(|_| {}).unwrap(), 0));
    let mut sources: Vec<&mut dyn Waitable> = Vec::new();
    sources.extend(queues.iter_mut().map(|one| one as &mut dyn Waitable));
    sources.extend(subscribers.iter_mut().map(|one| one as &mut dyn Waitable));
    sources.extend(readers.iter_mut().map(|one| one as &mut dyn Waitable));
    sources.extend(servers.iter_mut().map(|one| one as &mut dyn Waitable));
    sources.extend(events.iter_mut().map(|one| one as &mut dyn Waitable));
    sources.extend([&mut worker as &mut dyn Waitable, &mut other]);
    assert_eq!(sources.len(), 102);
    let mut set = WaitSet::new();
    // The first wait creates what the set needs.
    let found = set
        .wait_timeout(&mut sources, Duration::from_millis(10))
        .unwrap();
    assert_eq!(found, None);
    let before = time_used();
    let found = set
        .wait_timeout(&mut sources, Duration::from_secs(seconds))
        .unwrap();
    let cost = time_used() - before;
    say(&format!("{found:?} {}", cost.as_micros()));
}

/// In µs. Polling, or a look each millisecond, uses far more.
const NOTHING: u128 = 50_000;

#[test]
fn waiting_for_hundred_sources_uses_little_cpu() {
    let (mut test, name) = start("idle");
    let mut child = test.child("waiting/idler", &[&name, "5"]);
    let said = child.hear();
    let cost = said.strip_prefix("None ").expect("no source was ready");
    assert!(cost.parse::<u128>().unwrap() < NOTHING, "{cost} µs in 5 s");
    println!("{cost} µs in 5 s");
}

#[test]
fn ended_process_stays_ready_in_wait_set() {
    let (mut test, name) = start("ended");
    let child = test.child("waiting/quiet", &[&name]);
    let mut process: Process = ProcessIdentity::of(child.id()).unwrap().watch().unwrap();
    let mut set = WaitSet::new();
    let moment = Duration::from_millis(2);
    assert_eq!(set.wait_timeout(&mut [&mut process], moment).unwrap(), None);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| set.wait(&mut [&mut process]).unwrap());
        child.kill();
        assert_eq!(waiter.join().unwrap(), 0);
    });
    assert_eq!(set.wait(&mut [&mut process]).unwrap(), 0);
}

#[test]
fn open_with_wait_option_awaits_owner() {
    let (_test, name) = start("first");
    let of = |kind: &str| format!("{name}-{kind}");
    common::refused(
        NotFound,
        Subscriber::options()
            .wait(Duration::from_millis(10))
            .open(of("a")),
    );
    std::thread::scope(|scope| {
        let first = [
            scope.spawn(|| drop(Subscriber::options().wait(LONG).open(of("topic")).unwrap())),
            scope.spawn(|| drop(Sender::options().wait(LONG).open(of("queue")).unwrap())),
            scope.spawn(|| drop(Reader::options().wait(LONG).open(of("value")).unwrap())),
            scope.spawn(|| drop(Client::options().wait(LONG).open(of("calls")).unwrap())),
        ];
        let _publisher = Publisher::create(of("topic")).unwrap();
        let _receiver = Receiver::create(of("queue")).unwrap();
        let _writer = Writer::create(of("value")).unwrap();
        let _server = Server::create(of("calls")).unwrap();
        for one in first {
            one.join().unwrap();
        }
    });
}
