//! Access for a group of users: the processes of three users, two of which are in the group.

use crate::common::{
    NOBODY, Test, TestChild, eventually, hear, is_asleep, me, nobody, refused, same_program, say,
    start,
};
use shmkit::{
    Access, Client, Delivery, ErrorKind, Event, Mutex, Owner, Publisher, Reader, Receiver,
    RecvError, Reset, Section, SendError, Sender, Server, Subscriber, Writer,
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The ids of users and of a group that no system knows. A container has at least these ids.
const OWNER: u32 = 64001;
const MEMBER: u32 = 64002;
/// A user of one test alone: another process of the user would remove stale files of the user.
const LONELY_OWNER: u32 = 64004;
const GROUP: u32 = 64010;

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    let name = args[0];
    match role {
        "own" => own(name),
        "receive" => receive(name),
        "publish" => publish(name),
        "take-part" => take_part(name),
        "send" => send(name),
        "subscribe" => subscribe(name),
        "objects" => make_objects(name),
        "use-objects" => use_objects(name),
        "create" => create(name),
        "outside" => stay_outside(name),
        "refused" => say_why_refused(name),
        other => panic!("no role {other}"),
    }
}

fn group() -> Access {
    Access::Group(GROUP.to_string())
}

/// Starts a child that runs as this user. Its group has the id of the user, and it has only these
/// supplementary groups.
fn as_user(
    test: &mut Test,
    uid: u32,
    groups: &'static [u32],
    role: &str,
    args: &[&str],
) -> TestChild {
    test.spawning(|| TestChild::spawn_with(role, args, |command| become_user(command, uid, groups)))
}

