//! Checks of queues, topics, values and calls whose processes all stay alive.

use super::check::{
    Check, Checked, MOMENT, PATIENCE, Wrong, aside, created, fails, message, must, number, same,
};
use super::child::Child;
use super::roles::{fill, outcome, queue, receive_all, reversed, subscriber, table, topic};
use shmkit::{Client, Delivery, GetError, Reader, Sender, Server, Start, Subscriber};
use std::io::Read;
use std::time::{Duration, Instant};

const fn queues(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("queue", name, run)
}

const fn topics(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("topic", name, run)
}

const fn values(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("values", name, run)
}

const fn calls(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("calls", name, run)
}

pub const CHECKS: [Check; 21] = [
    queues("messages are received in the order of sending", in_order),
    queues("a message of every length arrives unchanged", every_length),
    queues("a full queue refuses messages and loses none", full),
    queues("no message of several senders is lost", many_senders),
    queues("a batch becomes visible when it is flushed", batch),
    queues("a message is written and read in place", in_place),
    queues(
        "a receiver is notified once when its last sender closes",
        all_gone,
    ),
    topics("each subscriber receives every message", every_message),
    topics("missed messages are counted exactly", missed),
    topics("a subscriber begins at the chosen message", starts),
    topics(
        "a lossless publisher waits for the slowest subscriber",
        waits_for_the_slowest,
    ),
    topics(
        "a subscriber receives every message before the end",
        end_of_topic,
    ),
    values("a reader gets the newest value", newest),
    values("a reader learns which value of a table changed", changes),
    values(
        "a value is read whole while another process writes it",
        whole_values,
    ),
    values("the next writer keeps the last values", values_stay),
    calls("each request gets a response", answered),
    calls("several calls are answered in any order", any_order),
    calls(
        "a call ends at once when the server drops its request",
        dropped,
    ),
    calls("a late response does not reach a later call", late),
    calls("two workers share the requests", workers),
];

fn in_order(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut child = Child::start("sender", name)?;
    child.tell("send 0 2000")?;
    for n in 0..2000 {
        same("the next message", number(receiver.recv()?)?, n)?;
    }
    child.expect("done")?;
    fails("Empty", receiver.try_recv())
}

fn every_length(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut sender = Sender::open(name)?;
    let longest = sender.max_message();
    for len in 0..=longest {
        let message = vec![len as u8; len];
        sender.send(&message)?;
        same("the message", receiver.recv()?, &message)?;
    }
    let reason = format!("TooLong {{ len: {}, max: {longest} }}", longest + 1);
    fails(&reason, sender.send(&vec![0; longest + 1]))?;
    fails("Empty", receiver.try_recv())
}

fn full(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut sender = Sender::open(name)?;
    for _ in 0..3 {
        let sent = fill(|message| sender.try_send(message))?;
        fails("Full", sender.try_send(&message(sent)))?;
        fails("Timeout", sender.send_timeout(&message(sent), MOMENT))?;
        for n in 0..sent {
            same("the next message", number(receiver.try_recv()?)?, n)?;
        }
        fails("Empty", receiver.try_recv())?;
    }
    Ok(())
}

fn many_senders(name: &str) -> Checked {
    const EACH: u64 = 500;
    let mut receiver = queue(name)?;
    let mut children = Vec::new();
    for _ in 0..2 {
        children.push(Child::start("sender", name)?);
    }

    let mut own = Sender::open(name)?;
    for (n, child) in (1..).zip(&mut children) {
        child.tell(&format!("send {} {EACH}", n * 10_000))?;
    }
    let sending = aside(move || {
        for n in 0..EACH {
            own.send(&message(n))?;
        }
        Ok(own)
    })?;

    let mut next = [0; 3];
    for _ in 0..3 * EACH {
        let number = number(receiver.recv_timeout(PATIENCE)?)?;
        let Some(next) = next.get_mut((number / 10_000) as usize) else {
            return Err(Wrong::new("the number of a sender", number));
        };
        same("the next message of the sender", number % 10_000, *next)?;
        *next += 1;
    }

    same("the messages of each sender", next, [EACH; 3])?;
    let _own = sending("all messages are sent")?;
    fails("Empty", receiver.try_recv())
}

fn batch(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut sender = Sender::open(name)?;
    let mut batch = sender.batch();
    for n in 0..5 {
        batch.send(&message(n))?;
    }
    fails("Empty", receiver.try_recv())?;
    batch.flush()?;
    for n in 0..5 {
        same("the next message", number(receiver.try_recv()?)?, n)?;
    }
    fails("Empty", receiver.try_recv())
}

