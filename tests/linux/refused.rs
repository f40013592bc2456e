//! Calls that the system refuses or interrupts: no descriptor is free, a sandbox blocks the call,
//! or a signal arrives at any moment.

use crate::common::{Test, TestChild, hear, say, start, time_used};
use crate::sandbox::{self, statement};
use shmkit::{
    Client, Event, GetError, Mutex, ProcessIdentity, Publisher, Reader, Receiver, RecvError, Reset,
    Sender, Server, Subscriber, WaitSet, Wake, Writer,
};
use std::time::{Duration, Instant};

/// Longer than any test lasts.
const LONG: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_millis(30);

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("sender without descriptors", [name]) => send_without_descriptors(name),
        ("server without descriptors", [name]) => serve_without_descriptors(name),
        ("watch without descriptors", [name]) => watch_without_descriptors(name),
        ("sender", [name]) => {
            let mut sender = Sender::open(*name).unwrap();
            sender.send(b"message").unwrap();
            while hear().is_some() {}
        }
        ("peer", [name]) => be_peer(name),
        ("client", [name]) => be_client(name),
        ("sandbox", [name, refusal]) => wait_in_sandbox(name, refusal),
        ("interrupted", [name]) => be_interrupted(name),
        ("daemon", [name]) => become_daemon(name),
        ("task without descriptors", [name]) => await_without_descriptors(name),
        ("reader without descriptors", [name]) => read_without_descriptors(name),
        other => panic!("no role {other:?}"),
    }
}

fn child(test: &mut Test, role: &str, args: &[&str]) -> TestChild {
    test.child(&format!("refused/{role}"), args)
}

/// Uses up all descriptors but `free`, and returns the limit of descriptors from before.
fn leave_descriptors(free: usize) -> libc::rlim_t {
    let before = set_limit(200);
    let mut filling = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        filling.push(file);
    }
    filling.truncate(filling.len() - free);
    std::mem::forget(filling);
    before
}

/// Sets the limit of descriptors, and returns the limit from before.
fn set_limit(limit: u64) -> libc::rlim_t {
    let mut now = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `now` is a local variable.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut now), 0);
        let before = now.rlim_cur;
        now.rlim_cur = limit;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const now), 0);
        before
    }
}

fn send_without_descriptors(name: &str) {
    let mut sender = Sender::open(name).unwrap();
    leave_descriptors(0);
    assert!(std::fs::File::open("/dev/null").is_err(), "none is left");
    say("ready");
    hear();
    sender.send(b"first").unwrap();
    say("sent");
    while hear().is_some() {}
}

// layout: L096
#[test]
fn sender_without_descriptors_wakes_the_receiver() {
    let (mut test, name) = start("emfile");
    let mut receiver = Receiver::create(&*name).unwrap();
    let mut sender = child(&mut test, "sender without descriptors", &[&name]);
    sender.expect("ready");
    let mut waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.recv_timeout(LONG).unwrap().to_vec());
        crate::common::eventually("the receiver sleeps", || {
            crate::common::is_asleep(&name, Some(std::process::id()))
        });
        sender.tell("send");
        sender.expect("sent");
        waiting.join().unwrap()
    });
    assert_eq!(waiting.pop(), Some(b't'));
}

fn serve_without_descriptors(name: &str) {
    let mut server = Server::options().clients(8).create(name).unwrap();
    say("ready");
    leave_descriptors(2);
    for _ in 0..40 {
        let request = server.recv_timeout(LONG).unwrap();
        request.respond(b"answer").unwrap();
    }
    say("served");
}

fn be_client(name: &str) {
    let mut client = Client::open(name).unwrap();
    say("ready");
    while hear().is_some() {
        assert_eq!(client.call_timeout(b"request", LONG).unwrap(), b"answer");
        say("answered");
    }
}

