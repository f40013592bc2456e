//! Test of the example in `docs/layout.md`.

use super::super::lossless::LosslessWriter;
use super::super::ring::RingGeometry;
use crate::format::layout::{MIN_RING, lane};
use crate::sync::{Words, heap};

/// The ring has the bytes of the example at the offsets of the example.
// layout: L001 L060
#[test]
fn written_record_matches_document_example() {
    let ring_geometry = RingGeometry::new(MIN_RING, 64).unwrap();
    let [ring, head, cursor] = [MIN_RING as usize, lane::HEAD, 256].map(heap::window);
    let mut writer =
        LosslessWriter::resume(ring.clone().ring(), head, cursor, ring_geometry).unwrap();
    assert!(writer.try_send(b"Hello"));
    let page = include_str!("../../../docs/layout.md");
    let example = page.split("### Example").nth(1).unwrap();
    let mut compared = 0;
    for line in example.split("```").nth(1).unwrap().lines() {
        let Some((offset, bytes)) = line.split_once(": ") else {
            continue;
        };
        let offset = usize::from_str_radix(offset, 16).unwrap();
        for (n, byte) in bytes
            .split(' ')
            .enumerate()
            .filter(|(_, byte)| *byte != "..")
        {
            let mut found = [0];
            ring.copy_out(offset + n, &mut found);
            assert_eq!(found[0], u8::from_str_radix(byte, 16).unwrap(), "{line}");
            compared += 1;
        }
    }
    assert_eq!(compared, 13);
}
