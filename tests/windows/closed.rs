//! Processes that another process may not open, such as services and elevated programs: their death
//! is noticed all the same. A build with NT's rules can simulate such a process. Without the rules
//! there is no such process, and these tests do nothing.

use crate::common::{TestChild, eventually, hear, is_asleep, say, unique, watchdog};
use shmkit::{
    Delivery, ErrorKind, ProcessIdentity, Publisher, Receiver, RecvError, Section, Sender, Start,
    Subscriber,
};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(20);

/// Returns whether this is a build with NT's rules.
pub fn nt_rules() -> bool {
    shmkit::inspect::doctor()
        .iter()
        .any(|found| found.topic == "build")
}

pub fn play(role: &str, args: &[&str]) {
    match role {
        "serve" => {
            let mut publisher = Publisher::create(args[0]).unwrap();
            publisher.send(b"one").unwrap();
            say("ready");
            hear();
        }
        "follow" => {
            assert!(is_closed(args[1]));
            let mut subscriber = Subscriber::open(args[0]).unwrap();
            tell_all(|| subscriber.recv().map(<[u8]>::to_vec));
        }
        "send" => {
            hear();
            let mut sender = Sender::open(args[0]).unwrap();
            sender.send(b"one").unwrap();
            hear();
        }
        "receive" => {
            assert!(is_closed(args[1]));
            let mut receiver = Receiver::create(args[0]).unwrap();
            say("ready");
            tell_all(|| receiver.recv().map(<[u8]>::to_vec));
        }
        "peer" => peer(args[0]),
        "receiver" => {
            assert!(is_closed(args[1]));
            let mut receiver = Receiver::create(args[0]).unwrap();
            say("ready");
            while hear().is_some() {
                let received = receiver.recv_timeout(MOMENT).map(<[u8]>::to_vec);
                say(&format!("{received:?}"));
            }
        }
        "publisher" => {
            assert!(is_closed(args[1]));
            let options = Publisher::options()
                .capacity(4096)
                .delivery(Delivery::Lossless);
            let mut publisher = options.create(args[0]).unwrap();
            say("ready");
            // Sends until a slow subscriber blocks the publisher.
            while hear().is_some() {
                let sent = (0..20).map(|_| publisher.send_timeout(&[7; 500], MOMENT));
                say(&format!("{:?}", sent.collect::<Result<Vec<()>, _>>()));
            }
        }
        "take" => {
            assert!(is_closed(args[1]));
            match Receiver::create(args[0]) {
                Ok(_) => say("taken"),
                Err(error) => say(&error.to_string()),
            }
        }
        _ => while hear().is_some() {},
    }
}

/// Opens an endpoint and keeps it, or closes the endpoint that it has.
fn peer(name: &str) {
    let (mut sender, mut subscriber) = (None, None);
    while let Some(what) = hear() {
        match &*what {
            "send" => sender
                .insert(Sender::open(name).unwrap())
                .send(&[1])
                .unwrap(),
            "subscribe" => {
                let options = Subscriber::options().start(Start::Oldest);
                subscriber = Some(options.open(name).unwrap());
            }
            _ => {
                sender = None;
                drop(subscriber.take());
            }
        }
        say("done");
    }
}

/// Returns whether this process may not watch the process with this pid, which is alive.
fn is_closed(pid: &str) -> bool {
    let identity = ProcessIdentity::of(pid.parse().unwrap()).unwrap();
    let watched = identity.watch().map_err(|error| error.kind());
    matches!(watched, Err(ErrorKind::AccessDenied))
}

/// Says each received message, and then the error at the end.
fn tell_all(mut receive: impl FnMut() -> Result<Vec<u8>, RecvError>) {
    loop {
        match receive() {
            Ok(message) => say(&String::from_utf8(message).unwrap()),
            Err(error) => return say(&format!("{error:?}")),
        }
    }
}

/// Starts a child that may not open the process whose pid is the second argument.
fn shut_out(role: &str, args: &[&str]) -> TestChild {
    let denied = format!("deny={}", args[1]);
    let mut words = std::env::var("SHMKIT_NT_RULES").unwrap_or_default();
    if !words.is_empty() {
        words.push(',');
    }
    let words = words + &denied;
    TestChild::spawn_with(role, args, |command| {
        command.env("SHMKIT_NT_RULES", words);
    })
}

