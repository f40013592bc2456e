//! Types whose layout other programs can read. A macro describes the fields of a type. The compiler
//! makes the canonical text of the type. `docs/layout.md` has the grammar of the text.

mod kind;
mod layout;
#[cfg(test)]
mod tests;
mod text;

pub use kind::{EnumValue, FieldKind, NumberKind};
pub(crate) use layout::fingerprint;
pub use layout::{Field, Layout, Repeat};
pub(crate) use text::MAX_TEXT;

use text::Text;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A type whose values can be messages. A message consists of the bytes that the value has in
/// memory. The layout of the type is in shared memory, and each process that opens the name can
/// read it; see [`Payload`](crate::Payload).
///
/// The macro [`describe!`](crate::describe!) implements this trait for structs. The crate
/// implements it for the numbers `u8` to `u64`, `i8` to `i64`, `f32` and `f64`, and for arrays of
/// described types; the layout of a number, or of an array of numbers, has one field, `value`. The trait is not
/// implemented for types whose size depends on the machine (`usize`, pointers), and for types with
/// bytes that are not a valid value (`bool`, `char`, enums):
///
/// ```compile_fail,E0277
/// shmkit::Layout::of::<usize>();
/// ```
#[diagnostic::on_unimplemented(
    message = "the layout of `{Self}` cannot be described",
    note = "fixed-size numbers, structs with `shmkit::describe!`, and arrays of both can be described"
)]
pub trait Described: FromBytes + IntoBytes + Immutable + Sized {
    #[doc(hidden)]
    const STRUCTURE: Structure;
}

/// The structure of a type.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Structure {
    /// A number.
    Number(NumberKind),
    /// An array of this number of elements, each of this size.
    Array(&'static Structure, usize, usize),
    /// A struct with these fields.
    Fields(&'static [Part]),
}

/// A field of a struct.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Part {
    name: &'static str,
    offset: usize,
    structure: Structure,
}

impl Part {
    #[must_use]
    pub const fn new<T: Described>(name: &'static str, offset: usize) -> Part {
        Part {
            name,
            offset,
            structure: T::STRUCTURE,
        }
    }
}

/// Fails at compile time if there is no text for the type.
#[doc(hidden)]
pub const fn check<T: Described>() {
    let _ = Text::of::<T>();
}

macro_rules! numbers {
    ($($number:ty: $kind:ident),+) => {$(
        impl Described for $number {
            const STRUCTURE: Structure = Structure::Number(NumberKind::$kind);
        }
    )+};
}

numbers!(u8: U8, u16: U16, u32: U32, u64: U64, i8: I8, i16: I16, i32: I32, i64: I64, f32: F32, f64: F64);

impl<T: Described, const N: usize> Described for [T; N] {
    const STRUCTURE: Structure = Structure::Array(&T::STRUCTURE, N, size_of::<T>());
}

/// Implements [`Described`](crate::Described) for structs of your own, so that their values can be
/// messages ([`Payload`](crate::Payload)). A call of the macro lists the fields of each struct in
/// their order.
///
/// A struct is `#[repr(C)]` and has the derives of
/// `zerocopy = { version = "0.8", features = ["derive"] }`, which refuse padding. A field is a
/// number of fixed size, another described struct, or an array of either. The name of a field of an
/// inner struct begins with the name of the field that has the inner struct, and a dot. Generic
/// structs, `bool` and enums cannot be described.
///
/// ```
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
///
/// #[repr(C)]
/// #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// struct Tick {
///     price: f64,
///     volume: u32,
///     symbol: [u8; 4],
/// }
///
/// #[repr(C)]
/// #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// struct Trade {
///     tick: Tick,
///     buyer: u64,
/// }
///
/// shmkit::describe! {
///     Tick { price: f64, volume: u32, symbol: [u8; 4] }
///     Trade { tick: Tick, buyer: u64 }
/// }
///
/// let layout = shmkit::Layout::of::<Trade>();
/// assert_eq!(
///     layout.to_string(),
///     "24;8;tick.price:0:f64[1];tick.volume:8:u32[1];tick.symbol:12:u8[4];buyer:16:u64[1];"
/// );
/// ```
///
/// A description that differs from the struct does not compile. A field cannot have another type:
///
/// ```compile_fail,E0308
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Tick { price: f64, volume: u32, symbol: [u8; 4] }
/// shmkit::describe! { Tick { price: u64, volume: u32, symbol: [u8; 4] } }
/// ```
///
/// A field cannot be left out:
///
/// ```compile_fail,E0063
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Tick { price: f64, volume: u32, symbol: [u8; 4] }
/// shmkit::describe! { Tick { price: f64, volume: u32 } }
/// ```
///
/// The fields cannot have another order:
///
/// ```compile_fail,E0080
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Tick { price: f64, volume: u32, symbol: [u8; 4] }
/// shmkit::describe! { Tick { volume: u32, price: f64, symbol: [u8; 4] } }
/// ```
///
/// A field cannot have a type that is not described:
///
/// ```compile_fail,E0277
/// # use zerocopy::{Immutable, IntoBytes, FromBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Place { at: usize }
/// shmkit::describe! { Place { at: usize } }
/// ```
#[macro_export]
macro_rules! describe {
    ($($name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {$(
        const _: () = {
            #[allow(dead_code)]
            fn has_these_fields_and_no_others() -> $name {
                fn any<T>() -> T {
                    ::core::unreachable!()
                }
                $name { $($field: any::<$type>()),+ }
            }

            impl $crate::Described for $name {
                const STRUCTURE: $crate::__describe::Structure = $crate::__describe::Structure::Fields(&[$(
                    $crate::__describe::Part::new::<$type>(
                        ::core::stringify!($field),
                        ::core::mem::offset_of!($name, $field),
                    )
                ),+]);
            }

            $crate::__describe::check::<$name>();
        };
    )+};
}
