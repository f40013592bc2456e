//! Several publishers on one topic: each message has its publisher, each publisher has its order and
//! its count of missed messages, and the end of each is reported.

use super::*;
use crate::common::{refused, start};
use shmkit::DisconnectReason::{Closed, Died};
use shmkit::ErrorKind::{Busy, InvalidArgument, NotFound};
use shmkit::{DisconnectReason, PublisherId};
use std::thread::scope;

/// Creates a topic that has this number of publishers at most.
fn shared(name: &str, publishers: usize, delivery: Delivery) -> Publisher {
    let options = Publisher::options().capacity(CAPACITY).max_message(LONGEST);
    let options = options.publishers(publishers).delivery(delivery);
    options.create(name).unwrap()
}

/// What a subscriber has received of each publisher.
#[derive(Default)]
struct Audience {
    seen: HashMap<PublisherId, Seen>,
    gone: Vec<(PublisherId, DisconnectReason)>,
}

impl Audience {
    /// Takes one result of a receive, and returns an error that is about all publishers.
    #[track_caller]
    fn take(&mut self, subscriber: &mut Subscriber) -> Option<RecvError> {
        let max = subscriber.max_message();
        let came = subscriber.try_recv().map(<[u8]>::to_vec);
        if let Err(RecvError::PublisherGone { publisher, reason }) = came {
            assert!(self.gone.iter().all(|(one, _)| *one != publisher));
            self.gone.push((publisher, reason));
            return None;
        }
        if let Err(RecvError::Lagged(_)) | Ok(_) = came {
            let publisher = subscriber.publisher().expect("the publisher is known");
            let gone = self.gone.iter().any(|(one, _)| *one == publisher);
            assert!(!gone, "a message of {publisher}, which is gone");
            let seen = self.seen.entry(publisher).or_default();
            return seen.take(came.as_deref().map_err(Clone::clone), max);
        }
        came.err()
    }

    /// Takes everything that is there, and returns the error at the end.
    #[track_caller]
    fn take_all(&mut self, subscriber: &mut Subscriber) -> RecvError {
        loop {
            if let Some(end) = self.take(subscriber) {
                return end;
            }
        }
    }

    /// Takes all that is there now.
    #[track_caller]
    fn take_until_empty(&mut self, subscriber: &mut Subscriber) {
        let end = self.take_all(subscriber);
        assert!(matches!(end, RecvError::Empty), "{end:?}");
    }

    fn of(&self, publisher: &Publisher) -> Seen {
        self.seen.get(&publisher.id()).copied().unwrap_or_default()
    }
}

/// Sends the next message of a publisher.
fn send(publisher: &mut Publisher, from: u64, number: u64) {
    let message = message(from, number, publisher.max_message());
    publisher.send(&message).unwrap();
}

// layout: L290 L292 L297
#[test]
fn message_reports_its_publisher() {
    let (_test, name) = start("publishers");
    let mut publishers = vec![shared(&name, 3, Delivery::Lossy)];
    let mut early = subscriber(&name, Start::New);
    let observer = Subscriber::options().start(Start::Oldest).observer(true);
    let mut observer = observer.open(&*name).unwrap();
    publishers.extend([(); 2].map(|()| Publisher::open(&*name).unwrap()));
    assert_eq!(early.publisher(), None);

    let mut audiences = [Audience::default(), Audience::default()];
    for number in 0..40 {
        for (from, publisher) in publishers.iter_mut().enumerate() {
            send(publisher, from as u64, number);
        }
        for (audience, subscriber) in audiences.iter_mut().zip([&mut early, &mut observer]) {
            audience.take_until_empty(subscriber);
            for publisher in &publishers {
                assert_eq!(audience.of(publisher).received, number + 1);
            }
        }
    }
    let me = shmkit::ProcessIdentity::current().unwrap();
    assert!(publishers.iter().all(|one| one.id().process() == me));
    assert_eq!(
        (early.behind(), early.missed(), early.next_number()),
        (0, 0, 120)
    );

    // A late subscriber begins with the last message of each publisher.
    let mut late = Subscriber::open(&*name).unwrap();
    let mut lasts: Vec<_> = (0..3)
        .map(|_| whole(late.recv().unwrap(), LONGEST as usize))
        .collect();
    lasts.sort_unstable();
    assert_eq!(lasts, [(0, 39), (1, 39), (2, 39)]);
    assert_eq!(why(late.try_recv()), "Empty");
}

