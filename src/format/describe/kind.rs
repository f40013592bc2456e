//! The kinds of values of which a field consists.

use std::fmt;

/// The kind of a number. All numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the variants have the names of Rust's own types"
)]
pub enum NumberKind {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl NumberKind {
    pub(super) const ALL: [NumberKind; 10] = [
        NumberKind::U8,
        NumberKind::U16,
        NumberKind::U32,
        NumberKind::U64,
        NumberKind::I8,
        NumberKind::I16,
        NumberKind::I32,
        NumberKind::I64,
        NumberKind::F32,
        NumberKind::F64,
    ];

    /// Returns the size of a number of this kind, in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            NumberKind::U8 | NumberKind::I8 => 1,
            NumberKind::U16 | NumberKind::I16 => 2,
            NumberKind::U32 | NumberKind::I32 | NumberKind::F32 => 4,
            NumberKind::U64 | NumberKind::I64 | NumberKind::F64 => 8,
        }
    }

    /// Returns the name of the kind in Rust, for example `u8`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            NumberKind::U8 => "u8",
            NumberKind::U16 => "u16",
            NumberKind::U32 => "u32",
            NumberKind::U64 => "u64",
            NumberKind::I8 => "i8",
            NumberKind::I16 => "i16",
            NumberKind::I32 => "i32",
            NumberKind::I64 => "i64",
            NumberKind::F32 => "f32",
            NumberKind::F64 => "f64",
        }
    }

    /// Returns the least and the greatest whole number of this kind; `None` for a floating-point
    /// number.
    #[must_use]
    pub fn limits(self) -> Option<(i128, i128)> {
        let bits = 8 * self.size() as u32;
        match self {
            NumberKind::F32 | NumberKind::F64 => None,
            NumberKind::U8 | NumberKind::U16 | NumberKind::U32 | NumberKind::U64 => {
                Some((0, (1 << bits) - 1))
            }
            NumberKind::I8 | NumberKind::I16 | NumberKind::I32 | NumberKind::I64 => {
                Some((-1 << (bits - 1), (1 << (bits - 1)) - 1))
            }
        }
    }
}

/// Prints the name of the kind in Rust, for example `u8`.
impl fmt::Display for NumberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of the values of a [`Field`](crate::Field).
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number.
    Number(NumberKind),
    /// A byte that is 0 (false) or 1 (true).
    Bool,
    /// Bytes of a text in UTF-8. The count of the field is the length of the text in bytes; a
    /// shorter text ends at the first byte that is 0.
    Utf8,
    /// Units of a text in UTF-16. The count of the field is the length of the text in units of 2
    /// bytes; a shorter text ends at the first unit that is 0.
    Utf16,
    /// A whole number that stands for one of several names. The type may have numbers without a
    /// name.
    Enum(NumberKind, Vec<EnumValue>),
}

/// A name of an enum and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// The name: ASCII letters, digits and underscores.
    pub name: String,
    /// The number, which fits the kind of the enum.
    pub number: i128,
}

impl FieldKind {
    /// Returns the size of one value, byte or unit of this kind, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            FieldKind::Number(number) | FieldKind::Enum(number, _) => number.size(),
            FieldKind::Bool | FieldKind::Utf8 => 1,
            FieldKind::Utf16 => 2,
        }
    }

    /// Returns whether the field is a text, and its count is the length of the text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, FieldKind::Utf8 | FieldKind::Utf16)
    }

    /// Parses the text of a kind, as [`Display`](fmt::Display) writes it.
    // layout: L031 L248
    pub(super) fn parse(text: &str) -> Option<FieldKind> {
        let (name, values) = match text.split_once('{') {
            Some((name, values)) => (name, Some(values.strip_suffix('}')?)),
            None => (text, None),
        };
        let number = NumberKind::ALL.into_iter().find(|one| one.name() == name);
        match (name, number, values) {
            ("bool", _, None) => Some(FieldKind::Bool),
            ("utf8", _, None) => Some(FieldKind::Utf8),
            ("utf16", _, None) => Some(FieldKind::Utf16),
            (_, Some(number), None) => Some(FieldKind::Number(number)),
            (_, Some(number), Some(values)) => {
                Some(FieldKind::Enum(number, enum_values(number, values)?))
            }
            _ => None,
        }
    }
}

/// Parses the values of an enum: names with their numbers, in the order of the numbers.
// layout: L248
fn enum_values(kind: NumberKind, text: &str) -> Option<Vec<EnumValue>> {
    let (least, greatest) = kind.limits()?;
    let value = |text: &str| {
        let (name, number) = text.split_once('=')?;
        let number: i128 = number.parse().ok().filter(|n| format!("{n}") == number)?;
        let fits = is_identifier(name) && (least..=greatest).contains(&number);
        fits.then(|| EnumValue {
            name: name.to_string(),
            number,
        })
    };
    let values: Vec<EnumValue> = text.split(',').map(value).collect::<Option<_>>()?;
    let in_order = values
        .windows(2)
        .all(|pair| pair[0].number < pair[1].number);
    let mut names: Vec<&str> = values.iter().map(|value| &*value.name).collect();
    names.sort_unstable();
    names.dedup();
    (in_order && names.len() == values.len()).then_some(values)
}

/// Returns whether a text is an identifier of C: letters, digits and underscores, no digit first.
// layout: L036
pub(super) fn is_identifier(text: &str) -> bool {
    let digit_first = text.starts_with(|c: char| c.is_ascii_digit());
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && !digit_first && text.chars().all(fits)
}

/// Writes the kind as in the text of a layout, for example `f64` or `u8{Buy=0,Sell=1}`.
impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldKind::Number(number) => f.write_str(number.name()),
            FieldKind::Bool => f.write_str("bool"),
            FieldKind::Utf8 => f.write_str("utf8"),
            FieldKind::Utf16 => f.write_str("utf16"),
            FieldKind::Enum(number, values) => {
                let value = |one: &EnumValue| format!("{}={}", one.name, one.number);
                let values: Vec<String> = values.iter().map(value).collect();
                write!(f, "{}{{{}}}", number.name(), values.join(","))
            }
        }
    }
}
