//! Checks of sections, events and mutexes.

use super::check::{
    Check, Checked, MOMENT, PATIENCE, Wrong, aside, created, gone, must, refused, same, soon,
};
use super::child::Child;
use super::roles::{add_atomically, add_under, cells, counted, elsewhere, how};
use shmkit::ErrorKind::{AlreadyExists, InvalidName, NotFound, OutOfBounds, ReadOnly, WrongKind};
use shmkit::inspect::Kind;
use shmkit::{Event, Mutex, Origin, Reset, Section};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of rounds in which two processes do something in turn or at once.
const ROUNDS: u64 = 500;

const fn section(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("sections", name, run)
}

const fn event(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("events", name, run)
}

const fn mutex(name: &'static str, run: fn(&str) -> Checked) -> Check {
    Check::new("mutexes", name, run)
}

pub const CHECKS: [Check; 23] = [
    section(
        "a new section is zero and has the requested length",
        new_is_zero,
    ),
    section(
        "one process reads the bytes that another process writes",
        bytes_cross_over,
    ),
    section(
        "two processes increment one word and lose no increment",
        atomics_are_shared,
    ),
    section(
        "creating a section that exists fails and does not change it",
        create_refuses,
    ),
    section("opening a name never creates an object", open_refuses),
    section(
        "a name has one kind and cannot be opened as another",
        kinds_are_apart,
    ),
    section(
        "a name exists until its last holder ends, and is then free",
        last_holder,
    ),
    section("an access outside of a section or view is refused", bounds),
    section("stores to a copy-on-write view stay private", copy_on_write),
    section("a reserved section can be committed in parts", reserved),
    section("the list shows the objects that exist", listed),
    section("an invalid name is refused", wrong_names),
    event(
        "each signal of an auto-reset event ends one wait",
        auto_reset,
    ),
    event(
        "a manual-reset event ends all waits until it is reset",
        manual_reset,
    ),
    event(
        "a signal ends a wait in another process, in both directions",
        signals_cross,
    ),
    event(
        "no signal between two processes is lost or doubled",
        ping_pong,
    ),
    event("a wait ends at its timeout", waits_end_in_time),
    event(
        "an event that was opened for waiting cannot be set",
        event_read,
    ),
    mutex(
        "one thread at a time has a mutex, and can lock it again",
        one_owner,
    ),
    mutex("one process at a time has a mutex", one_process),
    mutex(
        "a waiting thread gets the mutex when it is unlocked",
        mutex_waits,
    ),
    mutex("counting under a mutex loses no increment", protects),
    mutex(
        "the next owner learns that a thread ended with the mutex",
        thread_ends,
    ),
];

fn new_is_zero(name: &str) -> Checked {
    let made = Section::create_new(name, 10_000)?;
    same("the length", made.len()?, 10_000)?;
    let mut bytes = vec![1; 10_000];
    made.map(..)?.read(0, &mut bytes)?;
    must("all bytes are zero", bytes.iter().all(|byte| *byte == 0))?;
    let opened = Section::open(name)?;
    must("the opened section is not shorter", opened.len()? >= 10_000)
}

fn bytes_cross_over(name: &str) -> Checked {
    let view = Section::create_new(name, 4096)?.map_rw(..)?;
    let mut child = Child::start("section", name)?;
    view.write(0, b"from here")?;
    same(
        "the bytes that the other process reads",
        &*child.ask("read 9")?,
        "from here",
    )?;

    child.order("write from there", "done")?;
    let mut bytes = [0; 10];
    view.read(0, &mut bytes)?;
    same(
        "the bytes that the other process wrote",
        &bytes,
        b"from there",
    )
}

fn atomics_are_shared(name: &str) -> Checked {
    let view = Section::create_new(name, 4096)?.map_rw(..)?;
    let mut child = Child::start("section", name)?;
    child.tell("add 100000")?;
    add_atomically(&view, 100_000)?;
    child.expect("done")?;
    same("the sum", counted(&view)?, 200_000)
}

fn create_refuses(name: &str) -> Checked {
    let made = Section::create_new(name, 4096)?;
    made.map_rw(..)?.write(0, b"mine")?;
    refused(AlreadyExists, Section::create_new(name, 1 << 20))?;
    let (opened, origin) = Section::open_or_create(name, 1)?;
    same("the origin", origin, Origin::Opened)?;
    same(
        "the content",
        opened.map(..)?.read_value::<[u8; 4]>(0)?,
        *b"mine",
    )
}

fn open_refuses(name: &str) -> Checked {
    refused(NotFound, Section::open(name))?;
    refused(NotFound, Section::open_rw(name))?;
    refused(NotFound, Event::open(name))?;
    refused(NotFound, Mutex::open(name))?;
    drop(created(|| Section::create_new(name, 1))?);
    Ok(())
}