fn in_place(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut sender = Sender::open(name)?;

    for n in 0..100 {
        let bytes = message(n);
        let mut claim = sender.claim(bytes.len())?;
        claim.write_at(0, &bytes);
        match n % 3 {
            // A claim that is dropped is not sent.
            0 => drop(claim),
            _ => {
                claim.commit()?;
                let mut message = receiver.try_recv_ref()?;
                let mut came = Vec::new();
                message.read_to_end(&mut came)?;
                same("the message", came, bytes)?;
            }
        }
    }

    fails("Empty", receiver.try_recv())
}

fn all_gone(name: &str) -> Checked {
    let mut receiver = queue(name)?;
    let mut child = Child::start("sender", name)?;
    child.order("send 0 3", "done")?;
    child.order("close", "done")?;
    for n in 0..3 {
        same("the next message", number(receiver.recv()?)?, n)?;
    }
    fails("Disconnected(Closed)", receiver.recv())?;
    fails("Timeout", receiver.recv_timeout(MOMENT))
}

fn every_message(name: &str) -> Checked {
    const ALL: u64 = 1000;
    let mut publisher = topic(name, Delivery::Lossless)?;
    let mut child = Child::start("subscriber", name)?;
    let mut own = subscriber(name, Start::Oldest)?;
    child.tell("all")?;
    let receiving = aside(move || receive_all(&mut own))?;

    for n in 0..ALL {
        publisher.send_timeout(&message(n), PATIENCE)?;
    }
    drop(publisher);

    let all = format!("{ALL} 0 Disconnected(Closed)");
    same(
        "received, missed, and the end",
        &receiving("the subscriber receives the end")?,
        &all,
    )?;
    child.expect(&all)
}

fn missed(name: &str) -> Checked {
    const ALL: u64 = 20_000;
    let mut publisher = topic(name, Delivery::Lossy)?;
    let mut child = Child::start("subscriber", name)?;
    child.tell("all")?;
    let mut lagging = subscriber(name, Start::Oldest)?;

    for n in 0..ALL {
        publisher.send(&message(n))?;
    }
    drop(publisher);

    for told in [receive_all(&mut lagging)?, child.hear()?] {
        let mut words = told.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let sum = number().zip(number()).map(|(came, missed)| came + missed);
        same("received and missed", sum, Some(ALL))?;
        same("the end", words.next(), Some("Disconnected(Closed)"))?;
    }

    must("something was missed", lagging.missed() > 0)
}

fn starts(name: &str) -> Checked {
    let mut publisher = topic(name, Delivery::Lossy)?;
    for n in 0..5 {
        publisher.send(&message(n))?;
    }

    let mut oldest = subscriber(name, Start::Oldest)?;
    let mut latest = Subscriber::open(name)?;
    let mut new = subscriber(name, Start::New)?;

    same("the oldest", number(oldest.try_recv()?)?, 0)?;
    same("the latest", number(latest.try_recv()?)?, 4)?;
    fails("Empty", new.try_recv())?;

    publisher.send(&message(5))?;
    same("the next", number(new.try_recv()?)?, 5)?;
    same(
        "the number of messages that are left",
        [oldest.behind(), latest.behind()],
        [5, 1],
    )
}

fn waits_for_the_slowest(name: &str) -> Checked {
    let mut publisher = topic(name, Delivery::Lossless)?;
    let mut slow = subscriber(name, Start::New)?;
    let mut fast = subscriber(name, Start::New)?;

    let sent = fill(|message| publisher.try_send(message))?;
    same(
        "the messages of the fast subscriber",
        fast.drain(|_| {})? as u64,
        sent,
    )?;
    fails("Full", publisher.try_send(&message(sent)))?;

    for n in 0..sent {
        same("the next message", number(slow.try_recv()?)?, n)?;
    }
    publisher.try_send(&message(sent))?;
    same(
        "the missed messages",
        [fast.missed(), slow.missed()],
        [0; 2],
    )
}

fn end_of_topic(name: &str) -> Checked {
    let mut child = Child::start("publisher", name)?;
    let mut subscriber = subscriber(name, Start::Oldest)?;
    child.order("send 0 10", "done")?;
    child.order("close", "done")?;
    let came = receive_all(&mut subscriber)?;
    same(
        "received, missed, and the end",
        &*came,
        "10 0 Disconnected(Closed)",
    )?;
    fails("Disconnected(Closed)", subscriber.recv())
}

fn newest(name: &str) -> Checked {
    let mut writer = table(name)?;
    let mut child = Child::start("reader", name)?;
    let mut reader = Reader::open(name)?;
    fails("NotSet", reader.get())?;
    for n in 0..100 {
        writer.set(&message(n))?;
        same("the value", number(reader.get()?)?, n)?;
    }
    same("the value in another process", &*child.ask("get")?, "99")
}

