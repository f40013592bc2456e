//! Checks of waits for several sources at once, and for the next owner.

use super::check::{
    Check, Checked, MOMENT, PATIENCE, aside, created, fails, message, must, number, same, soon,
    until_asleep,
};
use super::child::Child;
use super::roles::{queue, subscriber, topic};
use shmkit::{
    Delivery, Event, ProcessIdentity, Publisher, RecvError, Reset, Sender, Start, Subscriber,
    WaitSet, Waitable,
};

const fn waiting(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("waiting", name, run)
}

pub const CHECKS: [Check; 6] = [
    waiting(
        "a wait for several sources is woken by an event of another process",
        woken_by_event,
    ),
    waiting(
        "a wait for several sources is woken by the death of a process",
        woken_by_death,
    ),
    waiting(
        "a source that is always ready does not hold up another source",
        fair,
    ),
    waiting("one wait takes a hundred sources", a_hundred),
    waiting(
        "a subscriber that waits for the next publisher is woken",
        next_publisher,
    ),
    waiting(
        "a sender that waits for the next receiver is woken",
        next_receiver,
    ),
];

fn woken_by_event(name: &str) -> Checked {
    let mut event = Event::create_new(name, Reset::Auto)?;
    let mut child = Child::start("event", name)?;
    let queue_name = format!("{name}-q");
    let mut receiver = queue(&queue_name)?;
    let waiting = aside(move || {
        let which = WaitSet::new().wait(&mut [&mut receiver, &mut event])?;
        Ok((which, event.try_wait()?, receiver))
    })?;
    until_asleep(&queue_name, std::process::id())?;
    child.order("set", "done")?;
    let (which, taken, _receiver) = waiting("the wait ends")?;
    same("the index of the ready source", which, 1)?;
    must("the event is signaled", taken)
}

fn woken_by_death(name: &str) -> Checked {
    let child = Child::start("idle", name)?;
    let mut process = ProcessIdentity::of(child.id())?.watch()?;
    let mut receiver = queue(name)?;
    let waiting = aside(move || {
        let which = WaitSet::new().wait(&mut [&mut receiver, &mut process])?;
        Ok((which, receiver))
    })?;
    until_asleep(name, std::process::id())?;
    child.kill()?;
    same(
        "the index of the ready source",
        waiting("the wait ends")?.0,
        1,
    )
}

fn fair(name: &str) -> Checked {
    let other = format!("{name}-2");
    let (mut busy, mut quiet) = (queue(name)?, queue(&other)?);
    let mut senders = [Sender::open(name)?, Sender::open(&*other)?];
    let mut told = [0; 2];
    let mut set = WaitSet::new();

    for n in 0..100 {
        for sender in &mut senders {
            sender.send(&message(n))?;
        }
        let which = set.wait(&mut [&mut busy, &mut quiet])?;
        told[which] += 1;
        match which {
            0 => busy.drain(|_| {})?,
            _ => quiet.drain(|_| {})?,
        };
    }

    same("how often each source was ready", told, [50; 2])
}

fn a_hundred(name: &str) -> Checked {
    let mut events = Vec::new();
    let mut setters = Vec::new();
    for n in 0..100 {
        let name = format!("{name}-{n}");
        events.push(Event::create_new(&*name, Reset::Auto)?);
        setters.push(Event::open_rw(&*name)?);
    }

    let mut set = WaitSet::new();
    for n in [0, 99, 50, 64, 63] {
        setters[n].set()?;
        let mut all: Vec<&mut dyn Waitable> = Vec::new();
        all.extend(events.iter_mut().map(|event| event as &mut dyn Waitable));
        let which = set.wait_timeout(&mut all, PATIENCE)?;
        same("the index of the ready source", which, Some(n))?;
        must("the event is signaled", events[n].try_wait()?)?;
    }

    let mut all: Vec<&mut dyn Waitable> = Vec::new();
    all.extend(events.iter_mut().map(|event| event as &mut dyn Waitable));
    same(
        "the ready source after that",
        set.wait_timeout(&mut all, MOMENT)?,
        None,
    )
}

fn next_publisher(name: &str) -> Checked {
    let first = topic(name, Delivery::Lossy)?;
    let mut subscriber: Subscriber = subscriber(name, Start::New)?;
    drop(first);
    fails("Disconnected(Closed)", subscriber.recv())?;

    let waiting = aside(move || {
        let came = subscriber.wait_for_publisher(PATIENCE)?;
        must("the next publisher is found", came)?;
        same(
            "the message of the next publisher",
            number(subscriber.recv()?)?,
            1,
        )
    })?;

    std::thread::sleep(4 * MOMENT);
    let mut next = created(|| Publisher::create(name))?;
    next.send(&message(1))?;
    waiting("the wait ends")
}

fn next_receiver(name: &str) -> Checked {
    let first = queue(name)?;
    let mut sender = Sender::open(name)?;
    drop(first);

    let waiting = aside(move || {
        let came = sender.wait_for_receiver(PATIENCE)?;
        must("the next receiver is found", came)?;
        sender.send(&message(1))?;
        Ok(sender)
    })?;
    std::thread::sleep(4 * MOMENT);

    let mut next = created(|| queue(name))?;
    let came = soon("the message comes", || match next.recv_timeout(MOMENT) {
        Ok(bytes) => Some(Ok(bytes.to_vec())),
        // A sender that has reattached is reported, and is not a message.
        Err(RecvError::Timeout | RecvError::Disconnected(_)) => None,
        Err(error) => Some(Err(error)),
    })??;

    same("the message", number(&came)?, 1)?;
    waiting("the wait ends").map(drop)
}
