//! Steps through an operation once, to find the instructions that change shared memory or call the
//! system: between two of them shared memory stays the same. Then starts the operation again and
//! again, each time in a new world, and kills it before one of these instructions. The survivors
//! check that they still work.

pub use crate::common::{Test, TestChild, eventually, is_asleep, start, unique};
use crate::memory::Memory;
use crate::ptrace::{Step, Tracee};
use std::collections::HashSet;
use std::time::Duration;

/// Far longer than it takes to notice any death, or to go step by step.
pub const LONG: Duration = Duration::from_secs(600);

/// Everything around a victim: the other endpoints of its segment.
pub trait World {
    /// Is called when the victim has set up and waits.
    fn ready(&mut self) {}
    /// Is called when the victim is dead. Returns how far it came, as the survivors see it.
    fn survive(self: Box<Self>) -> u64;
}

/// Builds the world of this name, before the victim starts.
pub type Build = fn(&str) -> Box<dyn World>;

/// Where to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind this number of instructions.
    Steps(u64),
    /// Behind this number of system calls, and then this number of changes of shared memory.
    Change(u64, u64),
    End,
}

/// The stretches of an operation, each from one system call to the next, that are walked through
/// instruction by instruction. A short run leaves out the stretches that change nothing, which are
/// most of the instructions.
enum Stretches {
    None,
    All,
    These(HashSet<u64>),
}

impl Stretches {
    fn contain(&self, from: u64) -> bool {
        match self {
            Stretches::None => false,
            Stretches::All => true,
            Stretches::These(these) => these.contains(&from),
        }
    }

    fn add(&mut self, from: u64) {
        if let Stretches::These(these) = self {
            these.insert(from);
        }
    }

    fn len(&self) -> usize {
        match self {
            Stretches::These(these) => these.len(),
            _ => 0,
        }
    }
}

/// Names the stretch that begins here by the place in its page, which is the same in each process.
/// Several stretches can have one name.
fn stretch(tracee: &Tracee) -> u64 {
    tracee.place() % 4096
}

#[derive(Default)]
struct Walk {
    places: Vec<Place>,
    steps: u64,
    changes: u64,
    calls: u64,
    outcome: u64,
}

/// Returns whether this is the long run, which tries all places.
fn is_long() -> bool {
    std::env::var_os("SHMKIT_TEST_LONG").is_some()
}

/// Returns how many places of an operation a run tries at most. A short run spreads them over all
/// places.
fn most(every: bool) -> u64 {
    match (is_long(), cfg!(debug_assertions), every) {
        (true, ..) => u64::MAX,
        (_, true, _) => 4,
        (_, _, true) => 150,
        _ => 12,
    }
}

struct Case {
    what: &'static str,
    every: bool,
    build: Build,
}

/// Kills before every instruction that changes shared memory or calls the system.
pub fn in_all_places(what: &'static str, build: Build) {
    Case {
        what,
        every: false,
        build,
    }
    .run();
}

/// Kills before every instruction.
pub fn at_every_instruction(what: &'static str, build: Build) {
    Case {
        what,
        every: true,
        build,
    }
    .run();
}

impl Case {
    fn run(&self) {
        let (mut test, _) = start("death");
        let walk = self.walk(&mut test);
        let places = walk.places.len() as u64;
        let each = places.div_ceil(most(self.every)).max(1);
        let first = u64::from(std::process::id()) % each;
        let mut kills = 1;
        // An operation without system calls goes the same way each time.
        let is_steady = walk.calls == 0;
        let mut seen = 0;
        let chosen = walk.places.iter().skip(first as usize);
        for place in chosen.step_by(each as usize) {
            let outcome = self.kill(&mut test, *place);
            // If the victim dies later, the survivors see no less.
            let goes_on = seen <= outcome && outcome <= walk.outcome;
            assert!(
                goes_on || !is_steady,
                "{}: {outcome} after {seen}",
                self.what
            );
            seen = outcome;
            kills += 1;
        }
        // Removes the files of dead processes, which no process needs.
        shmkit::inspect::clean().unwrap();
        let Walk {
            steps,
            changes,
            calls,
            ..
        } = walk;
        println!(
            "{:38} {steps:7} steps {changes:4} changes {calls:4} system calls \
             {kills:5} kills of {:5}, all survived",
            self.what,
            places + 1,
        );
    }

    /// Builds a new world, and runs a victim up to its first breakpoint.
    fn begin(&self) -> (Box<dyn World>, Tracee, Memory) {
        // Otherwise the victim sweeps, step by step.
        shmkit::inspect::clean().unwrap();
        let name = unique("death");
        let mut world = (self.build)(&name);
        // `Test::child` would wait until all other tests pause. That is not needed here: a child
        // that is being started briefly holds the objects of the other tests, and none of them
        // needs a free name.
        let mut child = TestChild::spawn("deaths/victim", &[self.what, &name]);
        let said = child.hear();
        let id = said.strip_prefix("ready ").unwrap().parse().unwrap();
        world.ready();
        let tracee = Tracee::begin(child, id);
        (world, tracee, Memory::of(&name))
    }