fn become_user(command: &mut Command, uid: u32, groups: &'static [u32]) {
    *command = same_program(command);
    let change = move || {
        // SAFETY: the list of groups is passed with its length. The calls change the identity of this
        // child, which has one thread.
        let done = unsafe {
            libc::setgroups(groups.len(), groups.as_ptr()) == 0
                && libc::setgid(uid) == 0
                && libc::setuid(uid) == 0
        };
        match done {
            true => Ok(()),
            false => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure calls the system only.
    unsafe { command.pre_exec(change) };
}

/// Starts a child that runs as this user, whose only supplementary group is the group.
fn member(test: &mut Test, uid: u32, role: &str, name: &str) -> TestChild {
    as_user(test, uid, &[GROUP], &format!("group/{role}"), &[name])
}

/// Starts a child that runs as the user who creates the names.
fn owner(test: &mut Test, role: &str, name: &str) -> TestChild {
    let mut child = member(test, OWNER, role, name);
    child.expect("ready");
    child
}

/// Returns the names of a queue, a topic, values and a server.
fn names(name: &str) -> [String; 4] {
    ["queue", "topic", "values", "calls"].map(|pattern| format!("{name}-{pattern}"))
}

/// Owns a queue, a topic, values and a server, and says which users have sent something.
fn own(name: &str) {
    // The umask of a program does not matter.
    // SAFETY: sets a number of this process, which has one thread that creates files.
    unsafe { libc::umask(0o777) };
    let [queue, topic, values, calls] = names(name);
    let mut receiver = Receiver::options().access(group()).create(&*queue).unwrap();
    let topics = Publisher::options().access(group());
    let mut publisher = topics.create(&*topic).unwrap();
    let mut writer = Writer::options().access(group()).create(&*values).unwrap();
    writer.set(b"value").unwrap();
    let mut server = Server::options().access(group()).create(&*calls).unwrap();
    say("ready");

    let message = receiver.recv_ref().unwrap();
    let user = message.sender().unwrap().user().unwrap();
    say(&format!("{} from {user}", text(&message.to_vec())));
    drop(message);

    let request = server.recv().unwrap();
    let user = request.peer().unwrap().user().unwrap();
    say(&format!("{} from {user}", text(request.bytes())));
    request.respond(b"answer").unwrap();

    publisher.send(b"news").unwrap();
    while hear().is_some() {}
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// Takes part in all of it.
fn take_part(name: &str) {
    let [queue, topic, values, calls] = names(name);
    let creator = || Owner::Account(OWNER.to_string());
    let senders = Sender::options().expect_owner(creator());
    let mut sender = senders.open(&*queue).unwrap();
    let mut subscriber = Subscriber::open(&*topic).unwrap();
    let mut reader = Reader::open(&*values).unwrap();
    let mut client = Client::open(&*calls).unwrap();
    sender.send(b"message").unwrap();
    say(text(client.call(b"request").unwrap()));
    say(text(reader.get().unwrap()));
    say(text(subscriber.recv().unwrap()));
    while hear().is_some() {}
}

/// Receives, and says what it has received, and each end.
fn receive(name: &str) {
    let options = Receiver::options().access(group()).senders(1);
    let mut receiver = options.create(name).unwrap();
    say("ready");
    loop {
        match receiver.recv() {
            Ok(bytes) => say(text(bytes)),
            Err(error) => say(&format!("{error:?}")),
        }
    }
}

/// Opens a sender, and sends each line.
fn send(name: &str) {
    let mut sender = Sender::open(name).unwrap();
    say("ready");
    while let Some(line) = hear() {
        match line.strip_prefix("create ") {
            Some(name) => say(&format!("{:?}", Receiver::create(name).unwrap_err().kind())),
            None => sender.send(line.as_bytes()).unwrap(),
        }
    }
}

/// A message that does not fit where a shorter one did not fit.
const LAST: &[u8] = &[9; 200];

/// Publishes until the lane is full, and then waits for the subscriber.
fn publish(name: &str) {
    let options = Publisher::options().access(group()).capacity(4096);
    let options = options.delivery(Delivery::Lossless).subscribers(1);
    let mut publisher = options.create(name).unwrap();
    say("ready");
    while hear().is_some() {
        let mut sent = 0_u32;
        let full = loop {
            match publisher.try_send(&[7; 100]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, SendError::Full), "{full:?}");
        say(&format!("sent {sent}"));
        publisher.send(LAST).unwrap();
        say("sent the last");
    }
}

/// Subscribes, receives as often as it is told, and says how many messages came before the last.
fn subscribe(name: &str) {
    let mut subscriber = Subscriber::open(name).unwrap();
    say("ready");
    while hear().is_some() {
        let mut count = 0;
        while subscriber.recv().unwrap() != LAST {
            count += 1;
        }
        say(&format!("received {count}"));
    }
}

#[test]
#[ignore = "needs root"]
fn users_of_a_group_exchange_messages() {
    let (mut test, name) = start("group");
    let name = format!("Global\\{name}");
    let mut owner = owner(&mut test, "own", &name);
    let mut member = member(&mut test, MEMBER, "take-part", &name);
    owner.expect("message from uid 64002");
    owner.expect("request from uid 64002");
    for said in ["answer", "value", "news"] {
        member.expect(said);
    }
    // The last holder of the files is the user who may remove them.
    assert!(member.finish().success() && owner.finish().success());
}

// layout: L272
#[test]
#[ignore = "needs root"]
fn lossless_publisher_waits_for_a_member() {
    let (mut test, name) = start("group-lossless");
    let name = format!("Global\\{name}");
    let mut publisher = owner(&mut test, "publish", &name);
    let mut subscriber = member(&mut test, MEMBER, "subscribe", &name);
    subscriber.expect("ready");
    for _ in 0..2 {
        publisher.tell("publish");
        let sent = publisher.hear();
        let id = publisher.id();
        eventually("the publisher sleeps", || is_asleep(&name, Some(id)));
        subscriber.tell("receive");
        publisher.expect("sent the last");
        subscriber.expect(&sent.replace("sent", "received"));
    }

    // The member sleeps, and is woken.
    subscriber.tell("receive");
    let id = subscriber.id();
    eventually("the member sleeps", || is_asleep(&name, Some(id)));
    publisher.tell("publish");
    let sent = publisher.hear();
    publisher.expect("sent the last");
    subscriber.expect(&sent.replace("sent", "received"));

    // A killed member lets the publisher go on, and another member takes the slot.
    publisher.tell("publish");
    publisher.hear();
    subscriber.kill();
    publisher.expect("sent the last");
    let mut next = member(&mut test, MEMBER, "subscribe", &name);
    next.expect("ready");
    drop(next);
    assert!(publisher.finish().success());
}

// layout: L272
#[test]
#[ignore = "needs root"]
fn killed_member_frees_its_slot() {
    let (mut test, name) = start("group-killed");
    let name = format!("Global\\{name}");
    let mut receiver = owner(&mut test, "receive", &name);
    let mut sender = member(&mut test, MEMBER, "send", &name);
    sender.expect("ready");
    sender.tell("first");
    receiver.expect("first");
    sender.kill();
    receiver.expect("Disconnected(Died)");
    let mut next = member(&mut test, MEMBER, "send", &name);
    next.expect("ready");
    next.tell("second");
    receiver.expect("second");
    assert!(next.finish().success());
    receiver.expect("Disconnected(Closed)");
    receiver.kill();
    clean(&name);
}

/// Removes what the killed processes of a user have left. No process holds it.
fn clean(name: &str) {
    let base = name.trim_start_matches("Global\\");
    for entry in fs::read_dir("/dev/shm").unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains(base) {
            // Another process of root may remove the file first.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens the name, and tries to own it in each way. Says the refusals.
fn create(name: &str) {
    say(&format!("{:?}", Sender::open(name).unwrap_err().kind()));
    for access in [Access::SameUser, group()] {
        match Receiver::options().access(access).create(name) {
            Ok(_) => say("created"),
            Err(error) => say(&format!("{:?}", error.kind())),
        }
    }
}

// layout: L202
#[test]
#[ignore = "needs root"]
fn only_the_creators_user_takes_over() {
    let (mut test, name) = start("group-restart");
    let name = format!("Global\\{name}");
    let first = owner(&mut test, "receive", &name);
    let mut sender = member(&mut test, MEMBER, "send", &name);
    sender.expect("ready");
    let create = format!("create {name}");
    sender.tell(&create);
    sender.expect("AlreadyExists");

    // The member holds the segment of the dead owner.
    first.kill();
    sender.tell(&create);
    sender.expect("AlreadyExists");
    let mut second = owner(&mut test, "receive", &name);
    sender.tell("again");
    second.expect("again");

    second.kill();
    assert!(sender.finish().success());
    clean(&name);
}

/// The files of a dead owner stay, since a member may not remove them.
// layout: L199
#[test]
#[ignore = "needs root"]
fn member_cannot_create_a_stale_name() {
    let (mut test, name) = start("group-stale");
    let name = format!("Global\\{name}");
    loop {
        let mut owner = member(&mut test, LONELY_OWNER, "receive", &name);
        owner.expect("ready");
        owner.kill();
        let mut late = member(&mut test, MEMBER, "create", &name);
        late.expect("NotFound");
        let said = [late.hear(), late.hear()];
        assert!(late.finish().success());
        if said.iter().any(|said| said == "created") {
            // A program of root has removed the files of the owner.
            continue;
        }
        assert_eq!(said, ["WrongOwner"; 2]);
        break;
    }
    let mut next = member(&mut test, LONELY_OWNER, "receive", &name);
    next.expect("ready");
    next.kill();
    clean(&name);
}

/// As a user outside of the group: can open nothing.
fn stay_outside(name: &str) {
    let [queue, topic, values, calls] = names(name);
    for refusal in [
        Sender::open(&*queue).err(),
        Subscriber::open(&*topic).err(),
        Reader::open(&*values).err(),
        Client::open(&*calls).err(),
    ] {
        let error = refusal.unwrap();
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("uid 64001") && text.contains("group 64010"),
            "{text}"
        );
        assert!(error.advice().contains("join that group"), "{error}");
    }
    refused(ErrorKind::AlreadyExists, Receiver::create(&*queue));
    say("refused");
}

#[test]
#[ignore = "needs root"]
fn user_outside_of_the_group_is_refused() {
    let (mut test, name) = start("group-outside");
    let name = format!("Global\\{name}");
    let owner = owner(&mut test, "own", &name);
    nobody(&mut test, "group/outside", &[&name]).expect("refused");
    drop(owner);
    clean(&name);
}

/// Makes a section, two events and a mutex.
fn make_objects(name: &str) {
    let sections = Section::options().access(group());
    let section = sections.create_new(name, 4096).unwrap();
    let view = section.map_rw(..).unwrap();
    let events = Event::options().access(group());
    let manual = events
        .create_new(format!("{name}.manual"), Reset::Manual)
        .unwrap();
    let auto = events
        .create_new(format!("{name}.auto"), Reset::Auto)
        .unwrap();
    let mutexes = Mutex::options().access(group());
    let mutex = mutexes.create_new(format!("{name}.mutex")).unwrap();
    auto.set().unwrap();
    say("ready");
    manual.wait().unwrap();
    let mut written = [0; 7];
    view.read(0, &mut written).unwrap();
    say(text(&written));
    // The member has ended with the mutex.
    assert!(mutex.lock().unwrap().is_abandoned());
    assert!(!auto.try_wait().unwrap());
    say("done");
    while hear().is_some() {}
}

/// As a member: writes the section, takes the signal of one event, and sets the other.
fn use_objects(name: &str) {
    let section = Section::open_rw(name).unwrap();
    section.map_rw(..).unwrap().write(0, b"written").unwrap();
    assert!(
        Event::open(format!("{name}.auto"))
            .unwrap()
            .try_wait()
            .unwrap()
    );
    let mutex = Mutex::open(format!("{name}.mutex")).unwrap();
    std::mem::forget(mutex.lock().unwrap());
    Event::open_rw(format!("{name}.manual"))
        .unwrap()
        .set()
        .unwrap();
    say("set");
    while hear().is_some() {}
}

// layout: L270
#[test]
#[ignore = "needs root"]
fn members_use_section_events_and_mutex() {
    let (mut test, name) = start("group-objects");
    let name = format!("Global\\{name}");
    let mut owner = owner(&mut test, "objects", &name);
    let mut user = member(&mut test, MEMBER, "use-objects", &name);
    user.expect("set");
    owner.expect("written");
    user.kill();
    owner.expect("done");
    assert!(owner.finish().success());
}

/// Returns the mode and the group of each section of a segment.
fn rights(name: &str) -> [(u32, u32); 4] {
    let parts = [
        "",
        "~control-00000001",
        "~roster-00000001",
        "~lanes-00000001",
    ];
    parts.map(|part| {
        let base = name.trim_start_matches("Global\\");
        let meta = fs::metadata(format!("/dev/shm/shmkit.global.{base}{part}")).unwrap();
        (meta.mode() & 0o7777, meta.gid())
    })
}

/// Returns the group of this process.
fn my_group() -> u32 {
    fs::metadata("/proc/self").unwrap().gid()
}

// layout: L020 L190 L270 L272
#[test]
fn group_files_have_the_documented_rights() {
    let (_test, name) = start("group-files");
    let name = format!("Global\\{name}");
    let gid = my_group();
    let access = Access::Group(gid.to_string());
    let [look, write] = [0o640, 0o660].map(|mode| (mode, gid));

    let queue = Receiver::options().access(access.clone()).create(&*name);
    assert_eq!(rights(&name), [look, look, write, write]);
    drop(queue);
    let calls = Server::options().access(access.clone()).create(&*name);
    assert_eq!(rights(&name), [look, look, write, write]);
    drop(calls);
    let topic = Publisher::options().access(access.clone()).create(&*name);
    assert_eq!(rights(&name), [look, look, write, look]);
    drop(topic);
    let values = Writer::options().access(access.clone()).create(&*name);
    assert_eq!(rights(&name), [look, look, write, look]);
    drop(values);

    let event = Event::options()
        .access(access)
        .create_new(&*name, Reset::Auto)
        .unwrap();
    let info = event.info();
    assert_eq!(info.access.as_deref(), Some("mode 0660"));
    let grants = info.grants.iter().map(|grant| grant.may.as_str());
    assert!(grants.eq(["read and write"; 2]), "{:?}", info.grants);
}

/// A group has one access, whether its name or its id is written.
// layout: L024 L270
#[test]
fn group_name_and_id_are_one_access() {
    let (_test, name) = start("group-name");
    let name = format!("Global\\{name}");
    let gid = my_group().to_string();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let is_mine = |line: &&str| line.split(':').nth(2) == Some(&*gid);
    let Some(line) = groups.lines().find(is_mine) else {
        println!("skipped: /etc/group does not name the group {gid}");
        return;
    };
    let by_name: Access = format!("group:{}", line.split(':').next().unwrap())
        .parse()
        .unwrap();
    let by_id: Access = format!("group:{gid}").parse().unwrap();

    let first = Receiver::options()
        .access(by_name.clone())
        .create(&*name)
        .unwrap();
    let mut sender = Sender::open(&*name).unwrap();
    drop(first);
    let mut second = Receiver::options().access(by_id).create(&*name).unwrap();
    sender.send(b"again").unwrap();
    assert_eq!(second.recv().unwrap(), b"again");
    drop(second);
    let other = Receiver::options().access(Access::UsersReadOnly);
    refused(ErrorKind::AlreadyExists, other.create(&*name));
    Receiver::options().access(by_name).create(&*name).unwrap();
}

/// As a user who is not in the group of root: says why a group cannot be given access.
fn say_why_refused(name: &str) {
    let options = Receiver::options().access(Access::Group("0".to_string()));
    let error = options.create(name).unwrap_err();
    say(&format!("{:?} {}; {}", error.kind(), error, error.advice()));
    while hear().is_some() {}
}

// layout: L271
#[test]
#[ignore = "needs root"]
fn creator_outside_of_the_group_is_refused() {
    let (mut test, name) = start("group-foreign");
    let name = format!("Global\\{name}");
    let mut child = nobody(&mut test, "group/refused", &[&name]);
    let said = child.hear();
    assert!(said.starts_with("PrivilegeMissing "), "{said}");
    assert!(
        said.contains("(gid 0)") && said.contains("not in the group"),
        "{said}"
    );
    assert!(said.contains("usermod"), "{said}");
    assert_ne!(me(), NOBODY);
    refused(ErrorKind::NotFound, Section::open(&*name));
    assert!(child.finish().success());
}

// layout: L190 L270
#[test]
fn impossible_group_is_refused_with_reason() {
    let (_test, name) = start("group-refused");
    let global = format!("Global\\{name}");
    let sections = |group: &str| Section::options().access(Access::Group(group.to_string()));
    for group in ["shmkit-no-such-group", "4294967295", "-1", ""] {
        let error = refused(
            ErrorKind::InvalidArgument,
            sections(group).create_new(&*global, 1),
        );
        assert!(error.to_string().contains("no such group"), "{error}");
        let queue = Receiver::options().access(Access::Group(group.to_string()));
        refused(ErrorKind::InvalidArgument, queue.create(&*global));
    }
    let mine = sections(&my_group().to_string());
    for local in [name.clone(), format!("Local\\{name}")] {
        let error = refused(ErrorKind::InvalidName, mine.create_new(&*local, 1));
        assert!(error.advice().contains(&global), "{error}");
    }
    let containers = Section::options().access(Access::AppContainer);
    let error = refused(ErrorKind::Unsupported, containers.create_new(&*global, 1));
    assert!(error.to_string().contains("AppContainer"), "{error}");
    assert!(matches!(
        Receiver::create(&*global).unwrap().try_recv(),
        Err(RecvError::Empty)
    ));
}
