//! Text in memory: UTF-16LE, UTF-8 or the ANSI code page, up to a NUL.

use crate::platform;
use clap::ValueEnum;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// UTF-16LE, the TCHAR of a Unicode program.
    Utf16,
    /// UTF-8.
    Utf8,
    /// The code page of an ANSI program: this system's on Windows, else 1252.
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

/// The bytes of a text with its final NUL; `None` where the ANSI code page lacks
/// a character of it.
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

/// Where the text ends: the offset of its NUL, `None` where there is none.
pub fn end(bytes: &[u8], encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::Utf16 => bytes
            .chunks_exact(2)
            .position(|unit| unit == [0, 0])
            .map(|n| n * 2),
        Encoding::Utf8 | Encoding::Ansi => bytes.iter().position(|byte| *byte == 0),
    }
}

/// The text in `bytes`, without a NUL; what cannot be read becomes U+FFFD.
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

/// The likeliest encoding of the text at the start of `bytes`, and why.
///
/// Every second byte of Latin text in UTF-16 is zero, so as bytes it ends after
/// one character. The scripts after Latin have a control character as every second
/// byte, and the others hardly ever make valid UTF-8 by accident.
pub fn guess(bytes: &[u8]) -> (Encoding, &'static str) {
    let narrow = &bytes[..end(bytes, Encoding::Utf8).unwrap_or(bytes.len())];
    let wide = &bytes[..end(bytes, Encoding::Utf16).unwrap_or(bytes.len() & !1)];
    if narrow.len() <= 1 && wide.len() > 2 || narrow.is_empty() && !wide.is_empty() {
        return (Encoding::Utf16, "a zero byte stands in the first character");
    }
    let utf8 = std::str::from_utf8(narrow);
    if utf8.is_ok_and(|text| readable(text.chars())) {
        let why = match narrow.is_ascii() {
            true => "the bytes up to the first zero are plain ASCII",
            false => "the bytes up to the first zero are valid UTF-8",
        };
        return (Encoding::Utf8, why);
    }
    let text: Result<String, _> = char::decode_utf16(units(wide)).collect();
    let ends_wide = wide.len() < bytes.len() & !1;
    if ends_wide && text.is_ok_and(|text| readable(text.chars())) {
        return (
            Encoding::Utf16,
            "it is no readable UTF-8, and readable as UTF-16",
        );
    }
    (
        Encoding::Ansi,
        "it is readable neither as UTF-8 nor as UTF-16",
    )
}

/// Mostly free of what texts seldom have: control characters, private and
/// unassigned ends.
fn readable(text: impl Iterator<Item = char>) -> bool {
    let (mut all, mut odd) = (0, 0);
    for c in text {
        all += 1;
        odd += usize::from(match c {
            '\t' | '\n' | '\r' => false,
            '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' => true,
            c => c.is_control(),
        });
    }
    odd * 3 <= all
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Utf16, Encoding::Utf8, Encoding::Ansi];

    #[test]
    fn what_is_written_is_read() {
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
    fn a_missing_nul_is_seen() {
        for encoding in ALL {
            assert_eq!(end(b"abcd", encoding), None);
        }
        assert_eq!(end(b"ab\0\0", Encoding::Utf16), Some(2));
        assert_eq!(end(b"a\0\0b", Encoding::Utf16), None);
    }

    /// Texts in a section of 256 bytes, the rest zero.
    #[test]
    fn guesses_are_right_for_real_texts() {
        let cases = [
            ("Message from first process.", Encoding::Utf16),
            ("Message from first process.", Encoding::Utf8),
            ("Grüße aus München", Encoding::Utf16),
            ("Grüße aus München", Encoding::Utf8),
            ("Grüße aus München", Encoding::Ansi),
            ("Привет, мир", Encoding::Utf16),
            ("Привет, мир", Encoding::Utf8),
            ("日本語のテキスト", Encoding::Utf16),
            ("日本語のテキスト", Encoding::Utf8),
            ("🦀🦀", Encoding::Utf16),
            ("🦀🦀", Encoding::Utf8),
            ("\x1b[31mred\x1b[0m", Encoding::Utf8),
            ("\x1b[31mred\x1b[0m", Encoding::Utf16),
            ("bell \x07, é, 🦀 and \u{9b}", Encoding::Utf8),
            ("Ελληνικά", Encoding::Utf16),
            ("Ā", Encoding::Utf16),
            ("一", Encoding::Utf16),
            ("OK", Encoding::Utf16),
            ("OK", Encoding::Utf8),
        ];
        for (text, encoding) in cases {
            let mut bytes = encode(text, encoding).unwrap();
            bytes.resize(256, 0);
            assert_eq!(guess(&bytes).0, encoding, "{text} as {encoding:?}");
        }
    }

    #[test]
    fn one_letter_and_nothing_read_alike_either_way() {
        for bytes in [&b"A\0\0\0"[..], b"\0\0\0\0", b"", b"\0"] {
            let (encoding, _) = guess(bytes);
            let end = end(bytes, encoding).unwrap_or(bytes.len());
            let text = decode(&bytes[..end], encoding);
            assert!(text == "A" || text.is_empty());
        }
    }
}
