//! Sections, events and mutexes.

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

/// How often two processes do something in turn, or at once.
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
        "a new section is all zero and as long as was asked",
        new_is_zero,
    ),
    section(
        "what one process writes another one reads",
        bytes_cross_over,
    ),
    section(
        "two processes count in one word without a loss",
        atomics_are_shared,
    ),
    section(
        "creating what exists is refused and leaves it untouched",
        create_refuses,
    ),
    section("opening never creates", open_refuses),
    section(
        "a name is of one kind and refuses the others",
        kinds_are_apart,
    ),
    section(
        "a name lives with its last holder and is then free",
        last_holder,
    ),
    section("a view stays inside its section", bounds),
    section("copy-on-write keeps its stores to itself", copy_on_write),
    section("a reserved section grows by commit", reserved),
    section("the list shows what is there", listed),
    section(
        "a wrong name is refused before the system is asked",
        wrong_names,
    ),
    event("an auto-reset event ends one wait a signal", auto_reset),
    event(
        "a manual-reset event ends all waits until it is reset",
        manual_reset,
    ),
    event(
        "a signal of another process ends a wait, each way round",
        signals_cross,
    ),
    event(
        "between two processes no signal is lost or doubled",
        ping_pong,
    ),
    event("a wait ends in time", waits_end_in_time),
    event("an event that was opened to wait cannot be set", event_read),
    mutex(
        "a mutex is with one thread, which may take it again",
        one_owner,
    ),
    mutex("a mutex is with one process at a time", one_process),
    mutex(
        "who waits for a mutex has it when it is given back",
        mutex_waits,
    ),
    mutex("what a mutex protects is exact", protects),
    mutex(
        "the end of a thread with a mutex is told to the next",
        thread_ends,
    ),
];

fn new_is_zero(name: &str) -> Checked {
    let made = Section::create_new(name, 10_000)?;
    same("its length", made.len()?, 10_000)?;
    let mut bytes = vec![1; 10_000];
    made.map(..)?.read(0, &mut bytes)?;
    must("all bytes are zero", bytes.iter().all(|byte| *byte == 0))?;
    let opened = Section::open(name)?;
    must("it is no shorter for others", opened.len()? >= 10_000)
}

fn bytes_cross_over(name: &str) -> Checked {
    let view = Section::create_new(name, 4096)?.map_rw(..)?;
    let mut child = Child::start("section", name)?;
    view.write(0, b"from here")?;
    same("what it reads", &*child.ask("read 9")?, "from here")?;
    child.order("write from there", "done")?;
    let mut bytes = [0; 10];
    view.read(0, &mut bytes)?;
    same("what it wrote", &bytes, b"from there")
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
    same("where it is from", origin, Origin::Opened)?;
    same(
        "what stands there",
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
    // A view holds it too, and then another process does.
    let mut child = Child::start("section", name)?;
    drop(view);
    same("what stands there", &*child.ask("read 4")?, "kept")?;
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
    same("what stands across two pages", &bytes, b"two pages.")
}

fn copy_on_write(name: &str) -> Checked {
    let made = Section::create_new(name, 4096)?;
    made.map_rw(..)?.write(0, b"shared")?;
    let own = made.map_copy_on_write(..)?;
    own.write(0, b"my own")?;
    let read = |view: shmkit::Mapping| view.read_value::<[u8; 6]>(0);
    same("what others see", read(made.map(..)?)?, *b"shared")?;
    same(
        "what stands here",
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
    same("what stands in the committed part", &bytes, b"here")
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
    // Windows tells one name after the other, and may leave one out when another one goes.
    let tells = |what: &'static str, kind: Option<Kind>| {
        soon(what, || {
            look().is_ok_and(|found| found == kind).then_some(())
        })
    };
    same("before", look()?, None)?;
    let made = Section::create_new(name, 1)?;
    tells("the list has a section", Some(Kind::Section))?;
    drop(made);
    gone(|| Section::open(name))?;
    let made = Event::create_new(name, Reset::Auto)?;
    tells("the list has an event", Some(Kind::Event))?;
    drop(made);
    tells("the list forgets what is gone", None)
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
    must("it begins without a signal", !event.try_wait()?)?;
    other.set()?;
    other.set()?;
    must("the signal ends a wait", event.try_wait()?)?;
    must("it ended one only", !other.try_wait()?)?;
    other.set()?;
    // Where the system tells.
    must(
        "a look takes no signal",
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
    must("it stays signaled", event.try_wait()? && event.try_wait()?)?;
    event.reset()?;
    must("it was reset", !event.try_wait()?)
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
        same("the signals before", counted(&cells)?, 2 * n)?;
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
    must("it can be waited for", waiter.try_wait()?)
}

fn one_owner(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let second = Mutex::open(name)?;
    let first = mutex.lock()?;
    let again = second.lock()?;
    same("for another thread", elsewhere(&mutex)?, "Taken")?;
    drop(again);
    same("given back once of two", elsewhere(&second)?, "Taken")?;
    drop(first);
    same("given back twice of two", elsewhere(&second)?, "Clean")
}

fn one_process(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let mut child = Child::start("mutex", name)?;
    let guard = mutex.lock()?;
    same("for another process", &*child.ask("try")?, "Taken")?;
    drop(guard);
    same("given back, there", &*child.ask("take")?, "Clean")?;
    same("taken there", how(mutex.try_lock()?.as_ref()), "Taken")?;
    must(
        "a wait with a time-out ends without it",
        mutex.lock_timeout(MOMENT)?.is_none(),
    )?;
    child.order("give", "done")?;
    same("given back here", how(mutex.try_lock()?.as_ref()), "Clean")
}

fn mutex_waits(name: &str) -> Checked {
    let mutex = Mutex::create_new(name)?;
    let mut child = Child::start("mutex", name)?;
    same("it takes it", &*child.ask("take")?, "Clean")?;
    let own = name.to_string();
    let waiter = aside(move || Ok(how(Some(&Mutex::open(&*own)?.lock()?))))?;
    std::thread::sleep(4 * MOMENT);
    child.order("give", "done")?;
    let came = waiter("who waits has it when another process gives it back")?;
    same("how it was had", came, "Clean")?;
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
    same("how it was had", told, "Abandoned")?;
    same("how the next one has it", elsewhere(&mutex)?, "Clean")
}
