//! A screen of our own: lines that are drawn where they changed, and the terminal as
//! it was when it is dropped.

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use std::io::{Stdout, Write, stdout};
use textwrap::core::display_width;

/// Columns and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    /// The bar above the rest.
    Bar,
    /// What changed a moment ago.
    Changed,
}

/// A line, in parts of one look each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Look, String)>);

impl Line {
    pub fn plain(text: impl Into<String>) -> Line {
        Line(vec![(Look::Plain, text.into())])
    }

    /// A bar of this width: what it is about, and beside it what helps; of that only
    /// the last part, or nothing, where there is no room for it.
    pub fn bar(about: &str, help: &str, width: usize) -> Line {
        let room = width.saturating_sub(display_width(about) + 2);
        let last = help.rsplit(", ").next().unwrap_or_default();
        let fits = |help: &&str| display_width(help) <= room;
        let help = [help, last].into_iter().find(fits).unwrap_or_default();
        let gap = width.saturating_sub(display_width(about) + display_width(help));
        let text = format!("{about}{}{help}", " ".repeat(gap));
        Line(vec![(Look::Bar, text)])
    }

    pub fn push(&mut self, look: Look, text: &str) {
        match self.0.last_mut() {
            Some((last, part)) if *last == look => part.push_str(text),
            _ => self.0.push((look, text.to_string())),
        }
    }

    /// What fits into so many columns.
    fn cut(self, width: usize) -> Line {
        let mut room = width;
        let mut line = Line::default();
        for (look, text) in self.0 {
            for c in text.chars() {
                let piece = c.encode_utf8(&mut [0; 4]).to_string();
                let Some(rest) = room.checked_sub(display_width(&piece)) else {
                    return line;
                };
                room = rest;
                line.push(look, &piece);
            }
        }
        line
    }
}

/// The alternate screen, in raw mode.
#[derive(Debug)]
pub struct Screen {
    out: Stdout,
    shown: Vec<Line>,
    size: Size,
    colour: bool,
}

impl Screen {
    pub fn enter() -> std::io::Result<Screen> {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // From here on it is left, whatever fails.
        let mut screen = Screen {
            out: stdout(),
            shown: Vec::new(),
            size: Size {
                width: 0,
                height: 0,
            },
            colour: !no_colour,
        };
        enable_raw_mode()?;
        execute!(screen.out, EnterAlternateScreen, DisableLineWrap, Hide)?;
        Ok(screen)
    }

    /// Its size now. A terminal that does not know its own is taken for a usual one.
    pub fn size() -> Size {
        match size() {
            Ok((width, height)) if width > 0 && height > 0 => Size {
                width: width.into(),
                height: height.into(),
            },
            _ => Size {
                width: 80,
                height: 24,
            },
        }
    }

    /// Shows these lines, as much of them as fits.
    pub fn show(&mut self, lines: Vec<Line>, size: Size) -> std::io::Result<()> {
        queue!(self.out, BeginSynchronizedUpdate)?;
        if size != self.size {
            queue!(self.out, Clear(ClearType::All))?;
            self.shown.clear();
            self.size = size;
        }
        let lines: Vec<Line> = lines.into_iter().map(|line| line.cut(size.width)).collect();
        let blank = Line::default();
        for row in 0..size.height.min(lines.len().max(self.shown.len())) {
            let line = lines.get(row).unwrap_or(&blank);
            if line != self.shown.get(row).unwrap_or(&blank) {
                let down = u16::try_from(row).unwrap_or(u16::MAX);
                queue!(self.out, MoveTo(0, down), Clear(ClearType::CurrentLine))?;
                self.print(line)?;
            }
        }
        self.shown = lines;
        queue!(self.out, EndSynchronizedUpdate)?;
        self.out.flush()
    }

    fn print(&mut self, line: &Line) -> std::io::Result<()> {
        for (look, text) in &line.0 {
            if *look != Look::Plain {
                queue!(self.out, SetAttribute(Attribute::Reverse))?;
            }
            if *look == Look::Changed && self.colour {
                let bold = SetAttribute(Attribute::Bold);
                queue!(self.out, bold, SetForegroundColor(Color::Yellow))?;
            }
            queue!(self.out, Print(text), SetAttribute(Attribute::Reset))?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = execute!(self.out, Show, EnableLineWrap, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_by_columns() {
        let mut line = Line::plain("ab");
        line.push(Look::Changed, "日本");
        let mut want = Line::plain("ab");
        assert_eq!(line.clone().cut(3), want);
        want.push(Look::Changed, "日");
        assert_eq!(line.clone().cut(5), want);
        assert_eq!(line.clone().cut(6), line);
    }

    #[test]
    fn a_bar_is_as_wide_as_the_screen() {
        for (width, want) in [(4, "Prices"), (12, "Prices      "), (14, "Prices  q ends")] {
            assert_eq!(
                Line::bar("Prices", "scroll, q ends", width),
                Line(vec![(Look::Bar, want.to_string())])
            );
        }
    }
}
