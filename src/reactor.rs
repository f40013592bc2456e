//! Threads that wait for those who do not wait themselves: for tasks, and for a thread that
//! waits for more than one call takes. The first is started by the first of these, and others
//! each time that those there are have as much as a call takes; they stay.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{self, GateBackend, MOST_SIGNALS, PerProcess, Woken};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::thread::ThreadId;
use std::time::Instant;

/// What one waits for, and what became of it.
#[derive(Debug)]
pub(crate) struct Notice(Mutex<Told>);

#[derive(Debug)]
struct Told {
    has_come: bool,
    is_late: bool,
    waker: Waker,
}

impl Notice {
    /// Wakes that one.
    pub fn new(waker: &Waker) -> Arc<Notice> {
        Arc::new(Notice(Mutex::new(Told {
            has_come: false,
            is_late: false,
            waker: waker.clone(),
        })))
    }

    /// Wakes that one from now on.
    pub fn set_waker(&self, waker: &Waker) {
        lock(&self.0).waker.clone_from(waker);
    }

    /// Whether anything that was waited for has happened.
    pub fn has_come(&self) -> bool {
        lock(&self.0).has_come
    }

    /// Whether the moment has come since this was asked.
    pub fn take_late(&self) -> bool {
        std::mem::take(&mut lock(&self.0).is_late)
    }

    /// Takes note of it, and says whom to wake.
    fn note(&self, change: impl FnOnce(&mut Told)) -> Waker {
        let mut told = lock(&self.0);
        change(&mut told);
        told.waker.clone()
    }
}

impl Wake for Notice {
    fn wake(self: Arc<Notice>) {
        self.note(|told| told.has_come = true).wake();
    }
}

/// What is waited for.
#[derive(Debug)]
pub(crate) enum What {
    /// Where it is `kept`, that it was taken is told even to one who is about to go.
    Signal {
        signal: os::Signal,
        kept: bool,
    },
    Moment(Instant),
}

/// Something that is waited for, until this is dropped or it has happened.
#[derive(Debug)]
pub(crate) struct Registration {
    worker: Arc<Worker>,
    id: u64,
    kept: bool,
}

/// Has all of them waited for.
pub(crate) fn register(
    whats: impl IntoIterator<Item = (What, Arc<Notice>)>,
) -> Result<Vec<Registration>> {
    static EACH: PerProcess<Mutex<Vec<Arc<Worker>>>> = PerProcess::new();
    let mut workers = lock(EACH.get_or_init(Mutex::default));
    let mut registrations = Vec::new();
    let mut told: Vec<Arc<Worker>> = Vec::new();
    for (what, notice) in whats {
        let worker = match workers.iter().find(|worker| worker.takes(&what)) {
            Some(worker) => worker,
            None => {
                workers.push(Worker::start()?);
                workers.last().expect("one was added")
            }
        };
        registrations.push(worker.add(what, notice));
        if !told.iter().any(|one| Arc::ptr_eq(one, worker)) {
            told.push(Arc::clone(worker));
        }
    }
    told.iter().for_each(|worker| worker.gate.open());
    Ok(registrations)
}

/// A thread that waits.
#[derive(Debug)]
struct Worker {
    /// Has it look at what it is to wait for.
    gate: os::Gate,
    state: Mutex<State>,
    /// Told each time that it does not wait.
    looks: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    entries: Vec<Entry>,
    /// Those that it waits for at the moment.
    round: Vec<u64>,
    thread: Option<ThreadId>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    what: What,
    notice: Arc<Notice>,
    /// To be waited for no longer.
    leaves: bool,
}

impl Worker {
    fn start() -> Result<Arc<Worker>> {
        let worker = Arc::new(Worker {
            gate: os::Gate::new()?,
            state: Mutex::default(),
            looks: Condvar::new(),
        });
        let thread = std::thread::Builder::new().name("shmkit-reactor".into());
        let runs = Arc::clone(&worker);
        match thread.spawn(move || runs.run()) {
            Ok(_) => Ok(worker),
            Err(error) => {
                let meaning = "no thread is to be had that would wait";
                let kind = ErrorKind::System;
                let refused = Error::new(kind, Operation::Wait, &"several things", meaning);
                Err(refused.with_code(error.raw_os_error().unwrap_or_default()))
            }
        }
    }

