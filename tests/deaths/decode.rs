//! Knows instructions that certainly write no shared memory. After any other instruction the shared
//! memory is compared with its copy.

/// Returns whether the instruction with these first bytes certainly writes no shared memory.
pub fn writes_nothing(bytes: [u8; 4]) -> bool {
    let [first, second, third, ..] = bytes;
    match first {
        // REX, which changes widths and registers.
        0x40..=0x4f => plain(second, third, bytes[3]),
        _ => plain(first, second, third),
    }
}

fn plain(code: u8, next: u8, third: u8) -> bool {
    // The byte behind the opcode says that the operand is a register and no memory, or which
    // instruction of a group it is.
    let in_register = next >= 0xc0;
    let of_group = next >> 3 & 7;
    match code {
        // add, or, adc, sbb, and, sub, xor: into a register; and cmp, which writes nothing.
        0x38..=0x3d => true,
        0x00..=0x37 if matches!(code & 7, 2..=5) => true,
        0x00..=0x37 if code & 7 < 2 => in_register,
        // The stack: push, pop, call, return. And jumps, loads, lea, test, constants.
        0x50..=0x5f | 0x70..=0x7f | 0xe8 | 0xe9 | 0xeb | 0xc3 => true,
        0x63 | 0x69 | 0x6b | 0x84 | 0x85 | 0x8a | 0x8b | 0x8d | 0x90 => true,
        0xa8 | 0xa9 | 0xb0..=0xbf => true,
        0x80 | 0x81 | 0x83 => in_register || of_group == 7,
        0x88 | 0x89 | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0xf6 | 0xf7 => in_register,
        0xfe | 0xff => in_register || of_group >= 2,
        0x0f => match next {
            // Loads, cmov, jumps, setcc of a register, imul, movzx, movsx.
            0x10 | 0x1f | 0x28 | 0x40..=0x4f | 0x80..=0x8f | 0xaf => true,
            0xb6 | 0xb7 | 0xbe | 0xbf => true,
            0x90..=0x9f => third >= 0xc0,
            _ => false,
        },
        _ => false,
    }
}
