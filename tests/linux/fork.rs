//! Endpoints belong to the process that made them. A forked child gets `Forked` from each call, and
//! does not change the slots and messages of its parent.

use crate::common::{Test, TestChild, hear, say, start};
use shmkit::{
    CallError, Client, Delivery, ErrorKind, Event, GetError, Mutex, Publisher, Reader, Receiver,
    RecvError, Reset, Section, SendError, Sender, Server, SetError, Subscriber, Writer,
};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// Plays a role in a child process that runs no other test.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("inherit", [name]) => inherit(name),
        ("objects", [name]) => share_objects(name),
        ("claims", [name]) => claim(name),
        ("held", [name]) => hold(name),
        other => panic!("no role {other:?}"),
    }
}

/// Runs `work` in a forked child, and returns its result; `false` if it panicked.
fn forked(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: no other thread of this process holds a lock: the threads of the library wait.
    match unsafe { libc::fork() } {
        0 => {
            let held =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
            // SAFETY: the call ends the child without the exit handlers of the test program.
            unsafe { libc::_exit(i32::from(!held)) }
        }
        child => {
            assert!(child > 0);
            let mut status = 0;
            // SAFETY: it is our child, and `status` is a local variable.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

/// All kinds of endpoints; each pair has a name of its own.
struct Endpoints {
    receiver: Receiver,
    sender: Sender,
    publisher: Publisher,
    subscriber: Subscriber,
    server: Server,
    client: Client,
    writer: Writer,
    reader: Reader,
}

fn endpoints(name: &str) -> Endpoints {
    let of = |what: &str| format!("{name}-{what}");
    let receiver = Receiver::create(of("queue")).unwrap();
    let publisher = Publisher::options().delivery(Delivery::Lossless);
    let publisher = publisher.create(of("topic")).unwrap();
    let server = Server::create(of("calls")).unwrap();
    let writer = Writer::create(of("values")).unwrap();
    Endpoints {
        receiver,
        sender: Sender::open(of("queue")).unwrap(),
        publisher,
        subscriber: Subscriber::open(of("topic")).unwrap(),
        server,
        client: Client::open(of("calls")).unwrap(),
        writer,
        reader: Reader::open(of("values")).unwrap(),
    }
}

impl Endpoints {
    /// Returns whether a message passes through each pair.
    fn work(&mut self) -> bool {
        self.sender.send(b"queue").unwrap();
        self.publisher.send(b"topic").unwrap();
        self.writer.set(b"values").unwrap();
        let call = self.client.send(b"calls").unwrap();
        let request = self.server.recv_timeout(Duration::from_secs(9)).unwrap();
        assert_eq!(request.bytes(), b"calls");
        request.respond(b"answer").unwrap();
        self.receiver.recv().unwrap() == b"queue"
            && self.subscriber.recv().unwrap() == b"topic"
            && self.reader.get().unwrap() == b"values"
            && self.reader.wait_change().is_ok()
            && self.client.recv(&call).unwrap() == b"answer"
    }

    /// Returns whether each call reports that this process did not make the endpoint.
    fn are_forked(&mut self) -> bool {
        let all = [self.queue(), self.topic(), self.values(), self.calls()];
        let told = all.iter().flatten().all(|told| *told);
        assert!(told, "{all:?}");
        told
    }

    fn queue(&mut self) -> Vec<bool> {
        vec![
            send(self.sender.send(b"x")),
            send(self.sender.try_send(b"x")),
            send(self.sender.send_timeout(b"x", SOON)),
            send(self.sender.claim(1).map(drop)),
            send(self.sender.try_claim(1).map(drop)),
            send(self.sender.send_all([b"x"])),
            send({
                let mut batch = self.sender.batch();
                batch.send(b"x")
            }),
            send({
                let mut batch = self.sender.batch();
                batch.flush()
            }),
            setup(self.sender.wait_for_receiver(SOON)),
            recv(self.receiver.recv().map(drop)),
            recv(self.receiver.try_recv().map(drop)),
            recv(self.receiver.recv_timeout(SOON).map(drop)),
            recv(self.receiver.recv_ref().map(drop)),
            recv(self.receiver.try_recv_ref().map(drop)),
            recv(self.receiver.drain(|_| ()).map(drop)),
            setup(self.receiver.resize(&Receiver::options()).map(|()| true)),
        ]
    }

    fn topic(&mut self) -> Vec<bool> {
        vec![
            send(self.publisher.send(b"x")),
            send(self.publisher.try_send(b"x")),
            send(self.publisher.claim(1).map(drop)),
            send(self.publisher.send_all([b"x"])),
            setup(self.publisher.resize(&Publisher::options()).map(|()| true)),
            recv(self.subscriber.recv().map(drop)),
            recv(self.subscriber.try_recv().map(drop)),
            recv(self.subscriber.recv_timeout(SOON).map(drop)),
            recv(self.subscriber.drain(|_| ()).map(drop)),
            setup(self.subscriber.wait_for_publisher(SOON)),
        ]
    }

    fn values(&mut self) -> Vec<bool> {
        vec![
            matches!(self.writer.set(b"x"), Err(SetError::Forked)),
            matches!(self.writer.set_at(0, b"x"), Err(SetError::Forked)),
            setup(self.writer.resize(&Writer::options()).map(|()| true)),
            matches!(self.reader.get(), Err(GetError::Forked)),
            recv(self.reader.try_change().map(drop)),
            recv(self.reader.wait_change().map(drop)),
            setup(self.reader.wait_for_writer(SOON)),
        ]
    }

    fn calls(&mut self) -> Vec<bool> {
        vec![
            call(self.client.call(b"x").map(drop)),
            call(self.client.call_timeout(b"x", SOON).map(drop)),
            call(self.client.send(b"x").map(drop)),
            call(self.client.try_send(b"x").map(drop)),
            setup(self.client.wait_for_server(SOON)),
            recv(self.server.recv().map(drop)),
            recv(self.server.try_recv().map(drop)),
            recv(self.server.clone().recv_timeout(SOON).map(drop)),
        ]
    }
}

fn send(result: Result<(), SendError>) -> bool {
    matches!(result, Err(SendError::Forked))
}

fn recv(result: Result<(), RecvError>) -> bool {
    matches!(result, Err(RecvError::Forked))
}

fn call(result: Result<(), CallError>) -> bool {
    matches!(result, Err(CallError::Forked))
}

fn setup(result: shmkit::Result<bool>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Forked)
}

/// Makes endpoints, which a child and a grandchild inherit.
fn inherit(name: &str) {
    let mut ours = Some(endpoints(name));
    let held = forked(|| {
        assert!(ours.as_mut().unwrap().are_forked());
        let mut own = Some(endpoints(&format!("{name}-child")));
        assert!(own.as_mut().unwrap().work());
        let grandchild = forked(|| {
            assert!(own.as_mut().unwrap().are_forked());
            assert!(ours.as_mut().unwrap().are_forked());
            let mut last = endpoints(&format!("{name}-grandchild"));
            assert!(last.work() && ours.as_mut().unwrap().are_forked());
            drop((own.take(), ours.take()));
            last.work()
        });
        assert!(grandchild && own.as_mut().unwrap().work());
        // Dropping the copies here does not affect the endpoints of the parent.
        drop(ours.take());
        // New endpoints at the same places in memory are valid.
        let mut next = endpoints(&format!("{name}-next"));
        next.work() && own.as_mut().unwrap().work()
    });
    assert!(held);
    let mut ours = ours.unwrap();
    assert!(ours.work(), "the endpoints of the parent still work");
    say("ours work");
    while hear().is_some() {}
}

// layout: L083
#[test]
fn inherited_endpoints_return_forked_in_child() {
    let (mut test, name) = start("forked");
    let mut child = child(&mut test, "inherit", &name);
    child.expect("ours work");
    let info = shmkit::inspect::segment_info(format!("{name}-queue")).unwrap();
    assert_eq!(info.others.unwrap().len(), 1, "only the parent has a slot");
    assert!(child.finish().success());
}

/// Uses a section, a mapping, an event and a mutex in a forked child.
fn share_objects(name: &str) {
    let section = Section::create_new(name, 4096).unwrap();
    let view = section.map_rw(..).unwrap();
    let event = Event::create_new(format!("{name}-event"), Reset::Auto).unwrap();
    let mutex = Mutex::create_new(format!("{name}-mutex")).unwrap();
    view.write(0, b"parent").unwrap();
    let held = forked(|| {
        let mut bytes = [0; 6];
        view.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"parent");
        view.write(0, b"child!").unwrap();
        section.map_rw(..).unwrap().write(8, b"too").unwrap();
        assert!(!mutex.lock().unwrap().is_abandoned());
        event.set().unwrap();
        Section::open(name).is_ok()
    });
    assert!(held);
    let mut bytes = [0; 11];
    section.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"child!\0\0too");
    assert!(event.try_wait().unwrap());
    assert!(mutex.lock().is_ok());
    say("shared");
}

