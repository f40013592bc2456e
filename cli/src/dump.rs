//! `dump`: the bytes of a section.

use crate::args::Dump;
use crate::{Failure, Outcome, open, output};
use serde_json::json;
use shmkit::Section;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// How much is copied at a time.
const CHUNK: usize = 1 << 20;
const ROW: usize = 16;

pub fn run(args: &Dump) -> Outcome {
    let section = open::section(&args.name)?;
    let size = section.len()?;
    let Some(rest) = size.checked_sub(args.offset).filter(|rest| *rest > 0) else {
        return Err(Failure::Other(format!(
            "byte {} lies beyond a section of {size} bytes",
            args.offset
        )));
    };
    let len = args.length.unwrap_or(rest);
    if len > rest {
        return Err(Failure::Other(format!(
            "only {rest} bytes stand from {} on; leave --length out to get them all",
            args.offset
        )));
    }
    match &args.out {
        Some(path) if path == Path::new("-") => {
            let mut out = std::io::stdout().lock();
            each_chunk(&section, args.offset, len, |_, bytes| {
                Ok(out.write_all(bytes)?)
            })
        }
        Some(path) => to_file(&section, args.offset, len, path),
        None if args.json => as_json(args, &section, len),
        None => as_rows(&section, args.offset, len),
    }
}

fn each_chunk(
    section: &Section,
    start: u64,
    len: u64,
    mut use_it: impl FnMut(u64, &[u8]) -> Outcome,
) -> Outcome {
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(CHUNK as u64) as usize;
        section.read_at(start + done, &mut buffer[..n])?;
        use_it(start + done, &buffer[..n])?;
        done += n as u64;
    }
    Ok(())
}

/// Written as it comes, like by `cp`: through links, and into devices.
fn to_file(section: &Section, start: u64, len: u64, path: &Path) -> Outcome {
    let fail = |e: std::io::Error| Failure::Other(format!("cannot write {}: {e}", path.display()));
    let mut file = File::create(path).map_err(fail)?;
    each_chunk(section, start, len, |_, bytes| {
        file.write_all(bytes).map_err(fail)
    })?;
    output::remark(&format!(
        "wrote {} to {}",
        output::bytes(len),
        path.display()
    ));
    Ok(())
}

/// The digits are written as they come: they may be more than memory holds.
fn as_json(args: &Dump, section: &Section, len: u64) -> Outcome {
    let head = output::json_text(&json!({
        "name": args.name,
        "offset": args.offset,
        "length": len,
    }));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    write!(out, "{},\"hex\":\"", head.trim_end_matches('}'))?;
    each_chunk(section, args.offset, len, |_, bytes| {
        let digits: Vec<u8> = bytes.iter().flat_map(|byte| hex(*byte)).collect();
        Ok(out.write_all(&digits)?)
    })?;
    writeln!(out, "\"}}")?;
    out.flush()?;
    Ok(())
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)])
}

/// Rows of 16 bytes; a star stands for rows that repeat the one above it.
fn as_rows(section: &Section, start: u64, len: u64) -> Outcome {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut last: Option<Vec<u8>> = None;
    let mut starred = false;
    each_chunk(section, start, len, |offset, bytes| {
        for (i, row) in bytes.chunks(ROW).enumerate() {
            if last.as_deref() == Some(row) {
                if !starred {
                    writeln!(out, "*")?;
                }
                starred = true;
                continue;
            }
            starred = false;
            last = Some(row.to_vec());
            writeln!(out, "{}", hex_row(offset + (i * ROW) as u64, row))?;
        }
        Ok(())
    })?;
    writeln!(out, "{:08x}", start + len)?;
    out.flush()?;
    Ok(())
}

fn hex_row(offset: u64, row: &[u8]) -> String {
    let mut hex = String::new();
    for (i, byte) in row.iter().enumerate() {
        let gap = if i == ROW / 2 { "  " } else { " " };
        let _ = write!(hex, "{gap}{byte:02x}");
    }
    let text: String = row
        .iter()
        .map(|byte| match byte {
            0x20..=0x7e => char::from(*byte),
            _ => '.',
        })
        .collect();
    format!("{offset:08x} {hex:<49}  |{text}|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_look_like_hexdump() {
        assert_eq!(
            hex_row(0x10, b"0123456789abcdef"),
            "00000010  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|"
        );
        assert_eq!(hex_row(0, b"\0~").len(), "00000000 ".len() + 49 + 2 + 4);
    }
}