/// A publisher that takes a lane over still keeps the last messages in a long ring, with the times at
/// which they were sent.
// layout: L282 L287 L296
#[test]
fn next_publisher_keeps_long_messages_and_times() {
    const LEN: usize = 100_000;
    let (_test, name) = start("frames");
    let options = Publisher::options().publishers(2).max_message(LEN as u64);
    let _owner = options.keep(3).timestamps(true).create(&*name).unwrap();
    let mut sent = 0;
    for round in 0..8 {
        let mut guest = Publisher::open(&*name).unwrap();
        for _ in 0..round % 4 {
            guest
                .send(&vec![sent; LEN - usize::from(sent) * 100])
                .unwrap();
            sent += 1;
        }
        let kept = usize::from(sent).min(3);
        let mut late = subscriber(&name, Start::Oldest);
        let before = late.behind() as usize;
        assert!(before >= kept, "{before} of {sent}");
        for number in sent - before as u8..sent {
            let came = loop {
                match late.recv().map(|bytes| bytes[0]) {
                    Err(RecvError::PublisherGone { .. }) => {}
                    came => break came.unwrap(),
                }
            };
            assert_eq!(came, number);
            let at = late.sent_at().expect("a time stamp");
            assert!(at <= std::time::SystemTime::now());
        }
        assert!(!matches!(
            late.try_recv(),
            Ok(_) | Err(RecvError::Lagged(_))
        ));
    }
}

// layout: L128 L132
#[test]
fn missed_messages_are_counted_for_each_publisher() {
    let (_test, name) = start("missed");
    let mut owner = shared(&name, 2, Delivery::Lossy);
    let mut guest = Publisher::open(&*name).unwrap();
    let mut slow = subscriber(&name, Start::Oldest);
    let mut audience = Audience::default();
    for round in 0..50 {
        (0..7).for_each(|n| send(&mut owner, 0, round * 7 + n));
        (0..61).for_each(|n| send(&mut guest, 1, round * 61 + n));
        if round % 5 == 4 {
            audience.take_until_empty(&mut slow);
        }
    }
    let [of_owner, of_guest] = [audience.of(&owner), audience.of(&guest)];
    assert_eq!((of_owner.end(), of_guest.end()), (350, 3050));
    assert!(of_guest.missed > of_owner.missed && of_guest.received > 0);
    assert_eq!(slow.missed(), of_owner.missed + of_guest.missed);
}

// layout: L104 L290
#[test]
fn publisher_count_is_limited_by_creator() {
    let (_test, name) = start("limits");
    let owner = Publisher::create(&*name).unwrap();
    refused(Busy, Publisher::open(&*name));
    drop(owner);
    refused(NotFound, Publisher::open(&*name));

    let options = Publisher::options().capacity(CAPACITY).subscribers(2);
    for publishers in [0, 1023] {
        let refused = refused(
            InvalidArgument,
            options.clone().publishers(publishers).create(&*name),
        );
        assert!(refused.to_string().contains("publishers"), "{refused}");
    }
    let _owner = options.clone().publishers(3).create(&*name).unwrap();
    let mut guests = [(); 2].map(|()| Publisher::open(&*name).unwrap());
    refused(Busy, Publisher::open(&*name));
    refused(InvalidArgument, guests[0].resize(&options));
    // Subscribers and publishers take no slots of each other.
    let _subscribers = [(); 2].map(|()| Subscriber::open(&*name).unwrap());
    let info = shmkit::inspect::segment_info(&*name).unwrap();
    assert_eq!((info.lanes, info.others.map(|all| all.len())), (3, Some(4)));
    drop(guests);
    Publisher::open(&*name).unwrap();
}

// layout: L294 L298 L302
#[test]
fn end_of_each_publisher_is_reported() {
    let (mut test, name) = start("ends");
    let mut owner = shared(&name, 4, Delivery::Lossy);
    let mut subscriber = subscriber(&name, Start::New);
    let mut audience = Audience::default();
    let mut guest = Publisher::open(&*name).unwrap();
    let mut child = child(&mut test, "guest", &[&name, "2"]);
    send(&mut owner, 0, 0);
    send(&mut guest, 1, 0);
    child.tell("send 5");
    child.expect("sent");

    // The messages of a publisher come before its end.
    let closed = guest.id();
    drop(guest);
    audience.take_until_empty(&mut subscriber);
    assert_eq!(audience.gone, [(closed, Closed)]);
    assert_eq!(audience.seen[&closed].received, 1);

    // A death ends a wait.
    let died = *audience
        .seen
        .keys()
        .find(|one| one.process().pid() == child.id())
        .unwrap();
    child.kill();
    let end = subscriber.recv();
    let is_gone = matches!(end, Err(RecvError::PublisherGone { publisher, reason: Died }) if publisher == died);
    assert!(is_gone, "{end:?}");
    assert_eq!(subscriber.publisher(), Some(died));

    // When the owner ends, the others continue. When all have ended, there is nothing to wait for.
    let mut last = Publisher::open(&*name).unwrap();
    let owner_id = owner.id();
    drop(owner);
    send(&mut last, 3, 0);
    audience.take_until_empty(&mut subscriber);
    assert_eq!(audience.gone.last(), Some(&(owner_id, Closed)));
    assert_eq!(audience.of(&last).received, 1);
    // A subscriber can still join.
    let mut late = Subscriber::open(&*name).unwrap();
    while late.recv().is_err() || late.publisher() != Some(last.id()) {}
    drop(last);
    refused(NotFound, Subscriber::open(&*name));
    let end = audience.take_all(&mut subscriber);
    assert!(matches!(end, RecvError::Disconnected(Closed)), "{end:?}");
    assert!(matches!(
        subscriber.recv(),
        Err(RecvError::Disconnected(Closed))
    ));
    assert_eq!(audience.gone.len(), 3);
}

