//! Layouts as data: the layouts of types in this program, and layouts that another process wrote.

use super::Described;
use super::kind::FieldKind;
use super::text::{MAX_NAME, MAX_TEXT, Text};
use std::collections::BTreeSet;
use std::fmt;

/// One field of a [`Layout`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name: ASCII letters, digits and underscores. The name of a field of an inner struct
    /// begins with the name of the field that has the inner struct, and a dot.
    pub name: String,
    /// The offset of the field in the message, in bytes.
    pub offset: usize,
    /// The kind of the numbers in the field.
    pub kind: FieldKind,
    /// The number of numbers in the field: 1, or the length of an array.
    pub count: usize,
}

impl Field {
    /// Returns the range of bytes that the field takes in the message.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.count * self.kind.size()
    }

    fn place(&self) -> String {
        let (kind, count, offset) = (self.kind.name(), self.count, self.offset);
        format!("{kind}[{count}] at {offset}")
    }
}

/// The layout of the messages of one type: their size and their fields.
///
/// A layout prints as the canonical text that the owner of a name writes into shared memory; see
/// `docs/layout.md`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The size of a message, in bytes.
    pub size: usize,
    /// The size of the largest number in a message, in bytes. It is the same on all machines.
    pub align: usize,
    /// The fields of a message, in the order of their offsets.
    pub fields: Vec<Field>,
}

impl Layout {
    /// Returns the layout of a type.
    #[must_use]
    pub fn of<T: Described>() -> Layout {
        read(Text::of::<T>())
    }

    /// Parses the text of a layout, which may come from another process. Returns `None` if the text
    /// is not canonical, or if a field reaches beyond the size or overlaps another field.
    // layout: L031 L034 L035
    #[must_use]
    pub fn parse(text: &str) -> Option<Layout> {
        if text.len() > MAX_TEXT {
            return None;
        }

        let mut parts = text.strip_suffix(';')?.split(';');
        let size = number(parts.next()?)?;
        let align = number(parts.next()?)?;
        let fields = parts.map(field).collect::<Option<Vec<Field>>>()?;

        let mut names = BTreeSet::new();
        let mut end = 0;
        let mut largest = 0;
        for field in &fields {
            let range = field.range();
            if range.start < end || !names.insert(&field.name) {
                return None;
            }
            end = range.end;
            largest = largest.max(field.kind.size());
        }

        let sound = !fields.is_empty() && end <= size && align == largest;
        sound.then_some(Layout {
            size,
            align,
            fields,
        })
    }

    /// Returns the fingerprint of the layout: the 64-bit FNV-1a hash of its text.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.to_string())
    }

    /// Describes the first difference between this layout ("here") and the layout `there`. Returns
    /// `None` if the layouts are equal.
    #[must_use]
    pub fn difference(&self, there: &Layout) -> Option<String> {
        let len = self.fields.len().max(there.fields.len());
        let mut pairs = (0..len).map(|n| (self.fields.get(n), there.fields.get(n)));
        if let Some((ours, theirs)) = pairs.find(|(ours, theirs)| ours != theirs) {
            // An inserted or removed field also moves the fields behind it. The inserted or removed
            // field is the cause, so it takes precedence over the moved fields.
            let alone = |field: &&Field| {
                self.named(&field.name).is_none() || there.named(&field.name).is_none()
            };
            let other = |field: &&Field| self.named(&field.name) != there.named(&field.name);
            let both = || ours.into_iter().chain(theirs);
            let field = both().find(alone).or_else(|| both().find(other))?;
            let place = |field: Option<&Field>| field.map_or("missing".to_string(), Field::place);
            let [in_theirs, in_ours] = [there, self].map(|all| place(all.named(&field.name)));
            let name = &field.name;
            return Some(format!("{name} is {in_theirs} there and {in_ours} here"));
        }

        let sizes = format!("it has {} bytes there and {} here", there.size, self.size);
        (self.size != there.size).then_some(sizes)
    }

    fn named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{};", self.size, self.align)?;
        for field in &self.fields {
            let (name, offset) = (&field.name, field.offset);
            let (kind, count) = (field.kind.name(), field.count);
            write!(f, "{name}:{offset}:{kind}[{count}];")?;
        }
        Ok(())
    }
}

/// Parses a text that this program wrote.
fn read(text: &Text) -> Layout {
    Layout::parse(text.as_str()).expect("a text of this program is canonical")
}

/// Returns the 64-bit FNV-1a hash of a text.
// layout: L039 L043
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

// layout: L031 L035
fn field(text: &str) -> Option<Field> {
    let mut parts = text.split(':');
    let [name, offset, what] = [parts.next()?, parts.next()?, parts.next()?];
    if parts.next().is_some() || !is_name(name) {
        return None;
    }

    let (kind, count) = what.strip_suffix(']')?.split_once('[')?;
    let kind = FieldKind::ALL.into_iter().find(|one| one.name() == kind)?;
    let field = Field {
        name: name.to_string(),
        offset: number(offset)?,
        kind,
        count: number(count)?,
    };

    let end = field.offset as u64 + field.count as u64 * kind.size() as u64;
    (field.count > 0 && end <= u64::from(u32::MAX)).then_some(field)
}

/// Returns whether a text is a name: identifiers with dots between them.
// layout: L036
fn is_name(text: &str) -> bool {
    let is_identifier = |part: &str| {
        let digit_first = part.starts_with(|c: char| c.is_ascii_digit());
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !part.is_empty() && !digit_first && part.chars().all(fits)
    };
    text.len() <= MAX_NAME && text.split('.').all(is_identifier)
}

/// Parses a decimal number below 2^32 without a sign and without leading zeros.
// layout: L032
fn number(text: &str) -> Option<usize> {
    let canonical = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
    let number: u32 = text.parse().ok().filter(|_| canonical)?;
    number.try_into().ok()
}
