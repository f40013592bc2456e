//! `dump`: prints the bytes of a section, or copies them to a file.

use crate::args::Dump;
use crate::inspect::dump_watch;
use crate::inspect::hexdump::Rows;
use crate::names::open;
use crate::{Failure, Outcome, output};
use serde_json::json;
use shmkit::Section;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

/// The number of bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

pub fn run(args: &Dump) -> Outcome {
    if args.watch {
        return dump_watch::run(args);
    }
    let section = open::section(&args.name)?;
    let Range { start, end } = open::range(args, section.len()?)?;
    let len = end - start;
    match &args.out {
        Some(path) if path == Path::new("-") => {
            let mut out = std::io::stdout().lock();
            each_chunk(&section, start, len, |_, bytes| Ok(out.write_all(bytes)?))
        }
        Some(path) => to_file(&section, start, len, path),
        None if args.json => as_json(args, &section, len),
        None => as_rows(&section, start, len),
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

/// Copies the bytes to a file in the way of `cp`: follows links, and writes into devices.
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

/// Prints the bytes as JSON, chunk by chunk, since all digits may not fit into memory.
fn as_json(args: &Dump, section: &Section, len: u64) -> Outcome {
    let head = output::json_text(&json!({
        "name": args.name,
        "offset": args.offset,
        "length": len,
    }));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    write!(out, "{},\"hex\":\"", head.trim_end_matches('}'))?;
    each_chunk(section, args.offset, len, |_, bytes| {
        Ok(out.write_all(hex::encode(bytes).as_bytes())?)
    })?;
    writeln!(out, "\"}}")?;
    out.flush()?;
    Ok(())
}

/// Prints the bytes in rows of 16 bytes.
fn as_rows(section: &Section, start: u64, len: u64) -> Outcome {
    let mut rows = Rows::new(std::io::BufWriter::new(std::io::stdout().lock()));
    each_chunk(section, start, len, |offset, bytes| {
        Ok(rows.add(offset, bytes)?)
    })?;
    Ok(rows.end(start + len)?)
}
