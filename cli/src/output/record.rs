//! Converts messages that have a type to the text of their fields, and back.

use crate::args::parse;
use crate::output;
use serde_json::{Map, Value, json};
use shmkit::{EnumValue, Field, FieldKind, Layout, NumberKind};

/// Returns a message as text: `price=101.5 volume=3 symbol="ABCD"`, or the bare value if the type
/// is not a struct. Returns `None` if the message has another length than the type.
pub fn text(layout: &Layout, message: &[u8]) -> Option<String> {
    let all: Vec<String> = match is_plain(layout) {
        true => values(layout, message)?.map(plain).collect(),
        false => values(layout, message)?.map(named).collect(),
    };
    Some(output::name(&all.join(" ")))
}

/// Returns whether the messages are a number, an array of numbers or a text, and not a struct. The
/// library gives the single field of such a type the name `value`.
pub fn is_plain(layout: &Layout) -> bool {
    matches!(&layout.fields[..], [only] if only.name == VALUE && only.repeats.is_empty())
}

/// The name of the single field of a type that is not a struct.
const VALUE: &str = "value";

/// A field at one of its places in a message, with its value.
struct Shown<'a> {
    name: String,
    field: &'a Field,
    value: Value,
}

/// Returns a value without a name. A text has quotes only if it begins with a quote or a bracket,
/// and so could be read as another form.
fn plain(Shown { field, value, .. }: Shown) -> String {
    match &value {
        Value::String(text) if is_text(field) && text.starts_with(['"', '[']) => value.to_string(),
        Value::String(text) => text.clone(),
        value => unquoted(value),
    }
}

/// Returns a field as `price=101.5`. A text has quotes, which show where it ends.
fn named(Shown { name, field, value }: Shown) -> String {
    match &value {
        Value::String(_) if is_text(field) => format!("{name}={value}"),
        value => format!("{name}={}", unquoted(value)),
    }
}

/// Returns a number, or an array of numbers as `[1,2]`.
fn unquoted(value: &Value) -> String {
    match value {
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(bare).collect();
            format!("[{}]", all.join(","))
        }
        one => bare(one),
    }
}

/// Returns a JSON object of all fields. Returns `None` if the message has another length than the
/// type.
pub fn json(layout: &Layout, message: &[u8]) -> Option<Value> {
    let named = |shown: Shown| (shown.name, shown.value);
    let all: Map<String, Value> = values(layout, message)?.map(named).collect();
    Some(json!({ "values": all }))
}

/// The most names of fields that an error lists.
const MOST_NAMES: usize = 50;

/// Returns the names of the places of all fields, for an error.
fn names(layout: &Layout) -> String {
    let mut names: Vec<String> = places(layout)
        .map(|(name, ..)| name)
        .take(MOST_NAMES + 1)
        .collect();
    if names.len() > MOST_NAMES {
        names[MOST_NAMES] = "…".to_string();
    }
    output::name(&names.join(", "))
}

/// Returns the message with the given fields, each written as `price=101.5`, in any order. The
/// error says which field is wrong or missing.
pub fn parse(layout: &Layout, fields: &[String]) -> Result<Vec<u8>, String> {
    let mut message = vec![0; layout.size];
    let mut given = Vec::new();
    for text in fields {
        let shown = output::name(text);
        let split = match bare_value(layout, text) {
            Some(value) => Some((VALUE, value)),
            None => text.split_once('='),
        };
        let (name, value) = split.ok_or_else(|| {
            let all = names(layout);
            format!("{shown} is not of the form FIELD=VALUE\n  the fields are {all}")
        })?;
        let place = places(layout).find(|(place, ..)| place == name);
        let (_, field, offset) = place.ok_or_else(|| {
            let name = output::name(name);
            format!(
                "there is no field {name}\n  the fields are {}",
                names(layout)
            )
        })?;
        if given.contains(&name) {
            return Err(format!(
                "{} is given twice\n  give it once",
                output::name(name)
            ));
        }
        given.push(name);
        let bytes =
            bytes_of(field, value).map_err(|how| format!("{shown} does not fit\n  {how}"))?;
        message[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }

    let is_missing = |(name, ..): &(String, &Field, usize)| !given.contains(&&**name);
    match places(layout).find(is_missing) {
        Some((missing, ..)) => Err(format!(
            "there is no value for {}\n  give a FIELD=VALUE for each of {}",
            output::name(&missing),
            names(layout)
        )),
        None => Ok(message),
    }
}

/// Returns the text if it is a value without a name, in the form in which [`text`] writes a bare
/// value.
fn bare_value<'a>(layout: &Layout, text: &'a str) -> Option<&'a str> {
    let only = layout.fields.first().filter(|_| is_plain(layout))?;
    let is_named = match is_text(only) {
        true => text.split_once('=').is_some_and(|(name, _)| name == VALUE),
        false => text.contains('='),
    };
    (!is_named).then_some(text)
}

