//! Text in memory: UTF-16LE, UTF-8 or the ANSI code page, up to a NUL.

mod guess;
mod plausible;

use crate::platform;
use clap::ValueEnum;

/// The encoding of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// UTF-16LE, the TCHAR of a Unicode program.
    Utf16,
    /// UTF-8.
    Utf8,
    /// The code page of an ANSI program: on Windows the code page of the system, otherwise 1252.
    Ansi,
}

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf16 => "utf16",
            Encoding::Utf8 => "utf8",
            Encoding::Ansi => "ansi",
        }
    }
}

/// Returns the bytes of a text with its final NUL; `None` if the ANSI code page lacks a character
/// of the text.
pub fn encode(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Utf16 => Some(
            text.encode_utf16()
                .chain([0])
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        Encoding::Utf8 => Some([text.as_bytes(), &[0]].concat()),
        Encoding::Ansi => {
            let (bytes, _, lossy) = platform::ansi().encode(text);
            (!lossy).then(|| [&*bytes, &[0]].concat())
        }
    }
}

/// Returns the offset of the NUL at the end of the text; `None` if there is no NUL.
pub fn end(bytes: &[u8], encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::Utf16 => bytes
            .chunks_exact(2)
            .position(|unit| unit == [0, 0])
            .map(|n| n * 2),
        Encoding::Utf8 | Encoding::Ansi => bytes.iter().position(|byte| *byte == 0),
    }
}

/// Returns the text in `bytes`, which contain no NUL. Invalid bytes become U+FFFD.
pub fn decode(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Utf16 => {
            let units: Vec<u16> = units(bytes).collect();
            String::from_utf16_lossy(&units)
        }
        Encoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
        Encoding::Ansi => {
            let (text, _) = platform::ansi().decode_without_bom_handling(bytes);
            text.into_owned()
        }
    }
}

fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
}

/// Returns the likeliest encoding of the text at the start of `bytes`, and the reason.
pub fn guess(bytes: &[u8]) -> (Encoding, &'static str) {
    guess::guess(bytes, platform::ansi())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Utf16, Encoding::Utf8, Encoding::Ansi];

    #[test]
    fn text_round_trips_in_every_encoding() {
        for encoding in ALL {
            for text in ["Message from first process.", "", "x", "é ü"] {
                let mut bytes = encode(text, encoding).unwrap();
                bytes.extend([7; 10]);
                let end = end(&bytes, encoding).unwrap();
                assert_eq!(decode(&bytes[..end], encoding), text, "{encoding:?}");
            }
        }
        assert_eq!(encode("日本", Encoding::Ansi), None);
    }

    #[test]
    fn missing_nul_terminator_is_detected() {
        for encoding in ALL {
            assert_eq!(end(b"abcd", encoding), None);
        }
        assert_eq!(end(b"ab\0\0", Encoding::Utf16), Some(2));
        assert_eq!(end(b"a\0\0b", Encoding::Utf16), None);
    }
}
