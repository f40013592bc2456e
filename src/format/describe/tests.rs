//! Tests of the layouts of types, and of the parsing of texts.

use super::{Described, Field, FieldKind, Layout, MAX_TEXT, NumberKind, Repeat, Text};
use proptest::prelude::*;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Tick {
    price: f64,
    volume: u32,
    symbol: [u8; 4],
}

#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Trade {
    tick: Tick,
    r#type: u64,
}

#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Book {
    levels: [Trade; 3],
    grid: [[i16; 2]; 4],
}

#[repr(C, packed)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Everything {
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: i8,
    f: i16,
    g: i32,
    h: i64,
    i: f32,
    j: f64,
    k: [i16; 3],
}

crate::describe! {
    Tick { price: f64, volume: u32, symbol: [u8; 4] }
    Trade { tick: Tick, r#type: u64 }
    Book { levels: [Trade; 3], grid: [[i16; 2]; 4] }
    Everything {
        a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64, i: f32, j: f64,
        k: [i16; 3],
    }
}

const TICK: &str = "16;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];";

/// Described types have the expected texts, and each text parses to its layout.
// layout: L031 L033 L034 L037
#[test]
fn described_types_have_the_expected_texts() {
    #[track_caller]
    fn is<T: Described>(text: &str) {
        assert_eq!(Text::of::<T>().as_str(), text);
        let layout = Layout::of::<T>();
        assert_eq!(layout.to_string(), text);
        assert_eq!(layout.size, size_of::<T>());
    }

    is::<Tick>(TICK);
    is::<Trade>(
        "24;8;tick.price:0:f64[1];tick.volume:8:u32[1];tick.symbol:12:u8[4];type:16:u64[1];",
    );
    is::<Everything>(
        "48;8;a:0:u8[1];b:1:u16[1];c:3:u32[1];d:7:u64[1];e:15:i8[1];f:16:i16[1];\
         g:18:i32[1];h:22:i64[1];i:30:f32[1];j:34:f64[1];k:42:i16[3];",
    );
    is::<Book>(
        "88;8;levels[3+24].tick.price:0:f64[1];levels[3+24].tick.volume:8:u32[1];\
         levels[3+24].tick.symbol:12:u8[4];levels[3+24].type:16:u64[1];grid[4+4]:72:i16[2];",
    );
    is::<[[u8; 2]; 3]>("6;1;value[3+2]:0:u8[2];");
    is::<[Tick; 2]>(
        "32;8;value[2+16].price:0:f64[1];value[2+16].volume:8:u32[1];value[2+16].symbol:12:u8[4];",
    );
    is::<u64>("8;8;value:0:u64[1];");
    is::<[f32; 3]>("12;4;value:0:f32[3];");
}

#[test]
fn layout_of_a_struct_has_its_fields() {
    let layout = Layout::of::<Tick>();
    let field = |name: &str, offset, kind, count| Field {
        name: name.to_string(),
        offset,
        kind: FieldKind::Number(kind),
        count,
        repeats: Vec::new(),
    };
    assert_eq!((layout.size, layout.align), (16, 8));
    let fields = [
        field("price", 0, NumberKind::F64, 1),
        field("volume", 8, NumberKind::U32, 1),
        field("symbol", 12, NumberKind::U8, 4),
    ];
    assert_eq!(layout.fields, fields);
    assert_eq!(layout.fields[2].range(), 12..16);
}

// layout: L249
#[test]
fn array_field_has_places_of_elements() {
    let layout = Layout::of::<Book>();
    let of = |name: &str| {
        let field = layout
            .fields
            .iter()
            .find(|field| field.name == name)
            .unwrap();
        field.places().collect::<Vec<_>>()
    };
    let place = |name: &str, offset| (name.to_string(), offset);
    let prices = [0, 1, 2].map(|n| place(&format!("levels[{n}].tick.price"), 24 * n));
    assert_eq!(of("levels.tick.price"), prices);
    let rows = [0, 1, 2, 3].map(|n| place(&format!("grid[{n}]"), 72 + 4 * n));
    assert_eq!(of("grid"), rows);
    let grid = layout.fields.last().unwrap();
    let repeat = Repeat {
        part: 0,
        count: 4,
        stride: 4,
    };
    assert_eq!(
        (grid.array_name(), &grid.repeats[..]),
        ("grid[4]".to_string(), &[repeat][..])
    );
}

/// The fingerprints in the table of the document are the fingerprints of the code.
// layout: L039 L043
#[test]
fn document_has_the_fingerprints_of_types() {
    let page = include_str!("../../../docs/layout.md");
    let section = page.split("## Types").nth(1).unwrap();
    let mut compared = 0;

    for line in section.split("\n## ").next().unwrap().lines() {
        let cells: Vec<&str> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, fingerprint, text, _] = cells[..] else {
            continue;
        };
        let Ok(fingerprint) = u64::from_str_radix(fingerprint, 16) else {
            continue;
        };

        let layout = Layout::parse(text).expect(text);
        assert_eq!(layout.fingerprint(), fingerprint, "{text}");
        compared += 1;
    }

    assert_eq!(compared, 6);
}

