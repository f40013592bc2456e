//! Tests that `show`, `subscribe`, `recv` and `get` print typed messages and values of another
//! program by the names of their fields.

use crate::common::{eventually, unique, watchdog};
use crate::run::{Running, command, contains, parsed, shmkit};
use ::shmkit::{Delivery, Layout, Publisher, Section, Sender, Writer};
use serde_json::json;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Tick {
    price: f64,
    volume: u32,
    symbol: [u8; 4],
}

::shmkit::describe! { Tick { price: f64, volume: u32, symbol: [u8; 4] } }

const TEXT: &str = "16;8;price:0:f64[1];volume:8:u32[1];symbol:12:u8[4];";

fn tick(symbol: &[u8; 4]) -> Tick {
    Tick {
        price: 101.5,
        volume: 3,
        symbol: *symbol,
    }
}

fn topic(name: &str) -> Publisher<Tick> {
    Publisher::options().typed().create(name).unwrap()
}

#[track_caller]
fn run(args: &[&str]) -> String {
    let ended = shmkit(args);
    assert_eq!(ended.code, 0, "{args:?}: {}{}", ended.out, ended.err);
    ended.out
}

#[test]
fn show_prints_fields_of_message_type() {
    let _watchdog = watchdog();
    let name = unique("typed-show");
    let _publisher = topic(&name);
    let shown = run(&["show", &name]);
    let rows = [
        "type        field   kind  count  offset\n",
        "            price   f64       1       0\n",
        "            volume  u32       1       8\n",
        "            symbol  u8        4      12\n",
    ];
    contains(&shown, &[&rows.concat()]);
    let told = parsed(&run(&["show", &name, "--json"]))["messages"]["layout"].take();
    assert_eq!((&told["size"], &told["align"]), (&json!(16), &json!(8)));
    assert_eq!(told["text"], TEXT);
    let field = json!({ "name": "symbol", "kind": "u8", "count": 4, "offset": 12, "arrays": [] });
    assert_eq!(told["fields"][2], field);
    assert_eq!(told["fields"].as_array().map(Vec::len), Some(3));
}

#[test]
fn invalid_layout_text_is_shown_as_untyped() {
    let _watchdog = watchdog();
    let name = unique("typed-nonsense");
    let mut publisher = topic(&name);
    publisher.send(&tick(b"ABCD")).unwrap();
    let control = Section::open_rw(&*format!("{name}~control-00000001"))
        .unwrap()
        .map_rw(..)
        .unwrap();
    control.write(1024, b"\x1b[2J").unwrap();
    let told = parsed(&run(&["show", &name, "--json"]));
    assert_eq!(told["messages"]["layout"], json!(null));
    let read = run(&["subscribe", &name, "--count", "1", "--json"]);
    assert_eq!(parsed(&read)["values"], json!(null), "{read}");
}

#[test]
fn subscribe_prints_typed_fields_by_name() {
    let _watchdog = watchdog();
    let name = unique("typed-consume");
    let mut publisher = topic(&name);
    for symbol in [b"ABCD", b"\x1b[2J"] {
        publisher.send(&tick(symbol)).unwrap();
    }
    let mut publisher = publisher.into_untyped();
    publisher.send(b"short").unwrap();
    let subscribe = |more: &[&str]| {
        let all = ["subscribe", &name, "--from", "start", "--count", "3"];
        run(&[&all, more].concat())
    };
    let want = [
        "price=101.5 volume=3 symbol=\"ABCD\"\n",
        "price=101.5 volume=3 symbol=[27,91,50,74]\n",
        "short\n",
    ];
    assert_eq!(subscribe(&[]), want.concat());
    let lines: Vec<_> = subscribe(&["--json"]).lines().map(parsed).collect();
    let values = |symbol| json!({ "values": { "price": 101.5, "volume": 3, "symbol": symbol } });
    let want = [
        values(json!("ABCD")),
        values(json!([27, 91, 50, 74])),
        json!({ "text": "short" }),
    ];
    assert_eq!(lines, want);
}

#[test]
fn recv_creates_queue_of_given_type() {
    let _watchdog = watchdog();
    let name = unique("typed-recv");
    let recv = ["recv", &name, "--type", TEXT, "--count", "2"];
    let mut receiver = Running::start(&mut command(&recv));
    eventually("it is there", || {
        Sender::options().typed::<Tick>().open(&*name).is_ok()
    });
    let mut sender = Sender::options().typed::<Tick>().open(&*name).unwrap();
    sender.send(&tick(b"ABCD")).unwrap();
    sender.send(&tick(b"EF\0\0")).unwrap();
    assert_eq!(receiver.line(), "price=101.5 volume=3 symbol=\"ABCD\"");
    assert_eq!(receiver.line(), "price=101.5 volume=3 symbol=\"EF\"");
    assert_eq!(receiver.finish().code, 0);
    for wrong in ["", "16;8;", &TEXT.replace("16;8", "15;8")] {
        let ended = shmkit(&["recv", &name, "--type", wrong]);
        assert_eq!(ended.code, 2, "{wrong}");
        contains(&ended.err, &["--type", "show --json"]);
    }
}

#[test]
fn subscribe_prints_lossless_topic_of_numbers() {
    let _watchdog = watchdog();
    let name = unique("typed-number");
    let options = Publisher::options().delivery(Delivery::Lossless);
    let mut publisher = options.typed::<[i16; 2]>().create(&*name).unwrap();
    publisher.send(&[-1, 2]).unwrap();
    assert_eq!(run(&["subscribe", &name, "--count", "1"]), "[-1,2]\n");
    let text = Layout::of::<[i16; 2]>().to_string();
    contains(&run(&["show", &name, "--json"]), &[&text]);
}

#[test]
fn get_prints_typed_values_by_name() {
    let _watchdog = watchdog();
    let name = unique("typed-latest");
    let options = Writer::options().names(["one", "two"]);
    let mut writer = options.typed().create(&*name).unwrap();
    writer.set_at(1, &tick(b"ABCD")).unwrap();
    let text = r#"price=101.5 volume=3 symbol="ABCD""#;
    assert_eq!(run(&["get", &name, "two"]), format!("{text}\n"));
    assert_eq!(run(&["get", &name]), format!("two: {text}\n"));
    let told = parsed(&run(&["get", &name, "--json"]));
    assert_eq!(
        (&told["key"], &told["values"]["volume"]),
        (&json!("two"), &json!(3))
    );
}

#[test]
fn get_omits_field_name_of_plain_values() {
    let _watchdog = watchdog();
    let name = unique("typed-table");
    let options = Writer::options().names(["SYM00", "SYM01", "x"]);
    let mut writer = options.typed::<f64>().create(&*name).unwrap();
    for index in 0..3 {
        writer.set_at(index, &(430_000.5 + index as f64)).unwrap();
    }
    assert_eq!(run(&["get", &name, "SYM01"]), "430001.5\n");
    assert_eq!(
        run(&["get", &name]),
        "SYM00=430000.5\nSYM01=430001.5\nx=430002.5\n"
    );
    assert_eq!(
        parsed(&run(&["get", &name, "x", "--json"])),
        json!({ "values": { "value": 430_002.5 } })
    );
}
