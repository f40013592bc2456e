//! Tests of the futures of `Async`, on every system, under tokio.

use crate::common::{self, eventually, hear, say, start, time_used};
use shmkit::inspect::segment_info;
use shmkit::{
    Async, CallError, Client, Delivery, DisconnectReason, Event, ProcessIdentity, Publisher,
    Reader, Receiver, RecvError, Reset, SendError, Sender, Server, Subscriber, Writer,
};
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(600);
const MOMENT: Duration = Duration::from_millis(3);

/// Plays a role in a child process.
pub fn play(role: &str, args: &[&str]) {
    match (role, args) {
        ("server", [name]) => common::answer_nothing(name),
        ("idler", [name, seconds]) => idle(name, seconds.parse().unwrap()),
        ("quiet", [_]) => {
            say("ready");
            while hear().is_some() {}
        }
        other => panic!("no role {other:?}"),
    }
}

/// Runs a future on one thread.
fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(async { timeout(LONG, future).await.expect("in time") })
}

/// Runs a future on two threads, between which tasks move.
fn on_several<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async { timeout(LONG, future).await.expect("in time") })
}

async fn until_asleep(name: &str) {
    while !common::is_asleep(name, None) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

// layout: L318
#[test]
fn future_sends_a_source_number() {
    let (_test, name) = start("async-source");
    let options = Receiver::options().capacity(4096).max_message(1000);
    let mut receiver = Async::new(options.create(&*name).unwrap());
    let sender = Sender::options().source(7).open(&*name).unwrap();
    let mut sender = Async::new(sender);
    run(async {
        // The lane has no space for all of them.
        let send = async {
            for n in 0..20 {
                sender.send_numbered(n, &[1; 1000]).await.unwrap();
            }
        };
        let receive = async {
            for _ in 0..20 {
                receiver.recv().await.unwrap();
            }
        };
        tokio::join!(send, receive);
    });
    drop(sender);
    let next = Sender::options().source(7).open(&*name).unwrap();
    assert_eq!(next.last_number(), Some(19));
}

/// A leaked future stops waiting when the next wait for its endpoint begins.
#[test]
fn leaked_future_takes_no_wake_ups() {
    let (_test, name) = start("leaked");
    let mut sender = None;
    let mut receiver = Receiver::create(&*name).unwrap();
    for n in 0..20u8 {
        let mut receiving = Async::new(receiver);
        {
            let mut future = Box::pin(receiving.recv());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
            std::mem::forget(future);
        }
        match n % 2 {
            0 => {
                receiver = receiving.into_inner();
                let sender = sender.get_or_insert_with(|| Sender::open(&*name).unwrap());
                std::thread::scope(|scope| {
                    // If the leaked future took the wake-up, this receive would end late, or never
                    // since it has no timeout.
                    let waiting = scope.spawn(|| receiver.recv().map(<[u8]>::to_vec));
                    eventually("the receiver sleeps", || common::is_asleep(&name, None));
                    sender.send(&[n]).unwrap();
                    assert_eq!(waiting.join().unwrap().unwrap(), [n]);
                });
            }
            _ => {
                let sender = sender.as_mut().unwrap();
                run(async {
                    let received = async { receiving.recv().await.map(<[u8]>::to_vec) };
                    let sent = async {
                        until_asleep(&name).await;
                        sender.send(&[n]).unwrap();
                    };
                    let (received, ()) = tokio::join!(received, sent);
                    assert_eq!(received.unwrap(), [n]);
                });
                receiver = receiving.into_inner();
            }
        }
    }
}

/// The next wait gets the signal that a leaked future has taken.
#[test]
fn leaked_future_keeps_no_signal() {
    let (_test, name) = start("leaked-event");
    let mut event = Async::new(Event::create_new(&*name, Reset::Auto).unwrap());
    let setter = Event::open_rw(&*name).unwrap();
    for n in 0..20 {
        let mut future = Box::pin(event.wait());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        setter.set().unwrap();
        eventually("the signal is taken", || !setter.is_set().unwrap_or(false));
        std::mem::forget(future);
        match n % 2 {
            0 => run(async { event.wait().await.unwrap() }),
            _ => assert!(event.get_mut().try_wait().unwrap()),
        }
    }
}

#[test]
fn sleeping_endpoint_and_event_futures_complete() {
    let (_test, name) = start("kinds");
    let of = |kind: &str| format!("{name}-{kind}");
    let mut receiver = Async::new(Receiver::create(&*of("queue")).unwrap());
    let mut sender = Async::new(Sender::open(&*of("queue")).unwrap());
    let mut publisher = Publisher::create(&*of("topic")).unwrap();
    let mut subscriber = Async::new(Subscriber::open(&*of("topic")).unwrap());
    let mut writer = Writer::create(&*of("value")).unwrap();
    let mut reader = Async::new(Reader::open(&*of("value")).unwrap());
    let mut event = Async::new(Event::create_new(&*of("event"), Reset::Auto).unwrap());
    let setter = Event::open_rw(&*of("event")).unwrap();
    run(async {
        // Each endpoint sleeps before its message, value or signal arrives.
        let news = async {
            for name in [of("queue"), of("topic"), of("value")] {
                until_asleep(&name).await;
            }
            sender.send(b"17 pieces").await.unwrap();
            publisher.send(b"101.5").unwrap();
            writer.set(b"20 degrees").unwrap();
            setter.set().unwrap();
        };
        let received = async { receiver.recv().await.unwrap().to_vec() };
        let heard = async { subscriber.recv().await.unwrap().to_vec() };
        let changed = async { reader.wait_change().await.unwrap() };
        let signaled = async { event.wait().await.unwrap() };
        let (order, tick, index, (), ()) = tokio::join!(received, heard, changed, signaled, news);
        assert_eq!(
            (&*order, &*tick, index),
            (&b"17 pieces"[..], &b"101.5"[..], 0)
        );
    });
    assert_eq!(reader.get_mut().get().unwrap(), b"20 degrees");
    assert!(!event.get_ref().try_wait().unwrap(), "the signal was taken");
}

#[test]
fn async_typed_endpoints_exchange_values() {
    let (_test, name) = start("typed");
    let of = |kind: &str| format!("{name}-{kind}");
    let mut receiver = Async::new(
        Receiver::options()
            .typed::<u64>()
            .create(&*of("queue"))
            .unwrap(),
    );
    let mut sender = Async::new(
        Sender::options()
            .typed::<u64>()
            .open(&*of("queue"))
            .unwrap(),
    );
    let mut publisher = Publisher::options()
        .typed::<u64>()
        .create(&*of("topic"))
        .unwrap();
    let mut subscriber = Async::new(
        Subscriber::options()
            .typed::<u64>()
            .open(&*of("topic"))
            .unwrap(),
    );
    let mut writer = Writer::options()
        .typed::<u64>()
        .create(&*of("value"))
        .unwrap();
    let mut reader = Async::new(
        Reader::options()
            .typed::<u64>()
            .open(&*of("value"))
            .unwrap(),
    );
    let mut server = Async::new(
        Server::options()
            .typed::<u64, u32>()
            .create(&*of("calls"))
            .unwrap(),
    );
    let mut client = Async::new(
        Client::options()
            .typed::<u64, u32>()
            .open(&*of("calls"))
            .unwrap(),
    );
    run(async {
        sender.send(&17).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), 17);
        publisher.send(&18).unwrap();
        assert_eq!(subscriber.recv().await.unwrap(), 18);
        writer.set(&19).unwrap();
        assert_eq!(reader.wait_change().await.unwrap(), 0);
        let serve = async {
            for _ in 0..2 {
                let request = server.recv().await.unwrap();
                let answer = *request.value() as u32 + 1;
                request.respond(&answer).unwrap();
            }
        };
        let ask = async {
            assert_eq!(client.call(&20).await.unwrap(), 21);
            let call = client.get_mut().send(&21).unwrap();
            assert_eq!(client.recv(&call).await.unwrap(), 22);
        };
        tokio::join!(serve, ask);
    });
}

