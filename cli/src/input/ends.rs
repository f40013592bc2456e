//! Reasons to end: a signal, a key, or the time; and waits that end with them.

use crate::platform::{self, Latch};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use shmkit::{OwnedObject, WaitHandle, WaitSet, Waitable};
use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ends a wait: a signal, a key, or the time.
#[derive(Debug)]
pub struct Ends {
    over: Arc<Over>,
    /// Becomes ready when there is a reason.
    object: OwnedObject,
    /// Whether a key ends the wait: only one pressed on a terminal. Neither the
    /// end of a pipe nor its bytes do, so a server can run without a terminal.
    keys: bool,
    /// How long it may take, and until when that is; a limit too far away to be computed
    /// is none.
    limit: Option<Duration>,
    until: Option<Instant>,
}

/// Whether it is over, for all threads.
struct Over {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    reason: Option<&'static str>,
    /// Dropped when there is a reason.
    latch: Option<Latch>,
    /// Called when there is a reason.
    calls: Vec<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Over {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Over").field(&self.state().reason).finish()
    }
}

impl Over {
    /// The state is never left half-updated, so that a lock is poisoned is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first reason counts.
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
    /// There is a reason to end, which [`Ends::now`] tells.
    Over,
    /// The process that read standard output has gone.
    ReaderLeft,
}

/// Waits of one thread that end when there is a reason to end.
pub struct Waits {
    set: WaitSet,
    over: WaitHandle,
    until: Option<Instant>,
    output: Option<WaitHandle>,
}

impl Waits {
    /// Whether the time is up.
    pub fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Waits for a source, at most until this time where there is one.
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
    /// From now on signals end the wait and not the program, which so gets to
    /// clean up.
    pub fn watch(limit: Option<Duration>) -> Result<Ends, String> {
        let ends = Ends::new(limit)?;
        let over = Arc::clone(&ends.over);
        platform::on_end(move |why| over.end(why))?;
        Ok(ends)
    }

    /// Without signals.
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

    /// Gives all waits this reason to end.
    pub fn end(&self, reason: &'static str) {
        self.over.end(reason);
    }

    /// The reason to end, if there is one.
    pub fn now(&self) -> Option<&'static str> {
        self.within(Duration::ZERO)
    }

    /// When the time is up.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Waits of a thread that ends for the reasons of this.
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

    /// The same of a thread whose work is over when the process that reads standard output has gone.
    pub fn waits_of_printer(&self) -> Result<Waits, String> {
        let mut waits = self.waits()?;
        waits.output = platform::reader_of_output().map(WaitHandle::new);
        Ok(waits)
    }

    /// Calls this when there is a reason to end other than the time; at once where there is one.
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

    /// How it will end, in words.
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

    /// Waits, and says why it ended.
    pub fn wait(self) -> &'static str {
        let _keys = self.keys();
        loop {
            if let Some(reason) = self.within(FAR) {
                return reason;
            }
        }
    }

    /// Waits for this long at most, and says why it ended, if it did.
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

    /// From now on until it is dropped, a key ends it too, where there are any.
    pub fn keys(&self) -> Option<RawMode> {
        self.keys.then(|| RawMode::enter(Arc::clone(&self.over)))
    }
}

/// A hundred years.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Single keys instead of lines, until it is dropped.
#[derive(Debug)]
pub struct RawMode;

impl RawMode {
    fn enter(over: Arc<Over>) -> RawMode {
        // Without raw mode a key needs Enter behind it; that will do.
        let _ = enable_raw_mode();
        std::thread::spawn(move || {
            while let Ok(event) = read() {
                let Event::Key(key) = event else { continue };
                if key.kind != KeyEventKind::Press {
                    continue;
                }
                // Without its terminal's help, Ctrl-C is a key like any other.
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