    /// Walks through the operation from beginning to end, and collects the places for kills.
    fn walk(&self, test: &mut Test) -> Walk {
        let mut stretches = match (cfg!(debug_assertions), is_long() || self.every) {
            (true, _) => Stretches::None,
            (_, true) => Stretches::All,
            _ => Stretches::These(HashSet::new()),
        };
        loop {
            let known = stretches.len();
            let walk = self.walk_through(test, &mut stretches);
            if stretches.len() == known {
                return walk;
            }
        }
    }

    /// Walks instruction by instruction in these stretches, and from system call to system call
    /// in all others. Adds each other stretch that has changed shared memory.
    fn walk_through(&self, test: &mut Test, stretches: &mut Stretches) -> Walk {
        test.once_more();
        let (world, mut tracee, mut memory) = self.begin();
        let mut walk = Walk::default();
        let (mut calls, mut changes) = (0, 0);
        let mut from = stretch(&tracee);
        walk.places.push(Place::Change(0, 0));
        loop {
            let is_near = stretches.contain(from);
            let step = if is_near {
                tracee.step()
            } else {
                tracee.next_system_call()
            };
            if step == Step::End {
                // The stretch up to the end makes no system call, and may have changed memory.
                if !is_near && memory.has_changed() {
                    stretches.add(from);
                }
                break;
            }
            walk.steps += 1;
            // Step by step the walk may take longer than the watchdog allows a test.
            if walk.steps.is_multiple_of(100_000) {
                test.once_more();
            }

            let has_changed = step != Step::Harmless && memory.has_changed();
            walk.changes += u64::from(has_changed);
            changes += u64::from(has_changed && step == Step::Plain);
            if has_changed && !is_near {
                stretches.add(from);
            }
            if step == Step::SystemCall {
                memory.look_for_files();
                from = stretch(&tracee);
                (calls, changes) = (calls + 1, 0);
                walk.calls += 1;
            }
            if has_changed || step == Step::SystemCall {
                walk.places.push(Place::Change(calls, changes));
            }
        }
        if self.every && !cfg!(debug_assertions) {
            walk.places = (0..walk.steps).map(Place::Steps).collect();
        }
        walk.outcome = self.die(world, tracee, Place::End);
        walk
    }

    fn kill(&self, test: &mut Test, place: Place) -> u64 {
        test.once_more();
        let (world, mut tracee, mut memory) = self.begin();
        // The operation may go another way this time; then it is killed on that way.
        match place {
            Place::Steps(n) => {
                let _ = (0..n).find(|_| tracee.step() == Step::End);
            }
            Place::Change(calls, changes) => {
                let _ = (0..calls).find(|_| tracee.next_system_call() == Step::End);
                memory.look_for_files();
                memory.has_changed();
                let mut left = changes;
                while left > 0 {
                    match tracee.step() {
                        Step::Harmless => {}
                        Step::Plain => left -= u64::from(memory.has_changed()),
                        Step::SystemCall | Step::End => break,
                    }
                }
            }
            Place::End => {}
        }
        self.die(world, tracee, place)
    }

    fn die(&self, world: Box<dyn World>, tracee: Tracee, place: Place) -> u64 {
        let what = self.what;
        let at = Whereabouts(format!("{what}, {place:?}, at {}", tracee.whereabouts()));
        drop(tracee);
        let outcome = world.survive();
        drop(at);
        outcome
    }
}

/// Prints the place of a kill if the survivors failed after it.
struct Whereabouts(String);

impl Drop for Whereabouts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("killed: {}", self.0);
        }
    }
}

/// Returns the message or value of this number, of any length; each of its bytes can be checked.
pub fn message(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..len as u64).map(|n| (number * 31 + n * 7) as u8));
    bytes
}

/// Returns the number of a message, and checks that the message is whole.
#[track_caller]
pub fn number(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, message(number, bytes.len()), "torn");
    number
}

/// Checks that the received numbers go on from `from`: none is missing, and none arrived twice.
/// Returns the number behind the last.
#[track_caller]
pub fn in_order(numbers: &[u64], from: u64) -> u64 {
    let all: Vec<u64> = (from..from + numbers.len() as u64).collect();
    assert_eq!(numbers, all);
    from + numbers.len() as u64
}

/// Waits until this process has slept on the segment for a while: a process that has just begun to
/// sleep looks again by itself.
pub fn until_asleep(name: &str) {
    let me = std::process::id();
    eventually("it sleeps", || is_asleep(name, Some(me)));
    std::thread::sleep(Duration::from_millis(3));
}

/// Runs a child that creates the segment of this name and uses it, and kills the child. `meanwhile`
/// runs between the two.
pub fn dead_owner(what: &str, name: &str, meanwhile: impl FnOnce()) {
    let mut child = TestChild::spawn("deaths/owner", &[what, name]);
    child.expect("ready");
    meanwhile();
    child.tell("go");
    child.expect("done");
    child.kill();
}