/// A publisher takes the lane of one that was killed, while a record of it is not complete.
// layout: L296 L297
#[test]
fn lane_of_killed_publisher_is_taken_over() {
    let (mut test, name) = start("taken");
    let _owner = shared(&name, 2, Delivery::Lossy);
    let mut subscriber = subscriber(&name, Start::New);
    let mut audience = Audience::default();
    for round in 0..12 {
        let mut child = child(&mut test, "guest", &[&name, "1"]);
        refused(Busy, Publisher::open(&*name));
        child.tell(&format!("send {round}"));
        child.expect("sent");
        child.tell(&format!("claim {}", 1 + round * 7));
        child.expect("claimed");
        child.kill();

        let mut next = Publisher::open(&*name).unwrap();
        (0..round).for_each(|n| send(&mut next, 2, n));
        assert_eq!(next.sent(), round);
        let id = next.id();
        drop(next);
        audience.take_until_empty(&mut subscriber);
        let [.., killed, closed] = audience.gone[..] else {
            panic!("two publishers are gone");
        };
        assert_eq!((killed.1, closed), (Died, (id, Closed)));
        let ends = [killed.0, id].map(|one| audience.seen.get(&one).map_or(0, |seen| seen.end()));
        assert_eq!(ends, [round; 2]);
    }
    assert_eq!(subscriber.missed(), 0);
}

/// Publishers reattach to the next owner, keep their identities, and lose no message.
// layout: L299 L301
#[test]
fn publishers_and_subscribers_outlive_the_owner() {
    let (mut test, name) = start("outlive");
    let mut guest = {
        let mut owner = test.child("messages/owner", &[&name]);
        owner.expect("ready");
        let guest = Publisher::open(&*name).unwrap();
        owner.kill();
        guest
    };
    // No owner, no new participants.
    refused(NotFound, Publisher::open(&*name));
    let mut numbers = 0..;
    let mut subscribers: Vec<(Subscriber, Audience)> = Vec::new();
    for round in 0..5 {
        let mut owner = shared(&name, 2, Delivery::Lossless);
        let id = owner.id();
        if round == 0 {
            subscribers.push((subscriber(&name, Start::New), Audience::default()));
        }
        send(&mut owner, 0, 0);
        (0..7).for_each(|_| send(&mut guest, 1, numbers.next().unwrap()));
        assert_eq!(guest.generation(), owner.generation());
        drop(owner);
        // Nobody owns the name.
        (0..3).for_each(|_| send(&mut guest, 1, numbers.next().unwrap()));
        for (subscriber, audience) in &mut subscribers {
            audience.take_until_empty(subscriber);
            assert_eq!(audience.gone.last(), Some(&(id, Closed)));
            assert_eq!(audience.of(&guest).received, numbers.start);
            assert_eq!(subscriber.missed(), 0);
        }
    }
    assert_eq!(subscribers[0].1.gone.len(), 5, "the guest is never gone");
}

/// Owns a topic until the parent kills it.
pub fn be_owner(name: &str) {
    let _owner = shared(name, 2, Delivery::Lossy);
    say("ready");
    hear();
}

// layout: L164 L299
#[test]
fn resize_keeps_the_messages_of_all_publishers() {
    let (_test, name) = start("resized");
    let mut owner = shared(&name, 3, Delivery::Lossless);
    let mut guest = Publisher::open(&*name).unwrap();
    let mut subscriber = subscriber(&name, Start::New);
    let mut audience = Audience::default();
    let options = Publisher::options().max_message(LONGEST).publishers(3);
    let options = options.delivery(Delivery::Lossless);
    for round in 0..4 {
        (0..5).for_each(|n| send(&mut owner, 0, round * 5 + n));
        (0..5).for_each(|n| send(&mut guest, 1, round * 5 + n));
        owner
            .resize(&options.clone().capacity(CAPACITY << (round % 2 + 1)))
            .unwrap();
        // The guest still has its lane of the generation before.
        assert_eq!(guest.generation() + 1, owner.generation());
        audience.take_until_empty(&mut subscriber);
        assert_eq!(subscriber.generation(), owner.generation());
    }
    send(&mut guest, 1, 20);
    audience.take_until_empty(&mut subscriber);
    assert_eq!(
        (audience.of(&owner).received, audience.of(&guest).received),
        (20, 21)
    );
    assert_eq!((subscriber.missed(), audience.gone.len()), (0, 0));
}

