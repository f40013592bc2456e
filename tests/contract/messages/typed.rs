//! Typed queues, topics and values: what they deliver, and which types they refuse.

use super::{MOMENT, child, flood, why};
use crate::common::{hear, refused, say, start};
use shmkit::ErrorKind::{Busy, Corrupt, InvalidArgument, NotFound, WrongKind, WrongType};
use shmkit::inspect::segment_info;
use shmkit::{Delivery, Described, Layout, Start};
use shmkit::{Publisher, Reader, Receiver, Sender, Subscriber, Writer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Tick {
    price: f64,
    volume: u32,
    symbol: [u8; 4],
}

/// An earlier version of `Tick`, with another type of `price`.
#[repr(C)]
#[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct OldTick {
    price: f32,
    volume: u32,
    symbol: [u8; 4],
}

/// The fields of `Tick` in another order.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Shuffled {
    price: f64,
    symbol: [u8; 4],
    volume: u32,
}

/// Another struct with the same layout as `Tick`, which is accepted in its place.
#[repr(C, packed)]
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SameTick {
    price: f64,
    volume: u32,
    symbol: [u8; 4],
}

shmkit::describe! {
    Tick { price: f64, volume: u32, symbol: [u8; 4] }
    OldTick { price: f32, volume: u32, symbol: [u8; 4] }
    Shuffled { price: f64, symbol: [u8; 4], volume: u32 }
    SameTick { price: f64, volume: u32, symbol: [u8; 4] }
}

pub fn tick(n: u32) -> Tick {
    Tick {
        price: f64::from(n) * 0.25,
        volume: n,
        symbol: *b"ABCD",
    }
}

fn queue(name: &str) -> Receiver<Tick> {
    let options = Receiver::options().capacity(4096).senders(2);
    options.typed().create(name).unwrap()
}

fn topic(name: &str) -> Publisher<Tick> {
    let options = Publisher::options().capacity(4096);
    options
        .delivery(Delivery::Lossless)
        .typed()
        .create(name)
        .unwrap()
}

/// Sends in each way, one after another, once for each order.
pub fn serve_sender(name: &str) {
    let mut sender = Sender::options().typed().open(name).unwrap();
    say("ready");
    while hear().is_some() {
        sender.send(&tick(0)).unwrap();
        sender.try_send(&tick(1)).unwrap();
        sender.send_timeout(&tick(2), MOMENT).unwrap();
        sender.send_all([tick(3), tick(4)]).unwrap();
        sender.send_all([tick(5)].iter()).unwrap();
        say("sent");
    }
}

pub fn serve_publisher(name: &str) {
    let mut publisher = topic(name);
    say("ready");
    while hear().is_some() {
        publisher.send(&tick(0)).unwrap();
        publisher.try_send(&tick(1)).unwrap();
        publisher.send_timeout(&tick(2), MOMENT).unwrap();
        publisher.send_all([tick(3), tick(4)]).unwrap();
        publisher.send_all([tick(5)].iter()).unwrap();
        say("sent");
    }
}

#[test]
fn typed_queue_delivers_values_between_processes() {
    let (mut test, name) = start("typed-queue");
    let mut receiver = queue(&name);
    let mut sender = child(&mut test, "typed-sender", &[&name]);
    for _ in 0..2 {
        sender.tell("send");
        assert_eq!(receiver.recv().unwrap(), tick(0));
        assert_eq!(receiver.recv_timeout(10_000 * MOMENT).unwrap(), tick(1));
        sender.expect("sent");
        assert_eq!(receiver.try_recv().unwrap(), tick(2));
        let mut drained = Vec::new();
        assert_eq!(receiver.drain(|value| drained.push(value)).unwrap(), 3);
        assert_eq!(drained, [3, 4, 5].map(tick));
        assert_eq!(why(receiver.try_recv()), "Empty");
        assert_eq!(why(receiver.recv_timeout(MOMENT)), "Timeout");
        assert_eq!(receiver.drain(|_| {}).unwrap(), 0);
    }
    sender.kill();
    assert_eq!(why(receiver.recv()), "Disconnected(Died)");
}