fn kinds_are_apart(name: &str) -> Checked {
    let made = Section::create_new(name, 1)?;
    refused(WrongKind, Event::open(name))?;
    refused(WrongKind, Mutex::create_new(name))?;
    drop(made);
    gone(|| Section::open(name))?;
    let made = Event::create_new(name, Reset::Auto)?;
    refused(WrongKind, Section::open(name))?;
    refused(WrongKind, Mutex::open(name))?;
    drop(made);
    gone(|| Event::open(name))?;
    let _made = Mutex::create_new(name)?;
    refused(WrongKind, Section::create_new(name, 1))?;
    refused(WrongKind, Event::open(name))
}

fn last_holder(name: &str) -> Checked {
    let made = Section::create_new(name, 4096)?;
    let view = made.map_rw(..)?;
    view.write(0, b"kept")?;
    drop(made);
    // The view holds the section too, and then the other process does.
    let mut child = Child::start("section", name)?;
    drop(view);
    same("the content", &*child.ask("read 4")?, "kept")?;
    refused(AlreadyExists, Section::create_new(name, 1))?;
    child.leave()?;
    gone(|| Section::open(name))?;
    created(|| Section::create_new(name, 1)).map(drop)
}

fn bounds(name: &str) -> Checked {
    let made = Section::create_new(name, 5000)?;
    refused(OutOfBounds, made.map(4999..5001))?;
    refused(OutOfBounds, made.map_rw(1..u64::MAX))?;
    refused(OutOfBounds, made.read_at(4999, &mut [0; 2]))?;
    let view = made.map_rw(4090..4100)?;
    view.write(0, b"two pages.")?;
    refused(OutOfBounds, view.write(1, b"two pages."))?;
    let mut bytes = [0; 10];
    made.read_at(4090, &mut bytes)?;
    same("the bytes across two pages", &bytes, b"two pages.")
}

fn copy_on_write(name: &str) -> Checked {
    let made = Section::create_new(name, 4096)?;
    made.map_rw(..)?.write(0, b"shared")?;
    let own = made.map_copy_on_write(..)?;
    own.write(0, b"my own")?;
    let read = |view: shmkit::Mapping| view.read_value::<[u8; 6]>(0);
    same(
        "the content of the section",
        read(made.map(..)?)?,
        *b"shared",
    )?;
    same(
        "the content of the private view",
        own.read_value::<[u8; 6]>(0)?,
        *b"my own",
    )
}

fn reserved(name: &str) -> Checked {
    let options = Section::options().reserve(true);
    let made = options.create_new(name, 64 << 20)?;
    made.commit((1 << 20)..(1 << 20) + 4096)?;
    made.map_rw((1 << 20)..(1 << 20) + 4096)?
        .write(0, b"here")?;
    let opened = Section::open(name)?;
    let mut bytes = [0; 4];
    opened.read_at(1 << 20, &mut bytes)?;
    same("the content of the committed part", &bytes, b"here")
}

fn listed(name: &str) -> Checked {
    let base = name.trim_start_matches("Local\\");

    let look = || -> Result<Option<Kind>, Wrong> {
        let all = shmkit::inspect::list()?;
        let one = all
            .into_iter()
            .find(|one| one.name.split_once('\\').is_some_and(|(_, b)| b == base));
        Ok(one.map(|one| one.kind))
    };

    // Windows returns one name after the other, and may leave out a name when another object ends.
    let tells = |what: &'static str, kind: Option<Kind>| {
        soon(what, || {
            look().is_ok_and(|found| found == kind).then_some(())
        })
    };

    same("the kind in the list before", look()?, None)?;
    let made = Section::create_new(name, 1)?;
    tells("the list has a section", Some(Kind::Section))?;
    drop(made);
    gone(|| Section::open(name))?;
    let made = Event::create_new(name, Reset::Auto)?;
    tells("the list has an event", Some(Kind::Event))?;
    drop(made);
    tells("the list no longer has the event", None)
}

fn wrong_names(name: &str) -> Checked {
    let lower = name.replace("Local", "local");
    let nul = format!("{name}\0");
    let deep = format!("{name}\\x");
    let long = format!("{name}{}", "x".repeat(300));
    for wrong in ["", "Local\\", &*lower, &*nul, &*deep, &*long] {
        refused(InvalidName, Section::create_new(wrong, 1))?;
    }
    let odd = format!("{name} é $ 100% / 😀");
    drop(Section::create_new(&*odd, 1)?);
    Ok(())
}

fn auto_reset(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let other = Event::open_rw(name)?;
    must("a new event is not signaled", !event.try_wait()?)?;
    other.set()?;
    other.set()?;
    must("the signal ends a wait", event.try_wait()?)?;
    must("the signal ended only one wait", !other.try_wait()?)?;
    other.set()?;
    // `is_set` returns `None` if the system does not report the state.
    must(
        "reading the state takes no signal",
        event.is_set() != Some(false) && event.try_wait()?,
    )
}

fn manual_reset(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Manual)?;
    let wait = |name: String| {
        aside(move || {
            Event::open(&*name)?.wait()?;
            Ok(())
        })
    };

    let waiters = [wait(name.to_string())?, wait(name.to_string())?];
    std::thread::sleep(MOMENT);
    event.set()?;
    for waiter in waiters {
        waiter("each wait ends")?;
    }

    must(
        "the event stays signaled",
        event.try_wait()? && event.try_wait()?,
    )?;
    event.reset()?;
    must("the event is reset", !event.try_wait()?)
}

