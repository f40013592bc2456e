//! Promises about messages and values that hold on Linux only, or that only Linux can show:
//! views that cannot be written, a steady state without system calls and allocations, and the files
//! that remain in `/dev/shm`.

mod views;

use crate::common::{self, Test, TestChild, eventually, hear, nobody, say, start};
use crate::sandbox::{self, statement};
use shmkit::inspect::segment_info;
use shmkit::{
    Access, Client, Delivery, Publisher, Reader, Receiver, Sender, Server, Start, Subscriber,
    Writer,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::os::unix::{fs::DirEntryExt, process::ExitStatusExt};
use std::time::Duration;

/// The number of messages in the steady state.
const MANY: u64 = 10_000;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // `try_with` fails while a thread ends; its last allocations are not counted.
    let _ = ALLOCATED.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: each method forwards to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller of this method keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller of this method keeps the same contract.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller of this method keeps the same contract.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATED.get();
    work();
    ALLOCATED.get() - before
}

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("subscriber", [name]) => serve_subscriber(name),
        ("sender", [name]) => serve_sender(name),
        ("reader", [name]) => serve_reader(name),
        ("client", [name]) => serve_client(name),
        ("owner", [name]) => own(name),
        ("onlooker", [name]) => look_on(name),
        ("jailed", [what, name]) => work_in_jail(what, name),
        other => panic!("no role {other:?}"),
    }
}

fn child(test: &mut Test, role: &str, name: &str) -> TestChild {
    let mut child = test.child(&format!("messages/{role}"), &[name]);
    child.expect("ready");
    child
}

/// Returns the files whose names contain `name`, each with the part of its name behind `name`.
fn files(name: &str) -> Vec<(fs::DirEntry, String)> {
    let all = fs::read_dir("/dev/shm").unwrap().map(Result::unwrap);
    let of_name = all.filter_map(|file| {
        let path = file.file_name().into_string().ok()?;
        let (_, section) = path.split_once(name)?;
        let section = section.to_string();
        Some((file, section))
    });
    of_name.collect()
}

/// Returns the views that this process has of a segment: section, rights and address. A page that
/// nobody can access, as the life of a participant keeps one, is no view.
fn views(name: &str) -> Vec<(String, String, usize)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let files = files(name);
    let of_name = maps.lines().filter_map(|line| {
        // The fields: from, to, rights, offset, device, inode. The creator of a file maps the file
        // before the file has a name, so the inode identifies the file.
        let mut fields = line.split_whitespace();
        let (at, _) = fields.next()?.split_once('-')?;
        let at = usize::from_str_radix(at, 16).ok()?;
        let may = fields.next()?;
        if may == "---s" {
            return None;
        }
        let number: u64 = fields.nth(2)?.parse().ok()?;
        let is = |file: &&(fs::DirEntry, String)| file.0.ino() == number;
        let section = match &*files.iter().find(is)?.1 {
            "" => "root",
            beside => beside,
        };
        Some((section.to_string(), may.to_string(), at))
    });
    of_name.collect()
}

/// Says the rights of each view. Then, for each order of the parent, makes the first view of a
/// section writable, or writes into it.
fn show_views(name: &str) {
    let mut all: Vec<_> = views(name);
    // The wake events are left out: both sides may signal them.
    all.retain(|view| !view.0.starts_with("~wake"));
    all.sort();
    let shown = all.iter().map(|view| format!("{}:{}", view.0, view.1));
    let mut shown: Vec<_> = shown.collect();
    shown.dedup();
    say(&shown.join(" "));
    while let Some(order) = hear() {
        let (how, section) = order.split_once(' ').unwrap();
        let found = all.iter().find(|view| view.0 == section).unwrap();
        let at = found.2 as *mut u8;
        if how == "allow" {
            // SAFETY: at worst the call makes a view writable, and nothing writes to that view.
            let done = unsafe { libc::mprotect(at.cast(), 4096, libc::PROT_WRITE) };
            say(&format!(
                "{done} {}",
                std::io::Error::last_os_error().kind()
            ));
        } else {
            say("writing");
            // SAFETY: the view is mapped; if it is read-only, the process ends.
            unsafe { at.write_volatile(7) };
            say("written");
        }
    }
}

fn serve_subscriber(name: &str) {
    let mut subscriber = Subscriber::open(name).unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"first");
    say("ready");
    show_views(name);
}