#[test]
fn typed_topic_delivers_values_between_processes() {
    let (mut test, name) = start("typed-topic");
    let mut publisher = child(&mut test, "typed-publisher", &[&name]);
    let options = shmkit::Subscriber::options().start(Start::Oldest);
    let mut subscriber = options.typed::<Tick>().open(&*name).unwrap();
    for _ in 0..2 {
        publisher.tell("send");
        assert_eq!(subscriber.recv().unwrap(), tick(0));
        assert_eq!(subscriber.recv_timeout(10_000 * MOMENT).unwrap(), tick(1));
        publisher.expect("sent");
        assert_eq!(subscriber.try_recv().unwrap(), tick(2));
        let mut drained = Vec::new();
        assert_eq!(subscriber.drain(|value| drained.push(value)).unwrap(), 3);
        assert_eq!(drained, [3, 4, 5].map(tick));
        assert_eq!(why(subscriber.try_recv()), "Empty");
        assert_eq!(why(subscriber.recv_timeout(MOMENT)), "Timeout");
        assert_eq!(subscriber.drain(|_| {}).unwrap(), 0);
    }
    let mut late = Subscriber::options().typed::<Tick>().open(&*name).unwrap();
    assert_eq!(late.recv().unwrap(), tick(5));
    publisher.kill();
    assert_eq!(why(subscriber.recv()), "Disconnected(Died)");
}

#[test]
fn full_typed_queue_reports_full() {
    let (_test, name) = start("typed-full");
    let mut receiver = queue(&name);
    let mut sender = Sender::options().typed().open(&*name).unwrap();
    let mut sent = 0;
    let full = flood(|| {
        sent += 1;
        sender.try_send(&tick(sent))
    });
    assert_eq!(full, "Full");
    assert_eq!(why(sender.send_timeout(&tick(0), MOMENT)), "Timeout");
    for n in 1..sent {
        assert_eq!(receiver.recv().unwrap(), tick(n));
    }
    assert_eq!(receiver.max_message(), 16);
    assert_eq!(sender.max_message(), 16);
    drop(receiver);
    assert_eq!(why(sender.send(&tick(0))), "Disconnected(Closed)");
}

/// Asserts that a queue and a topic refuse the type `T`, and that both errors contain `why`.
#[track_caller]
fn differs<T: Described>(names: [&str; 2], why: &str) {
    let [sent, received] = [
        refused(WrongType, Sender::options().typed::<T>().open(names[0])),
        refused(WrongType, Subscriber::options().typed::<T>().open(names[1])),
    ];
    for error in [sent, received] {
        assert!(error.to_string().contains(why), "{error}");
    }
}

// layout: L040
#[test]
fn wrong_type_error_names_first_difference() {
    let (_test, name) = start("typed-other");
    let names = [&*name, &*format!("{name}-topic")];
    let mut receiver = queue(names[0]);
    let mut publisher = topic(names[1]);
    differs::<OldTick>(names, "price is f64[1] at 0 there and f32[1] at 0 here");
    differs::<Shuffled>(names, "symbol is u8[4] at 12 there and u8[4] at 8 here");
    differs::<[u8; 16]>(names, "value is missing there and u8[16] at 0 here");
    // No refused endpoint has joined.
    assert!(segment_info(names[0]).unwrap().others.unwrap().is_empty());
    let mut sender = Sender::options()
        .typed::<SameTick>()
        .open(names[0])
        .unwrap();
    sender
        .send_all([SameTick::read_from_bytes(tick(7).as_bytes()).unwrap()])
        .unwrap();
    assert_eq!(receiver.recv().unwrap(), tick(7));
    let mut subscriber = Subscriber::options()
        .typed::<SameTick>()
        .open(names[1])
        .unwrap();
    publisher.send(&tick(8)).unwrap();
    assert_eq!(subscriber.recv().unwrap().as_bytes(), tick(8).as_bytes());
    refused(WrongKind, Sender::options().typed::<Tick>().open(names[1]));
    refused(
        WrongKind,
        Subscriber::options().typed::<Tick>().open(names[0]),
    );
}

// layout: L040
#[test]
fn typed_open_of_untyped_segment_is_refused() {
    let (_test, name) = start("typed-bare");
    let names = [&*name, &*format!("{name}-topic")];
    let options = Receiver::options().max_message(16);
    let _receiver = options.create(names[0]).unwrap();
    let options = Publisher::options().max_message(16);
    let _publisher = options.create(names[1]).unwrap();
    differs::<Tick>(names, "bare bytes");
    for name in names {
        assert_eq!(segment_info(name).unwrap().layout, None);
    }
}

