//! Threads that wait for those who do not wait themselves: for tasks, and for a thread that
//! waits for more than one call takes. The first is started by the first of these, and others
//! each time that those there are have as much as a call takes; they stay.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{self, GateBackend, MOST_SIGNALS, PerProcess, Woken};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Instant;

/// What one waits for, and what became of it.
#[derive(Debug)]
pub(crate) struct Notice(Mutex<Told>);

#[derive(Debug)]
struct Told {
    has_come: bool,
    is_late: bool,
    /// The system would not wait.
    refused: Option<Error>,
    waker: Waker,
}

impl Notice {
    /// Wakes that one.
    pub fn new(waker: &Waker) -> Arc<Notice> {
        Arc::new(Notice(Mutex::new(Told {
            has_come: false,
            is_late: false,
            refused: None,
            waker: waker.clone(),
        })))
    }

    /// Wakes that one from now on.
    pub fn set_waker(&self, waker: &Waker) {
        let waker = waker.clone();
        // The last one may take others along, which come here: not under the lock.
        let last = std::mem::replace(&mut lock(&self.0).waker, waker);
        drop(last);
    }

    /// Whether anything that was waited for has happened.
    ///
    /// # Errors
    ///
    /// Where the system would not wait for it.
    pub fn has_come(&self) -> Result<bool> {
        let mut told = lock(&self.0);
        match told.refused.take() {
            Some(error) => Err(error),
            None => Ok(told.has_come),
        }
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
    Signal(os::Signal),
    Time(Instant),
}

/// What is waited for until this is dropped, or it has happened. When it was dropped nobody
/// waits for what a wait would take, and what was taken until then has been noticed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Registrations(Vec<Registration>);

#[derive(Debug)]
struct Registration {
    worker: Arc<Worker>,
    id: u64,
    taken: bool,
}

/// Has all of them waited for.
pub(crate) fn register(
    whats: impl IntoIterator<Item = (What, Arc<Notice>)>,
) -> Result<Registrations> {
    static EACH: PerProcess<Mutex<Vec<Arc<Worker>>>> = PerProcess::new();
    let mut workers = lock(EACH.get_or_init(Mutex::default));
    let mut registrations = Registrations(Vec::new());
    for (what, notice) in whats {
        let worker = match workers.iter().find(|worker| worker.takes(&what)) {
            Some(worker) => worker,
            None => {
                workers.push(Worker::start()?);
                workers.last().expect("one was added")
            }
        };
        registrations.0.push(worker.add(what, notice));
    }
    drop(workers);
    registrations.each_worker(|worker| worker.gate.open());
    Ok(registrations)
}

impl Registrations {
    fn each_worker(&self, mut act: impl FnMut(&Arc<Worker>)) {
        let mut seen: Vec<&Arc<Worker>> = Vec::new();
        for Registration { worker, .. } in &self.0 {
            if !seen.iter().any(|one| Arc::ptr_eq(one, worker)) {
                seen.push(worker);
                act(worker);
            }
        }
    }

    fn of<'a>(&'a self, worker: &'a Arc<Worker>) -> impl Iterator<Item = &'a Registration> {
        let ours = self.0.iter();
        ours.filter(|one| Arc::ptr_eq(&one.worker, worker))
    }

    fn has(&self, worker: &Arc<Worker>, id: u64) -> bool {
        self.of(worker).any(|one| one.id == id)
    }

    /// Whether it waits for any that it would take.
    fn is_in_round(&self, worker: &Arc<Worker>, state: &State) -> bool {
        let mut taken = self.of(worker).filter(|one| one.taken);
        taken.any(|one| state.round.contains(&one.id))
    }
}

impl Drop for Registrations {
    fn drop(&mut self) {
        let is_forked = |one: &Registration| one.worker.process != std::process::id();
        // A child has no such thread, and the parent's is not its to tell.
        if self.0.first().is_some_and(is_forked) {
            return;
        }
        self.each_worker(|worker| {
            let mut state = lock(&worker.state);
            for entry in &mut state.entries {
                entry.leaves |= self.has(worker, entry.id);
            }
            if self.is_in_round(worker, &state) {
                worker.gate.open();
            }
        });
        self.each_worker(|worker| {
            let mut state = lock(&worker.state);
            // In its own thread it does not wait.
            while self.is_in_round(worker, &state) {
                state = wait(&worker.looks, state);
            }
            let gone = state
                .entries
                .extract_if(.., |entry| self.has(worker, entry.id));
            let gone: Vec<Entry> = gone.collect();
            drop(state);
            // Not under the lock: they may take others along.
            drop(gone);
        });
    }
}

/// A thread that waits.
#[derive(Debug)]
struct Worker {
    process: u32,
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
}

#[derive(Debug)]
struct Entry {
    id: u64,
    what: What,
    notice: Arc<Notice>,
    /// Whoever it is for is about to take it away.
    leaves: bool,
}

impl Worker {
    fn start() -> Result<Arc<Worker>> {
        let worker = Arc::new(Worker {
            process: std::process::id(),
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
        let is_signal = |what: &What| matches!(what, What::Signal(_));
        let state = lock(&self.state);
        let signals = state.entries.iter().filter(|entry| is_signal(&entry.what));
        // And the gate.
        !is_signal(what) || signals.count() + 1 < MOST_SIGNALS
    }

    fn add(self: &Arc<Worker>, what: What, notice: Arc<Notice>) -> Registration {
        let taken = matches!(&what, What::Signal(signal) if signal.is_taken());
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
            taken,
        }
    }

    fn run(&self) {
        let mut signals = Vec::new();
        loop {
            let until = self.begin_round(&mut signals);
            let woken = os::wait_any(&signals, until, false);
            // Before anybody hears that it does not wait: so nothing is held then.
            signals.clear();
            // They may come back here at once: not under the lock.
            for waker in self.end_round(woken) {
                // Whoever panics there has said so, and others wait here too.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
        }
    }

    /// What to wait for, and until when.
    fn begin_round(&self, signals: &mut Vec<os::Signal>) -> Option<Instant> {
        let mut state = lock(&self.state);
        let State { entries, round, .. } = &mut *state;
        signals.push(self.gate.signal());
        let mut until: Option<Instant> = None;
        for entry in entries.iter().filter(|entry| !entry.leaves) {
            match &entry.what {
                What::Signal(signal) => {
                    signals.push(signal.clone());
                    round.push(entry.id);
                }
                What::Time(at) => until = Some(until.map_or(*at, |until| until.min(*at))),
            }
        }
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
        // Where the system refuses, it is not told which of them it was.
        let refused = woken.err();
        let has_come = |entry: &mut Entry| match entry.what {
            What::Signal(_) => refused.is_some() || signaled == Some(entry.id),
            What::Time(at) => at <= now,
        };
        let told = entries.extract_if(.., has_come).map(|entry| {
            entry.notice.note(|told| match (&entry.what, &refused) {
                (What::Time(_), _) => told.is_late = true,
                (What::Signal(_), None) => told.has_come = true,
                (What::Signal(_), Some(error)) => told.refused = Some(error.again()),
            })
        });
        let told = told.collect();
        round.clear();
        self.looks.notify_all();
        told
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
            let signal = What::Signal(gate.signal());
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
            assert!(notice.has_come().unwrap() != is_open(), "neither, or both");
        }
    }
}