fn signals_cross(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let mut child = Child::start("event", name)?;
    child.tell("wait")?;
    std::thread::sleep(MOMENT);
    event.set()?;
    child.expect("done")?;
    let own = name.to_string();
    let waiter = aside(move || Ok(Event::open(&*own)?.wait()?))?;
    std::thread::sleep(MOMENT);
    child.order("set", "done")?;
    waiter("the signal of another process ends the wait")?;
    must("no signal is left", !event.try_wait()?)
}

fn ping_pong(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let back = Event::create_new(&*format!("{name}-back"), Reset::Auto)?;
    let cells = cells(name)?;
    let mut child = Child::start("event", name)?;
    child.tell(&format!("pong {ROUNDS}"))?;
    for n in 1..=ROUNDS {
        add_atomically(&cells, 1)?;
        event.set()?;
        let came = back.wait_timeout(PATIENCE)?;
        must("the signal comes back", came)?;
        same("the number of signals so far", counted(&cells)?, 2 * n)?;
    }
    child.expect("done")?;
    must("no signal is left", !event.try_wait()? && !back.try_wait()?)
}

fn waits_end_in_time(name: &str) -> Checked {
    const TIME: Duration = Duration::from_millis(30);
    let event = Event::create_new(name, Reset::Auto)?;
    let start = Instant::now();
    must("there is no signal", !event.wait_timeout(TIME)?)?;
    let took = start.elapsed();
    let right = (TIME..PATIENCE).contains(&took);
    match right {
        true => Ok(()),
        false => Err(Wrong::new(
            format_args!("a wait of {TIME:?} takes that long"),
            format_args!("{took:?}"),
        )),
    }
}

fn event_read(name: &str) -> Checked {
    let event = Event::create_new(name, Reset::Auto)?;
    let waiter = Event::open(name)?;
    refused(ReadOnly, waiter.set())?;
    refused(ReadOnly, waiter.reset())?;
    event.set()?;
    must("the event can be waited for", waiter.try_wait()?)
}

fn one_owner(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let second = Mutex::open(name)?;
    let first = mutex.lock()?;
    let again = second.lock()?;
    same("the mutex for another thread", elsewhere(&mutex)?, "Taken")?;
    drop(again);
    same("the mutex after one unlock", elsewhere(&second)?, "Taken")?;
    drop(first);
    same("the mutex after two unlocks", elsewhere(&second)?, "Clean")
}

fn one_process(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let mut child = Child::start("mutex", name)?;
    let guard = mutex.lock()?;
    same(
        "the mutex for another process",
        &*child.ask("try")?,
        "Taken",
    )?;

    drop(guard);
    same(
        "the mutex for another process after the unlock",
        &*child.ask("take")?,
        "Clean",
    )?;
    same(
        "the mutex for this process",
        how(mutex.try_lock()?.as_ref()),
        "Taken",
    )?;
    must(
        "a wait with a timeout ends without the mutex",
        mutex.lock_timeout(MOMENT)?.is_none(),
    )?;

    child.order("give", "done")?;
    same(
        "the mutex for this process after the unlock",
        how(mutex.try_lock()?.as_ref()),
        "Clean",
    )
}

fn mutex_waits(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let mut child = Child::start("mutex", name)?;
    same(
        "the mutex for the other process",
        &*child.ask("take")?,
        "Clean",
    )?;

    let own = name.to_string();
    let waiter = aside(move || Ok(how(Some(&Mutex::open(&*own)?.lock()?))))?;
    std::thread::sleep(4 * MOMENT);
    child.order("give", "done")?;
    let came = waiter("the waiting thread gets the mutex when another process unlocks it")?;
    same("the mutex for the waiting thread", came, "Clean")?;

    let guard = mutex.lock()?;
    child.tell("take")?;
    std::thread::sleep(4 * MOMENT);
    drop(guard);
    child.expect("Clean")
}

fn protects(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let cells = cells(name)?;
    let mut child = Child::start("mutex", name)?;
    child.tell(&format!("add {ROUNDS}"))?;
    add_under(&mutex, &cells, ROUNDS)?;
    child.expect("done")?;
    same("the sum", counted(&cells)?, 2 * ROUNDS)
}

fn thread_ends(name: &str) -> Checked {
    let mutex = Arc::new(Mutex::create_new(name)?);
    let own = Arc::clone(&mutex);
    let ending = aside(move || {
        std::mem::forget(own.lock()?);
        Ok(())
    })?;
    ending("the thread ends")?;
    let told = soon("the mutex of a thread that has ended is free", || {
        elsewhere(&mutex).ok().filter(|how| *how != "Taken")
    })?;
    same("the mutex for the next thread", told, "Abandoned")?;
    same("the mutex after that", elsewhere(&mutex)?, "Clean")
}