// layout: L040 L042
#[test]
fn untyped_endpoints_exchange_bytes_with_typed_ones() {
    let (_test, name) = start("typed-other");
    let names = [&*name, &*format!("{name}-topic")];
    let mut receiver = queue(names[0]);
    let mut publisher = topic(names[1]);
    for name in names {
        let layout = segment_info(name).unwrap().layout.unwrap();
        assert_eq!(layout, Layout::of::<Tick>());
    }
    let mut subscriber = shmkit::Subscriber::open(names[1]).unwrap();
    publisher.send(&tick(1)).unwrap();
    assert_eq!(subscriber.recv().unwrap(), tick(1).as_bytes());

    let mut sender = shmkit::Sender::open(names[0]).unwrap();
    for message in [&[][..], &[1], &[2; 15], tick(2).as_bytes()] {
        sender.send(message).unwrap();
        match message.len() {
            16 => assert_eq!(receiver.recv().unwrap(), tick(2)),
            _ => assert_eq!(why(receiver.recv()), "Corrupt"),
        }
        sender
            .send_all([tick(3).as_bytes(), message, tick(4).as_bytes()])
            .unwrap();
        let mut drained = Vec::new();
        let answer = receiver.drain(|value| drained.push(value));
        match message.len() {
            16 => assert_eq!(answer.unwrap(), 3),
            _ => assert_eq!(why(answer), "Corrupt"),
        }
        drained.retain(|value| *value != tick(2));
        assert_eq!(drained, [3, 4].map(tick));
    }
    assert!(sender.send(&[0; 17]).is_err());

    let mut publisher = publisher.into_untyped();
    let mut typed = Subscriber::options()
        .typed::<Tick>()
        .open(names[1])
        .unwrap();
    assert_eq!(typed.recv().unwrap(), tick(1));
    publisher.send(b"short").unwrap();
    assert_eq!(why(typed.recv()), "Corrupt");
    publisher.send(tick(5).as_bytes()).unwrap();
    assert_eq!(typed.recv().unwrap(), tick(5));
    let mut bare = [receiver.into_untyped()];
    sender.send(b"raw").unwrap();
    assert_eq!(bare[0].recv().unwrap(), b"raw");
}

#[test]
fn runtime_layout_is_used_and_checked() {
    let (_test, name) = start("typed-late");
    let names = [&*name, &*format!("{name}-topic")];
    let layout = Layout::of::<Tick>();
    let options = Receiver::options().layout(layout.clone());
    let mut receiver = options.create(names[0]).unwrap();
    let mut sender = Sender::options().typed().open(names[0]).unwrap();
    sender.send(&tick(1)).unwrap();
    assert_eq!(receiver.recv().unwrap(), tick(1).as_bytes());
    let options = Publisher::options().layout(layout.clone());
    let mut publisher = options.create(names[1]).unwrap();
    publisher.send(tick(2).as_bytes()).unwrap();
    let mut subscriber = Subscriber::options()
        .typed::<Tick>()
        .open(names[1])
        .unwrap();
    assert_eq!(subscriber.recv().unwrap(), tick(2));
    assert_eq!([receiver.max_message(), publisher.max_message()], [16; 2]);
    drop((receiver, publisher, subscriber));
    // Layouts that are not valid, or that have no form as a text.
    for spoil in [
        |layout: &mut Layout| layout.size = 15,
        |layout: &mut Layout| layout.fields[1].offset = 4,
        |layout: &mut Layout| layout.fields[1].name = "volume:8".to_string(),
        |layout: &mut Layout| layout.fields[1].name = "x".repeat(4000),
        |layout: &mut Layout| layout.fields.clear(),
    ] {
        let mut layout = layout.clone();
        spoil(&mut layout);
        let options = Receiver::options().layout(layout.clone());
        refused(InvalidArgument, options.create(names[0]));
        let options = Publisher::options().layout(layout);
        refused(InvalidArgument, options.create(names[1]));
    }
}