#[test]
fn concurrent_tasks_get_their_own_responses() {
    const CLIENTS: u64 = 8;
    const CALLS: u64 = 200;
    let (_test, name) = start("tasks");
    let server = Server::create(&*name).unwrap();
    on_several(async {
        let client = |number: u64| {
            let mut client = Async::new(Client::open(&*name).unwrap());
            tokio::spawn(async move {
                for n in 0..CALLS {
                    let request = (number << 32 | n).to_le_bytes();
                    assert_eq!(client.call(&request).await.unwrap(), request);
                }
            })
        };
        let mut tasks: Vec<_> = (0..CLIENTS).map(client).collect();
        // Each worker ends after its part of the requests, even if another worker waits to become
        // the leader.
        tasks.extend((0..CLIENTS).map(|_| {
            let mut server = Async::new(server.clone());
            tokio::spawn(async move {
                for _ in 0..CALLS {
                    let request = server.recv().await.unwrap();
                    let answer = request.bytes().to_vec();
                    request.respond(&answer).unwrap();
                }
            })
        }));
        drop(server);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn dropped_futures_lose_no_message_or_signal() {
    const COUNT: u64 = 300;
    let (_test, name) = start("dropped");
    let mut event = Async::new(Event::create_new(&*format!("{name}-e"), Reset::Auto).unwrap());
    let setter = Event::open_rw(&*format!("{name}-e")).unwrap();
    let mut receiver = Async::new(Receiver::create(&*name).unwrap());
    let mut sender = Sender::open(&*name).unwrap();
    let (mut numbers, mut signals) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..COUNT {
                sender.send(&n.to_le_bytes()).unwrap();
                setter.set().unwrap();
                // Sets the next signal only after this signal was taken, so that each signal is
                // counted.
                eventually("the signal is taken", || setter.is_set() == Some(false));
            }
        });
        run(async {
            let short = Duration::from_micros(300);
            while signals < COUNT || numbers.len() < COUNT as usize {
                if let Ok(message) = timeout(short, receiver.recv()).await {
                    let message = message.unwrap().try_into().unwrap();
                    numbers.push(u64::from_le_bytes(message));
                }
                if timeout(short, event.wait()).await.is_ok() {
                    signals += 1;
                }
            }
        });
    });
    assert!(numbers.iter().copied().eq(0..COUNT));
    assert_eq!(signals, COUNT);
}