/// Returns the bytes of a field whose value is written in the form of [`text`], or as a text
/// without quotes. The error says how to write the value.
fn bytes_of(field: &Field, value: &str) -> Result<Vec<u8>, String> {
    let numbers = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    if is_text(field) && numbers.is_none() {
        let quoted = value
            .starts_with('"')
            .then(|| serde_json::from_str(value).ok());
        let text: String = quoted.flatten().unwrap_or_else(|| value.to_string());
        let (bytes, unit) = match field.kind {
            FieldKind::Utf16 => (
                text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                "units",
            ),
            _ => (text.into_bytes(), "bytes"),
        };
        let fits = bytes.len() <= field.range().len();
        let how = || format!("write a text of at most {} {unit}", field.count);
        return fits.then_some(bytes).ok_or_else(how);
    }

    let values = numbers.unwrap_or(value).split(',');
    let bytes: Vec<Vec<u8>> = values
        .map(|one| value_bytes(&field.kind, one.trim()))
        .collect::<Result<_, _>>()?;

    match bytes.len() == field.count {
        true => Ok(bytes.concat()),
        false if field.count == 1 => Err("write one number".to_string()),
        false => Err(format!(
            "write {} numbers, separated by commas",
            field.count
        )),
    }
}

/// Returns the bytes of one value of this kind. The error says how to write the value.
fn value_bytes(kind: &FieldKind, text: &str) -> Result<Vec<u8>, String> {
    match (kind, text) {
        (FieldKind::Bool, "false") => Ok(vec![0]),
        (FieldKind::Bool, "true") => Ok(vec![1]),
        (FieldKind::Bool, _) => Err("write true or false".to_string()),
        (FieldKind::Enum(number, values), _) => {
            match values.iter().find(|value| value.name == text) {
                Some(value) => Ok(value.number.to_le_bytes()[..number.size()].to_vec()),
                None => number_bytes(*number, text).map_err(|how| {
                    let all: Vec<&str> = values.iter().map(|value| &*value.name).collect();
                    format!("write one of {}, or {how}", all.join(", "))
                }),
            }
        }
        (FieldKind::Number(number), _) => number_bytes(*number, text),
        (FieldKind::Utf16, _) => number_bytes(NumberKind::U16, text),
        _ => number_bytes(NumberKind::U8, text),
    }
}

/// Returns the bytes of a number of this kind. The error says how to write the number.
fn number_bytes(kind: NumberKind, text: &str) -> Result<Vec<u8>, String> {
    let Some((min, max)) = kind.limits() else {
        return match kind {
            NumberKind::F32 => parse::f32(text).map(|n| n.to_le_bytes().to_vec()),
            _ => parse::f64(text).map(|n| n.to_le_bytes().to_vec()),
        };
    };

    let number = match text.strip_prefix("0x") {
        Some(_) => parse::u64(text).ok().map(i128::from),
        None => text.parse().ok(),
    };

    let fits = number.filter(|number| (min..=max).contains(number));
    let number = fits.ok_or_else(|| format!("write whole numbers from {min} to {max}"))?;
    Ok(number.to_le_bytes()[..kind.size()].to_vec())
}

/// Returns the places of all fields: the name, the field, and the offset in the message.
fn places(layout: &Layout) -> impl Iterator<Item = (String, &Field, usize)> {
    let of = |field| Field::places(field).map(move |(name, offset)| (name, field, offset));
    layout.fields.iter().flat_map(of)
}

fn values<'a>(layout: &'a Layout, message: &'a [u8]) -> Option<impl Iterator<Item = Shown<'a>>> {
    let fits = message.len() == layout.size;
    let shown = |(name, field, offset): (String, &'a Field, usize)| Shown {
        name,
        field,
        value: value(field, &message[offset..offset + field.range().len()]),
    };
    fits.then(|| places(layout).map(shown))
}