/// A publisher stops for long between its announcement and its second look at the subscribers.
// layout: L134
#[test]
fn announcement_in_one_lane_delays_no_other() {
    let (_test, name) = start("stopped");
    let mut owner = shared(&name, 3, Delivery::Lossless);
    let mut guest = Publisher::open(&*name).unwrap();
    let mut subscriber = subscriber(&name, Start::New);
    send(&mut owner, 0, 0);
    let lanes = Section::open_rw(format!("{name}~lanes-00000001")).unwrap();
    let lanes = lanes.map_rw(..).unwrap();
    let reserved = lanes.atomic_u64(0).unwrap();
    let before = reserved.swap(1 << 20, SeqCst);
    for number in 0..3 {
        send(&mut guest, 1, number);
        let came = whole(subscriber.try_recv().unwrap(), LONGEST as usize);
        assert_eq!(came, (1, number));
        assert_eq!(why(subscriber.try_recv()), "Empty");
    }
    reserved.store(before, SeqCst);
    let came = whole(subscriber.try_recv().unwrap(), LONGEST as usize);
    assert_eq!((came, subscriber.missed()), ((0, 0), 0));
}

/// A publisher was killed after it had announced that it would overwrite unread messages.
// layout: L300
#[test]
fn announcement_of_killed_publisher_stops_nobody() {
    let (_test, name) = start("announced");
    let _owner = shared(&name, 2, Delivery::Lossless);
    let mut subscriber = subscriber(&name, Start::New);
    let mut audience = Audience::default();
    let mut first = Publisher::open(&*name).unwrap();
    let sent = (0..).find(|n| first.try_send(&message(1, *n, LONGEST as usize)).is_err());
    let (sent, first_id) = (sent.unwrap(), first.id());
    drop(first);

    let lanes = Section::open_rw(format!("{name}~lanes-00000001")).unwrap();
    let lanes = lanes.map_rw(..).unwrap();
    let reserved = lanes.atomic_u64(512 + 4096).unwrap();
    reserved.fetch_add(512, SeqCst);
    let mut second = Publisher::open(&*name).unwrap();
    send(&mut second, 2, 0);
    audience.take_until_empty(&mut subscriber);
    let ends = [first_id, second.id()].map(|one| audience.seen[&one].end());
    assert!(subscriber.missed() > 0);
    assert_eq!(ends, [sent, 1]);
    assert_eq!(audience.gone, [(first_id, Closed)]);
    // From then on the publisher waits again.
    while second.try_send(&[1; 56]).is_ok() {}
    assert_eq!(why(second.send_timeout(&[1; 56], 5 * MOMENT)), "Timeout");
}

// layout: L126 L291
#[test]
fn every_publisher_waits_for_slow_subscribers() {
    const ALL: u64 = 2000;
    let (_test, name) = start("slow");
    let mut owner = shared(&name, 3, Delivery::Lossless);
    let mut guests = [(); 2].map(|()| Publisher::open(&*name).unwrap());
    let mut subscribers = [(); 2].map(|()| subscriber(&name, Start::New));
    // A full lane stops its own publisher only.
    let full = flood(|| guests[0].try_send(&[1; 56]));
    assert_eq!(full, "Full");
    assert_eq!(why(guests[0].send_timeout(&[1; 56], 5 * MOMENT)), "Timeout");
    owner.try_send(&[2; 56]).unwrap();
    for subscriber in &mut subscribers {
        let count = subscriber.drain(|_| {}).unwrap() as u64;
        assert_eq!(count, guests[0].sent() + 1);
    }

    scope(|scope| {
        let publishers = std::iter::once(&mut owner).chain(&mut guests);
        for (from, publisher) in publishers.enumerate() {
            scope.spawn(move || (0..ALL).for_each(|n| send(publisher, from as u64, n)));
        }
        for subscriber in &mut subscribers {
            scope.spawn(move || {
                let mut inbox = Inbox::new(LONGEST as usize);
                while inbox.all() < 3 * ALL {
                    inbox.take(subscriber.recv().unwrap());
                }
                assert_eq!(subscriber.missed(), 0);
            });
        }
    });
}
