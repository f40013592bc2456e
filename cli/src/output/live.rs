//! Shows an object again and again: on a screen of its own, or line by line in a pipe.

use crate::output::screen::Screen;
use crate::{Failure, Outcome, output, platform};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use ratatui::layout::Size;
use ratatui::text::Line;
use shmkit::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// An object that is shown again and again. The view does not keep the object open between two
/// calls.
pub trait View {
    /// The time of one round.
    const EVERY: Duration;

    /// Begins the next round on a screen.
    fn look(&mut self) -> Outcome;

    /// Returns the lines for a screen of this size. Called again in the same round after the user
    /// has scrolled.
    fn draw(&mut self, size: Size) -> Result<Vec<Line<'static>>, Failure>;

    /// Scrolls the lines.
    fn scroll(&mut self, how: Scroll);

    /// Prints what is new. Without a screen, each round is one call of this function.
    fn print(&mut self) -> Outcome;

    /// Returns whether this was the last round: the view ends by itself.
    fn is_over(&self) -> bool {
        false
    }
}

/// A direction and a distance to scroll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scroll {
    Up,
    Down,
    PageUp,
    PageDown,
    Start,
    End,
}

impl Scroll {
    /// Returns the first line to show after the scroll, if there are `all` lines and the screen
    /// shows `page` lines.
    pub fn from(self, first: u64, all: u64, page: u64) -> u64 {
        let wanted = match self {
            Scroll::Up => first.saturating_sub(1),
            Scroll::Down => first.saturating_add(1),
            Scroll::PageUp => first.saturating_sub(page),
            Scroll::PageDown => first.saturating_add(page),
            Scroll::Start => 0,
            Scroll::End => all,
        };
        wanted.min(all.saturating_sub(page))
    }
}

/// Returns whether an error only says that the object does not exist at this moment.
pub fn is_absence(error: &shmkit::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Busy)
}

/// Returns the text to show while the object does not exist.
pub fn absence(name: &str, was_there: bool) -> String {
    let name = output::name(name);
    match was_there {
        true => format!("{name} is gone; waiting for it to come back"),
        false => format!("{name} is not there yet; waiting for it"),
    }
}

/// An input of the user at the terminal, or a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Scroll(Scroll),
    Resized,
    End,
}

/// Prints what is new in each round, until a signal comes or the view is over.
pub fn in_lines<V: View>(view: &mut V) -> Outcome {
    let (tell, told) = channel();
    end_by_signals(tell)?;
    loop {
        view.print()?;
        if view.is_over() {
            return Ok(());
        }
        if platform::reader_left() {
            return Err(Failure::ClosedPipe);
        }
        if told.recv_timeout(V::EVERY) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
    }
}

/// Redraws the screen in each round, until the user ends the program or the view is over.
pub fn on_screen<V: View>(view: &mut V) -> Outcome {
    let (tell, told) = channel();
    end_by_signals(tell.clone())?;
    let mut screen = Screen::enter()?;
    std::thread::spawn(move || watch_keys(&tell));

    loop {
        view.look()?;
        if view.is_over() {
            return Ok(());
        }

        let next = Instant::now() + V::EVERY;
        loop {
            let size = Screen::size();
            screen.show(view.draw(size)?, size)?;
            match until(&told, next) {
                Some(Input::End) => return Ok(()),
                Some(Input::Scroll(how)) => view.scroll(how),
                Some(Input::Resized) => {}
                None => break,
            }
        }
    }
}

/// Waits for the next input; returns `None` if there is none before `next`.
fn until(told: &Receiver<Input>, next: Instant) -> Option<Input> {
    let left = next.saturating_duration_since(Instant::now());
    match told.recv_timeout(left) {
        Ok(input) => Some(input),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Input::End),
    }
}

fn end_by_signals(tell: Sender<Input>) -> Outcome {
    let end = move |_| {
        // The receiver is gone if the program is already ending.
        let _ = tell.send(Input::End);
    };
    platform::on_end(end).map_err(Failure::Other)
}

fn watch_keys(tell: &Sender<Input>) {
    while let Ok(event) = read() {
        let heard = meaning(&event).is_none_or(|input| tell.send(input).is_ok());
        if !heard {
            return;
        }
    }
}

fn meaning(event: &Event) -> Option<Input> {
    let key = match event {
        Event::Resize(..) => return Some(Input::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };

    Some(match key.code {
        KeyCode::Char('q') => Input::End,
        // In raw mode, the terminal sends Ctrl-C as a key and not as a signal.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Input::End,
        KeyCode::Up => Input::Scroll(Scroll::Up),
        KeyCode::Down => Input::Scroll(Scroll::Down),
        KeyCode::PageUp => Input::Scroll(Scroll::PageUp),
        KeyCode::PageDown => Input::Scroll(Scroll::PageDown),
        KeyCode::Home => Input::Scroll(Scroll::Start),
        KeyCode::End => Input::Scroll(Scroll::End),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scroll_position_stays_within_content() {
        for (how, first, want) in [
            (Scroll::Up, 0, 0),
            (Scroll::Down, 0, 1),
            (Scroll::Down, 90, 90),
            (Scroll::PageDown, 85, 90),
            (Scroll::PageUp, 85, 75),
            (Scroll::End, 0, 90),
            (Scroll::Start, 90, 0),
        ] {
            assert_eq!(how.from(first, 100, 10), want, "{how:?}");
        }
        assert_eq!(Scroll::End.from(0, 5, 10), 0);
    }
}