fn serve_sender(name: &str) {
    let mut sender = Sender::open(name).unwrap();
    sender.send(b"first").unwrap();
    say("ready");
    show_views(name);
}

fn serve_reader(name: &str) {
    let mut reader = Reader::open(name).unwrap();
    assert_eq!(reader.get().unwrap(), b"first");
    say("ready");
    show_views(name);
}

fn serve_client(name: &str) {
    let mut client = Client::open(name).unwrap();
    say("ready");
    assert_eq!(client.call(b"first").unwrap(), b"FIRST");
    show_views(name);
}

/// Owns a queue and a topic, and has waited on both.
fn own(name: &str) {
    let mut receiver = Receiver::create(name).unwrap();
    let _ = receiver.recv_timeout(Duration::from_millis(3));
    let topic = format!("{name}-topic");
    let _publisher = Publisher::create(&*topic).unwrap();
    let mut subscriber = Subscriber::open(&*topic).unwrap();
    let _ = subscriber.recv_timeout(Duration::from_millis(3));
    say("ready");
    while hear().is_some() {}
}

const READ: &str = "r--s";
const WRITE: &str = "rw-s";

/// Makes the two endpoints of a queue; the receiver has already received from the sender.
fn queue(name: &str) -> (Receiver, Sender) {
    let mut receiver = Receiver::create(name).unwrap();
    let mut sender = Sender::open(name).unwrap();
    sender.send(&MESSAGE).unwrap();
    assert_eq!(receiver.recv().unwrap(), MESSAGE);
    (receiver, sender)
}

/// Makes the two endpoints of a topic.
fn topic(name: &str, delivery: Delivery) -> (Publisher, Subscriber) {
    let publisher = Publisher::options().delivery(delivery).create(name);
    let subscriber = Subscriber::options().start(Start::New).open(name);
    (publisher.unwrap(), subscriber.unwrap())
}

const MESSAGE: [u8; 100] = [9; 100];

/// Sends and receives in each way that does not have to wait.
fn queue_works((receiver, sender): &mut (Receiver, Sender)) -> bool {
    let mut works = true;
    for n in 0..MANY {
        works &= match n % 5 {
            0 => sender.try_send(&MESSAGE).is_ok() && sender.send(&MESSAGE).is_ok(),
            1 => sender.send_all([&MESSAGE, &MESSAGE]).is_ok(),
            2 => {
                let mut batch = sender.batch();
                batch.send(&MESSAGE).is_ok() && batch.try_send(&MESSAGE).is_ok()
            }
            3 => {
                let mut batch = sender.batch();
                batch.send(&MESSAGE).is_ok()
                    && batch.flush().is_ok()
                    && batch.send(&MESSAGE).is_ok()
            }
            _ => {
                let time = Duration::from_secs(1);
                sender.send_timeout(&MESSAGE, time).is_ok() && sender.send(&MESSAGE).is_ok()
            }
        };
        works &= match n % 3 {
            0 => {
                receiver.try_recv().is_ok_and(|bytes| bytes == MESSAGE)
                    && receiver.recv().is_ok_and(|bytes| bytes == MESSAGE)
            }
            1 => receiver
                .drain(|bytes| assert_eq!(bytes, MESSAGE))
                .is_ok_and(|n| n == 2),
            _ => {
                let time = Duration::from_secs(1);
                receiver.recv_timeout(time).is_ok() && receiver.recv().is_ok()
            }
        };
    }
    works
}

fn topic_works((publisher, subscriber): &mut (Publisher, Subscriber)) -> bool {
    let mut works = true;
    for n in 0..MANY {
        works &= match n % 3 {
            0 => publisher.try_send(&MESSAGE).is_ok() && publisher.send(&MESSAGE).is_ok(),
            1 => publisher.send_all([&MESSAGE, &MESSAGE]).is_ok(),
            _ => {
                let time = Duration::from_secs(1);
                publisher.send_timeout(&MESSAGE, time).is_ok() && publisher.send(&MESSAGE).is_ok()
            }
        };
        works &= match n % 4 {
            0 => {
                subscriber.try_recv().is_ok_and(|bytes| bytes == MESSAGE)
                    && subscriber.recv().is_ok_and(|bytes| bytes == MESSAGE)
            }
            1 => subscriber
                .drain(|bytes| assert_eq!(bytes, MESSAGE))
                .is_ok_and(|n| n == 2),
            _ => {
                let time = Duration::from_secs(1);
                subscriber.recv_timeout(time).is_ok() && subscriber.recv().is_ok()
            }
        };
    }
    works
}