#[test]
fn async_send_waits_for_space_or_disconnect() {
    let (_test, name) = start("room");
    let options = Receiver::options().capacity(1024).max_message(100);
    let mut receiver = options.create(&*name).unwrap();
    let mut sender = Async::new(Sender::open(&*name).unwrap());
    run(async {
        while sender.get_mut().try_send(&[1; 100]).is_ok() {}
        let sent = sender.send(&[2; 100]);
        let taken = async {
            until_asleep(&name).await;
            receiver.drain(|_| {}).unwrap()
        };
        let (sent, taken) = tokio::join!(sent, taken);
        sent.unwrap();
        assert!(taken > 0);
        assert_eq!(receiver.recv().unwrap(), [2; 100]);
        while sender.get_mut().try_send(&[1; 100]).is_ok() {}
        let sent = sender.send(&[2; 100]);
        let gone = async {
            until_asleep(&name).await;
            drop(receiver);
        };
        let (sent, ()) = tokio::join!(sent, gone);
        assert!(matches!(
            sent,
            Err(SendError::Disconnected(DisconnectReason::Closed))
        ));
    });
}

/// Returns a publisher whose lane is full, and its only subscriber. The publisher waits for that
/// subscriber, as far as `delivery` says.
fn full(name: &str, delivery: Delivery) -> (Async<Publisher>, Subscriber) {
    let options = Publisher::options().capacity(1024).max_message(100);
    let mut publisher = options.delivery(delivery).create(name).unwrap();
    let slow = Subscriber::open(name).unwrap();
    while publisher.try_send(&[1; 100]).is_ok() {}
    (Async::new(publisher), slow)
}

#[test]
fn async_publish_waits_for_slowest_subscriber() {
    let (_test, name) = start("slow");
    let (mut publisher, mut slow) = full(&name, Delivery::Lossless);
    run(async {
        let read = async {
            until_asleep(&name).await;
            slow.drain(|_| {}).unwrap()
        };
        let (sent, read) = tokio::join!(publisher.send(&[2; 100]), read);
        sent.unwrap();
        assert!(read > 0);
        while publisher.get_mut().try_send(&[1; 100]).is_ok() {}
        // The publisher waits for the subscriber as long as the subscriber exists.
        let sent = timeout(20 * MOMENT, publisher.send(&[2; 100])).await;
        assert!(sent.is_err());
        let leave = async {
            until_asleep(&name).await;
            drop(slow);
        };
        let (sent, ()) = tokio::join!(publisher.send(&[3; 100]), leave);
        sent.unwrap();
    });
    drop(publisher);
    let (mut publisher, _slow) = full(&name, Delivery::LosslessFor(10 * MOMENT));
    run(publisher.send(&[2; 100])).unwrap();
}

#[test]
fn async_waits_report_disconnected_peers() {
    let (mut test, name) = start("ends");
    let mut child = test.child("asynchronous/server", &[&name]);
    child.expect("ready");
    let mut process = Async::new(ProcessIdentity::of(child.id()).unwrap().watch().unwrap());
    let mut client = Async::new(Client::open(&*name).unwrap());
    let topic = format!("{name}-t");
    let publisher = Publisher::create(&*topic).unwrap();
    let mut subscriber = Async::new(Subscriber::open(&*topic).unwrap());
    run(async {
        let kill = async {
            child.expect("asked");
            until_asleep(&name).await;
            until_asleep(&topic).await;
            child.kill();
            drop(publisher);
        };
        let call = client.call(b"a long one");
        let (called, heard, ended, ()) =
            tokio::join!(call, subscriber.recv(), process.wait(), kill);
        let died = CallError::Disconnected(DisconnectReason::Died).to_string();
        assert_eq!(called.unwrap_err().to_string(), died);
        let closed = RecvError::Disconnected(DisconnectReason::Closed).to_string();
        assert_eq!(heard.unwrap_err().to_string(), closed);
        ended.unwrap();
    });
}

