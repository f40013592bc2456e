//! The canonical text of a type, which the compiler makes.

use super::kind::NumberKind;
use super::{Described, Part, Structure};
use crate::format::layout::control;

/// The length of the longest text, which is the space for the text in the control section.
pub(crate) const MAX_TEXT: usize = control::TYPE_MAX;
/// The length of the longest name of a field, with its dots.
pub(super) const MAX_NAME: usize = 100;
/// The name of the only field of a type that is not a struct.
// layout: L037
const VALUE: &str = "value";

/// A text of the grammar in `docs/layout.md`.
pub(super) struct Text {
    bytes: [u8; MAX_TEXT],
    len: usize,
    /// The offset at which the last field ends.
    end: usize,
}

/// The name of a field and the names of the structs that contain the field.
#[derive(Clone, Copy)]
struct Path<'a> {
    within: Option<&'a Path<'a>>,
    name: &'static str,
    /// The arrays that the field with this name is.
    arrays: Option<&'a Arrays<'a>>,
}

/// An array of arrays or of structs, and the arrays around it.
struct Arrays<'a> {
    around: Option<&'a Arrays<'a>>,
    count: usize,
    stride: usize,
}

impl Text {
    /// Returns the text of a type.
    pub const fn of<T: Described>() -> &'static Text {
        const { &Text::write::<T>() }
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).expect("the text is ASCII")
    }

    // layout: L033
    const fn write<T: Described>() -> Text {
        let mut text = Text {
            bytes: [0; MAX_TEXT],
            len: 0,
            end: 0,
        };

        text.number(size_of::<T>());
        text.byte(b';');
        text.number(align(&T::STRUCTURE));
        text.byte(b';');

        match T::STRUCTURE {
            Structure::Fields(fields) => text.fields(None, 0, fields),
            structure => {
                let path = Path {
                    within: None,
                    name: VALUE,
                    arrays: None,
                };
                text.element(path, 0, &structure);
            }
        }

        assert!(text.end == size_of::<T>());
        text
    }

    // layout: L037
    const fn fields(&mut self, within: Option<&Path<'_>>, base: usize, fields: &[Part]) {
        let mut n = 0;
        while n < fields.len() {
            let Part {
                name,
                offset,
                structure,
            } = fields[n];
            let path = Path {
                within,
                name: bare(name),
                arrays: None,
            };
            self.element(path, base + offset, &structure);
            n += 1;
        }
    }

    // layout: L249
    const fn element(&mut self, path: Path<'_>, offset: usize, structure: &Structure) {
        let (of, count, stride) = match *structure {
            Structure::Number(kind) => return self.field(&path, offset, kind, 1),
            Structure::Array(&Structure::Number(kind), count, _) => {
                return self.field(&path, offset, kind, count);
            }
            Structure::Fields(fields) => return self.fields(Some(&path), offset, fields),
            Structure::Array(of, count, stride) => (of, count, stride),
        };

        assert!(count > 0, "a field without bytes cannot be described");
        let arrays = Arrays {
            around: path.arrays,
            count,
            stride,
        };
        let path = Path {
            within: path.within,
            name: path.name,
            arrays: Some(&arrays),
        };
        // The first element, which the text describes.
        self.element(path, offset, of);
        assert!(self.end == offset + stride);
        self.end = offset + count * stride;
    }

    const fn field(&mut self, path: &Path<'_>, offset: usize, kind: NumberKind, count: usize) {
        assert!(count > 0, "a field without bytes cannot be described");
        assert!(
            offset == self.end,
            "describe the fields in the order of their offsets"
        );

        self.end += count * kind.size();
        self.path(path);
        assert!(length(path) <= MAX_NAME, "the name of a field is too long");

        self.byte(b':');
        self.number(offset);
        self.byte(b':');
        self.bytes(kind.name().as_bytes());
        self.byte(b'[');
        self.number(count);
        self.bytes(b"];");
    }

    const fn path(&mut self, path: &Path<'_>) {
        if let Some(within) = path.within {
            self.path(within);
            self.byte(b'.');
        }
        self.bytes(path.name.as_bytes());
        self.arrays(path.arrays);
    }

    const fn arrays(&mut self, arrays: Option<&Arrays<'_>>) {
        let Some(array) = arrays else {
            return;
        };
        self.arrays(array.around);
        self.byte(b'[');
        self.number(array.count);
        self.byte(b'+');
        self.number(array.stride);
        self.byte(b']');
    }

    const fn number(&mut self, number: usize) {
        assert!(
            number as u64 <= u32::MAX as u64,
            "the type is too large to be described"
        );
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    const fn bytes(&mut self, bytes: &[u8]) {
        let mut n = 0;
        while n < bytes.len() {
            self.byte(bytes[n]);
            n += 1;
        }
    }

    const fn byte(&mut self, byte: u8) {
        assert!(
            self.len < MAX_TEXT,
            "the type has too many fields, or the names of its fields are too long"
        );
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

/// Returns the length of a name with its dots.
const fn length(path: &Path<'_>) -> usize {
    match path.within {
        Some(within) => length(within) + 1 + path.name.len(),
        None => path.name.len(),
    }
}

/// Returns the size of the largest number in a type.
// layout: L034
const fn align(structure: &Structure) -> usize {
    let fields = match structure {
        Structure::Number(kind) => return kind.size(),
        Structure::Array(of, ..) => return align(of),
        Structure::Fields(fields) => fields,
    };
    let mut most = 1;
    let mut n = 0;
    while n < fields.len() {
        let align = align(&fields[n].structure);
        if align > most {
            most = align;
        }
        n += 1;
    }
    most
}

/// Returns the name of a field without the `r#` in front of a keyword. A name must be ASCII, since
/// Unicode can write some letters in several ways.
const fn bare(name: &'static str) -> &'static str {
    assert!(name.is_ascii(), "the name of a field must be ASCII");
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}
