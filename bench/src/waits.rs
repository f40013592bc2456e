//! The cost of a wake-up by an event, and by the death of a process, compared with a bare wait of
//! the same kind.

use crate::direct::{self, Signal};
use crate::median;
use shmkit::{CallError, Client, DisconnectReason, Event, ProcessIdentity, Reset, Server, Wake};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// The argument of a child that does nothing until its input ends.
pub const IDLE: &str = "--idle";

/// The first argument of a child that serves calls; the name follows.
pub const SERVE: &str = "--serve";

const ROUND_TRIPS: u32 = 2000;
const PAIRS: usize = 20;
const DEATHS: usize = 50;
/// The time before the kill of a peer, so that the waiter sleeps when the peer is killed.
const SETTLE: Duration = Duration::from_millis(10);

/// The greatest allowed ratio of the time that a death takes to wake a waiter to the time of a bare
/// wait for the death.
const DEATH_LIMIT: f64 = 10.0;

/// Runs the measurements, and returns whether a death wakes a waiter in time.
pub fn run(name: &str) -> bool {
    let (ours, bare) = round_trip(name);
    report("two threads wake each other", ours, bare);
    let (ours, bare) = death(name);
    report("a death wakes a waiter", ours, bare);
    let good = ours / bare <= DEATH_LIMIT;
    let ours = death_of_a_server(&format!("{name}-mortal"));
    report("a death ends an open call", ours, bare);
    good && ours / bare <= DEATH_LIMIT
}

/// Runs the child that does nothing.
pub fn idle() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// Runs a server that answers no request.
pub fn serve(name: &str) {
    let mut server = Server::create(name).unwrap();
    let request = server.recv().unwrap();
    idle();
    drop(request);
}

/// Lets two threads wake each other in turn. Returns the microseconds for one round trip, of shmkit
/// and of a bare signal.
fn round_trip(name: &str) -> (f64, f64) {
    let names = [0, 1].map(|n| format!("{name}-event{n}"));
    let events = names.map(|name| Event::create_new(name.as_str(), Reset::Auto).unwrap());
    let signals = [0, 1].map(|n| Signal::new(&format!("{name}-signal{n}")));
    let (mut ours, mut bare) = (Vec::new(), Vec::new());

    for _ in 0..PAIRS {
        let [there, back] = &events;
        ours.push(trips(
            || there.set().unwrap(),
            || there.wait().unwrap(),
            || back.set().unwrap(),
            || back.wait().unwrap(),
        ));
        let [there, back] = &signals;
        bare.push(trips(
            || there.set(),
            || there.wait(),
            || back.set(),
            || back.wait(),
        ));
    }
    (median(ours.into_iter()), median(bare.into_iter()))
}

fn trips(
    set_there: impl Fn(),
    wait_there: impl Fn() + Send,
    set_back: impl Fn() + Send,
    wait_back: impl Fn(),
) -> f64 {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..ROUND_TRIPS {
                wait_there();
                set_back();
            }
        });
        let start = Instant::now();
        for _ in 0..ROUND_TRIPS {
            set_there();
            wait_back();
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS)
    })
}

/// Returns the microseconds from the kill of a process to the wake-up of a waiter: of a waiter for
/// an event or the death, and of a waiter for the death alone.
fn death(name: &str) -> (f64, f64) {
    let event = Event::create_new(format!("{name}-never").as_str(), Reset::Auto).unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..DEATHS {
        ours.push(kill(&[IDLE], |child| {
            let peer = ProcessIdentity::of(child.id()).unwrap().watch().unwrap();
            let event = &event;
            move || assert_eq!(event.wait_or_death(&peer, None).unwrap(), Wake::PeerDied)
        }));
        bare.push(kill(&[IDLE], |child| {
            let peer = direct::Peer::new(child.id());
            move || peer.wait()
        }));
    }
    (median(ours.into_iter()), median(bare.into_iter()))
}

/// Returns the microseconds from the kill of a server to the error of a client that has called it.
fn death_of_a_server(name: &str) -> f64 {
    let deaths = (0..DEATHS).map(|n| {
        let name = format!("{name}-{n}");
        kill(&[SERVE, &name], |_| {
            let wait = Duration::from_secs(10);
            let mut client = Client::options().wait(wait).open(name.as_str()).unwrap();
            move || {
                let died = CallError::Disconnected(DisconnectReason::Died).to_string();
                assert_eq!(client.call(b"?").unwrap_err().to_string(), died);
            }
        })
    });
    median(deaths)
}

fn kill<W: FnOnce() + Send>(args: &[&str], watch: impl FnOnce(&Child) -> W) -> f64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(args)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();

    let wait = watch(&child);
    let (tell, told) = channel();
    let latency = std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            tell.send(()).unwrap();
            wait();
            Instant::now()
        });
        told.recv().unwrap();
        std::thread::sleep(SETTLE);
        let start = Instant::now();
        child.kill().unwrap();
        waiter.join().unwrap().duration_since(start)
    });

    child.wait().unwrap();
    latency.as_secs_f64() * 1e6
}

fn report(what: &str, ours: f64, bare: f64) {
    println!("{what}");
    println!("  shmkit                     {ours:8.2} µs");
    println!("  a bare wait                {bare:8.2} µs");
    println!("  ratio                      {:8.2}", ours / bare);
}
