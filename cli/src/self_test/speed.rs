//! Measures the speed of operations on this machine, each with a floor of the same run. The speeds
//! are reported, and no speed makes the self-test fail.

use super::check::{Checked, PATIENCE, Wrong, must};
use super::child::{Child, Orders};
use crate::bench::machine;
use shmkit::{
    Client, Event, Mapping, Publisher, ReadWrite, Reader, Receiver, Reset, Section, Sender, Server,
    Start, Subscriber, Writer,
};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A measurement, and the function that makes it.
pub struct Speed {
    pub name: &'static str,
    /// The operation with which it is compared.
    pub floor: &'static str,
    pub run: fn(&str) -> Result<Ratio, Wrong>,
}

/// The medians of the measurement and of its floor, in nanoseconds.
pub struct Ratio {
    pub took: f64,
    pub floor: f64,
}

const COPIES: &str = "two copies and two stores";
const LINE: &str = "the round trip of a cache line";
const EVENT: &str = "a wake-up by an event, and one store";

pub const SPEEDS: [Speed; 6] = [
    Speed {
        name: "send and receive 64 bytes in one thread",
        floor: COPIES,
        run: queue_in_thread,
    },
    Speed {
        name: "publish and receive 64 bytes in one thread",
        floor: COPIES,
        run: topic_in_thread,
    },
    Speed {
        name: "set and get a value of 64 bytes in one thread",
        floor: COPIES,
        run: value_in_thread,
    },
    Speed {
        name: "round trip of 56 bytes between two processes",
        floor: LINE,
        run: round_trip,
    },
    Speed {
        name: "send to a receiver that sleeps in another process, and receive its answer",
        floor: EVENT,
        run: wake_by_queue,
    },
    Speed {
        name: "call a server that sleeps in another process",
        floor: EVENT,
        run: wake_by_call,
    },
];

const MESSAGE: [u8; 64] = [7; 64];
const SHORT: [u8; 56] = [7; 56];

/// The duration of a measurement that has no fixed number of operations.
const TIME: Duration = Duration::from_millis(60);
/// The number of short operations that are measured together.
const CHUNK: u32 = 256;
/// The number of measured wake-ups.
const WAKES: usize = 60;
/// Longer than a waiting thread polls before it sleeps.
const PAUSE: Duration = Duration::from_millis(1);
/// The offset of the cache line of the floor, and the number that ends its round trips.
const BALL: usize = 0;
const OVER: u64 = u64::MAX;

fn median(mut times: Vec<Duration>, each: u32) -> f64 {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    middle.as_nanos() as f64 / f64::from(each)
}

/// Returns the time of one short operation, which is measured in chunks.
fn in_chunks(mut one: impl FnMut() -> Checked) -> Result<f64, Wrong> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < TIME {
        let begin = Instant::now();
        for _ in 0..CHUNK {
            one()?;
        }
        times.push(begin.elapsed());
    }
    Ok(median(times, CHUNK))
}

/// Returns the time of one long operation. Each operation is measured alone, after a pause, as long
/// as `go_on` returns true for the number of operations so far.
fn one_by_one(
    mut go_on: impl FnMut(usize) -> bool,
    mut one: impl FnMut() -> Checked,
    pause: Duration,
) -> Result<f64, Wrong> {
    let mut times = Vec::new();
    while go_on(times.len()) {
        std::thread::sleep(pause);
        let begin = Instant::now();
        one()?;
        times.push(begin.elapsed());
    }
    Ok(median(times, 1))
}

/// Returns the time that each message needs at least: to copy it into memory and out of it, and to
/// store a word on each side.
fn copies() -> Result<f64, Wrong> {
    let (mut there, mut here) = ([0; 64], [0; 64]);
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    in_chunks(|| {
        black_box(&mut there).copy_from_slice(black_box(&MESSAGE));
        // Pairs with nothing: only the cost of the store is measured.
        sent.store(black_box(1), Ordering::Release);
        black_box(&mut here).copy_from_slice(black_box(&there));
        // Pairs with nothing: only the cost of the store is measured.
        received.store(black_box(1), Ordering::Release);
        Ok(())
    })
}

