//! A screen of the program's own, which replaces the content of the terminal until it is dropped.
//! Only changed cells are drawn.

use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::io::{Stdout, stdout};

/// Returns the bar at the top of the screen. `about` is on the left, and `help` is on the right. If
/// there is no space for all of `help`, the bar has only its last part, or no help.
pub fn bar(about: &str, help: &str, width: u16) -> Line<'static> {
    let width = usize::from(width);
    let columns = |text: &str| Line::raw(text).width();
    let space = width.saturating_sub(columns(about) + 2);
    let last = help.rsplit(", ").next().unwrap_or_default();
    let fits = |help: &&str| columns(help) <= space;
    let help = [help, last].into_iter().find(fits).unwrap_or_default();
    let gap = width.saturating_sub(columns(about) + columns(help));
    Line::raw(format!("{about}{}{help}", " ".repeat(gap))).reversed()
}

/// Returns the style of bytes that have just changed.
pub fn changed() -> Style {
    let is_set = |value: std::ffi::OsString| !value.is_empty();
    match std::env::var_os("NO_COLOR").is_some_and(is_set) {
        true => Style::new().reversed(),
        false => Style::new().reversed().bold().yellow(),
    }
}

/// The alternate screen, in raw mode.
#[derive(Debug)]
pub struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    pub fn enter() -> std::io::Result<Screen> {
        let viewport = Viewport::Fixed(Rect::from(Screen::size()));
        let backend = CrosstermBackend::new(stdout());
        // From here on an error drops `screen`, which leaves the alternate screen.
        let screen = Screen(Terminal::with_options(
            backend,
            TerminalOptions { viewport },
        )?);
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Returns the current size of the terminal; 80 × 24 if the terminal does not report its size.
    pub fn size() -> Size {
        match size() {
            Ok((width, height)) if width > 0 && height > 0 => Size { width, height },
            _ => Size::new(80, 24),
        }
    }

    /// Shows these lines, as far as they fit on the screen.
    pub fn show(&mut self, lines: Vec<Line<'_>>, size: Size) -> std::io::Result<()> {
        if self.0.get_frame().area().as_size() != size {
            self.0.resize(Rect::from(size))?;
        }
        let text = Text::from(lines);
        // A terminal that knows synchronized updates shows all changes at once.
        queue!(stdout(), BeginSynchronizedUpdate)?;
        self.0
            .draw(|frame| frame.render_widget(text, frame.area()))?;
        execute!(stdout(), EndSynchronizedUpdate)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = self.0.show_cursor();
        let _ = execute!(stdout(), LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_bar_shows_help_that_fits() {
        for (width, want) in [(4, "Prices"), (12, "Prices      "), (14, "Prices  q ends")] {
            let bar = bar("Prices", "scroll, q ends", width);
            assert_eq!(bar.to_string(), want);
        }
    }
}
