//! Processes that are killed: nobody waits for them, and each death is told.

use super::check::{
    Check, Checked, MOMENT, PATIENCE, Wrong, aside, created, fails, gone, message, must, number,
    refused, same, until_asleep,
};
use super::child::Child;
use super::roles::{elsewhere, fill, outcome, queue, subscriber, table, topic};
use shmkit::ErrorKind::{AlreadyExists, NotFound};
use shmkit::{
    Client, Delivery, Event, Mutex, Process, ProcessIdentity, Publisher, Reader, Receiver, Reset,
    Section, Sender, Server, Start, Wake,
};

const fn death(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("deaths", name, run)
}

pub const CHECKS: [Check; 16] = [
    death("a killed last holder leaves a free name", last_holder),
    death("a section outlives its killed creator", creator),
    death(
        "a killed owner's mutex is free, and its death is told once",
        owner_of_mutex,
    ),
    death("a killed waiter takes no later signal with it", waiter),
    death("a death ends a wait for an event", wait_or_death),
    death("a process that was killed has ended for all", has_ended),
    death(
        "an announced process is found until it is killed",
        announced,
    ),
    death(
        "a killed sender leaves what it sent and nothing half-done",
        sender,
    ),
    death(
        "a killed receiver is told to a sender that sleeps",
        receiver,
    ),
    death(
        "the next receiver receives what the killed one did not",
        next_receiver,
    ),
    death(
        "a killed publisher is told to a subscriber that sleeps",
        publisher,
    ),
    death(
        "a killed subscriber is waited for no longer",
        slow_subscriber,
    ),
    death("a killed writer is told, and its last value stays", writer),
    death("a killed server ends every open call", server),
    death("a killed client costs its server nothing", client),
    death(
        "a living owner is not robbed, and a killed one is followed at once",
        successor,
    ),
];

fn last_holder(name: &str) -> Checked {
    let child = Child::start("maker", name)?;
    refused(AlreadyExists, Section::create_new(name, 1))?;
    child.kill()?;
    gone(|| Section::open(name))?;
    let made = created(|| Section::create_new(name, 8))?;
    same("what is new", made.map(..)?.read_value::<u64>(0)?, 0)
}

fn creator(name: &str) -> Checked {
    let mut child = Child::start("maker", name)?;
    child.order("write kept", "done")?;
    let held = Section::open(name)?;
    child.kill()?;
    refused(AlreadyExists, Section::create_new(name, 1))?;
    let kept = Section::open(name)?.map(..)?.read_value::<[u8; 4]>(0)?;
    same("what stands there", kept, *b"kept")?;
    drop(held);
    gone(|| Section::open(name))
}

fn owner_of_mutex(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let mut child = Child::start("mutex", name)?;
    same("it takes it", &*child.ask("take")?, "Clean")?;
    same("before its death", elsewhere(&mutex)?, "Taken")?;
    let own = name.to_string();
    let waiter = aside(move || Ok(Mutex::open(&*own)?.lock()?.is_abandoned()))?;
    std::thread::sleep(MOMENT);
    child.kill()?;
    must(
        "who waits is told of the death",
        waiter("who waits has the mutex")?,
    )?;
    same("how the next one has it", elsewhere(&mutex)?, "Clean")?;
    let mut child = Child::start("mutex", name)?;
    same("another one takes it", &*child.ask("take")?, "Clean")?;
    child.kill()?;
    same("at once after its death", elsewhere(&mutex)?, "Abandoned")?;
    same("and then", elsewhere(&mutex)?, "Clean")
}

fn waiter(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let mut child = Child::start("event", name)?;
    child.tell("wait")?;
    std::thread::sleep(4 * MOMENT);
    child.kill()?;
    event.set()?;
    must("the signal is there", event.try_wait()?)
}

