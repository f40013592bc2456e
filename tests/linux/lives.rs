//! The lives of participants: how each of them ends, and what does not end it.

use crate::common::{Test, TestChild, eventually, hear, refused, say, start};
use shmkit::inspect::segment_info;
use shmkit::{Client, DisconnectReason, ErrorKind, Receiver, RecvError, SendError, Sender, Server};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    let name = args[0];
    match role {
        "send" => send(name),
        "receive" => receive(name),
        "close" => close_all(name),
        "exec" => become_another_program(name),
        "fork" => fork_and_stay(name),
        "serve" => serve(name),
        "starve" => receive_without_descriptors(name),
        "storm" => fork_without_pause(name),
        "overlay" => refuse_overlay(name),
        other => panic!("no role {other}"),
    }
}

/// Sends each line that it hears.
fn send(name: &str) {
    let mut sender = Sender::open(name).unwrap();
    say("ready");
    while let Some(line) = hear() {
        sender.send(line.as_bytes()).unwrap();
    }
}

/// Says each message that it receives.
fn receive(name: &str) {
    let mut receiver = Receiver::create(name).unwrap();
    say("ready");
    loop {
        match receiver.recv() {
            Ok(bytes) => say(str::from_utf8(bytes).unwrap()),
            Err(error) => say(&format!("{error:?}")),
        }
    }
}

/// Becomes a participant, and closes all descriptors but the standard ones.
fn close_all(name: &str) {
    let mut sender = Sender::open(name).unwrap();
    sender.send(b"before").unwrap();
    // SAFETY: closes numbers of descriptors. The endpoint must stand that, which is what is tested.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    say("closed");
    while let Some(line) = hear() {
        sender.send(line.as_bytes()).unwrap();
        say("sent");
    }
}

/// Becomes a participant, and then runs another program in this process.
fn become_another_program(name: &str) {
    std::mem::forget(Sender::open(name).unwrap());
    say("ready");
    hear();
    let error = Command::new("sleep").arg("1000").exec();
    panic!("{error}");
}

/// Becomes a participant, and forks a child that outlives this process.
fn fork_and_stay(name: &str) {
    let _sender = Sender::open(name).unwrap();
    // SAFETY: the child only reads its input, and ends.
    if unsafe { libc::fork() } == 0 {
        while hear().is_some() {}
        std::process::exit(0);
    }
    say("ready");
    loop {
        std::thread::park();
    }
}

/// Receives while this process has no free descriptor.
fn receive_without_descriptors(name: &str) {
    let mut receiver = Receiver::create(name).unwrap();
    say("ready");
    assert_eq!(receiver.recv().unwrap(), b"first");
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file);
    }
    say("starved");
    say(&format!("{:?}", receiver.recv().unwrap_err()));
    for _ in 0..3 {
        let time = Duration::from_millis(5);
        say(&format!("{:?}", receiver.recv_timeout(time).unwrap_err()));
    }
    drop(all);
    while hear().is_some() {}
}

/// Opens endpoints, while another thread forks children that live as long as their input.
fn fork_without_pause(name: &str) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut forked = 0;
            while !is_over.load(Ordering::Acquire) && forked < FORKS {
                forked += 1;
                // SAFETY: the child only reads its input, and ends.
                if unsafe { libc::fork() } == 0 {
                    let mut byte = [0_u8];
                    // SAFETY: reads to a buffer of one byte, from an open descriptor.
                    unsafe { libc::read(0, byte.as_mut_ptr().cast(), 1) };
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(0) };
                }
            }
        });
        for _ in 0..OPENED {
            drop(Sender::open(name).unwrap());
        }
        is_over.store(true, Ordering::Release);
    });
    say("ready");
    loop {
        std::thread::park();
    }
}

/// In a mount namespace of its own: mounts an overlay at `/dev/shm`, where no segment can be made.
fn refuse_overlay(folder: &str) {
    let mounted = Command::new("sh")
        .args(["-c", MOUNT])
        .env("FOLDER", folder)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return say("no overlay");
    }
    let name = format!("overlay-{}", std::process::id());
    let error = refused(ErrorKind::Unsupported, Receiver::create(&*name));
    assert!(error.meaning().contains("drops a lock"), "{error}");
    say("refused");
}

