//! What a server reports, what a server and a client refuse, and calls with types.

use super::*;
use crate::common::refused;
use shmkit::ErrorKind::{
    AlreadyExists, InvalidArgument, InvalidName, NoSpace, WrongKind, WrongType,
};
use shmkit::inspect::{Pattern, segment_info};
use shmkit::{DisconnectReason, Layout, Reader, Writer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Order {
    price: f64,
    volume: u32,
    symbol: [u8; 4],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Fill {
    number: u64,
    price: f64,
    volume: u32,
    left: u32,
}

#[repr(C)]
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct OldFill {
    number: u64,
    price: f32,
    volume: u32,
    left: u32,
    spare: u32,
}

shmkit::describe! {
    Order { price: f64, volume: u32, symbol: [u8; 4] }
    Fill { number: u64, price: f64, volume: u32, left: u32 }
    OldFill { number: u64, price: f32, volume: u32, left: u32, spare: u32 }
}

fn order(n: u32) -> Order {
    let price = f64::from(n) * 0.5;
    let symbol = *b"ABCD";
    Order {
        price,
        volume: n,
        symbol,
    }
}

fn fill(order: &Order) -> Fill {
    let (number, left) = (u64::from(order.volume) + 7, order.volume / 2);
    let (price, volume) = (order.price, order.volume - left);
    Fill {
        number,
        price,
        volume,
        left,
    }
}

fn typed_server(name: &str) -> Server<Order, Fill> {
    let options = Server::options().clients(3);
    options.typed().create(name).unwrap()
}

// layout: L100
#[test]
fn calls_and_other_patterns_refuse_each_other() {
    let (_test, name) = start("kinds");
    let is = |error: shmkit::Error, words: [&str; 2]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let server = server(&name);
    let told = ["server of calls", "Client::open"];
    is(refused(WrongKind, Sender::open(&*name)), told);
    is(refused(WrongKind, Subscriber::open(&*name)), told);
    is(refused(WrongKind, Reader::open(&*name)), told);
    is(
        refused(WrongKind, Sender::options().typed::<Order>().open(&*name)),
        told,
    );
    refused(AlreadyExists, Server::create(&*name));
    refused(AlreadyExists, Receiver::create(&*name));
    drop(server);
    let receiver = queue(&name);
    is(
        refused(WrongKind, Client::open(&*name)),
        ["queue", "Sender::open"],
    );
    let open = Client::options().typed::<Order, Fill>().open(&*name);
    is(refused(WrongKind, open), ["queue", "Sender::open"]);
    refused(AlreadyExists, Server::create(&*name));
    drop(receiver);
    let publisher = topic(&name, Delivery::Lossy);
    is(
        refused(WrongKind, Client::open(&*name)),
        ["topic", "Subscriber::open"],
    );
    drop(publisher);
    let writer = Writer::create(&*name).unwrap();
    is(
        refused(WrongKind, Client::open(&*name)),
        ["values", "Reader::open"],
    );
    drop(writer);
    let section = Section::create_new(&*name, 1 << 20).unwrap();
    let view = section.map_rw(..).unwrap();
    view.write(0, b"Message from first process.").unwrap();
    refused(WrongKind, Client::open(&*name));
    refused(AlreadyExists, Server::create(&*name));
    refused(InvalidName, Server::create("a\\b"));
    refused(InvalidName, Client::open("a\0b"));
}

#[test]
fn impossible_server_options_are_refused() {
    let (_test, name) = start("kinds-odd");
    for n in [0, 1025, 4096, usize::MAX] {
        refused(
            InvalidArgument,
            Server::options().in_flight(n).create(&*name),
        );
    }
    for n in [0, 1024, 1025, usize::MAX] {
        refused(InvalidArgument, Server::options().clients(n).create(&*name));
    }
    for huge in [u64::MAX, u64::MAX - 63, 1 << 63, 1 << 50, 1 << 30] {
        for in_flight in [1, 8, 1024] {
            let options = Server::options().max_message(huge).in_flight(in_flight);
            let error = options.clients(63).prefault(true).create(&*name);
            let kind = error.err().unwrap().kind();
            assert!([InvalidArgument, NoSpace].contains(&kind), "{kind:?}");
        }
    }
    for spoil in [
        |layout: &mut Layout| layout.size = 15,
        |layout: &mut Layout| layout.fields[1].offset = 4,
        |layout: &mut Layout| layout.fields[1].name = "x".repeat(4000),
        |layout: &mut Layout| layout.fields.clear(),
    ] {
        let mut bad = Layout::of::<Order>();
        spoil(&mut bad);
        let good = Layout::of::<Fill>;
        let options = Server::options().layouts(bad.clone(), good());
        refused(InvalidArgument, options.create(&*name));
        let options = Server::options().layouts(good(), bad);
        refused(InvalidArgument, options.create(&*name));
    }
    // The refused attempts left nothing behind.
    drop(server(&name));
}

#[test]
fn segment_info_reports_server_state() {
    let (mut test, name) = start("kinds-info");
    let options = Server::options().clients(5).in_flight(3);
    let mut server = options.max_message(LONGEST).create(&*name).unwrap();
    let info = segment_info(&*name).unwrap();
    assert_eq!((info.pattern, info.lossless), (Pattern::Calls, true));
    assert_eq!((info.max_message, info.lanes), (LONGEST as usize, 5));
    assert_eq!((info.in_flight, info.values), (4, 0));
    assert_eq!(
        (info.closed, info.layout, info.response_layout),
        (false, None, None)
    );
    // The space of six of the longest messages, and a seventh of that space.
    assert!(info.capacity >= 6 * (LONGEST + 8) * 8 / 7 && info.capacity.is_power_of_two());
    let me = std::process::id();
    assert_eq!((info.owner.pid, info.owner.alive), (me, Some(true)));
    assert!(info.others.unwrap().is_empty());
    let mut process = child(&mut test, "caller", &[&name, "1"]);
    assert_eq!(ask(&mut process, "send 4"), "sent");
    let mut client = Client::open(&*name).unwrap();
    let calls = [0, 1, 2].map(|n| client.send(&message(2, n, 200)).unwrap());
    let mut taken: Vec<_> = (0..5).map(|_| kept(&mut server)).collect();
    let mine = |one: &Kept| whole(&one.1, 200).0 == 2;
    let of_me = taken.iter().filter(|one| mine(one)).count() as u64;
    taken.sort_by_key(mine);
    for (responder, request) in taken.drain(..2) {
        responder.respond(&answer_to(&request, 200)).unwrap();
    }
    let info = segment_info(&*name).unwrap();
    assert_eq!((info.owner.received, info.owner.sent), (5, 2));
    let all = info.others.unwrap().into_iter();
    let all = all.map(|one| (one.pid == me, one.alive, one.sent, one.received, one.behind));
    let mut all: Vec<_> = all.collect();
    all.sort();
    let yes = Some(true);
    let theirs = (false, yes, 4, 5 - of_me, of_me - 1);
    assert_eq!(all, [theirs, (true, yes, 3, of_me, 3 - of_me)]);
    drop((taken, calls));
    assert_eq!(segment_info(&*name).unwrap().owner.sent, 5);
    process.tell("wait");
    process.expect("waiting");
    process.hear();
    process.kill();
    drop(client);
    while server.recv_timeout(MOMENT).is_ok() {}
    assert!(others(&name).is_empty());
}

type Kept = (Responder, Vec<u8>);

#[test]
fn call_errors_display_their_cause() {
    let line = |text: String| assert_eq!(text.lines().count(), 1, "{text}");
    for how in [DisconnectReason::Closed, DisconnectReason::Died] {
        let text = CallError::Disconnected(how).to_string();
        assert!(text.contains(&how.to_string()));
        line(text);
    }
    let (len, max) = (300, 200);
    let long = CallError::TooLong { len, max }.to_string();
    assert!(long.contains("300") && long.contains("200"), "{long}");
    line(CallError::Empty.to_string());
    line(CallError::Timeout.to_string());
    line(CallError::Full.to_string());
    line(CallError::Unanswered.to_string());
    line(CallError::Corrupt.to_string());
}

#[test]
fn client_checks_expected_owner() {
    let (_test, name) = start("kinds-owner");
    let (mut server, _) = pair(&name, 2);
    let options = Client::options().expect_owner(shmkit::Owner::Me);
    let mut client = options.open(&*name).unwrap();
    let call = client.send(b"1").unwrap();
    server.recv().unwrap().respond(b"one").unwrap();
    assert_eq!(client.recv(&call).unwrap(), b"one");
    let services = shmkit::Owner::Account("S-1-5-18".into());
    let options = Client::options().expect_owner(services);
    assert_ne!(
        options.open(&*name).err().unwrap().kind(),
        shmkit::ErrorKind::NotFound
    );
}

// layout: L038
#[test]
fn typed_requests_get_typed_responses() {
    let (_test, name) = start("kinds-typed");
    let mut server = typed_server(&name);
    assert_eq!(server.max_message(), size_of::<Fill>());
    let mut client = Client::options()
        .typed::<Order, Fill>()
        .open(&*name)
        .unwrap();
    assert_eq!(client.in_flight(), 8);
    assert_eq!(why(server.try_recv()), "Empty");
    assert_eq!(why(server.recv_timeout(MOMENT)), "Timeout");
    let calls = [1, 2].map(|n| client.send(&order(n)).unwrap());
    let third = client.try_send(&order(3)).unwrap();
    assert_eq!(why(client.try_recv(&third)), "Empty");
    assert_eq!(why(client.recv_timeout(&third, MOMENT)), "Timeout");
    let request = server.recv().unwrap();
    assert_eq!(request.value(), &order(1));
    let first = request.defer();
    let request = server.try_recv().unwrap();
    let answer = fill(request.value());
    request.respond(&answer).unwrap();
    drop(server.recv_timeout(LONG).unwrap());
    first.respond(&fill(&order(1))).unwrap();
    assert_eq!(client.recv(&calls[1]).unwrap(), fill(&order(2)));
    assert_eq!(client.try_recv(&calls[0]).unwrap(), fill(&order(1)));
    assert_eq!(
        client.recv_timeout(&calls[0], MOMENT).unwrap(),
        fill(&order(1))
    );
    assert_eq!(why(client.recv(&third)), "Unanswered");
    assert_eq!(why(client.call_timeout(&order(4), MOMENT)), "Timeout");
    drop(server.recv().unwrap());
    scope(|scope| {
        for mut worker in [server.clone(), server] {
            scope.spawn(move || {
                for _ in 0..100 {
                    let request = worker.recv().unwrap();
                    let answer = fill(request.value());
                    request.respond(&answer).unwrap();
                }
            });
        }
        for n in 0..100 {
            assert_eq!(client.call(&order(n)).unwrap(), fill(&order(n)));
            let came = client.call_timeout(&order(n), LONG);
            assert_eq!(came.unwrap(), fill(&order(n)));
        }
    });
    assert_eq!(why(client.call(&order(0))), "Disconnected(Closed)");
}

// layout: L038 L040
#[test]
fn call_type_mismatch_names_requests_or_responses() {
    let (_test, name) = start("kinds-differ");
    let is = |error: shmkit::Error, words: [&str; 2]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let server = typed_server(&name);
    let info = segment_info(&*name).unwrap();
    assert_eq!(info.layout, Some(Layout::of::<Order>()));
    assert_eq!(info.response_layout, Some(Layout::of::<Fill>()));
    let open = Client::options().typed::<Order, OldFill>().open(&*name);
    is(
        refused(WrongType, open),
        ["responses", "price is f64[1] at 8 there and f32[1] at 8"],
    );
    let open = Client::options().typed::<Fill, Fill>().open(&*name);
    is(refused(WrongType, open), ["requests", "number"]);
    let open = Client::options().typed::<[u8; 16], OldFill>().open(&*name);
    is(
        refused(WrongType, open),
        ["requests", "value is missing there"],
    );
    // The types of requests and responses may not be exchanged.
    let open = Client::options().typed::<Fill, Order>().open(&*name);
    is(
        refused(WrongType, open),
        ["requests", "number is missing there"],
    );
    // No refused client has joined.
    assert!(others(&name).is_empty());
    drop(server);
    let _bare = Server::options().max_message(24).create(&*name).unwrap();
    let open = Client::options().typed::<Order, Fill>().open(&*name);
    is(refused(WrongType, open), ["requests", "bare bytes"]);
}

// layout: L042
#[test]
fn typed_calls_report_wrong_length_as_corrupt() {
    let (_test, name) = start("kinds-bare");
    let mut server = typed_server(&name);
    let mut bare = Client::open(&*name).unwrap();
    let mut client = Client::options()
        .typed::<Order, Fill>()
        .open(&*name)
        .unwrap();
    for len in [0, 1, 15, 17, 24] {
        let call = bare.send(&vec![1; len]).unwrap();
        assert_eq!(why(server.recv()), "Corrupt");
        assert_eq!(why(bare.recv(&call)), "Unanswered");
        let good = client.send(&order(5)).unwrap();
        let request = server.recv().unwrap();
        assert_eq!(request.value(), &order(5));
        request.respond(&fill(&order(5))).unwrap();
        assert_eq!(client.recv(&good).unwrap(), fill(&order(5)));
    }
    let call = bare.send(order(6).as_bytes()).unwrap();
    let request = server.recv().unwrap();
    request.respond(&fill(&order(6))).unwrap();
    assert_eq!(bare.recv(&call).unwrap(), fill(&order(6)).as_bytes());
    drop((server, bare, client));

    // This server is given its layouts at run time, and may send responses that do not match them.
    let layouts = [Layout::of::<Order>(), Layout::of::<Fill>()];
    let [requests, responses] = layouts;
    let options = Server::options().layouts(requests, responses);
    let mut server = options.create(&*name).unwrap();
    assert_eq!(server.max_message(), size_of::<Fill>());
    let mut client = Client::options()
        .typed::<Order, Fill>()
        .open(&*name)
        .unwrap();
    for len in [0, 1, 23] {
        let call = client.send(&order(1)).unwrap();
        server.recv().unwrap().respond(&vec![0; len]).unwrap();
        assert_eq!(why(client.recv(&call)), "Corrupt");
        assert_eq!(why(client.try_recv(&call)), "Corrupt");
    }
    let call = client.send(&order(2)).unwrap();
    let request = server.recv().unwrap();
    assert_eq!(request.bytes(), order(2).as_bytes());
    request.respond(fill(&order(2)).as_bytes()).unwrap();
    assert_eq!(client.recv(&call).unwrap(), fill(&order(2)));
}
