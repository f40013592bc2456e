//! Rolling restarts: while messages flow, each process is replaced by another one of its role, one
//! process after the other. A participant is replaced by one that was there before it left, an owner
//! by one that follows it.

use super::*;
use shmkit::GetError;
use std::sync::Arc;

const OWNER: u64 = 0;
const FAILED: u64 = 1000;
const PLACES: u64 = 3;
/// Each process takes long to start under Wine.
const ROUNDS: u64 = if cfg!(windows) { 1 } else { 3 };
/// A process looks at least this often whether its parent ends it.
const TURN: Duration = Duration::from_millis(10);

/// Plays the process with number `who` of a role, until the parent closes its input.
pub fn play(role: &str, name: &str, who: u64) {
    let words = Words::of(name);
    match role {
        "receiver" => receive(queue(name), &words),
        "sender" => send(Sender::open(name).unwrap(), who, &words),
        "publisher" => publish(topic(name, Delivery::Lossless), &words),
        "subscriber" => subscribe(subscriber(name, Start::New), who, &words),
        "writer" => write(Writer::create(name).unwrap(), &words),
        "reader" => read(Reader::open(name).unwrap(), who, &words),
        "server" => serve(Server::create(name).unwrap(), &words),
        "client" => call(Client::open(name).unwrap(), who, &words),
        other => panic!("no role {other}"),
    }
}

/// Takes turns until the parent closes the input of this process.
fn until_told(words: &Words, mut turn: impl FnMut()) {
    let told = Arc::new(AtomicBool::new(false));
    let teller = told.clone();
    say("ready");
    std::thread::spawn(move || {
        while hear().is_some() {}
        teller.store(true, SeqCst);
    });
    let _alarm = Alarm(words);
    while !told.load(SeqCst) {
        turn();
    }
}

/// Tells the parent of a failed assertion.
struct Alarm<'a>(&'a Words);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        self.0.done(FAILED).fetch_add(failed.into(), SeqCst);
    }
}

/// Waits for a condition while no process has failed.
fn wait_for(words: &Words, what: &str, condition: impl Fn() -> bool) {
    eventually(what, || {
        assert_eq!(words.done(FAILED).load(SeqCst), 0, "a process has failed");
        condition()
    });
}

fn start_one(test: &mut Test, role: &str, name: &str, who: u64) -> TestChild {
    let mut child = test.child("messages/rolling", &[role, name, &who.to_string()]);
    child.expect("ready");
    child
}

/// Replaces each process of a segment in turn, and waits after each step until the participants that
/// are left have done more. Returns the last owner and the number of the last participant, which has
/// ended like all others.
fn roll(test: &mut Test, name: &str, [owner_role, role]: [&str; 2]) -> (TestChild, u64) {
    let words = Words::of(name);
    let goes_on = |who| {
        let enough = words.done(who).load(SeqCst) + 20;
        wait_for(&words, "a process goes on", || {
            words.done(who).load(SeqCst) >= enough
        });
    };

    let mut owner = start_one(test, owner_role, name, OWNER);
    let mut others: Vec<_> = (1..=PLACES)
        .map(|who| (who, start_one(test, role, name, who)))
        .collect();
    let mut last = PLACES;
    for _ in 0..ROUNDS {
        for place in &mut others {
            last += 1;
            let next = (last, start_one(test, role, name, last));
            goes_on(last);
            let (_, old) = std::mem::replace(place, next);
            assert!(old.finish().success());
        }
        assert!(owner.finish().success());
        owner = start_one(test, owner_role, name, OWNER);
        others.iter().for_each(|(who, _)| goes_on(*who));
    }
    for (_, other) in others {
        assert!(other.finish().success());
    }
    (owner, last)
}

/// Every message that was sent is received once, and in the order of its sender.
// layout: L112 L160 L169
#[test]
fn queue_loses_nothing_in_rolling_restart() {
    let (mut test, name) = start("rolling-queue");
    let words = Words::of(&name);
    let (receiver, last) = roll(&mut test, &name, ["receiver", "sender"]);
    wait_for(&words, "all messages come", || {
        (1..=last).all(|who| words.begun(who).load(SeqCst) == words.done(who).load(SeqCst))
    });
    assert!(receiver.finish().success());
}

fn send(mut sender: Sender, who: u64, words: &Words) {
    let max = sender.max_message();
    let mut sent = 0;
    until_told(words, || {
        match sender.send_timeout(&message(who, sent, max), TURN) {
            Ok(()) => {
                sent += 1;
                words.done(who).store(sent, SeqCst);
            }
            Err(SendError::Timeout) => {}
            Err(SendError::Disconnected(_)) => drop(sender.wait_for_receiver(TURN).unwrap()),
            Err(error) => panic!("{error}"),
        }
    });
}