/// Makes the folders of an overlay, and mounts it.
const MOUNT: &str = r#"
    mount -t tmpfs none "$FOLDER" && cd "$FOLDER" && mkdir lower upper work &&
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work /dev/shm
"#;

/// The most children of a fork, and the number of endpoints that are opened meanwhile.
const FORKS: u32 = 300;
const OPENED: u32 = 300;

/// Answers each request with its own text.
fn serve(name: &str) {
    let mut server = Server::create(name).unwrap();
    say("ready");
    loop {
        let request = server.recv().unwrap();
        let text = request.bytes().to_vec();
        request.respond(&text).unwrap();
    }
}

fn child(test: &mut Test, role: &str, name: &str) -> TestChild {
    let mut child = test.child(&format!("lives/{role}"), &[name]);
    child.expect("ready");
    child
}

/// A participant that has closed all its descriptors still has its slot: no other sender gets its
/// lane, and what it sends arrives.
// layout: L239 L241 L244
#[test]
fn closing_all_descriptors_keeps_slot_and_lane() {
    let (mut test, name) = start("close-range");
    let options = Receiver::options().senders(2);
    let mut receiver = options.create(&*name).unwrap();
    let mut closed = test.child("lives/close", &[&name]);
    closed.expect("closed");

    let mut other = Sender::open(&*name).unwrap();
    refused(ErrorKind::Busy, Sender::open(&*name));
    other.send(b"other").unwrap();
    closed.tell("after");
    closed.expect("sent");
    let mut received: Vec<_> = (0..3).map(|_| receiver.recv().unwrap().to_vec()).collect();
    received.sort();
    assert_eq!(received, [&b"after"[..], b"before", b"other"]);

    closed.kill();
    eventually("the slot is free", || Sender::open(&*name).is_ok());
}

// layout: L084 L241
#[test]
fn exec_ends_participant_and_frees_slot() {
    let (mut test, name) = start("exec");
    let options = Receiver::options().senders(1);
    let mut receiver = options.create(&*name).unwrap();
    let mut process = child(&mut test, "exec", &name);
    refused(ErrorKind::Busy, Sender::open(&*name));
    process.tell("go");
    assert!(matches!(
        receiver.recv(),
        Err(RecvError::Disconnected(DisconnectReason::Died))
    ));
    let mut next = Sender::open(&*name).unwrap();
    next.send(b"next").unwrap();
    assert_eq!(receiver.recv().unwrap(), b"next");
}

// layout: L083 L241 L243
#[test]
fn forked_child_keeps_no_parent_life() {
    let (mut test, name) = start("fork-life");
    let options = Receiver::options().senders(1);
    let mut receiver = options.create(&*name).unwrap();
    let parent = child(&mut test, "fork", &name);
    refused(ErrorKind::Busy, Sender::open(&*name));
    // The child of the fork lives on, as long as its input is open.
    // SAFETY: kills the child of this test, which it waits for when it drops `parent`.
    unsafe { libc::kill(parent.id().cast_signed(), libc::SIGKILL) };
    assert!(matches!(
        receiver.recv(),
        Err(RecvError::Disconnected(DisconnectReason::Died))
    ));
    Sender::open(&*name).unwrap();
}

/// No child that is forked while an endpoint is opened keeps the life of that endpoint.
/// A receiver without a free descriptor reports the death of a sender once, and frees the slot later.
// layout: L106
#[test]
fn death_is_reported_once_without_descriptors() {
    let (mut test, name) = start("starved");
    let mut receiver = child(&mut test, "starve", &name);
    let mut sender = child(&mut test, "send", &name);
    sender.tell("first");
    receiver.expect("starved");
    sender.kill();
    receiver.expect("Disconnected(Died)");
    for _ in 0..3 {
        receiver.expect("Timeout");
    }
    assert!(receiver.finish().success());
}

