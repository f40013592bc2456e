//! Worker threads that wait on behalf of tasks, and on behalf of threads that have more signals
//! than one system call takes.
//!
//! The first registration starts the first worker thread. A registration starts another worker if
//! each worker already waits for as many signals as one system call takes. Worker threads stay
//! until the process ends.

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::os::{self, GateBackend, MOST_SIGNALS, PerProcess, Woken};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Instant;

/// The outcome of one wait: a worker thread writes it, and the waiting task or thread reads it.
#[derive(Debug)]
pub(crate) struct Notice(Mutex<Told>);

#[derive(Debug)]
struct Told {
    /// A signal has come.
    has_come: bool,
    /// A time has come since the last [`take_late`](Notice::take_late).
    is_late: bool,
    /// The error of a system that refused to wait.
    refused: Option<Error>,
    /// Wakes the waiting task or thread.
    waker: Waker,
}

impl Notice {
    /// Makes a notice that wakes this waker.
    pub fn new(waker: &Waker) -> Arc<Notice> {
        Arc::new(Notice(Mutex::new(Told {
            has_come: false,
            is_late: false,
            refused: None,
            waker: waker.clone(),
        })))
    }

    /// Replaces the waker.
    pub fn set_waker(&self, waker: &Waker) {
        let waker = waker.clone();
        // Dropping the last waker can run code that calls this module, so the lock is not held.
        let last = std::mem::replace(&mut lock(&self.0).waker, waker);
        drop(last);
    }

    /// Returns whether a signal of this wait has come.
    ///
    /// # Errors
    ///
    /// The error of the system, once, if the system refused to wait.
    pub fn has_come(&self) -> Result<bool> {
        let mut told = lock(&self.0);
        match told.refused.take() {
            Some(error) => Err(error),
            None => Ok(told.has_come),
        }
    }

    /// Returns whether a time of this wait has come since the last call of this function.
    pub fn take_late(&self) -> bool {
        std::mem::take(&mut lock(&self.0).is_late)
    }

    /// Applies a change to the outcome, and returns the waker to wake.
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

/// A signal or a time for which a worker thread waits.
#[derive(Debug)]
pub(crate) enum What {
    Signal(os::Signal),
    Time(Instant),
}

/// The registrations of one wait. Each lasts until its signal or time has come, or until this is
/// dropped.
///
/// When the drop returns, no worker waits any more for a signal that a wait takes, and the notice
/// contains each signal that a worker took before.
#[derive(Debug)]
#[must_use]
pub(crate) struct Registrations(Vec<Registration>);

#[derive(Debug)]
struct Registration {
    worker: Arc<Worker>,
    id: u64,
    taken: bool,
}

/// Lets worker threads wait for these signals and times.
///
/// # Errors
///
/// [`ErrorKind::System`] if the system starts no thread; otherwise the errors of creating a gate.
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
                workers.last().expect("a worker was added")
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

    /// Returns whether the worker now waits for a signal of these registrations that its wait would
    /// take.
    fn is_in_round(&self, worker: &Arc<Worker>, state: &State) -> bool {
        let mut taken = self.of(worker).filter(|one| one.taken);
        taken.any(|one| state.round.contains(&one.id))
    }
}

impl Drop for Registrations {
    fn drop(&mut self) {
        let is_forked = |one: &Registration| one.worker.process != std::process::id();
        // A forked child has no worker thread, and must not signal the workers of the parent.
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
            // In the thread of the worker this loop does not wait: no round is under way then.
            while self.is_in_round(worker, &state) {
                state = wait(&worker.looks, state);
            }

            let gone = state
                .entries
                .extract_if(.., |entry| self.has(worker, entry.id));
            let gone: Vec<Entry> = gone.collect();
            drop(state);
            // Dropping an entry can run code that calls this module, so the lock is not held.
            drop(gone);
        });
    }
}

/// A worker: a thread that waits for signals and times.
#[derive(Debug)]
struct Worker {
    process: u32,
    /// Wakes the worker, so that it looks at its entries again.
    gate: os::Gate,
    state: Mutex<State>,
    /// Notified at the end of each round, when the worker does not wait.
    looks: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    entries: Vec<Entry>,
    /// The ids of the signals for which the worker waits in this round.
    round: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    what: What,
    notice: Arc<Notice>,
    /// The registration is being dropped, so later rounds skip this entry.
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
                let meaning = "the system cannot start a thread that waits";
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
        // The gate is one more signal.
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
            // Drops the signals before `end_round` says that the worker does not wait: no signal is
            // held from then on.
            signals.clear();
            // A waker can call this module at once, so the lock is not held.
            for waker in self.end_round(woken) {
                // The panic hook has reported a panic of a waker. This thread continues, since it
                // also waits for others.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
        }
    }

    /// Collects the signals to wait for, and returns the earliest time to wait until.
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

    /// Writes what has happened into the notices, and returns the wakers to wake.
    fn end_round(&self, woken: Result<Woken>) -> Vec<Waker> {
        let mut state = lock(&self.state);
        let State { entries, round, .. } = &mut *state;

        let now = Instant::now();
        let signaled = match woken {
            Ok(Woken::Signal(n)) => n.checked_sub(1).map(|n| round[n]),
            _ => None,
        };

        // The error of a refused wait does not say which signal caused it, so all signals get the
        // error.
        let refused = woken.err();
        let has_come = |entry: &mut Entry| match entry.what {
            What::Signal(_) => refused.is_some() || signaled == Some(entry.id),
            What::Time(at) => at <= now,
        };

        let told = entries.extract_if(.., has_come).map(|entry| {
            entry.notice.note(|told| match (&entry.what, &refused) {
                (What::Time(_), _) => told.is_late = true,
                (What::Signal(_), None) => told.has_come = true,
                (What::Signal(_), Some(error)) => told.refused = Some(error.clone()),
            })
        });
        let told = told.collect();

        round.clear();
        self.looks.notify_all();
        told
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state is never left half-updated, so lock poisoning is ignored.
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
    fn signal_during_registration_drop_arrives_exactly_once() {
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
                // The drop comes before the signal, after it, and at the same time.
                let end = Instant::now() + Duration::from_micros(n % 200);
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
                drop(registrations);
            });
            assert!(
                notice.has_come().unwrap() != is_open(),
                "the signal is lost, or is there twice"
            );
        }
    }
}