fn changes(name: &str) -> Checked {
    let mut writer = table(name)?;
    let mut reader = Reader::open(name)?;
    same("the names", reader.names(), writer.names())?;
    same("the index of a name", reader.index("second"), Some(1))?;
    fails("Empty", reader.try_change())?;
    for index in [1, 0, 1] {
        writer.set_at(index, b"new")?;
    }
    for index in [1, 0, 1] {
        same("the changed value", reader.try_change()?, index)?;
    }
    fails("Timeout", reader.wait_change_timeout(MOMENT))
}

fn whole_values(name: &str) -> Checked {
    let mut child = Child::start("writer", name)?;
    let mut reader = Reader::open(name)?;
    child.tell("run 150")?;

    let end = Instant::now() + Duration::from_millis(150);
    let (mut last, mut reads) = (0, 0);
    while Instant::now() < end || reads == 0 {
        match reader.get() {
            Ok(bytes) => {
                let now = number(bytes)?;
                must("values never get older", now >= last)?;
                (last, reads) = (now, reads + 1);
            }
            // The value was not set yet.
            Err(GetError::NotSet) => {}
            Err(error) => return Err(error.into()),
        }
    }

    child.expect("done")
}

fn values_stay(name: &str) -> Checked {
    let mut first = table(name)?;
    first.set_at(0, b"kept")?;
    let mut reader = Reader::open(name)?;
    drop(first);
    same("the value after the end", reader.get_at(0)?, b"kept")?;
    let mut second = created(|| table(name))?;
    second.set_at(1, b"new")?;
    must(
        "the reader continues with the next writer",
        reader.wait_for_writer(PATIENCE)?,
    )?;
    same("the kept value", reader.get_at(0)?, b"kept")?;
    same("the new value", reader.get_at(1)?, b"new")
}

fn answered(name: &str) -> Checked {
    let mut server = Server::create(name)?;
    let mut child = Child::start("client", name)?;
    child.tell("call 0 200")?;
    for n in 0..200 {
        let request = server.recv_timeout(PATIENCE)?;
        same("the request", number(request.bytes())?, n)?;
        let answer = reversed(request.bytes());
        request.respond(&answer)?;
    }
    child.expect("done")
}

fn any_order(name: &str) -> Checked {
    let mut server = Server::create(name)?;
    let mut client = Client::open(name)?;
    let calls = [client.send(b"first")?, client.send(b"second")?];
    let first = server.recv()?.defer();
    server.recv()?.respond(b"two")?;
    same("the second response", client.recv(&calls[1])?, b"two")?;
    let none = client.try_recv(&calls[0]).map(<[u8]>::to_vec);
    fails("Empty", none)?;
    first.respond(b"one")?;
    same("the first response", client.recv(&calls[0])?, b"one")
}

fn dropped(name: &str) -> Checked {
    let mut server = Server::create(name)?;
    let mut client = Client::open(name)?;
    let call = client.send(b"request")?;
    drop(server.recv()?);
    let came = outcome(client.recv(&call));
    same("the end of the call", &*came, "Unanswered")
}

fn late(name: &str) -> Checked {
    let mut server = Server::create(name)?;
    let mut client = Client::open(name)?;
    let came = outcome(client.call_timeout(b"slow", MOMENT));
    same("the end of a call that takes too long", &*came, "Timeout")?;
    let slow = server.recv()?.defer();
    let call = client.send(b"next")?;
    let next = server.recv()?.defer();
    slow.respond(b"too late")?;
    let came = outcome(client.recv_timeout(&call, MOMENT));
    same("the next call before its response", &*came, "Timeout")?;
    next.respond(b"in time")?;
    same("the next response", client.recv(&call)?, b"in time")
}

fn workers(name: &str) -> Checked {
    let first = Server::create(name)?;
    let work = |mut server: Server| {
        aside(move || {
            let mut answered = 0;
            loop {
                let request = server.recv()?;
                if request.bytes() == b"end" {
                    request.respond(b"end")?;
                    return Ok(answered);
                }
                let answer = reversed(request.bytes());
                request.respond(&answer)?;
                answered += 1;
            }
        })
    };

    let workers = [work(first.clone())?, work(first)?];
    let mut client = Client::open(name)?;
    for n in 0..200 {
        let request = message(n);
        let answer = client.call_timeout(&request, PATIENCE)?;
        must("the response is right", answer == reversed(&request))?;
    }

    let mut answered = 0;
    for _ in 0..2 {
        client.call_timeout(b"end", PATIENCE)?;
    }
    for worker in workers {
        answered += worker("each worker ends")?;
    }

    same("the responses of both workers", answered, 200)
}
