//! Layouts as data: the layouts of types in this program, and layouts that another process wrote.

use super::Described;
use super::kind::{FieldKind, is_identifier};
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
    /// The offset of the field in the message, in bytes; of a repeated field, the offset of the
    /// first one.
    pub offset: usize,
    /// The kind of the values in the field.
    pub kind: FieldKind,
    /// The number of values in the field: 1, or the length of an array; the length of a text.
    pub count: usize,
    /// The arrays around the field, the outermost first: arrays of structs and arrays of arrays.
    pub repeats: Vec<Repeat>,
}

/// An array around a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The part of the name that is the array, counted from 0. The parts are between the dots.
    pub part: usize,
    /// The number of elements.
    pub count: usize,
    /// The distance from one element to the next, in bytes.
    pub stride: usize,
}

impl Field {
    /// Returns the range of bytes that the field takes in the message; of a repeated field, the
    /// range of the first one.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.count * self.kind.size()
    }

    /// Returns each place of the field in a message: its name with the numbers of the elements, for
    /// example `levels[3].price`, and its offset. A field that is in no array has one place.
    pub fn places(&self) -> impl Iterator<Item = (String, usize)> {
        let total: usize = self.repeats.iter().map(|repeat| repeat.count).product();
        (0..total).map(|number| {
            let mut left = number;
            let mut offset = self.offset;
            let mut indices = vec![0; self.repeats.len()];
            for (n, repeat) in self.repeats.iter().enumerate().rev() {
                indices[n] = left % repeat.count;
                left /= repeat.count;
                offset += indices[n] * repeat.stride;
            }
            (self.written(|n, _| format!("[{}]", indices[n])), offset)
        })
    }

    /// Returns the name with the length of each array, for example `levels[10].price`.
    #[must_use]
    pub fn array_name(&self) -> String {
        self.written(|_, repeat| format!("[{}]", repeat.count))
    }

    /// Returns the name with a text behind each part that is an array.
    fn written(&self, array: impl Fn(usize, &Repeat) -> String) -> String {
        let mut text = String::new();
        for (part, name) in self.name.split('.').enumerate() {
            if part > 0 {
                text.push('.');
            }
            text.push_str(name);
            let arrays = self.repeats.iter().enumerate();
            for (n, repeat) in arrays.filter(|(_, repeat)| repeat.part == part) {
                text.push_str(&array(n, repeat));
            }
        }
        text
    }

    fn place(&self) -> String {
        let (kind, count, offset) = (&self.kind, self.count, self.offset);
        let repeat = |repeat: &Repeat| {
            let Repeat { count, stride, .. } = repeat;
            format!(", {count} times each {stride} bytes")
        };
        let repeats: String = self.repeats.iter().map(repeat).collect();
        format!("{kind}[{count}] at {offset}{repeats}")
    }

    /// Returns the offset behind the last one of a repeated field; `None` if no message is so long.
    fn end(&self) -> Option<usize> {
        let own = self.count.checked_mul(self.kind.size())?;
        let further = self.repeats.iter().try_fold(0usize, |sum, repeat| {
            sum.checked_add(repeat.stride.checked_mul(repeat.count - 1)?)
        });
        let end = self.offset.checked_add(own)?.checked_add(further?)?;
        (end as u64 <= u64::from(u32::MAX)).then_some(end)
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
    /// The size of the largest value in a message, in bytes. It is the same on all machines.
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
        let mut largest = 0;
        for field in &fields {
            if !names.insert(&field.name) {
                return None;
            }
            largest = largest.max(field.kind.size());
        }

        let end = end_of(&fields, 0, 0)?;
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

/// Returns the offset behind the last of some fields, of which the arrays up to `depth` are known.
/// Returns `None` if the fields are not in order, or overlap.
///
/// Fields in one array follow one another in the text. Together they take at most the stride of the
/// array, so no element overlaps the next one.
// layout: L035 L249
fn end_of(fields: &[Field], depth: usize, begin: usize) -> Option<usize> {
    let mut end = begin;
    let mut rest = fields;
    while let [first, ..] = rest {
        if first.offset < end {
            return None;
        }
        let Some(repeat) = first.repeats.get(depth) else {
            end = first.range().end;
            rest = &rest[1..];
            continue;
        };

        let array = |field: &Field| {
            let name = field.name.split('.').take(repeat.part + 1);
            (
                name.collect::<Vec<_>>().join("."),
                field.repeats.get(depth).copied(),
            )
        };
        let is_in = |field: &&Field| array(field) == array(first);
        let count = rest.iter().take_while(is_in).count();
        let (inside, behind) = rest.split_at(count);
        let inner = end_of(inside, depth + 1, first.offset)?;
        if inner - first.offset > repeat.stride {
            return None;
        }
        end = inner.checked_add(repeat.stride.checked_mul(repeat.count - 1)?)?;
        rest = behind;
    }
    Some(end)
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{};", self.size, self.align)?;
        for field in &self.fields {
            let (offset, kind, count) = (field.offset, &field.kind, field.count);
            let name =
                field.written(|_, Repeat { count, stride, .. }| format!("[{count}+{stride}]"));
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
    if parts.next().is_some() {
        return None;
    }

    let (name, repeats) = name_of(name)?;
    let (kind, count) = what.strip_suffix(']')?.rsplit_once('[')?;
    let field = Field {
        name,
        offset: number(offset)?,
        kind: FieldKind::parse(kind)?,
        count: positive(count)?,
        repeats,
    };
    field.end().is_some().then_some(field)
}

/// Parses a name: identifiers with dots between them, each with the arrays that it is.
// layout: L036 L249
fn name_of(text: &str) -> Option<(String, Vec<Repeat>)> {
    let mut names = Vec::new();
    let mut repeats = Vec::new();
    for (part, text) in text.split('.').enumerate() {
        let (name, arrays) = match text.find('[') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        if !is_identifier(name) {
            return None;
        }
        names.push(name);

        let mut left = arrays;
        while !left.is_empty() {
            let (array, rest) = left.strip_prefix('[')?.split_once(']')?;
            let (count, stride) = array.split_once('+')?;
            repeats.push(Repeat {
                part,
                count: positive(count)?,
                stride: positive(stride)?,
            });
            left = rest;
        }
    }
    let name = names.join(".");
    (name.len() <= MAX_NAME).then_some((name, repeats))
}

/// Parses a decimal number below 2^32 without a sign and without leading zeros.
// layout: L032
fn number(text: &str) -> Option<usize> {
    let canonical = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
    let number: u32 = text.parse().ok().filter(|_| canonical)?;
    number.try_into().ok()
}

fn positive(text: &str) -> Option<usize> {
    number(text).filter(|number| *number > 0)
}