    fn takes(&self, what: &What) -> bool {
        let is_signal = |what: &What| matches!(what, What::Signal { .. });
        let state = lock(&self.state);
        let signals = state.entries.iter().filter(|entry| is_signal(&entry.what));
        // And the gate.
        !is_signal(what) || signals.count() + 1 < MOST_SIGNALS
    }

    fn add(self: &Arc<Worker>, what: What, notice: Arc<Notice>) -> Registration {
        let kept = matches!(what, What::Signal { kept: true, .. });
        let mut state = lock(&self.state);
        let id = state.next;
        state.next += 1;
        state.entries.push(Entry {
            id,
            what,
            notice,
            leaves: false,
        });
        Registration {
            worker: Arc::clone(self),
            id,
            kept,
        }
    }

    fn run(&self) {
        let mut signals = Vec::new();
        lock(&self.state).thread = Some(std::thread::current().id());
        loop {
            let until = self.begin_round(&mut signals);
            let woken = os::wait_any(&signals, until, false);
            // They may come back here at once: not under the lock.
            self.end_round(woken).into_iter().for_each(Waker::wake);
        }
    }

    /// What to wait for, and until when.
    fn begin_round(&self, signals: &mut Vec<os::Signal>) -> Option<Instant> {
        let mut state = lock(&self.state);
        state.entries.retain(|entry| !entry.leaves);
        let State { entries, round, .. } = &mut *state;
        signals.clear();
        signals.push(self.gate.signal());
        let mut until: Option<Instant> = None;
        for entry in entries {
            match &entry.what {
                What::Signal { signal, .. } => {
                    signals.push(signal.clone());
                    round.push(entry.id);
                }
                What::Moment(at) => until = Some(until.map_or(*at, |until| until.min(*at))),
            }
        }
        self.looks.notify_all();
        until
    }

    /// Takes note of what has happened, and says whom to wake.
    fn end_round(&self, woken: Result<Woken>) -> Vec<Waker> {
        let mut state = lock(&self.state);
        let State { entries, round, .. } = &mut *state;
        let now = Instant::now();
        let signaled = match woken {
            Ok(Woken::Signal(n)) => n.checked_sub(1).map(|n| round[n]),
            _ => None,
        };
        // Where the system refuses, all of them have to look for themselves.
        let is_refused = woken.is_err();
        let has_come = |entry: &mut Entry| match entry.what {
            What::Signal { .. } => is_refused || signaled == Some(entry.id),
            What::Moment(at) => at <= now,
        };
        let told = entries.extract_if(.., has_come).map(|entry| {
            entry.notice.note(|told| match entry.what {
                What::Signal { .. } => told.has_come = true,
                What::Moment(_) => told.is_late = true,
            })
        });
        let told = told.collect();
        round.clear();
        self.looks.notify_all();
        told
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = lock(&self.worker.state);
        let Some(at) = state.entries.iter().position(|entry| entry.id == self.id) else {
            return;
        };
        // Nobody waits for what that one would take.
        if !self.kept || state.thread == Some(std::thread::current().id()) {
            state.entries.swap_remove(at);
            return;
        }
        state.entries[at].leaves = true;
        self.worker.gate.open();
        while state.round.contains(&self.id) {
            state = wait(&self.worker.looks, state);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done where somebody panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_taken_for_one_who_goes_is_told() {
        let gate = os::Gate::new().unwrap();
        let is_open = || {
            let now = Some(Instant::now());
            os::wait_any(&[gate.signal()], now, false).unwrap() == Woken::Signal(0)
        };
        for n in 0..2000 {
            let notice = Notice::new(Waker::noop());
            let signal = What::Signal {
                signal: gate.signal(),
                kept: true,
            };
            let registrations = register([(signal, Arc::clone(&notice))]).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| gate.open());
                // Before it, after it, and at the same time.
                let end = Instant::now() + Duration::from_micros(n % 200);
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
                drop(registrations);
            });
            assert!(notice.has_come() != is_open(), "neither, or both");
        }
    }
}
