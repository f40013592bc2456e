//! Reasons to end the program: a signal, a key, or the time; and waits that end with such a reason.

use crate::platform::{self, Latch};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use shmkit::{OwnedObject, WaitHandle, WaitSet, Waitable};
use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The reasons to end a command: a signal, a key, or the time.
#[derive(Debug)]
pub struct Ends {
    over: Arc<Over>,
    /// Becomes ready when there is a reason.
    object: OwnedObject,
    /// Whether a key ends the command. Only a key on a terminal does. The bytes and the end of a
    /// pipe do not end the command, so a server can run without a terminal.
    keys: bool,
    /// The time limit, and the moment at which it ends. A moment that is too far away to be
    /// computed is `None`.
    limit: Option<Duration>,
    until: Option<Instant>,
}

/// The state that all threads share: whether there is a reason to end.
struct Over {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    reason: Option<&'static str>,
    /// `None` as soon as there is a reason: the drop of the latch makes `Ends::object` ready.
    latch: Option<Latch>,
    /// The functions to call when there is a reason.
    calls: Vec<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Over").field(&self.state().reason).finish()
    }
}

impl Over {
    /// Locks the state. A poisoned lock is used too, since no panic can leave the state half
    /// updated.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the reason, if there is none yet, and ends all waits.
    fn end(&self, reason: &'static str) {
        let mut state = self.state();
        state.reason.get_or_insert(reason);
        state.latch = None;
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        self.changed.notify_all();
        for call in calls {
            call();
        }
    }
}

/// Why a wait returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The source is ready, or its time is up.
    Source,
    /// There is a reason to end; [`Ends::now`] returns it.
    Over,
    /// The process that reads standard output has gone.
    ReaderLeft,
}

/// Waits for wait sources on one thread. Each wait also ends when there is a reason to end.
pub struct Waits {
    set: WaitSet,
    over: WaitHandle,
    until: Option<Instant>,
    output: Option<WaitHandle>,
}

impl Waits {
    /// Returns whether the time limit of the command has passed.
    pub fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Waits until a source is ready, at most until the moment `until`.
    pub fn wait(
        &mut self,
        source: &mut dyn Waitable,
        until: Option<Instant>,
    ) -> shmkit::Result<Woken> {
        let end = [until, self.until].into_iter().flatten().min();
        let left = end.map_or(FAR, |end| end.saturating_duration_since(Instant::now()));
        let mut sources: Vec<&mut dyn Waitable> = vec![source, &mut self.over];
        sources.extend(
            self.output
                .as_mut()
                .map(|output| output as &mut dyn Waitable),
        );
        Ok(match self.set.wait_timeout(&mut sources, left)? {
            Some(1) => Woken::Over,
            Some(2) => Woken::ReaderLeft,
            _ => Woken::Source,
        })
    }
}

impl Ends {
    /// Watches for signals. From now on a signal ends the waits and not the program, so the program
    /// can end in good order.
    pub fn watch(limit: Option<Duration>) -> Result<Ends, String> {
        let ends = Ends::new(limit)?;
        let over = Arc::clone(&ends.over);
        platform::on_end(move |why| over.end(why))?;
        Ok(ends)
    }

    /// Creates the reasons to end without signals.
    pub fn new(limit: Option<Duration>) -> Result<Ends, String> {
        let (latch, object) =
            platform::latch().map_err(|error| format!("cannot watch for the end: {error}"))?;
        let state = State {
            reason: None,
            latch: Some(latch),
            calls: Vec::new(),
        };

        let over = Over {
            state: Mutex::new(state),
            changed: Condvar::new(),
        };

        Ok(Ends {
            over: Arc::new(over),
            object,
            keys: std::io::stdin().is_terminal() && platform::in_foreground(),
            limit,
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
        })
    }

    /// Ends all waits with this reason.
    pub fn end(&self, reason: &'static str) {
        self.over.end(reason);
    }

    /// Returns the reason to end, if there is one.
    pub fn now(&self) -> Option<&'static str> {
        self.within(Duration::ZERO)
    }

    /// Returns the moment at which the time limit ends.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Returns the waits of one thread, which end when there is a reason to end.
    pub fn waits(&self) -> Result<Waits, String> {
        let object = platform::duplicate(&self.object);
        let object = object.map_err(|error| format!("cannot watch for the end: {error}"))?;
        Ok(Waits {
            set: WaitSet::new(),
            over: WaitHandle::new(object),
            until: self.until,
            output: None,
        })
    }

    /// Returns the waits of one thread, which end when there is a reason to end, or when the
    /// process that reads standard output has gone.
    pub fn waits_of_printer(&self) -> Result<Waits, String> {
        let mut waits = self.waits()?;
        waits.output = platform::reader_of_output().map(WaitHandle::new);
        Ok(waits)
    }

    /// Calls `call` when there is a reason to end; at once if there is one already. The time limit
    /// is not such a reason.
    pub fn on_end(&self, call: impl FnOnce() + Send + 'static) {
        let mut state = self.over.state();
        match state.reason {
            Some(_) => {
                drop(state);
                call();
            }
            None => state.calls.push(Box::new(call)),
        }
    }

    /// Returns a text that says how the command ends.
    pub fn how(&self) -> String {
        match (self.limit, self.keys) {
            (Some(time), true) => {
                format!("for {} s, or until a key is pressed", time.as_secs_f64())
            }
            (Some(time), false) => format!("for {} s", time.as_secs_f64()),
            (None, true) => "until a key is pressed".to_string(),
            (None, false) => "until Ctrl-C or SIGTERM".to_string(),
        }
    }

    /// Waits until there is a reason to end, and returns the reason.
    pub fn wait(self) -> &'static str {
        let _keys = self.keys();
        loop {
            if let Some(reason) = self.within(FAR) {
                return reason;
            }
        }
    }

    /// Waits until there is a reason to end, for at most this time. Returns the reason, if there is
    /// one.
    pub fn within(&self, time: Duration) -> Option<&'static str> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.map_or(time, |left| left.min(time));
        let goes_on = |state: &mut State| state.reason.is_none();
        let waited = self
            .over
            .changed
            .wait_timeout_while(self.over.state(), wait, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.reason {
            None if left.is_some_and(|left| left <= time) => Some("the time is up"),
            reason => reason,
        }
    }

    /// Makes a key on the terminal a reason to end, until the returned value is dropped. Returns
    /// `None` if there is no terminal.
    pub fn keys(&self) -> Option<RawMode> {
        self.keys.then(|| RawMode::enter(Arc::clone(&self.over)))
    }
}

/// The time limit of a wait that has no limit: a hundred years.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The raw mode of the terminal, which delivers single keys instead of lines. The drop ends the raw
/// mode.
#[derive(Debug)]
pub struct RawMode;

impl RawMode {
    fn enter(over: Arc<Over>) -> RawMode {
        // Without raw mode, the user must press Enter after a key. This is good enough.
        let _ = enable_raw_mode();
        std::thread::spawn(move || {
            while let Ok(event) = read() {
                let Event::Key(key) = event else { continue };
                if key.kind != KeyEventKind::Press {
                    continue;
                }
                // In raw mode, the terminal sends Ctrl-C as a key and not as a signal.
                let interrupt =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                over.end(if interrupt {
                    "Ctrl-C"
                } else {
                    "a key was pressed"
                });
                return;
            }
        });

        RawMode
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}
