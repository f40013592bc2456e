//! Checks with processes that are killed: no other process waits for them for ever, and each death
//! is reported.

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
    death(
        "a name is free after its last holder is killed",
        last_holder,
    ),
    death(
        "a section that is held outlives its killed creator",
        creator,
    ),
    death(
        "the mutex of a killed owner is free, and reports the death once",
        owner_of_mutex,
    ),
    death("a killed waiter takes no later signal", waiter),
    death(
        "the death of a watched process ends a wait for an event",
        wait_or_death,
    ),
    death("a killed process has ended for every watcher", has_ended),
    death(
        "an announced process is found until it is killed",
        announced,
    ),
    death(
        "the messages of a killed sender arrive, its unfinished batch does not",
        sender,
    ),
    death(
        "a sleeping sender is notified when its receiver is killed",
        receiver,
    ),
    death(
        "the next receiver gets the messages that the killed receiver left",
        next_receiver,
    ),
    death(
        "a sleeping subscriber is notified when its publisher is killed",
        publisher,
    ),
    death(
        "a lossless publisher does not wait for a killed subscriber",
        slow_subscriber,
    ),
    death(
        "a reader is notified when its writer is killed, and keeps the last value",
        writer,
    ),
    death("every open call ends when its server is killed", server),
    death("a server continues after its client is killed", client),
    death(
        "a name is refused while its owner lives, and free when the owner is killed",
        successor,
    ),
];

fn last_holder(name: &str) -> Checked {
    let child = Child::start("maker", name)?;
    refused(AlreadyExists, Section::create_new(name, 1))?;
    child.kill()?;
    gone(|| Section::open(name))?;
    let made = created(|| Section::create_new(name, 8))?;
    same(
        "the content of the new section",
        made.map(..)?.read_value::<u64>(0)?,
        0,
    )
}

fn creator(name: &str) -> Checked {
    let mut child = Child::start("maker", name)?;
    child.order("write kept", "done")?;
    let held = Section::open(name)?;
    child.kill()?;
    refused(AlreadyExists, Section::create_new(name, 1))?;
    let kept = Section::open(name)?.map(..)?.read_value::<[u8; 4]>(0)?;
    same("the content", kept, *b"kept")?;
    drop(held);
    gone(|| Section::open(name))
}

fn owner_of_mutex(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let mut child = Child::start("mutex", name)?;
    same(
        "the mutex for the other process",
        &*child.ask("take")?,
        "Clean",
    )?;
    same("the mutex before the death", elsewhere(&mutex)?, "Taken")?;

    let own = name.to_string();
    let waiter = aside(move || Ok(Mutex::open(&*own)?.lock()?.is_abandoned()))?;
    std::thread::sleep(MOMENT);
    child.kill()?;
    must(
        "the mutex reports the death to the waiting thread",
        waiter("the waiting thread gets the mutex")?,
    )?;
    same("the mutex after that", elsewhere(&mutex)?, "Clean")?;

    let mut child = Child::start("mutex", name)?;
    same(
        "the mutex for a third process",
        &*child.ask("take")?,
        "Clean",
    )?;
    child.kill()?;
    same(
        "the mutex at once after the death",
        elsewhere(&mutex)?,
        "Abandoned",
    )?;
    same("the mutex after that", elsewhere(&mutex)?, "Clean")
}

fn waiter(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let mut child = Child::start("event", name)?;
    child.tell("wait")?;
    std::thread::sleep(4 * MOMENT);
    child.kill()?;
    event.set()?;
    must("the event is signaled", event.try_wait()?)
}

fn wait_or_death(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let child = Child::start("idle", name)?;
    let peer = ProcessIdentity::of(child.id())?.watch()?;
    let wake = event.wait_or_death(&peer, Some(MOMENT))?;
    same("the wait while the process lives", wake, Wake::TimedOut)?;

    event.set()?;
    same(
        "the wait after a signal",
        event.wait_or_death(&peer, None)?,
        Wake::Signaled,
    )?;

    let own = name.to_string();
    let waiter = aside(move || Ok(Event::open(&*own)?.wait_or_death(&peer, None)?))?;
    std::thread::sleep(4 * MOMENT);
    child.kill()?;
    same(
        "the wait after the death",
        waiter("the death ends the wait")?,
        Wake::PeerDied,
    )
}

fn has_ended(name: &str) -> Checked {
    let child = Child::start("idle", name)?;
    let identity = ProcessIdentity::of(child.id())?;
    let early = identity.watch()?;
    must(
        "the process is alive",
        identity.is_alive()? && !early.has_ended()?,
    )?;

    child.kill()?;
    must(
        "the process has ended",
        early.has_ended()? && !identity.is_alive()?,
    )?;

    let late = identity.watch()?;
    must(
        "the process has ended for a late watcher",
        late.has_ended()?,
    )
}

fn announced(name: &str) -> Checked {
    refused(NotFound, Process::by_liveness(name))?;
    let child = Child::start("announcer", name)?;
    let peer = Process::by_liveness(name)?;
    must("the process is alive", !peer.wait_timeout(MOMENT)?)?;
    child.kill()?;
    must("the process has ended", peer.wait_timeout(PATIENCE)?)?;
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
    sending("the death ends the wait for space")
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

    // The last message that the dead receiver received may come again: it is not known whether that
    // receiver had handled the message.
    let mut next = number(receiver.recv()?)?;
    must("no message is lost", next <= 4)?;
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
    same(
        "received, missed, and the end",
        &*came,
        "3 0 Disconnected(Died)",
    )?;

    let mut next = created(|| Publisher::create(name))?;
    next.send(&message(9))?;
    must(
        "the subscriber continues with the next publisher",
        subscriber.wait_for_publisher(PATIENCE)?,
    )?;
    same(
        "the message of the next publisher",
        number(subscriber.recv()?)?,
        9,
    )
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
    let mut publisher = sending("the publisher continues")?;
    for n in 0..1000 {
        publisher.try_send(&message(n))?;
    }
    Ok(())
}

fn writer(name: &str) -> Checked {
    let mut child = Child::start("writer", name)?;
    let mut reader = Reader::open(name)?;
    child.order("set 0 5", "done")?;
    same("the changed value", reader.wait_change()?, 0)?;

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
        "the reader continues with the next writer",
        reader.wait_for_writer(PATIENCE)?,
    )?;
    same("the value of the next writer", reader.get_at(1)?, b"next")
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
        "the end of both calls",
        ends,
        ["Disconnected(Died)"; 2].map(String::from),
    )?;

    let mut next = created(|| Server::create(name))?;
    must(
        "the client continues with the next server",
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
    same("the response", came, format!("{:?}", b"answer"))
}

fn successor(name: &str) -> Checked {
    let child = Child::start("receiver", name)?;
    let refusal = match Receiver::create(name) {
        Err(error) => error.to_string(),
        Ok(_) => {
            return Err(Wrong::new(
                "the second receiver is refused",
                "the call succeeded",
            ));
        }
    };

    let process = format!("process {}", child.id());
    match refusal.contains(&process) {
        true => {}
        false => {
            return Err(Wrong::new(
                format_args!("the error names {process}"),
                refusal,
            ));
        }
    }

    refused(AlreadyExists, Publisher::create(name))?;
    child.kill()?;
    created(|| queue(name)).map(drop)
}
