//! Loads the texts and files that are written into sections.

use crate::Failure;
use crate::text::{self, Encoding};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Returns the bytes of a text with its final NUL.
pub fn of_text(text: &str, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    text::encode(text, encoding).ok_or_else(|| {
        Failure::other(
            "the ANSI code page lacks a character of the text; use --encoding utf16 or utf8",
        )
    })
}

/// Returns the bytes of a file. With a size, reads at most one byte more than this size, since the
/// bytes of a device may never end.
pub fn of_file(path: &Path, size: Option<u64>) -> Result<Vec<u8>, Failure> {
    load(path, size).map_err(|error| {
        let why = format!("cannot load {}: {error}", path.display());
        match error.kind() {
            ErrorKind::NotFound => Failure::Absent(why),
            _ => Failure::Other(why),
        }
    })
}

fn load(path: &Path, size: Option<u64>) -> std::io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut content = Vec::new();
        let most = size.map_or(u64::MAX, |size| size.saturating_add(1));
        std::io::stdin().take(most).read_to_end(&mut content)?;
        return Ok(content);
    }

    let file = File::open(path)?;
    let mut content = Vec::new();
    match size {
        Some(size) => file
            .take(size.saturating_add(1))
            .read_to_end(&mut content)?,
        None if !file.metadata()?.is_file() => {
            return Err(std::io::Error::other(
                "it is not a regular file; give the size with --size",
            ));
        }
        None => (&file).read_to_end(&mut content)?,
    };

    if content.is_empty() && size.is_none() {
        return Err(std::io::Error::other(
            "it is empty; give the size of the section with --size",
        ));
    }
    Ok(content)
}