fn wait_or_death(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let child = Child::start("idle", name)?;
    let peer = ProcessIdentity::of(child.id())?.watch()?;
    let wake = event.wait_or_death(&peer, Some(MOMENT))?;
    same("while it lives", wake, Wake::TimedOut)?;
    event.set()?;
    same(
        "a signal",
        event.wait_or_death(&peer, None)?,
        Wake::Signaled,
    )?;
    let own = name.to_string();
    let waiter = aside(move || Ok(Event::open(&*own)?.wait_or_death(&peer, None)?))?;
    std::thread::sleep(4 * MOMENT);
    child.kill()?;
    same("the wait", waiter("the death ends it")?, Wake::PeerDied)
}

fn has_ended(name: &str) -> Checked {
    let child = Child::start("idle", name)?;
    let identity = ProcessIdentity::of(child.id())?;
    let early = identity.watch()?;
    must("it is alive", identity.is_alive()? && !early.has_ended()?)?;
    child.kill()?;
    must("it has ended", early.has_ended()? && !identity.is_alive()?)?;
    let late = identity.watch()?;
    must("it has for one who asks late", late.has_ended()?)
}

fn announced(name: &str) -> Checked {
    refused(NotFound, Process::by_liveness(name))?;
    let child = Child::start("announcer", name)?;
    let peer = Process::by_liveness(name)?;
    must("it is alive", !peer.wait_timeout(MOMENT)?)?;
    child.kill()?;
    must("it has ended", peer.wait_timeout(PATIENCE)?)?;
    drop(peer);
    refused(NotFound, Process::by_liveness(name))
}

fn sender(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut child = Child::start("sender", name)?;
    child.order("send 0 5", "done")?;
    child.order("batch 5 5", "done")?;
    child.kill()?;
    for n in 0..5 {
        same("the next message", number(receiver.recv()?)?, n)?;
    }
    fails("Disconnected(Died)", receiver.recv_timeout(PATIENCE))?;
    let mut next = Sender::open(name)?;
    next.send(&message(7))?;
    let came = number(receiver.recv()?)?;
    same("the message of the next sender", came, 7)
}

fn receiver(name: &str) -> Checked {
    let child = Child::start("receiver", name)?;
    let mut sender = Sender::open(name)?;
    let sending = aside(move || {
        let sent = fill(|message| sender.try_send(message))?;
        fails("Disconnected(Died)", sender.send(&message(sent)))
    })?;
    until_asleep(name, std::process::id())?;
    child.kill()?;
    sending("the death ends the wait for room")
}

fn next_receiver(name: &str) -> Checked {
    let mut child = Child::start("receiver", name)?;
    let mut sender = Sender::open(name)?;
    for n in 0..10 {
        sender.send(&message(n))?;
    }
    child.order("take 0 4", "done")?;
    child.kill()?;
    let mut receiver = created(|| queue(name))?;
    for n in 10..15 {
        sender.send(&message(n))?;
    }
    // What was received may come again: whether it was is not known of a dead one.
    let mut next = number(receiver.recv()?)?;
    must("nothing is lost", next <= 4)?;
    while next < 14 {
        next += 1;
        let came = number(receiver.recv_timeout(PATIENCE)?)?;
        same("the next message", came, next)?;
    }
    fails("Empty", receiver.try_recv())
}

fn publisher(name: &str) -> Checked {
    let mut child = Child::start("publisher", name)?;
    let mut subscriber = subscriber(name, Start::Oldest)?;
    child.order("send 0 3", "done")?;
    let receiving = aside(move || {
        let came = super::roles::receive_all(&mut subscriber)?;
        Ok((came, subscriber))
    })?;
    until_asleep(name, std::process::id())?;
    child.kill()?;
    let (came, mut subscriber) = receiving("the death ends the wait")?;
    same("all", &*came, "3 0 Disconnected(Died)")?;
    let mut next = created(|| Publisher::create(name))?;
    next.send(&message(9))?;
    must(
        "the subscriber goes on with the next publisher",
        subscriber.wait_for_publisher(PATIENCE)?,
    )?;
    same("its message", number(subscriber.recv()?)?, 9)
}

