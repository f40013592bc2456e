//! `write`: writes a number, bytes, a text or a file into a section that exists.

use crate::args::{Write, Written};
use crate::input::content;
use crate::names::open;
use crate::names::open::Sought;
use crate::text::Encoding;
use crate::{Failure, Outcome, output};
use shmkit::{Mapping, ReadWrite, Section};
use std::sync::atomic::Ordering;

/// The value to write.
enum Value {
    Word(u32),
    Long(u64),
    Bytes(Vec<u8>),
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        match self {
            Value::Word(word) => word.to_le_bytes().to_vec(),
            Value::Long(long) => long.to_le_bytes().to_vec(),
            Value::Bytes(bytes) => bytes,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Value::Word(_) => 4,
            Value::Long(_) => 8,
            Value::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

pub fn run(args: &Write) -> Outcome {
    let section = Section::open_rw(&args.name)
        .map_err(|error| open::explain(&args.name, Sought::Section, error))?;
    let size = section.len()?;
    let room = size.saturating_sub(args.offset);

    let value = value(&args.what, args.encoding, room)?;
    let len = value.len();
    if len == 0 {
        return Err(Failure::other(
            "there is nothing to write: the file is empty",
        ));
    }

    if len > room {
        // Only one byte more than fits is read of a file, so the length of the file is not known.
        let what = match args.what.file {
            Some(_) => "the file does".to_string(),
            None => format!("{} do", output::bytes(len)),
        };
        return Err(Failure::Other(format!(
            "{what} not fit: the section of {size} bytes has {room} bytes from offset {} on\n  \
             use a smaller --offset, or write less",
            args.offset
        )));
    }

    let view = section.map_rw(args.offset..args.offset + len)?;
    store(&view, args.offset, value)?;
    let name = output::name(&args.name);
    let len = output::bytes(len);
    output::remark(&format!("wrote {len} at offset {} of {name}", args.offset));
    Ok(())
}

fn value(what: &Written, encoding: Option<Encoding>, room: u64) -> Result<Value, Failure> {
    if let Some(text) = &what.text {
        let encoding = encoding.unwrap_or(Encoding::Utf16);
        return content::of_text(text, encoding).map(Value::Bytes);
    }
    if let Some(file) = &what.file {
        return content::of_file(file, Some(room)).map(Value::Bytes);
    }
    let word = what.u32.or(what.f32.map(f32::to_bits)).map(Value::Word);
    let long = what.u64.or(what.f64.map(f64::to_bits)).map(Value::Long);
    let bytes = what.hex.clone().map(|hex| Value::Bytes(hex.0));
    word.or(long)
        .or(bytes)
        .ok_or_else(|| Failure::other("there is nothing to write"))
}

/// Writes to the start of `view`, which begins at `offset` of its section.
fn store(view: &Mapping<ReadWrite>, offset: u64, value: Value) -> shmkit::Result<()> {
    match value {
        // Release: pairs with the acquiring load of a reader that waits for this number, and then
        // reads what was written before it.
        Value::Word(word) if offset.is_multiple_of(4) => {
            view.atomic_u32(0)?.store(word.to_le(), Ordering::Release);
            return Ok(());
        }
        // Release: pairs with the same load.
        Value::Long(long) if offset.is_multiple_of(8) => {
            view.atomic_u64(0)?.store(long.to_le(), Ordering::Release);
            return Ok(());
        }
        Value::Word(_) | Value::Long(_) => {
            let len = value.len();
            output::remark(&format!(
                "offset {offset} is not a multiple of {len}: the number is copied, and a reader may see a part of it"
            ));
        }
        Value::Bytes(_) => {}
    }
    view.write(0, &value.bytes())
}
