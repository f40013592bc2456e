//! The fields of a type, as a table and as JSON.

use serde_json::{Value, json};
use shmkit::Layout;

/// Returns a table: the heading, and a row for each field.
pub fn rows(layout: &Layout) -> Vec<String> {
    let names = layout.fields.iter().map(|field| field.name.len());
    let width = names.max().unwrap_or(0).max(5);
    let row = |name: &str, kind: &str, count: &str, offset: &str| {
        format!("{name:<width$}  {kind:<4}  {count:>5}  {offset:>6}")
    };
    let heading = row("field", "kind", "count", "offset");
    let fields = layout.fields.iter().map(|field| {
        let [count, offset] = [field.count, field.offset].map(|n| n.to_string());
        row(&field.name, field.kind.name(), &count, &offset)
    });
    std::iter::once(heading).chain(fields).collect()
}

pub fn json(layout: &Layout) -> Value {
    let fields = layout.fields.iter().map(|field| {
        json!({
            "name": field.name,
            "kind": field.kind.name(),
            "count": field.count,
            "offset": field.offset,
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
        let short = "1;1;x:0:u8[1];";
        assert_eq!(
            rows(&Layout::parse(short).unwrap())[1],
            "x      u8        1       0"
        );
    }
}