fn values(name: &str) -> (Writer, Reader) {
    let options = Writer::options().names(["a", "b"]);
    let writer = options.create(name).unwrap();
    (writer, Reader::open(name).unwrap())
}

fn values_work((writer, reader): &mut (Writer, Reader)) -> bool {
    (0..MANY as usize).all(|n| {
        writer.set_at(n % 2, &MESSAGE).is_ok()
            && reader.wait_change().is_ok_and(|index| index == n % 2)
            && reader.get_at(n % 2).is_ok_and(|value| value == MESSAGE)
    })
}

/// Makes the two endpoints of calls; each place for a response was used once.
fn calls(name: &str) -> (Server, Client) {
    let mut server = Server::create(name).unwrap();
    let mut client = Client::open(name).unwrap();
    let calls = [0; 8].map(|_| client.send(&MESSAGE).unwrap());
    for call in &calls {
        server.recv().unwrap().respond(&MESSAGE).unwrap();
        assert_eq!(client.recv(call).unwrap(), MESSAGE);
    }
    (server, client)
}

/// Calls and responds in each way that does not have to wait.
fn calls_work((server, client): &mut (Server, Client)) -> bool {
    let time = Duration::from_secs(1);
    (0..MANY).all(|n| {
        let (Ok(first), Ok(second)) = (client.send(&MESSAGE), client.try_send(&MESSAGE)) else {
            return false;
        };
        let later = server.recv().map(shmkit::Request::defer);
        let at_once = match n % 3 {
            0 => server.try_recv(),
            1 => server.recv_timeout(time),
            _ => server.recv(),
        };
        // One request in ten gets no response.
        let answered = match n % 10 {
            0 => at_once.map(drop).is_ok(),
            _ => at_once.is_ok_and(|request| {
                let bytes = request.bytes();
                request.respond(bytes).is_ok()
            }),
        };
        let came = match n % 3 {
            0 => client.try_recv(&second),
            1 => client.recv(&second),
            _ => client.recv_timeout(&second, time),
        };
        let as_it_should = came.is_ok_and(|bytes| bytes == MESSAGE) != n.is_multiple_of(10);
        let later = later.is_ok_and(|responder| responder.respond(&MESSAGE).is_ok());
        let came = client.recv(&first).is_ok_and(|bytes| bytes == MESSAGE);
        answered && as_it_should && later && came
    })
}

/// Writes and reads messages in place.
fn claims_work((receiver, sender): &mut (Receiver, Sender)) -> bool {
    (0..MANY).all(|_| {
        let sent = sender.claim(MESSAGE.len()).and_then(|mut claim| {
            claim.write_at(0, &MESSAGE);
            claim.commit()
        });
        let mut bytes = MESSAGE.map(|_| 0);
        let read = receiver
            .recv_ref()
            .map(|message| message.copy_to(0, &mut bytes));
        sent.is_ok() && read.is_ok() && bytes == MESSAGE
    })
}

#[test]
fn steady_state_allocates_nothing() {
    let (_test, name) = start("allocations");
    assert_ne!(allocations(|| drop(vec![1])), 0, "allocations are counted");
    let mut ends = queue(&name);
    assert_eq!(allocations(|| assert!(queue_works(&mut ends))), 0);
    assert_eq!(allocations(|| assert!(claims_work(&mut ends))), 0);
    drop(ends);
    let mut ends = values(&name);
    assert_eq!(allocations(|| assert!(values_work(&mut ends))), 0);
    drop(ends);
    let mut ends = calls(&name);
    assert_eq!(allocations(|| assert!(calls_work(&mut ends))), 0);
    let other = ends.0.clone();
    assert_eq!(allocations(|| assert!(calls_work(&mut ends))), 0);
    drop((ends, other));
    for delivery in [Delivery::Lossy, Delivery::Lossless] {
        let mut ends = topic(&name, delivery);
        assert_eq!(allocations(|| assert!(topic_works(&mut ends))), 0);
    }
}

