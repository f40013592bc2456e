//! Measured numbers as text: three digits, and the unit.

/// Returns a time in nanoseconds as text.
pub fn time(nanos: f64) -> String {
    scaled(nanos, [" ns", " µs", " ms", " s"])
}

/// Returns a number per second as text.
pub fn rate(count: f64) -> String {
    scaled(count, ["", " k", " M", " G"])
}

/// Returns a number of bytes as text, exactly.
pub fn size(bytes: u64) -> String {
    let (mut count, mut unit) = (bytes, "B");
    for next in ["KiB", "MiB", "GiB"] {
        if count % 1024 != 0 {
            break;
        }
        (count, unit) = (count / 1024, next);
    }
    format!("{count} {unit}")
}

/// Returns a number without a unit as text.
pub fn plain(value: f64) -> String {
    let decimals = match value {
        ..0.00995 => 4,
        ..0.9995 => 3,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// Returns a power of ten as text. Its computation may have left an error in the last digits.
#[cfg(feature = "plots")]
pub fn power(value: f64) -> String {
    format!("{}", (value * 1e9).round() / 1e9)
}

/// Returns a value in the largest unit in which it is at least 1. A whole number has no decimals.
fn scaled(value: f64, units: [&str; 4]) -> String {
    let (mut value, mut units) = (value, units.iter());
    let mut unit = units.next();
    // A value that would be rounded up to 1000 belongs to the next unit.
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1e3, Some(next));
    }
    let number = match value.fract() {
        0.0 => format!("{value}"),
        _ => plain(value),
    };
    format!("{number}{}", unit.unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "plots")]
    #[test]
    fn powers_of_ten_have_few_digits() {
        let all = [
            0.000010000000000000006,
            0.10000000000000007,
            1.0,
            99.99999999999999,
        ];
        assert_eq!(all.map(power), ["0.00001", "0.1", "1", "100"]);
    }

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (nanos, want) in [
            (95.0, "95 ns"),
            (999.6, "1.00 µs"),
            (1234.0, "1.23 µs"),
            (56_780.0, "56.8 µs"),
            (999_900.0, "1.00 ms"),
            (12_300_000_000.0, "12.3 s"),
            (9e12, "9000 s"),
        ] {
            assert_eq!(time(nanos), want);
        }
        assert_eq!(
            (rate(812.3), rate(95_200_000.0)),
            ("812".into(), "95.2 M".into())
        );
        assert_eq!(
            (size(64), size(65536), size(1536)),
            ("64 B".into(), "64 KiB".into(), "1536 B".into())
        );
        assert_eq!(
            (plain(0.0003), plain(0.0123), plain(9.999), plain(99.96)),
            ("0.0003".into(), "0.012".into(), "10.0".into(), "100".into())
        );
    }
}