/// Returns the value of a field: a text if the field contains a text, otherwise one value or an
/// array of values.
fn value(field: &Field, bytes: &[u8]) -> Value {
    if let Some(text) = text_of(field, bytes) {
        return text.into();
    }
    let one = |bytes: &[u8]| one_value(&field.kind, bytes);
    match field.count {
        1 => one(bytes),
        _ => bytes.chunks_exact(field.kind.size()).map(one).collect(),
    }
}

/// Returns whether a field is a text, or an array of bytes that may be one.
fn is_text(field: &Field) -> bool {
    field.kind.is_text() || field.kind == FieldKind::Number(NumberKind::U8) && field.count > 1
}

/// Returns the text of a field, if it has one.
fn text_of(field: &Field, bytes: &[u8]) -> Option<String> {
    match field.kind {
        FieldKind::Utf8 => {
            let end = bytes.iter().position(|byte| *byte == 0);
            let text = &bytes[..end.unwrap_or(bytes.len())];
            str::from_utf8(text).ok().map(str::to_string)
        }
        FieldKind::Utf16 => {
            let units = bytes
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
            let text: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
            String::from_utf16(&text).ok()
        }
        _ => printable(bytes)
            .filter(|_| is_text(field))
            .map(str::to_string),
    }
}

/// Returns the text of a field if it is printable ASCII up to the zeros that fill the field.
fn printable(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let text = str::from_utf8(&bytes[..end]).ok()?;
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~'))
        .then_some(text)
}

/// Returns one value of this kind. A byte that is no `bool`, and a number without a name in an enum,
/// are shown as numbers.
fn one_value(kind: &FieldKind, bytes: &[u8]) -> Value {
    match kind {
        FieldKind::Bool if bytes[0] <= 1 => (bytes[0] == 1).into(),
        FieldKind::Enum(kind, values) => {
            let found = number(*kind, bytes);
            let whole = found
                .as_i64()
                .map(i128::from)
                .or(found.as_u64().map(i128::from));
            let is_it = |value: &&EnumValue| Some(value.number) == whole;
            let named = values.iter().find(is_it);
            named.map_or_else(|| found.clone(), |value| value.name.clone().into())
        }
        FieldKind::Number(kind) => number(*kind, bytes),
        FieldKind::Utf16 => number(NumberKind::U16, bytes),
        _ => number(NumberKind::U8, bytes),
    }
}

/// Returns the number in the first bytes. Infinity and NaN, which are not numbers in JSON, become a
/// text.
fn number(kind: NumberKind, bytes: &[u8]) -> Value {
    let mut eight = [0; 8];
    eight[..kind.size()].copy_from_slice(&bytes[..kind.size()]);
    let unsigned = u64::from_le_bytes(eight);
    // The sign is the uppermost bit of the number.
    let unused = 64 - 8 * kind.size() as u32;
    let signed = (unsigned << unused) as i64 >> unused;
    match kind {
        NumberKind::F32 => float(&f32::from_bits(unsigned as u32).to_string()),
        NumberKind::F64 => float(&f64::from_bits(unsigned).to_string()),
        NumberKind::I8 | NumberKind::I16 | NumberKind::I32 | NumberKind::I64 => signed.into(),
        NumberKind::U8 | NumberKind::U16 | NumberKind::U32 | NumberKind::U64 => unsigned.into(),
    }
}

/// Returns the floating-point number with this text, which is its shortest decimal text. So 0.1
/// with 32 bits stays 0.1.
fn float(text: &str) -> Value {
    let number = text.parse().ok().and_then(serde_json::Number::from_f64);
    number.map_or_else(|| text.into(), Value::Number)
}

