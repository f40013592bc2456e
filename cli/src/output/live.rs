//! Looking again and again: on a screen of its own, or line by line into a pipe.

use crate::output::screen::Screen;
use crate::{Failure, Outcome, output, platform};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use ratatui::layout::Size;
use ratatui::text::Line;
use shmkit::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// What is looked at. Nothing of it is held between two calls.
pub trait View {
    /// How often to look.
    const EVERY: Duration;

    /// Begins the next round.
    fn look(&mut self) -> Outcome;

    /// The lines for a screen of this size; called again in the same round when it was
    /// scrolled.
    fn draw(&mut self, size: Size) -> Result<Vec<Line<'static>>, Failure>;

    fn scroll(&mut self, how: Scroll);

    /// Instead of all that: prints what is new.
    fn print(&mut self) -> Outcome;

    /// Whether this was the last round, and it ends by itself.
    fn is_over(&self) -> bool {
        false
    }
}

/// Which way to go.
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
    /// The first line to show after it, of `all` lines, on a screen that shows `page`.
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

/// Whether an error says no more than that nothing is there at this moment.
pub fn is_absence(error: &shmkit::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Busy)
}

/// What to say while nothing is there.
pub fn absence(name: &str, was_there: bool) -> String {
    let name = output::name(name);
    match was_there {
        true => format!("{name} is gone; waiting for it to come back"),
        false => format!("{name} is not there yet; waiting for it"),
    }
}

/// What happens at the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Scroll(Scroll),
    Resized,
    End,
}

/// Looks until somebody says it is enough, and prints what is new each time.
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

/// Looks until somebody says it is enough, and redraws the screen each time.
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

/// What happens first; `None` where nothing does in time.
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
        // Nobody listens any more when the end has begun.
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
        // Without its terminal's help, Ctrl-C is a key like any other.
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
    fn scrolling_stays_inside() {
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
