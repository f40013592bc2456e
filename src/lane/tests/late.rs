//! Lanes whose positions pass 2^31 and 2^32, which overflow the addresses of 32-bit processors.

use super::super::Step;
use super::super::lossless::{LosslessReader, LosslessWriter};
use super::super::ring::RingGeometry;
use super::model::Memory;
use crate::format::layout::{cursor, record};
use crate::sync::{WordsMut as _, heap};

const BYTES: u64 = 4096;
const MAX: usize = 300;

/// Sends and receives messages of every length from a position on: plain, tagged and claimed.
fn pass(start: u64) {
    let memory = Memory::new(BYTES, MAX);
    for at in [cursor::ROOM, cursor::EXACT] {
        memory.cursor.store64(at, start);
    }
    let ring_geometry = RingGeometry::new(BYTES, MAX).unwrap();
    let cursor = heap::reading(&memory.cursor);
    let writer = LosslessWriter::resume(
        memory.ring_mut(),
        memory.head.clone(),
        cursor,
        ring_geometry,
    );
    let reader = LosslessReader::resume(memory.ring(), memory.cursor.clone(), ring_geometry);
    let (mut writer, mut reader) = (writer.unwrap(), reader.unwrap());
    for len in (0..=MAX).chain([0; 200]) {
        let message: Vec<u8> = (0..len).map(|n| (n + len) as u8).collect();
        match len % 3 {
            0 => assert!(writer.try_send(&message)),
            1 => assert!(writer.try_send_tagged(&message, len as u32)),
            _ => {
                let place = writer.claim(len).unwrap();
                let (first, rest) = message.split_at(len / 2);
                writer.ring().fill(place, len / 2, rest);
                writer.ring().fill(place, 0, first);
                writer.commit(place, len);
            }
        }
        assert_eq!(reader.find(), Step::Message(len));
        if len % 3 == 1 {
            assert_eq!(reader.tag(), len as u32);
        }
        let mut copy = vec![0; len];
        reader.copy(0, &mut copy);
        assert_eq!(copy, message);
        reader.copy(len, &mut []);
        reader.pass();
        assert_eq!(reader.find(), Step::Nothing);
    }
    assert!(writer.position() > start && reader.position() == writer.position());
}

// layout: L007
#[test]
fn lane_works_at_positions_beyond_32_bits() {
    for limit in [1 << 31, 1 << 32, 1 << 33, 1 << 40] {
        // The next records begin in front of the limit, at the limit, and behind the limit.
        for before in (0..=128u64)
            .step_by(record::ALIGN)
            .chain([BYTES, 2 * BYTES])
        {
            pass(limit - before);
        }
    }
}
