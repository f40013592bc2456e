//! Holding on until somebody says it is enough.

use crate::platform;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Ends a wait: a signal, a key, or the time.
#[derive(Debug)]
pub struct Ends {
    reasons: Receiver<&'static str>,
    tell: Sender<&'static str>,
    /// Whether a key ends the wait: only one pressed on a terminal. Neither the
    /// end of a pipe nor its bytes do, so a server can run without a terminal.
    keys: bool,
}

impl Ends {
    /// From now on signals end the wait and not the program, which so gets to
    /// clean up.
    pub fn watch() -> Result<Ends, String> {
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
        })
    }

    /// How it will end, in words.
    pub fn how(&self, limit: Option<Duration>) -> String {
        match (limit, self.keys) {
            (Some(time), true) => {
                format!("for {} s, or until a key is pressed", time.as_secs_f64())
            }
            (Some(time), false) => format!("for {} s", time.as_secs_f64()),
            (None, true) => "until a key is pressed".to_string(),
            (None, false) => "until Ctrl-C or SIGTERM".to_string(),
        }
    }

    /// Waits, and says why it ended.
    pub fn wait(self, limit: Option<Duration>) -> &'static str {
        let _raw = self.keys.then(|| RawMode::enter(self.tell.clone()));
        let reason = match limit {
            // A limit too far away to be computed is none.
            Some(limit) => match self.reasons.recv_timeout(limit.min(FAR)) {
                Err(RecvTimeoutError::Timeout) => return "the time is up",
                reason => reason.ok(),
            },
            None => self.reasons.recv().ok(),
        };
        reason.unwrap_or("nobody is left to end it")
    }
}

/// A hundred years.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Single keys instead of lines, until it is dropped.
struct RawMode;

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