// layout: L011 L082
#[test]
fn death_of_unopenable_owner_is_noticed() {
    if !nt_rules() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("closed-owner");
    let mut owner = TestChild::spawn("closed/serve", &[&name]);
    owner.expect("ready");
    let mut follower = shut_out("closed/follow", &[&name, &owner.id().to_string()]);
    follower.expect("one");
    eventually("it sleeps", || is_asleep(&name, Some(follower.id())));
    owner.kill();
    follower.expect("Disconnected(Died)");
}

// layout: L082
#[test]
fn death_of_unopenable_participant_is_noticed() {
    if !nt_rules() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("closed-sender");
    let mut sender = TestChild::spawn("closed/send", &[&name]);
    let mut receiver = shut_out("closed/receive", &[&name, &sender.id().to_string()]);
    receiver.expect("ready");
    sender.tell("go");
    receiver.expect("one");
    eventually("it sleeps", || is_asleep(&name, Some(receiver.id())));
    sender.kill();
    receiver.expect("Disconnected(Died)");
}

/// The liveness mutex of a participant ends with the participant, although the process goes on.
// layout: L082
#[test]
fn reopened_sender_of_unopenable_process_stays_alive() {
    if !nt_rules() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("closed-again");
    let mut sender = TestChild::spawn("closed/peer", &[&name]);
    let mut receiver = shut_out("closed/receiver", &[&name, &sender.id().to_string()]);
    receiver.expect("ready");
    let ask = |child: &mut TestChild, what: &str| {
        child.tell(what);
        child.hear()
    };
    assert_eq!(ask(&mut sender, "send"), "done");
    assert_eq!(ask(&mut receiver, ""), "Ok([1])");
    // The receiver sleeps, and so watches the process of the sender.
    assert_eq!(ask(&mut receiver, ""), "Err(Timeout)");
    assert_eq!(ask(&mut sender, "leave"), "done");
    assert_eq!(ask(&mut sender, "send"), "done");
    assert_eq!(ask(&mut receiver, ""), "Ok([1])");
    for _ in 0..3 {
        assert_eq!(ask(&mut receiver, ""), "Err(Timeout)");
    }
    assert_eq!(ask(&mut sender, "leave"), "done");
    assert_eq!(ask(&mut receiver, ""), "Err(Disconnected(Closed))");
}

#[test]
fn publisher_waits_for_reopened_unopenable_subscriber() {
    if !nt_rules() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("closed-topic");
    let mut subscriber = TestChild::spawn("closed/peer", &[&name]);
    let mut publisher = shut_out("closed/publisher", &[&name, &subscriber.id().to_string()]);
    publisher.expect("ready");
    let ask = |child: &mut TestChild, what: &str| {
        child.tell(what);
        child.hear()
    };
    for _ in 0..3 {
        assert_eq!(ask(&mut subscriber, "subscribe"), "done");
        assert_eq!(ask(&mut publisher, ""), "Err(Timeout)");
        assert_eq!(ask(&mut publisher, ""), "Err(Timeout)");
        assert_eq!(ask(&mut subscriber, "leave"), "done");
    }
    assert!(ask(&mut publisher, "").starts_with("Ok"));
}

// layout: L232
#[test]
fn owner_with_reused_unopenable_pid_is_dead() {
    if !nt_rules() {
        return;
    }
    let _watchdog = watchdog();
    let name = unique("closed-number");
    let other = TestChild::spawn("closed/idle", &[]);
    let receiver = Receiver::create(&*name).unwrap();
    let root = Section::open_rw(&*name).unwrap().map_rw(..).unwrap();
    drop(receiver);
    // The offset of the owner's process word: pid, and a fold of the start time.
    const OWNER: usize = 16;
    let pid = u64::from(other.id());
    let start = ProcessIdentity::of(other.id()).unwrap().to_words()[0];
    let fold = (start >> 32) ^ (start & 0xffff_ffff);
    for (fold, said) in [(fold, "is alive"), (fold ^ 1, "taken")] {
        root.write_value(OWNER, &(pid << 32 | fold)).unwrap();
        let mut taker = shut_out("closed/take", &[&name, &pid.to_string()]);
        let heard = taker.hear();
        assert!(heard.contains(said), "{heard}");
    }
}