/// Lets the kernel kill this process at any system call except those that end the process or read a
/// clock: some systems have no other way to read a clock. Returns whether the kernel accepted that.
fn jail() -> bool {
    const CLOCK_GETTIME_64: u32 = 403;
    const NUMBER: u32 = 0;
    let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, NUMBER),
        statement(is, 3, libc::SYS_exit_group as u32),
        statement(is, 2, libc::SYS_clock_gettime as u32),
        statement(is, 1, CLOCK_GETTIME_64),
        statement(answer, 0, libc::SECCOMP_RET_KILL_PROCESS),
        statement(answer, 0, libc::SECCOMP_RET_ALLOW),
    ];
    sandbox::enter(&mut filter)
}

/// Runs `work` under the filter of `jail`, and ends this process.
fn in_jail(work: impl FnOnce() -> bool) -> ! {
    let end = match jail() {
        true => i32::from(!work()),
        false => 77,
    };
    // SAFETY: the call ends all threads of this process.
    unsafe { libc::syscall(libc::SYS_exit_group, end) };
    unreachable!()
}

/// Makes endpoints, and uses them under the filter of `jail`.
fn work_in_jail(what: &str, name: &str) {
    match what {
        // SAFETY: the call takes nothing and returns a number.
        "a call" => in_jail(|| unsafe { libc::getppid() } > 0),
        "queue" => {
            let mut ends = queue(name);
            in_jail(|| queue_works(&mut ends) && claims_work(&mut ends))
        }
        "values" => {
            let mut ends = values(name);
            in_jail(|| values_work(&mut ends))
        }
        "calls" | "calls of two workers" => {
            let mut ends = calls(name);
            let _worker = (what != "calls").then(|| ends.0.clone());
            in_jail(|| calls_work(&mut ends))
        }
        _ => {
            let delivery = match what {
                "lossy topic" => Delivery::Lossy,
                _ => Delivery::Lossless,
            };
            let mut ends = topic(name, delivery);
            in_jail(|| topic_works(&mut ends))
        }
    }
}

#[test]
fn steady_state_makes_no_system_calls() {
    let (mut test, name) = start("calls");
    let mut jailed = |what: &str| {
        let name = format!("{name}-{}", what.replace(' ', "-"));
        let child = test.child("messages/jailed", &[what, &name]);
        child.finish()
    };
    let caught = jailed("a call");
    if caught.code() == Some(77) {
        println!("skipped: this system has no seccomp");
        return;
    }
    assert_eq!(caught.signal(), Some(libc::SIGSYS), "the filter works");
    for what in [
        "queue",
        "values",
        "calls",
        "calls of two workers",
        "lossy topic",
        "lossless topic",
    ] {
        assert_eq!(jailed(what).code(), Some(0), "{what}");
    }
    // The children ended without closing anything. Another process may remove these files first.
    for (file, _) in files(&name) {
        let _ = fs::remove_file(file.path());
    }
    assert!(files(&name).is_empty());
}

fn left(name: &str) -> Vec<String> {
    files(name).into_iter().map(|file| file.1).collect()
}

#[test]
fn closed_queue_and_topic_leave_no_files() {
    let (mut test, name) = start("left");
    for owners_first in [false, true] {
        let access = [Access::SameUser, Access::UsersReadOnly][usize::from(owners_first)].clone();
        let options = Receiver::options().access(access.clone());
        let mut receiver = options.create(&*name).unwrap();
        let mut process = child(&mut test, "sender", &name);
        assert_eq!(receiver.recv().unwrap(), b"first");
        // A participant that waits has a wake event.
        let time = Duration::from_millis(3);
        assert!(receiver.recv_timeout(time).is_err());
        let topic = format!("{name}-topic");
        let options = Publisher::options().access(access).capacity(1);
        let options = options.delivery(Delivery::Lossless);
        let mut publisher = options.create(&*topic).unwrap();
        publisher.send(b"first").unwrap();
        let mut subscriber = Subscriber::open(&*topic).unwrap();
        let consumer = child(&mut test, "subscriber", &topic);
        assert!(subscriber.recv().is_ok() && subscriber.recv_timeout(time).is_err());
        while publisher.send_timeout(b"more", time).is_ok() {}
        assert!(!left(&name).is_empty());
        match owners_first {
            true => drop((receiver, publisher, subscriber)),
            false => drop((subscriber, receiver, publisher)),
        }
        process.expect(&format!(
            "root:{READ} ~control-00000001:{READ} ~lanes-00000001:{WRITE} ~roster-00000001:{WRITE}"
        ));
        assert!(process.finish().success() && consumer.finish().success());
        eventually("nothing is left", || left(&name).is_empty());
    }
}

