//! The fields of a type, as a table and as JSON.

use serde_json::{Value, json};
use shmkit::{Field, Layout, Repeat};

/// Returns a table: the heading, and a row for each field.
pub fn rows(layout: &Layout) -> Vec<String> {
    let widest = |text: fn(&Field) -> String, least: usize| {
        let widths = layout
            .fields
            .iter()
            .map(|field| text(field).chars().count());
        widths.max().unwrap_or(0).max(least)
    };
    let (name_width, kind_width) = (widest(Field::array_name, 5), widest(kind, 4));
    let row = |name: &str, kind: &str, count: &str, offset: &str| {
        format!("{name:<name_width$}  {kind:<kind_width$}  {count:>5}  {offset:>6}")
    };
    let heading = row("field", "kind", "count", "offset");
    let fields = layout.fields.iter().map(|field| {
        let [count, offset] = [field.count, field.offset].map(|n| n.to_string());
        row(&field.array_name(), &kind(field), &count, &offset)
    });
    std::iter::once(heading).chain(fields).collect()
}

fn kind(field: &Field) -> String {
    field.kind.to_string()
}

pub fn json(layout: &Layout) -> Value {
    let fields = layout.fields.iter().map(|field| {
        let array = |array: &Repeat| json!({ "count": array.count, "stride": array.stride });
        let arrays: Vec<Value> = field.repeats.iter().map(array).collect();
        json!({
            "name": field.array_name(),
            "kind": field.kind.to_string(),
            "count": field.count,
            "offset": field.offset,
            "arrays": arrays,
        })
    });
    json!({
        "size": layout.size,
        "align": layout.align,
        "fields": fields.collect::<Vec<_>>(),
        "text": layout.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_fields_print_in_columns() {
        let text = "16;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];";
        let want = [
            "field   kind  count  offset",
            "price   f64       1       0",
            "volume  u32       1       8",
            "symbol  u8        4      12",
        ];
        assert_eq!(rows(&Layout::parse(text).unwrap()), want);
        let nested = "24;4;legs[2+12].side:0:u8{Buy=0,Sell=1}[1];legs[2+12].price:4:f32[2];";
        let want = [
            "field          kind              count  offset",
            "legs[2].side   u8{Buy=0,Sell=1}      1       0",
            "legs[2].price  f32                   2       4",
        ];
        assert_eq!(rows(&Layout::parse(nested).unwrap()), want);
        let short = "1;1;x:0:u8[1];";
        assert_eq!(
            rows(&Layout::parse(short).unwrap())[1],
            "x      u8        1       0"
        );
    }
}