#[test]
fn server_without_descriptors_serves_every_client() {
    let (mut test, name) = start("busy-server");
    let mut server = child(&mut test, "server without descriptors", &[&name]);
    server.expect("ready");
    let mut clients: Vec<TestChild> = (0..8)
        .map(|_| child(&mut test, "client", &[&name]))
        .collect();
    clients.iter_mut().for_each(|client| client.expect("ready"));
    for _ in 0..5 {
        for client in &mut clients {
            client.tell("call");
        }
        clients
            .iter_mut()
            .for_each(|client| client.expect("answered"));
    }
    server.expect("served");
}

/// Watches a process without descriptors; the watch works as soon as descriptors are free.
fn watch_without_descriptors(name: &str) {
    let event = Event::create_new(name, Reset::Auto).unwrap();
    let parent = parent();
    let before = leave_descriptors(0);
    // The wait polls for the death of the parent, since no thread can wait for that death.
    assert_eq!(
        event.wait_or_death(&parent, Some(SOON)).unwrap(),
        Wake::TimedOut
    );
    set_limit(before);
    let mut set = WaitSet::new();
    let mut watched = parent;
    let timed_out = set.wait_timeout(&mut [&mut watched], SOON).unwrap();
    assert_eq!(timed_out, None);
    say("watching");
    let died = event.wait_or_death(&watched, None).unwrap();
    assert_eq!(died, Wake::PeerDied);
}

fn parent() -> shmkit::Process {
    // SAFETY: the call takes nothing and returns a number.
    let parent = unsafe { libc::getppid() };
    ProcessIdentity::of(parent.cast_unsigned())
        .unwrap()
        .watch()
        .unwrap()
}

/// Plays the peer of a watch: this process starts the process that watches it.
fn be_peer(name: &str) {
    let (mut test, _) = start("peer");
    let mut child = child(&mut test, "watch without descriptors", &[name]);
    child.expect("watching");
    say("watched");
    while let Some(line) = hear() {
        say(&line);
    }
    std::mem::forget(child);
}

#[test]
fn watch_recovers_when_descriptors_are_free_again() {
    let (mut test, name) = start("recover");
    let mut peer = child(&mut test, "peer", &[&name]);
    peer.expect("watched");
    assert!(Event::open(&*name).is_ok());
    peer.kill();
    crate::common::gone(|| Event::open(&*name));
}

/// Awaits a death without descriptors: no event reports the death, so the task polls.
fn await_without_descriptors(name: &str) {
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let process = ProcessIdentity::of(child.id()).unwrap().watch().unwrap();
    let before = leave_descriptors(0);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let mut process = shmkit::Async::new(process);
    set_limit(before);
    let mut runtime = runtime;
    let runtime = runtime.enable_time().build().unwrap();
    leave_descriptors(0);
    runtime.block_on(async {
        let mut waiting = Box::pin(process.wait());
        let early = tokio::time::timeout(SOON, &mut waiting).await;
        assert!(early.is_err());
        child.kill().unwrap();
        waiting.await.unwrap();
    });
    say(&format!("{name} is noticed"));
    set_limit(before);
    child.wait().unwrap();
}

#[test]
fn task_without_descriptors_notices_a_death() {
    let (mut test, name) = start("task");
    let mut child = child(&mut test, "task without descriptors", &[&name]);
    child.expect(&format!("{name} is noticed"));
    assert!(child.finish().success());
}

/// Reads without descriptors: the reader cannot reattach before descriptors are free.
fn read_without_descriptors(name: &str) {
    let mut reader = Reader::open(name).unwrap();
    assert_eq!(reader.get().unwrap(), b"old");
    let before = leave_descriptors(0);
    say("ready");
    hear();
    assert!(matches!(reader.get(), Err(GetError::System(_))));
    set_limit(before);
    crate::common::eventually("the reader reattaches", || {
        reader.get().is_ok_and(|value| value == b"new")
    });
    say("followed");
}