fn receive(mut receiver: Receiver, words: &Words) {
    let max = receiver.max_message();
    until_told(words, || match receiver.recv_timeout(TURN) {
        Ok(bytes) => {
            let (from, number) = whole(bytes, max);
            let next = words.begun(from).swap(number + 1, SeqCst);
            assert_eq!(number, next, "sender {from}");
        }
        Err(RecvError::Timeout | RecvError::Disconnected(_)) => {}
        Err(error) => panic!("{error}"),
    });
}

/// The messages of all publishers have one row of numbers, in which a subscriber misses none from
/// its first message on.
// layout: L127 L163 L171
#[test]
fn lossless_topic_loses_nothing_in_rolling_restart() {
    let (mut test, name) = start("rolling-topic");
    let (publisher, _) = roll(&mut test, &name, ["publisher", "subscriber"]);
    assert!(publisher.finish().success());
}

fn publish(mut publisher: Publisher, words: &Words) {
    let max = publisher.max_message();
    let mut next = words.done(OWNER).load(SeqCst);
    until_told(words, || {
        match publisher.send_timeout(&message(0, next, max), TURN) {
            Ok(()) => {
                next += 1;
                words.done(OWNER).store(next, SeqCst);
            }
            Err(SendError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
    });
}

fn subscribe(mut subscriber: Subscriber, who: u64, words: &Words) {
    let max = subscriber.max_message();
    let mut next = None;
    until_told(words, || match subscriber.recv_timeout(TURN) {
        Ok(bytes) => {
            let (_, number) = whole(bytes, max);
            assert_eq!(number, next.unwrap_or(number));
            next = Some(number + 1);
            words.done(who).fetch_add(1, SeqCst);
        }
        Err(RecvError::Timeout | RecvError::Disconnected(_)) => {}
        Err(error) => panic!("{error}"),
    });
}

/// No reader gets a value that is older than one that it had.
// layout: L172
#[test]
fn values_never_go_back_in_rolling_restart() {
    let (mut test, name) = start("rolling-values");
    let (writer, _) = roll(&mut test, &name, ["writer", "reader"]);
    assert!(writer.finish().success());
}

fn write(mut writer: Writer, words: &Words) {
    let mut value = words.done(OWNER).load(SeqCst);
    until_told(words, || {
        value += 1;
        writer.set(&value.to_le_bytes()).unwrap();
        words.done(OWNER).store(value, SeqCst);
    });
}

fn read(mut reader: Reader, who: u64, words: &Words) {
    let mut last = 0;
    until_told(words, || {
        match reader.wait_change_timeout(TURN) {
            Ok(_) => {}
            Err(RecvError::Timeout | RecvError::Disconnected(_)) => return,
            Err(error) => panic!("{error}"),
        }
        match reader.get() {
            Ok(bytes) => {
                let value = u64::from_le_bytes(bytes.try_into().unwrap());
                assert!(value >= last, "{value} after {last}");
                last = value;
                words.done(who).fetch_add(1, SeqCst);
            }
            Err(GetError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    });
}

/// Every call ends, and gets its own response.
#[test]
fn calls_get_their_responses_in_rolling_restart() {
    let (mut test, name) = start("rolling-calls");
    let (server, _) = roll(&mut test, &name, ["server", "client"]);
    assert!(server.finish().success());
}

fn serve(mut server: Server, words: &Words) {
    until_told(words, || match server.recv_timeout(TURN) {
        Ok(request) => {
            let bytes = request.bytes().to_vec();
            // The client may have gone meanwhile.
            let _ = request.respond(&bytes);
        }
        Err(RecvError::Timeout | RecvError::Disconnected(_)) => {}
        Err(error) => panic!("{error}"),
    });
}

fn call(mut client: Client, who: u64, words: &Words) {
    let mut number = 0u64;
    until_told(words, || {
        number += 1;
        let request = [who, number].map(u64::to_le_bytes).concat();
        match client.call_timeout(&request, 10 * TURN) {
            Ok(response) => {
                assert_eq!(response, request);
                words.done(who).fetch_add(1, SeqCst);
            }
            Err(CallError::Timeout) => {}
            Err(CallError::Disconnected(_)) => drop(client.wait_for_server(TURN).unwrap()),
            Err(error) => panic!("{error}"),
        }
    });
}