fn queue_in_thread(name: &str) -> Result<Ratio, Wrong> {
    let mut receiver = Receiver::create(name)?;
    let mut sender = Sender::open(name)?;
    let took = in_chunks(|| {
        sender.send(&MESSAGE)?;
        must("a message", receiver.try_recv()?.len() == MESSAGE.len())
    })?;
    let floor = copies()?;
    Ok(Ratio { took, floor })
}

fn topic_in_thread(name: &str) -> Result<Ratio, Wrong> {
    let mut publisher = Publisher::create(name)?;
    let mut subscriber: Subscriber = Subscriber::options().start(Start::New).open(name)?;
    let took = in_chunks(|| {
        publisher.send(&MESSAGE)?;
        must("a message", subscriber.try_recv()?.len() == MESSAGE.len())
    })?;
    let floor = copies()?;
    Ok(Ratio { took, floor })
}

fn value_in_thread(name: &str) -> Result<Ratio, Wrong> {
    let mut writer = Writer::create(name)?;
    let mut reader = Reader::open(name)?;
    let took = in_chunks(|| {
        writer.set(&MESSAGE)?;
        must("a value", reader.get()?.len() == MESSAGE.len())
    })?;
    let floor = copies()?;
    Ok(Ratio { took, floor })
}

fn back(name: &str) -> String {
    format!("{name}-back")
}

/// A processor for each of the two processes; `None` if there is only one processor. On the same
/// processor, the two processes would wait for each other.
type Processors = Option<[usize; 2]>;

/// Starts a child that answers, and pins both processes to their processors.
fn peer(name: &str, what: &str, processors: Processors) -> Result<Child, Wrong> {
    let there = processors.map_or(String::new(), |[_, there]| there.to_string());
    let child = Child::start_with("speed", name, &format!("{what} {there}"))?;
    if let Some([here, _]) = processors {
        // If the system refuses, the system chooses the processor.
        machine::pin(here);
    }
    Ok(child)
}

/// A queue in each direction, and a child that sends each message back.
struct Echo {
    inbox: Receiver,
    outbox: Sender,
    _child: Child,
}

impl Echo {
    fn start(name: &str, processors: Processors) -> Result<Echo, Wrong> {
        let inbox = Receiver::create(&*back(name))?;
        let mut child = peer(name, "queue", processors)?;
        let outbox = Sender::open(name)?;
        child.tell("go")?;
        Ok(Echo {
            inbox,
            outbox,
            _child: child,
        })
    }

    fn trip(&mut self) -> Checked {
        self.outbox.send(&SHORT)?;
        let came = self.inbox.recv_timeout(PATIENCE)?;
        must("the message comes back", came.len() == SHORT.len())
    }
}

fn round_trip(name: &str) -> Result<Ratio, Wrong> {
    let processors = machine::two_processors();
    let mut echo = Echo::start(name, processors)?;
    let until = |end: Instant| move |_| Instant::now() < end;
    let took = one_by_one(
        until(Instant::now() + 2 * TIME),
        || echo.trip(),
        Duration::ZERO,
    )?;

    drop(echo);
    let name = format!("{name}-line");
    let view = Section::create_new(&*name, 4096)?.map_rw(..)?;
    let mut child = peer(&name, "line", processors)?;
    child.tell("go")?;

    let ball = view.atomic_u64(BALL)?;
    let mut number = 0;
    let floor = one_by_one(
        until(Instant::now() + 2 * TIME),
        || {
            // Pairs with the load in `next` in the child.
            ball.store(number + 1, Ordering::Release);
            number = next(&view, number + 1)?;
            Ok(())
        },
        Duration::ZERO,
    )?;

    ball.store(OVER, Ordering::Relaxed);
    child.expect("done")?;
    Ok(Ratio { took, floor })
}