#[test]
fn reader_reattaches_when_descriptors_are_free() {
    let (mut test, name) = start("reader");
    let mut writer = Writer::create(&*name).unwrap();
    writer.set(b"old").unwrap();
    let mut child = child(&mut test, "reader without descriptors", &[&name]);
    child.expect("ready");
    drop(writer);
    let mut writer = Writer::create(&*name).unwrap();
    writer.set(b"new").unwrap();
    child.tell("read");
    child.expect("followed");
}

/// Makes the system refuse futex_waitv and pidfd_open to this thread and the threads that it
/// starts.
fn refuse(errno: i32) {
    let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let refusal = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(is, 2, libc::SYS_futex_waitv as u32),
        statement(is, 1, libc::SYS_pidfd_open as u32),
        statement(answer, 0, libc::SECCOMP_RET_ALLOW),
        statement(answer, 0, refusal),
    ];
    assert!(sandbox::enter(&mut filter));
}

/// Makes each kind of wait while the system refuses both calls.
fn wait_in_sandbox(name: &str, refusal: &str) {
    refuse(refusal.parse().unwrap());
    let of = |what: &str| format!("{name}-{what}");
    let mut receiver = Receiver::create(of("queue")).unwrap();
    let mut publisher = Publisher::create(of("topic")).unwrap();
    let event = Event::create_new(of("event"), Reset::Auto).unwrap();
    say("ready");
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), b"message");
    let mut subscriber = Subscriber::open(of("topic")).unwrap();
    assert!(matches!(
        subscriber.recv_timeout(SOON),
        Err(RecvError::Timeout)
    ));
    publisher.send(b"topic").unwrap();
    let mut set = WaitSet::new();
    assert_eq!(set.wait(&mut [&mut receiver, &mut subscriber]).unwrap(), 1);
    assert_eq!(subscriber.recv().unwrap(), b"topic");
    let mutex = Mutex::create_new(of("mutex")).unwrap();
    drop(mutex.lock().unwrap());
    let sender = shmkit::inspect::segment_info(of("queue"))
        .unwrap()
        .others
        .unwrap()[0]
        .pid;
    let sender = ProcessIdentity::of(sender).unwrap().watch().unwrap();
    say("waiting");
    // The death of the sender ends each wait.
    assert_eq!(
        event.wait_or_death(&sender, Some(LONG)).unwrap(),
        Wake::PeerDied
    );
    let gone = receiver.recv_timeout(LONG);
    assert!(matches!(gone, Err(RecvError::Disconnected(_))), "{gone:?}");
    assert!(sender.wait_timeout(LONG).unwrap());
    for topic in ["waits for several things", "deaths of processes"] {
        let found = shmkit::inspect::doctor()
            .into_iter()
            .find(|one| one.topic == topic)
            .unwrap();
        assert_eq!(
            found.health,
            shmkit::inspect::Health::Limited,
            "{}",
            found.says
        );
    }
    say("noticed");
}

fn sandboxed(refusal: i32) {
    let (mut test, name) = start("sandbox");
    let mut child = child(&mut test, "sandbox", &[&name, &refusal.to_string()]);
    child.expect("ready");
    let queue = format!("{name}-queue");
    let sender = self::child(&mut test, "sender", &[&queue]);
    child.expect("waiting");
    sender.kill();
    child.expect("noticed");
    assert!(child.finish().success());
}

#[test]
fn waits_work_when_sandbox_forbids_calls() {
    sandboxed(libc::EPERM);
}

// layout: L216
#[test]
fn waits_work_when_kernel_lacks_calls() {
    sandboxed(libc::ENOSYS);
}

extern "C" fn nothing(_: libc::c_int) {}

/// Lets a signal interrupt this process each 100 µs.
fn interrupt_all_the_time() {
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 100,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the handler does nothing, and all structures are local variables.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()),
            0
        );
    }
}