/// Returns a value as text; a text has no quotes.
fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::parse(text).expect(text)
    }

    #[test]
    fn typed_message_prints_fields_by_name() {
        let tick = layout("16;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];");
        let message =
            |symbol: &[u8; 4]| [&101.5f64.to_le_bytes()[..], &3u32.to_le_bytes(), symbol].concat();
        for (symbol, shown, value) in [
            (b"ABCD", r#""ABCD""#, json!("ABCD")),
            (b"A\"\\B", r#""A\"\\B""#, json!("A\"\\B")),
            (b"AB\0\0", r#""AB""#, json!("AB")),
            (b"A\0B\0", "[65,0,66,0]", json!([65, 0, 66, 0])),
            (b"\x1b[2J", "[27,91,50,74]", json!([27, 91, 50, 74])),
            (b"\0\0\0\0", "[0,0,0,0]", json!([0, 0, 0, 0])),
        ] {
            let message = message(symbol);
            let want = format!("price=101.5 volume=3 symbol={shown}");
            assert_eq!(text(&tick, &message).as_deref(), Some(&*want));
            let want = json!({ "values": { "price": 101.5, "volume": 3, "symbol": value } });
            assert_eq!(json(&tick, &message), Some(want));
            assert_eq!(text(&tick, &message[1..]), None);
            assert_eq!(json(&tick, &[&message[..], b"x"].concat()), None);
        }
    }

    fn given(layout: &Layout, fields: &str) -> Result<Vec<u8>, String> {
        let fields: Vec<String> = fields.split(' ').map(str::to_string).collect();
        parse(layout, &fields)
    }

    #[test]
    fn printed_fields_parse_back_unchanged() {
        let tick = layout("16;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];");
        for shown in [
            r#"price=101.5 volume=3 symbol="ABCD""#,
            r#"price=-inf volume=4294967295 symbol="A\"""#,
            "price=0.1 volume=0 symbol=[0,0,0,0]",
        ] {
            let message = given(&tick, shown).unwrap();
            assert_eq!(text(&tick, &message).as_deref(), Some(shown));
        }
        let other = given(&tick, "symbol=AB volume=0x10 price=1e3").unwrap();
        let want = r#"price=1000.0 volume=16 symbol="AB""#;
        assert_eq!(text(&tick, &other).as_deref(), Some(want));
        let several = layout("12;4;at.x:0:f32[2];n:8:i8[2];");
        let message = given(&several, "at.x=NaN,2.5 n=[-128,127]").unwrap();
        let want = "at.x=[NaN,2.5] n=[-128,127]";
        assert_eq!(text(&several, &message).as_deref(), Some(want));
        let wide = layout("16;8;u:0:u64[1];i:8:i64[1];");
        let ends = "u=18446744073709551615 i=-9223372036854775808";
        let message = given(&wide, ends).unwrap();
        assert_eq!(text(&wide, &message).as_deref(), Some(ends));
    }

    #[test]
    fn value_field_prints_and_parses_without_name() {
        let number = layout("8;8;value:0:f64[1];");
        let numbers = layout("4;2;value:0:i16[2];");
        let bytes = layout("4;1;value:0:u8[4];");
        for (layout, message, shown) in [
            (&number, &430_000f64.to_le_bytes()[..], "430000.0"),
            (&numbers, &[255, 255, 2, 0], "[-1,2]"),
            (&bytes, b"AB=C", "AB=C"),
            (&bytes, b"[1]\0", r#""[1]""#),
            (&bytes, b"\0\x01\0\0", "[0,1,0,0]"),
        ] {
            assert_eq!(text(layout, message).as_deref(), Some(shown));
            assert_eq!(given(layout, shown).as_deref(), Ok(message));
            let named = format!("value={shown}");
            assert_eq!(given(layout, &named).as_deref(), Ok(message));
        }
        let want = json!({ "values": { "value": 430_000.0 } });
        assert_eq!(json(&number, &430_000f64.to_le_bytes()), Some(want));
        assert!(
            given(&numbers, "price=1")
                .unwrap_err()
                .contains("no field price")
        );
    }

    #[test]
    fn invalid_field_arguments_are_refused_with_reason() {
        let tick = layout("16;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];");
        for (fields, why) in [
            (
                "price",
                "is not of the form FIELD=VALUE\n  the fields are price, volume, symbol",
            ),
            ("cost=1", "no field cost"),
            ("price=1 price=1", "price is given twice"),
            ("price=1 volume=1", "no value for symbol"),
            ("volume=4294967296", "from 0 to 4294967295"),
            ("volume=-1", "from 0 to"),
            ("volume=1,2", "write one number"),
            ("volume=", "from 0 to"),
            ("price=much", "such as 1.5"),
            ("symbol=ABCDE", "at most 4 bytes"),
            ("symbol=[1,2]", "write 4 numbers"),
            ("symbol=[1,2,3,256]", "from 0 to 255"),
        ] {
            let told = given(&tick, fields).unwrap_err();
            assert!(told.contains(why), "{fields}: {told}");
        }
    }

    #[test]
    fn all_kinds_print_and_parse_back() {
        let order = layout(
            "40;4;live:0:bool[1];side:1:u8{Buy=0,Sell=1}[1];name:2:utf8[6];wide:8:utf16[4];\
             legs[2+12].price:16:f32[1];legs[2+12].grid[2+4]:20:i16[2];",
        );
        let shown = "live=true side=Sell name=\"Zoë\" wide=\"ab\" legs[0].price=1.5 \
                     legs[1].price=-2.5 legs[0].grid[0]=[1,2] legs[0].grid[1]=[3,4] \
                     legs[1].grid[0]=[5,6] legs[1].grid[1]=[7,-8]";
        let message = given(&order, shown).unwrap();
        assert_eq!(text(&order, &message).as_deref(), Some(shown));
        assert_eq!(message[..2], [1, 1]);
        assert_eq!(message[28..32], (-2.5f32).to_le_bytes());
        let values = &json(&order, &message).unwrap()["values"];
        assert_eq!(values["legs[1].grid[1]"], json!([7, -8]));
        assert_eq!(
            (&values["live"], &values["side"]),
            (&json!(true), &json!("Sell"))
        );

        // Values without a name, and texts that are not valid.
        let mut odd = message.clone();
        odd[..8].copy_from_slice(&[7, 9, 0xff, 0, 0, 0, 0, 0]);
        let text = text(&order, &odd).unwrap();
        assert!(
            text.starts_with("live=7 side=9 name=[255,0,0,0,0,0] "),
            "{text}"
        );
        for (given_as, why) in [
            ("live=1", "write true or false"),
            (
                "side=Hold",
                "write one of Buy, Sell, or write whole numbers from 0 to 255",
            ),
            ("name=1234567", "at most 6 bytes"),
            ("wide=12345", "at most 4 units"),
            ("legs[2].price=1", "no field legs[2].price"),
        ] {
            let told = given(&order, given_as).unwrap_err();
            assert!(told.contains(why), "{given_as}: {told}");
        }
    }

    #[test]
    fn number_kinds_print_exactly_at_limits() {
        let of = |kind: &str, size: usize, bytes: &[u8]| {
            let layout = layout(&format!("{size};{size};x:0:{kind}[1];"));
            text(&layout, bytes).unwrap()
        };
        let full = [0xff; 8];
        let least = |size: usize| {
            let mut bytes = [0; 8];
            bytes[size - 1] = 0x80;
            bytes
        };
        for (bits, size) in [(8, 1), (16, 2), (32, 4), (64, 8)] {
            let max = u64::MAX >> (64 - bits);
            let kind = |letter: char| format!("{letter}{bits}");
            assert_eq!(of(&kind('u'), size, &full[..size]), format!("x={max}"));
            assert_eq!(of(&kind('i'), size, &full[..size]), "x=-1");
            let min = -(i128::from(max / 2) + 1);
            let shown = of(&kind('i'), size, &least(size)[..size]);
            assert_eq!(shown, format!("x={min}"));
        }
        assert_eq!(of("f32", 4, &0.1f32.to_le_bytes()), "x=0.1");
        assert_eq!(of("f64", 8, &0.1f64.to_le_bytes()), "x=0.1");
        assert_eq!(of("f64", 8, &101f64.to_le_bytes()), "x=101.0");
        assert_eq!(
            of("f64", 8, &f64::MAX.to_le_bytes()),
            "x=1.7976931348623157e+308"
        );
        assert_eq!(of("f64", 8, &f64::NEG_INFINITY.to_le_bytes()), "x=-inf");
        let several = layout("12;4;at.x:0:f32[2];n:8:i8[2];");
        let bytes = [
            &f32::NAN.to_le_bytes()[..],
            &2.5f32.to_le_bytes(),
            &[255, 1, 9, 9],
        ]
        .concat();
        assert_eq!(
            text(&several, &bytes).as_deref(),
            Some("at.x=[NaN,2.5] n=[-1,1]")
        );
        let want = json!({ "values": { "at.x": ["NaN", 2.5], "n": [-1, 1] } });
        assert_eq!(json(&several, &bytes), Some(want));
    }
}