/// Waits until the other process has written the cache line, and returns the number in it.
fn next(view: &Mapping<ReadWrite>, last: u64) -> Result<u64, Wrong> {
    let (ball, start) = (view.atomic_u64(BALL)?, Instant::now());
    loop {
        for _ in 0..1 << 12 {
            // Pairs with the stores of the other process.
            let number = ball.load(Ordering::Acquire);
            if number != last {
                return Ok(number);
            }
            std::hint::spin_loop();
        }
        // On one processor only one of the two runs at a time.
        std::thread::yield_now();
        must("the cache line comes back", start.elapsed() < PATIENCE)?;
    }
}

/// Measures the floor of wake-ups: an event wakes a thread in another process, and the thread
/// stores a word.
fn event(name: &str, processors: Processors) -> Result<f64, Wrong> {
    let name = format!("{name}-event");
    let event = Event::create_new(&*name, Reset::Auto)?;
    let view = Section::create_new(&*back(&name), 4096)?.map_rw(..)?;
    let mut child = peer(&name, "event", processors)?;
    child.tell("go")?;
    let mut number = 0;
    let one = || {
        event.set()?;
        number = next(&view, number)?;
        Ok(())
    };
    one_by_one(|n| n < WAKES, one, PAUSE)
}

fn wake_by_queue(name: &str) -> Result<Ratio, Wrong> {
    let processors = machine::two_processors();
    let mut echo = Echo::start(name, processors)?;
    let took = one_by_one(|n| n < WAKES, || echo.trip(), PAUSE)?;
    drop(echo);
    let floor = event(name, processors)?;
    Ok(Ratio { took, floor })
}

fn wake_by_call(name: &str) -> Result<Ratio, Wrong> {
    let processors = machine::two_processors();
    let mut child = peer(name, "call", processors)?;
    let mut client = Client::open(name)?;
    child.tell("go")?;
    let one = || {
        let came = client.call_timeout(&SHORT, PATIENCE)?;
        must("a response", came.len() == SHORT.len())
    };
    let took = one_by_one(|n| n < WAKES, one, PAUSE)?;
    drop(child);
    let floor = event(name, processors)?;
    Ok(Ratio { took, floor })
}

/// Runs in the child: sends back each message, until the child is killed.
pub fn play(name: &str, argument: &str, orders: &Orders) -> Checked {
    let (what, processor) = argument.split_once(' ').unwrap_or((argument, ""));
    if let Ok(processor) = processor.parse() {
        // If the system refuses, the system chooses the processor.
        machine::pin(processor);
    }

    match what {
        "queue" => {
            let mut inbox = Receiver::create(name)?;
            let mut outbox = Sender::open(&*back(name))?;
            orders.obey(|_, _| {
                loop {
                    let message = inbox.recv()?;
                    outbox.send(message)?;
                }
            })
        }
        "event" => {
            let event = Event::open(name)?;
            let view = Section::open_rw(&*back(name))?.map_rw(..)?;
            orders.obey(|_, _| {
                for number in 1.. {
                    event.wait()?;
                    // Pairs with the load in `next` in the parent.
                    view.atomic_u64(BALL)?.store(number, Ordering::Release);
                }
                Ok("done".to_string())
            })
        }
        "call" => {
            let mut server = Server::create(name)?;
            orders.obey(|_, _| {
                loop {
                    let request = server.recv()?;
                    let bytes = request.bytes();
                    request.respond(bytes)?;
                }
            })
        }
        _ => {
            let view = Section::open_rw(name)?.map_rw(..)?;
            orders.obey(|_, _| {
                let mut number = 0;
                loop {
                    number = next(&view, number)?;
                    if number == OVER {
                        return Ok("done".to_string());
                    }
                    number += 1;
                    // Pairs with the load in `next` in the parent.
                    view.atomic_u64(BALL)?.store(number, Ordering::Release);
                }
            })
        }
    }
}
