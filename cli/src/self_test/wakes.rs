//! Checks that an endpoint that sleeps in the kernel is woken from another process: an owner by a
//! participant, and a participant by the owner.

use super::check::{Check, Checked, Wrong, aside, fails, message, must, same, until_asleep};
use super::child::{Child, Orders};
use super::roles::{fill, outcome, queue, subscriber, table, topic};
use shmkit::{
    Client, Delivery, Event, Reader, Receiver, RecvError, Reset, Sender, Server, Start, WaitSet,
};
use std::any::Any;

/// The work of one endpoint: it sleeps until it is woken, or it wakes the other endpoint. The
/// returned value is kept until the check has ended, since its drop would wake the other endpoint
/// too.
type Part = Box<dyn FnOnce() -> Result<Kept, Wrong> + Send>;
type Kept = Box<dyn Any + Send>;

/// Two endpoints of one name. One of them sleeps until the other one does its part.
struct Pair {
    owner: fn(&str) -> Result<Part, Wrong>,
    other: fn(&str) -> Result<Part, Wrong>,
    owner_sleeps: bool,
}

const fn sleeps(
    owner_sleeps: bool,
    owner: fn(&str) -> Result<Part, Wrong>,
    other: fn(&str) -> Result<Part, Wrong>,
) -> Pair {
    Pair {
        owner,
        other,
        owner_sleeps,
    }
}

const PAIRS: [Pair; 10] = [
    sleeps(false, publisher_sends, subscriber_receives),
    sleeps(false, publisher_closes, subscriber_is_told),
    sleeps(true, publisher_waits_for_room, subscriber_makes_room),
    sleeps(true, receiver_receives, sender_sends),
    sleeps(true, receiver_waits_for_several, sender_sends),
    sleeps(false, receiver_makes_room, sender_waits_for_room),
    sleeps(true, server_answers, client_calls),
    sleeps(false, server_answers, client_calls),
    sleeps(false, server_closes, client_is_told),
    sleeps(false, writer_sets, reader_waits),
];

const fn there(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("waiting", name, run)
}

pub const CHECKS: [Check; 20] = [
    there(
        "a subscriber that sleeps in another process is woken by a message",
        |name| wake(name, 0, true),
    ),
    there(
        "a subscriber that sleeps is woken by a message of another process",
        |name| wake(name, 0, false),
    ),
    there(
        "a subscriber that sleeps in another process is woken when its publisher closes",
        |name| wake(name, 1, true),
    ),
    there(
        "a subscriber that sleeps is woken when its publisher in another process closes",
        |name| wake(name, 1, false),
    ),
    there(
        "a lossless publisher that sleeps in another process is woken by space",
        |name| wake(name, 2, true),
    ),
    there(
        "a lossless publisher that sleeps is woken by space that another process frees",
        |name| wake(name, 2, false),
    ),
    there(
        "a receiver that sleeps in another process is woken by a message",
        |name| wake(name, 3, true),
    ),
    there(
        "a receiver that sleeps is woken by a message of another process",
        |name| wake(name, 3, false),
    ),
    there(
        "a sleeping wait for several sources in another process is woken by one of them",
        |name| wake(name, 4, true),
    ),
    there(
        "a sleeping wait for several sources is woken by another process",
        |name| wake(name, 4, false),
    ),
    there(
        "a sender that sleeps in another process is woken by space",
        |name| wake(name, 5, true),
    ),
    there(
        "a sender that sleeps is woken by space that another process frees",
        |name| wake(name, 5, false),
    ),
    there(
        "a server that sleeps in another process is woken by a request",
        |name| wake(name, 6, true),
    ),
    there(
        "a server that sleeps is woken by a request of another process",
        |name| wake(name, 6, false),
    ),
    there(
        "a client that sleeps in another process is woken by its response",
        |name| wake(name, 7, true),
    ),
    there(
        "a client that sleeps is woken by the response of another process",
        |name| wake(name, 7, false),
    ),
    there(
        "a client that sleeps in another process is woken when its server closes",
        |name| wake(name, 8, true),
    ),
    there(
        "a client that sleeps is woken when its server in another process closes",
        |name| wake(name, 8, false),
    ),
    there(
        "a reader that sleeps in another process is woken by a change",
        |name| wake(name, 9, true),
    ),
    there(
        "a reader that sleeps is woken by a change of another process",
        |name| wake(name, 9, false),
    ),
];

/// Runs a pair with one endpoint in this process and the other endpoint in a child. Waits until one
/// endpoint sleeps, and then lets the other endpoint wake it.
fn wake(name: &str, index: usize, child_sleeps: bool) -> Checked {
    let pair = &PAIRS[index];
    let child_owns = pair.owner_sleeps == child_sleeps;
    let (mut child, part) = if child_owns {
        let child = Child::start_with("wake", name, &format!("{index} owner"))?;
        (child, (pair.other)(name)?)
    } else {
        let part = (pair.owner)(name)?;
        let child = Child::start_with("wake", name, &format!("{index} other"))?;
        (child, part)
    };

    if child_sleeps {
        child.tell("go")?;
        until_asleep(name, child.id())?;
        // The part of the waker runs on another thread, since a client that wakes its server also
        // waits for the response.
        let waker = aside(part)?;
        child.expect("done")?;
        waker("the waking endpoint continues").map(drop)
    } else {
        let sleeper = aside(part)?;
        until_asleep(name, std::process::id())?;
        child.order("go", "done")?;
        sleeper("the sleeping endpoint is woken").map(drop)
    }
}

