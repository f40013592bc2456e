//! Two processes on two processors, and the raw section by which they keep in step.

use shmkit::{Event, Mapping, Process, ProcessIdentity, ReadWrite, Reset, Section};
use shmkit_measure::{Line, Polling, clock, pin};
use std::cell::Cell;
use std::process::{Child, Command, Stdio, exit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// The first argument of the second process; the scenario, the name and the number of the
/// first process follow.
pub const THERE: &str = "--there";

/// The time limit of one scenario. A scenario takes seconds.
const LIMIT: Duration = Duration::from_secs(60);
const SIZE: u64 = 4096;

// Offsets of words. Each word is on cache lines of its own.
const STEPS: [usize; 2] = [0, 256];
const AGAIN: usize = 512;
const TOLD: usize = 768;
const REPLY: usize = 1024;

/// One of the two processes: its side, its peer, and the means to keep in step.
pub struct Pair {
    name: String,
    /// 0 in the first process, 1 in the second process. The processor has the same number.
    side: usize,
    peer: Process,
    #[cfg(windows)]
    peer_id: u32,
    step: Cell<u64>,
    control: Mapping<ReadWrite>,
    floor: Line,
    rise: Event,
    child: Option<Child>,
    _alive: Option<Sender<()>>,
}

impl Pair {
    /// Starts the second process, and returns the pair of the first process.
    pub fn start(base: &str, scenario: &str) -> Pair {
        let name = format!("{base}-{scenario}");
        let section = Section::create_new(name.as_str(), SIZE).unwrap();
        let rise = Event::create_new(format!("{name}-rise").as_str(), Reset::Auto).unwrap();
        let floor = Line::create(&format!("{name}-floor"), Polling::Tight).unwrap();

        let child = Command::new(std::env::current_exe().unwrap())
            .args([THERE, scenario, base, &std::process::id().to_string()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let alive = watch(scenario);
        clock::calibrate();
        assert!(pin(0), "pinned");

        let pair = Pair {
            name,
            side: 0,
            peer: watched(child.id()),
            #[cfg(windows)]
            peer_id: child.id(),
            step: Cell::new(0),
            control: section.map_rw(..).unwrap(),
            floor,
            rise,
            child: Some(child),
            _alive: Some(alive),
        };
        pair.meet();
        pair
    }

    /// Returns the pair of the second process, from the arguments of that process.
    pub fn join(scenario: &str, base: &str, peer: &str) -> Pair {
        let peer = peer.parse().unwrap();
        let name = format!("{base}-{scenario}");
        let section = Section::open_rw(name.as_str()).unwrap();
        let rise = Event::open(format!("{name}-rise").as_str()).unwrap();
        let floor = Line::open(&format!("{name}-floor"), Polling::Tight).unwrap();

        let first = watched(peer);
        std::thread::spawn(move || {
            first.wait().unwrap();
            exit(3);
        });

        clock::calibrate();
        assert!(pin(1), "pinned");
        let pair = Pair {
            name,
            side: 1,
            peer: watched(peer),
            #[cfg(windows)]
            peer_id: peer,
            step: Cell::new(0),
            control: section.map_rw(..).unwrap(),
            floor,
            rise,
            child: None,
            _alive: None,
        };
        pair.meet();
        pair
    }

    pub fn is_here(&self) -> bool {
        self.side == 0
    }

    /// Returns the process of the peer.
    pub fn peer(&self) -> &Process {
        &self.peer
    }

    #[cfg(windows)]
    pub fn peer_id(&self) -> u32 {
        self.peer_id
    }

    /// Returns a name of this process, and the name of the peer with the same tag.
    pub fn names(&self, tag: &str) -> [String; 2] {
        [self.side, 1 - self.side].map(|side| format!("{}-{tag}-{side}", self.name))
    }

    /// Returns a name that both processes have.
    pub fn name(&self, tag: &str) -> String {
        format!("{}-{tag}", self.name)
    }

    /// Waits until the peer calls `meet` too.
    pub fn meet(&self) {
        let step = self.step.get() + 1;
        self.step.set(step);
        // Pairs with the load below.
        self.word(STEPS[self.side]).store(step, Ordering::Release);
        let other = self.word(STEPS[1 - self.side]);
        while other.load(Ordering::Acquire) < step {
            std::hint::spin_loop();
        }
    }

    /// Sleeps until the peer calls `rise`, and so leaves the processor to others.
    pub fn rest(&self) {
        self.rise.wait().unwrap();
    }

    pub fn rise(&self) {
        self.rise.set().unwrap();
    }

    /// Returns whether there is another repetition. The first process decides that by `more`.
    pub fn again(&self, more: bool) -> bool {
        if self.is_here() {
            self.word(AGAIN).store(u64::from(more), Ordering::Relaxed);
        }
        self.meet();
        let more = self.word(AGAIN).load(Ordering::Relaxed) != 0;
        self.meet();
        more
    }

    /// Passes a number to the peer.
    pub fn tell(&self, number: f64) {
        self.word(TOLD).store(number.to_bits(), Ordering::Relaxed);
        self.meet();
    }

    pub fn told(&self) -> f64 {
        self.meet();
        f64::from_bits(self.word(TOLD).load(Ordering::Relaxed))
    }

    /// Returns the line that goes to and fro.
    pub fn floor(&self) -> &Line {
        &self.floor
    }

    /// Returns a word that one process stores and the other process polls.
    pub fn reply(&self) -> &AtomicU64 {
        self.word(REPLY)
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        self.control.atomic_u64(at).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let ended = child.wait().unwrap();
            assert!(ended.success(), "the second process: {ended}");
        }
    }
}

fn watched(pid: u32) -> Process {
    ProcessIdentity::of(pid).unwrap().watch().unwrap()
}

/// Ends this process if the scenario hangs. The other process then ends too.
fn watch(scenario: &str) -> Sender<()> {
    let (alive, watched) = channel();
    let scenario = scenario.to_owned();
    std::thread::spawn(move || {
        if watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{scenario} hangs");
            exit(3);
        }
    });
    alive
}
