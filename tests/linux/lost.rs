//! Names and files that another program removed.

use crate::common::{Test, TestChild, eventually, hear, refused, say, start};
use shmkit::{
    Client, ErrorKind, Publisher, Reader, Receiver, RecvError, SendError, Sender, Server, SetError,
    Subscriber, Writer,
};
use std::fs;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("owner", [name]) => {
            let _receiver = Receiver::create(*name).unwrap();
            say("ready");
            while hear().is_some() {}
        }
        other => panic!("no role {other:?}"),
    }
}

fn child(test: &mut Test, role: &str, name: &str) -> TestChild {
    let mut child = test.child(&format!("lost/{role}"), &[name]);
    child.expect("ready");
    child
}

/// Removes the files whose names contain `name` and end with `end`.
fn remove(name: &str, end: &str) {
    let mut removed = 0;
    for file in fs::read_dir("/dev/shm").unwrap().flatten() {
        let path = file.file_name().into_string().unwrap();
        if path.contains(name) && path.ends_with(end) {
            fs::remove_file(file.path()).unwrap();
            removed += 1;
        }
    }
    assert_ne!(removed, 0, "{name} {end}");
}

#[test]
fn owner_reports_name_lost_once() {
    let (_test, name) = start("lost");
    let of = |what: &str| format!("{name}-{what}");
    let mut receiver = Receiver::create(of("queue")).unwrap();
    let mut sender = Sender::open(of("queue")).unwrap();
    let mut publisher = Publisher::create(of("topic")).unwrap();
    let mut subscriber = Subscriber::open(of("topic")).unwrap();
    let mut writer = Writer::create(of("values")).unwrap();
    let mut reader = Reader::open(of("values")).unwrap();
    let mut server = Server::create(of("calls")).unwrap();
    let mut client = Client::open(of("calls")).unwrap();
    for what in ["queue", "topic", "values", "calls"] {
        remove(&of(what), what);
    }
    // A call that returns `NameLost` does not send its message.
    let mut sent = 0u64;
    eventually("NameLost is reported", || match publisher.send(b"topic") {
        Ok(()) => {
            sent += 1;
            false
        }
        Err(SendError::NameLost) => true,
        Err(error) => panic!("{error}"),
    });
    publisher.send(b"last").unwrap();
    let mut received = 0;
    while subscriber.recv().unwrap() != b"last" {
        received += 1;
    }
    assert_eq!(received, sent);
    eventually("NameLost is reported", || match writer.set(b"old") {
        Ok(()) => false,
        Err(SetError::NameLost) => true,
        Err(error) => panic!("{error}"),
    });
    writer.set(b"new").unwrap();
    assert_eq!(reader.get().unwrap(), b"new");
    // `NameLost` also ends a wait.
    sender.send(b"queue").unwrap();
    let mut told = 0;
    loop {
        match receiver.recv_timeout(LONG) {
            Err(RecvError::NameLost) => told += 1,
            Ok(bytes) => {
                assert_eq!(bytes, b"queue");
                if told > 0 {
                    break;
                }
                sender.send(b"queue").unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(told, 1);
    eventually("NameLost is reported", || match server.try_recv() {
        Err(RecvError::Empty) => false,
        Err(RecvError::NameLost) => true,
        other => panic!("{other:?}"),
    });
    let call = client.send(b"calls").unwrap();
    server.recv().unwrap().respond(b"answer").unwrap();
    assert_eq!(client.recv(&call).unwrap(), b"answer");
    // Another owner can have the name, and the first owner reports nothing again.
    let mut second = Publisher::create(of("topic")).unwrap();
    second.send(b"second").unwrap();
    publisher.send(b"first").unwrap();
}

#[test]
fn doctor_names_process_with_removed_names() {
    let (mut test, name) = start("nameless");
    let owner = child(&mut test, "owner", &name);
    let said = |pid: u32| {
        let all = shmkit::inspect::doctor();
        let found = all
            .iter()
            .find(|one| one.topic == "names that were removed");
        found.unwrap().says.contains(&format!("process {pid} "))
    };
    assert!(!said(owner.id()));
    remove(&name, "");
    assert!(said(owner.id()));
}

// layout: L235
#[test]
fn missing_section_error_names_section_and_owner() {
    let (mut test, name) = start("missing");
    for part in ["~control-00000001", "~lanes-00000001", "~roster-00000001"] {
        let owner = child(&mut test, "owner", &name);
        remove(&name, part);
        let error = refused(ErrorKind::NameLost, Sender::open(&*name));
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("removed"), "{text}");
        assert!(text.contains(&format!("process {}", owner.id())), "{text}");
        owner.kill();
        // The remaining files do not prevent a new queue.
        eventually("the queue can be created", || {
            let created = Receiver::create(&*name);
            if let Err(error) = &created {
                println!("{error}");
            }
            created.is_ok()
        });
    }
}

/// The next owner stores its process word in the ownership record before its generation is in use.
/// On a busy machine the time in between is long, and the control section of the last generation
/// may be missing meanwhile.
// layout: L235
#[test]
fn open_waits_for_briefly_missing_control() {
    let (mut test, name) = start("slow");
    let owner = child(&mut test, "owner", &name);
    let folder = fs::read_dir("/dev/shm").unwrap().flatten();
    let mut paths = folder.map(|file| file.path());
    let end = format!("{name}~control-00000001");
    let control = paths.find(|path| path.to_str().unwrap().ends_with(&end));
    let control = control.unwrap();
    let away = format!("{}-away", control.display());

    // On a busy machine the second rename may come too late, so the test tries again.
    let is_waited_for = (0..5).any(|_| {
        fs::rename(&control, &away).unwrap();
        let opening = std::thread::spawn({
            let name = name.clone();
            move || Sender::open(&*name).map(|_| ())
        });
        std::thread::sleep(Duration::from_millis(30));
        fs::rename(&away, &control).unwrap();
        opening.join().unwrap().is_ok()
    });
    assert!(is_waited_for);
    owner.kill();
}

/// Waits until this process has checked all its names: the name of another writer is removed, and
/// the writer reports `NameLost`.
fn names_are_looked_at(another: &str) {
    let mut writer = Writer::create(another).unwrap();
    remove(another, another);
    eventually("NameLost is reported", || {
        matches!(writer.set(b"x"), Err(SetError::NameLost))
    });
}

/// A claim is still sent, several messages are all sent or none of them, and a resize does not
/// report the loss again.
#[test]
fn removed_name_loses_no_message() {
    let (_test, name) = start("lost-claim");
    let mut publisher = Publisher::create(&*name).unwrap();
    let mut subscriber = Subscriber::open(&*name).unwrap();
    let mut claim = publisher.claim(5).unwrap();
    claim.write_at(0, b"claim");
    remove(&name, &name);
    names_are_looked_at(&format!("{name}-first"));
    claim.commit().unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"claim");
    let lost = publisher.send_all([b"one", b"two"]);
    assert!(matches!(lost, Err(SendError::NameLost)), "{lost:?}");
    assert!(matches!(subscriber.try_recv(), Err(RecvError::Empty)));
    publisher.send_all([b"one", b"two"]).unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"one");
    // Attached endpoints go on, also after a resize.
    publisher
        .resize(&Publisher::options().capacity(1 << 21))
        .unwrap();
    publisher.send(b"resized").unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"two");
    assert_eq!(subscriber.recv().unwrap(), b"resized");
    names_are_looked_at(&format!("{name}-second"));
    publisher.send(b"last").unwrap();
    assert_eq!(subscriber.recv().unwrap(), b"last");
}