#[test]
fn dropped_call_future_frees_in_flight_capacity() {
    let (_test, name) = start("place");
    let server = Server::options().in_flight(1).create(&*name).unwrap();
    let mut server = Async::new(server);
    let mut client = Async::new(Client::open(&*name).unwrap());
    run(async {
        assert!(timeout(MOMENT, client.call(b"first")).await.is_err());
        let serve = async {
            for expected in [b"first", b"again"] {
                let request = server.recv().await.unwrap();
                assert_eq!(request.bytes(), expected);
                request.respond(expected).unwrap();
            }
        };
        let (answer, ()) = tokio::join!(client.call(b"again"), serve);
        assert_eq!(answer.unwrap(), b"again");
    });
}

#[test]
fn blocking_receive_wakes_after_dropped_future() {
    let (_test, name) = start("after");
    for n in 0..20 {
        let name = format!("{name}-{n}");
        let mut receiver = Async::new(Receiver::create(&*name).unwrap());
        let mut sender = Sender::open(&*name).unwrap();
        run(async {
            // The receiver sees that the sender has joined, and sleeps.
            assert!(timeout(2 * MOMENT, receiver.recv()).await.is_err());
        });
        let mut receiver = receiver.into_inner();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(move || receiver.recv_timeout(LONG).unwrap().to_vec());
            eventually("it sleeps", || segment_info(&*name).unwrap().owner.asleep);
            // Waits until the first park of 1 ms is over, after which the receiver looks by itself.
            std::thread::sleep(MOMENT);
            sender.send(b"x").unwrap();
            assert_eq!(waiter.join().unwrap(), b"x");
        });
    }
}

#[test]
fn blocked_async_call_reports_killed_server() {
    let (mut test, name) = start("place-end");
    let mut child = test.child("asynchronous/server", &[&name]);
    child.expect("ready");
    let mut client = Async::new(Client::open(&*name).unwrap());
    run(async {
        // Dropped calls take the whole capacity of calls in flight.
        for _ in 0..client.get_ref().in_flight() {
            drop(client.get_mut().try_send(b"dropped").unwrap());
        }
        child.expect("asked");
        let kill = async {
            until_asleep(&name).await;
            child.kill();
        };
        let (called, ()) = tokio::join!(client.call(b"one more"), kill);
        let died = CallError::Disconnected(DisconnectReason::Died).to_string();
        assert_eq!(called.unwrap_err().to_string(), died);
    });
}

/// Waits in a hundred tasks, and tells the parent the processor time and the number of threads of
/// the library.
fn idle(name: &str, seconds: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(async {
        let mut publishers = Vec::new();
        let mut tasks = Vec::new();
        for n in 0..50 {
            let queue = format!("{name}-queue-{n}");
            let options = Receiver::options()
                .capacity(1024)
                .max_message(64)
                .senders(1);
            let mut receiver = Async::new(options.create(&*queue).unwrap());
            tasks.push(tokio::spawn(async move { receiver.recv().await.is_ok() }));
            let topic = format!("{name}-topic-{n}");
            publishers.push(Publisher::create(&*topic).unwrap());
            let mut subscriber = Async::new(Subscriber::open(&*topic).unwrap());
            tasks.push(tokio::spawn(async move { subscriber.recv().await.is_ok() }));
        }
        // Each task has begun to wait by then, and has looked again.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = time_used();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let cost = time_used() - before;
        say(&format!("{} {}", cost.as_micros(), threads()));
        // Each task still receives.
        for (n, publisher) in publishers.iter_mut().enumerate() {
            publisher.send(b"x").unwrap();
            let mut sender = Sender::open(&*format!("{name}-queue-{n}")).unwrap();
            sender.send(b"x").unwrap();
        }
        for task in tasks {
            assert!(task.await.unwrap());
        }
        say("all came");
    });
}

#[cfg(target_os = "linux")]
fn threads() -> usize {
    let all = std::fs::read_dir("/proc/self/task").unwrap();
    let names = all.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    names.filter(|name| name.starts_with("shmkit")).count()
}

#[cfg(not(target_os = "linux"))]
fn threads() -> usize {
    0
}

/// In µs. Polling, or a look each millisecond, uses far more.
const NOTHING: u128 = 50_000;

#[test]
fn idle_tasks_use_little_cpu_few_threads() {
    let (mut test, name) = start("idle");
    let mut child = test.child("asynchronous/idler", &[&name, "5"]);
    let said = child.hear();
    let (cost, threads) = said.split_once(' ').unwrap();
    println!("{cost} µs in 5 s, {threads} threads of ours");
    assert!(cost.parse::<u128>().unwrap() < NOTHING, "{cost} µs in 5 s");
    // The threads that watch processes and look at names, and the threads that wait for 150 wait
    // sources.
    assert!(threads.parse::<usize>().unwrap() <= 4, "{threads}");
    child.expect("all came");
}