#[test]
fn ended_server_and_clients_leave_no_files() {
    let (mut test, name) = start("calls-left");
    let time = Duration::from_millis(3);
    for (server_first, killed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut server = Server::create(&*name).unwrap();
        let mut client = Client::open(&*name).unwrap();
        let mut process = child(&mut test, "client", &name);
        server.recv().unwrap().respond(b"FIRST").unwrap();
        process.hear();
        // A participant that waits has a wake event.
        assert!(server.recv_timeout(time).is_err());
        assert!(client.call_timeout(b"first", time).is_err());
        let late = server.recv().unwrap().defer();
        assert!(!left(&name).is_empty());
        match server_first {
            true => drop((server, late, client)),
            false => drop((client, server, late)),
        }
        match killed {
            true => {
                process.kill();
                test.alone(shmkit::inspect::clean).unwrap();
            }
            false => assert!(process.finish().success()),
        }
        eventually("nothing is left", || left(&name).is_empty());
    }
}

#[test]
fn killed_processes_leave_names_reusable() {
    let (mut test, name) = start("killed");
    let topic = format!("{name}-topic");
    for _ in 0..3 {
        let owner = child(&mut test, "owner", &name);
        let sender = child(&mut test, "sender", &name);
        owner.kill();
        sender.kill();
        common::gone(|| Sender::open(&*name));
        common::gone(|| Subscriber::open(&*topic));
        let (mut receiver, mut sender) = queue(&name);
        sender.send(b"word").unwrap();
        assert_eq!(receiver.recv().unwrap(), b"word");
        let (mut publisher, mut subscriber) = self::topic(&topic, Delivery::Lossless);
        publisher.send(b"word").unwrap();
        assert_eq!(subscriber.recv().unwrap(), b"word");
    }
    test.alone(shmkit::inspect::clean).unwrap();
    assert!(left(&name).is_empty(), "{:?}", left(&name));
}

/// Plays a subscriber that may only read.
fn look_on(name: &str) {
    let refused = Sender::open(&*format!("{name}-queue")).err().unwrap();
    say(&format!("{:?}", refused.kind()));
    let mut subscriber = match Subscriber::open(name) {
        Ok(subscriber) => subscriber,
        Err(error) => return say(&format!("{:?}", error.kind())),
    };
    say("ready");
    let mut numbers = 0;
    let mut missed = 0;
    loop {
        match subscriber.recv() {
            Ok(bytes) => {
                assert_eq!(bytes, u64::to_le_bytes(numbers + missed));
                numbers += 1;
            }
            Err(shmkit::RecvError::Lagged(n)) => missed += n,
            Err(end) => return say(&format!("{} {end:?}", numbers + missed)),
        }
    }
}

// layout: L020 L099 L103 L235
#[test]
#[ignore = "needs root"]
fn readonly_access_lets_another_user_observe() {
    let (mut test, name) = start("looks");
    let name = format!("Global\\{name}");
    let options = Receiver::options().access(Access::UsersReadOnly);
    let _receiver = options.create(&*format!("{name}-queue")).unwrap();
    let options = Publisher::options().access(Access::UsersReadOnly);
    let options = options.capacity(4096).delivery(Delivery::Lossless);
    let mut publisher = options.create(&*name).unwrap();
    let mut onlooker = nobody(&mut test, "messages/onlooker", &[&name]);
    onlooker.expect("AccessDenied");
    onlooker.expect("ready");
    let others = segment_info(&*name).unwrap().others.unwrap();
    assert!(others.is_empty(), "an observer is no participant");
    for n in 0..5000_u64 {
        // The publisher does not wait for an observer.
        publisher.try_send(&n.to_le_bytes()).unwrap();
    }
    drop(publisher);
    onlooker.expect("5000 Disconnected(Closed)");
    let _private = Publisher::create(&*name).unwrap();
    let mut onlooker = nobody(&mut test, "messages/onlooker", &[&name]);
    onlooker.expect("AccessDenied");
    onlooker.expect("AccessDenied");
}
