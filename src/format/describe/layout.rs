//! Layouts as data: those of our own types, and those that strangers tell.

use super::Described;
use super::kind::FieldKind;
use super::text::{MAX_NAME, MAX_TEXT, Text};
use std::collections::BTreeSet;
use std::fmt;

/// One field of a [`Layout`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name: letters, digits and underscores of ASCII, with dots where it stands in a
    /// struct inside the struct.
    pub name: String,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// What it is made of.
    pub kind: FieldKind,
    /// Of how many such: 1, or the length of an array.
    pub count: usize,
}

impl Field {
    /// The bytes that it takes.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.count * self.kind.size()
    }

    fn place(&self) -> String {
        let (kind, count, offset) = (self.kind.name(), self.count, self.offset);
        format!("{kind}[{count}] at {offset}")
    }
}

/// What a message of a type is made of, as its sender tells.
///
/// It prints as the canonical text that stands in shared memory; see `docs/layout.md`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The bytes of a message.
    pub size: usize,
    /// The bytes of its largest number; the same on all machines.
    pub align: usize,
    /// Its fields, in the order of their offsets.
    pub fields: Vec<Field>,
}

impl Layout {
    /// That of a type.
    #[must_use]
    pub fn of<T: Described>() -> Layout {
        read(Text::of::<T>())
    }

    /// Reads a text that somebody wrote. `None` where it is not a canonical one, or a field
    /// of it reaches beyond the size or over another field.
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

    /// 64 bits that stand for it, the FNV-1a of its text.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.to_string())
    }

    /// In words the first thing in which another one, there, is not as this one, here;
    /// `None` where they are the same.
    #[must_use]
    pub fn difference(&self, there: &Layout) -> Option<String> {
        let len = self.fields.len().max(there.fields.len());
        let mut pairs = (0..len).map(|n| (self.fields.get(n), there.fields.get(n)));
        if let Some((ours, theirs)) = pairs.find(|(ours, theirs)| ours != theirs) {
            // Where a field was put in or left out, those behind it are elsewhere too.
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

/// Reads a text of ours.
fn read(text: &Text) -> Layout {
    Layout::parse(text.as_str()).expect("what we write we read")
}

/// The FNV-1a of a text.
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

/// Identifiers with dots between them.
// layout: L036
fn is_name(text: &str) -> bool {
    let is_identifier = |part: &str| {
        let digit_first = part.starts_with(|c: char| c.is_ascii_digit());
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !part.is_empty() && !digit_first && part.chars().all(fits)
    };
    text.len() <= MAX_NAME && text.split('.').all(is_identifier)
}

/// A decimal number below 2^32, written as it is and no longer.
// layout: L032
fn number(text: &str) -> Option<usize> {
    let canonical = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
    let number: u32 = text.parse().ok().filter(|_| canonical)?;
    number.try_into().ok()
}
