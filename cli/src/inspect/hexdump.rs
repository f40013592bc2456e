//! Bytes in hexadecimal, row by row.

use std::io::Write;

/// The number of bytes in a row, if the screen is wide enough.
pub const ROW: usize = 16;

/// Calls `put` with the pieces of a row of up to `per` bytes, one after the other. A piece that
/// shows one byte comes with the index of this byte.
pub fn pieces(offset: u64, row: &[u8], per: usize, mut put: impl FnMut(Option<usize>, &str)) {
    const DIGITS: &str = "0123456789abcdef";
    put(None, &format!("{offset:08x} "));
    for (i, byte) in row.iter().enumerate() {
        put(None, if i == ROW / 2 { "  " } else { " " });
        for digit in [byte >> 4, byte & 15].map(usize::from) {
            put(Some(i), &DIGITS[digit..=digit]);
        }
    }

    put(None, &" ".repeat(cells(per) - cells(row.len())));
    put(None, "  |");
    for (i, byte) in row.iter().enumerate() {
        let shown = match byte {
            0x20..=0x7e => char::from(*byte),
            _ => '.',
        };
        put(Some(i), shown.encode_utf8(&mut [0; 4]));
    }

    put(None, "|");
}

/// Returns the number of columns that `bytes` bytes take in hexadecimal.
fn cells(bytes: usize) -> usize {
    bytes * 3 + usize::from(bytes > ROW / 2)
}

/// Returns the number of bytes in a row that fits into `width` columns, if the last offset is
/// `end`.
pub fn fitting(width: usize, end: u64) -> usize {
    let offset = format!("{end:08x} ").len();
    let fits = |per: &usize| offset + cells(*per) + 4 + per <= width;
    [ROW, 8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// Returns a row as text.
pub fn row(offset: u64, row: &[u8]) -> String {
    let mut text = String::new();
    pieces(offset, row, ROW, |_, piece| text.push_str(piece));
    text
}

/// Writes rows. A star stands for rows that repeat the row above them.
pub struct Rows<W> {
    out: W,
    last: Option<Vec<u8>>,
    starred: bool,
}

impl<W: Write> Rows<W> {
    pub fn new(out: W) -> Rows<W> {
        Rows {
            out,
            last: None,
            starred: false,
        }
    }

    /// Writes the rows of bytes that follow the bytes of the last call. Only the last call may end
    /// with a part of a row.
    pub fn add(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        for (i, bytes) in bytes.chunks(ROW).enumerate() {
            if self.last.as_deref() == Some(bytes) {
                if !self.starred {
                    writeln!(self.out, "*")?;
                }
                self.starred = true;
                continue;
            }
            self.starred = false;
            self.last = Some(bytes.to_vec());
            writeln!(self.out, "{}", row(offset + (i * ROW) as u64, bytes))?;
        }
        Ok(())
    }

    /// Writes the line behind the last row.
    pub fn end(mut self, offset: u64) -> std::io::Result<()> {
        writeln!(self.out, "{offset:08x}")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexdump_row_shows_offset_bytes_and_text() {
        assert_eq!(
            row(0x10, b"0123456789abcdef"),
            "00000010  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|"
        );
        assert_eq!(row(0, b"\0~").len(), "00000000 ".len() + 49 + 2 + 4);
    }

    #[test]
    fn narrow_screens_get_shorter_rows() {
        for (width, end, per) in [
            (200, 0, 16),
            (78, 0, 16),
            (77, 0, 8),
            (78, 1 << 32, 8),
            (21, 0, 2),
            (1, 0, 1),
        ] {
            assert_eq!(fitting(width, end), per, "{width}");
            let mut columns = 0;
            pieces(end, &vec![0; per], per, |_, piece| columns += piece.len());
            assert!(columns <= width || per == 1, "{columns} of {width}");
        }
    }
}