// layout: L024 L039
#[test]
fn document_has_the_fingerprints_of_access_presets() {
    use crate::access::Access;
    let page = include_str!("../../../docs/layout.md");
    let section = page.split("\n## Ownership record").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    for access in [
        Access::SameUser,
        Access::UsersReadOnly,
        Access::InteractiveReadOnly,
        Access::AppContainer,
        Access::Group("29".to_string()),
        Access::Group("S-1-5-32-545".to_string()),
    ] {
        let fingerprint = super::fingerprint(&access.to_string());
        let row = format!("| `{access}` | {fingerprint:#018x} |");
        assert!(section.contains(&row), "{row}");
    }
    let sddl = Access::Sddl("D:P".to_string());
    assert_eq!(sddl.to_string(), "sddl:D:P");
}

// layout: L031 L032 L034 L035 L036
#[test]
fn texts_outside_the_grammar_are_refused() {
    let long_name = "x".repeat(100);
    let text = |name: &str| format!("1;1;{name}:0:u8[1];");
    assert!(Layout::parse(&text(&long_name)).is_some());

    let many = |n: u32| {
        let fields: String = (0..n).map(|n| format!("f{n}:{n}:u8[1];")).collect();
        format!("{n};1;{fields}")
    };
    assert!(Layout::parse(&many(200)).is_some());
    // There may be gaps between fields, as in C.
    assert!(Layout::parse("16;8;a:0:u8[1];b:8:u64[1];").is_some());

    let wrong = [
        "",
        ";",
        "16;8;",
        "16;8;;",
        "a:0:u8[1];",
        &TICK[..TICK.len() - 1],
        &format!("{TICK} "),
        &format!("{TICK};"),
        &TICK.replace(";", "\n"),
        // Numbers, counts and kinds in another form than the canonical form.
        &TICK.replace("16;8", "016;8"),
        &TICK.replace("16;8", "+16;8"),
        &TICK.replace(":12:", ":0xc:"),
        &TICK.replace(":12:", ":-12:"),
        &TICK.replace(":12:", "::"),
        &TICK.replace("[4]", ""),
        &TICK.replace("[4]", "[]"),
        &TICK.replace("[4]", "[4]]"),
        &TICK.replace("[4]", "[0]"),
        &TICK.replace("u8", "char"),
        &TICK.replace("u8", "U8"),
        // A field beyond the size, over another field, out of order; a wrong alignment.
        &TICK.replace("16;8", "15;8"),
        &TICK.replace("16;8", "16;4"),
        &TICK.replace("[4]", "[5]"),
        &TICK.replace(":12:", ":11:"),
        "16;8;b:8:u64[1];a:0:u64[1];",
        &TICK.replace(":12:u8[4]", ":4294967295:u8[1]"),
        "4294967295;8;a:4294967288:u64[1];b:4294967296:u8[1];",
        "4294967295;8;a:0:u64[4294967295];",
        "4294967296;8;a:0:u64[1];",
        // Wrong names.
        &TICK.replace("symbol", "price"),
        &text(&format!("{long_name}x")),
        &text(""),
        &text("1a"),
        &text("a."),
        &text(".a"),
        &text("a..b"),
        &text("a.1"),
        &text("a b"),
        &text("a\x1b[2J"),
        &text("é"),
        &many(400),
    ];

    for text in wrong {
        assert_eq!(Layout::parse(text), None, "{text:?}");
    }
}

