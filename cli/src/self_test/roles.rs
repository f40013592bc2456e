//! The roles of the child processes, and functions that the checks share with them.

use super::check::{Checked, Wrong, fails, message, must, number, same};
use super::child::Orders;
use super::{speed, wakes};
use shmkit::{
    Access, CallError, Client, Delivery, Event, Liveness, Locked, Mapping, Mutex, MutexGuard,
    Publisher, ReadWrite, Reader, Receiver, RecvError, Reset, Responder, Section, SendError,
    Sender, Server, Start, Subscriber, Writer,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The sizes of all queues and topics of the checks: few messages fill them.
const CAPACITY: u64 = 4096;
const LONGEST: u64 = 200;

/// The offset of the counter in the section that a mutex protects.
const COUNT: usize = 64;

pub fn play(role: &str, name: &str, argument: &str, orders: &Orders) -> Checked {
    match role {
        "idle" => orders.obey(|_, _| done()),
        "section" => serve_section(Section::open_rw(name)?, orders),
        "maker" => serve_section(Section::create_new(name, 4096)?, orders),
        "event" => serve_event(name, orders),
        "mutex" => serve_mutex(name, orders),
        "announcer" => {
            let _alive = Liveness::announce(name, Access::SameUser)?;
            orders.obey(|_, _| done())
        }
        "sender" => serve_sender(name, orders),
        "receiver" => serve_receiver(name, orders),
        "publisher" => serve_publisher(name, orders),
        "subscriber" => serve_subscriber(name, orders),
        "writer" => serve_writer(name, orders),
        "reader" => serve_reader(name, orders),
        "server" => serve_calls(name, orders),
        "client" => serve_client(name, orders),
        "wake" => wakes::play(name, argument, orders),
        "speed" => speed::play(name, argument, orders),
        other => Err(Wrong::new("a role", other)),
    }
}

fn done() -> Result<String, Wrong> {
    Ok("done".to_string())
}

fn no_order(word: &str) -> Result<String, Wrong> {
    Err(Wrong::new("an order", word))
}

pub fn queue(name: &str) -> shmkit::Result<Receiver> {
    let options = Receiver::options().capacity(CAPACITY).max_message(LONGEST);
    options.create(name)
}

pub fn topic(name: &str, delivery: Delivery) -> shmkit::Result<Publisher> {
    let options = Publisher::options().capacity(CAPACITY).max_message(LONGEST);
    options.delivery(delivery).create(name)
}

pub fn table(name: &str) -> shmkit::Result<Writer> {
    let options = Writer::options().names(["first", "second"]);
    options.max_value(LONGEST).create(name)
}

pub fn subscriber(name: &str, start: Start) -> shmkit::Result<Subscriber> {
    Subscriber::options().start(start).open(name)
}

/// Opens the section that belongs to a mutex or an event. It contains the counter.
pub fn cells(name: &str) -> Result<Mapping<ReadWrite>, Wrong> {
    let (section, _) = Section::open_or_create(&*format!("{name}-cells"), 4096)?;
    Ok(section.map_rw(..)?)
}

fn count(cells: &Mapping<ReadWrite>) -> Result<&AtomicU64, Wrong> {
    Ok(cells.atomic_u64(COUNT)?)
}

/// Adds `n` to the counter, in steps of one atomic addition.
pub fn add_atomically(cells: &Mapping<ReadWrite>, n: u64) -> Checked {
    for _ in 0..n {
        // Relaxed: only the sum counts.
        count(cells)?.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

pub fn counted(cells: &Mapping<ReadWrite>) -> Result<u64, Wrong> {
    Ok(count(cells)?.load(Ordering::Relaxed))
}

/// Adds `n` to the counter, in steps of a load and a store under the mutex.
pub fn add_under(mutex: &Mutex, cells: &Mapping<ReadWrite>, n: u64) -> Checked {
    for _ in 0..n {
        let locked = mutex.lock()?;
        must("no thread ended with the mutex", !locked.is_abandoned())?;
        let before = cells.read_value::<u64>(COUNT)?;
        cells.write_value(COUNT, &(before + 1))?;
        drop(locked);
    }
    Ok(())
}

/// Returns the result of a lock as a word.
pub fn how(locked: Option<&Locked<'_>>) -> &'static str {
    match locked {
        None => "Taken",
        Some(locked) if locked.is_abandoned() => "Abandoned",
        Some(_) => "Clean",
    }
}

/// Returns the result of a lock by another thread as a word.
pub fn elsewhere(mutex: &Mutex) -> Result<&'static str, Wrong> {
    let look = || Ok(how(mutex.try_lock()?.as_ref()));
    std::thread::scope(|scope| {
        let look = std::thread::Builder::new().spawn_scoped(scope, look)?;
        let panicked = |_| Wrong::new("a try to lock the mutex", "a panic");
        look.join().map_err(panicked)?
    })
}

fn serve_section(section: Section, orders: &Orders) -> Checked {
    let view = section.map_rw(..)?;
    orders.obey(|word, rest| match word {
        "write" => {
            view.write(0, rest.as_bytes())?;
            done()
        }
        "read" => {
            let mut bytes = vec![0; rest.parse()?];
            view.read(0, &mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "add" => {
            add_atomically(&view, rest.parse()?)?;
            done()
        }
        other => no_order(other),
    })
}

fn serve_event(name: &str, orders: &Orders) -> Checked {
    let (event, _) = Event::options().open_or_create(name, Reset::Auto)?;
    orders.obey(|word, rest| match word {
        "set" => {
            event.set()?;
            done()
        }
        "wait" => {
            event.wait()?;
            done()
        }
        "try" => Ok(event.try_wait()?.to_string()),
        "pong" => {
            let back = Event::open_rw(&*format!("{name}-back"))?;
            let cells = cells(name)?;
            for n in 1..=rest.parse::<u64>()? {
                event.wait()?;
                same("the number of signals so far", counted(&cells)?, 2 * n - 1)?;
                add_atomically(&cells, 1)?;
                back.set()?;
            }
            done()
        }
        other => no_order(other),
    })
}

fn serve_mutex(name: &str, orders: &Orders) -> Checked {
    let (mutex, _) = Mutex::options().open_or_create(name)?;
    let mut held: Vec<MutexGuard<'_>> = Vec::new();

    orders.obey(|word, rest| match word {
        "take" => {
            let locked = mutex.lock()?;
            let how = how(Some(&locked)).to_string();
            held.push(locked.into_guard());
            Ok(how)
        }
        "try" => Ok(how(mutex.try_lock()?.as_ref()).to_string()),
        "give" => {
            held.clear();
            done()
        }
        "add" => {
            add_under(&mutex, &cells(name)?, rest.parse()?)?;
            done()
        }
        other => no_order(other),
    })
}

/// Returns the numbers of the messages of an order such as `send FROM COUNT`.
fn numbers(rest: &str) -> Result<std::ops::Range<u64>, Wrong> {
    let (from, count) = rest.split_once(' ').unwrap_or(("0", rest));
    let from = from.parse()?;
    Ok(from..from + count.parse::<u64>()?)
}

fn serve_sender(name: &str, orders: &Orders) -> Checked {
    let mut sender = Some(Sender::open(name)?);
    orders.obey(|word, rest| match (word, &mut sender) {
        ("send", Some(sender)) => {
            for n in numbers(rest)? {
                sender.send(&message(n))?;
            }
            done()
        }
        ("batch", Some(sender)) => {
            let mut batch = sender.batch();
            for n in numbers(rest)? {
                batch.send(&message(n))?;
            }
            // The batch is never sent: the check kills this process.
            std::mem::forget(batch);
            done()
        }
        ("close", _) => {
            sender = None;
            done()
        }
        (other, _) => no_order(other),
    })
}

fn serve_receiver(name: &str, orders: &Orders) -> Checked {
    let mut receiver = Some(queue(name)?);
    orders.obey(|word, rest| match (word, &mut receiver) {
        ("take", Some(receiver)) => {
            for n in numbers(rest)? {
                same("the next message", number(receiver.recv()?)?, n)?;
            }
            done()
        }
        ("close", _) => {
            receiver = None;
            done()
        }
        (other, _) => no_order(other),
    })
}

fn serve_publisher(name: &str, orders: &Orders) -> Checked {
    let mut publisher = Some(topic(name, Delivery::Lossy)?);
    orders.obey(|word, rest| match (word, &mut publisher) {
        ("send", Some(publisher)) => {
            for n in numbers(rest)? {
                publisher.send(&message(n))?;
            }
            done()
        }
        ("close", _) => {
            publisher = None;
            done()
        }
        (other, _) => no_order(other),
    })
}

/// Receives all messages until the end. Returns the number of received messages, the number of
/// missed messages, and the error at the end.
pub fn receive_all(subscriber: &mut Subscriber) -> Result<String, Wrong> {
    let (mut received, mut missed) = (0, 0);
    loop {
        match subscriber.recv() {
            Ok(bytes) => {
                let expected = received + missed;
                same("the next message", number(bytes)?, expected)?;
                received += 1;
            }
            Err(RecvError::Lagged(n)) => missed += n,
            Err(end) => return Ok(format!("{received} {missed} {end:?}")),
        }
    }
}

fn serve_subscriber(name: &str, orders: &Orders) -> Checked {
    let mut subscriber = subscriber(name, Start::Oldest)?;
    orders.obey(|word, _| match word {
        "all" => receive_all(&mut subscriber),
        other => no_order(other),
    })
}

fn serve_writer(name: &str, orders: &Orders) -> Checked {
    let mut writer = table(name)?;
    let mut next = 0;

    orders.obey(|word, rest| match word {
        "set" => {
            for n in numbers(rest)? {
                writer.set(&message(n))?;
            }
            done()
        }
        // Sets values as fast as possible for this number of milliseconds.
        "run" => {
            let end = Instant::now() + Duration::from_millis(rest.parse()?);
            while Instant::now() < end {
                writer.set(&message(next))?;
                next += 1;
            }
            done()
        }
        other => no_order(other),
    })
}

fn serve_reader(name: &str, orders: &Orders) -> Checked {
    let mut reader = Reader::open(name)?;
    orders.obey(|word, _| match word {
        "change" => Ok(reader.wait_change()?.to_string()),
        "get" => Ok(number(reader.get()?)?.to_string()),
        other => no_order(other),
    })
}

/// Returns the response to a request: its bytes in reverse order.
pub fn reversed(request: &[u8]) -> Vec<u8> {
    request.iter().rev().copied().collect()
}

fn serve_calls(name: &str, orders: &Orders) -> Checked {
    let mut server = Some(Server::create(name)?);
    let mut held: Vec<Responder> = Vec::new();

    orders.obey(|word, rest| match (word, &mut server) {
        ("answer", Some(server)) => {
            for _ in 0..rest.parse::<u64>()? {
                let request = server.recv()?;
                let answer = reversed(request.bytes());
                request.respond(&answer)?;
            }
            done()
        }
        ("take", Some(server)) => {
            held.push(server.recv()?.defer());
            done()
        }
        ("close", _) => {
            server = None;
            done()
        }
        (other, _) => no_order(other),
    })
}

fn serve_client(name: &str, orders: &Orders) -> Checked {
    let mut client = Client::open(name)?;
    let mut open = Vec::new();

    orders.obey(|word, rest| match word {
        "call" => {
            for n in numbers(rest)? {
                let request = message(n);
                must(
                    "the response is right",
                    client.call(&request)? == reversed(&request),
                )?;
            }
            done()
        }
        "ask" => {
            open.push(client.send(&message(rest.parse()?))?);
            done()
        }
        other => no_order(other),
    })
}

/// Sends messages until there is no space, and returns the number of sent messages.
pub fn fill(mut send: impl FnMut(&[u8]) -> Result<(), SendError>) -> Result<u64, Wrong> {
    let mut sent = 0;
    loop {
        match send(&message(sent)) {
            Ok(()) => sent += 1,
            end => {
                fails("Full", end)?;
                return Ok(sent);
            }
        }
    }
}

/// Returns the response to a call, or its error, as text.
pub fn outcome(came: Result<&[u8], CallError>) -> String {
    match came {
        Ok(bytes) => format!("{bytes:?}"),
        Err(error) => format!("{error:?}"),
    }
}