// layout: L240 L242
#[test]
fn concurrent_fork_keeps_no_life() {
    const SENDERS: usize = 8;
    let (mut test, name) = start("fork-storm");
    let options = Receiver::options().senders(SENDERS).capacity(4096);
    let _receiver = options.create(&*name).unwrap();
    let _children = child(&mut test, "storm", &name);
    let all: Vec<_> = (0..SENDERS).map(|_| Sender::open(&*name)).collect();
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

// layout: L245
#[test]
#[ignore = "needs root"]
fn overlay_without_lasting_locks_is_refused() {
    let (mut test, _name) = start("overlay");
    let folder = std::env::temp_dir().join(format!("shmkit-overlay-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.to_str().unwrap();
    let mut child = test.spawning(|| {
        TestChild::spawn_with("lives/overlay", &[path], |command| {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "--propagation", "private"]);
            unshare.arg(command.get_program()).args(command.get_args());
            unshare.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
            unshare.stdin(Stdio::piped()).stdout(Stdio::piped());
            *command = unshare;
        })
    });
    let said = child.hear();
    drop(child);
    std::fs::remove_dir(&folder).unwrap();
    println!("{said}");
    assert!(said == "refused" || said == "no overlay", "{said}");
}

/// The names of the options of `unshare` that make a new pid namespace, for the account of the test.
const NAMESPACES: &[&str] = &["--pid", "--fork", "--kill-child", "--mount-proc"];

/// Starts a child in a pid namespace of its own; `None` if this account may not make one.
fn elsewhere(test: &mut Test, role: &str, name: &str) -> Option<TestChild> {
    // SAFETY: no argument.
    let is_root = unsafe { libc::geteuid() } == 0;
    let user: &[&str] = if is_root {
        &[]
    } else {
        &["--user", "--map-current-user"]
    };
    let mut unshare = Command::new("unshare");
    unshare.args(user).args(NAMESPACES);
    let mut tried = Command::new("unshare");
    tried.args(user).args(NAMESPACES).arg("true");
    let can = tried.stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        println!("skipped: unshare cannot make a pid namespace here");
        return None;
    }
    let role = format!("lives/{role}");
    let mut child = test.spawning(|| {
        TestChild::spawn_with(&role, &[name], |command| {
            unshare.arg(command.get_program()).args(command.get_args());
            unshare.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
            unshare.stdin(Stdio::piped()).stdout(Stdio::piped());
            *command = unshare;
        })
    });
    child.expect("ready");
    Some(child)
}

/// Both ends of a queue and of calls, in two pid namespaces, exchange messages and notice the death
/// of the other end.
// layout: L079 L080 L239 L244
#[test]
fn participants_in_two_pid_namespaces_exchange_messages() {
    let (mut test, name) = start("two-spaces");
    let mut receiver = Receiver::create(&*name).unwrap();
    let Some(mut inside) = elsewhere(&mut test, "send", &name) else {
        return;
    };
    let info = segment_info(&*name).unwrap();
    assert_eq!(info.others.unwrap()[0].alive, Some(true));
    for text in ["one", "two"] {
        inside.tell(text);
        assert_eq!(receiver.recv().unwrap(), text.as_bytes());
    }
    inside.kill();
    assert!(matches!(
        receiver.recv(),
        Err(RecvError::Disconnected(DisconnectReason::Died))
    ));
    drop(receiver);

    let Some(mut inside) = elsewhere(&mut test, "receive", &name) else {
        return;
    };
    let mut sender = Sender::open(&*name).unwrap();
    sender.send(b"one").unwrap();
    inside.expect("one");
    // The receiver of another namespace owns the name as long as it lives.
    let error = refused(ErrorKind::AlreadyExists, Receiver::create(&*name));
    assert!(error.to_string().contains("alive"), "{error}");
    inside.kill();
    eventually("the death is noticed", || {
        matches!(sender.send(b"two"), Err(SendError::Disconnected(_)))
    });
    Receiver::create(&*name).unwrap();

    let calls = format!("{name}-calls");
    let Some(inside) = elsewhere(&mut test, "serve", &calls) else {
        return;
    };
    let mut client = Client::open(&*calls).unwrap();
    assert_eq!(client.call(b"?").unwrap(), b"?");
    inside.kill();
    assert!(client.call(b"?").is_err());
}
