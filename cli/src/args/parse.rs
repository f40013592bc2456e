//! Parsers for the numbers and types of the command line.

use shmkit::Layout;
use std::str::FromStr;
use std::time::Duration;

/// Bytes that are written in hexadecimal on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl FromStr for Hex {
    type Err = String;

    /// Reads two digits for each byte, with or without `0x` in front. Blanks do not count.
    fn from_str(text: &str) -> Result<Hex, String> {
        let text = text.strip_prefix("0x").unwrap_or(text);
        let digits: String = text.split_whitespace().collect();
        let bytes = hex::decode(digits);
        bytes
            .ok()
            .filter(|bytes| !bytes.is_empty())
            .map(Hex)
            .ok_or_else(|| "write two hexadecimal digits for each byte, such as 0f10ff".to_string())
    }
}

/// Reads a number of bytes: decimal, or hexadecimal with 0x. A decimal number can end with K, M, G
/// or T, which are powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.to_ascii_uppercase().strip_suffix(['K', 'M', 'G', 'T']) {
        Some(_) if text.starts_with("0x") => (text, 0),
        Some(digits) => {
            let unit = "KMGT".find(text.to_ascii_uppercase().chars().last().unwrap_or('K'));
            (&text[..digits.len()], 10 * (unit.unwrap_or(0) as u32 + 1))
        }
        None => (text, 0),
    };
    whole(digits)
        .and_then(|n| n.checked_mul(1 << shift))
        .ok_or_else(|| {
            "write a number of bytes below 2^64, such as 4096, 64K, 1M or 0x1000".to_string()
        })
}

/// Reads the size of a message of a benchmark, which has at least one byte.
pub fn size(text: &str) -> Result<u64, String> {
    match message(text)? {
        0 => Err("a message of the benchmark has at least one byte".to_string()),
        size => Ok(size),
    }
}

/// Reads the length of the longest message of a queue or a topic.
pub fn message(text: &str) -> Result<u64, String> {
    at_most(
        text,
        (1 << 30) - 64,
        "a message can have at most 1 GiB less 64 bytes",
    )
}

/// Reads the capacity of a queue or a topic.
pub fn capacity(text: &str) -> Result<u64, String> {
    at_most(text, 4 << 30, "a capacity can be at most 4 GiB")
}

/// Reads the length of the longest value.
pub fn value(text: &str) -> Result<u64, String> {
    at_most(text, 16 << 20, "a value can have at most 16 MiB")
}

/// Reads a number of bytes up to a limit of the library.
fn at_most(text: &str, most: u64, why: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes > most => Err(format!("{why} ({most})")),
        bytes => Ok(bytes),
    }
}

/// Reads a whole number of 32 bits: decimal, or hexadecimal with 0x.
pub fn u32(text: &str) -> Result<u32, String> {
    whole(text)
        .and_then(|n| n.try_into().ok())
        .ok_or_else(|| "write a whole number below 2^32, such as 42 or 0x2a".to_string())
}

/// Reads a whole number of 64 bits: decimal, or hexadecimal with 0x.
pub fn u64(text: &str) -> Result<u64, String> {
    whole(text).ok_or_else(|| "write a whole number below 2^64, such as 42 or 0x2a".to_string())
}

fn whole(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Reads a floating-point number of 4 bytes.
pub fn f32(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|n: &f32| n.is_finite() || !has_digits(text))
        .ok_or_else(|| "write a number below 3.4e38, such as 1.5 or -2e9, or inf".to_string())
}

/// Reads a floating-point number of 8 bytes.
pub fn f64(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|n: &f64| n.is_finite() || !has_digits(text))
        .ok_or_else(|| "write a number below 1.7e308, such as 1.5 or -2e9, or inf".to_string())
}

/// Returns whether the text has digits. A text with digits must not become an infinite number.
fn has_digits(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// Reads a number of seconds, which can have a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write a number of seconds, such as 20 or 0.5".to_string())
}

/// Reads a number of messages per second.
pub fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate > 0.0 && *rate <= 1e9)
        .ok_or_else(|| "write a number of messages per second, such as 1000 or 0.5".to_string())
}

/// Reads the layout of a message type.
pub fn layout(text: &str) -> Result<Layout, String> {
    Layout::parse(text).ok_or_else(|| {
        "write the text that show --json prints, such as '12;8;price:0:f64[1];volume:8:u32[1];'"
            .to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_argument_parses_with_optional_unit() {
        for (text, want) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("64K", Some(64 << 10)),
            ("1m", Some(1 << 20)),
            ("2G", Some(2 << 30)),
            ("5T", Some(5 << 40)),
            ("0x1000", Some(0x1000)),
            ("0xK", None),
            ("K", None),
            ("-1", None),
            ("", None),
            ("99999999999T", None),
            ("é", None),
        ] {
            assert_eq!(bytes(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn sizes_beyond_the_limit_are_refused() {
        for (parse, fits, beyond, why) in [
            (
                message as fn(&str) -> _,
                "1073741760",
                "1G",
                "1 GiB less 64 bytes (1073741760)",
            ),
            (capacity, "4G", "4294967297", "4 GiB (4294967296)"),
            (value, "16M", "16777217", "16 MiB (16777216)"),
        ] {
            assert!(parse(fits).is_ok(), "{fits}");
            let told: String = parse(beyond).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn seconds_argument_parses_fractions() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["-1", "x", "inf", "NaN", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_parse_decimal_hexadecimal_and_check_range() {
        assert_eq!(u32("0xffffffff"), Ok(u32::MAX));
        assert_eq!(u64("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["4294967296", "-1", "0x", "1.5", ""] {
            assert!(u32(wrong).is_err(), "{wrong}");
        }
        assert!(u64("18446744073709551616").is_err());
        assert_eq!((f32("-2.5"), f64("1e39")), (Ok(-2.5), Ok(1e39)));
        assert_eq!(f64("-inf"), Ok(f64::NEG_INFINITY));
        assert!(f32("1e39").is_err() && f64("1e309").is_err() && f64("").is_err());
    }

    #[test]
    fn rate_must_be_positive_and_finite() {
        assert_eq!((rate("0.5"), rate("1e6")), (Ok(0.5), Ok(1e6)));
        for wrong in ["0", "-1", "inf", "NaN", "x", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parsed_layout_displays_the_same_text() {
        let text = "12;8;price:0:f64[1];volume:8:u32[1];";
        assert_eq!(layout(text).unwrap().to_string(), text);
        assert!(layout("").is_err() && layout("price:f64").is_err());
    }

    #[test]
    fn hex_bytes_parse_as_digit_pairs() {
        assert_eq!("0aFF 00".parse(), Ok(Hex(vec![10, 255, 0])));
        assert_eq!("0xdead".parse(), Ok(Hex(vec![0xde, 0xad])));
        for wrong in ["", " ", "1", "0x", "gg"] {
            assert!(wrong.parse::<Hex>().is_err(), "{wrong}");
        }
    }
}