#[test]
fn section_event_and_mutex_work_after_fork() {
    let (mut test, name) = start("shared");
    let mut child = child(&mut test, "objects", &name);
    child.expect("shared");
    assert!(child.finish().success());
}

/// Makes a claim, a message reference and a request before a fork. The child cannot finish them,
/// and the parent can.
fn claim(name: &str) {
    let mut ends = endpoints(name);
    let Endpoints {
        receiver,
        sender,
        server,
        client,
        ..
    } = &mut ends;
    sender.send(b"first").unwrap();
    let call = client.send(b"asked").unwrap();
    let mut in_place = Some(receiver.recv_ref().unwrap());
    let mut request = Some(server.recv().unwrap());
    let mut claim = sender.claim(5).unwrap();
    claim.write_at(0, b"claim");
    let mut claim = Some(claim);
    let held = forked(|| {
        let mut claim = claim.take().unwrap();
        claim.write_at(0, b"child");
        drop(in_place.take());
        let request = request.take().unwrap();
        matches!(claim.commit(), Err(SendError::Forked))
            && matches!(request.respond(b"child"), Err(SendError::Forked))
    });
    assert!(held);
    assert_eq!(in_place.take().unwrap().to_vec(), b"first");
    drop(in_place);
    claim.take().unwrap().commit().unwrap();
    assert_eq!(receiver.recv().unwrap(), b"claim");
    request.take().unwrap().respond(b"parent").unwrap();
    assert_eq!(client.recv(&call).unwrap(), b"parent");
    say("ours");
}

