//! `dump --watch`: shows the bytes of a section as they change.

use crate::args::Dump;
use crate::inspect::hexdump::{self, ROW, Rows};
use crate::names::open;
use crate::output::live::{self, Scroll, View};
use crate::output::screen;
use crate::{Failure, Outcome, output};
use ratatui::layout::Size;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use shmkit::{ErrorKind, Section};
use std::io::{BufWriter, IsTerminal, Write};
use std::ops::Range;
use std::time::Duration;

/// The number of bytes that can be compared without a screen. A screen shows only a part of the
/// bytes.
const MOST: u64 = 64 << 20;

pub fn run(args: &Dump) -> Outcome {
    if args.length == Some(0) {
        return Err(Failure::other("a --length of 0 leaves nothing to watch"));
    }

    let mut watch = Watch {
        args,
        was_there: false,
        first: 0,
        rows: 0,
        page: 0,
        per: ROW,
        before: Bytes::default(),
        shown: Bytes::default(),
        printed: None,
    };

    match std::io::stdout().is_terminal() {
        true => live::on_screen(&mut watch),
        false => live::in_lines(&mut watch),
    }
}

/// A copy of bytes of the section, with the offset of the first byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bytes {
    start: u64,
    bytes: Vec<u8>,
}

impl Bytes {
    fn at(&self, offset: u64) -> Option<u8> {
        let n = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(n).copied()
    }
}

struct Watch<'a> {
    args: &'a Dump,
    was_there: bool,
    /// The first row on the screen, the number of all rows, the number of rows on the screen, and
    /// the bytes of a row.
    first: u64,
    rows: u64,
    page: u64,
    per: usize,
    /// The bytes on the screen in the last round, and in this round.
    before: Bytes,
    shown: Bytes,
    /// The bytes that were printed last without a screen; `None` before the first time.
    printed: Option<Bytes>,
}

impl Watch<'_> {
    /// Opens the section, copies the part of the requested range that `part` chooses, and closes
    /// the section. Returns `None` if the section does not exist, has no bytes yet, or has become
    /// shorter at this moment.
    fn copy(
        &mut self,
        part: impl FnOnce(&Range<u64>) -> Result<Range<u64>, Failure>,
    ) -> Result<Option<(Range<u64>, Bytes)>, Failure> {
        let section = match Section::open(&self.args.name) {
            Ok(section) => section,
            Err(error) if live::is_absence(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };

        let size = section.len()?;
        if size == 0 {
            return Ok(None);
        }
        self.was_there = true;

        let range = open::range(self.args, size)?;
        let part = part(&range)?;
        let mut bytes = vec![0; (part.end - part.start) as usize];
        match section.read_at(part.start, &mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::OutOfBounds => return Ok(None),
            Err(error) => return Err(error.into()),
        }

        let start = part.start;
        Ok(Some((range, Bytes { start, bytes })))
    }

    fn row(&self, offset: u64, bytes: &[u8]) -> Line<'static> {
        let style = screen::changed();
        let mut line = Line::default();
        hexdump::pieces(offset, bytes, self.per, |of, piece| {
            let changed = of.is_some_and(|i| {
                let before = self.before.at(offset + i as u64);
                before.is_some_and(|before| before != bytes[i])
            });
            let style = if changed { style } else { Style::new() };
            line.push_span(Span::styled(piece.to_string(), style));
        });
        line
    }

    fn print_all(&self, all: &Bytes) -> std::io::Result<()> {
        let mut rows = Rows::new(BufWriter::new(std::io::stdout().lock()));
        rows.add(all.start, &all.bytes)?;
        rows.end(all.start + all.bytes.len() as u64)
    }

    fn print_changed(&self, all: &Bytes, before: &Bytes) -> std::io::Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let rows = all.bytes.chunks(ROW).zip(before.bytes.chunks(ROW));
        for (n, (row, _)) in rows.enumerate().filter(|(_, (row, old))| row != old) {
            let offset = all.start + (n * ROW) as u64;
            writeln!(out, "{}", hexdump::row(offset, row))?;
        }
        out.flush()
    }
}

impl View for Watch<'_> {
    const EVERY: Duration = Duration::from_millis(250);

    fn look(&mut self) -> Outcome {
        self.before = std::mem::take(&mut self.shown);
        Ok(())
    }

    fn draw(&mut self, size: Size) -> Result<Vec<Line<'static>>, Failure> {
        let page = u64::from(size.height).saturating_sub(1).max(1);
        let (first, old_per) = (self.first, self.per as u64);
        let (mut per, mut rows) = (ROW as u64, 0);

        let copied = self.copy(|range| {
            let len = range.end - range.start;
            per = hexdump::fitting(size.width.into(), range.end) as u64;
            rows = len.div_ceil(per);
            // The same bytes stay at the top when the width of the rows changes.
            let first = (first * old_per / per).min(rows.saturating_sub(page));
            let from = range.start + first * per;
            Ok(from..range.end.min(from + page * per))
        })?;

        (self.page, self.rows, self.per) = (page, rows, per as usize);
        let name = output::name(&self.args.name);
        let (about, lines) = match copied {
            Some((range, bytes)) => {
                self.first = (bytes.start - range.start) / per;
                self.shown = bytes;
                let rows = self.shown.bytes.chunks(self.per).enumerate();
                let offset = |n: usize| self.shown.start + n as u64 * per;
                let lines = rows.map(|(n, row)| self.row(offset(n), row)).collect();
                let len = output::bytes(range.end - range.start);
                (format!("{name}, {len}"), lines)
            }
            None => {
                self.shown = Bytes::default();
                let absence = live::absence(&self.args.name, self.was_there);
                (name, vec![Line::raw(absence)])
            }
        };

        let help = match self.rows > self.page {
            true => "arrows and pages scroll, q ends",
            false => "q ends",
        };
        let bar = screen::bar(&about, help, size.width);
        Ok(match size.height {
            1 => lines,
            _ => [vec![bar], lines].concat(),
        })
    }

    fn scroll(&mut self, how: Scroll) {
        self.first = how.from(self.first, self.rows, self.page);
    }

    fn print(&mut self) -> Outcome {
        let copied = self.copy(|range| {
            if range.end - range.start > MOST {
                return Err(Failure::Other(format!(
                    "without a terminal, --watch compares at most {}\n  give a part with --offset and --length",
                    output::bytes(MOST)
                )));
            }
            Ok(range.clone())
        })?;

        let now = copied.map_or(Bytes::default(), |(_, bytes)| bytes);
        match &self.printed {
            Some(before) if *before == now => return Ok(()),
            Some(before) if before.bytes.len() == now.bytes.len() => {
                self.print_changed(&now, before)?;
            }
            _ if now.bytes.is_empty() => {
                output::line(&live::absence(&self.args.name, self.was_there))?;
            }
            _ => self.print_all(&now)?,
        }

        self.printed = Some(now);
        Ok(())
    }
}