fn slow_subscriber(name: &str) -> Checked {
    let mut publisher = topic(name, Delivery::Lossless)?;
    let child = Child::start("subscriber", name)?;
    let sending = aside(move || {
        let sent = fill(|message| publisher.try_send(message))?;
        publisher.send(&message(sent))?;
        Ok(publisher)
    })?;
    until_asleep(name, std::process::id())?;
    child.kill()?;
    let mut publisher = sending("the publisher goes on")?;
    for n in 0..1000 {
        publisher.try_send(&message(n))?;
    }
    Ok(())
}

fn writer(name: &str) -> Checked {
    let mut child = Child::start("writer", name)?;
    let mut reader = Reader::open(name)?;
    child.order("set 0 5", "done")?;
    same("what has changed", reader.wait_change()?, 0)?;
    let waiting = aside(move || {
        loop {
            if let Err(end) = reader.wait_change() {
                return Ok((format!("{end:?}"), reader));
            }
        }
    })?;
    until_asleep(name, std::process::id())?;
    child.kill()?;
    let (end, mut reader) = waiting("the death ends the wait")?;
    same("the end", &*end, "Disconnected(Died)")?;
    same("the last value", number(reader.get()?)?, 4)?;
    let mut next = created(|| table(name))?;
    next.set_at(1, b"next")?;
    must(
        "the reader goes on with the next writer",
        reader.wait_for_writer(PATIENCE)?,
    )?;
    same("its value", reader.get_at(1)?, b"next")
}

fn server(name: &str) -> Checked {
    let mut child = Child::start("server", name)?;
    let mut client = Client::open(name)?;
    let calls = [client.send(b"first")?, client.send(b"second")?];
    child.order("take", "done")?;
    let waiting = aside(move || {
        let ends = calls.each_ref().map(|call| outcome(client.recv(call)));
        Ok((ends, client))
    })?;
    until_asleep(name, std::process::id())?;
    child.kill()?;
    let (ends, mut client) = waiting("the death ends the wait")?;
    same(
        "both calls",
        ends,
        ["Disconnected(Died)"; 2].map(String::from),
    )?;
    let mut next = created(|| Server::create(name))?;
    must(
        "the client goes on with the next server",
        client.wait_for_server(PATIENCE)?,
    )?;
    let call = client.send(b"again")?;
    let request = next.recv_timeout(PATIENCE)?;
    same("the request", request.bytes(), b"again")?;
    request.respond(b"answer")?;
    same("the response", client.recv(&call)?, b"answer")
}

fn client(name: &str) -> Checked {
    let mut server = Server::create(name)?;
    let mut child = Child::start("client", name)?;
    child.order("ask 1", "done")?;
    let request = server.recv_timeout(PATIENCE)?.defer();
    child.order("ask 2", "done")?;
    child.kill()?;
    // The client has ended, and does not read the response.
    let _ = request.respond(b"too late");
    let mut next = Client::open(name)?;
    let call = next.send(b"next")?;
    loop {
        let request = server.recv_timeout(PATIENCE)?;
        let is_next = request.bytes() == b"next";
        request.respond(b"answer")?;
        if is_next {
            break;
        }
    }
    let came = outcome(next.recv_timeout(&call, PATIENCE));
    same("its response", came, format!("{:?}", b"answer"))
}

fn successor(name: &str) -> Checked {
    let child = Child::start("receiver", name)?;
    let refusal = match Receiver::create(name) {
        Err(error) => error.to_string(),
        Ok(_) => return Err(Wrong::new("it is refused", "it was done")),
    };
    let process = format!("process {}", child.id());
    match refusal.contains(&process) {
        true => {}
        false => return Err(Wrong::new(format_args!("it names {process}"), refusal)),
    }
    refused(AlreadyExists, Publisher::create(name))?;
    child.kill()?;
    created(|| queue(name)).map(drop)
}