/// The requested maximum length is shorter than the type, in either order of the options.
// layout: L033
#[test]
fn type_longer_than_max_message_is_refused() {
    let (_test, name) = start("typed-longest");
    let tick = Layout::of::<Tick>;
    let number = Layout::of::<u32>;
    let queue = Receiver::options;
    let topic = Publisher::options;
    let table = Writer::options;
    let calls = shmkit::Server::options;
    let refusals = [
        queue().layout(tick()).max_message(15).create(&*name).err(),
        queue().max_message(15).layout(tick()).create(&*name).err(),
        topic().layout(tick()).max_message(15).create(&*name).err(),
        topic().max_message(15).layout(tick()).create(&*name).err(),
        table().layout(tick()).max_value(15).create(&*name).err(),
        table().max_value(15).layout(tick()).create(&*name).err(),
        {
            let options = calls().layouts(number(), tick()).max_message(15);
            options.create(&*name).err()
        },
        {
            let options = calls().max_message(15).layouts(tick(), number());
            options.create(&*name).err()
        },
        queue().max_message(15).typed::<Tick>().create(&*name).err(),
    ];
    for (n, error) in refusals.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("{n} is not refused"));
        assert_eq!(error.kind(), InvalidArgument, "{n}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("16 bytes") && text.contains("15 bytes"),
            "{text}"
        );
    }
    // Each message has the size of the type, so a greater maximum has no effect.
    for options in [
        queue().layout(tick()).max_message(100),
        queue().max_message(100).layout(tick()),
        queue().max_message(16).layout(tick()),
    ] {
        assert_eq!(options.create(&*name).unwrap().max_message(), 16);
    }
    let mut receiver = Receiver::options().typed::<Tick>().create(&*name).unwrap();
    let options = queue().max_message(15).typed();
    refused(InvalidArgument, receiver.resize(&options));
    assert_eq!(receiver.generation(), 1);
}

/// A typed open of a header whose maximum length is shorter than its type is `Corrupt`.
// layout: L033 L041
#[test]
fn header_type_longer_than_max_is_corrupt() {
    const MAX_MESSAGE: usize = 64;
    let (_test, name) = start("typed-damaged");
    let publisher = Publisher::options().typed::<Tick>().create(&*name).unwrap();
    let control = shmkit::Section::open_rw(format!("{name}~control-00000001")).unwrap();
    let control = control.map_rw(..).unwrap();
    control.write_value(MAX_MESSAGE, &15u32).unwrap();
    refused(Corrupt, Subscriber::options().typed::<Tick>().open(&*name));
    refused(
        Corrupt,
        Subscriber::options().typed::<OldTick>().open(&*name),
    );
    assert_eq!(segment_info(&*name).unwrap().layout, None);
    // An untyped open needs no type.
    shmkit::Subscriber::open(&*name).unwrap();
    control.write_value(MAX_MESSAGE, &16u32).unwrap();
    Subscriber::options().typed::<Tick>().open(&*name).unwrap();
    drop(publisher);
}

#[test]
fn plain_number_is_a_valid_type() {
    let (_test, name) = start("typed-number");
    let mut publisher = Publisher::options().typed::<f64>().create(&*name).unwrap();
    let mut subscriber = Subscriber::options().typed::<f64>().open(&*name).unwrap();
    publisher.send(&101.5).unwrap();
    assert_eq!(subscriber.recv().unwrap(), 101.5);
    let error = refused(
        WrongType,
        Subscriber::options().typed::<[f64; 2]>().open(&*name),
    );
    let why = "value is f64[1] at 0 there and f64[2] at 0 here";
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn typed_writer_and_reader_exchange_values() {
    let (_test, name) = start("typed-latest");
    let options = Writer::options().names(["a", "b"]);
    let mut writer = options.typed::<Tick>().create(&*name).unwrap();
    assert_eq!(writer.max_value(), 16);
    let mut reader = Reader::options().typed::<SameTick>().open(&*name).unwrap();
    let b = reader.index("b").unwrap();
    assert_eq!(why(reader.get_at(b)), "NotSet");
    writer.set_at(b, &tick(7)).unwrap();
    assert_eq!(reader.wait_change().unwrap(), b);
    let volume = reader.get_at(b).unwrap().volume;
    assert_eq!(volume, 7);
    let error = refused(WrongType, Reader::options().typed::<OldTick>().open(&*name));
    assert!(
        error.to_string().contains("price is f64[1] at 0 there"),
        "{error}"
    );
    refused(
        WrongKind,
        Subscriber::options().typed::<Tick>().open(&*name),
    );
    writer.into_untyped().set_at(b, b"short").unwrap();
    assert_eq!(why(reader.get_at(b)), "Corrupt");
}

#[test]
fn clones_of_typed_endpoints_keep_their_type() {
    let (_test, name) = start("typed-clone");
    let options = Receiver::options().senders(2).typed::<u64>();
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = Sender::options().typed::<u64>().open(&*name).unwrap();
    let mut clone = sender.try_clone().unwrap();
    refused(Busy, sender.try_clone());
    std::thread::spawn(move || clone.send(&1).unwrap())
        .join()
        .unwrap();
    sender.send(&2).unwrap();
    let mut came: Vec<u64> = receiver.try_iter().map(Result::unwrap).collect();
    came.sort_unstable();
    assert_eq!(came, [1, 2]);
    drop(receiver);
    refused(NotFound, sender.try_clone());
}
