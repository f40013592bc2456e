//! Holding on until somebody says it is enough.

use crate::platform;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Ends a wait: a signal, a key, or the time.
#[derive(Debug)]
pub struct Ends {
    reasons: Receiver<&'static str>,
    tell: Sender<&'static str>,
    /// Whether a key ends the wait: only one pressed on a terminal. Neither the
    /// end of a pipe nor its bytes do, so a server can run without a terminal.
    keys: bool,
    /// How long it may take, and until when that is; a limit too far away to be computed
    /// is none.
    limit: Option<Duration>,
    until: Option<Instant>,
}

impl Ends {
    /// From now on signals end the wait and not the program, which so gets to
    /// clean up.
    pub fn watch(limit: Option<Duration>) -> Result<Ends, String> {
        let (tell, reasons) = channel();
        let end = tell.clone();
        platform::on_end(move |why| {
            // Nobody listens any more when the wait is over.
            let _ = end.send(why);
        })?;
        Ok(Ends {
            reasons,
            tell,
            keys: std::io::stdin().is_terminal() && platform::in_foreground(),
            limit,
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
        })
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
        match self
            .reasons
            .recv_timeout(left.map_or(time, |l| l.min(time)))
        {
            Ok(reason) => Some(reason),
            Err(RecvTimeoutError::Timeout) => left
                .is_some_and(|left| left <= time)
                .then_some("the time is up"),
            Err(RecvTimeoutError::Disconnected) => Some("nobody is left to end it"),
        }
    }

    /// From now on until it is dropped, a key ends it too, where there are any.
    pub fn keys(&self) -> Option<RawMode> {
        self.keys.then(|| RawMode::enter(self.tell.clone()))
    }
}

/// A hundred years.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Single keys instead of lines, until it is dropped.
#[derive(Debug)]
pub struct RawMode;

impl RawMode {
    fn enter(tell: Sender<&'static str>) -> RawMode {
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
                let _ = tell.send(if interrupt {
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