// layout: L032 L248 L249
#[test]
fn arrays_and_enums_are_parsed_or_refused() {
    for text in [
        "16;4;a[2+8].x:0:u32[1];a[2+8].y:4:u32[1];",
        "14;4;a[2+8].x:0:u32[1];a[2+8].y:4:u16[1];",
        "24;4;a[2+12].b[2+4].c:0:u16[1];a[2+12].d:8:u32[1];",
        "1;1;a:0:i8{Down=-1,Same=0,Up=1}[1];",
        "9;2;a:0:bool[1];b:1:utf8[4];c:5:utf16[2];",
    ] {
        assert_eq!(
            Layout::parse(text)
                .map(|layout| layout.to_string())
                .as_deref(),
            Some(text)
        );
    }

    let wrong = [
        // Arrays whose elements overlap, or that reach beyond the size or into the next field.
        "12;4;a[2+4].x:0:u32[1];a[2+4].y:4:u32[1];",
        "15;4;a[2+8].x:0:u32[1];a[2+8].y:4:u32[1];",
        "16;4;a[2+8].x:0:u32[1];b:8:u32[1];",
        "16;4;a[2+8].y:4:u32[1];a[2+8].x:0:u32[1];",
        "16;4;a[2+8].x:0:u32[1];b:4:u32[1];a[2+8].y:12:u32[1];",
        "8;4;a[0+4]:0:u32[1];",
        "8;4;a[2+0]:0:u32[1];",
        "8;4;a[2+04]:0:u32[1];",
        "8;4;a[2]:0:u32[1];",
        "8;4;a[2+4:0:u32[1];",
        "8;4;[2+4]:0:u32[1];",
        "4294967295;4;a[4294967295+4294967295]:0:u32[1];",
        // Enums that are not in order, have a name twice, or a number that does not fit.
        "1;1;a:0:u8{}[1];",
        "1;1;a:0:u8{A}[1];",
        "1;1;a:0:u8{A=1,B=0}[1];",
        "1;1;a:0:u8{A=0,A=1}[1];",
        "1;1;a:0:u8{A=256}[1];",
        "1;1;a:0:i8{A=+1}[1];",
        "1;1;a:0:u8{1=1}[1];",
        "1;1;a:0:bool{A=1}[1];",
        "4;4;a:0:f32{A=1}[1];",
    ];
    for text in wrong {
        assert_eq!(Layout::parse(text), None, "{text:?}");
    }
}

#[test]
fn difference_names_the_first_field_that_differs() {
    let ours = Layout::of::<Tick>();
    assert_eq!(ours.difference(&ours.clone()), None);

    for (theirs, want) in [
        (
            TICK.replace("price:0:f64[1]", "price:0:f32[2]")
                .replace("16;8", "16;4"),
            "price is f32[2] at 0 there and f64[1] at 0 here",
        ),
        (
            TICK.replace("volume:8:u32[1]", "volume:8:i32[1]"),
            "volume is i32[1] at 8 there and u32[1] at 8 here",
        ),
        (
            TICK.replace("u8[4]", "u8[3]"),
            "symbol is u8[3] at 12 there and u8[4] at 12 here",
        ),
        (
            TICK.replace("volume:8", "amount:8"),
            "volume is missing there and u32[1] at 8 here",
        ),
        (
            "16;8;price:0:f64[1];symbol:8:u8[4];volume:12:u32[1];".to_string(),
            "volume is u32[1] at 12 there and u32[1] at 8 here",
        ),
        (
            "12;8;price:0:f64[1];symbol:8:u8[4];".to_string(),
            "volume is missing there and u32[1] at 8 here",
        ),
        (
            "24;8;id:0:u64[1];price:8:f64[1];volume:16:u32[1];symbol:20:u8[4];".to_string(),
            "id is u64[1] at 0 there and missing here",
        ),
        (
            "20;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];more:16:u32[1];".to_string(),
            "more is u32[1] at 16 there and missing here",
        ),
        (
            TICK.replace("16;8", "24;8"),
            "it has 24 bytes there and 16 here",
        ),
    ] {
        let theirs = Layout::parse(&theirs).expect(&theirs);
        assert_eq!(ours.difference(&theirs).as_deref(), Some(want));
    }
}