/// Makes each call that opens or waits, again and again.
fn be_interrupted(name: &str) {
    interrupt_all_the_time();
    let of = |what: &str| format!("{name}-{what}");
    let peer = parent();
    let mut handle = shmkit::WaitHandle::new(readable_end());
    let mut set = WaitSet::new();
    let began = Instant::now();
    let mut rounds = 0;
    while rounds < 20 || began.elapsed() < Duration::from_millis(500) {
        let mut receiver = Receiver::create(of("queue")).unwrap();
        let mut sender = Sender::open(of("queue")).unwrap();
        let mut publisher = Publisher::create(of("topic")).unwrap();
        let mut subscriber = Subscriber::open(of("topic")).unwrap();
        let event = Event::create_new(of("event"), Reset::Auto).unwrap();
        let mutex = Mutex::create_new(of("mutex")).unwrap();
        assert!(!handle.try_wait().unwrap());
        assert!(
            !peer.has_ended().unwrap() && !peer.wait_timeout(Duration::from_millis(1)).unwrap()
        );
        let timed_out = event.wait_or_death(&peer, Some(Duration::from_millis(1)));
        assert_eq!(timed_out.unwrap(), Wake::TimedOut);
        drop(mutex.lock().unwrap());
        let time = Duration::from_millis(1);
        assert!(matches!(
            receiver.recv_timeout(time),
            Err(RecvError::Timeout)
        ));
        assert!(matches!(
            subscriber.recv_timeout(time),
            Err(RecvError::Timeout)
        ));
        sender.send(b"queue").unwrap();
        publisher.send(b"topic").unwrap();
        let ready = set.wait_timeout(&mut [&mut receiver, &mut subscriber, &mut handle], LONG);
        assert!(ready.unwrap().is_some());
        assert_eq!(receiver.recv().unwrap(), b"queue");
        assert_eq!(subscriber.recv().unwrap(), b"topic");
        shmkit::inspect::list().unwrap();
        rounds += 1;
    }
    say("undisturbed");
    while hear().is_some() {}
}

/// A descriptor that is never readable.
fn readable_end() -> std::os::fd::OwnedFd {
    let (reader, writer) = std::io::pipe().unwrap();
    std::mem::forget(writer);
    reader.into()
}

#[test]
fn calls_succeed_despite_frequent_signals() {
    let (mut test, name) = start("eintr");
    let mut child = child(&mut test, "interrupted", &[&name]);
    child.expect("undisturbed");
    assert!(child.finish().success());
}

/// Closes the descriptors of the library. A program that becomes a daemon does so: it closes all
/// descriptors that it does not know.
fn become_daemon(name: &str) {
    let event = Event::create_new(name, Reset::Auto).unwrap();
    let peer = parent();
    // This wait starts the watcher thread.
    assert_eq!(
        event.wait_or_death(&peer, Some(SOON)).unwrap(),
        Wake::TimedOut
    );
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let epolls = links.filter_map(|one| {
        let is = std::fs::read_link(one.path())
            .is_ok_and(|to| to.to_string_lossy().contains("eventpoll"));
        is.then(|| one.file_name().to_str().unwrap().parse::<i32>().unwrap())
    });
    let epolls: Vec<i32> = epolls.collect();
    assert!(!epolls.is_empty());
    for descriptor in epolls {
        // SAFETY: only the library uses the descriptor, and has to go on without it.
        unsafe { libc::close(descriptor) };
    }
    assert_eq!(
        event.wait_or_death(&peer, Some(SOON)).unwrap(),
        Wake::TimedOut
    );
    let used = time_used();
    assert_eq!(
        event
            .wait_or_death(&peer, Some(Duration::from_millis(1500)))
            .unwrap(),
        Wake::TimedOut
    );
    let used = time_used() - used;
    assert!(
        used < Duration::from_millis(300),
        "a thread spins: {used:?}"
    );
    say("alone");
    let died = event.wait_or_death(&peer, None).unwrap();
    assert_eq!(died, Wake::PeerDied);
}

#[test]
fn watch_continues_when_its_descriptor_is_closed() {
    let (mut test, name) = start("daemon");
    let mut child = child(&mut test, "daemon", &[&name]);
    child.expect("alone");
    drop(child);
}