/// Runs in the child: the argument is the number of a pair and the endpoint of the pair that the
/// child runs.
pub fn play(name: &str, argument: &str, orders: &Orders) -> Checked {
    let (index, end) = argument.split_once(' ').unwrap_or((argument, ""));
    let Some(pair) = PAIRS.get(index.parse::<usize>()?) else {
        return Err(Wrong::new("a pair", argument));
    };
    let part = match end {
        "owner" => (pair.owner)(name)?,
        _ => (pair.other)(name)?,
    };

    let (mut part, mut kept) = (Some(part), None);
    orders.obey(|_, _| {
        if let Some(part) = part.take() {
            kept = Some(part()?);
        }
        must("the part of the child is done", kept.is_some())?;
        Ok("done".to_string())
    })
}

fn part(part: impl FnOnce() -> Result<Kept, Wrong> + Send + 'static) -> Result<Part, Wrong> {
    Ok(Box::new(part))
}

fn publisher_sends(name: &str) -> Result<Part, Wrong> {
    let mut publisher = topic(name, Delivery::Lossy)?;
    part(move || {
        publisher.send(&message(1))?;
        Ok(Box::new(publisher))
    })
}

fn publisher_closes(name: &str) -> Result<Part, Wrong> {
    let publisher = topic(name, Delivery::Lossy)?;
    part(move || {
        drop(publisher);
        Ok(Box::new(()))
    })
}

fn subscriber_receives(name: &str) -> Result<Part, Wrong> {
    let mut subscriber = subscriber(name, Start::New)?;
    part(move || {
        same("the message", subscriber.recv()?, &message(1))?;
        Ok(Box::new(subscriber))
    })
}

fn subscriber_is_told(name: &str) -> Result<Part, Wrong> {
    let mut subscriber = subscriber(name, Start::New)?;
    part(move || {
        fails("Disconnected(Closed)", subscriber.recv())?;
        Ok(Box::new(subscriber))
    })
}

fn publisher_waits_for_room(name: &str) -> Result<Part, Wrong> {
    let mut publisher = topic(name, Delivery::Lossless)?;
    part(move || {
        let sent = fill(|message| publisher.try_send(message))?;
        publisher.send(&message(sent))?;
        Ok(Box::new(publisher))
    })
}

fn subscriber_makes_room(name: &str) -> Result<Part, Wrong> {
    let mut subscriber = subscriber(name, Start::New)?;
    part(move || {
        let there = subscriber.behind();
        for _ in 0..there {
            subscriber.recv()?;
        }
        must("the topic was full", there > 0)?;
        Ok(Box::new(subscriber))
    })
}

fn receiver_receives(name: &str) -> Result<Part, Wrong> {
    let mut receiver = queue(name)?;
    part(move || {
        same("the message", receiver.recv()?, &message(1))?;
        Ok(Box::new(receiver))
    })
}

fn receiver_waits_for_several(name: &str) -> Result<Part, Wrong> {
    let mut receiver = queue(name)?;
    let mut never = Event::create_new(&*format!("{name}-never"), Reset::Auto)?;

    part(move || {
        let mut set = WaitSet::new();
        loop {
            let which = set.wait(&mut [&mut receiver, &mut never])?;
            same("the index of the ready source", which, 0)?;
            match receiver.try_recv() {
                Ok(bytes) => {
                    same("the message", bytes, &message(1))?;
                    return Ok(Box::new((receiver, never)));
                }
                // A new sender also makes the receiver ready.
                Err(RecvError::Empty) => {}
                Err(error) => return Err(error.into()),
            }
        }
    })
}

fn sender_sends(name: &str) -> Result<Part, Wrong> {
    let mut sender = Sender::open(name)?;
    part(move || {
        sender.send(&message(1))?;
        Ok(Box::new(sender))
    })
}

fn receiver_makes_room(name: &str) -> Result<Part, Wrong> {
    let mut receiver: Receiver = queue(name)?;
    part(move || {
        let there = receiver.drain(|_| {})?;
        must("the queue was full", there > 0)?;
        Ok(Box::new(receiver))
    })
}

fn sender_waits_for_room(name: &str) -> Result<Part, Wrong> {
    let mut sender = Sender::open(name)?;
    part(move || {
        let sent = fill(|message| sender.try_send(message))?;
        sender.send(&message(sent))?;
        Ok(Box::new(sender))
    })
}

fn server_answers(name: &str) -> Result<Part, Wrong> {
    let mut server = Server::create(name)?;
    part(move || {
        let request = server.recv()?;
        same("the request", request.bytes(), b"request")?;
        request.respond(b"response")?;
        Ok(Box::new(server))
    })
}

fn server_closes(name: &str) -> Result<Part, Wrong> {
    let server = Server::create(name)?;
    part(move || {
        drop(server);
        Ok(Box::new(()))
    })
}

fn client_calls(name: &str) -> Result<Part, Wrong> {
    let mut client = Client::open(name)?;
    part(move || {
        same("the response", client.call(b"request")?, b"response")?;
        Ok(Box::new(client))
    })
}

fn client_is_told(name: &str) -> Result<Part, Wrong> {
    let mut client = Client::open(name)?;
    part(move || {
        let came = outcome(client.call(b"request"));
        same("the end of the call", &*came, "Disconnected(Closed)")?;
        Ok(Box::new(client))
    })
}

fn writer_sets(name: &str) -> Result<Part, Wrong> {
    let mut writer = table(name)?;
    part(move || {
        writer.set_at(1, &message(1))?;
        Ok(Box::new(writer))
    })
}

fn reader_waits(name: &str) -> Result<Part, Wrong> {
    let mut reader = Reader::open(name)?;
    part(move || {
        same("the changed value", reader.wait_change()?, 1)?;
        same("the value", reader.get_at(1)?, &message(1))?;
        Ok(Box::new(reader))
    })
}