/// Generates the text and the size of a kind.
fn any_kind() -> impl Strategy<Value = (String, usize)> {
    let number = |kind: NumberKind| (kind.name().to_string(), kind.size());
    let mut all: Vec<_> = NumberKind::ALL.into_iter().map(number).collect();
    let others = [
        ("bool", 1),
        ("utf8", 1),
        ("utf16", 2),
        ("i8{No=-1,Yes=1}", 1),
        ("u32{A=0}", 4),
    ];
    all.extend(others.map(|(text, size)| (text.to_string(), size)));
    prop::sample::select(all)
}

/// Generates the arrays around a field: their counts, and the bytes between their elements.
fn any_arrays() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((1..4usize, 0..3usize), 0..3)
}

/// Generates valid layouts of some fields, with gaps between the fields.
fn any_layout() -> impl Strategy<Value = Layout> {
    let field = (
        "[a-z_][a-z0-9_.]{0,6}[a-z0-9_]",
        0..9usize,
        any_kind(),
        1..9usize,
        any_arrays(),
    );

    prop::collection::vec(field, 1..12).prop_filter_map("names", |fields| {
        let mut at = 0;
        let mut largest = 1;
        let mut text = String::new();
        for (name, gap, (kind, size), count, arrays) in fields {
            at += gap;
            let mut len = count * size;
            let mut brackets = String::new();
            for (elements, between) in arrays {
                let stride = len + between;
                brackets = format!("[{elements}+{stride}]{brackets}");
                len += (elements - 1) * stride;
            }
            text += &format!("{name}{brackets}:{at}:{kind}[{count}];");
            at += len;
            largest = largest.max(size);
        }
        Layout::parse(&format!("{at};{largest};{text}"))
    })
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "proptest is too slow there")]
    fn parsed_layout_text_prints_back_unchanged(text in "\\PC{0,200}|[0-9a-z;:.\\[\\]]{0,100}") {
        if let Some(layout) = Layout::parse(&text) {
            prop_assert_eq!(layout.to_string(), text);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "proptest is too slow there")]
    fn mutated_layout_text_is_refused_or_valid(
        layout in any_layout(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let text = layout.to_string();
        prop_assert!(Layout::parse(&text).is_some_and(|read| read == layout));

        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }

        let Some(other) = str::from_utf8(&bytes).ok().and_then(Layout::parse) else {
            return Ok(());
        };

        prop_assert!(other.to_string().as_bytes() == bytes);
        let is_inside = |field: &Field| {
            let len = field.range().len();
            field.places().all(|(_, offset)| offset + len <= other.size)
        };
        prop_assert!(other.fields.iter().all(is_inside));
        // Two layouts are equal if and only if their texts and their fingerprints are equal.
        let is_same = other.to_string() == text;
        prop_assert_eq!(layout.difference(&other).is_none(), is_same);
        prop_assert_eq!(layout.fingerprint() == other.fingerprint(), is_same);
    }
}

#[test]
fn longest_text_is_parsed() {
    let field = |n: usize, len: usize| {
        let name = format!("n{n}");
        format!("{name}{}:{n}:u8[1];", "x".repeat(len - name.len()))
    };

    let mut text = "99;1;".to_string();
    let mut n = 0;
    while MAX_TEXT - text.len() > 220 {
        text += &field(n, 100);
        n += 1;
    }

    while text.len() < MAX_TEXT {
        let left = MAX_TEXT - text.len();
        let around = field(n, 3).len() - 3;
        let len = if left > 110 + around {
            60
        } else {
            left - around
        };
        text += &field(n, len);
        n += 1;
    }

    assert_eq!(text.len(), MAX_TEXT);
    assert!(Layout::parse(&text).is_some(), "{text}");
    text.insert(2, '0');
    assert_eq!(Layout::parse(&text), None);
}