/// Drops a value and a message that the parent reads in place, in a forked child.
fn hold(name: &str) {
    let mut ends = endpoints(name);
    let Endpoints {
        publisher,
        subscriber,
        writer,
        reader,
        ..
    } = &mut ends;
    writer.set(b"first").unwrap();
    publisher.send(b"first").unwrap();
    publisher.send(b"second").unwrap();
    let mut value = Some(reader.get_ref().unwrap());
    let mut message = Some(subscriber.recv_ref().unwrap());
    let is_whole = forked(|| {
        let (value, mut message) = (value.take().unwrap(), message.take().unwrap());
        value.to_vec() == b"first" && message.to_vec().unwrap() == b"first"
    });
    assert!(is_whole);
    for _ in 0..1000 {
        writer.set(b"later").unwrap();
    }
    assert_eq!(value.take().unwrap().to_vec(), b"first");
    assert_eq!(message.take().unwrap().to_vec().unwrap(), b"first");
    drop((value, message));
    assert_eq!(reader.get().unwrap(), b"later");
    assert_eq!(subscriber.recv().unwrap(), b"second");
    say("held");
}

// layout: L083
#[test]
fn fork_leaves_held_messages_to_parent() {
    let (mut test, name) = start("held");
    let mut child = child(&mut test, "held", &name);
    child.expect("held");
    assert!(child.finish().success());
}

// layout: L083
#[test]
fn fork_leaves_claims_and_requests_to_parent() {
    let (mut test, name) = start("claims");
    let mut child = child(&mut test, "claims", &name);
    child.expect("ours");
    assert!(child.finish().success());
}

fn child(test: &mut Test, role: &str, name: &str) -> TestChild {
    test.child(&format!("fork/{role}"), &[name])
}
