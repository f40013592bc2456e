//! Types whose layout other programs can read: what a type is made of, told by a macro,
//! and its canonical text, made when the program is compiled. `docs/layout.md` has the
//! grammar.

mod kind;
mod layout;
#[cfg(test)]
mod tests;
mod text;

pub use kind::FieldKind;
pub(crate) use layout::fingerprint;
pub use layout::{Field, Layout};
pub(crate) use text::MAX_TEXT;

use text::Text;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A type that is sent as it stands in memory, and whose layout is told to whoever opens
/// what it goes through: see [`Payload`](crate::Payload).
///
/// Structs of your own have it by [`describe!`](crate::describe!). So do the numbers `u8` to `u64`, `i8` to
/// `i64`, `f32` and `f64`, and arrays of them; each is then one field, `value`. What has
/// another size on another machine (`usize`, pointers), and what not all bytes make a
/// value of (`bool`, `char`, enums), has not:
///
/// ```compile_fail,E0277
/// shmkit::Layout::of::<usize>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no type that can be described",
    note = "numbers of a fixed size, arrays of them, and structs with `shmkit::describe!` are"
)]
pub trait Described: FromBytes + IntoBytes + Immutable + Sized {
    #[doc(hidden)]
    const STRUCTURE: Structure;
}

/// What a type is made of.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Structure {
    /// So many numbers of one kind.
    Numbers(FieldKind, usize),
    /// A struct.
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

/// Refuses a type when it is compiled that has no text.
#[doc(hidden)]
pub const fn check<T: Described>() {
    let _ = Text::of::<T>();
}

macro_rules! numbers {
    ($($number:ty: $kind:ident),+) => {$(
        impl Described for $number {
            const STRUCTURE: Structure = Structure::Numbers(FieldKind::$kind, 1);
        }

        impl<const N: usize> Described for [$number; N] {
            const STRUCTURE: Structure = Structure::Numbers(FieldKind::$kind, N);
        }
    )+};
}

numbers!(u8: U8, u16: U16, u32: U32, u64: U64, i8: I8, i16: I16, i32: I32, i64: I64, f32: F32, f64: F64);

/// Describes structs of your own, so that they can be messages ([`Payload`](crate::Payload)): repeat
/// their fields, in their order.
///
/// A struct is `#[repr(C)]` and has the derives of `zerocopy = { version = "0.8", features
/// = ["derive"] }`, which refuse padding. A field is a number of fixed size, an array of
/// such, or another described struct, whose fields then have names with dots. Arrays of
/// structs and of arrays, generic structs and enums cannot be described.
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
/// What is told must be so, or it does not compile: neither another type,
///
/// ```compile_fail,E0308
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Tick { price: f64, volume: u32, symbol: [u8; 4] }
/// shmkit::describe! { Tick { price: u64, volume: u32, symbol: [u8; 4] } }
/// ```
///
/// nor without a field,
///
/// ```compile_fail,E0063
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Tick { price: f64, volume: u32, symbol: [u8; 4] }
/// shmkit::describe! { Tick { price: f64, volume: u32 } }
/// ```
///
/// nor in another order,
///
/// ```compile_fail,E0080
/// # use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// # #[repr(C)]
/// # #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
/// # struct Tick { price: f64, volume: u32, symbol: [u8; 4] }
/// shmkit::describe! { Tick { volume: u32, price: f64, symbol: [u8; 4] } }
/// ```
///
/// nor with what cannot be described.
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
